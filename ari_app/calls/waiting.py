"""The moves of a call while somebody waits for an answer: arriving and ringing. One small function for each
thing that can happen; the first line of its docstring is its line in the state table of the documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ari_app.calls import happenings as h
from ari_app.calls.call import (
    LOCAL_ROLES,
    Call,
    Direction,
    Leg,
    LegState,
    RecordingState,
    Role,
    Stage,
    TimerName,
    Way,
)
from ari_app.calls.names import clean_name, shown_name
from ari_app.calls.orders import (
    AskPbx,
    HangUp,
    HangUpReason,
    LookUp,
    PassOver,
    Ringback,
    SendToDialplan,
    Watch,
)
from ari_app.calls.outcome import (
    LINE_FAILURES,
    NORMAL_CAUSES,
    Ending,
    LegResult,
    leg_result,
    member_result,
    unanswered,
)
from ari_app.calls.routing import Dialplan, Outside, People, Queue, is_extension, plan, way_out
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
        turn.join(turn.call.waiter, leg)
    if leg.role in LOCAL_ROLES:
        turn.order(Watch(leg.far_id))
    leg = turn.call.leg(ready.leg) or leg
    turn.dial(leg, destination.seconds + DIAL_MARGIN_SECONDS if isinstance(destination, People) else None)


def stray_leg(turn: Turn, ready: h.LegReady) -> None:
    """A leg that had been given up but turns up all the same is hung up."""
    leg = turn.call.leg(ready.leg)
    if leg is not None and not leg.alive:
        turn.order(HangUp(leg.id))


def leg_ringing(turn: Turn, ringing: h.LegRinging) -> None:
    """Noted; a manager who waits for the customer hears ringing."""
    leg = turn.call.leg(ringing.leg)
    if leg is None or leg.state not in (LegState.PLACED, LegState.DIALLED):
        return
    turn.change(leg, LegState.RINGING)
    if leg.role is Role.CUSTOMER:
        tell_out(turn)
        if turn.call.waiter.state is LegState.UP:
            turn.let_hear_ringing()


def leg_answered(turn: Turn, answered: h.LegAnswered) -> None:
    """The first answer wins: who waits is answered and joined, the others hung up as answered elsewhere."""
    leg = turn.call.leg(answered.leg)
    if leg is None or not leg.pending:
        return
    leg = turn.change(leg, LegState.UP)
    if leg.role is Role.MANAGER:
        talk(turn, leg, answered.code or leg.code)
    elif leg.role is Role.CUSTOMER:
        talk(turn, leg, turn.call.caller.code)
    elif leg.role is Role.QUEUE:
        turn.order(AskPbx((leg.id,)))  # of a call pickup nothing else tells


def leg_ended(turn: Turn, ended: h.LegEnded) -> None:
    """When the last leg of a destination is gone, the next destination is tried at once."""
    leg = turn.call.leg(ended.leg)
    if leg is None or not leg.alive:
        return
    if leg.id == turn.call.waiter.id:
        _gave_up(turn, leg, ended.cause, ended.known_up_at)
        return
    turn.change(leg, LegState.GONE, result=became_of(turn.call, leg, ended))
    if leg.role in LOCAL_ROLES:
        end_members(turn, leg, LegResult.NO_ANSWER)
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
    """The member talks: who waits is answered, the CRM is told of those who were rung."""
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
    tell_round(turn, *filter(None, (member.code,)))
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
        _try_next_when_done(turn)


def ring_expired(turn: Turn, expired: h.TimerExpired) -> None:
    """Who didn't answer in time is hung up and the next destination is tried; a queue's round is told."""
    if expired.timer is TimerName.ROUND:
        tell_round(turn)
    elif expired.timer is TimerName.RING:
        for leg in _current(turn.call):
            turn.hang_up(leg, HangUpReason.NORMAL, LegResult.NO_ANSWER)
        try_next(turn)


def caller_ended(turn: Turn, ended: h.CallerEnded) -> None:
    """The one who waits hung up (or the line failed): everyone is hung up and the CRM is told."""
    if turn.call.waiter.id == turn.call.caller.id:
        _gave_up(turn, turn.call.caller, ended.cause, ended.known_up_at)
    else:  # a manager who has transferred the customer
        turn.change(turn.call.caller, LegState.GONE)


def _gave_up(turn: Turn, leg: Leg, cause: int, known_up_at: float | None) -> None:
    tell_round(turn)
    turn.change(leg, LegState.GONE)
    tried = [one.result for one in turn.call.legs if one.result is not None]
    ending = Ending.FAILED if cause in LINE_FAILURES else Ending.GAVE_UP
    if turn.call.way is Way.AJAM and tried:  # the dialplan hung up when it had tried the customer in vain
        ending = unanswered(tried)
    turn.finish(ending, seen_at=known_up_at)


def stopping(turn: Turn, _: h.ServiceStopping) -> None:
    """A caller who waits is sent on to the queue or dialplan destination, where the account has one."""
    call = turn.call
    if call.direction is Direction.OUT:
        return  # the PBX joins manager and customer without us
    ahead = call.destinations[max(call.attempt, 0) :]
    way = way_out(ahead) or way_out(call.policy.fallback) or way_out(call.policy.unknown)
    if way is not None:
        turn.call = replace(turn.call, stage=Stage.RINGING)
        tell_round(turn)
        _send_to_dialplan(turn, way)


def _try_next_when_done(turn: Turn) -> None:
    if not any(leg.alive and leg.state is not LegState.LEAVING for leg in _current(turn.call)):
        try_next(turn)


def try_next(turn: Turn) -> None:
    """Go on to the next destination; after the last one the call ends."""
    tell_round(turn)
    turn.clear_timer(TimerName.RING)
    turn.call = replace(turn.call, attempt=turn.call.attempt + 1)
    match turn.call.destination:
        case None:
            turn.finish(unanswered(_results(turn.call)))
        case Dialplan() as place:
            _send_to_dialplan(turn, place)
        case People(codes, seconds):
            _ring_people(turn, codes, seconds)
        case Queue():
            _let_hear_ringing(turn)
            make_leg(turn, _new_leg(turn, Role.QUEUE))
        case Outside(number):
            make_leg(turn, replace(_new_leg(turn, Role.CUSTOMER), target=number))


def _results(call: Call) -> Iterator[LegResult]:
    """List what became of those who were tried."""
    people = (Role.MANAGER, Role.MEMBER) if call.direction is Direction.IN else (Role.CUSTOMER,)
    for leg in call.legs:
        if leg.role in people and leg.result is not None:
            yield leg.result
    for _ in call.passed_over:
        yield LegResult.BUSY


def _ring_people(turn: Turn, codes: tuple[str, ...], seconds: float) -> None:
    """Ring those who are free; when all are busy the next destination is tried at once."""
    busy = frozenset() if turn.call.policy.ignore_manager_status else turn.busy
    free = tuple(code for code in codes if code not in busy)
    passed_over = tuple(code for code in codes if code in busy)
    turn.call = replace(turn.call, passed_over=tuple(dict.fromkeys(turn.call.passed_over + passed_over)))
    if passed_over:
        turn.order(PassOver(passed_over))
    if not free:
        try_next(turn)
        return
    _let_hear_ringing(turn)
    turn.tell_ringing(free)
    for code in free:
        make_leg(turn, _new_leg(turn, Role.MANAGER, code))
    turn.set_timer(TimerName.RING, seconds)


def _let_hear_ringing(turn: Turn) -> None:
    if turn.call.attempt > 0 or turn.call.answered_at is not None:  # the first time they hear it already
        turn.let_hear_ringing()


def make_leg(turn: Turn, leg: Leg) -> None:
    """Let the PBX make a leg."""
    call = turn.call
    name, number = shown_name(call), call.number or ""
    match call.destinations[leg.attempt]:
        case Queue(context, exten):
            endpoint = f"Local/{exten}@{context}/n"
        case Outside(dialled, local=context):
            if call.way is Way.AJAM:  # the dialplan dials
                turn.call = call.with_leg(replace(leg, state=LegState.DIALLED))
                return
            endpoint, name, number = (
                f"Local/{dialled}@{context}/n",
                "",
                call.external or call.caller.code or "",
            )
        case _:
            endpoint = call.policy.endpoint(leg.code or "")
    turn.ring(leg, endpoint, name, number)


def talk(turn: Turn, leg: Leg, code: str | None) -> None:
    """Let who waits talk to who has answered on a leg; `code` is the extension of the shop's side."""
    call, waiter = turn.call, turn.call.waiter
    manager = call.caller if leg.role is Role.CUSTOMER else leg
    turn.call = replace(
        call,
        stage=Stage.TALKING,
        talker_leg=manager.id,
        talker=code or call.talker,
        first_talker=call.first_talker or code,
        answered_at=turn.moment if call.answered_at is None else call.answered_at,
        timers=(),
    )
    if leg.role is Role.CUSTOMER:
        tell_out(turn)
    elif code is not None:
        turn.tell_ringing((code,))
    turn.change(leg, LegState.UP, result=LegResult.ANSWERED)
    turn.stop_ringing()
    if call.way is Way.ARI:
        if call.answered_at is None:
            turn.answer(waiter)
        turn.join(waiter, turn.call.leg(leg.id) or leg)
    for other in turn.call.our_legs:
        if other.id not in (leg.id, waiter.id):
            turn.hang_up(other, HangUpReason.ANSWERED_ELSEWHERE, LegResult.ELSEWHERE)
    if call.policy.record and call.way is Way.ARI and call.recording.state is RecordingState.NONE:
        turn.record()


def tell_out(turn: Turn) -> None:
    """Tell the CRM, once, that the manager calls the customer."""
    if turn.call.caller.code is not None:
        turn.tell_ringing((turn.call.caller.code,))


def _send_to_dialplan(turn: Turn, place: Dialplan) -> None:
    for leg in turn.call.our_legs:
        turn.hang_up(leg, HangUpReason.NORMAL, LegResult.NO_ANSWER)
    turn.stop_ringing()
    turn.call = replace(turn.call, stage=Stage.DIALPLAN, handed_on=True, sent_to=place, timers=())
    turn.order(sending(turn.call, place))
    turn.tidy()


def sending(call: Call, place: Dialplan) -> SendToDialplan:
    """Let the caller go on at a place in the dialplan."""
    return SendToDialplan(call.waiter.id, place.context, place.exten, place.priority)


def tell_round(turn: Turn, *also: str) -> None:
    """Tell the CRM of the members who were gathered in this round."""
    gathered = (*turn.call.round, *also)
    turn.clear_timer(TimerName.ROUND)
    turn.call = replace(turn.call, round=())
    turn.tell_ringing(gathered)


def _new_leg(turn: Turn, role: Role, code: str | None = None) -> Leg:
    call = turn.call
    number = sum(1 for leg in call.our_legs if leg.id.startswith(call.id)) + 1 + call.clicked
    return Leg(
        f"{call.id}-{number}",
        role,
        LegState.PLACED,
        turn.at,
        code=code,
        attempt=call.attempt,
        began_at=turn.at,
    )


def _current(call: Call) -> tuple[Leg, ...]:
    return tuple(leg for leg in call.our_legs if leg.attempt == call.attempt)


def local_leg(call: Call, leg_id: str) -> Leg | None:
    """Find a Local leg behind which somebody may be rung."""
    leg = call.leg(leg_id)
    rings = leg is not None and leg.role in LOCAL_ROLES and leg.state not in (LegState.LEAVING, LegState.GONE)
    return leg if rings else None


def end_members(turn: Turn, leg: Leg, result: LegResult) -> None:
    """Note that nobody is rung any more behind a Local leg."""
    for member in turn.call.members(leg):
        if member.alive:
            turn.change(member, LegState.GONE, result=result)


def member_id(leg_id: str, member: str) -> str:
    """One leg for each member of a queue, however often it is rung: ``PJSIP/101-0000002a`` is PJSIP/101."""
    return f"{leg_id}/{re.sub(r'-[0-9a-f]{8}(;[12])?$', '', member)}"


def member_leg(call: Call, said: h.MemberRung | h.MemberAnswered) -> Leg:
    """Find the leg of somebody who is rung behind a Local leg, or make it."""
    leg_id = member_id(said.leg, said.member)
    local = call.leg(said.leg)
    known = call.leg(leg_id)
    if known is not None:
        return known if known.state is LegState.UP else replace(known, result=None, ended_at=None)
    attempt = local.attempt if local else -1
    return Leg(
        leg_id, Role.MEMBER, LegState.PLACED, said.at, code=said.code, attempt=attempt, began_at=said.at
    )


def became_of(call: Call, leg: Leg, ended: h.LegEnded) -> LegResult:
    """Say what became of a leg that has ended."""
    if leg.role is Role.QUEUE:
        return LegResult.NO_ANSWER
    results = (member.result for member in call.members(leg))
    known = [result for result in results if result not in (None, LegResult.ANSWERED)]
    if known and (ended.cause == 0 or ended.cause in NORMAL_CAUSES):
        return known[-1]
    return leg_result(ended.cause, ended.sip, leg.rang)
