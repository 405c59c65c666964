"""What a call tries, one after another: people are rung, or the caller is sent into the dialplan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ari_app.calls.call import Call, Direction, Leg, LegState, Role, Stage, TimerName, Way
from ari_app.calls.names import shown_name
from ari_app.calls.orders import HangUpReason, PassOver, SendToDialplan
from ari_app.calls.outcome import Ending, LegResult, unanswered
from ari_app.calls.routing import Destination, Dialplan, Outside, People, Queue
from ari_app.calls.turn import Turn

DIAL_MARGIN_SECONDS = 5.0
"""The PBX's own limit on ringing comes this much after ours: it matters only when we are gone for good."""


def try_next(turn: Turn) -> None:
    """Go on to the next destination; after the last one the call ends."""
    turn.tell_round()
    turn.clear_timer(TimerName.RING)
    turn.clear_timer(TimerName.VAIN)
    turn.call = replace(turn.call, attempt=turn.call.attempt + 1)
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
            make_leg(turn, _new_leg(turn, Role.QUEUE))
        case Outside(number):
            make_leg(turn, replace(_new_leg(turn, Role.CUSTOMER), target=number))


def try_next_when_done(turn: Turn) -> None:
    """Go on to the next destination when no leg of the present one is left."""
    if not any(leg.alive and leg.state is not LegState.LEAVING for leg in current(turn.call)):
        try_next(turn)


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
    """List what became of the people who were tried."""
    people = (Role.MANAGER, Role.MEMBER) if call.direction is Direction.IN else (Role.CUSTOMER,)
    for leg in call.legs:
        if leg.role in people and leg.result is not None:
            yield leg.result
    for _ in call.passed_over:
        yield LegResult.BUSY


def _ring_people(turn: Turn, codes: tuple[str, ...], seconds: float) -> None:
    """Ring the managers who are free; when all are busy the next destination is tried at once."""
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
    if turn.call.attempt > 0 or turn.call.answered_at is not None:  # at first the caller hears it already
        turn.let_hear_ringing()


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
    turn.call = replace(turn.call, stage=Stage.DIALPLAN, handed_on=True, sent_to=place, timers=())
    turn.order(sending(turn.call, place))
    turn.tidy()


def sending(call: Call, place: Dialplan) -> SendToDialplan:
    """Let the caller go on at a place in the dialplan."""
    return SendToDialplan(call.waiter.id, place.context, place.exten, place.priority)
