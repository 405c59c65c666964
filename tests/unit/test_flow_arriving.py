"""Calls as stories: who calls, and what the phones show."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import LegState
from tests.support.story import (
    ANNA,
    NORMAL,
    START,
    Story,
)

# -- names and numbers -------------------------------------------------------------------------------------


def test_a_customer_without_a_number_is_recorded_but_the_crm_is_not_told() -> None:
    story = Story(number=None)
    assert story.given(o.LookUp) == []
    assert story.rung == ["PJSIP/103", "PJSIP/104"]
    story.answers("103").wait(10).caller_hangs_up().stored(10).settle()
    assert story.call.over
    assert story.call.recording.file == "c1.wav"
    assert not any(isinstance(order, o.Tell) for order in story.orders)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Анна Каренина", "Анна Каренина"),
        ('Anna "the boss" <101>', "Anna the boss 101"),
        ("Anna\r\nVia: evil\x00", "Anna Via: evil"),
        ("${SHELL(rm)} $[1+1]", "SHELL(rm)} 1+1]"),
        ("  Anna   K.  ", "Anna K."),
        ("A" * 200, "A" * 80),
        ("Anna \ud83d", "Anna"),
        ("<>", ANNA),
        ("", ANNA),
        (None, ANNA),
    ],
)
def test_a_customers_name_is_cleaned_before_a_phone_shows_it(name: str | None, shown: str) -> None:
    assert Story().found("101", name).given(o.Ring)[0].name == shown


def test_the_prefix_stands_before_a_known_customers_name() -> None:
    story = Story(caller_name_prefix="CRM").found("101", "Anna")
    assert story.given(o.Ring)[0].name == "CRM: Anna"
    story = Story(caller_name_prefix="CRM").found("101", "A" * 200)
    assert len(story.given(o.Ring)[0].name) == 80


def test_an_unknown_customer_is_shown_by_the_number_unless_the_account_wants_a_blank() -> None:
    assert Story(caller_name_prefix="CRM").unknown().given(o.Ring)[0].name == ANNA
    assert Story(blank_unknown_caller=True).unknown().given(o.Ring)[0].name == ""
    assert Story(number=None).given(o.Ring)[0].name == ""


def test_the_phone_shows_the_customers_number() -> None:
    assert Story().found("101").given(o.Ring)[0].number == ANNA


def test_a_clock_that_was_set_back_never_makes_a_call_longer_than_it_was() -> None:
    story = Story(record=False).found("101")
    story.happens(h.LegAnswered(START - 50, "c1-1")).happens(h.CallerEnded(START + 10, NORMAL))
    assert (story.call.waiting, story.call.talking) == (0, 10)


def test_a_call_keeps_the_legs_that_were_tried() -> None:
    story = Story().found(None).wait(3).answers("104")
    assert [(leg.code, leg.state) for leg in story.call.legs] == [
        ("103", LegState.LEAVING),
        ("104", LegState.UP),
    ]
