"""Calls as stories: the service and the PBX come and go, and what was lost is made up for."""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from tests.support.story import (
    BUSY,
    CALLER,
    START,
    Story,
    clicked,
    up,
)

# -- requests that got lost while it rings -----------------------------------------------------------------


def test_a_phone_that_was_never_made_is_made_once_more() -> None:
    story = Story(prompt=False).found("101").pbx_says(h.ChannelFact(CALLER, "Ring", False))
    first, again = story.given(o.Ring)
    assert first == again
    assert story.last == (o.OpenBridge("c1"), again)


def test_a_phone_that_was_never_joined_with_the_caller_is_joined_once_more() -> None:
    story = Story().found("101")
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False), h.ChannelFact("c1-1", "Ringing", False))
    assert story.last == (o.OpenBridge("c1"), o.Join("c1", (CALLER, "c1-1")))


def test_a_phone_whose_dialling_is_in_doubt_is_dialled_unless_it_rings() -> None:
    caller = h.ChannelFact(CALLER, "Ring", True)
    silent, ringing = (h.ChannelFact("c1-1", state, True) for state in ("Down", "Ringing"))
    for phone, dialled in ((silent, 2), (ringing, 1)):
        story = Story(prompt=False).found("101")
        story.happens(h.LegReady(story.now, "c1-1"))
        story.happens(h.OutcomeUnknown(story.now, "no answer", dialling="c1-1")).pbx_says(caller, phone)
        assert len(story.given(o.Dial)) == dialled


def test_a_phone_that_was_dialled_and_is_silent_is_not_dialled_twice() -> None:
    story = Story(prompt=False).found("101")
    story.happens(h.LegReady(story.now, "c1-1"))
    story.pbx_says(h.ChannelFact(CALLER, "Ring", True), h.ChannelFact("c1-1", "Down", True))
    assert len(story.given(o.Dial)) == 1


def test_a_caller_who_was_never_sent_on_is_sent_on_once_more() -> None:
    story = Story(unknown="dialplan:menu,s,1").unknown()
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False, in_stasis=True))
    assert story.given(o.SendToDialplan) == 2 * [o.SendToDialplan(CALLER, "menu", "s", 1)]
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False))
    assert len(story.given(o.SendToDialplan)) == 2


# -- the service and the PBX come and go -------------------------------------------------------------------


def test_a_caller_who_waits_while_the_service_stops_is_sent_on_to_the_queue() -> None:
    story = Story(fallback="group:103;queue:sales,600").found("101").happens(h.ServiceStopping(START + 1))
    assert story.call.stage is Stage.DIALPLAN
    assert o.SendToDialplan(CALLER, "sales", "600", 1) in story.last
    assert story.hung_up("c1-1") is HangUpReason.NORMAL


def test_a_caller_who_has_just_arrived_while_the_service_stops_is_sent_on_too() -> None:
    story = Story(fallback="dialplan:ivr,s,2").happens(h.ServiceStopping(START + 1))
    assert story.last == (o.SendToDialplan(CALLER, "ivr", "s", 2),)
    assert story.call.timers == ()


def test_a_caller_with_nowhere_to_go_is_left_waiting_for_the_next_start() -> None:
    story = Story().found("101").happens(h.ServiceStopping(START + 1))
    assert story.last == ()
    assert story.call.stage is Stage.RINGING


def test_a_talking_call_is_left_talking_while_the_service_stops() -> None:
    story = Story(fallback="queue:sales").found("101").answers("101").happens(h.ServiceStopping(START + 1))
    assert story.last == ()


def test_an_end_that_nobody_saw_is_dated_by_the_recordings_length() -> None:
    story = Story().found("101").wait(5).answers("101").wait(100)
    story.pbx_says(up_at=START + 20).stored(32.5)
    assert story.call.ended_at == START + 5 + 32.5
    assert (story.result.waiting, story.result.talking) == (5, 33)


def test_a_recording_that_ends_a_little_before_the_call_was_last_known_up_is_believed() -> None:
    story = Story().found("101").wait(5).answers("101").wait(100)
    story.pbx_says(up_at=START + 36).stored(30)
    assert story.result.talking == 30


def test_a_recording_shorter_than_the_life_that_is_known_doesnt_date_the_end() -> None:
    story = Story().found("101").wait(5).answers("101").wait(100)
    story.pbx_says(up_at=START + 65).stored(30)
    assert story.result.talking == 60


def test_an_end_that_nobody_saw_without_a_recording_is_dated_by_the_last_moment_it_was_up() -> None:
    story = Story(record=False).found("101").wait(5).answers("101").wait(100).pbx_says(up_at=START + 45)
    assert story.result.talking == 40
    assert story.call.over


def test_a_recording_longer_than_the_time_that_passed_doesnt_date_the_end_into_the_future() -> None:
    story = Story().found("101").answers("101").wait(10).pbx_says(up_at=START + 1).stored(900)
    assert story.call.ended_at == START + 10


def test_an_answer_that_was_missed_is_made_up_for() -> None:
    story = Story().found("101").wait(5).pbx_says(h.ChannelFact(CALLER, "Ring", True), up("c1-1"))
    assert story.call.stage is Stage.TALKING
    assert story.given(o.Answer) == [o.Answer(CALLER)]
    assert len(story.given(o.Record)) == 1


def test_a_members_answer_that_was_missed_is_made_up_for() -> None:
    story = Story(fallback="queue:sales").found(None).wait(5)
    story.pbx_says(
        h.ChannelFact(CALLER, "Ring", True),
        h.ChannelFact(story.queue.id, "Up", True, member="PJSIP/105-0000002a", code="105"),
    )
    assert story.call.talker == "105"
    assert story.told == [("105",)]


def test_a_phone_that_ended_unheard_is_passed_over() -> None:
    story = Story().found("101").wait(5).pbx_says(h.ChannelFact(CALLER, "Ring", True))
    assert story.rung[1:] == ["PJSIP/103", "PJSIP/104"]


def test_a_leg_whose_arrival_was_missed_is_dialled_now() -> None:
    story = Story(prompt=False).found("101")
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False), h.ChannelFact("c1-1", "Down", False))
    assert story.given(o.Dial) == [o.Dial("c1-1", 65)]


def test_a_pbx_that_was_restarted_has_broken_the_calls_that_waited() -> None:
    story = Story().found("101").wait(5).pbx_says(restarted=True, up_at=START + 3)
    assert story.hangup == (("101",), Ending.FAILED)
    assert story.call.over
    assert story.result.waiting == 3


def test_orders_of_a_talking_call_that_left_no_trace_are_given_again() -> None:
    story = Story().found("101").answers("101").wait(1)
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False), up("c1-1", bridged=False))
    again = (o.OpenBridge("c1"), o.Join("c1", (CALLER, "c1-1")))
    assert story.last == (o.Answer(CALLER), *again)


def test_a_caller_whose_joining_was_lost_is_joined_although_who_answers_is_joined_just_then() -> None:
    story = Story(fallback="group:103,104").found("101").ends("101", BUSY)
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False), up("c1-2", bridged=False))
    joined = [join.channels for join in story.last if isinstance(join, o.Join)]
    assert joined == [("c1-2",), (CALLER, "c1-2")]


def test_who_is_joined_just_now_is_not_joined_twice() -> None:
    story = clicked().manager_answers()
    customer = h.ChannelFact(story.customer.id, "Up", False)
    story.pbx_says(up("c1-1", bridged=False), customer)
    assert len([order for order in story.last if isinstance(order, o.Join)]) == 1


def test_a_call_as_the_pbx_has_it_needs_nothing() -> None:
    story = Story().found("101").answers("101").pbx_says(up(CALLER), up("c1-1"), recording=True)
    assert story.last == ()


def test_a_hang_up_that_was_lost_is_repeated_with_its_reason() -> None:
    story = Story(fallback="").found("101").ends("101", BUSY)
    story.pbx_says(h.ChannelFact(CALLER, "Ring", True))
    assert story.last == (o.HangUp(CALLER, HangUpReason.BUSY),)
    story = Story().found(None).answers("104")
    story.pbx_says(up(CALLER), up("c1-2"), h.ChannelFact("c1-1", "Ringing", False), recording=True)
    assert story.last == (o.HangUp("c1-1", HangUpReason.ANSWERED_ELSEWHERE),)


def test_a_fetch_that_was_lost_is_given_again() -> None:
    story = Story().found("101").answers("101").wait(9).caller_hangs_up().settle()
    story.happens(h.RecordingFinished(story.now)).pbx_says()
    assert story.last == (o.FetchRecording("c1"),)


def test_a_recordings_end_that_was_missed_is_made_up_for() -> None:
    story = Story().found("101").answers("101").wait(9).caller_hangs_up().settle().pbx_says()
    assert story.given(o.FetchRecording) == [o.FetchRecording("c1", closed=True)]
    story.happens(h.RecordingStored(story.now, "c1.wav", 9))
    assert story.call.over
