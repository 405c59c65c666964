"""The life of a call: `advance` takes a call and something that happened, and gives the call as it is then
and what it orders.

The legal moves are the table `MOVES`. What a stage doesn't know changes nothing, nor does a timer that isn't
set or not due; nothing ever raises on a late or repeated happening.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ari_app.calls import (
    afterwards,
    behind,
    dialplan,
    keys,
    members,
    outgoing,
    parking,
    recording,
    recovery,
    sent_on,
    talking,
    telephones,
    transfer,
    waiting,
)
from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Direction, Leg, LegState, RecordingState, Role, Stage, Way
from ari_app.calls.happenings import Happening
from ari_app.calls.names import clean_name
from ari_app.calls.orders import HangUp, Order
from ari_app.calls.routing import Policy
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

Move: TypeAlias = Callable[[Turn, Any], None]
First: TypeAlias = h.CallArrived | h.CallDialled | h.CallClicked
"""What a call can begin with."""

BY_ARI_ALONE = (
    *(h.LegReady, h.LegForwarded, h.TelephonesFound, h.PartyReplaced, h.FarHalfFound, h.DialplanDoes),
    *(h.HangUpAsked, h.CustomerParked, h.CustomerStayed),
)
"""What means nothing to a call that AJAM has placed: the dialplan runs it, and its user may not hang up."""


def begin(
    call_id: str,
    account: str,
    policy: Policy,
    first: First,
    busy: frozenset[str] = frozenset(),
    now: float | None = None,
) -> tuple[Call, tuple[Order, ...]]:
    """Take a call that has just begun: a customer's, a manager's, or one that the CRM asks for.

    `now` is as in `advance`.
    """
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
    turn = Turn(call, first.at, busy, now=now)
    match first:
        case h.CallArrived():
            turn.call = replace(call, direction=Direction.IN, trial=first.trial, name=clean_name(first.name))
            waiting.greet(turn, first)
        case h.CallDialled():
            outgoing.dialled(turn, first)
        case h.CallClicked():
            outgoing.clicked(turn, first)
    return turn.call, tuple(turn.orders)


def advance(
    call: Call,
    happening: Happening,
    busy: frozenset[str] = frozenset(),
    codes: frozenset[str] | None = None,
    now: float | None = None,
) -> tuple[Call, tuple[Order, ...]]:
    """Let something happen to a call, told in the call's terms (`known_as`); pure and total.

    `busy` are the extensions that can't be rung now, because their managers are away or talk; `codes` those
    that the account has, none where that isn't known. `now` is the moment, where it is heard only later: what
    is ordered then has all its time.
    """
    move = MOVES.get((call.stage, type(happening)))
    if move is None or (call.way is Way.AJAM and isinstance(happening, BY_ARI_ALONE)):
        return call, ()
    if isinstance(happening, h.TimerExpired) and not call.is_due(happening.timer, happening.at):
        return call, ()
    turn = Turn(call, happening.at, busy, codes, now)
    move(turn, happening)
    return turn.call, tuple(turn.orders)


def known_as(call: Call, happening: Happening) -> Happening:
    """Put a happening in the call's terms: the PBX speaks of channels, of which one may be the caller's, and
    another the half of a Local channel behind which somebody is dialled.
    """
    match happening:
        case h.LegReady(at, leg) if leg == call.recorder_id:
            return h.RecorderReady(at)
        case h.LegEnded(at, leg) if leg == call.recorder_id:
            return h.RecorderEnded(at)
        case h.LegAnswered(at, leg, code) if leg == call.caller.id:
            return h.CallerAnswered(at, code)
        case h.LegEnded(at, leg, cause, sip, known_up_at) if leg == call.caller.id:
            return h.CallerEnded(at, cause, known_up_at, sip)
        case (
            h.MemberRung()
            | h.MemberAnswered()
            | h.MemberTransferred()
            | h.MemberEnded()
            | h.DialplanDoes()
            | h.FarHalfEnded()
        ):
            if isinstance(happening, h.MemberTransferred):
                customer = call.customer
                ours = customer is not None and customer.far != customer.id
                if ours and customer is not None and customer.id == happening.leg:
                    at, leg, member, target = happening.at, happening.leg, happening.member, happening.target
                    return h.CustomerParked(at, leg, member, target)
            legs = (leg for leg in (call.caller, *call.legs) if leg.leads_on)
            near = next((leg for leg in legs if leg.far_id == happening.leg), None)
            return happening if near is None else replace(happening, leg=near.id)
    return happening


def _take_facts(turn: Turn, said: h.PbxSaid) -> None:
    """What was missed is made up for: ends, answers and lost orders, as the PBX says is true."""
    before = turn.call
    if recovery.in_doubt(turn.call, said):
        turn.call = replace(turn.call, in_doubt=True)
    records = turn.call.way is Way.ARI  # what AJAM has placed nobody of ours has recorded
    if said.recorded and records and turn.call.recording.state is RecordingState.NONE:
        turn.recording(RecordingState.FINISHED)
    for missed in recovery.missed(turn.call, said):
        turn.call, orders = advance(turn.call, known_as(turn.call, missed), turn.busy, turn.codes, turn.now)
        turn.order(*orders)
    if before.stage is not Stage.ENDING and turn.call.end_unseen and recovery.one_is_left(before, said):
        turn.call = replace(turn.call, end_unseen=False)
    turn.order(*recovery.lost_orders(turn.call, said, tuple(turn.orders)))
    if turn.call.ending is not None:
        strangers = (one.channel for one in said.newcomers if turn.call.party(one.channel) is None)
        turn.order(*map(HangUp, strangers))


_ARRIVING: dict[type, Move] = {
    h.CustomerFound: waiting.customer_found,
    h.CustomerUnknown: waiting.customer_unknown,
    h.TimerExpired: waiting.look_up_expired,
    h.CallerEnded: waiting.caller_ended,
    h.ServiceStopping: waiting.stopping,
    h.HangUpAsked: afterwards.hang_up_asked,
    h.OutcomeUnknown: afterwards.ask,
    h.ClockSet: afterwards.clock_set,
    h.PbxSaid: _take_facts,
}
_CALLING: dict[type, Move] = {
    h.LegReady: outgoing.manager_ready,
    h.TelephonesFound: outgoing.others_found,
    h.LegRinging: outgoing.manager_ringing,
    h.LegRefused: outgoing.manager_refused,
    h.LegForwarded: outgoing.manager_forwarded,
    h.WayBlocked: outgoing.manager_refused,
    h.CallerAnswered: outgoing.manager_up,
    h.FarHalfFound: members.far_half_found,
    h.MemberRung: members.member_rung,
    h.MemberAnswered: members.member_answered,
    h.MemberEnded: members.member_ended,
    h.DialplanDoes: dialplan.dialplan_does,
    h.FarHalfEnded: behind.far_half_ended,
    h.CallerEnded: outgoing.manager_ended,
    h.LegAnswered: outgoing.other_answered,
    h.LegEnded: outgoing.other_ended,
    h.PartyReplaced: transfer.replaced_while_calling,
    h.TimerExpired: outgoing.manager_overdue,
    h.ServiceStopping: outgoing.stopping,
    h.HangUpAsked: afterwards.hang_up_asked,
    h.OutcomeUnknown: afterwards.ask,
    h.ClockSet: afterwards.clock_set,
    h.PbxSaid: _take_facts,
}
_RINGING: dict[type, Move] = {
    h.TelephonesFound: telephones.telephones_found,
    h.LegReady: waiting.leg_ready,
    h.LegRinging: waiting.leg_ringing,
    h.LegAnswered: waiting.leg_answered,
    h.LegEnded: waiting.leg_ended,
    h.LegRefused: waiting.leg_refused,
    h.LegForwarded: telephones.leg_forwarded,
    h.FarHalfFound: members.far_half_found,
    h.MemberRung: members.member_rung,
    h.MemberAnswered: members.member_answered,
    h.MemberEnded: members.member_ended,
    h.DialplanDoes: dialplan.dialplan_does,
    h.FarHalfEnded: behind.far_half_ended,
    h.PartyReplaced: transfer.replaced_while_ringing,
    h.TimerExpired: waiting.ring_expired,
    h.CallerAnswered: talking.caller_up,
    h.CallerEnded: waiting.caller_ended,
    h.RecorderReady: recording.recorder_ready,
    h.RecorderEnded: recording.recorder_ended,
    h.RecordingFinished: recording.recorder_ended,
    h.RecordingStored: recording.recording_noted,
    h.RecordingFailed: recording.recording_failed,
    h.ServiceStopping: waiting.stopping,
    h.HangUpAsked: afterwards.hang_up_asked,
    h.OutcomeUnknown: afterwards.ask,
    h.ClockSet: afterwards.clock_set,
    h.PbxSaid: _take_facts,
}
_TALKING: dict[type, Move] = {
    h.CallerAnswered: talking.caller_up,
    h.CallerEnded: talking.caller_hung_up,
    h.LegReady: waiting.stray_leg,
    h.LegEnded: talking.leg_hung_up,
    h.PartyReplaced: transfer.replaced_while_talking,
    h.KeyPressed: keys.key_pressed,
    h.TimerExpired: keys.keys_done,
    h.FarHalfFound: members.far_half_found,
    h.DialplanDoes: dialplan.dialplan_does,
    h.MemberTransferred: members.member_transferred,
    h.CustomerParked: parking.customer_parked,
    h.CallerReturned: parking.customer_returned,
    h.MemberRung: members.next_rung,
    h.MemberAnswered: members.next_answered,
    h.MemberEnded: members.member_ended,
    h.RecorderReady: recording.recorder_ready,
    h.RecorderEnded: recording.recorder_ended,
    h.RecordingFinished: recording.recorder_ended,
    h.RecordingStored: recording.recording_noted,
    h.RecordingFailed: recording.recording_failed,
    h.HangUpAsked: afterwards.hang_up_asked,
    h.OutcomeUnknown: afterwards.ask,
    h.ClockSet: afterwards.clock_set,
    h.PbxSaid: _take_facts,
}
_TRANSFERRING: dict[type, Move] = {
    h.CustomerParked: parking.customer_parked,
    h.CustomerStayed: parking.customer_stayed,
    h.CallerReturned: parking.customer_returned,
    h.FarHalfFound: members.far_half_found,
    h.DialplanDoes: dialplan.dialplan_does,
    h.FarHalfEnded: behind.far_half_ended,
    h.LegReady: waiting.stray_leg,
    h.LegRinging: transfer.target_ringing,
    h.LegAnswered: transfer.target_answered,
    h.LegEnded: transfer.target_ended,
    h.MemberTransferred: members.told_whereto,
    h.MemberRung: members.member_rung,
    h.MemberAnswered: members.member_answered,
    h.MemberEnded: members.member_ended,
    h.PartyReplaced: transfer.replaced_while_talking,
    h.TimerExpired: transfer.waited,
    h.CallerEnded: talking.caller_hung_up,
    h.RecorderReady: recording.recorder_ready,
    h.RecorderEnded: recording.recorder_ended,
    h.RecordingFinished: recording.recorder_ended,
    h.RecordingStored: recording.recording_noted,
    h.RecordingFailed: recording.recording_failed,
    h.HangUpAsked: afterwards.hang_up_asked,
    h.OutcomeUnknown: afterwards.ask,
    h.ClockSet: afterwards.clock_set,
    h.PbxSaid: _take_facts,
}
_DIALPLAN: dict[type, Move] = {
    h.CallerAnswered: sent_on.dialplan_answered,
    h.MemberRung: sent_on.telephone_rung,
    h.MemberAnswered: sent_on.telephone_answered,
    h.MemberEnded: members.member_ended,
    h.MemberTransferred: sent_on.transferred,
    h.FarHalfFound: members.far_half_found,
    h.DialplanDoes: sent_on.dialplan_does,
    h.TimerExpired: sent_on.round_told,
    h.CallerReturned: sent_on.caller_returned,
    h.PartyReplaced: transfer.turn_away,
    h.CallerEnded: sent_on.caller_ended,
    h.LegReady: waiting.stray_leg,
    h.LegEnded: afterwards.late_leg_ended,
    h.RecorderReady: recording.recorder_ready,
    h.RecorderEnded: recording.recorder_ended,
    h.RecordingFinished: recording.recorder_ended,
    h.RecordingStored: recording.recording_noted,
    h.RecordingFailed: recording.recording_failed,
    h.HangUpAsked: afterwards.hang_up_asked,
    h.OutcomeUnknown: afterwards.ask,
    h.ClockSet: afterwards.clock_set,
    h.PbxSaid: _take_facts,
}
_ENDING: dict[type, Move] = {
    h.CallerEnded: afterwards.caller_gone,
    h.PartyReplaced: transfer.turn_away,
    h.LegReady: waiting.stray_leg,
    h.LegEnded: afterwards.late_leg_ended,
    h.RecorderReady: recording.recorder_late,
    h.RecorderEnded: recording.late_recorder_ended,
    h.RecordingFinished: recording.recording_finished,
    h.RecordingStored: recording.recording_stored,
    h.RecordingFailed: recording.recording_lost,
    h.TimerExpired: recording.recording_overdue,
    h.OutcomeUnknown: afterwards.ask,
    h.ClockSet: afterwards.clock_set,
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
