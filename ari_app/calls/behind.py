"""The parties dialled behind a Local channel: a queue's members, the customer, a transfer's target."""

from __future__ import annotations

import re
from collections.abc import Callable

from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Doing, Leg, LegState, Role
from ari_app.calls.outcome import LegResult, leg_result, says_little
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

NESTING = 5
"""How many Local channels behind one another are followed."""
TONES: dict[Doing | None, LegResult] = {
    Doing.BUSY: LegResult.BUSY,
    Doing.REFUSES: LegResult.UNREACHABLE,
}
"""What the dialplan plays a tone of, and what that means where no telephone has told more."""


def local_leg(call: Call, leg_id: str) -> Leg | None:
    """Find the Local leg of ours behind which a channel dials: itself, or one at any depth behind it."""
    leg = call.party(leg_id.partition("/")[0])
    gone = leg is None or leg.state in (LegState.LEAVING, LegState.GONE)
    return None if gone or leg is None or not leg.leads_on else leg


def goes_too_deep(leg_id: str) -> bool:
    """Tell whether so many Local channels lead to a member that it is followed no further."""
    return leg_id.count("/Local/") > NESTING


def telephones(call: Call, leg: Leg) -> tuple[Leg, ...]:
    """List the telephones that were rung behind a Local leg."""
    return tuple(member for member in call.members(leg) if member.local is None)


def is_rung(call: Call, leg: Leg) -> bool:
    """Tell whether somebody may still answer behind a Local leg."""
    return any(member.pending for member in call.members(leg))


def rung_in_vain(call: Call, leg: Leg) -> bool:
    """Tell whether somebody was dialled behind a Local leg, and nobody is any more."""
    members = call.members(leg)
    return bool(members) and not any(member.alive for member in members)


def put_through(call: Call, leg_id: str) -> bool:
    """Tell whether all Local channels behind a leg of ours are up, down to this one."""
    between = (one for one in call.legs if one.local is not None and f"{leg_id}/".startswith(f"{one.id}/"))
    return all(one.state is LegState.UP for one in between)


def speaks_behind(call: Call, leg: Leg, says: tuple[Doing, ...]) -> bool:
    """Tell whether a dialplan that a leg's own has dialled is through to it, and does one of these."""
    return any(
        one.local is not None and one.does in says and put_through(call, one.id)
        for one in call.members(leg)
        if one.alive
    )


def owner(call: Call, member: Leg, own: Callable[[str | None], str | None]) -> str | None:
    """Say whose a telephone is: its own extension's, or that of the nearest leg that leads to it.

    A telephone that is nobody's was rung by somebody's Follow Me, or by a transfer to their extension. `own`
    gives a code back if it is one of the account's.
    """
    if member.code is not None:
        return member.code
    around = (leg for leg in (call.caller, *call.legs) if member.id.startswith(f"{leg.id}/"))
    for leg in sorted(around, key=lambda leg: -len(leg.id)):
        if leg.target is not None:  # transferred there
            return own(leg.target)
        if leg.code is not None:
            return leg.code
    return None


def end_members(turn: Turn, leg: Leg, result: LegResult, *, left: str = "") -> None:
    """Note that nobody is rung any more behind a Local leg; Local channels that lead to `left` stay."""
    for member in turn.call.members(leg):
        if member.alive and not f"{left}/".startswith(f"{member.id}/"):
            turn.change(member, LegState.GONE, result=result)


def why_ended(leg: Leg, ended: h.LegEnded | h.CallerEnded) -> LegResult:
    """Say why a leg has ended that nobody had answered, by its own cause, else by its far half's."""
    return _why(leg, ended) or leg_result(ended.cause, ended.sip, leg.rang)


def _why(leg: Leg, ended: h.LegEnded | h.CallerEnded | None) -> LegResult | None:
    if ended is None or says_little(ended.cause):
        return leg.refusal
    return leg_result(ended.cause, ended.sip, leg.rang)


def far_half_ended(turn: Turn, ended: h.FarHalfEnded) -> None:
    """Why it ended is noted for the near half, which ends with it."""
    leg = local_leg(turn.call, ended.leg)
    if leg is not None and leg.id == ended.leg:
        leg = replace(leg, refusal=leg_result(ended.cause, ended.sip, leg.rang))
        turn.call = replace(turn.call, caller=leg) if leg.role is Role.CALLER else turn.call.with_leg(leg)


def member_id(leg_id: str, member: str) -> str:
    """One leg for each member of a queue, however often it is rung: ``PJSIP/101-0000002a`` is PJSIP/101."""
    return f"{leg_id}/{re.sub(r'-[0-9a-f]{8}(;[12])?$', '', member)}"


def member_leg(call: Call, said: h.MemberRung | h.MemberAnswered) -> Leg:
    """Find the leg of somebody who is rung behind a Local leg, at any depth, or make it."""
    leg_id = member_id(said.leg, said.member)
    dialler = call.party(said.leg)
    known = call.leg(leg_id)
    if known is None and dialler is not None and said.local is None:
        name = member_id("", said.member)
        known = next((one for one in telephones(call, dialler) if one.id.endswith(name)), None)
    if known is not None and known.local == said.local:
        return known if known.state is LegState.UP else replace(known, result=None, ended_at=None)
    return Leg(
        leg_id,
        Role.MEMBER,
        LegState.PLACED,
        said.at,
        code=said.code,
        attempt=dialler.attempt if dialler else -1,
        began_at=said.at,
        local=said.local,
    )


def became_of(call: Call, leg: Leg, ended: h.LegEnded | None = None) -> LegResult:
    """Say what became of a leg that has ended, or behind which nobody will answer.

    Of a telephone that never rang the PBX may say no more than that nobody has answered: then the tone that
    the dialplan plays tells more.
    """
    if leg.role is Role.QUEUE and ended is not None:
        return LegResult.NO_ANSWER
    members = sorted(call.members(leg), key=lambda one: (one.local is None, one.ended_at or 0.0))
    known = [one for one in members if one.result not in (None, LegResult.ANSWERED)]
    telling = [one.result for one in known if one.rang or one.result is not LegResult.NO_ANSWER]
    result = _why(leg, ended) or next(reversed(telling), None) or TONES.get(leg.does)
    if result is not None:
        return result
    return LegResult.NO_ANSWER if known or ended is None else why_ended(leg, ended)
