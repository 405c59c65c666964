"""The moves when somebody behind a Local channel is rung, answers, or gives the customer away there."""

from __future__ import annotations

from dataclasses import replace

from ari_app.calls import happenings as h
from ari_app.calls.behind import end_members, local_leg, member_id, member_leg
from ari_app.calls.call import LegState, Role, Stage, TimerName
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import LegResult, member_result
from ari_app.calls.talking import talk, tell_out, wait_for
from ari_app.calls.trying import try_next_when_done
from ari_app.calls.turn import Turn

ROUND_SECONDS = 0.2
"""How long the members that a queue rings in one round are gathered for one event."""


def member_rung(turn: Turn, rung: h.MemberRung) -> None:
    """Members rung within 0.2 s are one round, of which the CRM is told once; the customer too."""
    leg = local_leg(turn.call, rung.leg)
    if leg is None or member_leg(turn.call, rung).state is LegState.UP:
        return
    if leg.role is Role.CUSTOMER:
        turn.change(member_leg(turn.call, rung), LegState.RINGING if rung.rings else LegState.DIALLED)
        if rung.rings:
            tell_out(turn)
        return
    turn.change(member_leg(turn.call, rung), LegState.RINGING, code=rung.code)
    if turn.call.stage is Stage.TRANSFERRING and leg.role is Role.QUEUE and rung.rings:
        turn.let_hear_ringing()  # the queue with its music was left by the transfer
    if rung.code is not None and rung.code not in (*turn.call.told, *turn.call.round):
        turn.call = replace(turn.call, round=(*turn.call.round, rung.code))
        if not any(timer.name is TimerName.ROUND for timer in turn.call.timers):
            turn.set_timer(TimerName.ROUND, ROUND_SECONDS)


def member_answered(turn: Turn, answered: h.MemberAnswered) -> None:
    """The member talks: the waiting caller is answered, the CRM is told of the members who were rung."""
    leg = local_leg(turn.call, answered.leg)
    if leg is None:
        return
    member = member_leg(turn.call, answered)
    if leg.role is Role.CUSTOMER:
        if leg.pending:
            turn.change(member, LegState.UP, result=LegResult.ANSWERED)
            talk(turn, leg, turn.call.caller.code)
        return
    member = turn.change(member, LegState.UP, code=answered.code, result=LegResult.ANSWERED)
    talk(turn, leg, member.code)


def member_ended(turn: Turn, ended: h.MemberEnded) -> None:
    """Noted, with what became of the member; a customer who is busy ends the attempt at once."""
    member = turn.call.leg(member_id(ended.leg, ended.member))
    if member is None or not member.alive:
        return
    leg = local_leg(turn.call, ended.leg)
    cancelled = leg is not None and leg.role is Role.CUSTOMER and ended.status == "CANCEL"
    result = LegResult.CALLER_LEFT if cancelled else member_result(ended.status)
    turn.change(member, LegState.GONE, result=result)
    busy = leg is not None and leg.role is Role.CUSTOMER and leg.pending and ended.status == "BUSY"
    if busy and leg is not None and not any(one.alive for one in turn.call.members(leg)):
        turn.hang_up(leg, HangUpReason.NORMAL, result)  # the dialplan may play its busy tone for long
        try_next_when_done(turn)


def member_transferred(turn: Turn, transferred: h.MemberTransferred) -> None:
    """The member who talked has transferred the customer, who waits behind the queue for the next person."""
    leg = local_leg(turn.call, transferred.leg)
    member = turn.call.leg(member_id(transferred.leg, transferred.member))
    if leg is not None and leg.id == turn.call.talker_leg and member is not None and member.alive:
        end_members(turn, leg, LegResult.ANSWERED)
        wait_for(turn, leg)


def next_rung(turn: Turn, rung: h.MemberRung) -> None:
    """The member who talked has transferred the customer: the next person is rung."""
    leg = local_leg(turn.call, rung.leg)
    if leg is None or leg.id != turn.call.talker_leg or member_leg(turn.call, rung).state is LegState.UP:
        return
    end_members(turn, leg, LegResult.ANSWERED)
    wait_for(turn, leg)
    member_rung(turn, rung)


def next_answered(turn: Turn, answered: h.MemberAnswered) -> None:
    """The next person talks, behind the same queue or transfer."""
    leg = local_leg(turn.call, answered.leg)
    if leg is None or leg.id != turn.call.talker_leg:
        return
    member = member_leg(turn.call, answered)
    if member.state is LegState.UP:
        return
    for other in turn.call.members(leg):
        if other.alive and other.id != member.id:
            turn.change(other, LegState.GONE)
    member = turn.change(member, LegState.UP, code=answered.code, result=LegResult.ANSWERED)
    if member.code is not None:
        first = turn.call.first_talker or member.code
        turn.call = replace(turn.call, talker=member.code, first_talker=first)
        turn.tell_ringing((member.code,))
