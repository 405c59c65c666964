"""Calls as stories: a manager's phone dials a customer."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Direction, Doing, LegState, Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from tests.support.story import ANNA, CALLER, NORMAL, RECORDER, START, TRUNK, dialled, up

# -- the customer is rung ---------------------------------------------------------------------------------


def test_the_customer_is_rung_through_the_shops_line_and_the_manager_hears_it() -> None:
    story = dialled(prompt=False)
    (ring,) = story.given(o.Ring)
    assert (ring.endpoint, ring.far_id) == ("Local/89161234567@default/n", "c1-1-2")
    assert story.orders[0] == o.Watch(CALLER)
    story.happens(h.LegReady(story.now, "c1-1"))
    assert story.last == (o.Join("c1", (CALLER, "c1-1")), o.Watch("c1-1-2"), o.Dial("c1-1", None))


def test_the_customer_sees_the_managers_extension_as_the_lines_caller() -> None:
    (ring,) = dialled("104").given(o.Ring)
    assert (ring.name, ring.number) == ("", "104")


def test_nobody_is_looked_up_and_no_ringing_is_ordered_for_who_dials() -> None:
    story = dialled()
    assert story.given(o.LookUp) == []
    assert story.given(o.Ringback) == []


def test_the_crm_hears_of_the_call_when_the_customers_phone_rings_and_not_before() -> None:
    story = dialled(prompt=False)
    story.happens(h.LegReady(story.now, "c1-1")).line_dials(rings=False)
    assert story.told == []
    story.line_dials()
    assert story.told == [("101",)]
    assert story.given(o.TellRinging)[0].direction is Direction.OUT
    story.line_dials().happens(h.LegRinging(story.now, "c1-1"))
    assert story.told == [("101",)]


def test_the_crm_hears_of_a_ringing_customer_also_when_only_our_own_leg_tells() -> None:
    story = dialled(prompt=False)
    story.happens(h.LegReady(story.now, "c1-1")).happens(h.LegRinging(story.now, "c1-1"))
    assert story.told == [("101",)]


def test_a_phone_without_an_extension_calls_without_the_crm_hearing_of_a_ringing() -> None:
    story = dialled(None).wait(4).customer_answers().wait(5).customer_ends().stored().settle()
    assert story.told == []
    assert story.given(o.TellHangup) == []
    assert (story.result.code, story.result.ending) == (None, Ending.ANSWERED)
    assert story.call.over


# -- they talk --------------------------------------------------------------------------------------------


def test_an_answered_call_is_recorded_and_told_as_the_managers() -> None:
    story = dialled().wait(6).customer_answers()
    assert story.call.stage is Stage.TALKING
    assert story.given(o.Record) == [o.Record("c1", RECORDER)]
    assert (story.call.talker, story.call.talker_leg) == ("101", CALLER)
    story.wait(20).customer_ends().stored().settle()
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    assert story.hangup == (("101",), Ending.ANSWERED)
    result = story.result
    assert (result.code, result.waiting, result.talking) == ("101", 6, 20)
    assert (result.direction, result.phone, result.recording) == (Direction.OUT, ANNA, "c1.wav")
    assert story.call.over


def test_a_manager_who_hangs_up_ends_the_talk() -> None:
    story = dialled().customer_answers().wait(9).caller_hangs_up()
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.stored().settle().result.talking == 9


def test_a_customer_answered_by_the_bridge_itself_needs_no_second_answer() -> None:
    story = dialled().manager_answers().customer_answers()
    assert story.given(o.Answer) == []
    assert story.call.stage is Stage.TALKING


def test_an_answer_that_is_told_by_both_ends_of_the_line_is_one_answer() -> None:
    story = dialled().wait(3).line_answers().wait(1).customer_answers().line_answers()
    assert len(story.given(o.Record)) == 1
    assert story.call.answered_at == START + 3


# -- the customer can't be had ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cause", "ending", "heard"),
    [
        ("BUSY", 17, Ending.BUSY, HangUpReason.BUSY),
        ("NOANSWER", 21, Ending.NOT_ANSWERED, HangUpReason.NO_ANSWER),
        ("NOANSWER", 1, Ending.FAILED, HangUpReason.NO_ANSWER),
        ("CONGESTION", 34, Ending.FAILED, HangUpReason.NO_ANSWER),
    ],
)
def test_the_line_says_why_the_customer_cannot_be_had(
    status: str, cause: int, ending: Ending, heard: HangUpReason
) -> None:
    story = dialled().wait(2).line_dials().customer_ends(cause).settle()
    assert story.result.ending is ending
    assert story.hung_up(CALLER) is heard
    assert story.call.over
    story = dialled().line_dials().line_gives_up(status)
    story.wait(1)
    if status == "BUSY":
        assert story.result.ending is ending


def test_a_customer_who_doesnt_answer_is_no_answer() -> None:
    story = dialled().line_dials().wait(40).line_gives_up("NOANSWER").customer_ends(NORMAL)
    assert story.hangup == (("101",), Ending.NOT_ANSWERED)


def test_a_busy_customer_ends_the_call_at_once_though_the_line_plays_a_tone() -> None:
    story = dialled().line_dials(rings=False).line_gives_up("BUSY")
    assert story.call.stage is Stage.RINGING
    story.happens(h.DialplanDoes(story.now, "c1-1-2", Doing.REFUSES))
    assert story.call.ending is Ending.BUSY
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.hung_up(CALLER) is HangUpReason.BUSY


def test_a_line_that_says_congestion_at_its_end_tells_what_became_of_the_customer() -> None:
    for rang, ending in (True, Ending.NOT_ANSWERED), (False, Ending.FAILED):
        story = dialled().line_dials(rings=rang).wait(1).line_gives_up("NOANSWER")
        story.happens(h.DialplanDoes(story.now, story.customer.id, Doing.REFUSES))
        story.caller_hangs_up(34)
        assert story.result.ending is ending


def test_a_dialplan_that_dials_nobody_for_a_second_after_a_busy_customer_is_given_up() -> None:
    story = dialled().line_dials(rings=False).line_gives_up("BUSY").wait(0.9)
    assert story.call.stage is Stage.RINGING
    assert story.wait(0.2).call.ending is Ending.BUSY


def test_a_second_line_rings_the_customer_whom_the_first_found_busy() -> None:
    story = dialled().line_dials(rings=False).line_gives_up("BUSY").wait(0.5)
    story.happens(h.MemberRung(story.now, "c1-1-2", "PJSIP/second-0000002b", None)).wait(30)
    assert story.given(o.HangUp) == []
    assert story.customer_answers().call.stage is Stage.TALKING


def test_the_dialplans_own_answer_is_not_the_customers() -> None:
    story = dialled().happens(h.LegAnswered(START, "c1-1"))
    assert story.last == (o.AskPbx(("c1-1",)), o.Answer(CALLER))
    story.line_dials().wait(5).line_gives_up("BUSY").wait(1)
    assert story.call.ending is Ending.BUSY
    assert story.given(o.Record) == []


def test_a_line_that_is_not_there_is_a_failed_call() -> None:
    story = dialled(prompt=False).happens(h.LegRefused(START, "c1-1", "no such context")).settle()
    assert story.result.ending is Ending.FAILED
    assert story.given(o.TellHangup) == []
    assert story.call.over


def test_a_manager_who_gives_up_stops_the_customers_phone() -> None:
    story = dialled().line_dials().wait(7).caller_hangs_up(127)
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.hangup == (("101",), Ending.GAVE_UP)
    assert (story.result.code, story.result.waiting) == ("101", 7)
    assert story.settle().call.over


def test_a_line_that_is_cancelled_by_the_manager_is_a_call_given_up() -> None:
    story = dialled().line_dials().line_gives_up("CANCEL").customer_ends(NORMAL)
    assert story.call.ending is Ending.GAVE_UP


# -- at the same moment -----------------------------------------------------------------------------------


def test_a_manager_who_gives_up_while_the_customers_leg_is_only_made_leaves_no_leg_behind() -> None:
    story = dialled(prompt=False).caller_hangs_up()
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    story.happens(h.LegReady(story.now, "c1-1"))
    assert story.given(o.Dial) == []
    assert not story.call.over
    assert story.settle().call.over
    assert story.given(o.TellHangup) == []


def test_an_answer_a_moment_before_the_manager_hangs_up_is_an_answered_call() -> None:
    story = dialled().wait(5).customer_answers().caller_hangs_up()
    assert story.call.ending is Ending.ANSWERED


def test_an_answer_a_moment_after_the_manager_hung_up_is_a_call_given_up() -> None:
    story = dialled().wait(5).caller_hangs_up().customer_answers().line_answers()
    assert story.call.ending is Ending.GAVE_UP
    assert story.given(o.Record) == []
    assert story.call.talker is None


def test_both_hang_up_at_the_same_moment_and_the_call_ends_once() -> None:
    story = dialled().customer_answers().wait(3).caller_hangs_up().customer_ends().stored()
    assert story.call.over
    assert len(story.given(o.TellResult)) == 1


def test_a_customers_leg_that_reports_twice_that_it_is_ready_is_dialled_once() -> None:
    story = dialled(prompt=False)
    story.happens(h.LegReady(story.now, "c1-1")).happens(h.LegReady(story.now, "c1-1"))
    assert len(story.given(o.Dial)) == 1


def test_a_busy_signal_of_one_trunk_after_another_has_answered_ends_nothing() -> None:
    story = dialled().line_dials(rings=False).customer_answers().line_gives_up("BUSY")
    assert story.call.stage is Stage.TALKING


# -- the service and the PBX come and go ------------------------------------------------------------------


@pytest.mark.parametrize("answered", [False, True], ids=["ringing", "talking"])
def test_a_service_that_stops_leaves_the_call_to_the_pbx(answered: bool) -> None:
    story = dialled()
    if answered:
        story.customer_answers()
    stage = story.call.stage
    story.happens(h.ServiceStopping(story.now))
    assert story.last == ()
    assert story.call.stage is stage


def test_an_answer_that_came_while_nobody_listened_is_made_up_for() -> None:
    line = h.ChannelFact("c1-1", "Up", True, TRUNK)
    story = dialled().wait(8).pbx_says(up(CALLER), line)
    assert story.call.stage is Stage.TALKING
    assert story.told == [("101",)]
    assert len(story.given(o.Record)) == 1


def test_a_restarted_pbx_has_broken_the_call() -> None:
    story = dialled().wait(8).pbx_says(restarted=True, up_at=START + 5)
    assert (story.result.ending, story.result.waiting) == (Ending.FAILED, 5)
    assert story.call.over


def test_a_fact_older_than_the_leg_doesnt_end_it() -> None:
    story = dialled(prompt=False).happens(h.OutcomeUnknown(START, "no answer"))
    story.now += 1
    story.happens(h.LegReady(story.now, "c1-1"))
    said = h.PbxSaid(START, (CALLER, "c1-1"), (h.ChannelFact(CALLER, "Ring", False),), False, START)
    story.happens(said)
    assert story.call.stage is Stage.RINGING
    assert story.customer.state is LegState.DIALLED
