"""The moves when the dialplan behind a Local channel answers, speaks, or has nobody left to try.

A Local channel that is up without a telephone behind it was answered by the dialplan itself. Nobody has
talked then: who waits hears what it says and may go on in it, and another manager is rung instead of one
whose voicemail has answered.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.behind import (
    TONES,
    became_of,
    end_members,
    is_rung,
    local_leg,
    rung_in_vain,
    speaks_behind,
    telephones,
)
from ari_app.calls.call import Doing, Leg, LegState, Role, Stage, TimerName
from ari_app.calls.orders import AskPbx, HangUpReason
from ari_app.calls.outcome import Ending, LegResult
from ari_app.calls.talking import wait_for
from ari_app.calls.trying import fallback, ring_again, try_next_when_done
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

VAIN_SECONDS = 1.0
"""How long the dialplan may be silent after whom it has tried in vain, before it is taken to be done."""
_SPEAKS = (Doing.SPEAKS, Doing.MEETS)
_SAYS = (*_SPEAKS, Doing.WAITS)


def dialplan_answered(turn: Turn, leg: Leg) -> None:
    """A Local leg is up; the PBX is asked whether with a telephone, of which nothing else may have told."""
    turn.order(AskPbx((leg.id,)))
    if leg.role is Role.CUSTOMER:
        turn.stop_ringing()
        turn.answer(turn.call.waiter)
    else:
        _speaks(turn, leg)


def dialplan_does(turn: Turn, said: h.DialplanDoes) -> None:
    """Noted; who waits hears what the dialplan says, and a busy tone after all were tried is the end."""
    leg = local_leg(turn.call, said.leg)
    if leg is None or leg.id != said.leg:
        _does_behind(turn, leg, said)
        return
    if turn.call.away:  # a parked customer goes on there: nobody of ours has to do anything
        if turn.call.stage is Stage.TALKING:
            end_members(turn, leg, LegResult.ANSWERED)
            wait_for(turn, leg)
        return
    before = leg.does
    leg = replace(leg, does=said.does)
    turn.call = replace(turn.call, caller=leg) if leg.role is Role.CALLER else turn.call.with_leg(leg)
    if said.does in (Doing.DIALS, Doing.QUEUES):
        turn.clear_timer(TimerName.VAIN)
        _keep_keys(turn, leg)
        return
    if turn.call.stage is Stage.TALKING:
        return
    if leg.state is LegState.UP and (said.does in _SPEAKS or before is not None):
        _speaks(turn, leg)
    leg = turn.call.party(leg.id) or leg
    if rung_in_vain(turn.call, leg) or said.does in TONES:
        nobody_rings(turn, leg)


def _does_behind(turn: Turn, leg: Leg | None, said: h.DialplanDoes) -> None:
    """Note what the dialplan does behind a Local channel behind ours; whoever it dials tells of it."""
    member = turn.call.leg(said.leg)
    if leg is not None and member is not None and member.local is not None:
        turn.call = turn.call.with_leg(replace(member, does=said.does))
        if said.does in (Doing.DIALS, Doing.QUEUES):
            _keep_keys(turn, leg)
        answered_behind(turn, leg)


def _keep_keys(turn: Turn, leg: Leg) -> None:
    """What a transferred customer presses reaches a menu, but not what dials: it may obey feature codes."""
    if leg.role is Role.TARGET and turn.call.stage is Stage.TRANSFERRING:
        turn.pass_keys(through=False)


def answered_behind(turn: Turn, leg: Leg) -> None:
    """Where a dialplan that ours has dialled has answered and speaks, who waits hears it."""
    waits = turn.call.stage in (Stage.RINGING, Stage.TRANSFERRING) and not turn.call.away
    if waits and leg.role in (Role.QUEUE, Role.TARGET) and speaks_behind(turn.call, leg, _SAYS):
        _speaks(turn, leg)


def _speaks(turn: Turn, leg: Leg) -> None:
    """The dialplan speaks instead of a person, unless it still rings somebody."""
    if is_rung(turn.call, leg):
        return
    says = leg.does in _SAYS or speaks_behind(turn.call, leg, _SAYS)
    if _is_transferred_by(turn, leg):
        turn.stop_ringing()
        if says and leg.role is Role.TARGET:
            turn.pass_keys(through=True)
        return
    match leg.role:
        case Role.QUEUE if says and turn.call.stage is Stage.RINGING:
            turn.stop_ringing()
            turn.answer(turn.call.waiter)
            turn.join(turn.call.waiter, leg)
            turn.call = replace(turn.call, left_to_dialplan=True)
        case Role.MANAGER | Role.CALLER if leg.does in _SAYS or telephones(turn.call, leg):
            _give_up(turn, leg)


def _is_transferred_by(turn: Turn, leg: Leg) -> bool:
    """Tell whether the customer waits behind a leg, be it a manager's, for whom they were transferred to."""
    if turn.call.stage is not Stage.TRANSFERRING:
        return False
    return leg.role in (Role.TARGET, Role.QUEUE) or leg.id == turn.call.talker_leg


def nobody_rings(turn: Turn, leg: Leg) -> None:
    """All whom the dialplan has dialled were tried in vain: it may try others yet, for 1 s.

    Where the customer's own channel goes on is the dialplan's affair.
    """
    if turn.call.away:
        return
    if leg.role in (Role.MANAGER, Role.CALLER, Role.FORWARDED) and not _is_transferred_by(turn, leg):
        if leg.state is LegState.UP or leg.does in TONES:
            _give_up(turn, leg)
        return
    if leg.does in TONES:
        _give_up(turn, leg)
    elif leg.role is Role.QUEUE and turn.call.stage is Stage.RINGING:
        return
    elif leg.does is not Doing.QUEUES:
        if leg.does is Doing.DIALS:
            turn.call = turn.call.with_leg(replace(leg, does=None))
        turn.set_timer(TimerName.VAIN, VAIN_SECONDS)


def given_up_in_vain(turn: Turn) -> None:
    """The dialplan has dialled nobody for 1 s after all whom it tried: it only waits, as far as is known."""
    turn.clear_timer(TimerName.VAIN)
    for leg in tuple(turn.call.our_legs):
        done = leg.does is Doing.WAITS or (leg.does is None and leg.role is Role.CUSTOMER)
        answered = leg.state is LegState.UP and leg.role is not Role.CUSTOMER
        if (
            local_leg(turn.call, leg.id) is not None
            and rung_in_vain(turn.call, leg)
            and done
            and not answered
        ):
            _give_up(turn, leg)


def _give_up(turn: Turn, leg: Leg) -> None:
    """Hang a leg up behind which nobody will answer, and go on as if it had ended by itself."""
    result = became_of(turn.call, leg)
    turn.clear_timer(TimerName.VAIN)
    if leg.id == turn.call.waiter.id and turn.call.stage is not Stage.CALLING:
        turn.finish(Ending.GAVE_UP)  # who waits behind it has left
        return
    turn.hang_up(leg, HangUpReason.NORMAL, result)
    if turn.call.stage is Stage.TRANSFERRING:
        ring_again(turn, fallback(turn.call))
    elif turn.call.stage is Stage.CALLING:
        others = (turn.call.caller, *turn.call.our_legs)
        if not any(one.alive and one.state is not LegState.LEAVING for one in others):
            turn.finish(Ending.NOT_PLACED)
    else:
        try_next_when_done(turn)
