"""Does the dialplan hand calls to our application, and take them back while it is away?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ari_app.asterisk.ajam_wire import AjamEvent
from ari_app.asterisk.errors import PbxError
from ari_app.check.findings import Finding, Findings, bad, good, unknown, warning
from ari_app.check.pbx import CannotRead, Pbx
from ari_app.check.readiness import Step

_SHOWN = 4


_WORD = re.compile(r"[A-Za-z0-9_.-]+")


def _closure(contexts: Iterable[str], ways: Mapping[str, set[str]]) -> frozenset[str]:
    found: set[str] = set()
    ahead = list(contexts)
    while ahead:
        context = ahead.pop()
        if context not in found:
            found.add(context)
            ahead += ways.get(context, ())
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the dialplan."""

    context: str
    exten: str
    priority: int
    application: str
    data: str

    @property
    def place(self) -> str:
        """Where it stands, such as ``[from-trunk] _X.``."""
        return f"[{self.context}] {self.exten}"


@dataclass(frozen=True, slots=True)
class Dialplan:
    """The whole dialplan: its lines, and (context, included context)."""

    steps: tuple[Line, ...]
    includes: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, events: tuple[AjamEvent, ...]) -> Dialplan:
        """Read what ``ShowDialPlan`` answers."""
        fields = [event.fields for event in events if event.name == "ListDialplan"]
        return cls(
            tuple(
                Line(
                    one["Context"],
                    one.get("Extension", ""),
                    int(one["Priority"]) if one.get("Priority", "").isdecimal() else 0,
                    one["Application"],
                    one.get("AppData", ""),
                )
                for one in fields
                if "Context" in one and "Application" in one
            ),
            tuple(
                (one["Context"], one["IncludeContext"])
                for one in fields
                if "Context" in one and "IncludeContext" in one
            ),
        )

    def entries(self) -> Iterator[tuple[Line, list[str]]]:
        """Give the steps that hand calls to a Stasis application, with what they hand over."""
        for step in self.steps:
            if step.application.lower() == "stasis":
                yield step, [word.strip() for word in step.data.split(",")]

    def goes_on_after(self, step: Line) -> bool:
        """Tell whether there is a next step."""
        return any(
            (other.context, other.exten) == (step.context, step.exten) and other.priority > step.priority
            for other in self.steps
        )

    def incoming(self, app: str) -> frozenset[str]:
        """Give the contexts in which customers' calls are handed to our application."""
        handing = (step for step, handed in self.entries() if handed[:2] == [app, "incoming"])
        return frozenset(step.context for step in handing)

    def behind(self, contexts: Iterable[str]) -> frozenset[str]:
        """Give these contexts and all that they lead to: by including them, or naming them in a step."""
        return _closure(contexts, self._ways())

    def leading_to(self, contexts: Iterable[str]) -> frozenset[str]:
        """Give these contexts and all that lead to them."""
        back: dict[str, set[str]] = {}
        for here, there in self._ways().items():
            for context in there:
                back.setdefault(context, set()).add(here)
        return _closure(contexts, back)

    def _ways(self) -> dict[str, set[str]]:
        known = {step.context for step in self.steps}
        ways: dict[str, set[str]] = {}
        for here, there in self.includes:
            ways.setdefault(here, set()).add(there)
        for step in self.steps:
            ways.setdefault(step.context, set()).update(known.intersection(_WORD.findall(step.data)))
        return ways

    def leads_to(self, context: str) -> bool:
        """Tell whether another context includes a context, or names it in what it does."""
        return any(there == context for _, there in self.includes) or any(
            step.context != context and context in step.data for step in self.steps
        )


async def shown(pbx: Pbx) -> Dialplan | None:
    """Give the whole dialplan; None where the PBX doesn't show it to us."""
    if "ShowDialPlan" not in pbx.commands:
        return None
    try:
        dialplan = Dialplan.of(await pbx.dialplan())
    except (PbxError, ValueError):
        return None
    return dialplan if dialplan.steps else None


async def entry(pbx: Pbx, came: bool = False) -> Findings:
    """Look for the lines that hand calls to us; that a customer's call `came` proves that there are some."""
    if not pbx.lets_in and not pbx.commands:
        return
    dialplan = await shown(pbx)
    if dialplan is None:
        yield good("dialplan", "customers' calls come to us: one has come") if came else await _by_name(pbx)
        return
    for finding in judge(dialplan, pbx.settings.stasis_app, came):
        yield finding


def judge(dialplan: Dialplan, app: str, came: bool = False) -> Iterator[Finding]:
    """Say what the dialplan does with our application; `came`: a customer's call has come to it."""
    entries = list(dialplan.entries())
    ours = [(step, handed) for step, handed in entries if handed[0] == app]
    incoming = [step for step, handed in ours if handed[1:2] == ["incoming"]]
    computed = [step for step, handed in entries if "${" in handed[0]]
    if incoming:
        seen = came or not _stands_alone(dialplan, incoming, app)
        found = good("dialplan", f"customers' calls come to us from {_places(incoming)}")
        yield replace(found, step=Step.DIALPLAN.value) if seen else found
        yield from _around(dialplan, incoming, app, came)
    elif computed:
        yield unknown(
            "dialplan",
            f"whether {_places(computed)} leads to us isn't known: the application's name is computed",
            f"look whether it becomes {app}: dialplan show {computed[0].context}",
        )
    else:
        yield bad(
            "dialplan",
            f"it hands no customer's call to us: there is no Stasis({app},incoming,...)",
            "write it with ari-app dialplan, include it in the trunk's context, and: dialplan reload",
        )
    if not computed and not any(handed[1:2] == ["outgoing"] for _, handed in ours):
        yield warning(
            "dialplan",
            f"calls from the shop's phones aren't handed to us: there is no Stasis({app},outgoing,...)",
            f"include {app}-outgoing (ari-app dialplan writes it) where the phones dial; without it the CRM "
            "doesn't hear of such calls",
        )


def _stands_alone(dialplan: Dialplan, incoming: list[Line], app: str) -> bool:
    """Tell whether calls come to us only in the context that we wrote, and no other leads there."""
    generated = f"{app}-incoming"
    return all(step.context == generated for step in incoming) and not dialplan.leads_to(generated)


def _around(dialplan: Dialplan, incoming: list[Line], app: str, came: bool) -> Iterator[Finding]:
    """Look at what comes before and after the lines that hand calls to us."""
    if ends := [step for step in incoming if not dialplan.goes_on_after(step)]:
        yield bad(
            "dialplan",
            f"while the service is away callers are hung up: nothing follows Stasis() in {_places(ends)}",
            "let the next line send them to people, as ari-app dialplan writes it: "
            'GotoIf($["${STASISSTATUS}" = "FAILED"]?...)',
        )
    generated = f"{app}-incoming"
    if not came and _stands_alone(dialplan, incoming, app):
        yield unknown(
            "dialplan",
            f"no other context leads to [{generated}]: calls come there only if it is a trunk's context",
            f"if it isn't, write include => {generated} into the trunk's context, and: dialplan reload",
        )


def _places(steps: list[Line]) -> str:
    places = list(dict.fromkeys(step.place for step in steps))
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return ", ".join(places[:_SHOWN]) + more


async def _by_name(pbx: Pbx) -> Finding:
    """Look only for the contexts that `ari-app dialplan` writes: the PBX doesn't show all to ARI."""
    app = pbx.settings.stasis_app
    try:
        there = await pbx.has_place(f"{app}-incoming", "s")
    except CannotRead:
        there = False
    shown = f"asterisk -rx 'dialplan show' | grep 'Stasis({app}'"
    if there:
        return unknown(
            "dialplan",
            f"[{app}-incoming] is there; whether the trunk's calls come there can't be seen by ARI alone",
            f"look who includes it, or set AJAM up: {shown}",
        )
    return unknown(
        "dialplan",
        f"whether it hands calls to Stasis({app},incoming,...) can't be seen by ARI alone",
        f"look yourself: {shown}; or set AJAM up",
    )
