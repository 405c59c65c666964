"""Takes what a dialplan of the shop's own reports of its calls, one report of a call after the other.

A report is taken when its step is in Redis, with what the CRM is to be told of it; whoever sends it may send
it again when that fails. Nothing is kept in memory but when to look at a call again.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from weakref import WeakValueDictionary

import structlog

from ari_app import figures
from ari_app.accounts.current import Current
from ari_app.bounded import Allowance
from ari_app.calls import (
    Call,
    CallTakenOver,
    JournalLine,
    OutboxEntry,
    Report,
    TimerExpired,
    masked,
    reported,
)
from ari_app.errors import StoreUnavailable
from ari_app.service.changes import Changes
from ari_app.store.calls import CallStore, Step

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
FULL_SECONDS = 60.0
"""When to come again, where an account has written as much as it may; and how often that is said."""


class TooManyReports(Exception):
    """More is reported of an account than may be; `seconds` is when to come again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"come again in {seconds:.0f} s")
        self.seconds = max(1.0, seconds)


class Taken(StrEnum):
    """What became of a report."""

    NEW = "new"
    REPEATED = "repeated"
    """It came late or twice, and changed nothing."""
    OURS = "ours"
    """We run the call ourselves, and have told the CRM of it, or will."""


class ReportedCalls:
    """The reported calls of one account.

    `ours` tells whether a channel belongs to a live call of ours; `told` is called with what the CRM is to
    be told, None when that isn't known, and `changes` wake those who show the calls.
    """

    def __init__(
        self,
        current: Current,
        store: CallStore,
        ours: Callable[[str], bool],
        told: Callable[[Sequence[OutboxEntry] | None], None],
        changes: Changes,
        clock: Callable[[], float],
        allowance: Allowance,
    ) -> None:
        self._allowance = allowance
        self._full_said_at = float("-inf")
        self._current = current
        self._account = current.account.id
        self._store = store
        self._ours = ours
        self._told = told
        self._changes = changes
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._due: dict[str, float] = {}
        """When to look at each call that is not over; whose last step is the newest is the last."""
        self._next: list[tuple[float, str]] = []
        """The same as a heap; what isn't so in `_due` any more is passed over."""
        self._changed = asyncio.Event()
        self._log = log.bind(account=self._account)

    def id_of(self, channel: str) -> str:
        """Name the call of a channel, whatever that is made of: the same for each of its reports."""
        return f"reported-{hashlib.sha256(f'{self._account} {channel}'.encode()).hexdigest()[:32]}"

    async def resume(self) -> None:
        """Look after calls again that were not over when the service ended.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        async for portion in self._store.reported_in_portions():
            for call in portion:
                self._look_after(call)
        self._due = dict(sorted(self._due.items(), key=operator.itemgetter(1)))

    def admit(self) -> None:
        """Let somebody report something, before it is read what.

        Raises:
            TooManyReports: nothing more is taken of this account just now.
        """
        if self._store.written.used >= 1:
            wait, say = FULL_SECONDS, self._clock() - self._full_said_at >= FULL_SECONDS
            self._full_said_at = self._clock() if say else self._full_said_at
            why = "its calls have written as much into Redis as they may in a day"
        else:
            wait, say = self._allowance.take()
            why = f"more than {self._allowance.a_second:g} reports a second"
        if say:
            self._log.error("reports of calls are refused", why=why)
        if wait:
            raise TooManyReports(wait)

    async def take(self, report: Report) -> Taken:
        """Take a report; when this returns it is kept.

        Raises:
            StoreUnavailable: it may not be kept.
        """
        call_id = self.id_of(report.channel)
        async with self._turn(call_id):
            known = await self._store.get(call_id)
            if await self._is_ours(report.channel):
                if known is None or known.over:
                    self._log.info(
                        "a call of ours is reported too, and not told twice", channel=report.channel
                    )
                    return Taken.OURS
                report = CallTakenOver(report.at, report.channel)
            call = known or reported.begin(call_id, self._account, self._current.policy, report)
            changed = await self._step(known, call, report)
        if isinstance(report, CallTakenOver):
            return Taken.OURS
        return Taken.NEW if changed or known is None else Taken.REPEATED

    async def run(self) -> None:
        """Look at calls again when it is time: their file hasn't come, or nothing more was reported."""
        while True:
            self._changed.clear()
            while self._next and self._due.get(self._next[0][1]) != self._next[0][0]:
                heapq.heappop(self._next)
            wait = self._next[0][0] - self._clock() if self._next else None
            if wait is not None and wait <= 0:
                await self._expire(self._next[0][1])
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def clock_was_set(self, by: float) -> None:
        """Look at the calls neither sooner nor later because somebody has set the clock."""
        for call_id in self._due:
            self._due[call_id] += by
        self._sort()
        self._changed.set()

    def newest(self, limit: int) -> list[str]:
        """Name those of the calls that are not over to which something was reported last."""
        return list(itertools.islice(reversed(self._due), limit))

    @property
    def open(self) -> int:
        """How many calls are not over."""
        return len(self._due)

    def _sort(self) -> None:
        self._next = [(due, call_id) for call_id, due in self._due.items()]
        heapq.heapify(self._next)

    async def _is_ours(self, channel: str) -> bool:
        return self._ours(channel) or await self._store.began_with(channel) is not None

    async def _expire(self, call_id: str) -> None:
        try:
            async with self._turn(call_id):
                call = await self._store.get(call_id)
                timer = call.next_timer if call is not None else None
                if call is None or timer is None:
                    self._due.pop(call_id, None)
                elif self._due.get(call_id, timer.due) <= self._clock():
                    await self._step(call, call, TimerExpired(max(self._clock(), timer.due), timer.name))
                else:
                    self._look_after(call)
        except StoreUnavailable:
            await asyncio.sleep(RETRY_SECONDS)  # the ledger says that Redis is away

    async def _step(self, known: Call | None, call: Call, report: Report | TimerExpired) -> bool:
        """Take one step of a call and keep it; tell whether it changed anything."""
        after, orders = reported.advance(call, report)
        before = known.stage if known is not None else None
        to_tell: list[OutboxEntry] | None = None
        try:
            line = JournalLine(report.at, call.id, before, after.stage, report, orders)
            to_tell = await self._store.write([Step(after, line)])
        finally:
            self._changes.note()
            self._told(to_tell)  # if only Redis' answer was lost, there is something to tell all the same
        self._look_after(after)
        if after.stage is not before:
            if after.over and after.ending is not None:
                talking = after.talking if after.answered_at is not None else None
                figures.call_over(
                    self._account, after.direction.value, after.ending.value, after.waiting, talking
                )
            number = masked(after.number) if after.number else "withheld"
            ending = {"ending": after.ending.value} if after.ending else {}
            self._log.info(f"reported: {after.stage.value}", call=call.id, number=number, **ending)
        same = replace(after, timers=call.timers, reporter=call.reporter) == call
        return bool(orders) or not same

    def _look_after(self, call: Call) -> None:
        timer = call.next_timer
        self._due.pop(call.id, None)
        if timer is not None:
            self._due[call.id] = timer.due
            heapq.heappush(self._next, (timer.due, call.id))
            if len(self._next) > 2 * len(self._due) + 100:
                self._sort()
            self._changed.set()

    def _turn(self, call_id: str) -> asyncio.Lock:
        lock = self._turns.get(call_id)
        if lock is None:
            lock = self._turns[call_id] = asyncio.Lock()
        return lock
