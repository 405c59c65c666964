"""What the PBX is asked about one call: what is true of it, and who is behind its legs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from ari_app.asterisk.errors import PbxError
from ari_app.asterisk.events import newcomer
from ari_app.asterisk.phones import telephones
from ari_app.asterisk.snapshot import Snapshot, is_recorder
from ari_app.calls import Call, Stage, Way
from ari_app.calls import happenings as h
from ari_app.calls import orders as o

if TYPE_CHECKING:
    from ari_app.control.switchboard import Line

log = structlog.get_logger(__name__)

_AWAITS_AN_ANSWER = frozenset({Stage.CALLING, Stage.RINGING, Stage.TRANSFERRING, Stage.DIALPLAN})
"""The stages in which somebody may have answered behind a leg into the dialplan."""


AUDIT_SECONDS = 30.0
"""How often the live calls are compared with what the PBX says, in case an event was lost."""


class Facts:
    """Asks the PBX of a line about its calls."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._pbx = line.pbx
        self._log = log.bind(account=line.desk.account)

    async def of(self, call: Call, channels: tuple[str, ...]) -> h.PbxSaid:
        """Say what is true of some channels of a call.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        if call.way is Way.AJAM and self._line.ajam is not None:
            return await self._line.ajam.facts(call, channels)
        at = self._line.clock()
        snapshot = await self._pbx.snapshot()
        live = self._line.live[call.id]
        deaf = live.deaf
        found = await asyncio.gather(*(self._fact(call, snapshot, channel, deaf) for channel in channels))
        known_up_at = max(
            call.known_at, self._line.reconciliation.heard_until if deaf else at - AUDIT_SECONDS
        )
        recording = call.recording.awaited and await self._pbx.recordings.is_being_made(call.recording_name)
        recorded = deaf and not call.recording.awaited and await self._was_recorded(call, snapshot)
        newcomers = await self._newcomers(call, snapshot, known_up_at if deaf else None)
        alive = {leg.id for leg in (call.caller, *call.our_legs) if leg.alive}
        if self._line.listening and alive <= set(channels):
            live.deaf = False
        return h.PbxSaid(
            at=at,
            asked=channels,
            channels=tuple(fact for fact in found if fact is not None),
            recording=recording,
            newcomers=newcomers,
            known_up_at=known_up_at,
            restarted=call.started_at < self._line.reconciliation.restart_seen_at,
            deaf=deaf,
            recorded=recorded,
        )

    async def _was_recorded(self, call: Call, snapshot: Snapshot) -> bool:
        """Tell whether a call of which nothing is left was answered, by whoever held the account before."""
        if call.answered_at is not None or not call.policy.record or call.waiter.id in snapshot.channels:
            return False
        stored = self._line.desk.has_recording(call.id)
        return stored or await self._pbx.recordings.has(call.recording_name)

    async def _newcomers(
        self, call: Call, snapshot: Snapshot, deaf_since: float | None
    ) -> tuple[h.PartyReplaced, ...]:
        """Find those in the bridge of whom we had not heard; a telephone came since it was answered."""
        known = {call.caller.id, *(leg.id for leg in call.legs)}
        strangers = (
            snapshot.channels[ident]
            for ident in snapshot.bridges.get(call.bridge_id, ())
            if ident not in known and ident in snapshot.channels
        )
        found = []
        for stranger in strangers:
            if not is_recorder(stranger):
                self._line.channels.know(str(stranger["id"]), self._line.live[call.id])
                came = newcomer(stranger, self._line.clock(), self._pbx.extensions)
                if deaf_since is not None and not came.local:
                    answered_at, _ = await self._pbx.talk_of(came.channel)
                    came = replace(came, at=max(answered_at or came.at, deaf_since))
                found.append(came)
        return tuple(found)

    async def far_half(self, call: Call, leg_id: str, channel: str | None = None) -> h.FarHalfFound | None:
        """Find and watch the half of a Local channel that runs the dialplan; None when it is gone.

        The customer's keys are no feature codes there. Whom it rings already is told as if it had been heard.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        near = channel or leg_id
        found = (await self._pbx.snapshot()).far_half(near)
        live = self._line.live.get(call.id)
        if found is None or live is None:
            return None
        self._line.channels.know(found.id, live)
        # what is heard next concerns it
        live.put(h.FarHalfFound(self._line.clock(), leg_id, found.id, found.up))
        if call.customer is not None and call.customer.far == call.customer.id:
            await self._pbx.without_codes(found.id)  # the shop's own dialplan has made it for a customer
        await self._pbx.carry_out(o.Watch(found.id))
        snapshot = await self._pbx.snapshot()
        talks = snapshot.telephone_behind(found.id)  # who answered before we watched
        does, rung = snapshot.behind(found.id, self._line.clock())
        member, code, at = None, None, self._line.clock()
        if talks is not None:
            member, code = talks.name, talks.code
            at = (await self._pbx.talk_of(talks.id))[0] or at
        up = found.up or ((now := snapshot.far_half(near)) is not None and now.up)
        told = h.FarHalfFound(at, leg_id, found.id, up, member, code, does)
        if talks is None and rung:
            live.put(told)
            for one in rung:
                live.put(one)
            return None
        return told

    async def telephones(self, call: Call, order: o.FindTelephones) -> h.TelephonesFound:
        """Ask the PBX, for all at once, which telephones some extensions have; never raises."""
        return h.TelephonesFound(
            self._line.clock(),
            order.attempt,
            tuple(await asyncio.gather(*(self._telephones(call, order, code) for code in order.codes))),
        )

    async def _telephones(self, call: Call, order: o.FindTelephones, code: str) -> h.Telephones:
        try:
            found = await telephones(self._pbx.ari, order.channel, call.policy.endpoint(code))
        except PbxError as error:
            self._log.debug("the telephones could not be found", call=call.id, code=code, problem=str(error))
            found = None
        return h.Telephones(code, found)

    async def _fact(self, call: Call, snapshot: Snapshot, channel: str, deaf: bool) -> h.ChannelFact | None:
        """Say what is true of a channel; and when it was answered, if we may have missed that."""
        fact, leg = snapshot.fact(channel), call.party(channel)
        if fact is not None and call.customer is not None and channel == call.customer.id:
            fact = replace(fact, away=_is_away(call, snapshot, fact))
        if fact is None or leg is None:
            return fact
        talks = None
        if leg.leads_on and (call.stage in _AWAITS_AN_ANSWER or (deaf and call.stage is Stage.TALKING)):
            found = snapshot.far_half(channel) if leg.far is None else None
            talks = snapshot.telephone_behind(leg.far_id if found is None else found.id)
        if talks is not None:
            fact = replace(fact, member=talks.name, code=talks.code)
        was_up = deaf and fact.state == "Up" and (leg.pending or leg.id == call.caller.id)
        if was_up or talks is not None:
            answered_at, left_at = await self._pbx.talk_of(talks.id if talks is not None else channel)
            fact = replace(fact, answered_at=answered_at, left_at=left_at if leg is call.caller else None)
        return fact


def _is_away(call: Call, snapshot: Snapshot, fact: h.ChannelFact) -> bool:
    """Tell whether a customer who has talked is in a bridge that isn't the call's, or in the dialplan."""
    if call.answered_at is None or call.stage not in (Stage.TALKING, Stage.TRANSFERRING):
        return False
    if fact.bridged:
        return fact.id not in snapshot.bridges.get(call.bridge_id, ())
    return not fact.in_stasis
