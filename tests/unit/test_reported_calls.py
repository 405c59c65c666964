"""A call that a dialplan of the shop's own reports: whatever comes, in whatever order, is told once."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ari_app.calls.call import AsGiven, Call, Direction, Source, Stage, TimerName, Way
from ari_app.calls.happenings import TimerExpired
from ari_app.calls.journal import JournalLine, dump_line, load_line
from ari_app.calls.orders import Order, TellHangup, TellResult, TellRinging, WebAnalytics
from ari_app.calls.outcome import CRM_WORDS, Ending
from ari_app.calls.reported import (
    FILE_SECONDS,
    HEARSAY_SECONDS,
    SILENCE_SECONDS,
    CallTakenOver,
    EndReported,
    FileReported,
    Report,
    RingingReported,
    advance,
    begin,
    ending_of,
)
from ari_app.calls.routing import Policy
from ari_app.timeline.timeline import narrate

ANNA, OURS, CHANNEL = "+79161234567", "+74951112233", "1700000000.42"
POLICY = Policy("PJSIP/##", (), ())
RINGS = RingingReported(100.0, CHANNEL, Direction.IN, ANNA, OURS, ("101",))
ENDS = EndReported(170.0, CHANNEL, Direction.IN, ANNA, OURS, "101", Ending.ANSWERED, 5, 61, AsGiven())
FILE = FileReported(175.0, CHANNEL, "abc.wav", 61.0)
WAITS = replace(ENDS, awaits_file=True)


def story(*reports: Report | TimerExpired) -> tuple[Call, list[Order]]:
    """Let these be reported, and give the call and all that it ordered."""
    first = reports[0]
    assert not isinstance(first, TimerExpired)
    call, ordered = begin("reported-1", "shop", POLICY, first), list[Order]()
    for report in reports:
        call, orders = advance(call, report)
        ordered += orders
    return call, ordered


def told(ordered: list[Order]) -> list[str]:
    return [type(order).__name__.removeprefix("Tell") for order in ordered]


CODES = st.lists(st.sampled_from(["101", "102", "103"]), max_size=3).map(tuple)
NUMBERS = st.sampled_from([ANNA, None])
BY = st.sampled_from([None, "pbx", "somebody"])
AT = st.floats(0, 10 * SILENCE_SECONDS)
REPORTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        RingingReported,
        at=AT,
        channel=st.just(CHANNEL),
        direction=st.sampled_from(Direction),
        number=NUMBERS,
        external=st.none(),
        codes=CODES,
        by=BY,
    ),
    st.builds(
        EndReported,
        at=AT,
        channel=st.just(CHANNEL),
        direction=st.one_of(st.none(), st.sampled_from(Direction)),
        number=NUMBERS,
        external=st.none(),
        code=st.one_of(st.none(), st.just("101")),
        ending=st.sampled_from(Ending),
        waiting=st.integers(0, 100),
        talking=st.integers(0, 100),
        given=st.sampled_from([AsGiven(), AsGiven(link="http://pbx.example/1.wav")]),
        awaits_file=st.booleans(),
        by=BY,
    ),
    st.builds(FileReported, at=AT, channel=st.just(CHANNEL), file=st.just("abc.wav"), seconds=st.none()),
    st.builds(CallTakenOver, at=AT, channel=st.just(CHANNEL)),
)
TIMERS = st.builds(TimerExpired, at=AT, timer=st.sampled_from([TimerName.RECORDING, TimerName.REPORT]))


@given(REPORTS, st.lists(st.one_of(REPORTS, TIMERS), max_size=12))
def test_in_every_order_each_thing_is_told_once(first: Report, others: list[Report | TimerExpired]) -> None:
    call, ordered = story(first, *others)
    rung = [code for order in ordered if isinstance(order, TellRinging) for code in order.codes]
    hangups = [order for order in ordered if isinstance(order, TellHangup)]
    results = [order for order in ordered if isinstance(order, TellResult)]
    assert len(rung) == len(set(rung))
    assert len(hangups) <= 1
    assert [result.again for result in results] == list(range(len(results)))  # another is a correction
    kinds = told(ordered[: next((at for at, one in enumerate(ordered, 1) if one in results), len(ordered))])
    assert kinds == sorted(kinds, key=["Ringing", "Hangup", "Result"].index)
    if rung and hangups:
        assert set(hangups[0].codes) == set(rung)
    for result in results:
        assert result.ending is Ending.ANSWERED or (result.talking, result.recording, result.link) == (
            0,
            None,
            None,
        )
        assert not (result.recording and result.link)
    assert call.over == (not call.timers)


@given(REPORTS, st.lists(REPORTS, max_size=12))
def test_every_call_is_over_at_last(first: Report, others: list[Report]) -> None:
    call, _ = story(first, *others)
    if (timer := call.next_timer) is not None:
        call, _ = advance(call, TimerExpired(timer.due, timer.name))
    assert call.stage is Stage.ENDED


@given(REPORTS, st.lists(REPORTS, max_size=6))
def test_what_is_reported_again_changes_nothing(first: Report, others: list[Report]) -> None:
    reports = [first, *others]
    _, once = story(*reports)
    _, twice = story(*(report for report in reports for _ in range(2)))
    assert once == twice


@given(REPORTS, st.lists(st.one_of(REPORTS, TIMERS), max_size=4))
def test_its_journal_is_read_back_and_told(first: Report, others: list[Report | TimerExpired]) -> None:
    call = begin("reported-1", "shop", POLICY, first)
    before: Stage | None = None
    for report in (first, *others):
        call, orders = advance(call, report)
        line = JournalLine(report.at, call.id, before, call.stage, report, orders)
        assert load_line(dump_line(line)) == line
        assert narrate(line, call)
        before = call.stage


FALSE_END = replace(ENDS, at=110.0, ending=Ending.NOT_ANSWERED, waiting=0, talking=0, code=None)
OF_PBX = (replace(RINGS, by="pbx"), replace(ENDS, by="pbx"))
OF_SOMEBODY = replace(FALSE_END, by="somebody")


def test_an_early_false_end_is_corrected_by_the_true_one() -> None:
    """Both from the same place: the CRM was told already, and takes the truth as another call."""
    call, ordered = story(RINGS, FALSE_END, ENDS, FALSE_END, ENDS)
    assert told(ordered) == ["Ringing", "Hangup", "Result", "Result"]
    results = [order for order in ordered if isinstance(order, TellResult)]
    assert [(one.ending, one.talking, one.again) for one in results] == [
        (Ending.NOT_ANSWERED, 0, 0),
        (Ending.ANSWERED, 61, 1),
    ]
    assert (call.stage, call.ending, call.talker) == (Stage.ENDED, Ending.ANSWERED, "101")


def test_an_end_from_elsewhere_than_the_beginning_is_not_told_while_the_true_one_may_come() -> None:
    rings, ends = OF_PBX
    call, ordered = story(rings, OF_SOMEBODY)
    assert (told(ordered), call.stage) == (["Ringing"], Stage.ENDING)
    _, ordered = story(rings, OF_SOMEBODY, ends, OF_SOMEBODY, replace(OF_SOMEBODY, at=200.0, talking=90))
    assert told(ordered) == ["Ringing", "Hangup", "Result"]
    assert [one.ending for one in ordered if isinstance(one, TellHangup | TellResult)] == [
        Ending.ANSWERED,
        Ending.ANSWERED,
    ]


def test_an_end_from_elsewhere_is_believed_when_nobody_knows_better() -> None:
    rings, _ = OF_PBX
    call, _ = story(rings, OF_SOMEBODY)
    timer = call.next_timer
    assert timer is not None
    assert timer.due == OF_SOMEBODY.at + HEARSAY_SECONDS
    call, orders = advance(call, TimerExpired(timer.due, timer.name))
    assert (told(list(orders)), call.stage) == (["Hangup", "Result"], Stage.ENDED)


def test_a_false_end_before_the_call_began_is_corrected_too() -> None:
    rings, ends = OF_PBX
    _, ordered = story(OF_SOMEBODY, rings, ends)
    results = [order for order in ordered if isinstance(order, TellResult)]
    assert [(one.ending, one.again) for one in results] == [(Ending.NOT_ANSWERED, 0), (Ending.ANSWERED, 1)]


@pytest.mark.parametrize(
    "later",
    [
        replace(FALSE_END, at=900.0),
        replace(ENDS, at=900.0, talking=30),
        replace(ENDS, at=900.0, talking=3600),
        replace(ENDS, at=100.0 + 2 * SILENCE_SECONDS, talking=1000),
        replace(ENDS, at=900.0, talking=600, by="somebody"),
    ],
    ids=["unanswered", "shorter", "longer than it can have been", "long afterwards", "from elsewhere"],
)
def test_what_is_said_afterwards_of_an_ended_call_changes_nothing(later: EndReported) -> None:
    rings, ends = (replace(RINGS, by="pbx"), replace(ENDS, by="pbx")) if later.by else (RINGS, ENDS)
    before = story(rings, ends)
    assert story(rings, ends, later) == before


def test_what_is_given_reaches_the_crm_as_it_was_given() -> None:
    given_ = AsGiven("2026-01-02 03:04:05", "ftp://u:p@pbx.example/1.wav", Source(keyword="чай"))
    analytics = WebAnalytics(campaign_name="Осень")
    call, ordered = story(replace(RINGS, analytics=analytics), replace(ENDS, given=given_))
    ringing, _, result = ordered
    assert isinstance(ringing, TellRinging)
    assert isinstance(result, TellResult)
    assert ringing.analytics == analytics
    assert (result.date, result.link, result.source) == (given_.date, given_.link, given_.source)
    assert (result.waiting, result.talking, result.code) == (5, 61, "101")
    assert (call.way, call.stage) == (Way.REPORTED, Stage.ENDED)


def test_the_file_is_waited_for_when_it_was_announced() -> None:
    call, ordered = story(RINGS, WAITS)
    assert told(ordered) == ["Ringing", "Hangup"]
    assert call.next_timer is not None
    assert call.next_timer.due == WAITS.at + FILE_SECONDS
    _, (result,) = advance(call, FILE)
    assert isinstance(result, TellResult)
    assert result.recording == "abc.wav"


def test_nobody_guesses_who_talked() -> None:
    _, ordered = story(RINGS, replace(ENDS, code=None))
    assert isinstance(ordered[-1], TellResult)
    assert ordered[-1].code is None


def test_an_unanswered_call_is_that_of_the_only_one_who_was_rung() -> None:
    missed = replace(ENDS, code=None, ending=Ending.NOT_ANSWERED, talking=0)
    _, ordered = story(RINGS, missed)
    assert isinstance(ordered[-1], TellResult)
    assert ordered[-1].code == "101"
    _, ordered = story(replace(RINGS, codes=("101", "102")), missed)
    assert isinstance(ordered[-1], TellResult)
    assert ordered[-1].code is None


@pytest.mark.parametrize(
    ("word", "talking", "ending"),
    [
        ("ANSWER", 0, Ending.ANSWERED),
        ("answered", 0, Ending.ANSWERED),
        ("NO ANSWER", 0, Ending.NOT_ANSWERED),
        ("no_answer", 0, Ending.NOT_ANSWERED),
        ("COMPLETECALLER", 0, Ending.ANSWERED),
        ("ABANDON", 0, Ending.GAVE_UP),
        ("EXITWITHTIMEOUT", 0, Ending.NOT_ANSWERED),
        ("", 7, Ending.ANSWERED),
        ("", 0, Ending.NOT_ANSWERED),
        ("JOINEMPTY", 0, Ending.NOT_ANSWERED),
        ("CONTINUE", 7, Ending.ANSWERED),  # the queue's member hung up, the caller goes on in the dialplan
        ("CONTINUE", 0, Ending.NOT_ANSWERED),
        ("BLINDTRANSFER", 0, Ending.ANSWERED),
        ("unknown", 0, Ending.UNKNOWN),
        ("unknown", 7, Ending.ANSWERED),
    ],
)
def test_how_a_call_ended_is_read_off_the_pbxs_word(word: str, talking: int, ending: Ending) -> None:
    assert ending_of(word, talking) == (ending, True)


@pytest.mark.parametrize(("talking", "ending"), [(7, Ending.ANSWERED), (0, Ending.NOT_ANSWERED)])
def test_by_a_word_that_is_not_known_the_talk_decides(talking: int, ending: Ending) -> None:
    assert ending_of("SIDEWAYS", talking) == (ending, False)


def test_the_crms_own_words_are_understood() -> None:
    for words in CRM_WORDS.values():
        for word in (words.hangup_status, words.upload_result):
            ending, known = ending_of(word, 0)
            assert known
            assert word in (CRM_WORDS[ending].hangup_status, CRM_WORDS[ending].upload_result)
