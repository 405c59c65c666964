"""Calls that an earlier version has stored are read, told and taken up again; see `tests.support.history`."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Any

import orjson
import pytest

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls import reported as r
from ari_app.calls.call import AsGiven, Call, Leg, LegState, RecordingState, Role, Stage, Way
from ari_app.calls.journal import OutboxEntry, load_line, order_from
from ari_app.calls.outcome import Ending
from ari_app.calls.stored import dump_call, load_call
from ari_app.timeline.timeline import narrate, summary
from cabinet.frame.language import LANGUAGES, speech_of
from tests.support.history import HISTORY, MOMENTS, History, Moment
from tests.support.witness import Witness

NAMES = [one.name for one in HISTORY]
OURS = {name: one for name, one in MOMENTS.items() if one.call.way is not Way.REPORTED}
REPORTED = {name: one for name, one in MOMENTS.items() if one.call.way is Way.REPORTED}


def test_every_stage_of_a_live_call_is_among_them() -> None:
    assert len(HISTORY) >= 15
    assert {moment.call.stage for moment in OURS.values()} == set(Stage) - {Stage.ENDED}
    assert {moment.call.stage for moment in REPORTED.values()} == {Stage.RINGING, Stage.ENDING}


def only_what_was(before: Any, now: Any) -> Any:
    """Leave out of a value what there was no field for when it was stored."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {name: only_what_was(value, now.get(name)) for name, value in before.items()}
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [only_what_was(*both) for both in zip(before, now, strict=True)]
    return now


@pytest.mark.parametrize("history", HISTORY, ids=NAMES)
def test_nothing_of_a_call_is_lost_when_it_is_read(history: History) -> None:
    for stored in (history.ended, *(moment.state for moment in history.live.values())):
        before = {name: value for name, value in orjson.loads(stored).items() if name != "counted"}
        assert only_what_was(before, orjson.loads(dump_call(load_call(stored)))) == before
    for line in history.journal:
        read, stored_line = load_line(line), orjson.loads(line)
        assert read.at == stored_line["at"]
        assert type(read.event).__name__ == stored_line["event"]["kind"]
        assert [type(one).__name__ for one in read.orders] == [one["kind"] for one in stored_line["orders"]]


@pytest.mark.parametrize("history", HISTORY, ids=NAMES)
def test_what_the_crm_was_still_to_be_told_is_read(history: History) -> None:
    told = [
        order
        for line in map(load_line, history.journal)
        for order in line.orders
        if isinstance(order, o.TellRinging | o.TellHangup | o.TellResult)
    ]
    entries = [
        OutboxEntry(f"{number}-0", call, order_from(orjson.loads(entry)))
        for number, (call, entry) in enumerate(history.outbox)
    ]
    assert [entry.tell for entry in entries] == told
    assert {entry.call for entry in entries} == {history.call.id}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("history", HISTORY, ids=NAMES)
def test_it_is_told_in_every_language(history: History, language: str) -> None:
    speech, call = speech_of(language), history.call
    sentences = [sentence for line in map(load_line, history.journal) for sentence in narrate(line, call)]
    said = [sentence.said.within(speech) for sentence in sentences]
    assert len(said) >= 4
    assert all(text.strip() and "%(" not in text for text in said)
    assert summary(call)
    assert any("CRM" in text for text in said)
    assert language != "ru" or any("а" <= letter <= "я" for letter in said[0])


# -- taken up again ----------------------------------------------------------------------------------------


class Found(StrEnum):
    """What the PBX says when the service hears it again."""

    NOTHING = "nothing is there any more"
    ALL = "all is as it was"
    RESTARTED = "the pbx was restarted"


class Resumed:
    """A stored call that is taken up, on a PBX which does what it is told to, at once."""

    def __init__(self, moment: Moment, found: Found) -> None:
        self.found = found
        orders = [order for line in map(load_line, moment.lines) for order in line.orders]
        self.witness = Witness.of(moment.call, orders)
        self.at = max(leg.at for leg in (self.call.caller, *self.call.legs)) + 60.0
        self.there = {leg.id: _fact(leg) for leg in self._legs() if leg.alive and leg.state is not PLACED}
        if found is not Found.ALL or moment.call.stage is Stage.ENDING:
            self.there = {}
        self.news: deque[h.Happening] = deque([h.OutcomeUnknown(self.at, "the PBX is connected again")])
        while self.news:
            self._hear(self.news.popleft())

    @property
    def call(self) -> Call:
        return self.witness.call

    def goes_on(self) -> None:
        """Whatever is due comes, and at last somebody hangs up."""
        for _ in range(20):
            timer = self.call.next_timer
            if self.call.over:
                return
            if timer is not None and self.call.stage is not Stage.TALKING:
                self.at = max(self.at, timer.due)
                self._hear(h.TimerExpired(self.at, timer.name))
            else:
                gone = self.call.caller if self.call.caller.alive else self.call.customer
                assert gone is not None
                self.there.pop(gone.id, None)
                self._hear(h.LegEnded(self.at, gone.id, 16))
            while self.news:
                self._hear(self.news.popleft())

    def _legs(self) -> tuple[Leg, ...]:
        return (self.call.caller, *self.call.our_legs)

    def _hear(self, happening: h.Happening) -> None:
        self.at += 0.01
        for order in self.witness.advance(happening):
            self._carry_out(order)

    def _carry_out(self, order: o.Order) -> None:
        match order:
            case o.AskPbx(channels):
                facts = tuple(self.there[one] for one in channels if one in self.there)
                recording = self.call.recording.state is RecordingState.RUNNING and bool(facts)
                restarted = self.found is Found.RESTARTED
                said = h.PbxSaid(self.at, channels, facts, recording, self.at - 30, restarted)
                self.news.append(said)
            case o.HangUp(channel):
                self.there.pop(channel, None)
                self.news.append(h.LegEnded(self.at, channel, 16))
            case o.Ring(leg):
                self.news.append(h.LegRefused(self.at, leg, "no such extension"))
            case o.StopRecording():
                self.news.append(h.RecordingFinished(self.at))
            case o.FetchRecording(name):
                self.news.append(h.RecordingStored(self.at, f"{name}.wav", 1.0))
            case o.LookUp():
                self.news.append(h.CustomerUnknown(self.at))


PLACED = LegState.PLACED


def _fact(leg: Leg) -> h.ChannelFact:
    state = {LegState.UP: "Up", LegState.RINGING: "Ring" if leg.role is Role.CALLER else "Ringing"}
    return h.ChannelFact(leg.id, state.get(leg.state, "Down"), leg.joined)


@pytest.mark.parametrize("found", Found)
@pytest.mark.parametrize("moment", OURS.values(), ids=OURS)
def test_a_live_call_is_taken_up_and_ends_properly(moment: Moment, found: Found) -> None:
    resumed = Resumed(moment, found)
    if found is Found.ALL and moment.call.stage in (Stage.TALKING, Stage.TRANSFERRING, Stage.RINGING):
        assert resumed.call.stage is moment.call.stage
        assert resumed.call.answered_at == moment.call.answered_at
    elif found is not Found.ALL and moment.call.stage is not Stage.ENDING:
        assert resumed.call.stage in (Stage.ENDING, Stage.ENDED)
    resumed.goes_on()
    assert resumed.call.over
    assert resumed.call.ending is not None
    assert (resumed.call.ending is Ending.ANSWERED) == (resumed.call.answered_at is not None)
    assert len(resumed.witness.results) == 1


@pytest.mark.parametrize("moment", REPORTED.values(), ids=REPORTED)
def test_a_reported_call_is_taken_up_and_told_once(moment: Moment) -> None:
    call, at = moment.call, moment.call.started_at + 70
    assert call.next_timer is not None
    reports: list[r.Report] = [
        r.EndReported(
            *(at, call.caller.id, call.direction, call.number, None, "101", Ending.ANSWERED, 5, 61),
            AsGiven(),
            awaits_file=True,
        ),
        r.FileReported(at + 1, call.caller.id, "sound.wav", 61.0),
    ]
    told: list[o.Order] = []
    for report in reports:
        call, orders = r.advance(call, report)
        told += orders
    assert call.over
    [result] = [order for order in told if isinstance(order, o.TellResult)]
    assert (result.code, result.recording, result.talking) == ("101", "sound.wav", 61)
