"""Calls as stories: who gives the customer to another is behind a queue or a Local channel."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Doing, Stage
from tests.support.story import Story
from tests.unit.transferring import answers, rings


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
