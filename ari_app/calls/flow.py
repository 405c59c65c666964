"""The life of a call: `advance` takes a call and something that happened, and gives the call as it is then
and what it orders.

The legal moves are the table `MOVES`. What a stage doesn't know changes nothing, nor does a timer that isn't
set or not due; nothing ever raises on a late or repeated happening.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any, TypeAlias

from ari_app.calls import afterwards, keys, outgoing, transfer, waiting
from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Direction, Leg, LegState, RecordingState, Role, Stage, Way
from ari_app.calls.happenings import Happening
from ari_app.calls.orders import (
    Answer,
    FetchRecording,
    FindFarHalf,
    HangUp,
    Join,
    OpenBridge,
    Order,
    PlayRinging,
    Record,
    StopPlaying,
    Watch,
)
from ari_app.calls.outcome import LINE_FAILURES
from ari_app.calls.routing import Policy
from ari_app.calls.turn import Turn, farewell

Move: TypeAlias = Callable[[Turn, Any], None]
First: TypeAlias = h.CallArrived | h.CallDialled | h.CallClicked
"""What a call can begin with."""

ORIGINATE_SECONDS = 5.0
"""A channel that AJAM doesn't show so long after it was asked for has come and gone, or never comes."""
BY_ARI_ALONE = (h.LegReady, h.PartyReplaced, h.FarHalfFound)
"""What means nothing to a call that AJAM has placed: the dialplan runs it."""
PBX_RESTARTED = 38
"""Cause of a channel that ended with the PBX itself: network out of order."""
assert PBX_RESTARTED in LINE_FAILURES


def begin(
    call_id: str, account: str, policy: Policy, first: First, busy: frozenset[str] = frozenset()
) -> tuple[Call, tuple[Order, ...]]:
    """Take a call that has just begun: a customer's, a manager's, or one that the CRM asks for."""
    channel = f"{call_id}-1" if isinstance(first, h.CallClicked) else first.channel
    call = Call(
        id=call_id,
        account=account,
        stage=Stage.ARRIVING,
        direction=Direction.OUT,
        started_at=first.at,
        caller=Leg(channel, Role.CALLER, LegState.RINGING, first.at, began_at=first.at),
        number=first.number,
        external=first.external,
        policy=policy,
    )
    turn = Turn(call, first.at, busy)
    match first:
        case h.CallArrived():
            turn.call = replace(call, direction=Direction.IN)
            waiting.greet(turn, first)
        case h.CallDialled():
            outgoing.dialled(turn, first)
        case h.CallClicked():
            outgoing.clicked(turn, first)
    return turn.call, tuple(turn.orders)


def advance(
    call: Call, happening: Happening, busy: frozenset[str] = frozenset()
) -> tuple[Call, tuple[Order, ...]]:
    """Let something happen to a call; pure and total.

    `busy` are the extensions that can't be rung now, because their managers are away or talk.
    """
    happening = known_as(call, happening)
    move = MOVES.get((call.stage, type(happening)))
    if move is None or (call.way is Way.AJAM and isinstance(happening, BY_ARI_ALONE)):
        return call, ()
    if isinstance(happening, h.TimerExpired) and not call.is_due(happening.timer, happening.at):
        return call, ()
    turn = Turn(call, happening.at, busy)
    move(turn, happening)
    return turn.call, tuple(turn.orders)


def known_as(call: Call, happening: Happening) -> Happening:
    """Put a happening in the call's terms: the PBX speaks of channels, of which one may be the caller's, and
    another the half of a Local channel behind which somebody is dialled.
    """
    match happening:
        case h.LegAnswered(at, leg, code) if leg == call.caller.id:
            return h.CallerAnswered(at, code)
        case h.LegEnded(at, leg, cause, sip, known_up_at) if leg == call.caller.id:
            return h.CallerEnded(at, cause, known_up_at, sip)
        case h.MemberRung() | h.MemberAnswered() | h.MemberTransferred() | h.MemberEnded():
            near = next((leg for leg in call.our_legs if leg.far_id == happening.leg), None)
            return happening if near is None else replace(happening, leg=near.id)
    return happening


def _take_facts(turn: Turn, said: h.PbxSaid) -> None:
    """What was missed is made up for: ends, answers and lost orders, as the PBX says is true."""
    for missed in _missed(turn.call, said):
        turn.call, orders = advance(turn.call, missed, turn.busy)
        turn.order(*orders)
    turn.order(*_lost_orders(turn.call, said, tuple(turn.orders)))


def _missed(call: Call, said: h.PbxSaid) -> Iterator[Happening]:
    """Derive the happenings that would have told us what the PBX says."""
    facts = {fact.id: fact for fact in said.channels}
    yield from _replaced(call, said, facts)
    for leg in (call.caller, *call.our_legs):
        if leg.alive and leg.id in said.asked:
            yield from _missed_of(call, leg, facts.get(leg.id), said)
    if call.stage is Stage.ENDING and not said.recording:
        yield h.RecordingFinished(said.at)


def _replaced(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[h.PartyReplaced]:
    """Somebody in the bridge whom we don't know has taken the place of one who is no longer there."""
    joined = (leg for leg in (call.caller, *call.our_legs) if leg.joined and leg.id in said.asked)
    missing = [leg for leg in joined if leg.id not in facts or not facts[leg.id].bridged]
    for newcomer, old in zip_longest(said.newcomers, missing):
        if newcomer is not None and (old is not None or call.stage is Stage.ENDING):
            yield replace(newcomer, old=old.id if old is not None else "")


def _missed_of(call: Call, leg: Leg, fact: h.ChannelFact | None, said: h.PbxSaid) -> Iterator[Happening]:
    at = said.at
    if fact is None:
        if leg.at > said.at:
            return  # it has come to its state since
        if leg.state is LegState.PLACED and not said.restarted:
            return  # it was never made: that is ordered once more
        if call.way is Way.AJAM and call.stage is Stage.CALLING and said.at < leg.at + ORIGINATE_SECONDS:
            return  # it may still come
        yield h.LegEnded(at, leg.id, PBX_RESTARTED if said.restarted else 0, known_up_at=said.known_up_at)
    elif fact.member is not None:
        yield h.MemberAnswered(at, leg.id, fact.member, fact.code)
    elif fact.state == "Up":
        yield h.LegAnswered(at, leg.id)
    elif fact.state == "Ringing":
        yield h.LegRinging(at, leg.id)
    elif leg.state is LegState.PLACED:
        yield h.LegReady(at, leg.id)


def _lost_orders(call: Call, said: h.PbxSaid, given: tuple[Order, ...]) -> Iterator[Order]:
    """Give once more the orders of which the PBX shows no trace, unless they were given just now."""
    facts = {fact.id: fact for fact in said.channels}
    caller = facts.get(call.caller.id)
    lost: list[Order] = []
    lost_click = call.stage is Stage.CALLING and caller is None and call.caller.id in said.asked
    if lost_click and call.way is Way.ARI:
        turn = Turn(call, said.at)
        outgoing.place(turn)
        lost += turn.orders
    if call.stage is Stage.DIALPLAN and caller is not None:
        lost.append(Watch(caller.id))
        if caller.in_stasis and call.sent_to is not None:
            lost.append(waiting.sending(call, call.sent_to))
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
        for leg in (call.caller, *call.our_legs)
        if leg.state is LegState.LEAVING and leg.id in facts
    )
    already = {_kind_and_target(order) for order in given}
    return (order for order in lost if _kind_and_target(order) not in already)


def _lost_in_the_bridge(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[Order]:
    """Make legs that were never made, answer who waits, and join and record those who talk."""
    if call.plays_ringing:
        yield PlayRinging(call.bridge_id, call.ringing_name)
    elif call.stage is Stage.TALKING and call.played_ringing:
        yield StopPlaying(call.ringing_name)
    if call.stage is Stage.RINGING:
        yield from _lost_while_ringing(call, said, facts)
    if call.stage is not Stage.TALKING or call.customer is None:
        return
    caller = facts.get(call.caller.id)
    if caller is not None and call.caller.state is not LegState.LEAVING and caller.state != "Up":
        yield Answer(caller.id)
    talkers = (facts.get(call.customer.id), facts.get(call.talker_leg or ""))
    outside = tuple(fact.id for fact in talkers if fact is not None and not fact.bridged)
    if outside:
        yield from (OpenBridge(call.bridge_id), Join(call.bridge_id, outside))
    if call.recording.state is RecordingState.RUNNING and not said.recording:
        yield Record(call.bridge_id, call.recording_name)


def _lost_while_ringing(call: Call, said: h.PbxSaid, facts: dict[str, h.ChannelFact]) -> Iterator[Order]:
    """Make legs that were never made, and join those that were to be."""
    waiter = facts.get(call.waiter.id)
    for leg in call.our_legs:
        fact = facts.get(leg.id)
        if not leg.pending or leg.id not in said.asked or waiter is None:
            continue
        if fact is None:
            turn = Turn(call, said.at)
            waiting.make_leg(turn, leg)
            yield from (OpenBridge(call.bridge_id), *turn.orders)
        elif leg.joined:
            outside = tuple(one.id for one in (waiter, fact) if not one.bridged)
            if outside:
                yield from (OpenBridge(call.bridge_id), Join(call.bridge_id, outside))


def _kind_and_target(order: Order) -> tuple[type, str]:
    return type(order), str(getattr(order, "channel", getattr(order, "leg", "")))


_ARRIVING: dict[type, Move] = {
    h.CustomerFound: waiting.customer_found,
    h.CustomerUnknown: waiting.customer_unknown,
    h.TimerExpired: waiting.look_up_expired,
    h.CallerEnded: waiting.caller_ended,
    h.ServiceStopping: waiting.stopping,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_CALLING: dict[type, Move] = {
    h.LegReady: outgoing.manager_ready,
    h.LegRinging: outgoing.manager_ringing,
    h.LegRefused: outgoing.manager_refused,
    h.WayBlocked: outgoing.manager_refused,
    h.CallerAnswered: outgoing.manager_answered,
    h.CallerEnded: outgoing.manager_ended,
    h.PartyReplaced: transfer.replaced_while_calling,
    h.TimerExpired: outgoing.manager_overdue,
    h.ServiceStopping: outgoing.stopping,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_RINGING: dict[type, Move] = {
    h.LegReady: waiting.leg_ready,
    h.LegRinging: waiting.leg_ringing,
    h.LegAnswered: waiting.leg_answered,
    h.LegEnded: waiting.leg_ended,
    h.LegRefused: waiting.leg_refused,
    h.MemberRung: waiting.member_rung,
    h.MemberAnswered: waiting.member_answered,
    h.MemberEnded: waiting.member_ended,
    h.PartyReplaced: transfer.replaced_while_ringing,
    h.TimerExpired: waiting.ring_expired,
    h.CallerAnswered: afterwards.caller_up,
    h.CallerEnded: waiting.caller_ended,
    h.RecordingFinished: afterwards.recording_finished,
    h.RecordingStored: afterwards.recording_noted,
    h.RecordingFailed: afterwards.recording_failed,
    h.ServiceStopping: waiting.stopping,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_TALKING: dict[type, Move] = {
    h.CallerAnswered: afterwards.caller_up,
    h.CallerEnded: afterwards.caller_hung_up,
    h.LegReady: waiting.stray_leg,
    h.LegEnded: afterwards.leg_hung_up,
    h.PartyReplaced: transfer.replaced_while_talking,
    h.KeyPressed: keys.key_pressed,
    h.TimerExpired: keys.keys_done,
    h.FarHalfFound: transfer.far_half_found,
    h.MemberTransferred: transfer.member_transferred,
    h.MemberRung: transfer.next_rung,
    h.MemberAnswered: transfer.next_answered,
    h.MemberEnded: waiting.member_ended,
    h.RecordingFinished: afterwards.recording_finished,
    h.RecordingStored: afterwards.recording_noted,
    h.RecordingFailed: afterwards.recording_failed,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_TRANSFERRING: dict[type, Move] = {
    h.FarHalfFound: transfer.far_half_found,
    h.LegReady: waiting.stray_leg,
    h.LegRinging: transfer.target_ringing,
    h.LegAnswered: transfer.target_answered,
    h.LegEnded: transfer.target_ended,
    h.MemberRung: waiting.member_rung,
    h.MemberAnswered: waiting.member_answered,
    h.MemberEnded: waiting.member_ended,
    h.PartyReplaced: transfer.replaced_while_talking,
    h.TimerExpired: transfer.round_told,
    h.CallerEnded: transfer.caller_ended,
    h.RecordingFinished: afterwards.recording_finished,
    h.RecordingStored: afterwards.recording_noted,
    h.RecordingFailed: afterwards.recording_failed,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_DIALPLAN: dict[type, Move] = {
    h.CallerAnswered: afterwards.dialplan_answered,
    h.CallerReturned: afterwards.caller_returned,
    h.PartyReplaced: transfer.turn_away,
    h.CallerEnded: afterwards.dialplan_ended,
    h.LegReady: waiting.stray_leg,
    h.LegEnded: afterwards.late_leg_ended,
    h.RecordingFinished: afterwards.recording_finished,
    h.RecordingStored: afterwards.recording_noted,
    h.RecordingFailed: afterwards.recording_failed,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_ENDING: dict[type, Move] = {
    h.CallerEnded: afterwards.caller_gone,
    h.PartyReplaced: transfer.turn_away,
    h.LegReady: waiting.stray_leg,
    h.LegEnded: afterwards.late_leg_ended,
    h.RecordingFinished: afterwards.recording_finished,
    h.RecordingStored: afterwards.recording_stored,
    h.RecordingFailed: afterwards.recording_lost,
    h.TimerExpired: afterwards.recording_overdue,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}

MOVES: dict[tuple[Stage, type], Move] = {
    (stage, happening): move
    for stage, table in (
        (Stage.ARRIVING, _ARRIVING),
        (Stage.CALLING, _CALLING),
        (Stage.RINGING, _RINGING),
        (Stage.TALKING, _TALKING),
        (Stage.TRANSFERRING, _TRANSFERRING),
        (Stage.DIALPLAN, _DIALPLAN),
        (Stage.ENDING, _ENDING),
    )
    for happening, move in table.items()
}
