"""What we said of a call: to the CRM, and by `ari-app calls list --json`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from ari_app.calls import Call, load_call
from ari_app.demo.crm.account import EventTold
from ari_app.demo.crm.rules import ToldCall
from tests.soak.telephones import digits
from tests.soak.world import World

_ZONE = ZoneInfo("Europe/Moscow")


@dataclass(slots=True)
class Recorded:
    """A recording as it was downloaded."""

    status: int
    seconds: float | None
    """Its length; None when it is no WAV file."""


@dataclass(slots=True)
class Told:
    """What was said of one customer's number; each number calls once."""

    events: list[EventTold] = field(default_factory=list)
    uploads: list[ToldCall] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    recorded: Recorded | None = None
    uploaded_at: float | None = None
    """When the first upload came, in seconds since the epoch."""
    complaints: list[str] = field(default_factory=list)
    """What the CRM was sent of it and must not be."""

    @property
    def ids(self) -> list[str]:
        """The ids under which it was told."""
        known = [one.event.call_external_id or "none" for one in self.events]
        known += [one.external_id for one in self.uploads] + [one.id for one in self.calls]
        return list(dict.fromkeys(known))

    @property
    def popups(self) -> list[EventTold]:
        """The events that say whose telephones ring, or who calls."""
        return [one for one in self.events if one.event.type != "hangup"]

    @property
    def hangups(self) -> list[EventTold]:
        """The events that say how it ended."""
        return [one for one in self.events if one.event.type == "hangup"]

    def in_words(self) -> str:
        """Tell it on a line."""
        parts = [
            " ".join(filter(None, (one.event.type, "+".join(one.event.codes), one.event.hangup_status)))
            for one in self.events
        ]
        for upload in self.uploads:
            link = "a recording" if upload.record_url else "no recording"
            parts.append(
                f"upload {upload.date[11:]} {upload.type} {upload.result!r} code {upload.code}, waiting "
                f"{upload.duration_waiting}, talking {upload.duration}, {link}"
            )
        if self.recorded is not None:
            parts.append(f"its link answers {self.recorded.status}, {self.recorded.seconds} s")
        return "; ".join(parts) or "nothing"


def by_number(world: World) -> dict[str, Told]:
    """Give what the CRM was told so far, by the customer's number."""
    found: dict[str, Told] = {}
    ids: dict[str, Told] = {}
    for shop in world.shops:
        for event in shop.crm.events:
            told = found.setdefault(digits(event.event.phone), Told())
            told.events.append(event)
            ids[event.event.call_external_id or ""] = told
        for upload in shop.crm.uploads:
            told = found.setdefault(digits(upload.call.phone), Told())
            told.uploads.append(upload.call)
            told.uploaded_at = told.uploaded_at or upload.received.timestamp()
            ids[upload.call.external_id] = told
    for sentence in world.crm.violations:
        named = next((ident for ident in re.findall(r"[\w.-]+", sentence) if ident in ids), None)
        if named is not None:
            ids[named].complaints.append(sentence)
    return found


def complaints_of_nothing(world: World, told: Iterable[Told]) -> list[str]:
    """Give what the CRM complains of that concerns no call."""
    known = {sentence for one in told for sentence in one.complaints}
    return [sentence for sentence in world.crm.violations if sentence not in known]


async def add_calls(world: World, told: dict[str, Told]) -> list[Call]:
    """Add what `ari-app calls list` says; give the calls that it says are live."""
    live = []
    for line in (await world.copies[0].say("calls", "list", "--json", "--limit", "1000000")).splitlines():
        call = load_call(line.encode())
        if call.number is not None:
            told.setdefault(digits(call.number), Told()).calls.append(call)
        if not call.over:
            live.append(call)
    return live


def moment(upload: ToldCall) -> float:
    """Give an upload's date in seconds since the epoch."""
    return datetime.strptime(upload.date, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_ZONE).timestamp()
