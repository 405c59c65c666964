"""What is looked after from time to time, because no event tells of it, or one may be lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from ari_app.asterisk.errors import PbxError
from ari_app.asterisk.snapshot import Snapshot
from ari_app.calls import Call, LegState, Stage, Way, has_stayed
from ari_app.calls import happenings as h
from ari_app.clock import rest
from ari_app.control.facts import AUDIT_SECONDS
from ari_app.control.live_call import LiveCall
from ari_app.control.switchboard import Line

log = structlog.get_logger(__name__)

LOT_SECONDS = 0.5
"""How often it is looked who has taken a parked customer out of the lot: no event tells."""
AGAIN_SECONDS = 1.0
"""So long after they were taken out of it, a customer who is seen in the lot has been parked again."""
LOOKS_UNTIL_WHO_RINGS = 2
"""At each second look it is asked who rings people, too: the dialplan is seldom another one."""
SWEEP_SECONDS, LATER_SECONDS = 40.0, 600.0
"""How often it is looked for recordings that nobody fetches: twice when we have begun, and then.

Who had the account before us has handed in by the second time what we can't know.
"""


class Rounds:
    """The rounds of one line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._pbx = line.pbx
        self._log = log.bind(account=line.desk.account)

    async def audit(self) -> None:
        """Compare the live calls with what the PBX says, for ever, in case an event was lost."""
        looks = 0
        while True:
            await rest(AUDIT_SECONDS)
            if not self._line.listening:
                continue
            looks += 1
            if looks % LOOKS_UNTIL_WHO_RINGS == 0:
                with suppress(PbxError):
                    await self._pbx.look_who_rings()
            if self._line.live:
                with suppress(PbxError):
                    await self._compare()

    async def _compare(self) -> None:
        """Let each call that isn't what the PBX shows ask what is true of it.

        What the PBX shows goes with that: of a thousand calls it is megabytes.
        """
        before = self._line.clock() - AUDIT_SECONDS / 2
        exist = (await self._pbx.snapshot()).channels
        for live in [live for live in self._line.live.values() if live.call.way is Way.ARI]:
            legs = [live.call.caller, *live.call.our_legs]
            if live.call.recorder is not None:
                legs.append(live.call.recorder)
            if any(leg.alive and leg.at < before and leg.id not in exist for leg in legs):
                live.put(h.OutcomeUnknown(self._line.clock(), "a channel of the call is gone"))

    async def sweep(self) -> None:
        """Remove recordings, for ever, that are of no call of ours any more: nobody fetches them."""
        left: frozenset[str] = frozenset()
        looks = 0
        while True:
            await asyncio.sleep(SWEEP_SECONDS if looks < 2 or left else LATER_SECONDS)
            if not self._line.listening:
                continue
            with suppress(PbxError):
                there = frozenset(await self._pbx.recordings.names()) - self._line.live.keys()
                for name in there & left:
                    self._log.info("a recording of a call that is over is removed", call=name)
                    await self._pbx.recordings.remove(name)
                looks, left = looks + 1, there - left

    async def watch_the_lots(self) -> None:
        """Look, for ever, who has taken customers out of the parking lots in which they wait.

        And whether those still talk in whose call nobody else tells us of their end.
        """
        line = self._line
        while True:
            if not line.live and not line.reconciliation.unknown_talks:
                line.something.clear()
                await line.something.wait()
            await asyncio.sleep(LOT_SECONDS)
            line.reconciliation.forget_talks()
            if line.listening:
                with suppress(PbxError):
                    await self._look_at_the_lots()

    async def _look_at_the_lots(self) -> None:
        line = self._line
        waiting = [live for live in line.live.values() if _may_be_parked(live.call)]
        taken_out = [live for live in line.live.values() if _was_taken_out(live.call)]
        if not (waiting or taken_out or line.led_nowhere or line.reconciliation.unknown_talks):
            return
        asked_at = line.clock()
        snapshot = await self._pbx.snapshot()
        await line.reconciliation.end_talks(snapshot)
        for live in waiting:
            await self._look_into_the_lot(live, snapshot)
        for live in taken_out:
            self._look_whether_parked_again(live, snapshot, asked_at)
        for call_id in tuple(line.led_nowhere):
            self._keep_together(call_id, snapshot)

    def _keep_together(self, call_id: str, snapshot: Snapshot) -> None:
        """Let the two talk on of whom the PBX has taken one out of the bridge."""
        live = self._line.live.get(call_id)
        if live is None or self._line.clock() > self._line.led_nowhere[call_id]:
            del self._line.led_nowhere[call_id]
        elif live.call.stage is Stage.TALKING and not live.call.away:
            customer = live.call.customer
            two = {live.call.talker_leg, customer.id if customer is not None else None}
            if not two <= set(snapshot.bridges.get(live.call.bridge_id, ())):
                live.put(h.OutcomeUnknown(self._line.clock(), "one of the two is not in the bridge"))

    async def _look_into_the_lot(self, live: LiveCall, snapshot: Snapshot) -> None:
        leg = live.call.party(live.call.talker_leg or "")
        if leg is None or not _may_be_parked(live.call):
            return
        if live.call.away and leg.id in snapshot.bridges.get(live.call.bridge_id, ()):
            if has_stayed(live.call, self._line.clock()):
                live.put(h.CustomerStayed(self._line.clock()))
            return
        talks = snapshot.telephone_behind(leg.far_id)
        if talks is not None:
            answered_at, _ = await self._pbx.talk_of(talks.id)  # it may be long ago, on a slow wire
            live.put(h.MemberAnswered(answered_at or self._line.clock(), leg.id, talks.name, talks.code))

    def _look_whether_parked_again(self, live: LiveCall, snapshot: Snapshot, asked_at: float) -> None:
        customer, began = live.call.customer, live.call.talk_began
        if not _was_taken_out(live.call) or customer is None or began is None:
            return
        if snapshot.waits_in_a_lot(customer.id) and began + AGAIN_SECONDS < asked_at:
            live.put(h.CustomerParked(asked_at, customer.id))


def _was_taken_out(call: Call) -> bool:
    """Tell whether a customer talks where they may be parked again unheard, by a feature code."""
    return call.away and call.stage is Stage.TALKING


def _may_be_parked(call: Call) -> bool:
    """Tell whether a customer waits of whom no event would tell that somebody takes them."""
    leg = call.party(call.talker_leg or "") if call.stage is Stage.TRANSFERRING else None
    if leg is None or leg.state is not LegState.UP or not leg.leads_on:
        return False
    return not any(member.pending for member in call.members(leg))
