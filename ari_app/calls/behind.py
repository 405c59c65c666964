"""The parties dialled behind a Local channel: a queue's members, the customer, a transfer's target."""

from __future__ import annotations

import re
from dataclasses import replace

from ari_app.calls import happenings as h
from ari_app.calls.call import LOCAL_ROLES, Call, Leg, LegState, Role
from ari_app.calls.outcome import NORMAL_CAUSES, LegResult, leg_result
from ari_app.calls.turn import Turn


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
