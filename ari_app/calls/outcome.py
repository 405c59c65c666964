"""How legs and calls end: hangup causes and facts, turned into the CRM's words.

Causes are Q.931 numbers as Asterisk reports them in ``ChannelDestroyed``; the SIP code (``tech_cause``) comes
with them from Asterisk 20.17 / 22.7 on and splits the few causes that mean two things.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class LegResult(StrEnum):
    """What became of one attempt to reach one person."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no answer"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    ELSEWHERE = "answered elsewhere"
    CALLER_LEFT = "caller left"
    FORWARDED = "forwarded"


class Ending(StrEnum):
    """How a call ended, as the shop sees it."""

    ANSWERED = "answered"
    GAVE_UP = "gave up"
    BUSY = "busy"
    NOT_ANSWERED = "not answered"
    FAILED = "failed"
    NOT_PLACED = "not placed"
    """The manager who was to make the call could not be had: the customer was never rung."""
    UNKNOWN = "unknown"
    """Whether anybody answered can't be known."""


@dataclass(frozen=True, slots=True)
class CrmWords:
    """retailCRM has two vocabularies for one fact: that of the hangup event and that of the call history."""

    hangup_status: str
    upload_result: str


CRM_WORDS: dict[Ending, CrmWords] = {
    Ending.ANSWERED: CrmWords("answered", "answered"),
    Ending.GAVE_UP: CrmWords("cancel", "no answer"),
    Ending.BUSY: CrmWords("busy", "busy"),
    Ending.NOT_ANSWERED: CrmWords("no answered", "no answer"),
    Ending.FAILED: CrmWords("failed", "failed"),
    Ending.NOT_PLACED: CrmWords("failed", "failed"),
    Ending.UNKNOWN: CrmWords("failed", "unknown"),  # the hangup event has no word for it
}

USER_BUSY = 17
NO_USER_RESPONSE = 18
NO_ANSWER = 19
CALL_REJECTED = 21
ANSWERED_ELSEWHERE = 26
NORMAL_CAUSES = frozenset({16, 31, 127})
LINE_FAILURES = frozenset({27, 34, 38, 41, 42, 44, 58})
"""The line or trunk broke: destination or network out of order, congestion, codec mismatch."""

_REFUSED_BY_TRUNK = frozenset({401, 403, 407})


def whole_seconds(seconds: float) -> int:
    """Give a duration as the CRM, the API and people are told it: half a second and more is a whole one."""
    return int(seconds + 0.5)


def says_little(cause: int) -> bool:
    """Tell whether a cause (Q.931) says no more than that a channel is gone."""
    return cause == 0 or cause in NORMAL_CAUSES


def leg_result(cause: int, sip: int | None, rang: bool) -> LegResult:
    """Say why a leg died that nobody had answered.

    `cause` is Q.931, `sip` the SIP code when Asterisk knows it, `rang` whether the phone had been ringing:
    it decides where Asterisk gives no cause (0) or an ordinary one.
    """
    if cause == USER_BUSY:
        return LegResult.BUSY
    if cause == CALL_REJECTED:
        return LegResult.UNREACHABLE if sip in _REFUSED_BY_TRUNK else LegResult.DECLINED
    if cause in (NO_USER_RESPONSE, NO_ANSWER):
        return LegResult.NO_ANSWER
    if cause == ANSWERED_ELSEWHERE:
        return LegResult.ELSEWHERE
    if says_little(cause):
        return LegResult.NO_ANSWER if rang else LegResult.UNREACHABLE
    return LegResult.UNREACHABLE


_MEMBER_RESULTS = {
    "ANSWER": LegResult.ANSWERED,
    "BUSY": LegResult.BUSY,
    "NOANSWER": LegResult.NO_ANSWER,
    "CANCEL": LegResult.NO_ANSWER,
    "CHANUNAVAIL": LegResult.UNREACHABLE,
    "CONGESTION": LegResult.UNREACHABLE,
}


def member_result(dialstatus: str) -> LegResult:
    """Say what a queue member's ``Dial`` status means; CANCEL is the end of a round that nobody took."""
    return _MEMBER_RESULTS.get(dialstatus, LegResult.NO_ANSWER)


def unanswered(results: Iterable[LegResult]) -> Ending:
    """Sum up a call for which every destination was tried in vain."""
    seen = set(results)
    if LegResult.CALLER_LEFT in seen:
        return Ending.GAVE_UP
    if seen == {LegResult.BUSY}:
        return Ending.BUSY
    if seen <= {LegResult.UNREACHABLE}:
        return Ending.FAILED
    return Ending.NOT_ANSWERED
