"""The journal: every step of a call as it was taken, and what the CRM answered.

One `JournalLine` a step. It is what `ari-app calls` shows, what the demo prints, and what a person on duty
reads when a shop asks what happened to a call.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeAlias, get_args

import orjson
from pydantic import TypeAdapter

from ari_app.calls.brief import brief
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
class UnreadableEntry:
    """Something that another version wanted the CRM to be told, and that this one can't read.

    `stored` is what was stored, `problem` what is wrong with it; `fields` is all of it, as it stood in Redis.
    """

    id: str
    call: str
    stored: bytes
    problem: str
    fields: tuple[tuple[bytes, bytes], ...] = ()
    tell: None = field(default=None, init=False)


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


def brief_tagged(value: Any) -> dict[str, Any]:
    """Turn it into the same without the fields that have their defaults."""
    return {"kind": type(value).__name__, **brief(value)}


def order_from(data: dict[str, Any]) -> Any:
    """Read an order back.

    Raises:
        LookupError, TypeError, ValueError: it is of a kind, or has a value, that this version does not know.
    """
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


def brief_line(line: JournalLine) -> bytes:
    """Write the same without the fields of what happened, and was ordered, that have their defaults."""
    if isinstance(line.event, CrmTold):
        event = tagged(line.event) | {"tell": brief_tagged(line.event.tell)}
    else:
        event = brief_tagged(line.event)
    return orjson.dumps(
        {
            "at": line.at,
            "call": line.call,
            "before": line.before,
            "after": line.after,
            "event": event,
            "orders": [brief_tagged(order) for order in line.orders],
        }
    )


def load_line(data: bytes) -> JournalLine:
    """Read a line back.

    Raises:
        LookupError, TypeError, ValueError: another version wrote it, or nobody.
    """
    raw = orjson.loads(data)
    return _line(raw, tuple(order_from(order) for order in raw["orders"]))


def read_lines(stored: Iterable[bytes]) -> tuple[list[JournalLine], list[str]]:
    """Read lines back as far as this version knows them; say what is left out.

    Another version may have written them: an order that isn't known is left out of its line, and a line of
    which it isn't known what happened is left out. What is left out is named by its kind, each kind once.
    """
    lines, left_out = [], set()
    for data in stored:
        try:
            lines.append(load_line(data))
        except NOT_KNOWN:
            line, unknown = _read_in_part(data)
            left_out |= unknown
            if line is not None:
                lines.append(line)
    return lines, sorted(left_out)


NOT_KNOWN = (LookupError, TypeError, ValueError)
"""What is raised when something is read that another version has written."""


def _read_in_part(data: bytes) -> tuple[JournalLine | None, set[str]]:
    try:
        raw = orjson.loads(data)
        line = _line(raw, ())
        orders, unknown = [], set()
        for order in raw["orders"]:
            try:
                orders.append(order_from(order))
            except NOT_KNOWN:
                unknown.add(kind_of(order) or "an order")
    except NOT_KNOWN:
        return None, {_event_kind(data) or "a line of the journal"}
    return replace(line, orders=tuple(orders)), unknown


def kind_of(stored: Any) -> str | None:
    """Give the kind that is written in what was stored; None when there is none."""
    kind = stored.get("kind") if isinstance(stored, dict) else None
    return kind if isinstance(kind, str) else None


def _event_kind(data: bytes) -> str | None:
    """Give the kind of what happened, if it is not one of ours."""
    try:
        kind = kind_of(orjson.loads(data)["event"])
    except NOT_KNOWN:
        return None
    return kind if kind not in _EVENTS else None


def line_at(data: bytes) -> float | None:
    """Give the moment of a stored line, in seconds since the epoch; None when it has none."""
    try:
        return float(orjson.loads(data)["at"])
    except NOT_KNOWN:
        return None


def _line(raw: dict[str, Any], orders: tuple[Order, ...]) -> JournalLine:
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
        orders=orders,
    )
