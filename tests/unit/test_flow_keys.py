"""Calls as stories: a manager hands the customer over with the keys ``##102``."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.calls.talking import ATTENDED
from tests.support.story import BUSY, CALLER, Story, dialled

MANAGER = "c1-1"


def talking(**story: object) -> Story:
    """Begin a customer's call that manager 101 has answered."""
    return Story(**story).found("101").wait(5).answers("101").wait(10)  # type: ignore[arg-type]


def press(story: Story, keys: str, channel: str | None = None) -> Story:
    for key in keys:
        story.happens(h.KeyPressed(story.now, channel or story.call.talker_leg or "", key))
    return story


def test_an_extension_after_two_hashes_is_rung_for_the_customer() -> None:
    story = press(talking(), "##102").wait(3)
    assert story.hung_up(MANAGER) is HangUpReason.NORMAL
    assert story.rung == ["PJSIP/101", "PJSIP/102"]
    assert story.given(o.PlayRinging) == [o.PlayRinging("c1", "c1-ringing")]
    story.wait(4).answers("102").wait(20).caller_hangs_up().stored().settle()
    assert (story.result.code, story.result.ending) == ("102", Ending.ANSWERED)
    assert story.told == [("101",), ("102",)]
    assert len(story.given(o.Record)) == 1
    assert story.call.over


def test_a_hash_at_the_end_needs_no_waiting() -> None:
    assert press(talking(), "##102#").rung == ["PJSIP/101", "PJSIP/102"]


def test_keys_are_waited_for_three_seconds_each() -> None:
    story = press(press(press(talking(), "##1").wait(2.9), "0").wait(2.9), "2").wait(2.9)
    assert story.call.stage is Stage.TALKING
    assert story.wait(0.1).rung == ["PJSIP/101", "PJSIP/102"]


@pytest.mark.parametrize("keys", ["1", "#1#", "*#", "##", "###", "##1234567"])
def test_other_keys_are_the_talkers_own_affair(keys: str) -> None:
    story = press(talking(), keys).wait(4)
    assert story.call.stage is Stage.TALKING
    assert story.given(o.HangUp) == []


def test_the_customers_keys_hand_nobody_over() -> None:
    story = press(talking(), "##102#", channel=CALLER)
    assert story.call.stage is Stage.TALKING


def test_nobody_at_the_extension_brings_the_customer_to_the_fallback() -> None:
    story = press(talking(), "##102#").ends("102", BUSY)
    assert story.rung[2:] == ["PJSIP/103", "PJSIP/104"]


def test_a_busy_extension_is_passed_over_at_once() -> None:
    story = talking()
    story.busy = frozenset({"102"})
    assert press(story, "##102#").rung[1:] == ["PJSIP/103", "PJSIP/104"]


def test_a_busy_extension_brings_the_customer_to_the_dialplan_where_that_is_the_fallback() -> None:
    story = talking(fallback="dialplan:voicemail,s,1")
    story.busy = frozenset({"102"})
    press(story, "##102#")
    assert story.call.stage is Stage.DIALPLAN
    assert o.SendToDialplan(CALLER, "voicemail", "s", 1) in story.last
    assert story.settle().call.legs[0].ended_at is not None


def test_a_manager_who_called_a_customer_may_hand_them_over_too() -> None:
    story = press(dialled().customer_answers().wait(10), "##102#")
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    story.answers("102").customer_ends().stored().settle()
    assert story.result.code == "102"
    assert story.call.over


def test_keys_are_forgotten_when_the_customer_was_transferred_in_another_way() -> None:
    story = press(talking(), "##10").transferred(ATTENDED, code="104").wait(10)
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "104")
    assert press(story, "2#").call.stage is Stage.TALKING


def test_a_customer_who_hangs_up_at_once_leaves_nobody_ringing() -> None:
    story = press(talking(), "##102#").caller_hangs_up()
    assert story.hung_up(story.phone("102").id) is HangUpReason.NORMAL
    assert story.stored().settle().call.over
