"""Runs a plan: places its calls, lets its faults happen, settles, and judges."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from tests.soak.faults import Happened, befall
from tests.soak.plan import Plan, PlannedCall
from tests.soak.scenes import Seen, play
from tests.soak.telephones import digits
from tests.soak.told import Recorded, Told, add_calls, by_number, complaints_of_nothing
from tests.soak.verdict import Judge
from tests.soak.world import World
from tests.support.pace import at_this_pace

SETTLE_SECONDS = 90.0
STATUS_SECONDS = 5.0
PACE_SECONDS = 2.0
"""So often the machine's pace is looked at."""
JUDGED_AFTER = 50.0
"""Seconds after its end at which a call is judged for the first time; all are judged again at the end."""
JOURNALS = 30
"""Of so many wrong calls the journal is kept."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What was told wrongly of a call, or left behind; with all that one needs to act on it."""

    call: str
    kind: str
    minute: float
    facts: list[str]
    faults: str
    seen: str
    told: str


def wrong_fact(wrong: Wrong) -> Iterator[str]:
    """Say on some lines what is wrong, and how that is known."""
    yield f"WRONG  {wrong.kind}, minute {wrong.minute:.1f}, call {wrong.call}"
    yield from (f"       - {fact}" for fact in wrong.facts)
    for what, words in (("faults", wrong.faults), ("seen", wrong.seen), ("told", wrong.told)):
        if words:
            yield f"       {what}: {words}"


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many calls of a kind the CRM got with which result."""
    faults: list[Happened] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    unplayed: list[str] = field(default_factory=list)
    """What the people of the plan could not do though nothing was wrong."""
    paces: list[float] = field(default_factory=list)
    """How many times as long everything took as on a free machine, from time to time, in order."""
    seconds: float = 0.0

    @property
    def calls(self) -> int:
        """How many calls were placed."""
        return self.results.total()

    @property
    def unknown(self) -> float:
        """The share of calls of which the result is told as unknown."""
        unknown = sum(number for (_, result), number in self.results.items() if result == "unknown")
        return unknown / max(1, self.calls)


class Run:
    """One plan in one world; `say` is told how it goes, a line at a time."""

    def __init__(self, world: World, plan: Plan, say: Callable[[str], None] = lambda _: None) -> None:
        self._world = world
        self._plan = plan
        self._say = say
        self._origin = time.monotonic()
        self._epoch = time.time()
        self._seen: list[Seen] = []
        self._on = 0
        self._faults: list[Happened] = []
        self._paces: list[tuple[float, float]] = []
        self._judged: dict[str, int] = {}
        self._journals = JOURNALS

    async def run(self) -> Outcome:
        """Do all of it."""
        beside = [asyncio.create_task(work) for work in (self._look_at_the_machine(), self._status())]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._let_faults_happen())
                for call in self._plan.calls:
                    await self._until(call.at)
                    group.create_task(self._play(call))
            self._say("settling ...")
            left = await self._settle()
            return await self._outcome(left)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    # -- what happens -------------------------------------------------------------------------------------

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, self._origin + at - time.monotonic()))

    async def _play(self, call: PlannedCall) -> None:
        self._on += 1
        try:
            self._seen.append(await play(self._world, call))
        finally:
            self._on -= 1

    async def _let_faults_happen(self) -> None:
        for fault in self._plan.faults:
            await self._until(fault.at)
            happened = Happened(fault, time.monotonic(), alone=len(self._world.copies) == 1)
            self._faults.append(happened)
            await befall(self._world, happened)

    async def _look_at_the_machine(self) -> None:
        """Take note of how slow it is: whatever waits for a processor is seen, and done, late."""
        while True:
            self._paces.append((time.monotonic(), await asyncio.to_thread(at_this_pace, 1.0)))
            await asyncio.sleep(PACE_SECONDS)

    def _pace(self, seen: Seen) -> float:
        """Say how many times as long everything took during a call."""
        since, until = seen.began - PACE_SECONDS, seen.ended + PACE_SECONDS
        return max((pace for at, pace in self._paces if since <= at <= until), default=1.0)

    async def _status(self) -> None:
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            now = time.monotonic() - self._origin
            on = [one.fault.what.value for one in self._faults if one.back == float("inf")]
            await self._judge_some()
            self._say(
                f"{int(now) // 60:3d}:{int(now) % 60:02d}  {len(self._seen)} calls done, {self._on} on;  "
                f"{len(self._faults)} faults{f' (now {on[0]})' if on else ''};  "
                f"{sum(self._judged.values())} wrong facts in {sum(map(bool, self._judged.values()))} calls"
            )

    async def _judge_some(self) -> None:
        """Judge whoever has ended; what is wrong of them is said at once, with its evidence."""
        now = time.monotonic()
        if any(one.back == float("inf") or now - one.back < JUDGED_AFTER for one in self._faults[-1:]):
            settled = min(one.began for one in self._faults[-1:]) - JUDGED_AFTER
        else:
            settled = now - JUDGED_AFTER
        new = [one for one in self._seen if one.ended < settled and one.call.number not in self._judged]
        if not new:
            return
        told, judge = by_number(self._world), self._judge()
        wrong = [seen for seen in new if self._facts(judge, seen, told)]
        if wrong:
            with suppress(RuntimeError):
                await add_calls(self._world, told)
        for seen in new:
            facts = self._facts(judge, seen, told) if seen in wrong else []
            self._judged[seen.call.number] = len(facts)
            if facts:
                one = told.get(digits(seen.call.number), Told())
                self._say("\n".join(wrong_fact(self._evidence(judge, seen, one, facts))))
                await self._keep_journals(one)

    def _facts(self, judge: Judge, seen: Seen, told: dict[str, Told]) -> list[str]:
        """Say what is wrong of a call; its recording is downloaded at the end only."""
        one = told.get(digits(seen.call.number), Told())
        if one.uploads and one.uploads[0].record_url:
            one.recorded = Recorded(200, None)
        return [fact for fact in judge.wrong(seen, one, self._pace(seen)) if "doesn't download" not in fact]

    def _judge(self) -> Judge:
        return Judge(self._faults, self._world.deaths, self._origin, self._epoch)

    # -- what came of it ----------------------------------------------------------------------------------

    async def _settle(self) -> list[str]:
        """Wait until nothing goes on any more; give what is left."""
        until = time.monotonic() + SETTLE_SECONDS
        await self._world.back()
        while time.monotonic() < until:
            if not self._untold() and not await self._world.left_on_pbx():
                break
            await asyncio.sleep(0.5)
        while True:
            left = await self._world.left_on_pbx()
            live = [
                f"live: {call.id} of {call.number}, {call.stage.value}"
                for call in await add_calls(self._world, {})
            ]
            if not left and not live:
                return []
            if time.monotonic() > until:
                return left + live
            await asyncio.sleep(1.0)

    def _untold(self) -> bool:
        told = by_number(self._world)
        return any(one.shop and not told.get(digits(one.call.number), Told()).uploads for one in self._seen)

    async def _outcome(self, left: list[str]) -> Outcome:
        outcome = Outcome(faults=self._faults, seconds=time.monotonic() - self._origin)
        outcome.paces = sorted(pace for _, pace in self._paces)
        told, judge = by_number(self._world), self._judge()
        await add_calls(self._world, told)
        async with aiohttp.ClientSession() as session:
            for one in told.values():
                await self._download(session, one)
        known = set()
        for seen in sorted(self._seen, key=lambda one: one.began):
            number = digits(seen.call.number)
            known.add(number)
            one = told.get(number, Told())
            outcome.results[seen.call.kind.value, _result(seen, one)] += 1
            if facts := judge.wrong(seen, one, self._pace(seen)):
                outcome.wrong.append(self._evidence(judge, seen, one, facts))
                await self._keep_journals(one)
            elif seen.notes and not judge.faults_during(seen) and any("not" in note for note in seen.notes):
                outcome.unplayed.append(
                    f"{seen.call.kind.value} of {seen.call.number}: {'; '.join(seen.notes)}"
                )
        for number, one in told.items():
            if number not in known:
                outcome.wrong.append(
                    Wrong(", ".join(one.ids), "nobody's", 0.0, ["nobody called"], "", "", one.in_words())
                )
        of_nothing = complaints_of_nothing(self._world, told.values())
        outcome.wrong += [Wrong("", "the CRM", 0.0, [text], "", "", "") for text in of_nothing]
        outcome.wrong += [Wrong("", "left behind", 0.0, [text], "", "", "") for text in left]
        for fault in self._faults:
            if fault.note:
                at = (fault.began - self._origin) / 60
                outcome.wrong.append(
                    Wrong("", "the service", at, [fault.note], fault.in_words(self._origin), "", "")
                )
        return outcome

    def _evidence(self, judge: Judge, seen: Seen, told: Told, facts: list[str]) -> Wrong:
        faults = "; ".join(one.in_words(self._origin) for one in judge.faults_during(seen)) or "none"
        return Wrong(
            ", ".join(told.ids) or seen.call.number,
            seen.call.kind.value,
            (seen.began - self._origin) / 60,
            facts,
            faults,
            seen.in_words(self._origin),
            told.in_words(),
        )

    async def _keep_journals(self, told: Told) -> None:
        """Let the journals of a call lie beside the logs."""
        for ident in told.ids:
            if self._journals:
                self._journals -= 1
                with suppress(RuntimeError):
                    journal = await self._world.copies[0].say("calls", "show", ident)
                    (self._world.folder / f"{ident}.txt").write_text(journal)

    async def _download(self, session: aiohttp.ClientSession, told: Told) -> None:
        """Fetch a recording, from whichever copy is there."""
        for upload in told.uploads[:1]:
            if upload.record_url is None:
                return
            address = URL(self._world.address()).with_path(URL(upload.record_url).path)
            try:
                async with session.get(address) as answer:
                    told.recorded = Recorded(answer.status, _seconds(await answer.read()))
            except aiohttp.ClientError:
                told.recorded = Recorded(0, None)


def _seconds(wav: bytes) -> float | None:
    """Give the length of a WAV file of 8 kHz, 16 bit, mono; None when it is none."""
    if len(wav) <= 44 or wav[:4] != b"RIFF" or wav[8:12] != b"WAVE":
        return None
    rate: int = struct.unpack_from("<I", wav, 28)[0]
    return (len(wav) - 44) / rate if rate else None


def _result(seen: Seen, told: Told) -> str:
    if told.uploads:
        return told.uploads[0].result
    return "without us" if seen.status == 200 else "not told"
