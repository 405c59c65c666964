"""Calls as stories: nothing was heard for a while, and what the PBX can still say of it decides.

What nobody can know is told as unknown, and never as "no answer".
"""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import LegState, Stage
from ari_app.calls.outcome import CRM_WORDS, Ending
from ari_app.calls.recovery import taken_up
from tests.support.story import CALLER, START, Story, clicked, dialled, up

RINGS = START + 5
BACK = START + 30
"""Nothing was heard from `RINGS` until `BACK`."""
ANSWERED = START + 8
LEFT = START + 21
MEMBER = "PJSIP/105-0000002a"


def gap(story: Story, *facts: h.ChannelFact, **said: object) -> Story:
    """Hear nothing for 25 s, and ask what is true then."""
    story.now = BACK
    return story.pbx_says(*facts, up_at=RINGS, deaf=True, **said)  # type: ignore[arg-type]


def ringing(**story: object) -> Story:
    """A caller for whom one telephone rings: the PBX joins them by itself when it is answered."""
    return Story(**story).found("101").wait(5)  # type: ignore[arg-type]


def was_up(channel: str, answered_at: float | None = ANSWERED, left_at: float | None = None) -> h.ChannelFact:
    """A channel that is up, and what the PBX knows of its talk."""
    return h.ChannelFact(channel, "Up", True, answered_at=answered_at, left_at=left_at)


def test_an_answer_while_nothing_was_heard_is_dated_by_the_pbx() -> None:
    story = gap(ringing(), was_up(CALLER), was_up("c1-1"))
    assert story.call.stage is Stage.TALKING
    assert (story.call.answered_at, story.call.talker) == (ANSWERED, "101")
    assert story.given(o.Record)
    story.wait(10).caller_hangs_up().stored(10)
    assert (story.result.waiting, story.result.talking) == (8, 32)


def test_an_answer_of_which_the_pbx_doesnt_know_when_is_the_last_moment_known() -> None:
    story = gap(ringing(), was_up(CALLER, None), was_up("c1-1", None))
    assert story.call.answered_at == RINGS


def test_an_answer_in_a_group_counts_when_the_caller_is_joined() -> None:
    story = gap(Story().found(None).wait(5), h.ChannelFact(CALLER, "Ring", False), was_up("c1-1"))
    assert (story.call.stage, story.call.answered_at) == (Stage.TALKING, BACK)


def test_a_caller_who_is_up_with_the_manager_gone_was_answered_and_nobody_else_is_rung() -> None:
    story = gap(ringing(), was_up(CALLER, ANSWERED, LEFT))
    assert story.rung == ["PJSIP/101"]
    assert story.call.caller.state is LegState.LEAVING
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.call.talker, story.call.answered_at, story.call.ended_at) == ("101", ANSWERED, LEFT)
    assert story.call.talking == 13


def test_a_talk_of_which_the_pbx_doesnt_know_the_end_has_ended_when_it_was_last_known() -> None:
    story = gap(ringing(), was_up(CALLER, None))
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.call.answered_at, story.call.ended_at) == (RINGS, RINGS)


def test_a_manager_who_is_up_with_the_caller_gone_has_answered() -> None:
    story = gap(ringing(), was_up("c1-1"))
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert story.hung_up("c1-1")
    assert (story.call.talker, story.call.answered_at, story.call.ended_at) == ("101", ANSWERED, ANSWERED)


def test_a_call_of_which_nothing_is_left_may_have_been_answered() -> None:
    story = gap(ringing())
    assert story.hangup == (("101",), Ending.UNKNOWN)
    assert CRM_WORDS[Ending.UNKNOWN].hangup_status == "failed"
    assert CRM_WORDS[Ending.UNKNOWN].upload_result == "unknown"
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.UNKNOWN, None, 0)
    assert story.call.over


def test_a_recording_shows_that_somebody_was_answered_of_whom_nothing_is_left() -> None:
    for story in (Story().found(None).wait(5), Story().wait(1), Story()):
        gap(story, recorded=True)
        assert story.call.ending is Ending.UNKNOWN
        assert story.given(o.FetchRecording)
        story.happens(h.RecordingStored(story.now, "c1.wav", 3.0))
        assert (story.result.ending, story.result.code, story.result.recording) == (
            Ending.UNKNOWN,
            None,
            None,
        )
        assert story.call.over


def test_a_caller_who_is_up_without_a_leg_that_we_know_may_have_talked() -> None:
    story = gap(Story().found(None).wait(5), was_up(CALLER))
    story.caller_hangs_up()
    assert story.hangup[1] is Ending.UNKNOWN


def test_who_is_left_in_the_bridge_of_a_call_that_went_further_than_we_know_is_hung_up() -> None:
    left = h.PartyReplaced(ANSWERED, "", "c1-7", local=False, code="104")
    story = gap(Story().found(None).wait(5), newcomers=(left,))
    assert story.call.ending is Ending.UNKNOWN
    assert story.hung_up("c1-7")


def ended(channel: str, at: float = BACK - 0.1, *, is_up: bool = True) -> h.LegEnded:
    """The end of a channel that is heard again, before the PBX could say what is true."""
    return h.LegEnded(at, channel, 16, up=is_up)


def test_a_caller_who_leaves_when_we_have_just_come_back_was_answered_if_they_were_up() -> None:
    story = gap(ringing(), was_up("c1-1"), ends=(ended(CALLER),))
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.call.talker, story.call.answered_at, story.call.ended_at) == ("101", ANSWERED, BACK - 0.1)
    story = gap(ringing(), ends=(ended(CALLER), ended("c1-1", BACK - 0.2)))
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.call.answered_at, story.call.ended_at) == (RINGS, BACK - 0.2)
    story = gap(ringing(), ends=(ended(CALLER),))
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.call.talker, story.call.end_unseen) == ("101", True)


def test_a_caller_who_was_not_up_when_they_left_was_answered_by_nobody() -> None:
    story = gap(ringing(), ends=(ended(CALLER, is_up=False),))
    assert story.hangup == (("101",), Ending.GAVE_UP)
    assert story.call.ended_at == BACK - 0.1


def test_a_customer_who_has_left_meanwhile_is_not_handed_on_when_the_transfers_target_is_gone() -> None:
    story = ringing().answers("101").wait(5).transferred("102")
    target = story.call.talker_leg or ""
    end = h.LegEnded(story.now, CALLER, 16, up=True)
    story.happens(h.PbxSaid(story.now, (target,), (), False, story.now, ends=(end,)))
    assert story.call.ending is Ending.ANSWERED
    assert story.rung == ["PJSIP/101"]


def test_who_took_a_transfer_talked_though_the_pbx_says_so_only_after_the_customer_has_left() -> None:
    story = ringing().answers("101").wait(5).transferred("102")
    target, taken_at = story.call.talker_leg or "", story.now + 1
    story.wait(6)
    end = h.LegEnded(story.now, CALLER, 16, up=True)
    talked = h.ChannelFact(target, "Up", True, member="PJSIP/102-0000002b", code="102", answered_at=taken_at)
    story.happens(h.PbxSaid(story.now + 0.3, (target,), (talked,), True, taken_at, ends=(end,)))
    assert (story.call.talker, story.call.talking) == ("102", 5 + 5)


def test_an_end_that_was_heard_is_dated_by_it() -> None:
    story = gap(ringing().answers("101"), was_up(CALLER), ends=(ended("c1-1"),))
    assert (story.call.ended_at, story.call.end_unseen) == (BACK - 0.1, False)


def test_without_a_gap_a_call_of_which_nothing_is_left_was_given_up() -> None:
    story = ringing()
    story.pbx_says(up_at=RINGS)
    assert story.hangup == (("101",), Ending.GAVE_UP)


def test_a_caller_who_still_waits_was_answered_by_nobody() -> None:
    story = gap(ringing(), h.ChannelFact(CALLER, "Ring", True))
    assert story.rung == ["PJSIP/101", "PJSIP/103", "PJSIP/104"]
    story.caller_hangs_up()
    assert story.hangup[1] is Ending.GAVE_UP


def test_a_phone_that_still_rings_was_answered_by_nobody() -> None:
    story = gap(ringing(), h.ChannelFact("c1-1", "Ringing", True))
    assert story.hangup == (("101",), Ending.GAVE_UP)


def test_a_group_that_rang_apart_from_the_caller_has_talked_to_nobody() -> None:
    story = gap(Story().found(None).wait(5))
    assert story.hangup[1] is Ending.GAVE_UP
    story = gap(Story().found(None).wait(5), was_up("c1-1"))
    assert story.hangup[1] is Ending.GAVE_UP


def test_a_caller_who_was_up_before_the_call_came_to_us_proves_no_answer_and_no_silence() -> None:
    story = gap(ringing(), was_up(CALLER, START - 20))
    assert story.rung == ["PJSIP/101", "PJSIP/103", "PJSIP/104"]
    story.caller_hangs_up()
    assert story.hangup[1] is Ending.UNKNOWN


def test_somebody_who_answers_after_the_doubt_ends_it() -> None:
    story = gap(ringing(), was_up(CALLER, START - 20)).answers("103")
    story.wait(4).caller_hangs_up().stored(4)
    assert (story.result.ending, story.result.code) == (Ending.ANSWERED, "103")


def test_a_pbx_that_was_restarted_is_no_doubt_but_a_failure() -> None:
    assert gap(ringing(), restarted=True).hangup[1] is Ending.FAILED


def test_an_answer_about_one_telephone_alone_says_nothing_of_the_caller() -> None:
    story = ringing()
    story.happens(h.PbxSaid(BACK, ("c1-1",), (), False, RINGS, deaf=True))
    assert not story.call.in_doubt


# -- a call that was ending -------------------------------------------------------------------------------


def test_a_recording_that_still_runs_though_the_call_is_over_is_closed() -> None:
    story = talks().caller_hangs_up()
    recorder = story.call.recorder
    assert recorder is not None
    gap(story, was_up(recorder.id, None), recording=True)
    assert [order.channel for order in story.last if isinstance(order, o.HangUp)] == [recorder.id]


def test_a_recording_has_its_8_seconds_again_when_the_call_is_taken_up_again() -> None:
    story = talks().caller_hangs_up().settle()
    story.now += 60
    story.call = taken_up(story.call, story.now)
    story.wait(7).stored(3)
    assert story.result.recording == "c1.wav"


def test_a_recording_that_is_not_finished_is_fetched_8_seconds_after_the_restart() -> None:
    story = talks().caller_hangs_up().settle()
    story.now += 60
    story.call = taken_up(story.call, story.now)
    story.wait(7.9)
    assert story.given(o.FetchRecording) == []
    story.wait(0.1)
    assert story.given(o.FetchRecording) == [o.FetchRecording("c1")]


def test_a_recording_that_never_comes_is_waited_for_a_minute_after_the_restart() -> None:
    story = talks().caller_hangs_up().happens(h.RecordingFinished(BACK)).settle()
    story.now += 120
    story.call = taken_up(story.call, story.now)
    story.wait(59.9)
    assert story.given(o.TellResult) == []
    story.wait(0.1)
    assert story.result.recording is None


def test_who_rings_when_a_call_is_taken_up_again_has_rung_all_the_time() -> None:
    story = ringing()
    assert taken_up(story.call, BACK) == story.call


# -- in the dialplan ---------------------------------------------------------------------------------------


def sent_on() -> Story:
    """A caller who was sent on into the dialplan."""
    return Story(unknown="dialplan:menu,s,1").unknown().wait(5)


def test_a_caller_sent_on_who_is_gone_may_have_been_answered() -> None:
    story = gap(sent_on())
    assert (story.result.ending, story.result.code) == (Ending.UNKNOWN, None)


def test_a_caller_sent_on_whose_answer_was_heard_was_answered() -> None:
    story = sent_on().happens(h.MemberAnswered(START + 4, CALLER, MEMBER, "105"))
    gap(story).stored()
    assert (story.result.ending, story.result.code) == (Ending.ANSWERED, "105")


def test_a_caller_sent_on_who_talks_was_answered_when_the_pbx_says() -> None:
    talks_there = h.ChannelFact(CALLER, "Up", True, member=MEMBER, code="105", answered_at=ANSWERED)
    story = gap(sent_on(), talks_there)
    assert (story.call.talker, story.call.answered_at) == ("105", ANSWERED)


def test_a_caller_sent_on_who_is_up_was_answered_by_nobody_yet() -> None:
    story = gap(sent_on(), was_up(CALLER))
    assert (story.call.stage, story.call.answered_at) == (Stage.DIALPLAN, None)


# -- calls to customers ------------------------------------------------------------------------------------


def test_a_customer_who_answered_and_left_is_proved_by_the_managers_phone() -> None:
    story = dialled().wait(1)
    story.line_dials()
    story = gap(story, was_up(CALLER, ANSWERED, LEFT))
    assert (story.call.ending, story.call.talker) == (Ending.ANSWERED, "101")
    assert (story.call.answered_at, story.call.ended_at) == (ANSWERED, LEFT)


def test_a_dialled_call_of_which_nothing_is_left_may_have_been_answered() -> None:
    story = dialled().wait(1)
    story.line_dials()
    assert gap(story).result.ending is Ending.UNKNOWN


def test_a_manager_who_clicked_is_up_in_any_case_so_a_customer_who_is_gone_is_in_doubt() -> None:
    story = clicked().manager_answers().wait(1)
    story.line_dials()
    assert gap(story, was_up("c1-1", START + 1)).call.ending is Ending.UNKNOWN


# -- talks and transfers -----------------------------------------------------------------------------------


def talks() -> Story:
    return Story().found("101").wait(2).answers("101").wait(3)


@pytest.mark.parametrize("left_at", [LEFT, None])
def test_who_stays_when_the_manager_has_left_is_hung_up_and_the_silence_is_no_talk(
    left_at: float | None,
) -> None:
    story = gap(talks(), was_up(CALLER, START + 2, left_at), recording=True)
    assert story.call.caller.state is LegState.LEAVING
    story.stored(28)
    assert story.call.ended_at == (left_at or RINGS)


def test_a_manager_who_stays_when_the_customer_has_left_is_hung_up_and_the_silence_is_no_talk() -> None:
    story = gap(talks(), was_up("c1-1", START + 2), recording=True)
    assert story.hung_up("c1-1")
    story.stored(28)
    assert story.call.ended_at == RINGS


def test_a_talk_of_which_nobody_is_left_is_dated_by_its_recording() -> None:
    story = gap(talks()).stored(17)
    assert story.call.ended_at == START + 2 + 17


def test_a_moment_of_the_pbx_before_the_call_was_last_known_up_dates_no_end() -> None:
    story = gap(talks(), was_up(CALLER, START + 2, START + 3))
    assert story.call.ended_at == RINGS


def transferred() -> Story:
    """A customer whom 101 has transferred to 102, whose telephone rings."""
    story = talks()
    story.transferred("102")
    return story.happens(h.FarHalfFound(story.now, "new-1", "far"))


def test_a_transfer_that_was_answered_names_who_talks_though_the_customer_has_left() -> None:
    behind = h.ChannelFact("new-1", "Up", True, member="PJSIP/102-0000002b", code="102", answered_at=ANSWERED)
    story = gap(transferred(), behind)
    assert (story.call.talker, story.call.first_talker, story.call.ending) == ("102", "101", Ending.ANSWERED)


def test_a_transfer_that_was_answered_names_who_talks_and_since_when() -> None:
    behind = h.ChannelFact("new-1", "Up", True, member="PJSIP/102-0000002b", code="102", answered_at=ANSWERED)
    story = gap(transferred(), was_up(CALLER, START + 2), behind)
    assert (story.call.stage, story.call.talker, story.call.talk_began) == (Stage.TALKING, "102", ANSWERED)


def test_a_member_who_has_given_the_customer_to_another_isnt_named_any_more() -> None:
    story = (
        Story(fallback="queue:sales").found(None).wait(1).member_rings("105").member_answers("105").wait(4)
    )
    another = h.ChannelFact(
        story.queue.id, "Up", True, member="PJSIP/106-0000002b", code="106", answered_at=ANSWERED
    )
    story = gap(story, up(CALLER), another)
    assert (story.call.talker, story.call.first_talker) == ("106", "105")
