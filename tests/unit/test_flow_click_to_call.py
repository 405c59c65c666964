"""Calls as stories: a manager asks the CRM for a call; the manager's phone rings first."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Direction, LegState, Stage, Way
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from tests.support.story import ANNA, BUSY, DECLINED, NORMAL, RECORDER, START, clicked, up

MANAGER, CUSTOMER = "c1-1", "c1-2"

# -- the manager is rung ----------------------------------------------------------------------------------


def test_the_managers_phone_rings_first_and_shows_where_the_call_comes_from() -> None:
    story = clicked(manager_caller_name="CRM")
    assert story.given(o.Ring) == [o.Ring(MANAGER, "PJSIP/101", "CRM", ANNA, code="101")]
    assert story.call.stage is Stage.CALLING
    assert story.told == []


def test_the_managers_phone_is_dialled_once_however_often_it_is_ready() -> None:
    story = clicked(ring_manager_seconds=25).happens(h.LegReady(START, MANAGER))
    assert story.given(o.Dial) == [o.Dial(MANAGER, 30)]


def test_the_customer_is_rung_when_the_manager_has_answered() -> None:
    story = clicked(prompt=False).happens(h.LegReady(START, MANAGER)).manager_answers()
    assert story.rung == ["PJSIP/101", "Local/89161234567@default/n"]
    assert story.call.timers == ()
    story.happens(h.LegReady(START, CUSTOMER))
    assert story.last[0] == o.Join("c1", (MANAGER, CUSTOMER))


@pytest.mark.parametrize("cause", [BUSY, DECLINED, NORMAL, 20])
def test_a_manager_who_cannot_be_had_ends_the_call_and_the_customer_is_never_rung(cause: int) -> None:
    story = clicked().wait(4).happens(h.LegEnded(START + 4, MANAGER, cause))
    assert story.rung == ["PJSIP/101"]
    assert story.told == []
    assert story.given(o.TellHangup) == []
    assert (story.result.ending, story.result.code) == (Ending.NOT_PLACED, "101")
    assert story.result.direction is Direction.OUT
    assert story.call.over


def test_a_manager_who_doesnt_answer_in_time_is_hung_up() -> None:
    story = clicked(ring_manager_seconds=25).wait(25)
    assert story.hung_up(MANAGER) is HangUpReason.NORMAL
    assert story.result.ending is Ending.NOT_PLACED
    assert story.settle().call.over


def test_a_manager_without_a_telephone_is_no_call() -> None:
    story = clicked(prompt=False).happens(h.LegRefused(START, MANAGER, "no such endpoint"))
    assert story.result.ending is Ending.NOT_PLACED
    assert story.call.over


def test_a_manager_whose_phone_may_not_be_dialled_leaves_no_leg_behind() -> None:
    story = clicked(prompt=False).happens(h.LegReady(START, MANAGER))
    story.happens(h.LegRefused(START, MANAGER, "cannot be dialled"))
    assert len(story.given(o.HangUp)) == 1
    assert story.settle().call.over


def test_a_busy_manager_is_rung_who_asked_for_the_call() -> None:
    assert clicked(busy=frozenset({"101"})).rung == ["PJSIP/101"]


# -- the customer is rung, and they talk ------------------------------------------------------------------


def test_the_manager_who_waits_hears_ringing_until_the_customer_answers() -> None:
    story = clicked().manager_answers()
    assert story.given(o.PlayRinging) == [o.PlayRinging("c1", "c1-ringing")]
    assert story.told == [("101",)]
    story.customer_answers()
    assert story.given(o.StopPlaying) == [o.StopPlaying("c1-ringing")]


def test_the_whole_call_is_told_from_the_click_to_the_recording() -> None:
    story = clicked().wait(4).manager_answers().wait(6).customer_answers()
    assert story.given(o.Answer) == []
    assert story.given(o.Record) == [o.Record("c1", RECORDER)]
    story.wait(30).customer_ends().stored().settle()
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.result.code, story.result.waiting, story.result.talking) == ("101", 10, 30)
    assert story.result.recording == "c1.wav"
    assert (story.call.caller.waiting, story.customer.waiting) == (4, 6)
    assert story.call.over


def test_a_manager_who_hangs_up_while_the_customer_is_rung_has_given_up() -> None:
    story = clicked().manager_answers().wait(3).caller_hangs_up()
    assert story.hung_up(CUSTOMER) is HangUpReason.NORMAL
    assert story.hangup == (("101",), Ending.GAVE_UP)


def test_a_busy_customer_is_told_to_the_manager_and_the_crm() -> None:
    story = clicked().manager_answers().line_gives_up("BUSY").customer_ends(BUSY).settle()
    assert story.hung_up(MANAGER) is HangUpReason.BUSY
    assert story.hangup == (("101",), Ending.BUSY)
    assert story.call.over


# -- at the same moment -----------------------------------------------------------------------------------


def test_a_manager_who_answers_and_hangs_up_at_once_leaves_no_customer_ringing() -> None:
    story = clicked(prompt=False).happens(h.LegReady(START, MANAGER)).manager_answers().caller_hangs_up()
    assert story.hung_up(CUSTOMER) is HangUpReason.NORMAL
    story.happens(h.LegReady(story.now, CUSTOMER))
    assert [dial.leg for dial in story.given(o.Dial)] == [MANAGER]
    assert story.told == []
    assert story.result.ending is Ending.GAVE_UP
    assert story.settle().call.over


def test_a_managers_answer_that_is_heard_after_the_hang_up_rings_nobody() -> None:
    story = clicked().caller_hangs_up().manager_answers()
    assert story.rung == ["PJSIP/101"]
    assert story.call.ending is Ending.NOT_PLACED


def test_a_managers_answer_after_the_time_was_up_rings_nobody() -> None:
    story = clicked(ring_manager_seconds=25).wait(25).manager_answers()
    assert story.rung == ["PJSIP/101"]
    assert story.settle().call.over


def test_a_refusal_that_comes_after_the_managers_answer_changes_nothing() -> None:
    story = clicked().manager_answers().happens(h.LegRefused(START, MANAGER, "too late"))
    assert story.call.stage is Stage.RINGING
    assert story.last == ()


def test_the_customers_answer_and_the_managers_hang_up_meet_in_either_order() -> None:
    story = clicked().manager_answers().customer_answers().caller_hangs_up().stored().settle()
    assert story.result.ending is Ending.ANSWERED
    story = clicked().manager_answers().caller_hangs_up().customer_answers().settle()
    assert story.result.ending is Ending.GAVE_UP
    assert story.call.over


def test_a_call_that_another_manager_picks_up_is_that_managers() -> None:
    story = clicked().wait(2).replaced(MANAGER, "new-1", local=False, code="104")
    assert story.call.caller.id == "new-1"
    assert o.Watch("new-1") in story.orders
    assert story.given(o.Ring)[-1].originator == "new-1"
    assert story.told == [("104",)]
    story.customer_answers().wait(5).customer_ends().stored().settle()
    assert story.result.code == "104"
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    assert story.call.over


def test_who_picks_up_a_call_that_was_given_up_a_moment_ago_is_not_left_alone() -> None:
    story = clicked(ring_manager_seconds=25).wait(25).replaced(MANAGER, "new-1", local=False, code="104")
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    story.happens(h.CallerEnded(story.now, NORMAL))
    assert not story.call.over
    assert story.settle().call.over


# -- the service and the PBX come and go ------------------------------------------------------------------


def test_a_service_that_stops_lets_the_managers_phone_stop_ringing() -> None:
    story = clicked().happens(h.ServiceStopping(START + 1))
    assert story.hung_up(MANAGER) is HangUpReason.NO_ANSWER
    assert story.result.ending is Ending.NOT_PLACED


def test_a_service_that_stops_while_the_customer_is_rung_leaves_them_to_the_pbx() -> None:
    story = clicked().manager_answers().happens(h.ServiceStopping(START + 1))
    assert story.last == ()


def test_a_pbx_that_is_restarted_between_the_two_legs_has_broken_the_call() -> None:
    story = clicked(prompt=False).happens(h.LegReady(START, MANAGER)).manager_answers()
    story.wait(3).pbx_says(restarted=True).settle()
    assert story.result.ending is Ending.FAILED
    assert story.told == []
    assert story.call.over


def test_a_managers_phone_that_was_never_made_is_made_once_more() -> None:
    story = clicked(prompt=False).pbx_says()
    first, again = story.given(o.Ring)
    assert first == again


def test_a_managers_answer_that_was_missed_is_made_up_for() -> None:
    story = clicked().wait(5).pbx_says(up(MANAGER, bridged=False))
    assert story.rung[1:] == ["Local/89161234567@default/n"]


def test_a_colleague_who_takes_over_behind_the_managers_channel_waits_for_the_customer_too() -> None:
    story = clicked(channel_format="Local/##@phones/n")
    for code in ("101", "102"):
        story.happens(h.MemberAnswered(story.now, f"{MANAGER}-2", f"PJSIP/{code}-0000002a", code)).wait(2)
        assert story.call.stage is Stage.RINGING
    assert story.rung == ["Local/101@phones/n", "Local/89161234567@default/n"]
    story.customer_answers().wait(5).customer_ends().stored().settle()
    assert story.told == [("101",), ("102",)]
    assert (story.result.code, story.result.waiting, story.result.talking) == ("102", 4, 5)
    assert story.call.over


# -- by AJAM ----------------------------------------------------------------------------------------------


def test_a_call_that_ari_cannot_place_goes_by_ajam() -> None:
    story = clicked(prompt=False, ajam=True, ring_manager_seconds=25)
    story.happens(h.WayBlocked(START, MANAGER, "ARI is away"))
    assert story.call.way is Way.AJAM
    placed = o.Originate(MANAGER, "PJSIP/101", "CRM", ANNA, "default", "89161234567", 1, 25)
    assert story.last == (placed,)


def test_a_call_that_neither_way_places_ends_and_nobody_is_tried_for_ever() -> None:
    story = clicked(prompt=False, ajam=True).happens(h.WayBlocked(START, MANAGER, "ARI is away"))
    story.happens(h.WayBlocked(START, MANAGER, "AJAM is away"))
    assert len(story.given(o.Originate)) == 1
    assert story.result.ending is Ending.NOT_PLACED
    assert story.call.over


def test_a_call_without_a_second_way_is_not_placed() -> None:
    story = clicked(prompt=False).happens(h.WayBlocked(START, MANAGER, "ARI is away"))
    assert story.result.ending is Ending.NOT_PLACED


def test_a_phone_that_was_made_by_ari_is_not_rung_by_ajam_too() -> None:
    story = clicked(prompt=False, ajam=True).happens(h.LegReady(START, MANAGER))
    story.happens(h.LegRefused(START, MANAGER, "cannot be dialled"))
    assert story.given(o.Originate) == []
    assert story.call.ending is Ending.NOT_PLACED


def test_the_dialplan_runs_the_call_and_the_crm_hears_of_it_all_the_same() -> None:
    story = clicked(Way.AJAM).wait(3).manager_answers().line_dials(rings=False)
    assert story.told == []
    story.line_dials().wait(4).line_answers()
    assert story.told == [("101",)]
    assert story.call.stage is Stage.TALKING
    story.wait(20).caller_hangs_up()
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.result.waiting, story.result.talking, story.result.recording) == (7, 20, None)
    assert story.call.over
    told = (o.TellRinging, o.TellHangup, o.TellResult)
    assert [type(order) for order in story.orders if not isinstance(order, told)] == [o.Originate]


def test_a_busy_customer_frees_the_managers_phone_soon() -> None:
    story = clicked(Way.AJAM).manager_answers().line_dials().line_gives_up("BUSY").wait(1)
    assert [order.channel for order in story.given(o.HangUp)] == [MANAGER]
    assert story.hung_up(MANAGER) is HangUpReason.BUSY
    assert story.hangup == (("101",), Ending.BUSY)
    assert story.settle().call.over


def test_a_dialplan_that_hangs_up_when_the_customer_did_not_answer_is_no_answer() -> None:
    story = clicked(Way.AJAM).manager_answers().line_dials().line_gives_up("NOANSWER").caller_hangs_up()
    assert story.hangup == (("101",), Ending.NOT_ANSWERED)


def test_a_manager_who_hangs_up_while_the_dialplan_rings_the_customer_has_given_up() -> None:
    story = clicked(Way.AJAM).manager_answers().line_dials().caller_hangs_up()
    assert story.hangup == (("101",), Ending.GAVE_UP)
    assert story.call.over


def test_a_call_is_followed_also_where_only_its_channels_are_seen() -> None:
    def seen(*states: str) -> tuple[h.ChannelFact, ...]:
        both = zip((MANAGER, CUSTOMER), states, strict=False)
        return tuple(h.ChannelFact(ident, state, False) for ident, state in both)

    story = clicked(Way.AJAM).pbx_says(*seen("Down")).wait(2).pbx_says(*seen("Ringing"))
    assert story.given(o.Dial) == []
    story.wait(2).pbx_says(*seen("Up")).wait(2).pbx_says(*seen("Up", "Ringing"))
    assert story.told == [("101",)]
    story.wait(2).pbx_says(*seen("Up", "Up"))
    assert story.call.stage is Stage.TALKING
    story.wait(2).pbx_says(up_at=story.now - 1)
    assert story.call.over
    assert (story.result.ending, story.result.waiting, story.result.talking) == (Ending.ANSWERED, 8, 1)


def test_a_call_that_ajam_shows_nothing_of_came_to_nothing_and_rings_nobody_twice() -> None:
    story = clicked(Way.AJAM).wait(2).pbx_says()
    assert story.call.stage is Stage.CALLING
    story.wait(4).pbx_says()
    assert len(story.given(o.Originate)) == 1
    assert story.result.ending is Ending.NOT_PLACED


def test_what_ari_says_of_a_call_that_ajam_has_placed_is_nothing_to_it() -> None:
    story = clicked(Way.AJAM).happens(h.LegReady(START, MANAGER))
    assert story.given(o.Dial) == []
    story.replaced(MANAGER, "new-1", local=False)
    assert story.call.caller.id == MANAGER
    assert story.call.caller.state is LegState.DIALLED


def test_a_recording_is_nothing_to_a_call_that_ajam_has_placed() -> None:
    story = clicked(Way.AJAM).manager_answers().line_dials().line_answers().wait(5)
    story.pbx_says(up(MANAGER), up(CUSTOMER), deaf=True, recorded=True)
    story.caller_hangs_up()
    assert story.given(o.FetchRecording) == []
    assert (story.result.ending, story.result.recording) == (Ending.ANSWERED, None)
    assert story.call.over


def test_a_manager_who_doesnt_answer_a_call_by_ajam_is_hung_up() -> None:
    story = clicked(Way.AJAM, ring_manager_seconds=25).wait(25)
    assert story.hung_up(MANAGER) is HangUpReason.NORMAL
    assert story.settle().call.over
