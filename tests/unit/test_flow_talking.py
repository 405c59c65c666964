"""Calls as stories: the answer, the talk, the end and the recording."""

from __future__ import annotations

from dataclasses import replace

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import RecordingState, Stage, TimerName
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from tests.support.story import (
    ANNA,
    BUSY,
    CALLER,
    DECLINED,
    LINE_BROKEN,
    NORMAL,
    RECORDER,
    SHOP,
    START,
    UNREGISTERED,
    Story,
)

# -- the answer --------------------------------------------------------------------------------------------


def test_the_first_answer_wins_and_the_others_are_hung_up_as_answered_elsewhere() -> None:
    story = Story().found(None).wait(4).answers("104")
    assert story.call.talker == "104"
    assert story.hung_up(story.phone("103").id) is HangUpReason.ANSWERED_ELSEWHERE
    assert story.given(o.Answer) == [o.Answer(CALLER)]
    assert story.given(o.Record) == [o.Record("c1", RECORDER)]


def test_an_unknown_caller_becomes_a_customer_of_the_first_who_answers() -> None:
    story = Story(new_customer=True).unknown().wait(4).answers("104")
    (told,) = story.given(o.TellCustomer)
    assert (told.phone, told.external, told.code) == (ANNA, SHOP, "104")
    story.transferred("103", code="103")
    story.caller_hangs_up()
    assert story.given(o.TellCustomer) == [told]


def test_the_members_of_a_queue_have_their_new_customers_and_its_menu_has_none() -> None:
    story = Story(new_customer=True, unknown="queue:sales").unknown()
    story.happens(h.LegAnswered(story.now, story.queue.id))
    assert story.given(o.TellCustomer) == []
    story.member_rings("105").member_answers("105")
    assert [told.code for told in story.given(o.TellCustomer)] == ["105"]


def test_no_customer_is_made_without_the_setting_nor_of_a_known_a_withheld_or_an_internal_number() -> None:
    assert Story().unknown().answers("104").given(o.TellCustomer) == []
    assert Story(new_customer=True).found("101").answers("101").given(o.TellCustomer) == []
    assert Story(new_customer=True, number=None).answers("104").given(o.TellCustomer) == []
    assert Story(new_customer=True, number="105").unknown().answers("104").given(o.TellCustomer) == []


def test_a_late_answer_of_a_leg_that_is_being_hung_up_is_ignored() -> None:
    story = Story().found(None).answers("104").answers("103")
    assert story.call.talker == "104"
    assert story.last == ()
    story = Story().found("101").wait(60).happens(h.LegAnswered(START + 60, "c1-1"))
    assert story.call.stage is Stage.RINGING


def test_the_caller_is_answered_only_when_a_person_answers() -> None:
    story = Story(fallback="queue:sales").found("101").ends("101", BUSY)
    story.happens(h.LegAnswered(story.now, story.queue.id))
    assert story.given(o.Answer) == []
    story.member_rings("105").member_answers("105")
    assert story.given(o.Answer) == [o.Answer(CALLER)]


def test_a_manager_who_hangs_up_ends_the_call() -> None:
    story = Story().found("101").answers("101").wait(12).ends("101").stored().settle()
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    assert (story.result.ending, story.result.talking) == (Ending.ANSWERED, 12)


def test_a_losing_phone_that_ends_doesnt_end_the_talk() -> None:
    story = Story().found(None).answers("104").ends("103", 26)
    assert story.call.stage is Stage.TALKING


def test_a_refusal_that_comes_after_the_answer_doesnt_hide_the_talkers_hang_up() -> None:
    story = Story().found("101").answers("101").refused("101").wait(9).ends("101").settle()
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    assert story.call.talking == 9


def test_an_account_that_doesnt_record_is_told_the_result_at_once() -> None:
    story = Story(record=False).found("101").answers("101").wait(7).caller_hangs_up()
    assert story.given(o.Record) == []
    assert o.HangUp(RECORDER) not in story.orders
    assert (story.result.talking, story.result.recording) == (7, None)


# -- the call's end, by the table of outcomes --------------------------------------------------------------


def test_a_caller_who_gives_up_while_waiting_is_a_cancelled_call() -> None:
    story = Story().found("101").wait(8).caller_hangs_up()
    assert story.hangup == (("101",), Ending.GAVE_UP)
    assert (story.result.waiting, story.result.talking, story.result.recording) == (8, 0, None)
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.settle().call.over


def test_a_caller_who_gives_up_while_the_crm_is_asked_is_uploaded_without_a_hangup_event() -> None:
    story = Story().wait(1).caller_hangs_up()
    assert story.call.over
    assert story.given(o.TellHangup) == []
    assert (story.result.ending, story.result.code) == (Ending.GAVE_UP, None)


def test_when_everyone_is_busy_the_caller_hears_busy() -> None:
    story = Story().found(None).ends("103", BUSY).ends("104", BUSY).settle()
    assert story.hung_up(CALLER) is HangUpReason.BUSY
    assert story.hangup == (("103", "104"), Ending.BUSY)
    assert story.result.ending is Ending.BUSY


def test_a_mixture_of_busy_and_no_answer_is_no_answer() -> None:
    story = Story().found(None).ends("103", BUSY).wait(60).settle()
    assert story.hung_up(CALLER) is HangUpReason.NO_ANSWER
    assert story.hangup == (("103", "104"), Ending.NOT_ANSWERED)


def test_a_manager_who_declined_is_no_answer() -> None:
    story = Story(fallback="").found("101").ends("101", DECLINED, sip=603)
    assert story.hangup == (("101",), Ending.NOT_ANSWERED)


def test_when_nobody_can_be_reached_the_call_has_failed() -> None:
    story = Story(prompt=False).found(None).refused("103").ends("104", UNREGISTERED)
    assert story.hangup == (("103", "104"), Ending.FAILED)
    assert story.hung_up(CALLER) is HangUpReason.NO_ANSWER


def test_a_line_that_breaks_while_the_caller_waits_is_a_failed_call() -> None:
    story = Story().found("101").wait(4).caller_hangs_up(cause=LINE_BROKEN)
    assert story.hangup == (("101",), Ending.FAILED)


def test_an_unanswered_call_is_the_responsible_managers() -> None:
    story = Story().found("101").ends("101", BUSY).wait(60)
    assert story.result.code == "101"


def test_an_unanswered_call_without_a_responsible_manager_is_that_of_the_first_one_told() -> None:
    assert Story().unknown().wait(60).result.code == "103"


def test_an_end_that_is_reported_again_changes_nothing() -> None:
    story = Story().found("101").answers("101").wait(5).caller_hangs_up().stored().settle()
    before = len(story.orders)
    story.caller_hangs_up().happens(h.LegEnded(story.now, "c1-1", NORMAL)).stored().unknown()
    assert len(story.orders) == before


def test_a_timer_that_is_not_due_is_not_believed() -> None:
    story = Story().found("101").ends("101", BUSY)
    story.happens(h.TimerExpired(story.now + 1, TimerName.RING))
    assert story.given(o.HangUp) == []
    assert story.call.stage is Stage.RINGING


def test_a_leg_that_was_made_but_may_not_be_dialled_is_hung_up_and_passed_over() -> None:
    story = Story(prompt=False).found("101")
    story.happens(h.LegReady(story.now, "c1-1")).refused("101")
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.rung[1:] == ["PJSIP/103", "PJSIP/104"]


def test_a_leg_that_turns_up_after_it_was_given_up_is_hung_up() -> None:
    story = Story(prompt=False).found(None).refused("103").refused("104")
    assert story.hung_up(CALLER) is HangUpReason.NO_ANSWER
    story.happens(h.LegReady(story.now, "c1-1"))
    assert story.last == (o.HangUp("c1-1"),)


# -- the recording -----------------------------------------------------------------------------------------


def test_the_recording_is_stopped_fetched_and_reported_with_the_result() -> None:
    story = Story().found("101").answers("101").wait(20).caller_hangs_up()
    assert story.hung_up(RECORDER) is HangUpReason.NORMAL
    assert story.given(o.TellResult) == []
    story.happens(h.RecordingFinished(story.now))
    assert story.last == (o.FetchRecording("c1", closed=True),)
    story.wait(1).happens(h.RecordingStored(story.now, "c1.wav", 20))
    assert story.result.recording == "c1.wav"


def test_an_hours_recording_that_is_a_while_on_its_way_is_told_with_its_link() -> None:
    story = Story().found("101").answers("101").wait(3600).caller_hangs_up()
    story.happens(h.RecordingFinished(story.now)).settle().wait(55)
    assert story.given(o.TellResult) == []
    story.happens(h.RecordingStored(story.now, "c1.wav", 3600))
    assert story.result.recording == "c1.wav"


def test_a_recording_that_the_pbx_never_calls_finished_is_fetched_after_eight_seconds() -> None:
    story = Story().found("101").answers("101").wait(20).caller_hangs_up().settle().wait(7.9)
    assert story.given(o.FetchRecording) == []
    story.wait(0.1)
    assert story.given(o.FetchRecording) == [o.FetchRecording("c1")]
    assert story.given(o.TellResult) == []
    story.wait(9).happens(h.RecordingStored(story.now, "c1.wav", 20))
    assert story.result.recording == "c1.wav"


def test_a_recording_not_fetched_in_a_minute_is_reported_without_a_link_and_still_fetched() -> None:
    story = Story().found("101").answers("101").wait(20).caller_hangs_up()
    story.happens(h.RecordingFinished(story.now)).settle().wait(59.9)
    assert story.given(o.TellResult) == []
    story.wait(0.1)
    assert story.result.recording is None
    assert not story.call.over
    story.wait(60).pbx_says().happens(h.RecordingStored(story.now, "c1.wav", 20))
    assert story.call.over
    assert story.call.recording.file == "c1.wav"


def test_a_recording_that_breaks_off_goes_on_half_a_second_later_behind_what_there_is() -> None:
    story = Story().found("101").answers("101").wait(20).happens(h.RecordingFinished(START + 20))
    assert story.call.recording.state is RecordingState.RUNNING
    story.wait(1)
    assert story.given(o.Listen) == [o.Listen(CALLER, RECORDER)] * 2
    assert story.given(o.Record) == [o.Record("c1", RECORDER)] * 2
    story.wait(5).caller_hangs_up().stored(25).settle()
    assert (story.result.recording, story.call.over) == ("c1.wav", True)


def test_a_recording_that_breaks_off_because_the_customer_leaves_is_fetched_at_the_end() -> None:
    story = Story().found("101").answers("101").wait(20).happens(h.RecordingFinished(START + 20))
    story.caller_hangs_up()
    assert o.HangUp(RECORDER) not in story.orders
    assert o.FetchRecording("c1", closed=True) in story.last
    story.settle().wait(50)
    assert story.given(o.TellResult) == []
    story.happens(h.RecordingStored(story.now, "c1.wav", 20))
    assert story.call.over


def test_who_listens_is_recorded_once_however_often_it_is_there() -> None:
    story = Story().found("101").answers("101").happens(h.LegReady(START, RECORDER))
    assert len(story.given(o.Record)) == 1
    story.caller_hangs_up().happens(h.LegReady(START, RECORDER))
    assert story.last == (o.HangUp(RECORDER),)


def test_a_recording_that_cannot_be_had_is_reported_without_a_link() -> None:
    story = Story().found("101").answers("101").wait(20).caller_hangs_up().settle()
    story.happens(h.RecordingFinished(story.now)).happens(h.RecordingFailed(story.now, "it is empty"))
    assert story.result.recording is None
    assert story.call.over


def test_a_pbx_that_cannot_record_doesnt_disturb_the_talk() -> None:
    story = Story().found("101").answers("101").happens(h.RecordingFailed(START, "no folder"))
    assert story.call.stage is Stage.TALKING
    story.wait(3).caller_hangs_up()
    assert story.hung_up(RECORDER) is HangUpReason.NORMAL
    assert (story.result.talking, story.result.recording) == (3, None)


def test_a_recording_that_finishes_before_the_call_is_fetched_and_reported_all_the_same() -> None:
    story = Story().found("101").answers("101").wait(20).stored(20)
    assert story.call.recording.state is RecordingState.STORED
    story.wait(5).caller_hangs_up().settle()
    assert o.HangUp(RECORDER) not in story.orders
    assert (story.result.recording, story.result.talking) == ("c1.wav", 25)


def test_a_bridge_that_an_earlier_version_records_is_recorded_until_the_call_ends() -> None:
    story = Story().found("101").answers("101")
    story.call = replace(story.call, recorder=None)
    both = (h.ChannelFact(one, "Up", bridged=True) for one in (CALLER, "c1-1"))
    story.wait(20).pbx_says(*both, recording=True)
    assert not {o.Listen, o.Record} & set(map(type, story.last))
    story.caller_hangs_up()
    assert o.StopRecording(story.call.recording_name) in story.last
    story.stored(20)
    assert story.result.recording == "c1.wav"


def test_when_it_breaks_off_the_customer_is_recorded_behind_what_there_is() -> None:
    story = Story().found("101").answers("101")
    story.call = replace(story.call, recorder=None)
    story.wait(20).happens(h.RecordingFinished(story.now)).wait(1)
    assert story.given(o.Record)[-1] == o.Record("c1", RECORDER)
    assert story.call.recording.state is RecordingState.RUNNING
