"""Trials as the service would have kept them: played by the call-state model, step by step."""

from __future__ import annotations

import time
from dataclasses import replace

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Call
from ari_app.calls.flow import advance, begin
from ari_app.calls.happenings import Happening
from ari_app.calls.journal import CrmTold, JournalLine, OutboxEntry
from ari_app.calls.routing import Policy
from ari_app.calls.trial import TALK_SECONDS
from ari_app.store.calls import CallStore, Step

NAME, NUMBER = "Пробный звонок", "+74951112233"
NOT_REGISTERED, DECLINED = 20, 21
POLICY = Policy("PJSIP/##", (), (), telephones=True)


class KeptTrial:
    """A trial of 101, as far as it was played; `ago` seconds ago."""

    def __init__(self, ident: str = "t1", *, number: str | None = NUMBER, record: bool = True) -> None:
        self.at = time.time() - 60
        first = h.CallArrived(self.at, f"{ident}-channel", number, None, trial="101", name=NAME)
        self.call, orders = begin(ident, "shop", replace(POLICY, record=record), first)
        self.steps = [Step(self.call, JournalLine(self.at, ident, None, self.call.stage, first, orders))]

    def happens(self, happening: Happening) -> KeptTrial:
        """Let something happen now."""
        before = self.call.stage
        self.call, orders = advance(self.call, happening)
        line = JournalLine(self.at, self.call.id, before, self.call.stage, happening, orders)
        self.steps.append(Step(self.call, line))
        return self

    def rings(self, *telephones: str) -> KeptTrial:
        """The CRM knows nobody; these telephones of 101 ring, or none is registered."""
        if self.call.number is not None:
            self.happens(h.CustomerUnknown(self.at))
        self.happens(h.TelephonesFound(self.at, 0, (h.Telephones("101", telephones),)))
        for leg in self.call.legs:
            self.happens(h.LegReady(self.at, leg.id)).happens(h.LegRinging(self.at, leg.id))
        return self

    def answered(self, stored: h.RecordingStored | h.RecordingFailed | None = None) -> KeptTrial:
        """It is answered after 3 s, and hangs up by itself; `stored` is what becomes of the recording."""
        self.at += 3
        self.happens(h.LegAnswered(self.at, self.call.legs[0].id))
        if self.call.recorder is not None:
            self.happens(h.RecorderReady(self.at))
        self.at += TALK_SECONDS
        self.happens(h.TimerExpired(self.at, self.call.timers[0].name)).gone()
        if stored is not None:
            self.happens(h.RecordingFinished(self.at)).happens(replace(stored, at=self.at))
        return self

    def ends(self, cause: int, sip: int) -> KeptTrial:
        """The telephone doesn't take it."""
        return self.happens(h.LegEnded(self.at, self.call.legs[0].id, cause, sip)).gone()

    def overdue(self) -> KeptTrial:
        """Nobody answers."""
        self.at = self.call.timers[0].due
        return self.happens(h.TimerExpired(self.at, self.call.timers[0].name)).gone()

    def gone(self) -> KeptTrial:
        """All channels are gone."""
        for leg in self.call.legs:
            self.happens(h.LegEnded(self.at, leg.id, 16))
        if self.call.recorder is not None:
            self.happens(h.RecorderEnded(self.at))
        return self.happens(h.CallerEnded(self.at, 16))

    def told(self, problem: str | None = None) -> list[JournalLine]:
        """Give the journal, with what the CRM said of the popup and of the end."""
        tells = [one for step in self.steps for one in step.line.orders if isinstance(one, o.TellRinging)]
        said = [CrmTold(self.at, tell, problem) for tell in tells]
        lines = [JournalLine(self.at, self.call.id, None, None, one) for one in said]
        return [*(step.line for step in self.steps), *lines]

    async def keep(self, store: CallStore, problem: str | None = None) -> Call:
        """Put it into the store."""
        await store.write(self.steps)
        entries = [one for one in await store.outbox.read() if isinstance(one, OutboxEntry)]
        mine = [one for one in entries if one.call == self.call.id]
        await store.outbox.told(mine, self.at, problem)
        return self.call
