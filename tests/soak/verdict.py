"""Whether what we said of a call is what its telephones saw. The truth never comes from us.

A fact whose moment lay in a fault that made us deaf may be wrong by the length of that fault, and only there
may a call's result be `unknown`; who talked may then be left out, but nobody else may be named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ari_app.calls import Way
from tests.soak.faults import STEP_SECONDS, Happened
from tests.soak.plan import Kind, What
from tests.soak.scenes import Rang, Seen
from tests.soak.told import Told, moment

TOLERANCE = 1.5
"""Seconds by which a time may differ."""
WHOLE_SECONDS = 0.5
"""Times are told in whole seconds."""
CROSSED_SECONDS = 1.0
"""Who answers and who leaves within so long may cross on the way: either may be told."""
CROSSED_AT_MOST = 2.0
"""So many times as long at most, however busy the machine is."""
SILENCE = 3.0
"""Seconds for which a caller may hear nothing."""
SHORT_TALK, LATEST_RECORDING = 1.0, 3.0
"""A talk this short need not have a recording; where all is slow, one so short: it may begin late."""
WITHOUT_US = "cause=31"
"""How the dialplan ends the calls that it serves without us."""
SOON_SECONDS = 45.0
"""Within so long after its end the CRM hears of a call, whatever else can't be told."""
LINK_SECONDS = 10.0
"""A recording that isn't there so long after the end has no link."""


@dataclass(frozen=True, slots=True)
class Span:
    """When something happened: the telephones differ a little, or much when we stood still meanwhile."""

    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What became of a call."""

    answered: bool
    crossed: bool
    """Whether an answer and the end of the waiting crossed."""
    began: float
    answer: Span | None
    end: Span
    talkers: tuple[str, ...]
    """Who talked with the customer, in order."""
    talked: Span
    """Seconds of talk, at least and at most."""
    changes: tuple[float, ...]
    """When the talker changed."""
    cut_short: bool = False
    """Whether the PBX died in it."""


def truth_of(seen: Seen, deaths: Sequence[float], pace: float = 1.0) -> Truth:
    """Say what became of a call, from what its telephones saw and when its PBX died.

    All took `pace` times as long as on a free machine.
    """
    death = next((one for one in deaths if seen.began <= one <= seen.ended), None)
    ended = seen.ended if death is None else min(seen.ended, death)
    other = seen.shop if seen.incoming else seen.outside
    talks = sorted(_talks(other, seen, ended), key=lambda one: one[2])
    if not talks or (seen.incoming and seen.status != 200):
        none = Span(0, 0)
        return Truth(
            False,
            bool(talks),
            seen.began,
            None,
            Span(ended, ended),
            (),
            none,
            (),
            cut_short=death is not None,
        )
    answers = [talks[0][1]] if seen.answered is None else [talks[0][1], seen.answered]
    answer = Span(min(answers), max(answers))
    last = talks[-1][2]
    talkers = tuple(one[0] for one in talks) if seen.incoming else (seen.manager,)
    most = sum(until - since for _, since, until in talks)
    least = _together((max(since, answer.last), min(until, ended)) for _, since, until in talks)
    changes = tuple(since for _, since, _ in talks[1:]) + tuple(until for *_, until in talks[:-1])
    crossed = most < CROSSED_SECONDS * min(pace, CROSSED_AT_MOST)
    talked = Span(min(least, most), max(least, most))
    return Truth(
        True, crossed, seen.began, answer, Span(min(last, ended), max(last, ended)), talkers, talked, changes
    )


def _talks(phones: Iterable[Rang], seen: Seen, ended: float) -> Iterator[tuple[str, float, float]]:
    """Give who talked from when until when, without those whose answer came too late."""
    found = []
    for one in phones:
        if one.answered is not None:
            until = min(one.ended if one.ended is not None else ended, ended)
            found.append((one.extension, one.answered, max(until, one.answered)))
    for extension, since, until in found:
        too_late = until - since < CROSSED_SECONDS and any(other[2] > until + 0.2 for other in found)
        if not too_late:
            yield extension, since, until


def _together(talks: Iterable[tuple[float, float]]) -> float:
    """Say for how many seconds anybody talked, whoever else did at the same time."""
    seconds, over = 0.0, 0.0
    for since, until in sorted(talks):
        seconds += max(0.0, until - max(since, over))
        over = max(over, until)
    return seconds


class Judge:
    """Knows the faults that were; `origin` is the beginning, on `time.monotonic`, `epoch` the same."""

    def __init__(
        self, faults: Sequence[Happened], deaths: Sequence[float], origin: float, epoch: float
    ) -> None:
        self._faults = faults
        self._deaths = deaths
        self._origin = origin
        self._epoch = epoch

    def wrong(self, seen: Seen, told: Told, pace: float = 1.0) -> list[str]:
        """Say what was told wrongly of a call, while all took `pace` times as long as on a free machine."""
        return list(self._wrong(seen, truth_of(seen, self._deaths, pace), told, pace))

    def faults_during(self, seen: Seen) -> list[Happened]:
        """Give the faults that were on during a call, or a little before or after."""
        return [one for one in self._faults if one.overlaps(seen.began, seen.ended, margin=10.0)]

    def _at(self, moment: float) -> float:
        """Give what the clock of `time.monotonic` showed at a moment, in seconds since the epoch."""
        return moment - self._epoch + self._origin

    def _deaf(self, *moments: float) -> float:
        """Seconds of the faults that made us deaf at one of these moments."""
        return sum(
            fault.back - fault.began + 1.0
            for fault in self._faults
            if fault.deaf and any(fault.covers(one) for one in moments)
        )

    def _held_up(self, moment: float) -> float:
        """Seconds by which what we ordered at a moment may have been carried out later."""
        return max((one.holds_up(moment) for one in self._faults), default=0.0)

    def _deaf_between(self, since: float, until: float) -> bool:
        return any(fault.deaf and fault.overlaps(since, until) for fault in self._faults)

    def _wrong(self, seen: Seen, truth: Truth, told: Told, pace: float) -> Iterator[str]:
        disturbed = self._deaf_between(seen.began, seen.ended)
        yield from told.complaints
        if len(told.ids) > 1:
            yield f"told as {len(told.ids)} calls: {', '.join(told.ids)}"
        yield from self._telephones(seen, truth, disturbed, pace)
        if WITHOUT_US in seen.reason and not seen.shop:
            if not disturbed:
                yield "the dialplan served the call although we were there"
            return
        yield from self._counts(seen, told, disturbed, pace)
        doubt = self._doubt(seen, truth)
        for upload in told.uploads[:1]:
            if upload.result == "unknown":
                if not doubt:
                    yield "told as unknown, although nothing of it was lost"
                if upload.code is not None:
                    yield f"told as unknown, and names {upload.code}"
                continue
            results = _results(seen, truth)
            if upload.result not in results:
                yield f"told as {upload.result!r} instead of {' or '.join(sorted(results))}"
                continue
            if truth.crossed:
                continue
            if not self._last_talk_unheard(truth, upload.code):
                yield from self._talker(truth, upload.code, doubt)
            yield from self._times(seen, truth, told, TOLERANCE * pace)
            yield from self._recording(truth, told, TOLERANCE * pace)

    def _telephones(self, seen: Seen, truth: Truth, disturbed: bool, pace: float) -> Iterator[str]:
        if disturbed:
            return
        if seen.left:
            yield f"left alone in the call, long after its end: {', '.join(seen.left)}"
        if truth.crossed and not truth.answered:
            long = [
                one for one in seen.shop if one.answered and (one.ended or one.answered) - one.answered > 2.0
            ]
            if long:
                yield f"{long[0].extension} answered, and nobody was there"
        if not seen.heard and not seen.shop and seen.incoming and seen.ended - seen.began > SILENCE * pace:
            yield f"the caller heard nothing for {seen.ended - seen.began:.1f} s"

    def _counts(self, seen: Seen, told: Told, disturbed: bool, pace: float) -> Iterator[str]:
        ours = bool(seen.shop) if seen.incoming else seen.placed and bool(seen.shop or seen.outside)
        due = ours and not (seen.call.kind is Kind.DIALS and disturbed)
        if (
            len(told.uploads) > 1
            or (due and not told.uploads)
            or (not disturbed and not told.uploads and seen.heard)
        ):
            yield f"{len(told.uploads)} uploads"
        if len(told.hangups) > 1 or (told.popups and not told.hangups):
            yield f"{len(told.hangups)} hangups, {len(told.popups)} popups"
        if told.uploaded_at and not any(
            fault.fault.what is not What.CRM_ONE_500 and fault.overlaps(seen.ended, seen.ended + SOON_SECONDS)
            for fault in self._faults
        ):
            after = self._at(told.uploaded_at) - seen.ended
            if after > SOON_SECONDS:
                yield f"uploaded only {after:.0f} s after its end"
        for told_event in told.hangups[:1]:
            status = told_event.event.hangup_status
            results = {upload.result for upload in told.uploads}
            if results and (status == "answered") != (results == {"answered"}):
                yield f"the hangup says {status}, the upload {', '.join(results)}"
        if not seen.incoming or disturbed:
            return
        rang = {one.extension for one in seen.shop}
        for popup in told.popups:
            told_at = self._at(popup.received.timestamp())
            if seen.ended - told_at < CROSSED_SECONDS * pace + self._held_up(told_at):
                continue  # the caller left before it could ring
            if strangers := set(popup.event.codes) - rang:
                yield f"told that {', '.join(sorted(strangers))} rings, whose telephone did not"

    def _doubt(self, seen: Seen, truth: Truth) -> bool:
        """Whether it may be unknown if, or by whom, the call was answered."""
        moments = [truth.end.first, truth.end.last, *truth.changes]
        if truth.answer is not None:
            moments += [truth.answer.first, truth.answer.last]
        return any(fault.deaf and any(map(fault.covers, moments)) for fault in self._faults)

    def _last_talk_unheard(self, truth: Truth, code: str | None) -> bool:
        """Whether who talked last did so only while nothing was heard: who did before may be named."""
        since = max(truth.changes, default=truth.end.last)
        return code in (None, *truth.talkers) and any(
            one.deaf and one.covers(since) and one.covers(truth.end.first) for one in self._faults
        )

    def _talker(self, truth: Truth, code: str | None, doubt: bool) -> Iterator[str]:
        if not truth.answered or code == truth.talkers[-1] or (doubt and code is None):
            return
        if code == truth.talkers[-2:][0] and truth.end.last - max(truth.changes, default=0) < CROSSED_SECONDS:
            return  # the last one talked for a moment only
        yield f"names {code or 'nobody'} as who talked last instead of {truth.talkers[-1]}"

    def _times(self, seen: Seen, truth: Truth, told: Told, slack: float) -> Iterator[str]:
        waited = truth.answer or truth.end
        waiting = Span(waited.first - seen.began, waited.last - seen.began)
        of_waiting = slack + self._deaf(seen.began, waited.first, waited.last)
        of_talk = slack + self._deaf(
            truth.end.first, truth.end.last, waited.first, waited.last, *truth.changes
        )
        upload = told.uploads[0]
        figures: list[tuple[str, float | None, Span, float]] = [
            ("waiting", upload.duration_waiting, waiting, of_waiting + WHOLE_SECONDS),
            ("talking", upload.duration, truth.talked, of_talk + WHOLE_SECONDS),
        ]
        for call in told.calls[:1]:
            figures += [
                ("waiting, by `calls`,", call.waiting, waiting, of_waiting),
                ("talking, by `calls`,", call.talking, truth.talked, of_talk),
            ]
        for what, seconds, true, within in figures:
            if seconds is None or not true.first - within <= seconds <= true.last + within:
                shown = "no time" if seconds is None else f"{seconds:.1f} s"
                yield f"{shown} of {what} instead of {_words(true)} (within {within:.1f} s)"
        off = self._at(moment(upload)) - seen.began
        stepped = any(
            one.fault.what is What.CLOCK and one.overlaps(seen.began, seen.ended, margin=5.0)
            for one in self._faults
        )
        if abs(off) > slack + WHOLE_SECONDS + self._deaf(seen.began) + STEP_SECONDS * stepped:
            yield f"dated {off:+.1f} s off its beginning"

    def _recording(self, truth: Truth, told: Told, slack: float) -> Iterator[str]:
        upload, answer = told.uploads[0], truth.answer
        if answer is None:
            if upload.record_url:
                yield "a recording of a call that nobody answered"
            return
        lost = any(
            (one.deaf or one.fault.what is What.DISK)
            and one.overlaps(answer.first, truth.end.last + LINK_SECONDS)
            for one in self._faults
        )
        late = self._held_up(answer.first)
        if upload.record_url is None:
            lost = lost or any(call.way is Way.AJAM for call in told.calls)  # the dialplan runs it
            if truth.talked.first > max(SHORT_TALK, min(slack, LATEST_RECORDING), late) and not lost:
                yield "no recording"
        elif told.recorded is None or told.recorded.status != 200 or told.recorded.seconds is None:
            yield f"its recording doesn't download: {told.recorded}"
        elif not lost:
            long = Span(truth.end.first - answer.last, truth.end.last - answer.first)
            later = self._held_up(truth.end.first)  # until we ended what records, or hung up who was left
            if not long.first - late - slack <= told.recorded.seconds <= long.last + later + slack:
                yield f"a recording of {told.recorded.seconds:.1f} s instead of {_words(long)}"


def _words(span: Span) -> str:
    return f"{span.first:.1f} s" if span.last - span.first < 0.1 else f"{span.first:.1f} to {span.last:.1f} s"


def _results(seen: Seen, truth: Truth) -> set[str]:
    """Give the results that may be told, `unknown` aside."""
    if truth.answered:
        return {"answered"} | ({"no answer"} if truth.crossed else set())
    if truth.crossed:
        return {"answered", "no answer", "failed"}
    if seen.call.kind in (Kind.CLICK, Kind.CLICK_IN_VAIN):
        manager = any(one.answered for one in seen.shop)
        return {"no answer", "failed", "busy"} if manager or seen.outside else {"failed"}
    if seen.gave_up and not truth.cut_short:
        return {"no answer"}
    return {"no answer", "busy", "failed"}
