"""The journal: what is written is read back, and told in sentences."""

from dataclasses import replace
from typing import get_args

import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Call, Doing, Stage
from ari_app.calls.flow import advance, begin
from ari_app.calls.journal import CrmTold, Event, JournalLine, brief_line, dump_line, load_line, read_lines
from ari_app.calls.outcome import Ending
from ari_app.calls.routing import People, Policy
from ari_app.timeline.timeline import narrate, summary

POLICY = Policy("PJSIP/##", fallback=(People(("102", "103"), 60.0),), unknown=())
TOLD = o.TellHangup(2.0, "+79161234567", None, ("101",), Ending.ANSWERED)


def story() -> tuple[Call, list[JournalLine]]:
    """A call to 101, who doesn't answer; 103 of the group does."""
    happened: list[h.Happening] = [
        h.CustomerFound(100.1, "Иванова Анна", "101"),
        h.LegReady(100.2, "app-1-1"),
        h.LegRinging(100.3, "app-1-1"),
        h.LegEnded(101.0, "app-1-1", 17),
        h.LegReady(101.1, "app-1-2"),
        h.LegReady(101.1, "app-1-3"),
        h.LegAnswered(103.0, "app-1-3"),
        h.LegEnded(103.1, "app-1-2", 26),
        h.CallerEnded(110.0, 16),
        h.LegEnded(110.1, "app-1-3", 16),
        h.RecordingFinished(110.1),
        h.RecordingStored(110.2, "abc.wav", 7.0),
    ]
    arrived = h.CallArrived(100.0, "1.1", "+79161234567", "+74951112233")
    call, orders = begin("app-1", "shop", POLICY, arrived)
    lines = [JournalLine(100.0, call.id, None, call.stage, arrived, orders)]
    for happening in happened:
        before = call.stage
        call, orders = advance(call, happening)
        lines.append(JournalLine(happening.at, call.id, before, call.stage, happening, orders))
    return call, lines


def test_every_step_of_a_call_is_read_back_as_it_was_written() -> None:
    for line in story()[1]:
        assert load_line(dump_line(line)) == line
        assert read_lines([brief_line(line)], line.call) == ([line], [])


@pytest.mark.parametrize("problem", [None, "400 wrong phone"])
def test_what_the_crm_answered_is_read_back(problem: str | None) -> None:
    line = JournalLine(3.0, "app-1", None, None, CrmTold(3.0, TOLD, problem))
    ordered = JournalLine(TOLD.at, "app-1", Stage.TALKING, Stage.ENDING, h.CallerEnded(TOLD.at, 16), (TOLD,))
    assert load_line(dump_line(line)) == line
    assert read_lines(map(brief_line, (ordered, line)), "app-1") == ([ordered, line], [])


def test_a_line_that_nobody_wrote_is_an_error() -> None:
    with pytest.raises((KeyError, ValueError)):
        load_line(b'{"at": 1, "event": {"kind": "Nonsense"}}')


def test_a_call_is_told_in_sentences() -> None:
    call, lines = story()
    assert [sentence.text for line in lines for sentence in narrate(line, call)] == [
        "+79161234567 calls +74951112233",
        "the CRM knows: Иванова Анна, manager 101",
        "trying 101",
        "101 rings",
        "101: busy",
        "trying 102, 103",
        "103 answered",
        "102 is gone (answered elsewhere)",
        "the caller hung up",
        "answered by 103 after 3.0 s, talked 7.0 s",
        "103 is gone (waited 2.0 s, talked 7.1 s)",
        "recording stored: 7.0 s, abc.wav",
    ]
    assert summary(call) == "answered by 103 after 3.0 s, talked 7.0 s"


def test_what_the_crm_would_not_hear_is_told_with_the_reason() -> None:
    call, _ = story()
    line = JournalLine(3.0, call.id, None, None, CrmTold(3.0, TOLD, "400 wrong phone"))
    assert [s.text for s in narrate(line, call)] == [
        "CRM not told (400 wrong phone): hangup, answered, for 101"
    ]


EXAMPLES: dict[str, Event] = {
    "CustomerUnknown": h.CustomerUnknown(1.0, "no answer"),
    "CallerReturned": h.CallerReturned(1.0),
    "LegRefused": h.LegRefused(1.0, "app-1-1", "500 Allocation failed"),
    "MemberRung": h.MemberRung(1.0, "app-1-1", "PJSIP/101-00000001", "101"),
    "MemberAnswered": h.MemberAnswered(1.0, "app-1-1", "PJSIP/101-00000001", None),
    "FarHalfEnded": h.FarHalfEnded(1.0, "app-1-1-2", 17, 486),
    "DialplanDoes": h.DialplanDoes(1.0, "app-1-1-2", Doing.SPEAKS),
    "MemberEnded": h.MemberEnded(1.0, "app-1-1", "PJSIP/101-00000001", "BUSY"),
    "RecorderReady": h.RecorderReady(1.0),
    "RecorderEnded": h.RecorderEnded(1.0),
    "CustomerParked": h.CustomerParked(1.0, "1.1", "PJSIP/101-00000001", "700"),
    "CustomerStayed": h.CustomerStayed(1.0),
    "RecordingFailed": h.RecordingFailed(1.0, "500"),
    "OutcomeUnknown": h.OutcomeUnknown(1.0, "why"),
    "ClockSet": h.ClockSet(1.0, -3600.0),
    "PbxSaid": h.PbxSaid(
        1.0,
        ("1.1",),
        (h.ChannelFact("1.1", "Up", True),),
        False,
        0.5,
        ends=(h.LegEnded(0.9, "1.1", 16, up=True),),
    ),
    "ServiceStopping": h.ServiceStopping(1.0),
}


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_whatever_happens_is_kept_and_told_at_any_stage(event: Event) -> None:
    call, _ = story()
    for stage in Stage:
        line = JournalLine(1.0, call.id, stage, stage, event)
        assert load_line(dump_line(line)) == line
        assert read_lines([brief_line(line)], line.call) == ([line], [])
        narrate(line, call)
        narrate(line, replace(call, legs=()))


def test_the_names_of_happenings_and_orders_are_their_own() -> None:
    names = [kind.__name__ for kind in (*get_args(h.Happening), *get_args(o.Order))]
    assert len(names) == len(set(names))
