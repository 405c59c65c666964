"""A caller who was sent on into the shop's own dialplan: who talks there, and what nobody can know."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Doing, Stage
from ari_app.calls.outcome import Ending
from tests.support.story import BUSY, CALLER, LINE_BROKEN, Story


def sent_on(fallback: str = "dialplan:ivr,s,1") -> Story:
    """101 is busy, and 10 s after the call began its caller is sent on."""
    story = Story(fallback=fallback).found("101").wait(10).ends("101", BUSY)
    assert story.call.stage is Stage.DIALPLAN
    return story


def rings(story: Story, code: str | None, name: str = "", local: str | None = None) -> Story:
    name = name or f"PJSIP/{code}-0000002a"
    return story.happens(h.MemberRung(story.now, CALLER, name, code, local=local))


def answers(story: Story, code: str | None, name: str = "") -> Story:
    name = name or f"PJSIP/{code}-0000002a"
    return story.happens(h.MemberAnswered(story.now, CALLER, name, code))


def does(story: Story, doing: Doing) -> Story:
    return story.happens(h.DialplanDoes(story.now, CALLER, doing))


def test_a_menu_that_answers_is_nobodys_answer() -> None:
    story = sent_on("dialplan:voicemail,s,1")
    assert story.last[-2:] == (o.SendToDialplan(CALLER, "voicemail", "s", 1), o.CloseBridge("c1"))
    story.wait(5).happens(h.CallerAnswered(story.now))
    does(story, Doing.SPEAKS).wait(40).caller_hangs_up()
    assert story.call.over
    assert (story.result.ending, story.result.waiting, story.result.talking) == (Ending.NOT_ANSWERED, 55, 0)
    assert story.result.code is None
    assert story.hangup == (("101",), Ending.NOT_ANSWERED)


def test_a_dialplan_that_never_answered_is_no_answer() -> None:
    story = Story(fallback="dialplan:voicemail,s,1").found(None).wait(9).caller_hangs_up(cause=LINE_BROKEN)
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.NOT_ANSWERED, None, 0)


def test_who_answers_in_a_queue_behind_the_menu_talks_and_is_told() -> None:
    story = sent_on().happens(h.CallerAnswered(14))
    rings(does(story, Doing.QUEUES).wait(10), "102").wait(1)
    assert story.told == [("101",), ("102",)]
    answers(story, "102").wait(30).caller_hangs_up().stored()
    assert (story.result.ending, story.result.code) == (Ending.ANSWERED, "102")
    assert (story.result.waiting, story.result.talking, story.result.recording) == (21, 30, "c1.wav")
    assert story.hangup == (("101", "102"), Ending.ANSWERED)


def test_voicemail_after_the_talk_is_no_talk_and_takes_no_credit() -> None:
    story = answers(rings(sent_on(), "102"), "102").wait(30)
    does(story, Doing.SPEAKS).wait(20).caller_hangs_up().stored()
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.ANSWERED, "102", 30)


def test_a_talker_there_transfers_the_caller() -> None:
    story = answers(rings(sent_on(), "102"), "102").wait(30)
    story.happens(h.MemberTransferred(story.now, CALLER, "PJSIP/102-0000002a", "103")).wait(5)
    answers(rings(story, "103"), "103").wait(10).caller_hangs_up().stored()
    assert (story.result.code, story.result.talking) == ("103", 40)
    assert story.call.first_talker == "102"


def test_the_dialplan_dials_somebody_else_after_the_talk() -> None:
    story = rings(answers(rings(sent_on(), "102"), "102").wait(30), "103").wait(5)
    assert story.call.talk_began is None
    answers(story, "103").wait(10).caller_hangs_up().stored()
    assert (story.result.code, story.result.talking) == ("103", 40)


def test_a_telephone_of_nobodys_has_no_code() -> None:
    name = "PJSIP/trunk-0000002a"
    story = answers(rings(sent_on(), None, name), None, name).wait(10).caller_hangs_up().stored()
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.ANSWERED, None, 10)


def test_a_local_channel_is_followed_to_the_telephone_behind_it() -> None:
    name = "Local/103@from-queue-00000001;1"
    story = rings(sent_on(), "103", name, local="near")
    member = f"{CALLER}/Local/103@from-queue"
    assert o.FindFarHalf(member, "near") in story.last
    story.happens(h.FarHalfFound(story.now, member, "far", up=False))
    story.happens(h.MemberAnswered(story.now, "far", "PJSIP/103-0000002b", "103"))
    assert story.call.talk_began is None  # it may be asked first whether it takes the call
    story.happens(h.MemberAnswered(story.now, CALLER, name, "103", local="near")).wait(
        10
    ).caller_hangs_up().stored()
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.ANSWERED, "103", 10)


@pytest.mark.parametrize("heard", [True, False], ids=["a transfer that is told", "one that isn't"])
def test_who_talks_behind_a_local_channel_hands_the_caller_over_there(heard: bool) -> None:
    name, member = "Local/103@from-queue-00000001;1", f"{CALLER}/Local/103@from-queue"
    story = rings(sent_on(), "103", name, local="near")
    story.happens(h.FarHalfFound(story.now, member, "far", up=False))
    story.happens(h.MemberAnswered(story.now, "far", "PJSIP/103-0000002b", "103"))
    story.happens(h.MemberAnswered(story.now, CALLER, name, "103", local="near")).wait(10)
    story.happens(h.DialplanDoes(story.now, "far", Doing.DIALS))
    if heard:
        story.happens(h.MemberTransferred(story.now, "far", "PJSIP/103-0000002b", "104")).wait(5)
    story.happens(h.MemberRung(story.now, "far", "PJSIP/104-0000002c", "104"))
    if not heard:
        story.wait(5)
    story.happens(h.MemberAnswered(story.now, "far", "PJSIP/104-0000002c", "104")).wait(20)
    story.caller_hangs_up().stored()
    assert story.told == [("101",), ("103",), ("104",)]
    assert (story.result.code, story.result.talking) == ("104", 30)


def test_who_was_seen_talking_before_somebody_else_was_heard_to_answer_talks_no_more() -> None:
    story = sent_on()
    seen_at = story.now
    story.wait(0.2)
    answers(rings(story, "103"), "103")
    fact = h.ChannelFact(CALLER, "Up", True, member="PJSIP/102-0000002a", code="102", in_stasis=False)
    story.happens(h.PbxSaid(seen_at, (CALLER,), (fact,), False, known_up_at=seen_at - 5, deaf=True))
    story.wait(10).caller_hangs_up().stored()
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.ANSWERED, "103", 10)


def test_who_was_rung_in_vain_is_told_and_nobodys_call_is_hung_up() -> None:
    story = rings(sent_on(), "102").happens(h.CallerAnswered(14)).wait(5)
    story.happens(h.MemberEnded(story.now, CALLER, "PJSIP/102-0000002a", "NOANSWER"))
    assert story.call.stage is Stage.DIALPLAN
    story.wait(5).caller_hangs_up()
    assert (story.result.ending, story.result.code) == (Ending.NOT_ANSWERED, None)
    assert story.hangup == (("101", "102"), Ending.NOT_ANSWERED)


@pytest.mark.parametrize("talked", [False, True])
def test_whether_people_talk_in_a_conference_is_unknown(talked: bool) -> None:
    story = sent_on()
    if talked:
        answers(rings(story, "102"), "102").wait(30)
    does(story, Doing.MEETS).wait(20).caller_hangs_up()
    if talked:
        story.stored()
    assert story.result.ending is (Ending.ANSWERED if talked else Ending.UNKNOWN)
    assert story.result.code == ("102" if talked else None)
    assert story.result.talking == (30 if talked else 0)


def test_an_end_that_nobody_saw_is_unknown() -> None:
    story = sent_on().wait(10)
    story.happens(h.CallerEnded(story.now, 16, known_up_at=story.now - 5))
    assert story.result.ending is Ending.UNKNOWN


def test_a_talk_that_nobody_heard_begin_is_seen_by_what_is_true() -> None:
    story = sent_on().wait(10)
    fact = h.ChannelFact(CALLER, "Up", bridged=True, member="PJSIP/102-0000002a", code="102")
    story.pbx_says(fact).wait(10).caller_hangs_up().stored()
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.ANSWERED, "102", 10)
    assert story.told == [("101",), ("102",)]


def test_a_caller_who_comes_back_after_a_talk_has_been_answered() -> None:
    story = answers(rings(sent_on("dialplan:ivr,s,1;group:103"), "102"), "102").wait(30)
    story.happens(h.CallerReturned(story.now)).wait(5).answers("101").wait(20).caller_hangs_up()
    assert (story.call.ending, story.call.talker) == (Ending.ANSWERED, "101")
    assert (story.call.first_talker, story.call.talking) == ("102", 50)
