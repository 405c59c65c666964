"""Parking lots: the PBX takes the customer's own channel, and nobody of ours touches it."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import RecordingState, Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.control.busy import kept_busy
from tests.support.story import CALLER, NORMAL, RECORDER, START, TRUNK, Story, clicked, dialled, up

PARKER, COLLEAGUE = "PJSIP/101-0000002a", "PJSIP/103-0000002b"


def talking(**calls: object) -> Story:
    """A customer has talked to 101 for 10 s, after 5 s of waiting."""
    return Story(**calls).found("101").wait(5).answers("101").wait(10)  # type: ignore[arg-type]


def parked(story: Story) -> Story:
    """Whoever talks parks the customer."""
    customer = story.customer.id
    return story.happens(h.MemberTransferred(story.now, customer, PARKER, "700"))


def taken_out(story: Story, code: str | None = "103") -> Story:
    return story.happens(h.MemberAnswered(story.now, story.customer.id, COLLEAGUE, code))


def test_who_parks_the_customer_hangs_up_and_the_customer_stays_in_the_lot() -> None:
    story = parked(talking()).wait(3).ends("101")
    assert story.call.stage is Stage.TRANSFERRING
    assert story.given(o.HangUp) == []
    assert story.call.recording.state is RecordingState.RUNNING


def test_the_time_in_the_lot_is_no_talk_and_the_colleague_is_told_and_named() -> None:
    story = taken_out(parked(talking()).wait(3).ends("101").wait(60)).wait(20)
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "103")
    story.caller_hangs_up().stored().settle()
    assert story.hangup == (("101", "103"), Ending.ANSWERED)
    assert (story.result.code, story.result.waiting, story.result.talking) == ("103", 5, 30)
    assert story.given(o.Join) == [o.Join("c1", (CALLER, "c1-1"))]
    assert story.call.over


def test_a_customer_who_leaves_the_lot_has_talked_to_who_parked_them() -> None:
    story = parked(talking()).wait(3).ends("101").wait(60).caller_hangs_up().stored()
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.ANSWERED, "101", 10)
    assert story.call.over


def test_when_the_lots_time_is_over_whoever_the_dialplan_rings_is_told_and_talks() -> None:
    story = parked(talking()).ends("101").wait(45)
    story.happens(h.MemberRung(story.now, CALLER, COLLEAGUE, "103")).wait(1)
    assert story.told == [("101",), ("103",)]
    taken_out(story).wait(5).caller_hangs_up()
    assert (story.call.talker, story.call.talking) == ("103", 15)


def test_the_dialplan_rings_in_vain_and_the_customer_is_left_to_it() -> None:
    story = parked(talking()).ends("101").wait(45)
    story.happens(h.MemberRung(story.now, CALLER, COLLEAGUE, "103"))
    story.happens(h.MemberEnded(story.now, CALLER, COLLEAGUE, "NOANSWER")).wait(10)
    assert story.call.stage is Stage.TRANSFERRING
    assert story.given(o.HangUp) == []


def test_who_has_taken_the_customer_out_parks_them_again() -> None:
    story = taken_out(parked(talking()).ends("101").wait(5)).wait(5)
    story.happens(h.MemberTransferred(story.now, CALLER, COLLEAGUE, "700")).wait(50)
    assert story.call.stage is Stage.TRANSFERRING
    taken_out(story).wait(5).caller_hangs_up()
    assert (story.call.talker, story.call.talking) == ("103", 20)


def test_a_customer_who_is_seen_in_the_lot_again_waits_there_for_the_next_colleague() -> None:
    story = taken_out(parked(talking()).ends("101").wait(5)).wait(5)
    story.happens(h.CustomerParked(story.now, CALLER)).wait(50)
    assert story.call.stage is Stage.TRANSFERRING
    assert (story.given(o.HangUp), kept_busy(story.call)) == ([], frozenset())
    taken_out(story).wait(5).caller_hangs_up()
    assert (story.call.talker, story.call.talking) == ("103", 20)


def test_a_parked_customers_keys_are_nobodys() -> None:
    story = taken_out(parked(talking()).ends("101"))
    for key in "##104#":
        story.happens(h.KeyPressed(story.now, CALLER, key))
    assert story.call.keys == ""
    assert story.call.stage is Stage.TALKING


def test_who_has_parked_and_stays_on_the_line_is_hung_up_in_half_a_minute() -> None:
    story = parked(talking()).wait(29)
    assert story.given(o.HangUp) == []
    story.wait(1)
    assert story.given(o.HangUp) == [o.HangUp("c1-1")]
    assert story.call.stage is Stage.TRANSFERRING


def test_who_has_parked_is_hung_up_when_somebody_talks_to_the_customer() -> None:
    story = taken_out(parked(talking()))
    assert story.given(o.HangUp) == [o.HangUp("c1-1")]


@pytest.mark.parametrize("begin", [clicked, dialled])
def test_a_customer_who_was_called_is_parked(begin: object) -> None:
    story = begin()  # type: ignore[operator]
    if begin is clicked:
        story.wait(2).manager_answers()
    story.wait(4).customer_answers().wait(10)
    manager = story.call.caller.id
    parked(story).happens(h.LegEnded(story.now, manager, NORMAL)).wait(60)
    assert story.call.stage is Stage.TRANSFERRING
    assert [order.channel for order in story.given(o.HangUp)] == []
    taken_out(story).wait(5).customer_ends().stored().settle()
    assert (story.result.code, story.result.talking) == ("103", 15)
    assert story.call.over


def test_a_lot_that_is_full_leaves_the_two_talking() -> None:
    story = parked(talking()).wait(6).happens(h.CustomerStayed(START + 21))
    assert (story.call.stage, story.call.talker_leg) == (Stage.TALKING, "c1-1")
    story.wait(4).caller_hangs_up()
    assert story.call.talking == 14


def test_a_lot_that_is_full_brings_the_customer_to_the_fallback_when_the_manager_is_gone() -> None:
    story = parked(talking()).wait(2).ends("101").happens(h.CustomerStayed(START + 17))
    assert story.call.stage is Stage.RINGING
    assert story.rung[1:] == ["PJSIP/103", "PJSIP/104"]


def test_a_lot_that_is_full_lets_the_customer_wait_on_for_whom_they_were_transferred_to() -> None:
    story = parked(talking().transferred("102")).wait(2).happens(h.CustomerStayed(START + 17))
    assert (story.call.stage, story.call.talker_leg) == (Stage.TRANSFERRING, "new-1")
    assert story.rung == ["PJSIP/101"]
    assert story.given(o.AskPbx) == [o.AskPbx(("new-1",))]
    story.happens(h.MemberAnswered(story.now, "new-1", COLLEAGUE, "102")).wait(5).caller_hangs_up()
    assert (story.call.talker, story.call.talking) == ("102", 15)


@pytest.mark.parametrize("asked_first", [False, True])
def test_a_manager_who_transfers_at_once_when_the_lot_was_full_is_followed(asked_first: bool) -> None:
    code = "102" if asked_first else None
    story = parked(talking()).wait(2).replaced("c1-1", "new-1", target="102", code=code)
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    story.happens(h.LegRinging(story.now, "new-1")).wait(3).happens(h.CustomerStayed(story.now))
    assert story.call.talker_leg == "new-1"
    if not asked_first:
        assert story.call.stage is Stage.TRANSFERRING
        story.happens(h.MemberAnswered(story.now, "new-1", COLLEAGUE, "102"))
    story.wait(5).caller_hangs_up().stored().settle()
    assert (story.result.code, story.result.talking) == ("102", 15)
    assert story.call.over


def test_who_is_rung_for_a_customer_who_turns_out_to_have_stayed_is_told_and_rings_no_more() -> None:
    story = parked(talking()).wait(6).happens(h.MemberRung(START + 21, CALLER, COLLEAGUE, "103"))
    story.happens(h.CustomerStayed(START + 21))
    assert story.told == [("101",), ("103",)]
    assert [leg.code for leg in story.call.legs if leg.alive] == ["101"]


@pytest.mark.parametrize("asked", [False, True])
def test_who_has_parked_the_customer_is_not_who_takes_them_out(asked: bool) -> None:
    story = Story(channel_format="Local/##@phones/n").found("101").wait(5)
    says = h.MemberAnswered(story.now, "c1-1-2", PARKER, "101")
    parked(story.happens(says).wait(10)).wait(2)
    if asked:
        parker = h.ChannelFact("c1-1", "Up", True, member=PARKER, code="101")
        there = h.ChannelFact(CALLER, "Up", True, away=True)
        story.pbx_says(there, parker, up(RECORDER, bridged=False), recording=True)
    else:
        story.happens(says)
    assert story.call.stage is Stage.TRANSFERRING
    assert story.given(o.HangUp) == []
    taken_out(story).wait(5).caller_hangs_up()
    assert (story.call.talker, story.call.talking) == ("103", 15)


def test_a_called_customers_own_line_takes_nobody_out_of_the_lot() -> None:
    story = dialled().line_dials().customer_answers().wait(10)
    parked(story).happens(h.MemberAnswered(story.now, "c1-1", TRUNK, None))
    assert story.call.stage is Stage.TRANSFERRING
    assert story.given(o.HangUp) == []


def test_a_queue_that_rings_on_while_the_customer_is_parked_plays_nothing_to_who_is_left() -> None:
    story = Story(unknown="queue:sales").unknown()
    parked(story.member_rings("102").wait(5).member_answers("102").wait(5))
    story.happens(h.MemberRung(story.now, story.queue.far_id, COLLEAGUE, "103"))
    assert story.given(o.PlayRinging) == []
    story.wait(6).happens(h.CustomerStayed(story.now))
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "102")


def test_who_answers_a_transfer_of_a_parked_customer_is_told() -> None:
    story = parked(talking().transferred("102"))
    story.happens(h.MemberAnswered(story.now, "new-1", COLLEAGUE, "102")).wait(1)
    assert story.call.stage is Stage.TRANSFERRING
    assert story.told == [("101",), ("102",)]


def test_a_customer_whom_the_dialplan_brings_back_is_rung_for() -> None:
    story = parked(talking()).wait(2).ends("101").wait(50).happens(h.CallerReturned(START + 67))
    assert story.call.stage is Stage.RINGING
    story.answers("103").wait(5)
    assert story.given(o.Join)[-1] == o.Join("c1", (CALLER, "c1-2"))


def test_who_took_the_customer_out_of_the_lot_is_free_when_the_dialplan_brings_them_back() -> None:
    story = taken_out(parked(talking()).ends("101")).wait(5).happens(h.CallerReturned(START + 20))
    assert kept_busy(story.call) == frozenset()
    story.caller_hangs_up().stored()
    assert (story.result.code, story.result.talking) == ("103", 15)


def test_a_parking_that_nobody_heard_of_is_seen_before_the_managers_end() -> None:
    story = talking().pbx_says(h.ChannelFact(CALLER, "Up", True, away=True), recording=True)
    assert story.call.stage is Stage.TRANSFERRING
    assert story.given(o.HangUp) == []
    assert story.phone("101").ended_at is not None


def test_a_parked_customer_as_the_pbx_has_them_needs_nothing() -> None:
    story = parked(talking()).wait(2).ends("101").wait(50)
    story.pbx_says(h.ChannelFact(CALLER, "Up", True, away=True), up(RECORDER, bridged=False), recording=True)
    assert story.last == ()
    story.pbx_says(h.ChannelFact(CALLER, "Up", True, COLLEAGUE, "103", away=True), up(RECORDER))
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "103")


def test_a_customer_who_was_seen_in_our_bridge_was_not_parked() -> None:
    story = parked(talking()).wait(2)
    story.pbx_says(up(CALLER), up("c1-1"), up(RECORDER), recording=True)
    assert story.call.away, "they may be leaving just now"
    story.wait(4).pbx_says(up(CALLER), up("c1-1"), up(RECORDER), recording=True)
    assert story.call.stage is Stage.TALKING
