"""The moves when somebody takes another's place in a call: a transfer by telephone, a call pickup.

The PBX carries the transfer out and then tells that a new channel stands where a party of ours stood. A
channel into the dialplan (``Local/102@internal``) rings there until somebody answers behind it; a
telephone's own channel talks at once.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.behind import became_of, is_rung
from ari_app.calls.call import Direction, Leg, LegState, Role, TimerName
from ari_app.calls.dialplan import dialplan_answered, given_up_in_vain
from ari_app.calls.names import shown_name
from ari_app.calls.orders import FindFarHalf, HangUpReason, ShowCustomer, Watch
from ari_app.calls.outcome import Ending, LegResult
from ari_app.calls.outgoing import manager_answered, stand_for_the_manager
from ari_app.calls.parking import let_the_parker_go, parker_of
from ari_app.calls.recording import record_again
from ari_app.calls.talking import ATTENDED, leg_hung_up, talk, wait_for
from ari_app.calls.trying import fallback, ring_again
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

# -- somebody takes another's place -----------------------------------------------------------------------


def replaced_while_talking(turn: Turn, replaced: h.PartyReplaced) -> None:
    """A transfer: the manager who transferred is hung up, the customer hears the next person being rung.

    Whoever has parked the customer can give only a customer away who has stayed, because the lot was full.
    """
    call, old = turn.call, turn.call.party(replaced.old)
    if call.party(replaced.channel) is not None:
        return
    if call.customer is not None and replaced.old == call.customer.id:
        turn_away(turn, replaced)  # the customer's side went elsewhere: for the shop the talk is over
        turn.finish(Ending.ANSWERED)
        return
    parker = parker_of(call) if call.away else None
    if old is None or old.id not in (call.talker_leg, parker and parker.id):
        turn_away(turn, replaced)
        return
    new = _newcomer(turn, replaced, joined=True)
    turn.order(Watch(new.id))
    _leave(turn, old)
    turn.call = turn.call.with_leg(new)
    if replaced.local:
        turn.order(FindFarHalf(new.id))
    if call.away:  # unless the customer turns out to have stayed, there is nobody to talk to
        return
    if replaced.local:
        turn.pass_keys(through=False)
    if not replaced.local or replaced.code is not None:
        talk(turn, new, replaced.code)
    else:
        wait_for(turn, new)
    _show_customer(turn, new)


def replaced_while_ringing(turn: Turn, replaced: h.PartyReplaced) -> None:
    """A call pickup: another phone took the call that was ringing at this one."""
    old = turn.call.leg(replaced.old)
    if turn.call.party(replaced.channel) is not None:
        return
    waiter = turn.call.waiter
    dials = waiter.role is Role.CALLER and turn.call.direction is Direction.OUT
    if replaced.old == waiter.id and dials and not replaced.local:
        _stands_for_the_caller(turn, replaced)
    elif replaced.old == waiter.id:  # the waiting party went elsewhere
        turn_away(turn, replaced)
        turn.finish(Ending.GAVE_UP)
    elif old is None or not old.pending or old.role is not Role.MANAGER:
        turn_away(turn, replaced)
    elif replaced.local:  # the answer was missed, then came a transfer
        talk(turn, turn.change(old, LegState.UP), old.code)
        replaced_while_talking(turn, replaced)
    else:
        new = _newcomer(turn, replaced, joined=old.joined)
        _leave(turn, old, LegResult.ELSEWHERE)
        turn.order(Watch(new.id))
        talk(turn, new, replaced.code)
        _show_customer(turn, new)


def replaced_while_calling(turn: Turn, replaced: h.PartyReplaced) -> None:
    """A call pickup: another manager took the call that the CRM had asked for, and makes it."""
    other = turn.call.leg(replaced.old)
    if turn.call.party(replaced.channel) is not None:
        return
    if other is not None and other.pending and other.role is Role.MANAGER and not replaced.local:
        stand_for_the_manager(turn, other)
    caller = turn.call.caller
    if replaced.old == caller.id and not replaced.local and caller.pending:
        turn.call = replace(turn.call, caller=replace(caller, id=replaced.channel, far=None))
        turn.order(Watch(replaced.channel))
        manager_answered(turn, h.CallerAnswered(replaced.at, replaced.code))
    else:
        turn_away(turn, replaced)


def _stands_for_the_caller(turn: Turn, replaced: h.PartyReplaced) -> None:
    """Who dialled outside has handed somebody over to whom rings there, who waits for the answer now.

    A manager's other customer comes on the far half of what joins the two calls.
    """
    old = turn.call.caller
    turn.order(Watch(replaced.channel))
    new = replace(old, id=replaced.channel, state=LegState.UP, at=turn.at, joined=True, far=None)
    turn.call = replace(turn.call, caller=new)
    _leave(turn, replace(old, role=Role.MANAGER, code=None, result=None), LegResult.ELSEWHERE)
    turn.let_hear_ringing()


def turn_away(turn: Turn, replaced: h.PartyReplaced) -> None:
    """A channel that has taken the place of a party no longer in the call is hung up."""
    old = turn.call.party(replaced.old)
    if turn.call.party(replaced.channel) is None:
        new = replace(_newcomer(turn, replaced, joined=False), code=None)
        turn.order(*(Watch(one.id) for one in (new, old) if one is not None and one.alive))
        turn.hang_up(new, HangUpReason.NORMAL)


def _newcomer(turn: Turn, replaced: h.PartyReplaced, *, joined: bool) -> Leg:
    return Leg(
        replaced.channel,
        Role.TARGET if replaced.local else Role.MANAGER,
        LegState.RINGING,
        turn.at,
        code=replaced.code,
        joined=joined,
        began_at=turn.at,
        target=replaced.target,
    )


def _show_customer(turn: Turn, new: Leg) -> None:
    """Let who has come show the customer; the PBX shows whom they had called, or nobody.

    Not where the dialplan runs behind the channel: there the customer would become who calls, also outside.
    """
    name, number = shown_name(turn.call), turn.call.number or ""
    if (name or number) and (new.role is not Role.TARGET or new.target == ATTENDED):
        turn.order(ShowCustomer(new.id, name, number))


def _leave(turn: Turn, old: Leg, result: LegResult | None = None) -> None:
    """Let go of a party no longer in the call; the PBX tells nothing more of it unless it is asked to."""
    if old.alive:
        turn.order(Watch(old.id))
        turn.hang_up(old, HangUpReason.NORMAL, result)


# -- the person to whom the customer was transferred -------------------------------------------------------


def target_ringing(turn: Turn, ringing: h.LegRinging) -> None:
    """The customer hears ringing; the CRM is told of the phone that rings, if no member tells it."""
    leg = turn.call.leg(ringing.leg)
    if leg is None or not leg.pending or leg.id != turn.call.talker_leg:
        return
    turn.change(leg, LegState.RINGING)
    turn.let_hear_ringing()
    extension = turn.own(leg.target)
    if extension is not None and not any(member.code for member in turn.call.members(leg)):
        turn.tell_ringing((extension,))


def target_answered(turn: Turn, answered: h.LegAnswered) -> None:
    """The dialplan has answered, unless a telephone behind the leg tells that it has, or still rings."""
    leg = turn.call.leg(answered.leg)
    if leg is None or not leg.pending or leg.id != turn.call.talker_leg:
        return
    leg = turn.change(leg, LegState.UP)
    if leg.target != ATTENDED and not is_rung(turn.call, leg):
        dialplan_answered(turn, leg)


def target_ended(turn: Turn, ended: h.LegEnded) -> None:
    """Nobody took the transfer: the fallback is rung for the customer, unless the customer hung up."""
    call, leg = turn.call, turn.call.leg(ended.leg)
    if leg is None or leg.id != call.talker_leg or call.away:
        leg_hung_up(turn, ended)
        return
    turn.change(leg, LegState.GONE, result=became_of(call, leg, ended))
    ring_again(turn, fallback(call))


def waited(turn: Turn, expired: h.TimerExpired) -> None:
    """The CRM is told who is being rung; who was tried in vain for the transfer is given up after 1 s."""
    if expired.timer is TimerName.ROUND:
        turn.tell_round()
    elif expired.timer is TimerName.VAIN:
        given_up_in_vain(turn)
    elif expired.timer is TimerName.RECORDER:
        record_again(turn)
    elif expired.timer is TimerName.TRIAL:
        turn.finish(Ending.ANSWERED)
    elif expired.timer is TimerName.PARKER:
        let_the_parker_go(turn)
