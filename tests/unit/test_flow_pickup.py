"""Calls as stories: a call that rings at one phone is picked up at another."""

from __future__ import annotations

from ari_app.calls import orders as o
from ari_app.calls.call import Stage
from ari_app.calls.orders import HangUpReason
from tests.support.story import CALLER, Story


def test_a_call_that_is_picked_up_is_talked_by_who_picked_it_up() -> None:
    story = Story().found("101").wait(4).replaced("c1-1", "new-1", local=False, code="103")
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "103")
    assert story.told == [("101",), ("103",)]
    assert story.given(o.Answer) == [o.Answer(CALLER)]
    assert [join.channels for join in story.given(o.Join)] == [(CALLER, "c1-1")]
    story.wait(9).caller_hangs_up().stored().settle()
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    assert story.result.code == "103"
    assert story.call.over


def test_who_picks_a_call_up_is_shown_the_customer_once_they_are_joined() -> None:
    story = Story().found("101").replaced("c1-1", "new-1", local=False, code="103")
    shown = o.ShowCustomer("new-1", "Anna", "+79161234567")
    assert story.given(o.ShowCustomer) == [shown]
    assert [order for order in story.last if isinstance(order, o.Join | o.ShowCustomer)][-1] == shown


def test_a_pickup_out_of_a_group_joins_the_caller_and_hangs_the_others_up() -> None:
    story = Story().found(None).replaced("c1-1", "new-1", local=False, code="109")
    assert story.given(o.Join) == [o.Join("c1", (CALLER, "new-1"))]
    assert story.hung_up("c1-2") is HangUpReason.ANSWERED_ELSEWHERE


def test_a_pickup_at_the_moment_of_anothers_answer_disturbs_nobody() -> None:
    story = Story().found(None).answers("104").replaced("c1-1", "new-1", local=False, code="109")
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "104")
    assert story.last == (o.Watch("new-1"), o.Watch("c1-1"), o.HangUp("new-1"))
    assert story.told == [("103", "104")]


def test_a_pickup_after_the_time_was_up_is_hung_up_and_the_next_are_rung() -> None:
    story = Story().found("101").wait(60).replaced("c1-1", "new-1", local=False, code="109")
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    assert story.call.stage is Stage.RINGING


def test_a_pickup_after_the_caller_left_keeps_the_call_until_it_is_hung_up() -> None:
    story = Story().found("101").caller_hangs_up()
    story.replaced("c1-1", "new-1", local=False, code="109").ends("101")
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    assert not story.call.over
    assert story.settle().call.over
