"""What the demo prints: a heading, a timeline and a verdict for each call; or a JSON object a line."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ari_app.calls import Call, JournalLine
from ari_app.calls import happenings as h
from ari_app.demo.crm.simulator import Manager
from ari_app.demo.pbx.phones import Phone
from ari_app.demo.show.people import MANAGERS, SHOP
from ari_app.demo.show.plans import Plan
from ari_app.demo.show.verdict import Observed
from ari_app.timeline.colours import COLOURS
from ari_app.timeline.timeline import narrate

ONCE_SECONDS = 1.0
"""A sentence is not said again within this time."""

_NAMES = {manager.code: manager.first_name for manager in MANAGERS if manager.code}
_CODE = re.compile(rf"(?<![\d+.:,])({'|'.join(_NAMES)})(?![\d.]|:\d)")

_RINGS = re.compile(r"\brings\b")


@dataclass(frozen=True, slots=True)
class Performance:
    """A call of the demo and what became of it."""

    index: int
    """Counted from 1."""
    plan: Plan
    call: Call | None
    """The call as the service knows it; None when it never heard of it."""
    observed: Observed
    problems: list[str]
    recording_url: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """What there is to be said before the first call."""

    asterisk: str
    """Its version."""
    address: str
    cabinet: str
    """The address that opens the shop's cabinet."""
    sign_in: str
    """The CRM's address and the key, with which one signs in there as everybody does."""
    recordings_url: str
    usual_port: int | None
    """The port at which the service would be, if it were not taken."""


class NobodyListens(Exception):
    """What is printed goes nowhere: the reader of our output is gone."""


class Terminal(Console):
    """A console that ends the demo, not the process, when its reader is gone."""

    def on_broken_pipe(self) -> None:
        """Say no more."""
        self.quiet = True
        _print_nowhere()
        raise NobodyListens("nobody reads what it prints")


class Narrator:
    """Tells what happens on the stage; this one says nothing."""

    def opens(self, opening: Opening, try_this: str) -> None:
        """Everything runs; `try_this` is a command for another terminal."""

    def begins(self, index: int, plan: Plan) -> None:
        """A call is about to be placed."""

    def remarks(self, text: str) -> None:
        """Something is different around the call, or as usual again."""

    def step(self, line: JournalLine, call: Call, phones: Mapping[str, Phone]) -> None:
        """Something has happened to it."""

    def ends(self, performance: Performance) -> None:
        """It is over, for the CRM too."""

    def waits(self, performances: list[Performance], try_this: str) -> None:
        """All calls were placed; everything goes on running until Ctrl-C."""

    def closes(self, performances: list[Performance], log: str | None) -> None:
        """The demo is over; `log` names the file where the service's log was kept."""


class Story(Narrator):
    """Tells it to a person at a terminal."""

    def __init__(self, console: Console, log: str) -> None:
        self._console = console
        self._log = log
        self._recordings_url = ""
        self._said: dict[str, float] = {}
        self._line = Live(console=console, auto_refresh=False, transient=True)
        """The last line of a terminal, which stays there: how it goes, and where to look."""
        self._ended = self._as_planned = 0
        self._cabinet = ""

    def opens(self, opening: Opening, try_this: str) -> None:
        """Introduce the shop and its people."""
        self._recordings_url = opening.recordings_url
        if opening.usual_port is not None:
            self._console.print(f"Port {opening.usual_port} is taken, so the service has another.")
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_row("Service", opening.address)
        table.add_row("Beside it", f"Asterisk {opening.asterisk} and a simulated retailCRM")
        table.add_row("Shop", SHOP)
        table.add_row("Phones", ", ".join(f"{manager.code} {_person(manager)}" for manager in MANAGERS))
        self._console.print(table)
        self._console.print("\nThe shop's cabinet, to be opened in a browser:")
        address = Text(f"  {opening.cabinet}", style=f"bold link {opening.cabinet}")
        self._console.print(address, soft_wrap=True)
        self._console.print(Text(f"  or sign in with {opening.sign_in}\n", style="dim"), soft_wrap=True)
        self._hint(try_this)
        self._console.print("Ctrl-C ends the demo and leaves nothing behind.", style="dim")
        self._cabinet = opening.address
        if self._console.is_terminal:
            self._line.start()
        self._show("the first call")

    def begins(self, index: int, plan: Plan) -> None:
        """Write the call's heading."""
        self._said.clear()
        settings = ", ".join(f"{name} = {value}" for name, value in plan.calls.items())
        self._show(f"call {index}")
        self._console.print()
        self._console.print(Text(f"{index}. {plan.title}", style="bold underline"))
        if settings:
            self._console.print(Text(f"   the account's settings: {settings}", style="dim"))

    def remarks(self, text: str) -> None:
        """Write what the call's own timeline doesn't tell."""
        self._print("•", "yellow", named(text), "yellow")

    def step(self, line: JournalLine, call: Call, phones: Mapping[str, Phone]) -> None:
        """Write a sentence of its timeline."""
        for sentence in narrate(line, call):
            if sentence.at - self._said.get(sentence.text, 0.0) < ONCE_SECONDS:
                continue
            self._said[sentence.text] = sentence.at
            text, link = self._link(line, sentence.text)
            text = named(text) + (_display(line, call, phones) if _RINGS.search(text) else "")
            style = COLOURS[sentence.tone]
            self._print(f"{max(0.0, sentence.at - call.started_at):.2f} s", "dim", text, style)
            if link:
                self._console.print(Text(f"  {link}", style=f"{style} link {link}"), soft_wrap=True)

    def ends(self, performance: Performance) -> None:
        """Write the verdict."""
        self._ended += 1
        self._as_planned += not performance.problems
        self._show("the next call")
        if not performance.problems:
            self._print("✓", "bold green", _verdict(performance), "bold green")
            return
        for problem in performance.problems:
            self._print("✗", "bold red", f"Not as planned: {problem}", "bold red")
        call = performance.call.id if performance.call else "it never came to the service"
        self._console.print(f"  call {call}; the service's log: {self._log}", style="red", soft_wrap=True)

    def waits(self, performances: list[Performance], try_this: str) -> None:
        """Write the score and what else can be tried."""
        self._show("all calls were placed")
        self._console.print(f"\n{_score(performances)} Everything goes on running until Ctrl-C.")
        self._hint(try_this)

    def closes(self, performances: list[Performance], log: str | None) -> None:
        """Write the score."""
        self._line.stop()
        self._console.print(f"\n{_score(performances)}")
        if log:
            self._console.print(f"The log of the service, with Asterisk's warnings: {log}", soft_wrap=True)

    def _show(self, now: str) -> None:
        score = f"{self._as_planned} of {self._ended} calls as planned"
        words = f"{now} · {score} · cabinet {self._cabinet} · Ctrl-C ends it"
        self._line.update(Text(words, style="dim", no_wrap=True, overflow="ellipsis"), refresh=True)

    def _hint(self, try_this: str) -> None:
        self._console.print("From another terminal (or `calls watch`, `calls show CALL`):", style="dim")
        self._console.print(f"  {try_this}", style="dim", soft_wrap=True)

    def _link(self, line: JournalLine, text: str) -> tuple[str, str | None]:
        if not isinstance(line.event, h.RecordingStored):
            return text, None
        link = f"{self._recordings_url}/{line.event.file}"
        return f"recording stored, {line.event.seconds:.1f} s:", link

    def _print(self, moment: str, moment_style: str, text: str, style: str) -> None:
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=7, justify="right")
        row.add_column()
        row.add_row(Text(moment, style=moment_style), Text(text, style=style))
        self._console.print(row)


class Json(Narrator):
    """Tells it to a program: an object for each call, then one for all."""

    def ends(self, performance: Performance) -> None:
        """Print the call's object."""
        call, observed = performance.call, performance.observed
        _print_json(
            {
                "call": performance.index,
                "plan": performance.plan.name,
                "title": performance.plan.title,
                "ok": not performance.problems,
                "problems": performance.problems,
                "call_id": call.id if call else None,
                "number": performance.plan.act.number,
                "direction": call.direction if call else None,
                "called": call.external if call else None,
                "sip_status": observed.sip_status,
                "started_at": call.started_at if call else None,
                "answered_at": call.answered_at if call else None,
                "ended_at": call.ended_at if call else None,
                "waited": round(observed.waited, 3),
                "talked": None if observed.talked is None else round(observed.talked, 3),
                "talkers": observed.talkers,
                "shown": observed.shown,
                "dialled": observed.dialled,
                "crm_events": [_as_sent(event) for event in observed.events],
                "crm_uploads": [_as_sent(upload) for upload in observed.uploads],
                "recording_url": performance.recording_url,
                "recording_seconds": observed.recording,
            }
        )

    def closes(self, performances: list[Performance], log: str | None) -> None:
        """Print the summary."""
        failed = [one for one in performances if one.problems]
        _print_json(
            {
                "summary": True,
                "ok": log is None,
                "calls": len(performances),
                "as_planned": len(performances) - len(failed),
                "failed": [one.plan.name for one in failed],
                "log": log,
            }
        )


def named(text: str) -> str:
    """Put the manager's name behind each extension."""
    return _CODE.sub(lambda found: f"{found[1]} {_NAMES[found[1]]}", text)


def _display(line: JournalLine, call: Call, phones: Mapping[str, Phone]) -> str:
    """Say what the display of a phone that begins to ring shows."""
    match line.event:
        case h.LegRinging(_, leg_id):
            leg = call.party(leg_id)
            code = leg.code or leg.target if leg else None
        case h.MemberRung(_, _, _, code):
            pass
        case _:
            return ""
    phone = phones.get(code or "")
    if phone is None or not phone.calls:
        return ""
    name, number = phone.calls[-1].name, phone.calls[-1].number
    shown = ", ".join(dict.fromkeys(filter(None, (name, number))))
    return f" and shows {shown or 'no name and no number'}"


def _verdict(performance: Performance) -> str:
    observed = performance.observed
    if observed.talked is None:
        sip = f"SIP {observed.sip_status} after {observed.waited:.1f} s"
    else:
        sip = f"answered after {observed.waited:.1f} s, talked {observed.talked:.1f} s"
    heard = [event.type for event in observed.events] + ["result"] * len(observed.uploads)
    crm = f"{', '.join(heard)}, and nothing else" if heard else "nothing"
    return f"As planned: {sip}; the CRM heard {crm}."


def _score(performances: list[Performance]) -> str:
    if not performances:
        return "Ended before the first call was over."
    good = sum(1 for one in performances if not one.problems)
    calls = f"{len(performances)} call{'' if len(performances) == 1 else 's'}"
    bad = len(performances) - good
    return f"{calls}, {bad} not as planned." if bad else f"{calls}, all as planned."


def _person(manager: Manager) -> str:
    return f"{manager.first_name} {manager.last_name}"


def _as_sent(message: BaseModel) -> dict[str, Any]:
    return message.model_dump(by_alias=True, exclude_unset=True)


def _print_json(data: dict[str, Any]) -> None:
    try:
        print(json.dumps(data, ensure_ascii=False), flush=True)
    except BrokenPipeError:
        _print_nowhere()
        raise NobodyListens("nobody reads what it prints") from None


def _print_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
