"""The journal: every step of a call as it was taken, and what the CRM answered.

One `JournalLine` a step. It is what `ari-app calls` shows, what the demo prints, and what a person on duty
reads when a shop asks what happened to a call.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeAlias, get_args

import orjson
from pydantic import TypeAdapter

from ari_app.calls.brief import brief
from ari_app.calls.call import Stage
from ari_app.calls.happenings import Happening
from ari_app.calls.orders import Order, Tell, TellCustomer, TellHangup, TellResult, TellRinging
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


_ORDERED = TellRinging | TellHangup | TellResult | TellCustomer
"""What is told of a call by an order of its own, which stands in its journal before it is told."""
_NAMES_IT = ("kind", "at", "codes", "again")


def brief_line(line: JournalLine) -> bytes:
    """Write it as its call's journal has it: without the call, without what has its default or is said twice.

    The line's moment is that of what happened, and of an order without one; without `before` the stage hasn't
    changed; what the CRM was told by an order of the journal's is named, not repeated.
    """
    event = brief_tagged(line.event)
    if isinstance(line.event, CrmTold):
        tell = brief_tagged(line.event.tell)
        if line.event.problem is None and isinstance(line.event.tell, _ORDERED):
            tell = {name: tell[name] for name in _NAMES_IT if name in tell}
        event["tell"] = tell
    said: dict[str, Any] = {"at": line.at, "event": _at_its_moment(event, line.at)}
    if line.before is not line.after:
        said["before"] = line.before
    if line.after is not None:
        said["after"] = line.after
    if line.orders:
        said["orders"] = [_at_its_moment(brief_tagged(order), line.at) for order in line.orders]
    return orjson.dumps(said)


def _at_its_moment(said: dict[str, Any], at: float) -> dict[str, Any]:
    """Leave a moment out that is the line's."""
    if said.get("at") == at:
        del said["at"]
    return said


def load_line(data: bytes) -> JournalLine:
    """Read a line back that says by itself all that it says, as `dump_line` writes it.

    Raises:
        LookupError, TypeError, ValueError: another version wrote it, or nobody.
    """
    raw, orders = _raw(data, [])
    return _line(raw, "", tuple(map(order_from, orders)))


def read_lines(stored: Iterable[bytes], call: str) -> tuple[list[JournalLine | None], list[str]]:
    """Read a call's journal back as far as this version knows it; say what is left out.

    Another version may have written it: an order that isn't known is left out of its line, and a line of
    which it isn't known what happened is None. What is left out is named by its kind, each kind once.
    """
    lines: list[JournalLine | None] = []
    left_out: set[str] = set()
    ordered: list[dict[str, Any]] = []
    for data in stored:
        try:
            raw, said = _raw(data, ordered)
            ordered += said
            orders = []
            for order in said:
                try:
                    orders.append(order_from(order))
                except NOT_KNOWN:
                    left_out.add(kind_of(order) or "an order")
            lines.append(_line(raw, call, tuple(orders)))
        except NOT_KNOWN:
            left_out.add(_event_kind(data) or "a line of the journal")
            lines.append(None)
    return lines, sorted(left_out)


NOT_KNOWN = (LookupError, TypeError, ValueError)
"""What is raised when something is read that another version has written."""


def _raw(data: bytes, ordered: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read a line's JSON, and its orders: as they were before it was made brief.

    `ordered` are those of the journal's lines before it.
    """
    raw: dict[str, Any] = orjson.loads(data)
    at = {"at": raw["at"]}
    raw["event"] = at | raw["event"]
    if (told := raw["event"].get("tell")) is not None:
        named = (order for order in ordered if told.items() <= order.items())
        raw["event"]["tell"] = next(named, told)
    return raw, [at | order for order in raw.get("orders", ())]


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


def _line(raw: dict[str, Any], call: str, orders: tuple[Order, ...]) -> JournalLine:
    event = dict(raw["event"])
    kind = event.pop("kind")
    if kind == CrmTold.__name__:
        parsed: Event = CrmTold(event["at"], order_from(event["tell"]), event.get("problem"))
    else:
        parsed = _EVENTS[kind].validate_python(event)
    after = raw.get("after")
    before = raw.get("before", after)
    return JournalLine(
        at=raw["at"],
        call=raw.get("call", call),
        before=Stage(before) if before else None,
        after=Stage(after) if after else None,
        event=parsed,
        orders=orders,
    )
