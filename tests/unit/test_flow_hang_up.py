"""A person who watches the calls ends one."""

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Stage, Way
from ari_app.calls.journal import JournalLine
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.timeline.timeline import narrate
from tests.support.story import CALLER, OUTSIDE, RECORDER, START, Story


def clicked(way: Way = Way.ARI) -> Story:
    """A call that the CRM has asked for."""
    return Story(first=h.CallClicked(START, "101", "+79161234567", None, OUTSIDE, way))


def ended(story: Story) -> Story:
    """The person presses the button a second later."""
    story.now += 1
    return story.happens(h.HangUpAsked(story.now, "192.0.2.7"))


def test_a_call_that_rings_is_over_for_the_caller_and_every_phone() -> None:
    story = ended(Story().found("101"))
    assert story.hung_up(CALLER) is HangUpReason.NO_ANSWER
    assert story.hung_up(story.phone("101").id) is HangUpReason.NORMAL
    assert story.call.ending is Ending.NOT_ANSWERED
    assert story.result.ending is Ending.NOT_ANSWERED
    assert any(isinstance(order, o.TellHangup) for order in story.last)


def test_two_who_talk_are_parted_and_the_call_stays_answered() -> None:
    story = ended(Story().found("101").wait(5).answers("101").wait(30))
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    assert story.call.ending is Ending.ANSWERED
    assert story.call.talking == 31
    assert o.HangUp(RECORDER) in story.last


def test_a_manager_whose_phone_only_rings_makes_no_call() -> None:
    assert ended(clicked()).result.ending is Ending.NOT_PLACED


def test_a_customer_who_is_only_rung_was_not_waited_for() -> None:
    assert ended(clicked().manager_answers()).result.ending is Ending.GAVE_UP


def test_a_caller_in_the_dialplan_is_hung_up_there() -> None:
    story = ended(Story(fallback="dialplan:ivr,s,1", unknown="dialplan:ivr,s,1").unknown())
    assert story.hung_up(CALLER) is HangUpReason.NO_ANSWER
    assert story.call.stage is Stage.ENDING


def test_pressed_twice_it_is_ended_once() -> None:
    story = ended(Story().found("101"))
    assert ended(story).last == ()


def test_what_ajam_has_placed_goes_on_for_its_user_may_not_hang_up() -> None:
    story = ended(clicked(Way.AJAM))
    assert story.last == ()
    assert story.call.ending is None


@pytest.mark.parametrize("by", ["192.0.2.7", ""])
def test_the_journal_says_who_did_it(by: str) -> None:
    story = Story()
    line = JournalLine(START, story.call.id, Stage.RINGING, Stage.ENDING, h.HangUpAsked(START, by))
    told = [sentence.text for sentence in narrate(line, story.call)]
    assert told[0] == "the call is ended from the cabinet" + (f", by {by}" if by else "")
