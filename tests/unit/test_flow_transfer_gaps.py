"""Calls as stories: the service or the PBX comes and goes while a manager gives the customer to another."""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from tests.support.story import CALLER, START, Story, up
from tests.unit.transferring import found, taken, talking


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
