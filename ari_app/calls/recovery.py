"""What was missed of a call is made up for: what the PBX says is true becomes the happenings that would
have told it, and the orders of which the PBX shows no trace.
"""

from __future__ import annotations

from collections.abc import Iterator

from ari_app.calls import happenings as h
from ari_app.calls import outgoing, trying
from ari_app.calls.call import Call, Leg, LegState, RecordingState, Role, Stage, TimerName, Way
from ari_app.calls.happenings import Happening
from ari_app.calls.orders import (
    Answer,
    FetchRecording,
    FindFarHalf,
    FindTelephones,
    HangUp,
    Join,
    Listen,
    OpenBridge,
    Order,
    PassKeys,
    PlayRinging,
    Record,
    StopPlaying,
    StopRecording,
    Watch,
    targets,
)
from ari_app.calls.outcome import LINE_FAILURES
from ari_app.calls.parking import has_stayed
from ari_app.calls.turn import FETCH_SECONDS, RECORDING_SECONDS, Turn, farewell
from ari_app.calls.values import replace

ORIGINATE_SECONDS = 5.0
"""A channel that AJAM doesn't show so long after it was asked for has come and gone, or never comes."""
SAME_MOMENT_SECONDS = 0.5
"""Two moments that are so near one another may be one, by the clocks of two machines."""
PBX_RESTARTED = 38
"""Cause of a channel that ended with the PBX itself: network out of order."""
assert PBX_RESTARTED in LINE_FAILURES


def taken_up(call: Call, now: float) -> Call:
    """Take a call up again that was live when the service ended: its recording has all its time once more.

    Nobody fetched it meanwhile. All other deadlines stay as they are: who rings has rung all the time. But
    after a clock that was set back nothing of it is still to come.
    """
    if call.known_at > now + SAME_MOMENT_SECONDS:
        call = call.moved(now - call.known_at)
    fetched = call.recording.state is RecordingState.FINISHED
    seconds = FETCH_SECONDS if fetched else RECORDING_SECONDS
    timers = tuple(
        replace(one, due=max(one.due, now + seconds)) if one.name is TimerName.RECORDING else one
        for one in call.timers
    )
    return replace(call, timers=timers)


def missed(call: Call, said: h.PbxSaid) -> Iterator[Happening]:
    """Derive the happenings that would have told us what the PBX says."""
    facts = {fact.id: fact for fact in said.channels}
    yield from _replaced(call, said, facts)
    yield from _talked(call, said, facts)
    customer = call.customer
    fact = facts.get(customer.id) if customer is not None else None
    if fact is not None and fact.away and not call.away:
        yield h.CustomerParked(said.at, fact.id)
    elif fact is not None and fact.bridged and not fact.away and has_stayed(call, said.at):
        yield h.CustomerStayed(said.at)
    of_the_parties = [
        one
        for leg in (call.caller, *call.our_legs)
        if leg.alive and (leg.id in said.asked or _end_of(leg, said) is not None)
        for one in _missed_of(call, leg, facts.get(leg.id), said)
    ]
    left_at = min((one.at for one in of_the_parties if isinstance(one, h.LegEnded)), default=said.at)
    yield from (one for one in of_the_parties if one.at < left_at)  # who was answered talked before that
    yield from (one for one in of_the_parties if one.at >= left_at)
    yield from _missed_of_the_recorder(call, said, facts)
    listens = call.recorder is not None and call.recorder.id in facts
    if call.stage is Stage.ENDING and not said.recording and not listens:
        yield h.RecordingFinished(said.at)


def _replaced(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[h.PartyReplaced]:
    """A channel in the bridge that we don't know has taken the place of a party that is no longer there."""
    joined = (leg for leg in (call.caller, *call.our_legs) if leg.joined and leg.id in said.asked)
    missing = [leg for leg in joined if leg.id not in facts or not facts[leg.id].bridged]
    for newcomer in said.newcomers:
        of_the_shop = newcomer.local or newcomer.code is not None
        fitting = (leg for leg in missing if (leg.id == call.talker_leg) is of_the_shop)
        old = next(fitting, missing[0] if missing else None)
        if old is not None:
            missing.remove(old)
        if old is not None or call.stage is Stage.ENDING:
            yield replace(newcomer, old=old.id if old is not None else "")


def _talked(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[Happening]:
    """Who was in the bridge with the waiting party, and has answered unheard, talked before anybody left."""
    if not said.deaf or not call.waiter.joined:
        return
    waits = facts.get(call.waiter.id) or _as_it_ended(call.waiter, said)
    for leg in _in_the_bridge(call, said):
        fact = facts.get(leg.id)
        if fact is not None:
            yield from _answer(leg, fact, said)
        elif waits is not None and _answered_by(call, waits):
            answered_at = waits.answered_at or said.known_up_at
            yield _answer_of(leg, answered_at)
            unseen = h.LegEnded(said.at, leg.id, 0, known_up_at=max(answered_at, waits.left_at or 0.0))
            yield _end_of(leg, said) or unseen


def _end_of(leg: Leg, said: h.PbxSaid) -> h.LegEnded | None:
    """Give the end of a leg, if it was heard."""
    return next((end for end in said.ends if end.leg == leg.id), None)


def _as_it_ended(leg: Leg, said: h.PbxSaid) -> h.ChannelFact | None:
    """Say what a leg was like at its end, if that was heard."""
    end = _end_of(leg, said)
    return h.ChannelFact(leg.id, "Up" if end.up else "Ring", bridged=False) if end is not None else None


def _in_the_bridge(call: Call, said: h.PbxSaid) -> Iterator[Leg]:
    """List the legs behind which the waiting party may come to talk without us."""
    for leg in call.our_legs:
        awaited = leg.pending or (leg.state is LegState.UP and call.left_to_dialplan)
        if leg.joined and awaited and leg.id in said.asked and leg.id != call.waiter.id:
            yield leg


def _answered_by(call: Call, waits: h.ChannelFact) -> bool:
    """Tell whether the waiting party is up because somebody has answered it since the call began."""
    before = waits.answered_at is not None and waits.answered_at < call.started_at - SAME_MOMENT_SECONDS
    return waits.state == "Up" and call.waiter.pending and not call.left_to_dialplan and not before


def _answer(leg: Leg, fact: h.ChannelFact, said: h.PbxSaid) -> Iterator[Happening]:
    at = fact.answered_at or said.known_up_at
    if fact.member is not None:
        yield h.MemberAnswered(at, leg.id, fact.member, fact.code)
    elif fact.state == "Up":
        yield h.LegAnswered(at, leg.id)


def _answer_of(leg: Leg, at: float) -> Happening:
    """Say that a leg was answered that isn't there any more; behind one into the dialplan by a telephone."""
    if leg.leads_on:
        return h.MemberAnswered(at, leg.id, leg.target or leg.id, None)
    return h.LegAnswered(at, leg.id)


def in_doubt(call: Call, said: h.PbxSaid) -> bool:
    """Tell whether somebody may have answered, and hung up again, while nothing was heard.

    A caller who is there still, and isn't up, was answered by nobody; nor was one who wasn't up at their end.
    """
    if not said.deaf or call.answered_at is not None:
        return False
    gone = all(fact.id != call.waiter.id for fact in said.channels)
    if said.recorded or (gone and said.newcomers):  # who held the account before us had gone further
        return True
    if said.restarted or call.waiter.id not in said.asked:
        return False
    facts = {fact.id: fact for fact in said.channels}
    waits, ended = facts.get(call.waiter.id), _as_it_ended(call.waiter, said)
    if call.stage is Stage.DIALPLAN:
        return waits is None and (ended is None or ended.state == "Up")
    waits = waits or ended
    if waits is not None and _answered_by(call, waits) and not any(_in_the_bridge(call, said)):
        return call.stage in (Stage.ARRIVING, Stage.RINGING)
    if call.stage is not Stage.RINGING or not call.waiter.joined:
        return False
    if waits is not None and (waits.state != "Up" or _answered_by(call, waits)):
        return False
    return any(leg.id not in facts for leg in _in_the_bridge(call, said))


def one_is_left(call: Call, said: h.PbxSaid) -> bool:
    """Tell whether one of those who talked is there still: what was recorded then is not only the talk."""
    up = {fact.id for fact in said.channels if fact.state == "Up"}
    return any(leg.id in up for leg in (call.caller, *call.our_legs) if leg.state is not LegState.LEAVING)


def _missed_of(call: Call, leg: Leg, fact: h.ChannelFact | None, said: h.PbxSaid) -> Iterator[Happening]:
    at = said.at
    if fact is None:
        if leg.at > said.at:
            return  # it has come to its state since
        if leg.state is LegState.PLACED and not said.restarted:
            return  # it was never made: that is ordered once more
        if call.way is Way.AJAM and call.stage is Stage.CALLING and said.at < leg.at + ORIGINATE_SECONDS:
            return  # it may still come
        cause = PBX_RESTARTED if said.restarted else 0
        unseen = h.LegEnded(at, leg.id, cause, known_up_at=max(said.known_up_at, _left_at(call, said)))
        yield _end_of(leg, said) or unseen
    elif fact.member is not None:
        if any(one.state is LegState.UP and one.at > said.at for one in call.members(leg)):
            return  # somebody else has taken over since
        if said.deaf and call.stage is Stage.DIALPLAN:  # they talk there without us
            at = said.known_up_at
        at = fact.answered_at or at
        yield h.MemberAnswered(at, leg.id, fact.member, fact.code)
    elif fact.state == "Up":
        yield h.LegAnswered(at, leg.id)
    elif fact.state == "Ringing":
        yield h.LegRinging(at, leg.id)
    elif leg.state is LegState.PLACED:
        yield h.LegReady(at, leg.id)


def _left_at(call: Call, said: h.PbxSaid) -> float:
    """Say when one of the two who talked has left the caller, as far as the PBX knows; else 0."""
    if not said.deaf or call.stage is not Stage.TALKING:
        return 0.0
    return max((fact.left_at or 0.0 for fact in said.channels if fact.id == call.caller.id), default=0.0)


def _missed_of_the_recorder(
    call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]
) -> Iterator[Happening]:
    recorder = call.recorder
    running = call.recording.state is RecordingState.RUNNING
    if recorder is None and running and not said.recording:  # an earlier version recorded the bridge
        yield h.RecordingFinished(said.at)
    if recorder is None or recorder.id not in said.asked or recorder.at > said.at:
        return
    if recorder.id not in facts and recorder.state in (LegState.UP, LegState.LEAVING):
        yield h.RecorderEnded(said.at)
    elif recorder.id in facts and recorder.state is LegState.PLACED:
        yield h.RecorderReady(said.at)


def lost_orders(call: Call, said: h.PbxSaid, given: tuple[Order, ...]) -> Iterator[Order]:
    """Give once more the orders of which the PBX shows no trace, unless they were given just now."""
    facts = {fact.id: fact for fact in said.channels}
    caller = facts.get(call.caller.id)
    lost: list[Order] = []
    if call.stage is Stage.CALLING and call.way is Way.ARI:
        lost += _lost_while_calling(call, said, facts)
    if call.stage in (Stage.CALLING, Stage.RINGING):
        lost += (
            FindTelephones(
                channel, call.attempt, tuple(one.code for one in call.sought if one.channel == channel)
            )
            for channel in dict.fromkeys(one.channel for one in call.sought)
            if channel in facts
        )
    if call.stage is Stage.DIALPLAN and caller is not None:
        lost.append(Watch(caller.id))
        if caller.in_stasis and call.sent_to is not None:
            lost.append(trying.sending(call, call.sent_to))
    if call.way is Way.ARI:
        lost += _lost_in_the_bridge(call, said, facts)
        lost += (
            FindFarHalf(leg.id)
            for leg in call.legs
            if leg.role is Role.TARGET and leg.far is None and leg.id in facts
        )
    if call.stage is Stage.ENDING and call.recording.state is RecordingState.FINISHED:
        lost.append(FetchRecording(call.recording_name))
    lost += (
        HangUp(leg.id, farewell(call, leg))
        for leg in (call.caller, *call.our_legs, call.recorder)
        if leg is not None
        if leg.state is LegState.LEAVING and leg.id in facts
    )
    already = {(type(order), target) for order in given for target in targets(order)}
    return (order for order in lost if any((type(order), one) not in already for one in targets(order)))


def _lost_while_calling(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[Order]:
    """Make the manager's legs that were never made."""
    for leg in (call.caller, *call.our_legs):
        if leg.pending and leg.id in said.asked and leg.id not in facts:
            turn = Turn(call, said.at)
            outgoing.ring(turn, leg)
            yield from turn.orders


def _lost_in_the_bridge(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[Order]:
    """Order once more the ringing in the bridge, the channels that belong in it, and its recording."""
    if call.plays_ringing:
        yield PlayRinging(call.bridge_id, call.ringing_name)
    elif call.stage is Stage.TALKING and call.played_ringing:
        yield StopPlaying(call.ringing_name)
    if call.stage is Stage.RINGING:
        yield from _lost_while_ringing(call, said, facts)
    if call.stage in (Stage.TALKING, Stage.TRANSFERRING):
        yield from _lost_while_talking(call, facts)
    running = call.recording.state is RecordingState.RUNNING
    if running and call.stage is not Stage.ENDING:
        yield from _lost_recording(call, said, facts)
    elif running and said.recording and call.recorder is None:
        yield StopRecording(call.recording_name)


def _lost_recording(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[Order]:
    """Make the channel that is to be recorded, or record it."""
    recorder, customer = call.recorder, call.customer
    if recorder is None or said.recording or customer is None:
        return
    if recorder.id in facts:
        yield Record(call.recording_name, recorder.id)
    elif recorder.state is LegState.PLACED and recorder.id in said.asked and customer.id in facts:
        yield Listen(customer.id, recorder.id)


def _lost_while_talking(call: Call, facts: dict[str, h.ChannelFact]) -> Iterator[Order]:
    """Answer the waiting party, and join it with the talker, or with the party that is to come."""
    caller = facts.get(call.caller.id)
    if call.away:
        return
    if caller is not None and call.caller.state is not LegState.LEAVING and caller.state != "Up":
        yield Answer(caller.id)
    customer = call.customer or call.caller
    talkers = (facts.get(customer.id), facts.get(call.talker_leg or ""))
    outside = tuple(fact.id for fact in talkers if fact is not None and not fact.bridged)
    if outside:
        yield from (OpenBridge(call.bridge_id), Join(call.bridge_id, outside))
    if call.keys_kept:
        yield PassKeys(call.bridge_id, customer.id, through=False)


def _lost_while_ringing(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[Order]:
    """Make legs that were never made, and join those that were to be in the bridge."""
    waiter = facts.get(call.waiter.id)
    for leg in call.our_legs:
        fact = facts.get(leg.id)
        answered_by_dialplan = leg.state is LegState.UP and leg.joined
        if leg.id not in said.asked or waiter is None or not (leg.pending or answered_by_dialplan):
            continue
        if fact is None and answered_by_dialplan:
            continue
        if fact is None:
            turn = Turn(call, said.at)
            trying.make_leg(turn, leg)
            yield from (OpenBridge(call.bridge_id), *turn.orders)
        elif leg.joined:
            outside = tuple(one.id for one in (waiter, fact) if not one.bridged)
            if outside:
                yield from (OpenBridge(call.bridge_id), Join(call.bridge_id, outside))
