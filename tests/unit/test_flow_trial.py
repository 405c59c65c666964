"""A trial: an administrator's call to an extension, of which nothing counts."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from ari_app.calls import happenings as h
from ari_app.calls import meaning_of
from ari_app.calls import orders as o
from ari_app.calls.call import Stage
from ari_app.calls.outcome import Ending
from ari_app.calls.trial import RING_SECONDS, TALK_SECONDS
from ari_app.store.statistics import counted_as
from tests.support.story import BUSY, CALLER, DECLINED, SHOP, START, Story

ARRIVES = h.CallArrived(START, CALLER, SHOP, None, trial="101", name="Пробный звонок")


def trial(**how: object) -> Story:
    return Story(first=ARRIVES, new_customer=True, missed_task=True, missed_webhook=True, **how)  # type: ignore[arg-type]


def nothing_counts(story: Story) -> bool:
    told = {type(order) for order in story.orders if type(order).__name__.startswith("Tell")}
    counted = counted_as(story.call, ZoneInfo("Europe/Moscow"))
    return (
        story.call.over and told <= {o.TellRinging, o.TellHangup} and not (meaning_of(story.call) or counted)
    )


def test_a_trial_rings_the_extension_alone_whoever_is_responsible_and_wherever_strangers_go() -> None:
    for story in (trial().unknown(), trial().found("102")):
        assert story.rung == ["PJSIP/101"]
        story.wait(RING_SECONDS).settle()
        assert story.rung == ["PJSIP/101"]
        assert story.hangup == (("101",), Ending.NOT_ANSWERED)
        assert nothing_counts(story)


def test_a_trial_asks_the_crm_who_calls_and_shows_a_name_of_its_own_when_it_knows_nobody() -> None:
    story = trial()
    assert story.given(o.LookUp) == [o.LookUp(SHOP)]
    story.unknown()
    assert [ring.name for ring in story.given(o.Ring)] == ["Пробный звонок"]
    assert [ring.name for ring in trial().found("102", name="Anna").given(o.Ring)] == ["Anna"]


def test_a_trial_that_is_answered_is_recorded_hangs_up_by_itself_and_the_crm_closes_the_popup() -> None:
    story = trial().unknown().wait(4).answers("101")
    assert len(story.given(o.Listen)) == 1
    story.wait(TALK_SECONDS - 0.1)
    assert story.call.stage is Stage.TALKING
    story.wait(0.2)
    assert story.call.ending is Ending.ANSWERED
    story.stored().settle()
    assert (story.told, story.hangup) == ([("101",)], (("101",), Ending.ANSWERED))
    assert story.call.recording.file == "c1.wav"
    assert nothing_counts(story)


def test_a_trial_that_is_handed_on_by_the_telephones_keys_ends_all_the_same() -> None:
    story = trial().unknown().answers("101")
    for key in "##102#":
        story.happens(h.KeyPressed(story.now, story.phone("101").id, key))
    assert story.rung == ["PJSIP/101", "PJSIP/102"]
    story.wait(TALK_SECONDS).stored().settle()
    assert story.call.ending is Ending.ANSWERED
    assert nothing_counts(story)


def test_a_trial_of_an_extension_that_is_busy_or_declines_ends_at_once() -> None:
    for cause in (BUSY, DECLINED):
        story = trial().unknown().ends("101", cause).settle()
        assert story.rung == ["PJSIP/101"]
        assert story.call.ending is not None
        assert nothing_counts(story)


def test_a_service_that_stops_sends_no_trial_to_the_queue() -> None:
    story = trial(fallback="queue:sales").unknown()
    story.happens(h.ServiceStopping(story.now)).settle()
    assert story.given(o.SendToDialplan) == []
    assert nothing_counts(story)
