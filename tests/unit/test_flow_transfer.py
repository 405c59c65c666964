"""Calls as stories: a manager gives the customer to another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Direction, Doing, LegState, Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.calls.talking import ATTENDED
from tests.support.story import BUSY, CALLER, DECLINED, NORMAL, RECORDER, START, Story, dialled, up

FAR = "far-1"


def talking(**story: object) -> Story:
    """Begin a customer's call that manager 101 has answered after 5 s."""
    return Story(**story).found("101").wait(5).answers("101").wait(10)  # type: ignore[arg-type]


def found(story: Story, *, is_up: bool = False) -> Story:
    return story.happens(h.FarHalfFound(story.now, "new-1", FAR, is_up))


def rings(story: Story, code: str, leg: str = FAR) -> Story:
    return story.happens(h.MemberRung(story.now, leg, f"PJSIP/{code}-0000002b", code))


def answers(story: Story, code: str, leg: str = FAR) -> Story:
    return story.happens(h.MemberAnswered(story.now, leg, f"PJSIP/{code}-0000002b", code))


def taken(story: Story, code: str, channel: str = "new-1") -> Story:
    """A telephone behind a transfer's channel answers, and so the channel is up."""
    far = channel.replace("new", "far")
    story.happens(h.FarHalfFound(story.now, channel, far))
    return answers(story, code, far).happens(h.LegAnswered(story.now, channel))


# -- blindly ----------------------------------------------------------------------------------------------


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


# -- to nobody --------------------------------------------------------------------------------------------


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


# -- attended ---------------------------------------------------------------------------------------------


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


# -- behind a queue ---------------------------------------------------------------------------------------


def with_member() -> Story:
    """Begin a call that a queue's member 105 has answered."""
    story = Story(fallback="queue:sales").found(None)
    return story.member_rings("105").member_answers("105").wait(10)


def test_a_member_who_transfers_leaves_the_customer_waiting_for_the_next_one() -> None:
    story = with_member()
    story.happens(h.MemberTransferred(story.now, "c1-1-2", "PJSIP/105-0000002a", "102"))
    assert story.call.stage is Stage.TRANSFERRING
    rings(story, "102", "c1-1-2").wait(1)
    assert story.given(o.PlayRinging) == [o.PlayRinging("c1", "c1-ringing")]
    assert story.told == [("105",), ("102",)]
    answers(story, "102", "c1-1-2").wait(5).caller_hangs_up().stored()
    assert story.result.code == "102"
    assert story.call.first_talker == "105"


def test_a_member_who_asked_a_colleague_first_is_followed_by_the_colleague() -> None:
    story = answers(with_member(), "102", "c1-1-2")
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "102")
    assert story.told == [("105",), ("102",)]


def test_a_members_transfer_to_nobody_ends_the_queues_leg_and_the_fallback_is_tried() -> None:
    story = with_member()
    story.happens(h.MemberTransferred(story.now, "c1-1-2", "PJSIP/105-0000002a", "102"))
    story.queue_ends()
    assert story.call.stage is Stage.RINGING
    assert story.rung == ["Local/s@sales/n", "Local/s@sales/n"]


@pytest.mark.parametrize("rung_first", [False, True], ids=["told first whereto", "rung first"])
@pytest.mark.parametrize(("target", "talker"), [("79037654321", "101"), ("102", "102")])
def test_a_manager_behind_a_local_channel_transfers_to_a_telephone_that_is_nobodys(
    target: str, talker: str | None, rung_first: bool
) -> None:
    story, member, far = (
        Story(channel_format="Local/##@phones/n").found("101"),
        "PJSIP/101-0000002a",
        "c1-1-2",
    )
    story.happens(h.MemberAnswered(story.now, far, member, "101")).wait(10)
    says: list[h.Happening] = [
        h.MemberTransferred(story.now, far, member, target),
        h.MemberRung(story.now, far, "PJSIP/trunk-0000002b", None),
    ]
    for said in reversed(says) if rung_first else says:
        story.happens(said)
    story.happens(h.MemberAnswered(story.now, far, "PJSIP/trunk-0000002b", None)).wait(5)
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, talker)


@pytest.mark.parametrize("then", ["voicemail", "another telephone"])
def test_the_dialplan_goes_on_behind_the_manager_who_transferred_when_a_colleague_does_not_answer(
    then: str,
) -> None:
    story = Story(channel_format="Local/##@phones/n").found("101")
    member, colleague, far = "PJSIP/101-0000002a", "PJSIP/102-0000002b", "c1-1-2"
    story.happens(h.LegAnswered(story.now, "c1-1"))
    story.happens(h.MemberAnswered(story.now, far, member, "101")).wait(10)
    story.happens(h.MemberTransferred(story.now, far, member, "102"))
    story.happens(h.DialplanDoes(story.now, far, Doing.DIALS))
    story.happens(h.MemberRung(story.now, far, colleague, "102")).wait(15)
    story.happens(h.MemberEnded(story.now, far, colleague, "NOANSWER"))
    assert (story.call.stage, story.given(o.HangUp)) == (Stage.TRANSFERRING, [])
    if then == "voicemail":
        story.happens(h.DialplanDoes(story.now, far, Doing.SPEAKS)).wait(20).caller_hangs_up().stored()
        assert (story.result.code, story.result.talking) == ("101", 10)
    else:
        story.happens(h.MemberRung(story.now, far, "PJSIP/103-0000002c", "103")).wait(5)
        story.happens(h.MemberAnswered(story.now, far, "PJSIP/103-0000002c", "103"))
        assert (story.call.stage, story.call.talker) == (Stage.TALKING, "103")


# -- in a call to a customer ------------------------------------------------------------------------------


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


def test_a_customer_who_gives_the_call_away_has_left() -> None:
    story = talking().replaced(CALLER, "new-1", target="elsewhere")
    assert {order.channel for order in story.given(o.HangUp)} == {"new-1", CALLER, "c1-1", RECORDER}
    assert story.call.ending is Ending.ANSWERED


# -- the service comes and goes ---------------------------------------------------------------------------


def newcomer(story: Story, channel: str = "new-1", target: str | None = "102") -> h.PartyReplaced:
    return h.PartyReplaced(story.now, "", channel, local=True, target=target)


def test_a_transfer_while_nobody_listened_is_made_up_for() -> None:
    story = talking()
    manager = up("c1-1", bridged=False)
    story.pbx_says(up(CALLER), manager, recording=True, newcomers=(newcomer(story),))
    assert story.call.stage is Stage.TRANSFERRING
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    member = "PJSIP/102-0000002b"
    story.pbx_says(up(CALLER), h.ChannelFact("new-1", "Up", True, member, "102"), recording=True)
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "102")


def test_an_answer_and_a_transfer_while_nobody_listened_are_made_up_for() -> None:
    story = Story().found("101").wait(5)
    manager = up("c1-1", bridged=False)
    story.pbx_says(h.ChannelFact(CALLER, "Up", True), manager, newcomers=(newcomer(story),))
    assert story.call.stage is Stage.TRANSFERRING
    assert story.call.first_talker == "101"
    assert story.hung_up("c1-1") is HangUpReason.NORMAL


def test_who_stands_in_the_bridge_of_a_call_that_is_over_is_hung_up() -> None:
    story = talking().caller_hangs_up()
    story.pbx_says(up("c1-1"), newcomers=(newcomer(story),))
    assert story.hung_up("new-1") is HangUpReason.NORMAL


def test_another_half_that_was_not_found_is_looked_for_once_more() -> None:
    story = talking().transferred("102").pbx_says(up(CALLER), up("c1-1", bridged=False), up("new-1"))
    assert len(story.given(o.FindFarHalf)) == 2
    found(story).pbx_says(up(CALLER), up("new-1"), recording=True)
    assert len(story.given(o.FindFarHalf)) == 2


def test_ringing_that_was_lost_is_played_and_ended_once_more() -> None:
    story = talking().transferred("102").happens(h.LegRinging(START + 16, "new-1"))
    ringing = h.ChannelFact("new-1", "Ringing", True)
    story.pbx_says(up(CALLER), ringing, recording=True)
    assert len(story.given(o.PlayRinging)) == 2
    taken(story.wait(3), "102").pbx_says(up(CALLER), up("new-1"), recording=True)
    assert story.last[0] == o.StopPlaying("c1-ringing")


def test_a_service_that_stops_leaves_a_transfer_to_the_pbx() -> None:
    story = talking(fallback="queue:sales").transferred("102").happens(h.ServiceStopping(START + 16))
    assert story.last == ()
    assert story.call.stage is Stage.TRANSFERRING


def test_a_restarted_pbx_has_ended_a_transfer() -> None:
    story = talking().transferred("102").pbx_says(restarted=True).stored(3)
    assert (story.result.ending, story.result.code) == (Ending.ANSWERED, "101")
    assert story.call.over


# -- to somebody outside, who was called first and still rings --------------------------------------------


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


@pytest.mark.parametrize("does", [Doing.SPEAKS, Doing.BUSY])
def test_what_the_dialplan_does_after_a_transfer_counts_also_where_it_is_heard_before_the_transfer(
    does: Doing,
) -> None:
    story = Story(channel_format="Local/##@phones/n", fallback="group:103").found("101")
    member, far = "PJSIP/101-0000002a", "c1-1-2"
    story.happens(h.LegAnswered(story.now, "c1-1"))
    story.happens(h.DialplanDoes(story.now, far, Doing.DIALS))
    story.happens(h.MemberAnswered(story.now, far, member, "101")).wait(10)
    story.happens(h.DialplanDoes(story.now, far, does))
    story.happens(h.MemberTransferred(story.now, far, member, "102"))
    if does is Doing.SPEAKS:
        assert (story.call.stage, story.call.legs[0].does) == (Stage.TRANSFERRING, Doing.SPEAKS)
    else:
        assert story.rung[1:] == ["Local/103@phones/n"]
