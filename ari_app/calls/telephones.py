"""The moves by which an extension's telephones are found and rung, and by which their own forwarding is
followed, while a customer waits.

All telephones of an extension ring, each by a leg of its own with the extension's code. Where the PBX can't
say which there are, it is asked to ring the extension, and chooses one.
"""

from __future__ import annotations

from collections.abc import Iterable

from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Leg, LegState, Role, Sought
from ari_app.calls.outcome import LegResult
from ari_app.calls.routing import Outside
from ari_app.calls.trying import free_of, make_leg, new_leg, ring_telephones, seek, try_next_when_done
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

MOST_FORWARDS = 5
"""How often a call is forwarded on, from one telephone to the next."""


def telephones_found(turn: Turn, found: h.TelephonesFound) -> None:
    """All telephones of who is to be rung are rung; who has none registered is passed over, and not told."""
    if found.attempt == turn.call.attempt:
        ring_telephones(turn, {one.code: one.endpoints for one in found.telephones})


def leg_forwarded(turn: Turn, forwarded: h.LegForwarded) -> None:
    """Where a telephone forwards its calls to is rung in its place; a circle, or a sixth time, ends there."""
    leg = turn.call.leg(forwarded.leg)
    if leg is None or not leg.pending or leg.role is not Role.MANAGER:
        return
    if not may_follow(leg, forwarded):
        turn.change(leg, LegState.LEAVING, result=LegResult.UNREACHABLE)
    else:
        turn.change(leg, LegState.LEAVING, result=LegResult.FORWARDED)
        _follow(turn, leg, forwarded)
    try_next_when_done(turn)


def may_follow(leg: Leg, forwarded: h.LegForwarded) -> bool:
    """Tell whether a telephone's forwarding leads somewhere: not in a circle, nor further than is allowed."""
    so_far = via(leg)
    somewhere = forwarded.inside or forwarded.way is not None
    return somewhere and forwarded.target not in so_far and len(so_far) <= MOST_FORWARDS


def via(leg: Leg) -> tuple[str, ...]:
    """List whose telephones have forwarded the call, this one the last."""
    return (*leg.via, leg.code or "")


def outside_leg(turn: Turn, leg: Leg, forwarded: h.LegForwarded) -> Leg:
    """Make the leg to where the account has no extension; it stands for whose telephone was forwarded."""
    way = forwarded.way
    assert way is not None
    return replace(
        new_leg(turn, Role.FORWARDED, leg.code),
        endpoint=_endpoint(way),
        via=via(leg),
    )


def _endpoint(way: Outside) -> str:
    return f"Local/{way.number}@{way.local}/n"


def _follow(turn: Turn, leg: Leg, forwarded: h.LegForwarded) -> None:
    call, target = turn.call, forwarded.target
    if is_rung(call.our_legs, call, forwarded):
        return
    turn.let_hear_ringing()
    if not forwarded.inside:
        make_leg(turn, outside_leg(turn, leg, forwarded))
    elif not free_of(turn, (target,)):
        pass
    elif call.policy.telephones:
        seek(turn, (target,), via(leg))
    else:
        waiting = (*call.sought, Sought(target, call.waiter.id, via(leg)))
        turn.call = replace(turn.call, sought=waiting)
        ring_telephones(turn, {target: None})


def is_rung(legs: Iterable[Leg], call: Call, forwarded: h.LegForwarded) -> bool:
    """Tell whether somebody else's forwarding, or the group, lets the target ring already."""
    rung = (leg.code for leg in legs if leg.pending)
    if forwarded.way is not None:
        outside = (leg.endpoint for leg in legs if leg.pending)
        return _endpoint(forwarded.way) in outside
    sought = (one.code for one in call.sought if forwarded.inside)
    return forwarded.target in (*rung, *sought)
