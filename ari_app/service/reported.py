"""Takes what a dialplan of the shop's own reports of its calls, one report of a call after the other.

A report is taken when its step is in Redis, with what the CRM is to be told of it; whoever sends it may send
it again when that fails. Nothing is kept in memory but when to look at a call again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from weakref import WeakValueDictionary

import structlog

from ari_app.accounts.current import Current
from ari_app.calls import Call, CallTakenOver, JournalLine, Report, TimerExpired, masked, reported
from ari_app.errors import StoreUnavailable
from ari_app.service.changes import Changes
from ari_app.store.calls import CallStore, Step

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0


class Taken(StrEnum):
    """What became of a report."""

    NEW = "new"
    REPEATED = "repeated"
    """It came late or twice, and changed nothing."""
    OURS = "ours"
    """We run the call ourselves, and have told the CRM of it, or will."""


class ReportedCalls:
    """The reported calls of one account.

    `ours` tells whether a channel belongs to a live call of ours; `told` is called when there may
    be something new to tell the CRM, and `changes` wake those who show the calls.
    """

    def __init__(
        self,
        current: Current,
        store: CallStore,
        ours: Callable[[str], bool],
        told: Callable[[], None],
        changes: Changes,
        clock: Callable[[], float],
    ) -> None:
        self._current = current
        self._account = current.account.id
        self._store = store
        self._ours = ours
        self._told = told
        self._changes = changes
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._due: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._log = log.bind(account=self._account)

    def id_of(self, channel: str) -> str:
        """Name the call of a channel, whatever that is made of: the same for each of its reports."""
        return f"reported-{hashlib.sha256(f'{self._account} {channel}'.encode()).hexdigest()[:32]}"

    def resume(self, calls: Iterable[Call]) -> None:
        """Look after calls again that were not over when the service ended."""
        for call in calls:
            self._look_after(call)

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
            call_id = min(self._due, key=self._due.__getitem__, default=None)
            wait = self._due[call_id] - self._clock() if call_id is not None else None
            if call_id is not None and wait is not None and wait <= 0:
                await self._expire(call_id)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def clock_was_set(self, by: float) -> None:
        """Look at the calls neither sooner nor later because somebody has set the clock."""
        for call_id in self._due:
            self._due[call_id] += by
        self._changed.set()

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
        try:
            line = JournalLine(report.at, call.id, before, after.stage, report, orders)
            await self._store.write([Step(after, line)])
        finally:
            self._changes.note()
            self._told()  # if only Redis' answer was lost, there is something to tell all the same
        self._look_after(after)
        if after.stage is not before:
            number = masked(after.number) if after.number else "withheld"
            ending = {"ending": after.ending.value} if after.ending else {}
            self._log.info(f"reported: {after.stage.value}", call=call.id, number=number, **ending)
        same = replace(after, timers=call.timers, reporter=call.reporter) == call
        return bool(orders) or not same

    def _look_after(self, call: Call) -> None:
        timer = call.next_timer
        if timer is None:
            self._due.pop(call.id, None)
        else:
            self._due[call.id] = timer.due
            self._changed.set()

    def _turn(self, call_id: str) -> asyncio.Lock:
        lock = self._turns.get(call_id)
        if lock is None:
            lock = self._turns[call_id] = asyncio.Lock()
        return lock
