"""The moves when somebody behind a Local channel is rung, answers, or gives the customer away there.

A person has answered when a telephone has. What answers without one is the dialplan: voicemail, an
announcement, a menu, a PIN prompt (`ari_app.calls.dialplan`).
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.behind import (
    end_members,
    goes_too_deep,
    local_leg,
    member_id,
    member_leg,
    owner,
    put_through,
    rung_in_vain,
    telephones,
)
from ari_app.calls.call import Call, Doing, Leg, LegState, Role, Stage, TimerName
from ari_app.calls.dialplan import answered_behind, dialplan_does, nobody_rings
from ari_app.calls.orders import AskPbx
from ari_app.calls.outcome import LegResult, member_result
from ari_app.calls.outgoing import manager_answered, stand_for_the_manager
from ari_app.calls.parking import picked_up
from ari_app.calls.talking import sent_outside, talk, talk_there, tell_out, wait_for
from ari_app.calls.transfer import target_answered
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

ROUND_SECONDS = 0.2
"""How long the members that a queue rings in one round are gathered for one event."""
_NOT_OURS_TO_END = (Stage.TALKING, Stage.DIALPLAN)


def far_half_found(turn: Turn, found: h.FarHalfFound) -> None:
    """What the dialplan dials behind a Local channel is followed; who has answered there already talks."""
    leg = turn.call.party(found.leg)
    if leg is None or not leg.leads_on or leg.far == leg.id:
        return
    leg = replace(leg, far=found.channel)
    turn.call = replace(turn.call, caller=leg) if leg.role is Role.CALLER else turn.call.with_leg(leg)
    if found.member is not None:
        said = h.MemberAnswered(found.at, found.leg, found.member, found.code)
        (next_answered if turn.call.stage is Stage.TALKING else member_answered)(turn, said)
        return
    if found.up and turn.call.stage is Stage.TRANSFERRING:  # perhaps since before we watched
        target_answered(turn, h.LegAnswered(found.at, found.leg))
    if found.does is not None and leg.does is None:  # else something newer was heard
        dialplan_does(turn, h.DialplanDoes(found.at, found.leg, found.does))


def member_rung(turn: Turn, rung: h.MemberRung) -> None:
    """Members rung within 0.2 s are one round, of which the CRM is told once; the customer too."""
    leg = local_leg(turn.call, rung.leg)
    if leg is None:
        return
    before = member_leg(turn.call, rung)
    if before.state is LegState.UP:
        return
    turn.clear_timer(TimerName.VAIN)
    to_customer = turn.call.leads_outside(leg)
    member = turn.change(before, LegState.RINGING if rung.rings else LegState.DIALLED, code=rung.code)
    if before.state is LegState.PLACED and not goes_too_deep(member.id):
        turn.follow(member)
    if to_customer:
        if rung.rings:
            tell_out(turn)
        return
    transferred = turn.call.stage is Stage.TRANSFERRING and not turn.call.away
    if transferred and leg.role is Role.QUEUE and rung.rings:
        turn.let_hear_ringing()  # the queue with its music was left by the transfer
    if turn.call.stage is not Stage.CALLING:
        _gather(turn, member, rung.rings)


def _gather(turn: Turn, member: Leg, rings: bool) -> None:
    """Tell the CRM in a moment whose telephone rings.

    Of a Local channel that is known only when it rings, and those behind it are nobody of the account.
    """
    if member.local is not None and (not rings or any(one.code for one in turn.call.members(member))):
        return
    code = owner(turn.call, member, turn.own)
    if code is not None:
        passed_on = _forwarding(turn.call, member) - {code}
        turn.call = replace(turn.call, round=tuple(one for one in turn.call.round if one not in passed_on))
    if code is not None and code not in (*turn.call.told, *turn.call.round):
        turn.call = replace(turn.call, round=(*turn.call.round, code))
        if not any(timer.name is TimerName.ROUND for timer in turn.call.timers):
            turn.set_timer(TimerName.ROUND, ROUND_SECONDS)


def _forwarding(call: Call, member: Leg) -> frozenset[str]:
    """List those whose Local channels lead to a member, and of whose own telephones none is rung."""
    through = {leg.code for leg in call.legs if leg.local is not None and member.id.startswith(f"{leg.id}/")}
    rung = {leg.code for leg in call.legs if leg.role is Role.MEMBER and leg.local is None and leg.alive}
    return frozenset(code for code in through - rung if code is not None)


def member_answered(turn: Turn, answered: h.MemberAnswered) -> None:
    """Who answers at a telephone talks: who waits is answered, the CRM is told of those who were rung.

    Behind other Local channels they talk when the dialplan has put them through: it may ask first whether
    they take the call.
    """
    leg = local_leg(turn.call, answered.leg)
    if leg is None or (turn.call.leads_outside(leg) and leg.result is LegResult.ANSWERED):
        return
    member = member_leg(turn.call, answered)
    if turn.call.away and member.state is LegState.UP:
        return  # they have answered before: the customer's own line, or who has parked them
    if answered.local is not None:
        _local_answered(turn, leg, answered)
    elif put_through(turn.call, answered.leg) and _with_the_customer(turn.call, leg):
        _talks(turn, leg, answered)
    else:
        member = turn.change(member, LegState.UP, code=answered.code)
        if turn.call.away:
            _gather(turn, member, rings=True)


def _with_the_customer(call: Call, leg: Leg) -> bool:
    """Tell whether who answers behind a leg talks to the customer: while those are parked, only behind them.

    Who has parked them is left in our bridge alone, and so is whom they transfer to.
    """
    return not call.away or leg.id == call.talker_leg


def _talks(turn: Turn, leg: Leg, answered: h.MemberAnswered) -> None:
    code, member = _takes_the_call(turn, answered)
    if turn.call.away:
        picked_up(turn, code)
    elif turn.call.stage is Stage.CALLING:
        if leg.role is not Role.CALLER:  # the manager's telephone has forwarded the call there
            stand_for_the_manager(turn, replace(leg, state=LegState.RINGING))
        manager_answered(turn, h.CallerAnswered(turn.at, code))
    elif turn.call.stage is Stage.DIALPLAN:
        talk_there(turn, member, code)
    elif leg.id == turn.call.waiter.id:
        _waits_there(turn, leg, member)
    else:
        talk(turn, leg, turn.call.caller.code if leg.role is Role.CUSTOMER else code)


def _waits_there(turn: Turn, leg: Leg, member: Leg) -> None:
    """Note who waits for the customer behind the manager's leg: the manager, or to whom they handed over."""
    for other in telephones(turn.call, leg):
        if other.alive and other.id != member.id:
            turn.change(other, LegState.GONE)
    turn.call = replace(turn.call, caller=replace(turn.call.caller, code=member.code or leg.code))


def _local_answered(turn: Turn, leg: Leg, answered: h.MemberAnswered) -> None:
    """A Local channel behind ours is up: a telephone behind it has told so itself, or the PBX is asked."""
    member = member_leg(turn.call, answered)
    if member.state is LegState.UP:
        return
    member = turn.change(member, LegState.UP)
    for one in telephones(turn.call, member):
        dialler, *name = one.id.rsplit("/", 2)  # such as PJSIP/101
        there = put_through(turn.call, dialler) and _with_the_customer(turn.call, leg)
        if one.state is LegState.UP and there:
            if one.result is not LegResult.ANSWERED:
                _talks(turn, leg, h.MemberAnswered(answered.at, dialler, "/".join(name), one.code))
            return
    turn.order(AskPbx((leg.id,)))
    answered_behind(turn, leg)


def _takes_the_call(turn: Turn, answered: h.MemberAnswered) -> tuple[str | None, Leg]:
    """Note whose telephone has answered; none is somebody who isn't of the account."""
    member = member_leg(turn.call, answered)
    if member.code is None and answered.code is not None:
        member = replace(member, code=answered.code)
    top = turn.call.party(answered.leg.partition("/")[0])
    outside = top is not None and turn.call.leads_outside(top)
    code = None if outside else owner(turn.call, member, turn.own) or _led_to(turn.call, answered.leg, member)
    return code, turn.change(member, LegState.UP, code=code, result=LegResult.ANSWERED)


def _led_to(call: Call, leg_id: str, member: Leg) -> str | None:
    """Say whose a telephone is that nobody heard ring: the only Local channel that is there has led to it."""
    behind = (one for one in call.legs if one.local is not None and one.id.startswith(f"{leg_id}/"))
    codes = {one.code for one in behind if one.alive}
    return codes.pop() if call.leg(member.id) is None and len(codes) == 1 else None


def member_ended(turn: Turn, ended: h.MemberEnded) -> None:
    """Noted, with what became of the member; the dialplan may try another, until it has nobody to try.

    Where a member's telephone forwards its calls to stands for the member.
    """
    member = turn.call.leg(member_id(ended.leg, ended.member))
    if member is None or not member.alive:
        return
    leg = local_leg(turn.call, ended.leg)
    cancelled = leg is not None and turn.call.leads_outside(leg) and ended.status == "CANCEL"
    result = LegResult.CALLER_LEFT if cancelled else member_result(ended.status)
    if ended.forwarded:
        result = LegResult.FORWARDED
        _forwarded(turn, member, ended)
    turn.change(member, LegState.GONE, result=result)
    if leg is not None and turn.call.stage not in _NOT_OURS_TO_END and rung_in_vain(turn.call, leg):
        nobody_rings(turn, leg)


def _forwarded(turn: Turn, member: Leg, ended: h.MemberEnded) -> None:
    """Put the channel to which a member's telephone has forwarded the call in the member's place."""
    code = ended.code or owner(turn.call, member, turn.own)
    onward = h.MemberRung(ended.at, ended.leg, ended.forwarded, code, rings=False, local=ended.local)
    turn.change(member_leg(turn.call, onward), LegState.PLACED)


def member_transferred(turn: Turn, transferred: h.MemberTransferred) -> None:
    """The member who talked has transferred the customer, who waits behind the queue for the next person."""
    leg = local_leg(turn.call, transferred.leg)
    if leg is None or leg.id != turn.call.talker_leg:
        return
    name = member_id("", transferred.member)
    talked = [one for one in turn.call.members(leg) if one.alive and one.id.endswith(name)]
    if talked:
        _transferred(turn, leg, transferred.leg, transferred.target)


def _transferred(turn: Turn, leg: Leg, there: str, target: str | None) -> None:
    """Let the customer wait there; what the dialplan does there may have been heard first."""
    end_members(turn, leg, LegResult.ANSWERED, left=there)
    does = leg.does if leg.does not in (Doing.DIALS, Doing.QUEUES) else None
    if not turn.call.away:
        leg = replace(leg, target=target, does=None)
    turn.call = replace(turn.call, caller=leg) if leg.role is Role.CALLER else turn.call.with_leg(leg)
    wait_for(turn, leg)
    if does is not None and not turn.call.away:
        dialplan_does(turn, h.DialplanDoes(turn.at, leg.id, does))


def told_whereto(turn: Turn, transferred: h.MemberTransferred) -> None:
    """Noted whereto the customer was transferred: who is rung there may be heard of first."""
    leg = local_leg(turn.call, transferred.leg)
    if leg is None or leg.id != turn.call.talker_leg or leg.target is not None or turn.call.away:
        return
    leg = replace(leg, target=transferred.target)
    turn.call = replace(turn.call, caller=leg) if leg.role is Role.CALLER else turn.call.with_leg(leg)


def next_rung(turn: Turn, rung: h.MemberRung) -> None:
    """The member who talked has transferred the customer: the next person is rung."""
    leg = local_leg(turn.call, rung.leg)
    if leg is None or leg.id != turn.call.talker_leg or member_leg(turn.call, rung).state is LegState.UP:
        return
    dialler = turn.call.party(rung.leg)
    if dialler is None or (dialler.id != leg.id and dialler.state is not LegState.UP):
        return  # another way to the one who talks, about to be given up
    _transferred(turn, leg, rung.leg, None)
    member_rung(turn, rung)


def next_answered(turn: Turn, answered: h.MemberAnswered) -> None:
    """The next person talks, behind the same queue or transfer."""
    leg = local_leg(turn.call, answered.leg)
    if leg is None or leg.id != turn.call.talker_leg or answered.local is not None:
        return
    if member_leg(turn.call, answered).state is LegState.UP:
        return
    code, member = _takes_the_call(turn, answered)
    for other in telephones(turn.call, leg):
        if other.alive and other.id != member.id:
            turn.change(other, LegState.GONE)
    if not sent_outside(leg) or code is not None:
        first = turn.call.first_talker or code
        turn.call = replace(turn.call, talker=code, first_talker=first)
    if code is not None:
        turn.tell_ringing((code,))
