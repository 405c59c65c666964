"""The moves of a call while the caller waits: arriving and ringing. One small function for each thing that
can happen; the first line of its docstring is its line in the state table of the documents.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Leg, LegState, Role, Stage, TimerName
from ari_app.calls.names import clean_name, shown_name
from ari_app.calls.orders import (
    HangUp,
    HangUpReason,
    LookUp,
    Ringback,
    SendToDialplan,
    Watch,
)
from ari_app.calls.outcome import LINE_FAILURES, Ending, LegResult, leg_result, member_result, unanswered
from ari_app.calls.routing import Dialplan, People, Queue, is_extension, plan, way_out
from ari_app.calls.turn import Turn

LOOK_UP_SECONDS = 2.0
"""How long a caller waits for the CRM to say who they are."""
ROUND_SECONDS = 0.2
"""How long the members that a queue rings in one round are gathered for one event."""
DIAL_MARGIN_SECONDS = 5.0
"""The PBX's own limit on ringing comes this much after ours: it matters only when we are gone for good."""

# -- arriving ---------------------------------------------------------------------------------------------


def greet(turn: Turn, _: h.CallArrived) -> None:
    """The caller hears ringing; the CRM is asked who it is (a withheld number is routed as unknown)."""
    caller = turn.call.caller.id
    turn.order(Watch(caller), Ringback(caller))
    if turn.call.number is None:
        _route(turn, known=False)
        return
    turn.set_timer(TimerName.LOOK_UP, LOOK_UP_SECONDS)
    turn.order(LookUp(turn.call.number))


def customer_found(turn: Turn, found: h.CustomerFound) -> None:
    """The responsible manager is rung, else the fallback."""
    responsible = found.responsible if found.responsible and is_extension(found.responsible) else None
    turn.call = replace(turn.call, name=clean_name(found.name), responsible=responsible)
    _route(turn, known=True)


def customer_unknown(turn: Turn, _: h.CustomerUnknown) -> None:
    """The destination for unknown customers is rung."""
    _route(turn, known=False)


def look_up_expired(turn: Turn, expired: h.TimerExpired) -> None:
    """The CRM was too slow: the call goes on as an unknown customer's."""
    if expired.timer is TimerName.LOOK_UP:
        _route(turn, known=False)


def _route(turn: Turn, known: bool) -> None:
    turn.clear_timer(TimerName.LOOK_UP)
    destinations = plan(turn.call.policy, known, turn.call.responsible)
    turn.call = replace(turn.call, stage=Stage.RINGING, known=known, destinations=destinations)
    try_next(turn)


# -- ringing ----------------------------------------------------------------------------------------------


def leg_ready(turn: Turn, ready: h.LegReady) -> None:
    """The leg is dialled; one that rings alone is bridged first, so that early media is heard."""
    leg = turn.call.leg(ready.leg)
    if leg is None or leg.state is not LegState.PLACED:
        stray_leg(turn, ready)
        return
    destination = turn.call.destinations[leg.attempt]
    if turn.call.rings_alone(leg):
        turn.join(turn.call.caller, leg)
    if leg.role is Role.QUEUE:
        turn.order(Watch(leg.far_id))
    leg = turn.call.leg(ready.leg) or leg
    turn.dial(leg, destination.seconds + DIAL_MARGIN_SECONDS if isinstance(destination, People) else None)


def stray_leg(turn: Turn, ready: h.LegReady) -> None:
    """A leg that had been given up but turns up all the same is hung up."""
    leg = turn.call.leg(ready.leg)
    if leg is not None and not leg.alive:
        turn.order(HangUp(leg.id))


def leg_ringing(turn: Turn, ringing: h.LegRinging) -> None:
    """Noted."""
    leg = turn.call.leg(ringing.leg)
    if leg is not None and leg.state in (LegState.PLACED, LegState.DIALLED):
        turn.change(leg, LegState.RINGING)


def leg_answered(turn: Turn, answered: h.LegAnswered) -> None:
    """The first answer wins: the caller is answered and joined, the others hung up as answered elsewhere."""
    leg = turn.call.leg(answered.leg)
    if leg is None or not leg.pending:
        return
    leg = turn.change(leg, LegState.UP)
    if leg.role is Role.MANAGER:
        _talk(turn, leg, leg.code)


def leg_ended(turn: Turn, ended: h.LegEnded) -> None:
    """When the last leg of a destination is gone, the next destination is tried at once."""
    leg = turn.call.leg(ended.leg)
    if leg is None or not leg.alive:
        return
    turn.change(leg, LegState.GONE, result=became_of(leg, ended))
    if leg.role is Role.QUEUE:
        for member in turn.call.legs:
            if member.role is Role.MEMBER and member.alive:
                turn.change(member, LegState.GONE, result=LegResult.NO_ANSWER)
    _try_next_when_done(turn)


def leg_refused(turn: Turn, refused: h.LegRefused) -> None:
    """The leg counts as unreachable; after the last one the next destination is tried."""
    leg = turn.call.leg(refused.leg)
    if leg is not None and leg.state is LegState.PLACED:
        turn.change(leg, LegState.GONE, result=LegResult.UNREACHABLE)
    elif leg is not None and leg.state is LegState.DIALLED:  # it was made: its channel may be there still
        turn.hang_up(leg, HangUpReason.NORMAL, LegResult.UNREACHABLE)
    else:
        return
    _try_next_when_done(turn)


def member_rung(turn: Turn, rung: h.MemberRung) -> None:
    """Members rung within 0.2 s are one round, of which the CRM is told once."""
    if _queue(turn.call, rung.leg) is None:
        return
    turn.change(_member(turn.call, rung), LegState.RINGING, code=rung.code)
    if rung.code is not None and rung.code not in (*turn.call.told, *turn.call.round):
        turn.call = replace(turn.call, round=(*turn.call.round, rung.code))
        if not any(timer.name is TimerName.ROUND for timer in turn.call.timers):
            turn.set_timer(TimerName.ROUND, ROUND_SECONDS)


def member_answered(turn: Turn, answered: h.MemberAnswered) -> None:
    """The member talks: the caller is answered, the CRM is told of those who were rung."""
    leg = _queue(turn.call, answered.leg)
    if leg is None:
        return
    member = _member(turn.call, answered)
    member = turn.change(member, LegState.UP, code=answered.code, result=LegResult.ANSWERED)
    _tell_round(turn, *([member.code] if member.code else []))
    for other in turn.call.legs:
        if other.role is Role.MEMBER and other.id != member.id and other.alive:
            turn.change(other, LegState.GONE, result=LegResult.ELSEWHERE)
    _talk(turn, leg, member.code)


def member_ended(turn: Turn, ended: h.MemberEnded) -> None:
    """Noted, with what became of the member."""
    member = turn.call.leg(_member_id(ended.leg, ended.member))
    if member is not None and member.alive:
        turn.change(member, LegState.GONE, result=member_result(ended.status))


def ring_expired(turn: Turn, expired: h.TimerExpired) -> None:
    """Who didn't answer in time is hung up and the next destination is tried; a queue's round is told."""
    if expired.timer is TimerName.ROUND:
        _tell_round(turn)
    elif expired.timer is TimerName.RING:
        for leg in _current(turn.call):
            turn.hang_up(leg, HangUpReason.NORMAL, LegResult.NO_ANSWER)
        try_next(turn)


def caller_gave_up(turn: Turn, ended: h.CallerEnded) -> None:
    """The caller hung up while waiting (or the line failed): everyone is hung up and the CRM is told."""
    _tell_round(turn)
    turn.change(turn.call.caller, LegState.GONE)
    ending = Ending.FAILED if ended.cause in LINE_FAILURES else Ending.GAVE_UP
    turn.finish(ending, seen_at=ended.known_up_at)


def stopping(turn: Turn, _: h.ServiceStopping) -> None:
    """A caller who waits is sent on to the queue or dialplan destination, where the account has one."""
    call = turn.call
    ahead = call.destinations[max(call.attempt, 0) :]
    way = way_out(ahead) or way_out(call.policy.fallback) or way_out(call.policy.unknown)
    if way is not None:
        turn.call = replace(turn.call, stage=Stage.RINGING)
        _tell_round(turn)
        _send_to_dialplan(turn, way)


def _try_next_when_done(turn: Turn) -> None:
    if not any(leg.alive and leg.state is not LegState.LEAVING for leg in _current(turn.call)):
        try_next(turn)


def try_next(turn: Turn) -> None:
    """Go on to the next destination; after the last one the call ends."""
    _tell_round(turn)
    turn.clear_timer(TimerName.RING)
    turn.call = replace(turn.call, attempt=turn.call.attempt + 1)
    call = turn.call
    match call.destination:
        case None:
            people = (leg for leg in call.legs if leg.role is not Role.QUEUE)
            turn.finish(unanswered(leg.result for leg in people if leg.result is not None))
        case Dialplan() as place:
            _send_to_dialplan(turn, place)
        case People(codes, seconds):
            if call.attempt > 0:
                turn.order(Ringback(call.caller.id))
            turn.tell_ringing(codes)
            for code in codes:
                make_leg(turn, _new_leg(turn, Role.MANAGER, code))
            turn.set_timer(TimerName.RING, seconds)
        case Queue():
            if call.attempt > 0:
                turn.order(Ringback(call.caller.id))
            make_leg(turn, _new_leg(turn, Role.QUEUE))


def make_leg(turn: Turn, leg: Leg) -> None:
    """Let the PBX make a leg."""
    match turn.call.destinations[leg.attempt]:
        case Queue(context, exten):
            endpoint = f"Local/{exten}@{context}/n"
        case _:
            endpoint = turn.call.policy.endpoint(leg.code or "")
    turn.ring(leg, endpoint, shown_name(turn.call))


def _talk(turn: Turn, leg: Leg, code: str | None) -> None:
    turn.call = replace(
        turn.call, stage=Stage.TALKING, talker_leg=leg.id, talker=code, answered_at=turn.moment, timers=()
    )
    turn.change(leg, LegState.UP, result=LegResult.ANSWERED)
    turn.answer()
    turn.join(turn.call.caller, turn.call.leg(leg.id) or leg)
    for other in turn.call.our_legs:
        if other.id != leg.id:
            turn.hang_up(other, HangUpReason.ANSWERED_ELSEWHERE, LegResult.ELSEWHERE)
    if turn.call.policy.record:
        turn.record()


def _send_to_dialplan(turn: Turn, place: Dialplan) -> None:
    for leg in turn.call.our_legs:
        turn.hang_up(leg, HangUpReason.NORMAL, LegResult.NO_ANSWER)
    turn.call = replace(turn.call, stage=Stage.DIALPLAN, handed_on=True, sent_to=place, timers=())
    turn.order(sending(turn.call, place))
    turn.tidy()


def sending(call: Call, place: Dialplan) -> SendToDialplan:
    """Let the caller go on at a place in the dialplan."""
    return SendToDialplan(call.caller.id, place.context, place.exten, place.priority)


def _tell_round(turn: Turn, *also: str) -> None:
    gathered = (*turn.call.round, *also)
    turn.clear_timer(TimerName.ROUND)
    turn.call = replace(turn.call, round=())
    turn.tell_ringing(gathered)


def _new_leg(turn: Turn, role: Role, code: str | None = None) -> Leg:
    call = turn.call
    number = sum(1 for _ in call.our_legs) + 1
    return Leg(f"{call.id}-{number}", role, LegState.PLACED, turn.at, code=code, attempt=call.attempt)


def _current(call: Call) -> tuple[Leg, ...]:
    return tuple(leg for leg in call.our_legs if leg.attempt == call.attempt)


def _queue(call: Call, leg_id: str) -> Leg | None:
    leg = call.leg(leg_id)
    rings = leg is not None and leg.role is Role.QUEUE and leg.state not in (LegState.LEAVING, LegState.GONE)
    return leg if rings else None


def _member_id(leg_id: str, member: str) -> str:
    """One leg for each member of a queue, however often it is rung: ``PJSIP/101-0000002a`` is PJSIP/101."""
    return f"{leg_id}/{re.sub(r'-[0-9a-f]{8}(;[12])?$', '', member)}"


def _member(call: Call, said: h.MemberRung | h.MemberAnswered) -> Leg:
    leg_id = _member_id(said.leg, said.member)
    queue = call.leg(said.leg)
    known = call.leg(leg_id)
    if known is not None:
        return replace(known, result=None)
    attempt = queue.attempt if queue else -1
    return Leg(leg_id, Role.MEMBER, LegState.PLACED, said.at, code=said.code, attempt=attempt)


def became_of(leg: Leg, ended: h.LegEnded) -> LegResult:
    """Say what became of a leg that has ended."""
    if leg.role is Role.QUEUE:
        return LegResult.NO_ANSWER
    return leg_result(ended.cause, ended.sip, leg.rang)
