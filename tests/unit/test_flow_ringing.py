"""Calls as stories: who is rung, in which order, and by which way."""

from __future__ import annotations

import pytest

from ari_app.asterisk.events import Extensions, Heard, Ids, read_event
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Doing, Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from tests.support.story import (
    ANNA,
    BUSY,
    CALLER,
    DECLINED,
    SHOP,
    START,
    TRUNK,
    UNREGISTERED,
    Story,
)

# -- who is rung -------------------------------------------------------------------------------------------


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


# -- queues ------------------------------------------------------------------------------------------------


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


def test_a_member_whose_telephone_forwards_outside_is_whose_the_call_is_there() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105").wait(1)
    queue, desk, outside = story.queue.id, "PJSIP/105-0000002a", "Local/89031112233@phones-0000002b;1"
    story.happens(h.MemberEnded(story.now, queue, desk, "CANCEL", outside, None, "onward"))
    story.happens(h.MemberRung(story.now, queue, outside, None, rings=False, local="onward"))
    there = f"{queue}/Local/89031112233@phones"
    story.happens(h.FarHalfFound(story.now, there, "onward-2"))
    story.happens(h.MemberRung(story.now, there, TRUNK, None)).wait(3)
    story.happens(h.MemberAnswered(story.now, there, TRUNK, None))
    story.happens(h.MemberAnswered(story.now, queue, outside, None, "onward")).wait(5)
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "105")
    story.caller_hangs_up().stored()
    assert story.told == [("105",)]
    assert story.hangup == (("105",), Ending.ANSWERED)
    assert story.result.code == "105"


def test_so_it_is_where_the_pbx_says_who_talks_before_the_telephone_there_was_heard_of() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105").wait(1)
    queue, outside = story.queue.id, "Local/89031112233@phones-0000002b;1"
    story.happens(h.MemberEnded(story.now, queue, "PJSIP/105-0000002a", "CANCEL", outside, None, "onward"))
    story.happens(h.MemberRung(story.now, queue, outside, None, rings=False, local="onward"))
    story.happens(h.MemberAnswered(story.now, queue, outside, None, "onward"))
    story.happens(h.MemberAnswered(story.now, queue, TRUNK, None))
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "105")


def test_a_colleague_to_whom_a_members_telephone_forwards_is_told_and_credited() -> None:
    story = Story(fallback="queue:sales").found(None).member_rings("105").wait(1)
    queue, desk, onward = story.queue.id, "PJSIP/105-0000002a", "Local/106@phones-0000002b;1"
    story.happens(h.MemberEnded(story.now, queue, desk, "CANCEL", onward, "106", "onward"))
    story.happens(h.MemberRung(story.now, queue, onward, "106", rings=False, local="onward"))
    there = f"{queue}/Local/106@phones"
    story.happens(h.FarHalfFound(story.now, there, "onward-2"))
    story.happens(h.MemberRung(story.now, there, "PJSIP/106-0000002c", "106")).wait(3)
    story.happens(h.MemberAnswered(story.now, there, "PJSIP/106-0000002c", "106"))
    story.happens(h.MemberAnswered(story.now, queue, onward, "106", "onward")).wait(5)
    assert story.told == [("105",), ("106",)]
    assert story.call.talker == "106"


def test_a_member_behind_a_local_channel_hands_the_caller_over_there() -> None:
    story = Story(fallback="queue:sales").found(None)
    queue, local = story.queue.id, "Local/105@phones-0000002b;1"
    story.happens(h.MemberRung(story.now, queue, local, "105", local="near"))
    there = f"{queue}/Local/105@phones"
    story.happens(h.FarHalfFound(story.now, there, "far"))
    story.happens(h.MemberAnswered(story.now, there, "PJSIP/105-0000002a", "105"))
    story.happens(h.MemberAnswered(story.now, queue, local, "105", local="near")).wait(10)
    story.happens(h.MemberTransferred(story.now, "far", "PJSIP/105-0000002a", "106")).wait(5)
    story.happens(h.MemberRung(story.now, "far", "PJSIP/106-0000002c", "106")).wait(1)
    story.happens(h.MemberAnswered(story.now, "far", "PJSIP/106-0000002c", "106"))
    assert (story.call.stage, story.call.talker) == (Stage.TALKING, "106")
    assert story.told == [("105",), ("106",)]


@pytest.mark.parametrize("desk_too", [False, True], ids=["forwarded", "the desk phone rings too"])
def test_whose_calls_are_forwarded_by_the_dialplan_is_told_only_if_their_own_telephone_rings(
    desk_too: bool,
) -> None:
    story = Story(fallback="queue:sales").found(None)
    queue, first, second = story.queue.id, "Local/105@phones-0000002b;1", "Local/106@phones-0000002c;1"
    story.happens(h.MemberRung(story.now, queue, first, "105", local="first"))
    behind = f"{queue}/Local/105@phones"
    story.happens(h.FarHalfFound(story.now, behind, "first-2"))
    if desk_too:
        story.happens(h.MemberRung(story.now, behind, "PJSIP/105-0000002a", "105"))
    story.happens(h.MemberRung(story.now, behind, second, "106", local="second")).wait(1)
    assert story.told == ([("105", "106")] if desk_too else [("106",)])


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


# -- dialplan destinations ---------------------------------------------------------------------------------


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


def test_a_phone_of_chan_sip_is_joined_with_the_caller_only_when_it_answers() -> None:
    story = Story(channel_format="SIP/##").found("101")
    assert story.given(o.Join) == []
    story.answers("101")
    assert story.given(o.Join) == [o.Join("c1", (CALLER, "c1-1"))]


# -- a dialplan that says that it is busy ------------------------------------------------------------------


def test_a_managers_dialplan_that_plays_a_busy_tone_sends_the_caller_to_the_fallback_at_once() -> None:
    story = Story(channel_format="Local/##@ext/n").found("101")
    leg = story.phone("101")
    story.happens(h.MemberRung(story.now, leg.id, "PJSIP/101-0000002a", "101"))
    story.happens(h.MemberEnded(story.now, leg.id, "PJSIP/101-0000002a", "BUSY"))
    story.happens(h.DialplanDoes(story.now, leg.id, Doing.REFUSES))
    assert story.rung[-2:] == ["Local/103@ext/n", "Local/104@ext/n"]
    assert story.hung_up(leg.id) is HangUpReason.NORMAL


def test_a_group_of_the_dialplans_that_plays_a_busy_tone_is_passed_over_at_once() -> None:
    story = Story(fallback="queue:groups,600;group:109").found(None).member_rings("105").wait(2)
    story.member_ends("105", "BUSY").happens(h.DialplanDoes(story.now, story.queue.id, Doing.REFUSES))
    assert story.rung[-1] == "PJSIP/109"


@pytest.mark.parametrize(
    ("tone", "ending"),
    [(Doing.BUSY, Ending.BUSY), (Doing.REFUSES, Ending.FAILED)],
    ids=["busy", "congestion"],
)
def test_a_managers_dialplan_that_rings_nobody_and_plays_a_tone_says_by_it_what_became_of_the_call(
    tone: Doing, ending: Ending
) -> None:
    story = Story(channel_format="Local/##@ext/n", fallback="").found("101")
    story.happens(h.DialplanDoes(story.now, story.phone("101").id, tone))
    assert story.call.ending is ending


@pytest.mark.parametrize(
    ("cause", "ending"), [(17, Ending.BUSY), (19, Ending.NOT_ANSWERED), (27, Ending.FAILED)]
)
def test_why_the_dialplan_behind_a_leg_has_ended_counts_where_the_leg_itself_does_not_tell(
    cause: int, ending: Ending
) -> None:
    story = Story(channel_format="Local/##@ext/n", fallback="").found("101")
    leg = story.phone("101").id
    story.happens(h.FarHalfEnded(story.now, f"{leg}-2", cause)).happens(h.LegEnded(story.now, leg, 16))
    assert story.call.ending is ending


def test_the_end_of_a_legs_far_half_is_read_only_where_it_tells_why() -> None:
    for cause, told in (17, True), (16, False):
        ident = "shop-0123456789abcdef-1-2"
        event = {"type": "ChannelDestroyed", "channel": {"id": ident, "state": "Ring"}, "cause": cause}
        said = read_event(event, START, Ids("shop"), Extensions("PJSIP/##"))
        assert said == (Heard(ident, h.FarHalfEnded(START, ident, 17)) if told else None)


@pytest.mark.parametrize(("status", "tone"), [("BUSY", Doing.BUSY), ("CONGESTION", Doing.REFUSES)])
def test_a_busy_tone_behind_a_leg_is_read_off_the_pbxs_event(status: str, tone: Doing) -> None:
    dialled = {"type": "Dial", "dialstatus": status, "dialstring": ""}
    for channel, refuses in ("Local/600@groups-0000002a;1", True), ("PJSIP/101-0000002a", False):
        event = dialled | {"peer": {"id": "leg", "name": channel}}
        said = read_event(event, START, Ids("shop"), Extensions("PJSIP/##"))
        assert said == (Heard("leg", h.DialplanDoes(START, "leg", tone)) if refuses else None)


def test_a_manager_of_whom_no_telephone_rang_is_the_one_who_should_have_answered() -> None:
    story = Story(channel_format="Local/##@phones/n", unknown="group:101").unknown()
    story.happens(h.DialplanDoes(story.now, "c1-1-2", Doing.BUSY)).settle()
    assert (story.told, story.result.code, story.result.ending) == ([], "101", Ending.BUSY)
