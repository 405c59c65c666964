"""Calls as stories: a manager gives the customer to another."""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Doing, LegState, Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.calls.talking import ATTENDED
from tests.support.story import CALLER, NORMAL, RECORDER, START, dialled
from tests.unit.transferring import FAR, answers, found, rings, taken, talking

# -- blindly ---------------------------------------------------------------------------------------------


def test_a_customer_transferred_to_a_colleague_talks_on_in_the_same_call() -> None:
    story = found(talking().transferred("102"))
    assert story.call.stage is Stage.TRANSFERRING
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    rings(story.wait(2), "102").wait(1)
    assert story.told == [("101",), ("102",)]
    answers(story, "102").happens(h.LegAnswered(story.now, "new-1"))
    assert (story.call.stage, story.call.talker, story.call.first_talker) == (Stage.TALKING, "102", "101")
    story.wait(30).caller_hangs_up().stored().settle()
    assert story.hangup == (("101", "102"), Ending.ANSWERED)
    assert (story.result.code, story.result.waiting, story.result.talking) == ("102", 5, 40)
    assert story.call.over


def test_the_recording_goes_on_through_a_transfer() -> None:
    story = taken(talking().transferred("102").wait(5), "102").wait(5)
    assert len(story.given(o.Record)) == 1
    assert o.HangUp(RECORDER) not in story.orders
    story.caller_hangs_up()
    assert story.hung_up(RECORDER) is HangUpReason.NORMAL


def test_each_leg_keeps_its_own_waiting_and_talking() -> None:
    story = taken(talking().transferred("102").wait(3), "102")
    story.wait(7).caller_hangs_up().settle()
    first, second = story.phone("101"), story.call.leg("new-1")
    assert second is not None
    assert (first.waiting, first.talking) == (5, 20)
    assert (second.waiting, second.talking) == (3, 7)


def test_who_leaves_and_who_comes_are_followed_to_their_end() -> None:
    story = talking().transferred("102")
    watched = [watch.channel for watch in story.last if isinstance(watch, o.Watch)]
    assert sorted(watched) == ["c1-1", "new-1"]
    assert story.given(o.FindFarHalf) == [o.FindFarHalf("new-1")]


def test_the_customer_hears_ringing_while_the_colleagues_phone_rings() -> None:
    story = talking().transferred("102").happens(h.LegRinging(START + 16, "new-1"))
    assert story.given(o.PlayRinging) == [o.PlayRinging("c1", "c1-ringing")]
    taken(story.wait(3), "102")
    assert o.StopPlaying("c1-ringing") in story.orders


def test_a_transfer_that_no_telephone_has_answered_was_answered_by_the_dialplan() -> None:
    story = found(talking().transferred("102")).happens(h.LegRinging(START + 16, "new-1"))
    story.happens(h.LegAnswered(START + 18, "new-1")).wait(3)
    assert (story.call.stage, story.call.talker) == (Stage.TRANSFERRING, "101")
    assert story.last == (o.AskPbx(("new-1",)), o.StopPlaying("c1-ringing"))
    story.wait(30).caller_hangs_up().stored().settle()
    assert (story.result.code, story.result.talking) == ("101", 10)


def test_a_customer_may_press_keys_in_a_menu_and_no_more_when_somebody_answers_behind_it() -> None:
    story = found(talking().transferred("102")).happens(h.LegAnswered(START + 18, "new-1"))
    assert story.given(o.PassKeys) == [o.PassKeys("c1", CALLER, through=False)]
    story.happens(h.DialplanDoes(story.now, FAR, Doing.SPEAKS))
    assert story.last == (o.PassKeys("c1", CALLER, through=True),)
    story.happens(h.DialplanDoes(story.now, FAR, Doing.DIALS))
    assert story.last == (o.PassKeys("c1", CALLER, through=False),)
    answers(story, "104")
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "104")
    assert story.call.keys_kept


def test_so_it_is_in_a_menu_behind_a_local_channel_that_the_dialplan_has_dialled() -> None:
    story = found(talking().transferred("102")).happens(h.DialplanDoes(START + 15, FAR, Doing.DIALS))
    menu, there = "Local/menu@ivr-0000002b;1", "new-1/Local/menu@ivr"
    story.happens(h.MemberRung(story.now, FAR, menu, None, rings=False, local="menu"))
    story.happens(h.FarHalfFound(story.now, there, "menu-2"))
    story.happens(h.MemberAnswered(story.now, FAR, menu, None, local="menu"))
    story.happens(h.LegAnswered(story.now, "new-1"))
    story.happens(h.DialplanDoes(story.now, "menu-2", Doing.SPEAKS))
    assert story.last == (o.PassKeys("c1", CALLER, through=True),)
    story.happens(h.DialplanDoes(story.now, "menu-2", Doing.DIALS))
    assert story.last == (o.PassKeys("c1", CALLER, through=False),)
    assert (story.call.stage, story.call.talker) == (Stage.TRANSFERRING, "101")


def test_a_colleague_for_whom_another_answers_is_known() -> None:
    story = found(talking().transferred("102")).happens(h.LegAnswered(START + 18, "new-1"))
    answers(story, "104").wait(1)
    assert story.call.talker == "104"
    assert story.told == [("101",), ("104",)]


def test_a_customer_transferred_to_a_queue_is_its_members() -> None:
    story = found(talking().transferred("q2"))
    rings(rings(story, "105"), "106").wait(1)
    assert story.told == [("101",), ("105", "106")]
    answers(story, "106").wait(9).caller_hangs_up().stored()
    assert story.result.code == "106"


def test_a_customer_transferred_to_a_number_outside_stays_the_managers() -> None:
    story = talking().transferred("79037654321")
    story.happens(h.FarHalfFound(story.now, "new-1", FAR))
    story.happens(h.MemberAnswered(story.now, FAR, "PJSIP/trunk-0000002b", None))
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "101")
    assert story.told == [("101",)]


def test_who_was_asked_first_is_shown_the_customer_they_talk_to_now() -> None:
    shown = o.ShowCustomer("new-1", "Anna", "+79161234567")
    assert talking().transferred(ATTENDED).given(o.ShowCustomer) == [shown]
    story = talking().replaced("c1-1", "new-1", local=False, code="102")
    assert story.given(o.ShowCustomer) == [shown]


def test_where_the_dialplan_runs_the_customer_becomes_nobody_who_calls() -> None:
    assert talking().transferred("79037654321").given(o.ShowCustomer) == []


def test_the_managers_own_hang_up_after_the_transfer_ends_nothing() -> None:
    story = talking().transferred("102").ends("101")
    assert story.given(o.HangUp) == [o.HangUp("c1-1")]
    taken(story, "102")
    assert story.call.stage is Stage.TALKING


def test_a_transfer_that_is_told_twice_is_one_transfer() -> None:
    story = talking().transferred("102")
    before = story.call
    story.replaced("c1-1", "new-1", target="102")
    assert (story.call, story.last) == (before, ())


def test_a_chain_of_transfers_names_who_talked_last() -> None:
    story = taken(talking().transferred("102"), "102")
    taken(story.wait(5).transferred("103", channel="new-2"), "103", "new-2")
    assert story.hung_up("new-1") is HangUpReason.NORMAL
    assert (story.call.talker, story.call.first_talker) == ("103", "101")
    assert story.told == [("101",), ("102",), ("103",)]


def test_a_customer_who_gives_the_call_away_has_left() -> None:
    story = talking().replaced(CALLER, "new-1", target="elsewhere")
    assert {order.channel for order in story.given(o.HangUp)} == {"new-1", CALLER, "c1-1", RECORDER}
    assert story.call.ending is Ending.ANSWERED


# -- attended --------------------------------------------------------------------------------------------


def test_a_colleague_who_was_asked_first_talks_at_once() -> None:
    story = talking().transferred(ATTENDED, code="102")
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "102")
    assert story.told == [("101",), ("102",)]
    story.wait(4).happens(h.LegEnded(story.now, "new-1", NORMAL))
    assert story.hung_up(CALLER) is HangUpReason.NORMAL


def test_a_colleague_whose_phone_still_rings_talks_when_the_other_half_says_so() -> None:
    story = talking().transferred(ATTENDED).happens(h.LegAnswered(START + 16, "new-1"))
    assert story.call.stage is Stage.TRANSFERRING
    answers(found(story, is_up=True).wait(3), "102")
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "102")


def test_a_menu_that_answered_before_we_watched_is_known_to_be_up_when_we_look() -> None:
    story = found(talking().transferred("77"), is_up=True)
    leg = story.call.leg("new-1")
    assert leg is not None
    assert leg.state is LegState.UP
    assert o.AskPbx(("new-1",)) in story.orders


def test_a_colleague_who_answered_before_we_looked_is_known_when_we_look() -> None:
    story = talking().transferred(ATTENDED).happens(h.LegAnswered(START + 16, "new-1"))
    member = "PJSIP/102-0000002b"
    story.happens(h.FarHalfFound(story.now, "new-1", FAR, up=True, member=member, code="102"))
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "102")


def test_the_talk_with_somebody_outside_who_was_asked_first_stays_the_managers() -> None:
    story = talking().transferred(ATTENDED).happens(h.LegAnswered(START + 16, "new-1"))
    story.happens(h.FarHalfFound(story.now, "new-1", FAR, up=True, member="PJSIP/trunk-0000002b"))
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "101")


def test_so_it_does_in_the_call_in_which_they_were_asked() -> None:
    story = dialled().wait(5).customer_answers().wait(10)
    came = h.PartyReplaced(story.now, CALLER, "new-1", local=False, target=ATTENDED)
    story.happens(came).wait(20).customer_ends().stored().settle()
    assert (story.call.stage, story.result.code) == (Stage.ENDED, "101")


def test_a_colleague_whose_phone_rings_in_vain_brings_the_customer_to_the_fallback() -> None:
    story = talking().transferred(ATTENDED).happens(h.LegAnswered(START + 16, "new-1"))
    story.happens(h.LegEnded(START + 30, "new-1", NORMAL))
    assert story.rung[1:] == ["PJSIP/103", "PJSIP/104"]
