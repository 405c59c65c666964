"""The journal: every step of a call as it was taken, and what the CRM answered.

One `JournalLine` a step. It is what `ari-app calls` shows, what the demo prints, and what a person on duty
reads when a shop asks what happened to a call.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeAlias, get_args

import orjson
from pydantic import TypeAdapter

from ari_app.calls.call import Stage
from ari_app.calls.happenings import Happening
from ari_app.calls.orders import Order, Tell
from ari_app.calls.reported import Report


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """Something that the CRM is still to be told. `id` orders entries as they were written."""

    id: str
    call: str
    tell: Tell


@dataclass(frozen=True, slots=True)
class CrmTold:
    """The CRM was told something. `problem` is set when it would not hear it, or heard it too late."""

    at: float
    tell: Tell
    problem: str | None = None


Event: TypeAlias = Happening | Report | CrmTold


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One step: what happened at a moment, the stage before and after, and what the call ordered."""

    at: float
    call: str
    before: Stage | None
    after: Stage | None
    event: Event
    orders: tuple[Order, ...] = ()


_EVENTS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in (*get_args(Happening), *get_args(Report), CrmTold)
}
_ORDERS: dict[str, TypeAdapter[Any]] = {kind.__name__: TypeAdapter(kind) for kind in get_args(Order)}


def tagged(value: Any) -> dict[str, Any]:
    """Turn a happening or order into a mapping that names its kind."""
    return {
        "kind": type(value).__name__,
        **{field.name: _plain(value, field.name) for field in fields(value)},
    }


def _plain(value: Any, name: str) -> Any:
    inner = getattr(value, name)
    return tagged(inner) if name == "tell" and is_dataclass(inner) else inner


def order_from(data: dict[str, Any]) -> Any:
    """Read an order back."""
    return _ORDERS[data["kind"]].validate_python({key: data[key] for key in data if key != "kind"})


def dump_line(line: JournalLine) -> bytes:
    """Write a line as JSON."""
    return orjson.dumps(
        {
            "at": line.at,
            "call": line.call,
            "before": line.before,
            "after": line.after,
            "event": tagged(line.event),
            "orders": [tagged(order) for order in line.orders],
        }
    )


def load_line(data: bytes) -> JournalLine:
    """Read a line back.

    Raises:
        KeyError, ValueError: it was not written by `dump_line`.
    """
    raw = orjson.loads(data)
    event = dict(raw["event"])
    kind = event.pop("kind")
    if kind == CrmTold.__name__:
        parsed: Event = CrmTold(event["at"], order_from(event["tell"]), event["problem"])
    else:
        parsed = _EVENTS[kind].validate_python(event)
    return JournalLine(
        at=raw["at"],
        call=raw["call"],
        before=Stage(raw["before"]) if raw["before"] else None,
        after=Stage(raw["after"]) if raw["after"] else None,
        event=parsed,
        orders=tuple(order_from(order) for order in raw["orders"]),
    )
