"""The moves of a call while customer and manager talk, and the step that joins them."""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.behind import became_of, telephones
from ari_app.calls.call import Direction, Leg, LegState, RecordingState, Role, Stage, TimerName, Way
from ari_app.calls.numbers import LONGEST_INTERNAL
from ari_app.calls.orders import HangUpReason, ShowCustomer, TellCustomer
from ari_app.calls.outcome import Ending, LegResult
from ari_app.calls.recording import record
from ari_app.calls.trial import TALK_SECONDS
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

ATTENDED = "_attended"
"""What Asterisk's Local channel dials when a manager transfers to somebody called before by hand. It is
answered at once; when that phone still rings, only what goes on behind the channel tells of the answer.
"""


def talk(turn: Turn, leg: Leg, code: str | None) -> None:
    """Let who waits talk to who has answered on a leg; `code` is the extension of the shop's side.

    None is somebody who isn't of the account; but to whom a manager has sent the customer outside
    (`sent_outside`), the talk stays the manager's.
    """
    call, waiter = turn.call, turn.call.waiter
    manager = call.caller if leg.role is Role.CUSTOMER else leg
    turn.call = replace(
        call,
        stage=Stage.TALKING,
        talker_leg=manager.id,
        talker=call.talker if code is None and sent_outside(leg) else code,
        first_talker=call.first_talker or code,
        answered_at=turn.moment if call.answered_at is None else call.answered_at,
        timers=call.lasting_timers,
        sought=(),
        keys="",
    )
    turn.begin_talk()
    if call.trial is not None and call.answered_at is None:
        turn.set_timer(TimerName.TRIAL, TALK_SECONDS)
    if leg.role is Role.CUSTOMER:
        tell_out(turn)
    else:
        turn.tell_round(*filter(None, (code,)))
        _get_acquainted(turn, first=call.first_talker is None)
    turn.change(leg, LegState.UP, result=LegResult.ANSWERED)
    turn.stop_ringing()
    if call.way is Way.ARI:
        if call.answered_at is None:
            turn.answer(waiter)
        _record(turn)
        turn.join(waiter, turn.call.leg(leg.id) or leg)
        if leg.role is Role.CUSTOMER and leg.leads_on and call.number:
            # Asterisk names who is dialled by the dialplan's extension: in a subroutine that is s.
            turn.order(ShowCustomer(waiter.id, call.name or "", call.number))
        turn.pass_keys(through=leg.role is not Role.TARGET)
    for other in turn.call.our_legs:
        if other.id not in (leg.id, waiter.id):
            turn.hang_up(other, HangUpReason.ANSWERED_ELSEWHERE, LegResult.ELSEWHERE)


def talk_there(turn: Turn, member: Leg, code: str | None) -> None:
    """Note that the caller who was sent on talks, in the dialplan, to who has answered a telephone there."""
    call = turn.call
    turn.call = replace(
        call,
        talker_leg=member.id,
        talker=code,
        first_talker=call.first_talker or code,
        answered_at=turn.moment if call.answered_at is None else call.answered_at,
    )
    turn.begin_talk()
    turn.tell_round(*filter(None, (code,)))
    _get_acquainted(turn, first=call.first_talker is None)
    _record(turn)
    for other in telephones(turn.call, turn.call.caller):
        if other.alive and other.id != member.id:
            turn.change(other, LegState.GONE, result=LegResult.ELSEWHERE)


def _record(turn: Turn) -> None:
    if turn.call.policy.record and turn.call.recording.state is RecordingState.NONE:
        record(turn)


def _get_acquainted(turn: Turn, *, first: bool) -> None:
    """Let a caller whom the CRM doesn't know become a customer of the `first` manager who talks with them."""
    call = turn.call
    if not first or call.known or not call.policy.new_customer or call.direction is not Direction.IN:
        return
    if call.trial is not None:
        return
    if call.number is not None and len(call.number) > LONGEST_INTERNAL and call.first_talker is not None:
        turn.order(TellCustomer(turn.at, call.number, call.external, call.first_talker))


def sent_outside(leg: Leg) -> bool:
    """Tell whether a transfer leads outside: to a number as the manager dialled it, or to whom they asked.

    Whoever was asked first is outside as long as no extension is known of them.
    """
    target = leg.target or ""
    if leg.role not in (Role.TARGET, Role.MANAGER, Role.QUEUE):
        return False
    return target == ATTENDED or (len(target) > LONGEST_INTERNAL and target.lstrip("+").isdecimal())


def wait_for(turn: Turn, leg: Leg) -> None:
    """Let the customer wait for whom a leg leads to."""
    turn.end_talk()
    call = turn.call
    timers = call.lasting_timers
    turn.call = replace(call, stage=Stage.TRANSFERRING, talker_leg=leg.id, timers=timers, keys="")


def tell_out(turn: Turn) -> None:
    """Tell the CRM, once, that the manager calls the customer."""
    if turn.call.caller.code is not None:
        turn.tell_ringing((turn.call.caller.code,))


def caller_hung_up(turn: Turn, ended: h.CallerEnded) -> None:
    """When the caller is one of the two who talk, the other is hung up, recording closed, the CRM told."""
    _hung_up(turn, turn.call.caller, ended.known_up_at)


def leg_hung_up(turn: Turn, ended: h.LegEnded) -> None:
    """When the leg is one of the two who talk, the other is hung up too; a losing leg is only noted."""
    leg = turn.call.leg(ended.leg)
    if leg is not None and leg.alive:
        leg = replace(leg, result=leg.result or became_of(turn.call, leg, ended))
        _hung_up(turn, leg, ended.known_up_at)


def _hung_up(turn: Turn, leg: Leg, known_up_at: float | None) -> None:
    turn.change(leg, LegState.GONE)
    customer = turn.call.customer
    if leg.id == turn.call.talker_leg or (customer is not None and leg.id == customer.id):
        turn.finish(Ending.ANSWERED, seen_at=known_up_at)


def caller_up(turn: Turn, _: h.CallerAnswered) -> None:
    """Noted."""
    if turn.call.caller.pending:
        turn.change(turn.call.caller, LegState.UP)
