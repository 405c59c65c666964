"""The life of a call: `advance` takes a call and something that happened, and gives the call as it is then
and what it orders.

The legal moves are the table `MOVES`. What a stage doesn't know changes nothing, nor does a timer that isn't
set or not due; nothing ever raises on a late or repeated happening.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ari_app.calls import afterwards, waiting
from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Direction, Leg, LegState, RecordingState, Role, Stage
from ari_app.calls.happenings import Happening
from ari_app.calls.orders import Answer, FetchRecording, HangUp, Join, OpenBridge, Order, Record, Watch
from ari_app.calls.outcome import LINE_FAILURES
from ari_app.calls.routing import Policy
from ari_app.calls.turn import Turn, farewell

Move: TypeAlias = Callable[[Turn, Any], None]

PBX_RESTARTED = 38
"""Cause of a channel that ended with the PBX itself: network out of order."""
assert PBX_RESTARTED in LINE_FAILURES


def begin(
    call_id: str, account: str, policy: Policy, arrived: h.CallArrived
) -> tuple[Call, tuple[Order, ...]]:
    """Take a call that has just arrived."""
    call = Call(
        id=call_id,
        account=account,
        stage=Stage.ARRIVING,
        direction=Direction.IN,
        started_at=arrived.at,
        caller=Leg(arrived.channel, Role.CALLER, LegState.RINGING, arrived.at),
        number=arrived.number,
        external=arrived.external,
        policy=policy,
    )
    turn = Turn(call, arrived.at)
    waiting.greet(turn, arrived)
    return turn.call, tuple(turn.orders)


def advance(call: Call, happening: Happening) -> tuple[Call, tuple[Order, ...]]:
    """Let something happen to a call; pure and total."""
    move = MOVES.get((call.stage, type(happening)))
    if move is None:
        return call, ()
    if isinstance(happening, h.TimerExpired) and not call.is_due(happening.timer, happening.at):
        return call, ()
    turn = Turn(call, happening.at)
    move(turn, happening)
    return turn.call, tuple(turn.orders)


def _take_facts(turn: Turn, said: h.PbxSaid) -> None:
    """What was missed is made up for: ends, answers and lost orders, as the PBX says is true."""
    for missed in _missed(turn.call, said):
        turn.call, orders = advance(turn.call, missed)
        turn.order(*orders)
    turn.order(*_lost_orders(turn.call, said, tuple(turn.orders)))


def _missed(call: Call, said: h.PbxSaid) -> Iterator[Happening]:
    """Derive the happenings that would have told us what the PBX says."""
    at, facts = said.at, {fact.id: fact for fact in said.channels}
    cause = PBX_RESTARTED if said.restarted else 0
    if call.caller.alive and call.caller.id in said.asked:
        if call.caller.id not in facts:
            yield h.CallerEnded(at, cause, known_up_at=said.known_up_at)
        elif facts[call.caller.id].state == "Up":
            yield h.CallerAnswered(at)
    for leg in call.our_legs:
        if not leg.alive or leg.id not in said.asked:
            continue
        fact = facts.get(leg.id)
        if fact is None and leg.state is LegState.PLACED and not said.restarted:
            continue  # it was never made: that is ordered once more
        if fact is None:
            yield h.LegEnded(at, leg.id, cause, known_up_at=said.known_up_at)
        elif fact.member is not None:
            yield h.MemberAnswered(at, leg.id, fact.member, fact.code)
        elif fact.state == "Up":
            yield h.LegAnswered(at, leg.id)
        elif fact.state == "Ringing":
            yield h.LegRinging(at, leg.id)
        elif leg.state is LegState.PLACED:
            yield h.LegReady(at, leg.id)
    if call.stage is Stage.ENDING and not said.recording:
        yield h.RecordingFinished(at)


def _lost_orders(call: Call, said: h.PbxSaid, given: tuple[Order, ...]) -> Iterator[Order]:
    """Give once more the orders of which the PBX shows no trace, unless they were given just now."""
    facts = {fact.id: fact for fact in said.channels}
    caller = facts.get(call.caller.id)
    lost: list[Order] = []
    if call.stage is Stage.DIALPLAN and caller is not None:
        lost.append(Watch(caller.id))
        if caller.in_stasis and call.sent_to is not None:
            lost.append(waiting.sending(call, call.sent_to))
    if call.stage is Stage.RINGING:
        lost += _lost_while_ringing(call, said)
    if call.stage is Stage.TALKING:
        if caller is not None and caller.state != "Up":
            lost.append(Answer(caller.id))
        talkers = (facts.get(call.caller.id), facts.get(call.talker_leg or ""))
        outside = tuple(fact.id for fact in talkers if fact is not None and not fact.bridged)
        if outside:
            lost += (OpenBridge(call.bridge_id), Join(call.bridge_id, outside))
        if call.recording.state is RecordingState.RUNNING and not said.recording:
            lost.append(Record(call.bridge_id, call.recording_name))
    if call.stage is Stage.ENDING and call.recording.state is RecordingState.FINISHED:
        lost.append(FetchRecording(call.recording_name))
    lost += (
        HangUp(leg.id, farewell(call, leg))
        for leg in (call.caller, *call.our_legs)
        if leg.state is LegState.LEAVING and leg.id in facts
    )
    already = {_kind_and_target(order) for order in given}
    return (order for order in lost if _kind_and_target(order) not in already)


def _lost_while_ringing(call: Call, said: h.PbxSaid) -> Iterator[Order]:
    """Make legs that were never made, and join those that were to be."""
    facts = {fact.id: fact for fact in said.channels}
    caller = facts.get(call.caller.id)
    for leg in call.our_legs:
        fact = facts.get(leg.id)
        if not leg.pending or leg.id not in said.asked or caller is None:
            continue
        if fact is None:
            turn = Turn(call, said.at)
            waiting.make_leg(turn, leg)
            yield from (OpenBridge(call.bridge_id), *turn.orders)
        elif leg.joined:
            outside = tuple(one.id for one in (caller, fact) if not one.bridged)
            if outside:
                yield from (OpenBridge(call.bridge_id), Join(call.bridge_id, outside))


def _kind_and_target(order: Order) -> tuple[type, str]:
    return type(order), str(getattr(order, "channel", getattr(order, "leg", "")))


_ARRIVING: dict[type, Move] = {
    h.CustomerFound: waiting.customer_found,
    h.CustomerUnknown: waiting.customer_unknown,
    h.TimerExpired: waiting.look_up_expired,
    h.CallerEnded: waiting.caller_gave_up,
    h.ServiceStopping: waiting.stopping,
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
    h.TimerExpired: waiting.ring_expired,
    h.CallerEnded: waiting.caller_gave_up,
    h.ServiceStopping: waiting.stopping,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_TALKING: dict[type, Move] = {
    h.CallerAnswered: afterwards.caller_up,
    h.CallerEnded: afterwards.caller_hung_up,
    h.LegReady: waiting.stray_leg,
    h.LegEnded: afterwards.talker_hung_up,
    h.RecordingFinished: afterwards.recording_finished,
    h.RecordingStored: afterwards.recording_noted,
    h.RecordingFailed: afterwards.recording_failed,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_DIALPLAN: dict[type, Move] = {
    h.CallerAnswered: afterwards.dialplan_answered,
    h.CallerReturned: afterwards.caller_returned,
    h.CallerEnded: afterwards.dialplan_ended,
    h.LegReady: waiting.stray_leg,
    h.LegEnded: afterwards.late_leg_ended,
    h.OutcomeUnknown: afterwards.ask,
    h.PbxSaid: _take_facts,
}
_ENDING: dict[type, Move] = {
    h.CallerEnded: afterwards.caller_gone,
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
        (Stage.RINGING, _RINGING),
        (Stage.TALKING, _TALKING),
        (Stage.DIALPLAN, _DIALPLAN),
        (Stage.ENDING, _ENDING),
    )
    for happening, move in table.items()
}
