"""The moves with which a call to a customer begins: dialled by a manager's phone, or asked for in the CRM.

From then on it is a call like any other: the customer's leg rings (`ari_app.calls.waiting`), they talk.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.behind import became_of, why_ended
from ari_app.calls.call import Call, Leg, LegState, Role, Sought, Stage, TimerName, Way
from ari_app.calls.dialplan import dialplan_answered
from ari_app.calls.names import clean_name
from ari_app.calls.orders import FindTelephones, HangUp, HangUpReason, Originate, Watch
from ari_app.calls.outcome import Ending, LegResult
from ari_app.calls.telephones import is_rung, may_follow, outside_leg, via
from ari_app.calls.trying import (
    DIAL_MARGIN_SECONDS,
    doubt_the_silent,
    give_up_the_silent,
    new_leg,
    try_next,
)
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace


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
    outside = call.outside
    if outside is None:
        return
    if call.way is Way.ARI:
        ring(turn, manager)
        return
    name = clean_name(call.policy.manager_caller_name) or ""
    endpoint = call.policy.endpoint(manager.code or "")
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


def ring(turn: Turn, leg: Leg) -> None:
    """Let the PBX make a leg to a telephone of the manager who asked for the call."""
    call = turn.call
    endpoint = leg.endpoint or call.policy.endpoint(leg.code or "")
    name, number = clean_name(call.policy.manager_caller_name) or "", call.number
    turn.ring(leg, endpoint, name, number or (call.outside.number if call.outside else ""))


def manager_ready(turn: Turn, ready: h.LegReady) -> None:
    """The manager's phone is dialled; meanwhile the PBX is asked whether there are more."""
    call = turn.call
    leg = call.party(ready.leg)
    if leg is not None and not leg.alive:  # it had been given up
        turn.order(HangUp(leg.id))
    if leg is None or leg.state is not LegState.PLACED:
        return
    if leg.leads_on:
        turn.order(Watch(leg.far_id))
    turn.dial(leg, call.policy.ring_manager_seconds + DIAL_MARGIN_SECONDS)
    if call.policy.telephones and leg.endpoint is None and leg.code is not None:
        turn.call = replace(turn.call, sought=(*turn.call.sought, Sought(leg.code, leg.id, leg.via)))
        turn.order(FindTelephones(leg.id, call.attempt, (leg.code,)))


def others_found(turn: Turn, found: h.TelephonesFound) -> None:
    """The manager's other telephones are rung, too; the PBX has chosen the first for the one that rings."""
    known = {one.code: one.endpoints or () for one in found.telephones}
    now = tuple(one for one in turn.call.sought if one.code in known)
    if found.attempt != turn.call.attempt or not now:
        return
    turn.call = replace(turn.call, sought=tuple(one for one in turn.call.sought if one.code not in known))
    for one in now:
        for endpoint in known[one.code][1:]:
            leg = new_leg(turn, Role.MANAGER, one.code)
            ring(turn, replace(leg, endpoint=endpoint, via=one.via))


def manager_ringing(turn: Turn, ringing: h.LegRinging) -> None:
    """Noted."""
    leg = turn.call.party(ringing.leg)
    if leg is not None and leg.state in (LegState.PLACED, LegState.DIALLED):
        turn.change(leg, LegState.RINGING)


def manager_forwarded(turn: Turn, forwarded: h.LegForwarded) -> None:
    """Where the manager's telephone forwards its calls to is rung in its place, as for a customer."""
    call = turn.call
    leg = call.party(forwarded.leg)
    if leg is None or not leg.pending or leg.role not in (Role.CALLER, Role.MANAGER):
        return
    follows = may_follow(leg, forwarded)
    turn.change(leg, LegState.LEAVING, result=LegResult.FORWARDED if follows else LegResult.UNREACHABLE)
    if follows and not is_rung((call.caller, *call.our_legs), call, forwarded):
        if forwarded.inside:
            ring(turn, replace(new_leg(turn, Role.MANAGER, forwarded.target), via=via(leg)))
        else:
            ring(turn, outside_leg(turn, leg, forwarded))
    _give_up_when_nobody_is_left(turn)


def manager_refused(turn: Turn, refused: h.LegRefused | h.WayBlocked) -> None:
    """ARI can't place the call: the same call goes by AJAM, where the account has it; else it ends."""
    call, manager = turn.call, turn.call.caller
    other = call.leg(refused.leg)
    if other is not None and other.state in (LegState.PLACED, LegState.DIALLED):
        if other.state is LegState.PLACED:
            turn.change(other, LegState.GONE, result=LegResult.UNREACHABLE)
        else:
            turn.hang_up(other, HangUpReason.NORMAL, LegResult.UNREACHABLE)
        _give_up_when_nobody_is_left(turn)
        return
    if refused.leg != manager.id or manager.state not in (LegState.PLACED, LegState.DIALLED):
        return
    if call.way is Way.ARI and call.policy.ajam and manager.state is LegState.PLACED:
        turn.call = replace(turn.call, way=Way.AJAM)
        turn.change(manager, LegState.PLACED)
        place(turn)
        return
    if manager.state is LegState.PLACED or call.way is Way.AJAM:
        turn.change(manager, LegState.GONE, result=LegResult.UNREACHABLE)
    elif _others(turn.call):
        turn.hang_up(manager, HangUpReason.NORMAL, LegResult.UNREACHABLE)
        return
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
    turn.clear_timer(TimerName.SILENT)
    for other in turn.call.our_legs:
        turn.hang_up(other, HangUpReason.ANSWERED_ELSEWHERE, LegResult.ELSEWHERE)
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


def other_answered(turn: Turn, answered: h.LegAnswered) -> None:
    """The first telephone that answers makes the call; the others are hung up as answered elsewhere."""
    leg = turn.call.leg(answered.leg)
    if leg is None or not leg.pending:
        return
    if leg.leads_on:  # the dialplan may answer before anybody does
        dialplan_answered(turn, turn.change(leg, LegState.UP))
        return
    stand_for_the_manager(turn, leg)
    manager_answered(turn, h.CallerAnswered(answered.at, answered.code))


def stand_for_the_manager(turn: Turn, leg: Leg) -> None:
    """Let a leg be the channel with which the call began, in place of a telephone that rang with it."""
    call = turn.call
    before = replace(call.caller, role=Role.MANAGER)
    legs = tuple(before if one.id == leg.id else one for one in call.legs)
    far = leg.far_id if leg.leads_on else None
    turn.call = replace(call, caller=replace(leg, role=Role.CALLER, far=far), legs=legs)


def manager_ended(turn: Turn, ended: h.CallerEnded) -> None:
    """The manager could not be had: the call ends, and the customer was never rung."""
    manager = turn.call.caller
    turn.change(manager, LegState.GONE, result=why_ended(manager, ended))
    _give_up_when_nobody_is_left(turn, ended.known_up_at)
    doubt_the_silent(turn, _telephones(turn.call))


def other_ended(turn: Turn, ended: h.LegEnded) -> None:
    """Noted; when it was the manager's last telephone, the call ends."""
    leg = turn.call.leg(ended.leg)
    if leg is not None and leg.alive:
        turn.change(leg, LegState.GONE, result=became_of(turn.call, leg, ended))
        _give_up_when_nobody_is_left(turn, ended.known_up_at)
        doubt_the_silent(turn, _telephones(turn.call))


def _give_up_when_nobody_is_left(turn: Turn, seen_at: float | None = None) -> None:
    if not any(leg.alive and leg.state is not LegState.LEAVING for leg in _telephones(turn.call)):
        turn.finish(Ending.NOT_PLACED, seen_at=seen_at)


def _telephones(call: Call) -> tuple[Leg, ...]:
    return (call.caller, *call.our_legs)


def _others(call: Call) -> bool:
    """Tell whether another telephone of the manager's is rung."""
    return any(leg.alive and leg.state is not LegState.LEAVING for leg in call.our_legs)


def manager_overdue(turn: Turn, expired: h.TimerExpired) -> None:
    """The manager didn't answer in time: the call ends, and the customer was never rung."""
    if expired.timer is TimerName.SILENT:
        give_up_the_silent(turn, _telephones(turn.call))
        _give_up_when_nobody_is_left(turn)
    elif expired.timer is TimerName.RING:
        turn.hang_up(turn.call.caller, HangUpReason.NORMAL, LegResult.NO_ANSWER)
        turn.finish(Ending.NOT_PLACED)


def stopping(turn: Turn, _: h.ServiceStopping) -> None:
    """The manager's phone stops ringing: nobody would be there to dial the customer."""
    turn.finish(Ending.NOT_PLACED)
