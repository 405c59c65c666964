"""The moves with which a call to a customer begins: dialled by a manager's phone, or asked for in the CRM.

From then on it is a call like any other: the customer's leg rings (`ari_app.calls.waiting`), they talk.
"""

from __future__ import annotations

from dataclasses import replace

from ari_app.calls import happenings as h
from ari_app.calls.call import LegState, Stage, TimerName, Way
from ari_app.calls.dialplan import dialplan_answered
from ari_app.calls.names import clean_name
from ari_app.calls.orders import HangUpReason, Originate, Watch
from ari_app.calls.outcome import Ending, LegResult, leg_result
from ari_app.calls.trying import DIAL_MARGIN_SECONDS, try_next
from ari_app.calls.turn import Turn


def dialled(turn: Turn, dialled: h.CallDialled) -> None:
    """The customer is rung through the shop's line; the manager hears what that sounds like."""
    turn.call = replace(
        turn.call,
        stage=Stage.RINGING,
        destinations=(dialled.outside,),
        caller=replace(turn.call.caller, code=dialled.code),
    )
    turn.order(Watch(turn.call.caller.id))
    try_next(turn)


def clicked(turn: Turn, clicked: h.CallClicked) -> None:
    """The manager's phone is rung first."""
    turn.call = replace(
        turn.call,
        stage=Stage.CALLING,
        destinations=(clicked.outside,),
        caller=replace(turn.call.caller, code=clicked.code, state=LegState.PLACED),
        way=clicked.way,
        clicked=True,
    )
    turn.set_timer(TimerName.RING, turn.call.policy.ring_manager_seconds)
    place(turn)


def place(turn: Turn) -> None:
    """Let the PBX make the manager's leg, in the way that the call goes."""
    call, manager = turn.call, turn.call.caller
    name = clean_name(call.policy.manager_caller_name) or ""
    endpoint, outside = call.policy.endpoint(manager.code or ""), call.outside
    if outside is None:
        return
    if call.way is Way.ARI:
        turn.ring(manager, endpoint, name, call.number or outside.number)
        return
    turn.change(manager, LegState.DIALLED)  # a repeated Originate would ring the phone again
    turn.order(
        Originate(
            leg=manager.id,
            endpoint=endpoint,
            name=name,
            number=call.number or outside.number,
            context=outside.context,
            exten=outside.number,
            priority=outside.priority,
            seconds=call.policy.ring_manager_seconds,
        )
    )


def manager_ready(turn: Turn, ready: h.LegReady) -> None:
    """The manager's phone is dialled."""
    manager = turn.call.caller
    if ready.leg == manager.id and manager.state is LegState.PLACED:
        if manager.leads_on:
            turn.order(Watch(manager.far_id))
        turn.dial(manager, turn.call.policy.ring_manager_seconds + DIAL_MARGIN_SECONDS)


def manager_ringing(turn: Turn, ringing: h.LegRinging) -> None:
    """Noted."""
    manager = turn.call.caller
    if ringing.leg == manager.id and manager.state in (LegState.PLACED, LegState.DIALLED):
        turn.change(manager, LegState.RINGING)


def manager_refused(turn: Turn, refused: h.LegRefused | h.WayBlocked) -> None:
    """ARI can't place the call: the same call goes by AJAM, where the account has it; else it ends."""
    call, manager = turn.call, turn.call.caller
    if refused.leg != manager.id or manager.state not in (LegState.PLACED, LegState.DIALLED):
        return
    if call.way is Way.ARI and call.policy.ajam and manager.state is LegState.PLACED:
        turn.call = replace(turn.call, way=Way.AJAM)
        turn.change(manager, LegState.PLACED)
        place(turn)
        return
    if manager.state is LegState.PLACED or call.way is Way.AJAM:
        turn.change(manager, LegState.GONE, result=LegResult.UNREACHABLE)
    turn.finish(Ending.NOT_PLACED)


def manager_answered(turn: Turn, answered: h.CallerAnswered) -> None:
    """Now the customer is dialled."""
    manager = turn.call.caller
    if manager.result is not None or not (manager.pending or manager.leads_on):
        return
    if answered.code is not None:  # picked up at another phone
        manager = replace(manager, code=answered.code)
    turn.change(manager, LegState.UP, result=LegResult.ANSWERED)
    turn.clear_timer(TimerName.RING)
    turn.call = replace(turn.call, stage=Stage.RINGING)
    try_next(turn)


def manager_up(turn: Turn, answered: h.CallerAnswered) -> None:
    """Now the customer is dialled; but not for a dialplan that has answered in the manager's stead."""
    manager = turn.call.caller
    if manager.leads_on and turn.call.way is Way.ARI:
        if manager.pending:
            dialplan_answered(turn, turn.change(manager, LegState.UP))
    else:
        manager_answered(turn, answered)


def manager_ended(turn: Turn, ended: h.CallerEnded) -> None:
    """The manager could not be had: the call ends, and the customer was never rung."""
    manager = turn.call.caller
    turn.change(manager, LegState.GONE, result=leg_result(ended.cause, ended.sip, manager.rang))
    turn.finish(Ending.NOT_PLACED, seen_at=ended.known_up_at)


def manager_overdue(turn: Turn, expired: h.TimerExpired) -> None:
    """The manager didn't answer in time: the call ends, and the customer was never rung."""
    if expired.timer is TimerName.RING:
        turn.hang_up(turn.call.caller, HangUpReason.NORMAL, LegResult.NO_ANSWER)
        turn.finish(Ending.NOT_PLACED)


def stopping(turn: Turn, _: h.ServiceStopping) -> None:
    """The manager's phone stops ringing: nobody would be there to dial the customer."""
    turn.finish(Ending.NOT_PLACED)
