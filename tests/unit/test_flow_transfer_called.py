"""Calls as stories: a manager who has called a customer, or still calls, gives the call to another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Direction, Doing, LegState, Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from tests.support.story import BUSY, CALLER, START, Story, dialled, up
from tests.unit.transferring import taken


def test_a_manager_who_called_a_customer_may_transfer_them_too() -> None:
    story = dialled().wait(5).customer_answers().wait(10).transferred("102")
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    taken(story, "102").caller_hangs_up()
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "102")
    assert {tell.direction for tell in story.given(o.TellRinging)} == {Direction.OUT}
    story.wait(20).customer_ends().stored().settle()
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    assert (story.result.code, story.result.direction) == ("102", Direction.OUT)
    assert (story.result.waiting, story.result.talking) == (5, 30)
    assert story.call.over


def test_a_called_customer_whom_nobody_takes_is_rung_for_but_not_sent_into_the_dialplan() -> None:
    story = dialled(fallback="dialplan:ivr,s,1;group:103").customer_answers().transferred("102")
    story.happens(h.LegEnded(story.now, "new-1", BUSY))
    assert story.rung[1:] == ["PJSIP/103"]
    assert story.given(o.SendToDialplan) == []
    story.answers("103").wait(2).customer_ends().stored().settle()
    assert story.result.code == "103"
    assert story.call.over


def test_a_called_customer_who_hangs_up_while_others_are_rung_for_them_ends_the_call() -> None:
    story = dialled().customer_answers().transferred("102").happens(h.LegEnded(START, "new-1", BUSY))
    story.customer_ends().stored().settle()
    assert story.result.ending is Ending.ANSWERED
    assert story.call.over


def rung_for(story: Story) -> Story:
    """Nobody has taken the transfer of a customer who was called: others are rung for them."""
    return story.happens(h.LegEnded(story.now, "new-1", BUSY))


@pytest.mark.parametrize("waits", [lambda story: story, rung_for], ids=["transferred", "rung for"])
def test_a_called_customer_behind_whom_the_dialplan_plays_a_busy_tone_has_left(
    waits: Callable[[Story], Story],
) -> None:
    story = waits(dialled().line_dials().customer_answers().wait(5).transferred("102"))
    rung = story.rung
    story.happens(h.DialplanDoes(story.now, "c1-1-2", Doing.REFUSES))
    assert story.rung == rung
    story.stored().settle()
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.ANSWERED, "101", 5)
    assert story.call.over


def test_a_called_customer_whose_place_another_takes_while_others_are_rung_for_them_has_left() -> None:
    story = rung_for(dialled().line_dials().customer_answers().wait(5).transferred("102"))
    story.caller_hangs_up().replaced("c1-1", "new-2", local=False)
    assert story.hung_up("new-2") is HangUpReason.NORMAL
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    story.stored().settle()
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.ANSWERED, "101", 5)
    assert story.call.over


def test_what_the_line_says_once_more_of_a_customer_who_was_transferred_changes_nothing() -> None:
    story = dialled().line_dials().customer_answers().transferred("102")
    before = story.call
    assert story.line_answers().line_dials().call == before
    story.happens(h.LegEnded(story.now, "new-1", BUSY)).line_answers().line_gives_up("BUSY")
    assert story.call.stage is Stage.RINGING
    assert story.customer.state is LegState.UP


def test_a_manager_who_gives_a_customer_away_that_hasnt_answered_leaves_nobody_ringing() -> None:
    story = dialled().line_dials().replaced(CALLER, "new-1", target="102")
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.hangup == (("101",), Ending.GAVE_UP)
    assert story.settle().call.over


def test_who_is_handed_over_to_a_call_that_still_rings_waits_in_the_managers_stead() -> None:
    story = dialled()
    manager = story.call.caller.id
    story.replaced(manager, "new-1", local=False)
    assert (story.call.stage, story.call.caller.id) == (Stage.RINGING, "new-1")
    assert o.HangUp(manager) in story.last
    assert o.PlayRinging("c1", "c1-ringing") in story.last
    story.pbx_says(up("new-1"), h.ChannelFact("c1-1", "Ringing", True), up(manager, bridged=False))
    assert [order.channel for order in story.last if isinstance(order, o.HangUp)] == [manager]
    story.happens(h.LegEnded(story.now, manager, 16))
    assert story.call.stage is Stage.RINGING
    story.happens(h.LegEnded(story.now, "new-1", 16))
    assert story.call.ending is Ending.GAVE_UP
