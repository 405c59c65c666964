"""The places of a PBX's dialplan to which a shop may lead calls, read off what AJAM shows of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ari_app.asterisk.ajam_wire import AjamEvent
from ari_app.calls import LONGEST_INTERNAL, BadDestination, parse_destinations

MOST = 100
"""Of each kind; more are not offered."""

_NOBODYS = ("macro-", "sub-")
"""How the names of contexts begin in which FreePBX keeps subroutines."""
_SUBROUTINES = {"return", "macroexit", "stackpop"}
_MENUS = {"background", "directory", "voicemail", "waitexten"}
_FREEPBX_LINE, _FREEPBX_ROUTES = "from-internal", "outbound-allroutes"
_DIGITS = {"x": "[0-9]", "z": "[1-9]", "n": "[2-9]", "-": ""}


@dataclass(frozen=True, slots=True)
class Places:
    """What a PBX has to offer, as it is typed in the settings. It may have more."""

    queues: tuple[str, ...] = ()
    """CONTEXT,EXTEN of each Queue()."""
    menus: tuple[str, ...] = ()
    """CONTEXT,EXTEN,1 of voice menus, voicemail and the like."""
    lines: tuple[str, ...] = ()
    """The contexts that let calls out."""


@dataclass(slots=True)
class _Extension:
    """An extension of the dialplan: what is done there, by priority, and with what."""

    context: str
    exten: str
    begins: bool = False
    """Whether it has a priority 1, where all calls that we lead there begin."""
    steps: dict[str, str] = field(default_factory=dict)

    @property
    def is_pattern(self) -> bool:
        return self.exten.startswith("_")

    def uses(self, applications: set[str]) -> bool:
        return not applications.isdisjoint(self.steps)


def read_places(dialplan: Iterable[AjamEvent], queues: Iterable[AjamEvent], app: str) -> Places:
    """Read what ``ShowDialPlan`` and ``QueueSummary`` answer; what leads to our application is left out."""
    found, contexts = _extensions(dialplan)
    names = [event.fields.get("Queue", "") for event in queues if event.name == "QueueSummary"]
    ours = (*_NOBODYS, f"{app}-")
    led = [
        one
        for one in found
        if one.begins and not one.context.startswith(ours) and not one.uses(_SUBROUTINES | {"stasis"})
    ]
    lines = {one.context for one in led if _lets_out(one)}
    if _FREEPBX_ROUTES in contexts:
        lines.add(_FREEPBX_LINE)
    return Places(
        _offered("queue", (place for one in led for place in _queues(one, names))),
        _offered("dialplan", (f"{one.context},{one.exten},1" for one in led if _is_menu(one))),
        _offered("queue", lines),
    )


def _extensions(dialplan: Iterable[AjamEvent]) -> tuple[list[_Extension], set[str]]:
    """Give the extensions, and the names of all contexts, those that are only included too."""
    found: dict[tuple[str, str], _Extension] = {}
    contexts = set()
    for event in dialplan:
        if event.name != "ListDialplan":
            continue
        context, exten = event.fields.get("Context", ""), event.fields.get("Extension", "")
        contexts |= {context, event.fields.get("IncludeContext", "")}
        if exten and "Application" in event.fields:
            one = found.setdefault((context, exten), _Extension(context, exten))
            one.begins |= event.fields.get("Priority") == "1"
            one.steps.setdefault(event.fields["Application"].lower(), event.fields.get("AppData", ""))
    return list(found.values()), contexts


def _queues(one: _Extension, names: Iterable[str]) -> Iterator[str]:
    """Give the places of a Queue(): one, or, of a pattern, that of each queue to which it leads."""
    if "queue" not in one.steps:
        return
    if not one.is_pattern:
        yield f"{one.context},{one.exten}"
    elif one.steps["queue"].partition(",")[0] == "${EXTEN}":
        yield from (f"{one.context},{name}" for name in names if _fits(one.exten, name))


def _is_menu(one: _Extension) -> bool:
    return not one.is_pattern and "queue" not in one.steps and (one.exten == "s" or one.uses(_MENUS))


def _lets_out(one: _Extension) -> bool:
    """Tell whether numbers outside are dialled there: those that are longer than an extension."""
    longest = one.exten[-1] in ".!" or len(re.sub(r"\[[^]]*]", "X", one.exten[1:])) > LONGEST_INTERNAL
    return one.is_pattern and longest and "${EXTEN" in one.steps.get("dial", "")


def _fits(pattern: str, exten: str) -> bool:
    """Tell whether a pattern of the dialplan such as ``_[a-z]X.`` takes an extension."""
    expression = ""
    for part in re.findall(r"\[[^]]*]|.", pattern[1:], re.DOTALL):
        if part in ".!":
            expression += ".+" if part == "." else ".*"
            break
        if len(part) > 1:
            expression += f"[{re.escape(part[1:-1]).replace(chr(92) + '-', '-')}]"
        else:
            expression += _DIGITS.get(part.lower(), re.escape(part))
    try:
        return re.fullmatch(expression, exten) is not None
    except re.error:  # a range from z to a, which takes nothing
        return False


def _offered(kind: str, places: Iterable[str]) -> tuple[str, ...]:
    """Give those that can be typed, in order: the PBX may have names of which no destination can be made."""
    return tuple(sorted({place for place in places if _can_be_typed(f"{kind}:{place}")})[:MOST])


def _can_be_typed(destination: str) -> bool:
    try:
        return bool(parse_destinations(destination, 1))
    except BadDestination:
        return False
