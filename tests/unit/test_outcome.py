"""Why a leg died, and what a whole call comes to."""

import pytest

from ari_app.calls.outcome import (
    CRM_WORDS,
    CrmWords,
    Ending,
    LegResult,
    leg_result,
    member_result,
    unanswered,
)

BUSY, NO_ANSWER, UNREACHABLE = LegResult.BUSY, LegResult.NO_ANSWER, LegResult.UNREACHABLE
DECLINED, ELSEWHERE, LEFT = LegResult.DECLINED, LegResult.ELSEWHERE, LegResult.CALLER_LEFT


@pytest.mark.parametrize(
    ("cause", "sip", "rang", "result"),
    [
        (17, 486, False, BUSY),
        (17, 600, True, BUSY),
        (18, 408, False, NO_ANSWER),
        (19, 480, True, NO_ANSWER),
        (20, None, False, UNREACHABLE),
        (21, 603, True, DECLINED),
        (21, None, False, DECLINED),
        (21, 403, False, UNREACHABLE),
        (26, None, True, ELSEWHERE),
        (1, 404, False, UNREACHABLE),
        (27, 502, True, UNREACHABLE),
        (34, 503, False, UNREACHABLE),
        (58, 488, False, UNREACHABLE),
        (0, None, True, NO_ANSWER),
        (0, None, False, UNREACHABLE),
        (16, None, True, NO_ANSWER),
        (127, None, False, UNREACHABLE),
        (999, None, True, UNREACHABLE),
    ],
)
def test_a_leg_that_nobody_answered_says_why(
    cause: int, sip: int | None, rang: bool, result: LegResult
) -> None:
    assert leg_result(cause, sip, rang) is result


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("ANSWER", LegResult.ANSWERED),
        ("BUSY", BUSY),
        ("NOANSWER", NO_ANSWER),
        ("CANCEL", NO_ANSWER),
        ("CHANUNAVAIL", UNREACHABLE),
        ("CONGESTION", UNREACHABLE),
        ("a word of a later Asterisk", NO_ANSWER),
    ],
)
def test_a_queues_member_says_why(status: str, result: LegResult) -> None:
    assert member_result(status) is result


@pytest.mark.parametrize(
    ("results", "ending"),
    [
        ([BUSY], Ending.BUSY),
        ([BUSY, BUSY], Ending.BUSY),
        ([BUSY, NO_ANSWER], Ending.NOT_ANSWERED),
        ([BUSY, UNREACHABLE], Ending.NOT_ANSWERED),
        ([NO_ANSWER], Ending.NOT_ANSWERED),
        ([DECLINED], Ending.NOT_ANSWERED),
        ([DECLINED, BUSY, UNREACHABLE], Ending.NOT_ANSWERED),
        ([UNREACHABLE, UNREACHABLE], Ending.FAILED),
        ([], Ending.FAILED),
    ],
)
def test_a_call_that_nobody_took_sums_up_those_who_were_tried(
    results: list[LegResult], ending: Ending
) -> None:
    assert unanswered(results) is ending


def test_the_crm_has_two_words_for_each_ending() -> None:
    assert {
        Ending.ANSWERED: CrmWords("answered", "answered"),
        Ending.GAVE_UP: CrmWords("cancel", "no answer"),
        Ending.BUSY: CrmWords("busy", "busy"),
        Ending.NOT_ANSWERED: CrmWords("no answered", "no answer"),
        Ending.FAILED: CrmWords("failed", "failed"),
        Ending.NOT_PLACED: CrmWords("failed", "failed"),
        Ending.UNKNOWN: CrmWords("failed", "unknown"),
    } == CRM_WORDS
    assert set(CRM_WORDS) == set(Ending)
