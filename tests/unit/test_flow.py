"""Calls as stories: each test is one customer's call, told in telephone words."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Leg, LegState, RecordingState, Role, Stage, TimerName
from ari_app.calls.flow import advance, begin
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.calls.routing import Policy, parse_destinations

ANNA = "+79161234567"
SHOP = "+74951234567"
CALLER = "caller-channel"
START = 1_700_000_000.0

BUSY, DECLINED, NORMAL, UNREGISTERED, LINE_BROKEN = 17, 21, 16, 20, 38

Kind = TypeVar("Kind", bound=o.Order)


class Story:
    """One call on a PBX that makes and rings every leg at once; everything else the test tells."""

    def __init__(
        self,
        *,
        number: str | None = ANNA,
        fallback: str = "group:103,104",
        unknown: str = "group:103,104",
        prompt: bool = True,
        **policy: object,
    ) -> None:
        self.now = START
        self.prompt = prompt
        self.orders: list[o.Order] = []
        self.last: tuple[o.Order, ...] = ()
        rules = Policy("PJSIP/##", parse_destinations(fallback, 60), parse_destinations(unknown, 60))
        rules = replace(rules, **policy)  # type: ignore[arg-type]
        self.call, orders = begin("c1", "shop", rules, h.CallArrived(START, CALLER, number, SHOP))
        self._given(orders)

    def happens(self, happening: h.Happening) -> Story:
        """Let something happen now."""
        self.call, orders = advance(self.call, happening)
        self._given(orders)
        return self

    def _given(self, orders: tuple[o.Order, ...]) -> None:
        self.orders += orders
        self.last = orders
        if self.prompt:
            for ring in (order for order in orders if isinstance(order, o.Ring)):
                self.happens(h.LegReady(self.now, ring.leg)).happens(h.LegRinging(self.now, ring.leg))
            self.last = orders

    # -- what people and machines do ----------------------------------------------------------------------

    def wait(self, seconds: float) -> Story:
        """Let time pass; what is due happens on the way."""
        until = self.now + seconds
        while (timer := self.call.next_timer) is not None and timer.due <= until:
            self.now = max(self.now, timer.due)
            self.happens(h.TimerExpired(self.now, timer.name))
        self.now = until
        return self

    def found(self, responsible: str | None = "101", name: str | None = "Anna") -> Story:
        return self.happens(h.CustomerFound(self.now, name, responsible))

    def unknown(self) -> Story:
        return self.happens(h.CustomerUnknown(self.now))

    def answers(self, code: str) -> Story:
        return self.happens(h.LegAnswered(self.now, self.phone(code).id))

    def ends(self, code: str, cause: int = NORMAL, sip: int | None = None) -> Story:
        return self.happens(h.LegEnded(self.now, self.phone(code).id, cause, sip))

    def refused(self, code: str) -> Story:
        return self.happens(h.LegRefused(self.now, self.phone(code).id, "no such endpoint"))

    def caller_hangs_up(self, cause: int = NORMAL) -> Story:
        return self.happens(h.CallerEnded(self.now, cause))

    def member_rings(self, *codes: str) -> Story:
        for code in codes:
            self.happens(h.MemberRung(self.now, self.queue.id, f"PJSIP/{code}-0000002a", code))
        return self

    def member_answers(self, code: str) -> Story:
        return self.happens(h.MemberAnswered(self.now, self.queue.id, f"PJSIP/{code}-0000002a", code))

    def member_ends(self, code: str, status: str) -> Story:
        return self.happens(h.MemberEnded(self.now, self.queue.id, f"PJSIP/{code}-0000002a", status))

    def queue_ends(self) -> Story:
        return self.happens(h.LegEnded(self.now, self.queue.id, NORMAL))

    def stored(self, seconds: float = 30.0) -> Story:
        self.happens(h.RecordingFinished(self.now))
        return self.happens(h.RecordingStored(self.now, "c1.wav", seconds))

    def pbx_says(
        self,
        *facts: h.ChannelFact,
        recording: bool = False,
        restarted: bool = False,
        up_at: float | None = None,
    ) -> Story:
        """Ask the PBX; channels of the call that are not among the facts don't exist."""
        self.happens(h.OutcomeUnknown(self.now, "connected again"))
        asked = self.given(o.AskPbx)[-1].channels
        known_up_at = self.now if up_at is None else up_at
        return self.happens(h.PbxSaid(self.now, asked, facts, recording, known_up_at, restarted))

    def settle(self) -> Story:
        """Let the PBX end every channel whose hang-up was ordered."""
        for leg in self.call.legs:
            if leg.state is LegState.LEAVING:
                self.happens(h.LegEnded(self.now, leg.id, NORMAL))
        if self.call.caller.state is LegState.LEAVING:
            self.caller_hangs_up()
        return self

    # -- what can be seen ---------------------------------------------------------------------------------

    def phone(self, code: str) -> Leg:
        return next(leg for leg in reversed(self.call.legs) if leg.code == code and leg.role is Role.MANAGER)

    @property
    def queue(self) -> Leg:
        return next(leg for leg in reversed(self.call.legs) if leg.role is Role.QUEUE)

    def given(self, kind: type[Kind]) -> list[Kind]:
        return [order for order in self.orders if isinstance(order, kind)]

    @property
    def rung(self) -> list[str]:
        return [ring.endpoint for ring in self.given(o.Ring)]

    @property
    def told(self) -> list[tuple[str, ...]]:
        return [tell.codes for tell in self.given(o.TellRinging)]

    @property
    def hangup(self) -> tuple[tuple[str, ...], Ending]:
        (tell,) = self.given(o.TellHangup)
        return tell.codes, tell.ending

    @property
    def result(self) -> o.TellResult:
        (tell,) = self.given(o.TellResult)
        return tell

    def hung_up(self, channel: str) -> HangUpReason:
        (order,) = (order for order in self.given(o.HangUp) if order.channel == channel)
        return order.reason


def up(channel: str, bridged: bool = True) -> h.ChannelFact:
    return h.ChannelFact(channel, "Up", bridged)


# -- who is rung ------------------------------------------------------------------------------------------


def test_a_caller_hears_ringing_from_the_first_moment_while_the_crm_is_asked() -> None:
    story = Story()
    assert story.orders == [o.Watch(CALLER), o.Ringback(CALLER), o.LookUp(ANNA)]
    assert story.call.stage is Stage.ARRIVING


def test_a_known_customer_is_put_through_to_the_responsible_manager() -> None:
    story = Story().found("101").wait(5).answers("101").wait(30).caller_hangs_up().stored().settle()
    assert story.rung == ["PJSIP/101"]
    assert story.told == [("101",)]
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.result.code, story.result.waiting, story.result.talking) == ("101", 5, 30)
    assert (story.result.phone, story.result.external) == (ANNA, SHOP)
    assert story.result.recording == "c1.wav"
    assert story.call.over


def test_a_manager_who_declines_sends_the_caller_to_the_group() -> None:
    story = Story().found("101").wait(3).ends("101", DECLINED, sip=603)
    assert story.rung == ["PJSIP/101", "PJSIP/103", "PJSIP/104"]
    assert story.told == [("101",), ("103", "104")]


def test_a_manager_whose_phone_is_unreachable_is_passed_over_at_once() -> None:
    story = Story(prompt=False).found("101")
    story.happens(h.LegReady(story.now, story.phone("101").id)).ends("101", UNREGISTERED)
    assert story.rung[1:] == ["PJSIP/103", "PJSIP/104"]


def test_a_manager_whose_extension_the_pbx_doesnt_know_is_passed_over_at_once() -> None:
    story = Story(prompt=False).found("101").refused("101")
    assert story.rung[1:] == ["PJSIP/103", "PJSIP/104"]
    assert story.given(o.HangUp) == []


def test_a_manager_who_doesnt_answer_in_time_is_hung_up_and_the_group_rings() -> None:
    story = Story(ring_manager_seconds=25).found("101").wait(24.9)
    assert story.rung == ["PJSIP/101"]
    story.wait(0.1)
    assert story.rung == ["PJSIP/101", "PJSIP/103", "PJSIP/104"]
    assert story.hung_up("c1-1") is HangUpReason.NORMAL


def test_a_group_in_turn_rings_one_after_another_for_twenty_seconds_each() -> None:
    story = Story(fallback="group:103>104").found(None)
    assert story.rung == ["PJSIP/103"]
    story.wait(20)
    assert story.rung == ["PJSIP/103", "PJSIP/104"]
    assert story.told == [("103",), ("104",)]


def test_a_crm_slower_than_two_seconds_makes_the_caller_an_unknown_customer() -> None:
    story = Story(unknown="group:109").wait(1.9)
    assert story.rung == []
    story.wait(0.1)
    assert story.rung == ["PJSIP/109"]
    story.found("101")
    assert story.rung == ["PJSIP/109"]


def test_a_responsible_that_is_no_extension_is_not_rung() -> None:
    story = Story().found("101&Local/9@evil")
    assert story.rung == ["PJSIP/103", "PJSIP/104"]
    assert story.call.responsible is None


def test_a_manager_who_also_stands_in_the_group_is_told_to_the_crm_once() -> None:
    story = Story(fallback="group:101,102").found("101").ends("101", BUSY)
    assert story.rung == ["PJSIP/101", "PJSIP/101", "PJSIP/102"]
    assert story.told == [("101",), ("102",)]


def test_a_phone_rung_alone_is_bridged_before_it_is_dialled_so_that_early_media_is_heard() -> None:
    story = Story().found("101")
    leg = story.phone("101").id
    kinds = [type(order) for order in story.orders[-4:]]
    assert kinds == [o.OpenBridge, o.Ring, o.Join, o.Dial]
    assert story.given(o.Join) == [o.Join("c1", (CALLER, leg))]


def test_phones_rung_together_join_when_they_answer() -> None:
    story = Story().found(None)
    assert story.given(o.Join) == []
    story.answers("104")
    assert story.given(o.Join) == [o.Join("c1", (CALLER, story.phone("104").id))]


def test_nobody_is_rung_when_no_destination_is_set_and_the_call_has_failed() -> None:
    story = Story(fallback="", unknown="").unknown().settle()
    assert story.result.ending is Ending.FAILED
    assert story.result.code is None
    assert story.given(o.TellHangup) == []
    assert story.call.over


# -- the answer -------------------------------------------------------------------------------------------


def test_the_first_answer_wins_and_the_others_are_hung_up_as_answered_elsewhere() -> None:
    story = Story().found(None).wait(4).answers("104")
    assert story.call.talker == "104"
    assert story.hung_up(story.phone("103").id) is HangUpReason.ANSWERED_ELSEWHERE
    assert story.given(o.Answer) == [o.Answer(CALLER)]
    assert story.given(o.Record) == [o.Record("c1", "c1")]


def test_a_late_answer_of_a_leg_that_is_being_hung_up_is_ignored() -> None:
    story = Story().found(None).answers("104").answers("103")
    assert story.call.talker == "104"
    assert story.last == ()
    story = Story().found("101").wait(60).happens(h.LegAnswered(START + 60, "c1-1"))
    assert story.call.stage is Stage.RINGING


def test_the_caller_is_answered_only_when_a_person_answers() -> None:
    story = Story(fallback="queue:sales").found("101").ends("101", BUSY)
    story.happens(h.LegAnswered(story.now, story.queue.id))
    assert story.given(o.Answer) == []
    story.member_rings("105").member_answers("105")
    assert story.given(o.Answer) == [o.Answer(CALLER)]


def test_a_manager_who_hangs_up_ends_the_call() -> None:
    story = Story().found("101").answers("101").wait(12).ends("101").stored().settle()
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    assert (story.result.ending, story.result.talking) == (Ending.ANSWERED, 12)


def test_a_losing_phone_that_ends_doesnt_end_the_talk() -> None:
    story = Story().found(None).answers("104").ends("103", 26)
    assert story.call.stage is Stage.TALKING


def test_a_refusal_that_comes_after_the_answer_doesnt_hide_the_talkers_hang_up() -> None:
    story = Story().found("101").answers("101").refused("101").wait(9).ends("101").settle()
    assert story.hung_up(CALLER) is HangUpReason.NORMAL
    assert story.call.talking == 9


def test_an_account_that_doesnt_record_is_told_the_result_at_once() -> None:
    story = Story(record=False).found("101").answers("101").wait(7).caller_hangs_up()
    assert story.given(o.Record) == []
    assert story.given(o.StopRecording) == []
    assert (story.result.talking, story.result.recording) == (7, None)


# -- the call's end, by the table of outcomes -------------------------------------------------------------


def test_a_caller_who_gives_up_while_waiting_is_a_cancelled_call() -> None:
    story = Story().found("101").wait(8).caller_hangs_up()
    assert story.hangup == (("101",), Ending.GAVE_UP)
    assert (story.result.waiting, story.result.talking, story.result.recording) == (8, 0, None)
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.settle().call.over


def test_a_caller_who_gives_up_while_the_crm_is_asked_is_uploaded_without_a_hangup_event() -> None:
    story = Story().wait(1).caller_hangs_up()
    assert story.call.over
    assert story.given(o.TellHangup) == []
    assert (story.result.ending, story.result.code) == (Ending.GAVE_UP, None)


def test_when_everyone_is_busy_the_caller_hears_busy() -> None:
    story = Story().found(None).ends("103", BUSY).ends("104", BUSY).settle()
    assert story.hung_up(CALLER) is HangUpReason.BUSY
    assert story.hangup == (("103", "104"), Ending.BUSY)
    assert story.result.ending is Ending.BUSY


def test_a_mixture_of_busy_and_no_answer_is_no_answer() -> None:
    story = Story().found(None).ends("103", BUSY).wait(60).settle()
    assert story.hung_up(CALLER) is HangUpReason.NO_ANSWER
    assert story.hangup == (("103", "104"), Ending.NOT_ANSWERED)


def test_a_manager_who_declined_is_no_answer() -> None:
    story = Story(fallback="").found("101").ends("101", DECLINED, sip=603)
    assert story.hangup == (("101",), Ending.NOT_ANSWERED)


def test_when_nobody_can_be_reached_the_call_has_failed() -> None:
    story = Story(prompt=False).found(None).refused("103").ends("104", UNREGISTERED)
    assert story.hangup == (("103", "104"), Ending.FAILED)
    assert story.hung_up(CALLER) is HangUpReason.NO_ANSWER


def test_a_line_that_breaks_while_the_caller_waits_is_a_failed_call() -> None:
    story = Story().found("101").wait(4).caller_hangs_up(cause=LINE_BROKEN)
    assert story.hangup == (("101",), Ending.FAILED)


def test_an_unanswered_call_is_the_responsible_managers() -> None:
    story = Story().found("101").ends("101", BUSY).wait(60)
    assert story.result.code == "101"


def test_an_unanswered_call_without_a_responsible_manager_is_that_of_the_first_one_told() -> None:
    assert Story().unknown().wait(60).result.code == "103"


def test_an_end_that_is_reported_again_changes_nothing() -> None:
    story = Story().found("101").answers("101").wait(5).caller_hangs_up().stored().settle()
    before = len(story.orders)
    story.caller_hangs_up().happens(h.LegEnded(story.now, "c1-1", NORMAL)).stored().unknown()
    assert len(story.orders) == before


def test_a_timer_that_is_not_due_is_not_believed() -> None:
    story = Story().found("101").ends("101", BUSY)
    story.happens(h.TimerExpired(story.now + 1, TimerName.RING))
    assert story.given(o.HangUp) == []
    assert story.call.stage is Stage.RINGING


def test_a_leg_that_was_made_but_may_not_be_dialled_is_hung_up_and_passed_over() -> None:
    story = Story(prompt=False).found("101")
    story.happens(h.LegReady(story.now, "c1-1")).refused("101")
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.rung[1:] == ["PJSIP/103", "PJSIP/104"]


def test_a_leg_that_turns_up_after_it_was_given_up_is_hung_up() -> None:
    story = Story(prompt=False).found(None).refused("103").refused("104")
    assert story.hung_up(CALLER) is HangUpReason.NO_ANSWER
    story.happens(h.LegReady(story.now, "c1-1"))
    assert story.last == (o.HangUp("c1-1"),)


# -- requests that got lost while it rings ----------------------------------------------------------------


def test_a_phone_that_was_never_made_is_made_once_more() -> None:
    story = Story(prompt=False).found("101").pbx_says(h.ChannelFact(CALLER, "Ring", False))
    first, again = story.given(o.Ring)
    assert first == again
    assert story.last == (o.OpenBridge("c1"), again)


def test_a_phone_that_was_never_joined_with_the_caller_is_joined_once_more() -> None:
    story = Story().found("101")
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False), h.ChannelFact("c1-1", "Ringing", False))
    assert story.last == (o.OpenBridge("c1"), o.Join("c1", (CALLER, "c1-1")))


def test_a_phone_whose_dialling_is_in_doubt_is_dialled_unless_it_rings() -> None:
    caller = h.ChannelFact(CALLER, "Ring", True)
    silent, ringing = (h.ChannelFact("c1-1", state, True) for state in ("Down", "Ringing"))
    for phone, dialled in ((silent, 2), (ringing, 1)):
        story = Story(prompt=False).found("101")
        story.happens(h.LegReady(story.now, "c1-1"))
        story.happens(h.OutcomeUnknown(story.now, "no answer", dialling="c1-1")).pbx_says(caller, phone)
        assert len(story.given(o.Dial)) == dialled


def test_a_phone_that_was_dialled_and_is_silent_is_not_dialled_twice() -> None:
    story = Story(prompt=False).found("101")
    story.happens(h.LegReady(story.now, "c1-1"))
    story.pbx_says(h.ChannelFact(CALLER, "Ring", True), h.ChannelFact("c1-1", "Down", True))
    assert len(story.given(o.Dial)) == 1


def test_a_caller_who_was_never_sent_on_is_sent_on_once_more() -> None:
    story = Story(unknown="dialplan:menu,s,1").unknown()
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False, in_stasis=True))
    assert story.given(o.SendToDialplan) == 2 * [o.SendToDialplan(CALLER, "menu", "s", 1)]
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False))
    assert len(story.given(o.SendToDialplan)) == 2


# -- the recording ----------------------------------------------------------------------------------------


def test_the_recording_is_stopped_fetched_and_reported_with_the_result() -> None:
    story = Story().found("101").answers("101").wait(20).caller_hangs_up()
    assert story.given(o.StopRecording) == [o.StopRecording("c1")]
    assert story.given(o.TellResult) == []
    story.happens(h.RecordingFinished(story.now))
    assert story.last == (o.FetchRecording("c1"),)
    story.wait(1).happens(h.RecordingStored(story.now, "c1.wav", 20))
    assert story.result.recording == "c1.wav"


def test_a_recording_not_stored_after_eight_seconds_is_reported_without_a_link_and_still_fetched() -> None:
    story = Story().found("101").answers("101").wait(20).caller_hangs_up().settle().wait(7.9)
    assert story.given(o.TellResult) == []
    story.wait(0.1)
    assert story.result.recording is None
    assert story.given(o.FetchRecording) == [o.FetchRecording("c1")]
    assert not story.call.over
    story.wait(60).happens(h.RecordingStored(story.now, "c1.wav", 20))
    assert story.call.over
    assert story.call.recording.file == "c1.wav"


def test_a_recording_that_cannot_be_had_is_reported_without_a_link() -> None:
    story = Story().found("101").answers("101").wait(20).caller_hangs_up().settle()
    story.happens(h.RecordingFinished(story.now)).happens(h.RecordingFailed(story.now, "it is empty"))
    assert story.result.recording is None
    assert story.call.over


def test_a_pbx_that_cannot_record_doesnt_disturb_the_talk() -> None:
    story = Story().found("101").answers("101").happens(h.RecordingFailed(START, "no folder"))
    assert story.call.stage is Stage.TALKING
    story.wait(3).caller_hangs_up()
    assert story.given(o.StopRecording) == []
    assert (story.result.talking, story.result.recording) == (3, None)


def test_a_recording_that_finishes_before_the_call_is_fetched_and_reported_all_the_same() -> None:
    story = Story().found("101").answers("101").wait(20).stored(20)
    assert story.call.recording.state is RecordingState.STORED
    story.wait(5).caller_hangs_up().settle()
    assert story.given(o.StopRecording) == []
    assert (story.result.recording, story.result.talking) == ("c1.wav", 25)


# -- queues -----------------------------------------------------------------------------------------------


def test_a_queue_is_rung_through_a_local_channel_whose_far_half_is_watched() -> None:
    story = Story(fallback="queue:sales,600").found(None)
    (ring,) = story.given(o.Ring)
    assert (ring.endpoint, ring.leg, ring.far_id) == ("Local/600@sales/n", "c1-1", "c1-1-2")
    assert o.Watch("c1-1-2") in story.orders
    assert story.given(o.Dial) == [o.Dial("c1-1", None)]


def test_a_queue_that_rings_its_members_in_one_round_tells_the_crm_once() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105", "106")
    assert story.told == []
    story.wait(0.2)
    assert story.told == [("105", "106")]


def test_a_member_rung_in_two_rounds_is_told_once() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105").wait(1)
    story.member_ends("105", "NOANSWER").member_rings("105", "106").wait(1)
    assert story.told == [("105",), ("106",)]


def test_a_member_who_answers_within_the_round_is_told_before_the_talk() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105", "106").member_answers("106")
    assert story.told == [("105", "106")]
    assert story.call.talker == "106"
    assert story.call.talker_leg == story.queue.id
    story.wait(10).caller_hangs_up().stored().settle()
    assert story.hangup == (("105", "106"), Ending.ANSWERED)
    assert story.result.code == "106"


def test_a_member_whose_answer_names_no_extension_is_known_from_the_ring() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105").wait(1)
    story.happens(h.MemberAnswered(story.now, story.queue.id, "PJSIP/105-0000002a", None))
    assert story.call.talker == "105"


def test_a_queue_that_gives_the_caller_up_sends_them_to_the_next_destination() -> None:
    story = Story(fallback="queue:sales;group:109").found(None).member_rings("105").wait(30).queue_ends()
    assert story.rung[-1] == "PJSIP/109"
    assert story.told == [("105",), ("109",)]


def test_a_queue_whose_members_are_all_busy_is_a_busy_call() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105", "106")
    story.member_ends("105", "BUSY").member_ends("106", "BUSY").queue_ends()
    assert story.hangup == (("105", "106"), Ending.BUSY)


def test_a_caller_who_leaves_a_queue_within_its_first_round_is_told_with_who_was_rung() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105").caller_hangs_up()
    assert story.told == [("105",)]
    assert story.hangup == (("105",), Ending.GAVE_UP)


def test_who_was_rung_by_a_queue_that_is_refused_is_told_all_the_same() -> None:
    story = Story(fallback="queue:sales", prompt=False).found(None).member_rings("105")
    story.happens(h.LegRefused(story.now, story.queue.id, "cannot be dialled"))
    assert story.hangup[0] == ("105",)


def test_a_queue_without_a_member_who_can_be_rung_has_failed() -> None:
    story = Story(fallback="queue:sales").found(None).wait(30).queue_ends()
    assert story.result.ending is Ending.FAILED
    assert story.given(o.TellHangup) == []


# -- dialplan destinations --------------------------------------------------------------------------------


def test_a_caller_sent_to_the_dialplan_is_followed_to_the_end() -> None:
    story = Story(fallback="dialplan:voicemail,s,1").found("101").wait(10).ends("101", BUSY)
    assert story.last[-2:] == (o.SendToDialplan(CALLER, "voicemail", "s", 1), o.CloseBridge("c1"))
    story.wait(5).happens(h.CallerAnswered(story.now)).wait(40).caller_hangs_up()
    assert story.call.over
    assert (story.result.ending, story.result.waiting, story.result.talking) == (Ending.ANSWERED, 15, 40)
    assert story.result.code is None
    assert story.hangup == (("101",), Ending.ANSWERED)


def test_a_dialplan_that_never_answered_is_no_answer() -> None:
    story = Story(fallback="dialplan:voicemail,s,1").found(None).wait(9).caller_hangs_up(cause=LINE_BROKEN)
    assert (story.result.ending, story.result.code, story.result.talking) == (Ending.NOT_ANSWERED, None, 0)


def test_a_phone_still_ringing_when_the_dialplan_takes_over_is_hung_up() -> None:
    story = Story(fallback="dialplan:voicemail,s,1").found("101").wait(60)
    assert story.hung_up("c1-1") is HangUpReason.NORMAL
    assert story.given(o.CloseBridge) == []
    story.settle()
    assert story.given(o.CloseBridge) == [o.CloseBridge("c1")]


def test_a_caller_who_comes_back_from_the_dialplan_is_rung_for_again() -> None:
    story = Story(fallback="dialplan:ivr,s,1;group:103").found("101").ends("101", BUSY)
    story.wait(5).happens(h.CallerAnswered(story.now)).wait(5).happens(h.CallerReturned(story.now))
    assert story.rung == ["PJSIP/101", "PJSIP/101"]
    assert o.Ringback(CALLER) in story.last
    assert story.told == [("101",)]
    story.wait(5).answers("101").wait(20).caller_hangs_up()
    assert story.hangup == (("101",), Ending.ANSWERED)
    assert (story.call.waiting, story.call.talking) == (15, 20)


def test_a_caller_who_comes_back_from_the_dialplan_is_put_into_the_bridge_again() -> None:
    story = Story(fallback="dialplan:ivr,s,1").found("101").ends("101", BUSY)
    story.happens(h.CallerReturned(story.now)).answers("101")
    assert [join.channels for join in story.given(o.Join)] == [(CALLER, "c1-1"), (CALLER, "c1-2")]


# -- the service and the PBX come and go ------------------------------------------------------------------


def test_a_caller_who_waits_while_the_service_stops_is_sent_on_to_the_queue() -> None:
    story = Story(fallback="group:103;queue:sales,600").found("101").happens(h.ServiceStopping(START + 1))
    assert story.call.stage is Stage.DIALPLAN
    assert o.SendToDialplan(CALLER, "sales", "600", 1) in story.last
    assert story.hung_up("c1-1") is HangUpReason.NORMAL


def test_a_caller_who_has_just_arrived_while_the_service_stops_is_sent_on_too() -> None:
    story = Story(fallback="dialplan:ivr,s,2").happens(h.ServiceStopping(START + 1))
    assert story.last == (o.SendToDialplan(CALLER, "ivr", "s", 2),)
    assert story.call.timers == ()


def test_a_caller_with_nowhere_to_go_is_left_waiting_for_the_next_start() -> None:
    story = Story().found("101").happens(h.ServiceStopping(START + 1))
    assert story.last == ()
    assert story.call.stage is Stage.RINGING


def test_a_talking_call_is_left_talking_while_the_service_stops() -> None:
    story = Story(fallback="queue:sales").found("101").answers("101").happens(h.ServiceStopping(START + 1))
    assert story.last == ()


def test_an_end_that_nobody_saw_is_dated_by_the_recordings_length() -> None:
    story = Story().found("101").wait(5).answers("101").wait(100)
    story.pbx_says(up_at=START + 20).stored(32.5)
    assert story.call.ended_at == START + 5 + 32.5
    assert (story.result.waiting, story.result.talking) == (5, 32)


def test_the_recordings_length_is_believed_more_than_the_moment_the_call_was_last_known_up() -> None:
    story = Story().found("101").wait(5).answers("101").wait(100)
    story.pbx_says(up_at=START + 65).stored(30)
    assert story.result.talking == 30


def test_an_end_that_nobody_saw_without_a_recording_is_dated_by_the_last_moment_it_was_up() -> None:
    story = Story(record=False).found("101").wait(5).answers("101").wait(100).pbx_says(up_at=START + 45)
    assert story.result.talking == 40
    assert story.call.over


def test_a_recording_longer_than_the_time_that_passed_doesnt_date_the_end_into_the_future() -> None:
    story = Story().found("101").answers("101").wait(10).pbx_says(up_at=START + 1).stored(900)
    assert story.call.ended_at == START + 10


def test_an_answer_that_was_missed_is_made_up_for() -> None:
    story = Story().found("101").wait(5).pbx_says(h.ChannelFact(CALLER, "Ring", True), up("c1-1"))
    assert story.call.stage is Stage.TALKING
    assert story.given(o.Answer) == [o.Answer(CALLER)]
    assert len(story.given(o.Record)) == 1


def test_a_members_answer_that_was_missed_is_made_up_for() -> None:
    story = Story(fallback="queue:sales").found(None).wait(5)
    story.pbx_says(
        h.ChannelFact(CALLER, "Ring", True),
        h.ChannelFact(story.queue.id, "Up", True, member="PJSIP/105-0000002a", code="105"),
    )
    assert story.call.talker == "105"
    assert story.told == [("105",)]


def test_a_phone_that_ended_unheard_is_passed_over() -> None:
    story = Story().found("101").wait(5).pbx_says(h.ChannelFact(CALLER, "Ring", True))
    assert story.rung[1:] == ["PJSIP/103", "PJSIP/104"]


def test_a_leg_whose_arrival_was_missed_is_dialled_now() -> None:
    story = Story(prompt=False).found("101")
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False), h.ChannelFact("c1-1", "Down", False))
    assert story.given(o.Dial) == [o.Dial("c1-1", 65)]


def test_a_pbx_that_was_restarted_has_broken_the_calls_that_waited() -> None:
    story = Story().found("101").wait(5).pbx_says(restarted=True, up_at=START + 3)
    assert story.hangup == (("101",), Ending.FAILED)
    assert story.call.over
    assert story.result.waiting == 3


def test_orders_of_a_talking_call_that_left_no_trace_are_given_again() -> None:
    story = Story().found("101").answers("101").wait(1)
    story.pbx_says(h.ChannelFact(CALLER, "Ring", False), up("c1-1", bridged=False))
    again = (o.OpenBridge("c1"), o.Join("c1", (CALLER, "c1-1")))
    assert story.last == (o.Answer(CALLER), *again, o.Record("c1", "c1"))


def test_a_call_as_the_pbx_has_it_needs_nothing() -> None:
    story = Story().found("101").answers("101").pbx_says(up(CALLER), up("c1-1"), recording=True)
    assert story.last == ()


def test_a_hang_up_that_was_lost_is_repeated_with_its_reason() -> None:
    story = Story(fallback="").found("101").ends("101", BUSY)
    story.pbx_says(h.ChannelFact(CALLER, "Ring", True))
    assert story.last == (o.HangUp(CALLER, HangUpReason.BUSY),)
    story = Story().found(None).answers("104")
    story.pbx_says(up(CALLER), up("c1-2"), h.ChannelFact("c1-1", "Ringing", False), recording=True)
    assert story.last == (o.HangUp("c1-1", HangUpReason.ANSWERED_ELSEWHERE),)


def test_a_fetch_that_was_lost_is_given_again() -> None:
    story = Story().found("101").answers("101").wait(9).caller_hangs_up().settle()
    story.happens(h.RecordingFinished(story.now)).pbx_says()
    assert story.last == (o.FetchRecording("c1"),)


def test_a_recordings_end_that_was_missed_is_made_up_for() -> None:
    story = Story().found("101").answers("101").wait(9).caller_hangs_up().settle().pbx_says()
    assert story.given(o.FetchRecording) == [o.FetchRecording("c1")]
    story.happens(h.RecordingStored(story.now, "c1.wav", 9))
    assert story.call.over


# -- names and numbers ------------------------------------------------------------------------------------


def test_a_customer_without_a_number_is_recorded_but_the_crm_is_not_told() -> None:
    story = Story(number=None)
    assert story.given(o.LookUp) == []
    assert story.rung == ["PJSIP/103", "PJSIP/104"]
    story.answers("103").wait(10).caller_hangs_up().stored(10).settle()
    assert story.call.over
    assert story.call.recording.file == "c1.wav"
    assert not any(isinstance(order, o.Tell) for order in story.orders)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Анна Каренина", "Анна Каренина"),
        ('Anna "the boss" <101>', "Anna the boss 101"),
        ("Anna\r\nVia: evil\x00", "Anna Via: evil"),
        ("${SHELL(rm)} $[1+1]", "SHELL(rm)} 1+1]"),
        ("  Anna   K.  ", "Anna K."),
        ("A" * 200, "A" * 80),
        ("Anna \ud83d", "Anna"),
        ("<>", ANNA),
        ("", ANNA),
        (None, ANNA),
    ],
)
def test_a_customers_name_is_cleaned_before_a_phone_shows_it(name: str | None, shown: str) -> None:
    assert Story().found("101", name).given(o.Ring)[0].name == shown


def test_the_prefix_stands_before_a_known_customers_name() -> None:
    story = Story(caller_name_prefix="CRM").found("101", "Anna")
    assert story.given(o.Ring)[0].name == "CRM: Anna"
    story = Story(caller_name_prefix="CRM").found("101", "A" * 200)
    assert len(story.given(o.Ring)[0].name) == 80


def test_an_unknown_customer_is_shown_by_the_number_unless_the_account_wants_a_blank() -> None:
    assert Story(caller_name_prefix="CRM").unknown().given(o.Ring)[0].name == ANNA
    assert Story(blank_unknown_caller=True).unknown().given(o.Ring)[0].name == ""
    assert Story(number=None).given(o.Ring)[0].name == ""


def test_the_phone_shows_the_customers_number() -> None:
    assert Story().found("101").given(o.Ring)[0].number == ANNA


def test_a_clock_that_was_set_back_never_makes_a_call_longer_than_it_was() -> None:
    story = Story(record=False).found("101")
    story.happens(h.LegAnswered(START - 50, "c1-1")).happens(h.CallerEnded(START + 10, NORMAL))
    assert (story.call.waiting, story.call.talking) == (0, 10)


def test_a_call_keeps_the_legs_that_were_tried() -> None:
    story = Story().found(None).wait(3).answers("104")
    assert [(leg.code, leg.state) for leg in story.call.legs] == [
        ("103", LegState.LEAVING),
        ("104", LegState.UP),
    ]
