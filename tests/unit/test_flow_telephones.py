"""Calls as stories: the telephones of an extension, which the PBX is asked for, and their own forwarding."""

from __future__ import annotations

import pytest

from ari_app.asterisk.events import Extensions, Heard, Ids, read_event
from ari_app.asterisk.phones import read_contacts
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Leg, LegState, Role, Stage
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.calls.routing import Outside
from tests.support.story import ANNA, BUSY, CALLER, START, TRUNK, UNREGISTERED, Story, clicked

DESK, SOFT = "PJSIP/101/sip:101@10.0.0.1", "PJSIP/101/sip:101@10.0.0.2"
SECURE = "PJSIP/101/sips:101@[2001:db8::1]:5061;transport=ws"
MOBILE = Outside("89031112233", "default", 1, "default")


def story(**how: object) -> Story:
    return Story(telephones=True, **how)  # type: ignore[arg-type]


def has(told: Story, code: str, *endpoints: str) -> Story:
    """The PBX says which telephones an extension has."""
    found = (h.Telephones(code, endpoints),)
    return told.happens(h.TelephonesFound(told.now, told.call.attempt, found))


def forwards(told: Story, leg: Leg, target: str, way: Outside | None = None) -> Story:
    """A telephone forwards its calls, and is gone."""
    forwarded = h.LegForwarded(told.now, leg.id, target, "phones", way is None, way)
    return told.happens(forwarded).happens(h.LegEnded(told.now, leg.id, 0, 302))


# -- several, one, none -----------------------------------------------------------------------------------


def test_nobody_is_rung_or_told_before_the_pbx_has_said_which_telephones_there_are() -> None:
    told = story().found("101")
    assert told.given(o.FindTelephones) == [o.FindTelephones(CALLER, 0, ("101",))]
    assert (told.rung, told.told) == ([], [])
    has(told, "101", DESK, SOFT)
    assert (told.rung, told.told) == ([DESK, SOFT], [("101",)])


def test_the_first_answer_wins_and_the_other_telephone_is_told_that_it_was_answered_elsewhere() -> None:
    told = has(story().found("101"), "101", DESK, SOFT)
    desk, soft = told.call.legs
    told.happens(h.LegAnswered(told.now, soft.id)).wait(10).caller_hangs_up().stored().settle()
    assert told.hung_up(desk.id) is HangUpReason.ANSWERED_ELSEWHERE
    assert told.hangup == (("101",), Ending.ANSWERED)
    assert told.result.code == "101"
    assert told.call.over


def test_an_only_telephone_is_heard_before_the_answer_and_one_of_two_is_not() -> None:
    assert has(story().found("101"), "101", DESK).given(o.Join)
    assert not has(story().found("101"), "101", DESK, SOFT).given(o.Join)


def test_who_has_no_telephone_is_passed_over_and_not_told() -> None:
    told = has(story().found("101"), "101")
    assert told.given(o.FindTelephones)[-1].codes == ("103", "104")
    everyone = (h.Telephones("103", ()), h.Telephones("104", ("PJSIP/104/sip:104@10.0.0.4",)))
    told.happens(h.TelephonesFound(told.now, 1, everyone))
    assert told.told == [("104",)]
    assert told.rung == ["PJSIP/104/sip:104@10.0.0.4"]


def test_when_nobody_has_a_telephone_nobody_could_be_reached() -> None:
    told = has(story(fallback="").found("101"), "101").settle()
    assert told.told == []
    assert (told.result.ending, told.result.code) == (Ending.FAILED, "101")


@pytest.mark.parametrize("late", [False, True], ids=["the PBX can't say", "the PBX is too slow"])
def test_without_an_answer_the_extension_is_rung_as_the_pbx_sees_fit(late: bool) -> None:
    told = story().found("101")
    if late:
        told.wait(1)
    else:
        told.happens(h.TelephonesFound(told.now, 0, (h.Telephones("101", None),)))
    assert (told.rung, told.told) == (["PJSIP/101"], [("101",)])
    assert has(told, "101", DESK, SOFT).rung == ["PJSIP/101"]


def test_a_question_that_was_lost_in_a_crash_is_asked_again() -> None:
    told = story().found("101")
    told.pbx_says(h.ChannelFact(CALLER, "Ring", False))
    assert told.given(o.FindTelephones) == [o.FindTelephones(CALLER, 0, ("101",))] * 2
    assert has(told, "101", DESK).rung == [DESK]


def test_a_telephone_that_was_never_made_is_made_again_as_the_same() -> None:
    told = has(Story(telephones=True, prompt=False).found("101"), "101", DESK, SOFT)
    _, soft = told.call.legs
    told.happens(h.LegReady(told.now, soft.id))
    told.pbx_says(h.ChannelFact(CALLER, "Ring", False), h.ChannelFact(soft.id, "Down", False))
    assert told.rung == [DESK, SOFT, DESK]


def test_a_caller_who_gives_up_while_the_pbx_is_asked_is_not_rung_for() -> None:
    told = story().found("101").caller_hangs_up()
    assert has(told, "101", DESK).rung == []
    assert told.call.over


def test_the_ring_seconds_begin_when_the_telephones_ring() -> None:
    told = has(story(ring_manager_seconds=25).found("101").wait(0.9), "101", DESK)
    assert told.wait(24.9).call.attempt == 0
    assert told.wait(0.2).call.attempt == 1


def test_a_telephone_of_which_nothing_is_heard_doesnt_hold_up_who_is_busy_at_another() -> None:
    told = has(Story(telephones=True, prompt=False, fallback="").found("101"), "101", DESK, SOFT)
    desk, soft = told.call.legs
    for leg in (desk, soft):
        told.happens(h.LegReady(told.now, leg.id))
    told.happens(h.LegEnded(told.now, desk.id, BUSY, 486))
    assert told.wait(2.9).call.stage is Stage.RINGING
    told.wait(0.2).settle()
    assert told.result.ending is Ending.BUSY


def test_a_telephone_that_rings_goes_on_when_another_is_busy() -> None:
    told = has(story().found("101"), "101", DESK, SOFT)
    told.happens(h.LegEnded(told.now, told.call.legs[0].id, BUSY, 486)).wait(30)
    assert told.call.attempt == 0


# -- forwarding -------------------------------------------------------------------------------------------


def test_a_colleague_to_whom_a_telephone_forwards_is_rung_told_and_credited() -> None:
    told = has(story().found("101"), "101", DESK)
    forwards(told, told.phone("101"), "102")
    has(told, "102", "PJSIP/102/sip:102@10.0.0.3").answers("102").wait(5).caller_hangs_up().stored().settle()
    assert told.told == [("101",), ("102",)]
    assert told.result.code == "102"
    assert told.call.over


def test_a_number_outside_is_dialled_by_the_line_and_credited_to_whose_telephone_it_is() -> None:
    told = has(story().found("101"), "101", DESK)
    forwards(told, told.phone("101"), MOBILE.number, MOBILE)
    outside = next(leg for leg in told.call.legs if leg.role is Role.FORWARDED)
    assert told.rung[-1] == "Local/89031112233@default/n"
    told.happens(h.LegAnswered(told.now, outside.id))
    assert told.call.stage is Stage.RINGING  # the line may play something first
    trunk = "PJSIP/trunk-0000002a"
    told.wait(3).happens(h.MemberAnswered(told.now, outside.far_id, trunk, None))
    told.wait(5).caller_hangs_up().stored().settle()
    assert told.told == [("101",)]
    assert (told.result.code, told.result.waiting, told.result.talking) == ("101", 3, 5)


def test_a_caller_who_was_answered_before_hears_ringing_while_a_forwarding_is_followed_and_no_longer() -> (
    None
):
    told = Story().found("101").happens(h.CallerAnswered(START))
    forwards(told, told.phone("101"), "102")
    assert told.given(o.PlayRinging) == [o.PlayRinging("c1", "c1-ringing")]
    told.answers("102")
    assert told.given(o.StopPlaying) == [o.StopPlaying("c1-ringing")]


def test_who_is_rung_already_is_not_rung_twice_by_a_colleagues_forwarding() -> None:
    told = Story(unknown="group:101,102").unknown()
    forwards(told, told.phone("101"), "102")
    assert told.rung == ["PJSIP/101", "PJSIP/102"]
    assert told.call.attempt == 0


def test_a_circle_ends_the_destination() -> None:
    told = Story().found("101")
    forwards(told, told.phone("101"), "102")
    forwards(told, told.phone("102"), "101")
    assert told.rung == ["PJSIP/101", "PJSIP/102", "PJSIP/103", "PJSIP/104"]


def test_a_sixth_forward_ends_the_destination() -> None:
    told = Story(fallback="").found("101")
    for number in range(101, 107):
        forwards(told, told.phone(str(number)), str(number + 1))
    assert told.rung == [f"PJSIP/{number}" for number in range(101, 107)]
    assert told.call.ending is Ending.FAILED


def test_a_colleague_who_is_busy_is_not_rung_by_a_forwarding_either() -> None:
    told = Story(busy=frozenset({"102"})).found("101")
    forwards(told, told.phone("101"), "102")
    assert told.call.passed_over == ("102",)
    assert told.call.attempt == 1


def test_the_ring_seconds_count_from_the_telephone_that_forwarded() -> None:
    told = Story(ring_manager_seconds=20).found("101").wait(15)
    forwards(told, told.phone("101"), "102")
    assert told.wait(4.9).call.attempt == 0
    assert told.wait(0.2).call.attempt == 1


# -- click-to-call ----------------------------------------------------------------------------------------


def test_a_clicked_call_rings_the_first_telephone_at_once_and_then_the_others() -> None:
    told = clicked(telephones=True)
    first = told.call.caller
    assert told.given(o.FindTelephones) == [o.FindTelephones(first.id, -1, ("101",))]
    assert first.state is LegState.RINGING
    has(told, "101", DESK, SOFT)
    assert told.rung == ["PJSIP/101", SOFT]


def test_whichever_telephone_answers_makes_the_clicked_call() -> None:
    told = has(clicked(telephones=True), "101", DESK, SOFT)
    first, second = told.call.caller, told.call.legs[0]
    told.happens(h.LegAnswered(told.now, second.id))
    assert told.call.caller.id == second.id
    assert told.hung_up(first.id) is HangUpReason.ANSWERED_ELSEWHERE
    told.happens(h.LegEnded(told.now, first.id, 26)).customer_answers()
    told.wait(9).happens(h.LegEnded(told.now, second.id, 16)).stored().settle()
    assert (told.result.code, told.result.talking, told.result.phone) == ("101", 9, ANNA)
    assert told.call.over


def test_a_clicked_call_ends_when_the_last_telephone_has_refused() -> None:
    told = has(clicked(telephones=True), "101", DESK, SOFT)
    first, second = told.call.caller, told.call.legs[0]
    told.happens(h.LegEnded(told.now, first.id, UNREGISTERED))
    assert told.call.stage is Stage.CALLING
    told.happens(h.LegEnded(told.now, second.id, BUSY))
    assert told.result.ending is Ending.NOT_PLACED
    assert told.call.over


def test_a_clicked_call_is_made_by_the_colleague_to_whom_the_telephone_forwards() -> None:
    told = clicked()
    forwards(told, told.call.caller, "102")
    assert told.rung == ["PJSIP/101", "PJSIP/102"]
    told.happens(h.LegAnswered(told.now, told.phone("102").id)).customer_answers()
    assert told.told == [("102",)]
    assert told.call.talker == "102"


def test_a_manager_whose_telephone_forwards_outside_waits_there_until_the_customer_answers() -> None:
    told = clicked()
    forwards(told, told.call.caller, MOBILE.number, MOBILE)
    mobile = told.call.legs[-1]
    told.happens(h.MemberAnswered(told.now, mobile.far_id, TRUNK, None)).line_dials().wait(3)
    waits = h.ChannelFact(mobile.id, "Up", True, member=TRUNK)
    told.pbx_says(waits, h.ChannelFact(told.customer.id, "Ringing", True))
    assert told.call.stage is Stage.RINGING
    assert told.given(o.HangUp) == []
    told.customer_answers().wait(9).customer_ends().stored().settle()
    assert (told.result.code, told.result.waiting, told.result.talking) == ("101", 3, 9)
    assert told.call.over


# -- what the PBX says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("", ()),
        (DESK, (DESK,)),
        (f"{DESK}&{SOFT}", (DESK, SOFT)),
        (f"{DESK};x=a&b=c&{SOFT}", (f"{DESK};x=a&b=c", SOFT)),
        (f"{DESK}&{DESK}", (DESK,)),
        (SECURE, (SECURE,)),
        (f"{DESK} evil&{SOFT}", (SOFT,)),
        ("PJSIP/102/sip:102@10.0.0.1", None),
        ("Local/s@somewhere", None),
        ("PJSIP/101/tel:+79031112233", None),
        ('PJSIP/101/sip:"x"<y>@10.0.0.1', None),
        ("\n", None),
    ],
)
def test_a_contact_becomes_a_channels_name_only_if_it_looks_like_one(
    listed: str, found: tuple[str, ...] | None
) -> None:
    assert read_contacts(listed, "PJSIP/101") == found


@pytest.mark.parametrize(
    ("forward", "target"),
    [
        ("310", "310"),
        ("+79031112233", "+79031112233"),
        ("PJSIP/307/sip:310@127.0.0.1", "310"),
        ("PJSIP/307/sip:310@127.0.0.1:5060;user=phone", "310"),
        ("Local/310@internal", "310"),
        ("SIP/310::::UDP@10.0.0.1:5060", "310"),
        ("310;phone-context=shop", "310"),
        ("", None),
        ("@", None),
    ],
)
def test_whereto_a_telephone_forwards_is_read_off_the_pbxs_event(forward: str, target: str | None) -> None:
    leg = "shop-0123456789abcdef-1"
    peer = {"id": leg, "dialplan": {"context": "phones"}}
    event = {"type": "Dial", "dialstatus": "CANCEL", "forward": forward, "peer": peer}
    said = read_event(event, 1.0, Ids("shop"), Extensions("PJSIP/##"))
    heard = Heard(leg, h.LegForwarded(1.0, leg, target, "phones")) if target is not None else None
    assert said == heard
