"""What a call tries, one after another: people are rung, or the caller is sent into the dialplan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ari_app.calls.call import Call, Direction, Leg, LegState, Role, Sought, Stage, TimerName, Way
from ari_app.calls.names import shown_name
from ari_app.calls.orders import FindTelephones, HangUpReason, PassOver, SendToDialplan
from ari_app.calls.outcome import Ending, LegResult, unanswered
from ari_app.calls.routing import Destination, Dialplan, Outside, People, Queue
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

DIAL_MARGIN_SECONDS = 5.0
"""The PBX's own limit on ringing comes this much after ours: it matters only when we are gone for good."""
TELEPHONES_SECONDS = 1.0
"""How long a call waits for the PBX to say which telephones there are."""
SILENT_SECONDS = 3.0
"""How long a telephone of which nothing is heard holds a call up when its manager has refused at another."""


def try_next(turn: Turn) -> None:
    """Go on to the next destination; after the last one the call ends."""
    turn.tell_round()
    turn.clear_timer(TimerName.RING)
    turn.clear_timer(TimerName.TELEPHONES)
    turn.clear_timer(TimerName.SILENT)
    turn.clear_timer(TimerName.VAIN)
    turn.call = replace(turn.call, attempt=turn.call.attempt + 1, sought=())
    if turn.call.destination is None:
        left = turn.call.left_to_dialplan
        turn.finish(Ending.NOT_ANSWERED if left else unanswered(_results(turn.call)))
        return
    turn.call = replace(turn.call, left_to_dialplan=False)
    match turn.call.destination:
        case Dialplan() as place:
            send_to_dialplan(turn, place)
        case People(codes, seconds):
            _ring_people(turn, codes, seconds)
        case Queue():
            _let_hear_ringing(turn)
            make_leg(turn, new_leg(turn, Role.QUEUE))
        case Outside(number):
            make_leg(turn, replace(new_leg(turn, Role.CUSTOMER), target=number))


def try_next_when_done(turn: Turn) -> None:
    """Go on to the next destination when no leg of the present one is left."""
    tried = any(leg.alive and leg.state is not LegState.LEAVING for leg in current(turn.call))
    if not tried and not turn.call.sought:
        try_next(turn)


def silent(legs: Iterable[Leg]) -> tuple[Leg, ...]:
    """List the telephones that are left and give no sign of life, whose managers have refused at another.

    There are none as long as anybody rings.
    """
    legs = tuple(legs)
    left = tuple(leg for leg in legs if leg.alive and leg.state is not LegState.LEAVING)
    refused = {leg.code for leg in legs if leg.result in (LegResult.BUSY, LegResult.DECLINED)}
    return left if all(leg.pending and not leg.rang and leg.code in refused for leg in left) else ()


def doubt_the_silent(turn: Turn, legs: Iterable[Leg]) -> None:
    """Give telephones that don't ring a little while, when nobody else is left."""
    if silent(legs) and not _is_set(turn.call, TimerName.SILENT):
        turn.set_timer(TimerName.SILENT, SILENT_SECONDS)


def give_up_the_silent(turn: Turn, legs: Iterable[Leg]) -> None:
    """Hang up the telephones of which nothing was heard."""
    turn.clear_timer(TimerName.SILENT)
    for leg in silent(legs):
        turn.hang_up(leg, HangUpReason.NORMAL, LegResult.UNREACHABLE)


def ring_again(turn: Turn, places: tuple[Destination, ...]) -> None:
    """Ring others for a customer who has talked already."""
    turn.end_talk()
    tried = turn.call.destinations
    turn.call = replace(
        turn.call, stage=Stage.RINGING, destinations=(*tried, *places), attempt=len(tried) - 1
    )
    try_next(turn)


def fallback(call: Call) -> tuple[Destination, ...]:
    """List what is tried when nobody takes a transfer; a customer whom we called isn't sent elsewhere."""
    places = call.policy.fallback
    return places if call.direction is Direction.IN else without_dialplan(places)


def without_dialplan(places: tuple[Destination, ...]) -> tuple[Destination, ...]:
    """Leave the places in the dialplan out."""
    return tuple(place for place in places if not isinstance(place, Dialplan))


def _results(call: Call) -> Iterator[LegResult]:
    """List what became of the people who were tried; a manager's leg speaks for those behind it."""
    people = (Role.MANAGER, Role.MEMBER) if call.direction is Direction.IN else (Role.CUSTOMER,)
    managers = [leg for leg in call.legs if leg.role is Role.MANAGER]
    spoken_for = {member.id for leg in managers for member in call.members(leg)}
    for leg in call.legs:
        dead = leg.result is LegResult.UNREACHABLE and _others_of(call, leg)
        counts = leg.role in people and leg.id not in spoken_for and not dead
        if counts and leg.result not in (None, LegResult.FORWARDED):
            yield leg.result
    for _ in call.passed_over:
        yield LegResult.BUSY
    for _ in call.absent:
        yield LegResult.UNREACHABLE


def _others_of(call: Call, leg: Leg) -> bool:
    """Tell whether another telephone of the same extension was there to ring."""
    return leg.role is Role.MANAGER and any(
        (other.code, other.attempt) == (leg.code, leg.attempt) and other.result is not LegResult.UNREACHABLE
        for other in call.legs
    )


def _ring_people(turn: Turn, codes: tuple[str, ...], seconds: float) -> None:
    """Ring the managers who are free; when all are busy the next destination is tried at once."""
    free = free_of(turn, codes)
    if not free:
        try_next(turn)
        return
    _let_hear_ringing(turn)
    if turn.call.policy.telephones and turn.call.way is Way.ARI:
        seek(turn, free)
        return
    _tell_ringing(turn, free)
    for code in free:
        make_leg(turn, new_leg(turn, Role.MANAGER, code))
    turn.set_timer(TimerName.RING, seconds)


def _tell_ringing(turn: Turn, codes: tuple[str, ...]) -> None:
    """Tell the CRM whom we ring; whose telephone a dialplan rings is told when it does."""
    if not turn.call.policy.through_dialplan:
        turn.tell_ringing(codes)


def free_of(turn: Turn, codes: tuple[str, ...]) -> tuple[str, ...]:
    """Pass over those who are busy; give the others."""
    busy = frozenset() if turn.call.policy.ignore_manager_status else turn.busy
    passed_over = tuple(code for code in codes if code in busy)
    if passed_over:
        everyone = (*turn.call.passed_over, *passed_over)
        turn.call = replace(turn.call, passed_over=tuple(dict.fromkeys(everyone)))
        turn.order(PassOver(passed_over))
    return tuple(code for code in codes if code not in busy)


def seek(turn: Turn, codes: tuple[str, ...], via: tuple[str, ...] = ()) -> None:
    """Ask for the telephones of extensions; they are rung when the PBX has answered, or is too slow."""
    call, waiter = turn.call, turn.call.waiter.id
    turn.call = replace(call, sought=(*call.sought, *(Sought(code, waiter, via) for code in codes)))
    turn.order(FindTelephones(waiter, call.attempt, codes))
    turn.set_timer(TimerName.TELEPHONES, TELEPHONES_SECONDS)


def ring_telephones(turn: Turn, found: Mapping[str, tuple[str, ...] | None]) -> None:
    """Ring all telephones of those who were sought and are found; none: the PBX is to choose one.

    Who has no telephone is passed over. The ring seconds count from the first who rings.
    """
    call = turn.call
    now = tuple(one for one in call.sought if one.code in found)
    if not now:
        return
    absent = tuple(one.code for one in now if found[one.code] == ())
    turn.call = replace(
        call,
        sought=tuple(one for one in call.sought if one.code not in found),
        absent=tuple(dict.fromkeys((*call.absent, *absent))),
    )
    if not turn.call.sought:
        turn.clear_timer(TimerName.TELEPHONES)
    free = free_of(turn, tuple(one.code for one in now if one.code not in absent))
    there = tuple(one for one in now if one.code in free)
    _tell_ringing(turn, free)
    for one in there:
        for endpoint in found[one.code] or (None,):
            leg = new_leg(turn, Role.MANAGER, one.code)
            make_leg(turn, replace(leg, endpoint=endpoint, via=one.via))
    if there and isinstance(call.destination, People) and not _is_set(call, TimerName.RING):
        turn.set_timer(TimerName.RING, call.destination.seconds)
    try_next_when_done(turn)


def _is_set(call: Call, name: TimerName) -> bool:
    return any(timer.name is name for timer in call.timers)


def _let_hear_ringing(turn: Turn) -> None:
    if turn.call.attempt > 0 or turn.call.answered_at is not None:  # at first the caller hears it already
        turn.let_hear_ringing()


def new_leg(turn: Turn, role: Role, code: str | None = None) -> Leg:
    """Describe a leg that is to be made for the present destination."""
    call = turn.call
    number = sum(1 for leg in call.our_legs if leg.id.startswith(call.id)) + 1 + call.clicked
    return Leg(
        f"{call.id}-{number}",
        role,
        LegState.PLACED,
        turn.now,
        code=code,
        attempt=call.attempt,
        began_at=turn.now,
    )


def make_leg(turn: Turn, leg: Leg) -> None:
    """Let the PBX make a leg."""
    call = turn.call
    name, number = shown_name(call), call.number or ""
    if leg.endpoint is not None:
        turn.ring(leg, leg.endpoint, name, number)
        return
    match call.destinations[leg.attempt]:
        case Queue(context, exten):
            endpoint = f"Local/{exten}@{context}/n"
        case Outside(dialled, local=context):
            if call.way is Way.AJAM:  # the dialplan dials
                turn.call = call.with_leg(replace(leg, state=LegState.DIALLED))
                return
            endpoint = f"Local/{dialled}@{context}/n"
            name, number = "", call.external or call.caller.code or ""
        case _:
            endpoint = call.policy.endpoint(leg.code or "")
    turn.ring(leg, endpoint, name, number)


def current(call: Call) -> tuple[Leg, ...]:
    """List the legs of the destination that is being tried."""
    return tuple(leg for leg in call.our_legs if leg.attempt == call.attempt)


def send_to_dialplan(turn: Turn, place: Dialplan) -> None:
    """Let the caller go on in the shop's dialplan; phones that still ring are hung up."""
    for leg in turn.call.our_legs:
        turn.hang_up(leg, HangUpReason.NORMAL, LegResult.NO_ANSWER)
    turn.tell_round()
    turn.stop_ringing()
    turn.end_talk()
    turn.call = replace(
        turn.call,
        stage=Stage.DIALPLAN,
        handed_on=True,
        sent_to=place,
        timers=turn.call.lasting_timers,
        sought=(),
        caller=replace(turn.call.caller, far=turn.call.caller.id),  # it runs the dialplan from now on
    )
    turn.order(sending(turn.call, place))
    turn.tidy()


def sending(call: Call, place: Dialplan) -> SendToDialplan:
    """Let the caller go on at a place in the dialplan."""
    return SendToDialplan(call.waiter.id, place.context, place.exten, place.priority)
