"""Calls as stories: a manager gives the customer to somebody who does not answer."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from tests.support.story import BUSY, CALLER, DECLINED, NORMAL, RECORDER, START
from tests.unit.transferring import found, rings, talking


@pytest.mark.parametrize("cause", [BUSY, DECLINED, NORMAL, 3])
def test_a_transfer_that_nobody_takes_brings_the_customer_to_the_fallback(cause: int) -> None:
    story = talking().transferred("102").wait(2).happens(h.LegEnded(START + 17, "new-1", cause))
    assert story.call.stage is Stage.RINGING
    assert story.rung == ["PJSIP/101", "PJSIP/103", "PJSIP/104"]
    assert story.given(o.PlayRinging) == [o.PlayRinging("c1", "c1-ringing")]
    story.wait(3).answers("104")
    assert story.given(o.StopPlaying) == [o.StopPlaying("c1-ringing")]
    assert len(story.given(o.Answer)) == len(story.given(o.Record)) == 1
    story.wait(5).caller_hangs_up().stored()
    assert (story.result.code, story.result.waiting, story.result.talking) == ("104", 5, 15)


def test_a_transfer_to_nobody_without_a_fallback_ends_the_call_as_the_managers() -> None:
    story = talking(fallback="").transferred("102").happens(h.LegEnded(START + 17, "new-1", BUSY))
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    assert story.stored().settle().result.code == "101"
    assert story.call.over


def test_a_transfer_to_nobody_passes_over_who_is_busy() -> None:
    story = talking()
    story.busy = frozenset({"103"})
    story.transferred("102").happens(h.LegEnded(START + 17, "new-1", BUSY))
    assert story.rung == ["PJSIP/101", "PJSIP/104"]


def test_a_transfer_to_nobody_goes_to_the_dialplan_where_that_is_the_fallback() -> None:
    story = talking(fallback="dialplan:voicemail,s,1").transferred("102")
    story.happens(h.LegRinging(START + 16, "new-1")).happens(h.LegEnded(START + 17, "new-1", BUSY))
    assert o.StopPlaying("c1-ringing") in story.last
    assert o.SendToDialplan(CALLER, "voicemail", "s", 1) in story.last
    story.settle().wait(9).caller_hangs_up()
    assert o.HangUp(RECORDER) in story.last, "it was recorded there, too"
    story.stored(21)
    assert (story.result.ending, story.result.code) == (Ending.ANSWERED, "101")
    assert story.call.over


def test_a_customer_who_hangs_up_while_being_transferred_leaves_nobody_ringing() -> None:
    story = rings(found(talking().transferred("102")), "102").caller_hangs_up()
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    assert story.told == [("101",), ("102",)]
    assert story.hangup == (("101", "102"), Ending.ANSWERED)
    assert story.stored().settle().result.code == "101"
    assert story.call.over
