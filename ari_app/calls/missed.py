"""Missed customers: what a call that is over means for whether the shop still owes a customer a call.

A customer is *missed* when they called, their number is known and no person of the shop talked with them: a
voicemail or a menu is no person. They are *called back* by the first call after that in which somebody did:
one of ours to their number, by any line, or another one of theirs. Of a call of which nobody knows how it
ended nothing follows.
"""

from __future__ import annotations

from dataclasses import dataclass

from ari_app.calls.call import Call, Direction, Way
from ari_app.calls.numbers import LONGEST_INTERNAL
from ari_app.calls.orders import TellNotice, TellTask
from ari_app.calls.outcome import Ending

LOST_SECONDS = 86_400.0
"""A customer who was missed so long ago, by the clock, and whom nobody has called back, is lost."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A customer called in vain. `rung` are the extensions that were rung or should have been."""

    call: str
    number: str
    at: float
    """When they called, in seconds since the epoch."""
    line: str | None
    """The number of the shop's that they called."""
    responsible: str | None
    rung: tuple[str, ...]
    name: str | None


@dataclass(frozen=True, slots=True)
class Talked:
    """Somebody of the shop talked with a customer."""

    call: str
    number: str
    at: float
    """When the talk began; both in seconds since the epoch."""
    until: float
    by: str | None
    """The extension of who talked first."""
    ours: bool
    """The shop called; else the customer did."""


def meaning_of(call: Call) -> Tried | Talked | None:
    """Say what a call means for the customer's being called back; None: nothing, or not yet."""
    number = call.number
    if not call.over or number is None or len(number) <= LONGEST_INTERNAL or call.trial is not None:
        return None
    if call.ending in (None, Ending.UNKNOWN):
        return None
    if person_talked(call):
        began = call.answered_at if call.answered_at is not None else call.started_at
        by = (
            call.first_talker
            or call.talker
            or (call.caller.code if call.direction is Direction.OUT else None)
        )
        return Talked(call.id, number, began, call.ended_at or began, by, call.direction is Direction.OUT)
    if call.direction is Direction.OUT:
        return None
    rung = dict.fromkeys((*call.told, *call.passed_over, *call.absent))
    return Tried(call.id, number, call.started_at, call.external, call.responsible, tuple(rung), call.name)


def tells_of(call: Call, tried: Tried) -> tuple[TellTask | TellNotice, ...]:
    """Give what the CRM is told when a customer is missed for the first time, as the account wants it."""
    codes = (tried.responsible,) if tried.responsible is not None else tried.rung
    about = (call.ended_at or tried.at, tried.number, tried.line, codes, tried.at, tried.name)
    wanted = ((call.policy.missed_task, TellTask), (call.policy.missed_notice, TellNotice))
    return tuple(kind(*about) for wants, kind in wanted if wants)


def person_talked(call: Call) -> bool:
    """Tell whether a person of the shop and the customer talked in a call that is over."""
    if call.ending is not Ending.ANSWERED:
        return False
    if call.way is not Way.ARI or call.direction is Direction.OUT:
        return True
    return (call.talked, call.talker_leg, call.talker) != (None, None, None)
