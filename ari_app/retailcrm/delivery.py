"""The outbox's consumer: tells the CRM what calls have to say, in order per call, at least once.

While the CRM is away, limits us or answers nonsense, everything stays in the outbox and is tried again, at
first soon and then every half minute. A popup that is 30 s old is worth nothing any more and is not sent; a
result always is. What has just happened goes before what has waited for long.

Set aside, where a person can see it and send it again, is what the CRM refuses for good, what fails again
and again while others pass (`quarantine.py`), and what another version wanted told and this one can't read.
One such entry holds up no other call; and of its own call only what means nothing without it.

A program of the shop's (`webhook.py`) is told by a route and in lanes of its own: however it fails, the CRM's
messages don't wait. What it doesn't take within an hour is set aside, too. So are people written to by e-mail
(`letters.py`), each address in a lane of its own; what is a day old is not written any more.

While telephony is switched off in the CRM nothing is sent but alerts that don't go there. What happened then
is not told later; what happened before, and still waits, is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from ari_app.accounts.current import Current
from ari_app.calls import OutboxEntry, UnreadableEntry
from ari_app.retailcrm.attempts import Attempts
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.intake import Entries, Intake, Repetitions, place
from ari_app.retailcrm.letters import Letters
from ari_app.retailcrm.popups import NotSent, Popups
from ari_app.retailcrm.requests import Requests, Tasks
from ari_app.retailcrm.route import LAST_RETRY_SECONDS, Route, Routes
from ari_app.retailcrm.schedule import Ready, Schedule
from ari_app.retailcrm.settlement import Settled, Settlement
from ari_app.retailcrm.troubles import Trouble, Troubles
from ari_app.retailcrm.waiting import HELD, Lane, Waiting, is_told_anyway, lane_of
from ari_app.retailcrm.webhook import Webhook
from ari_app.retailcrm.wording import Wording

log = structlog.get_logger(__name__)

EVENTS_AT_ONCE = 8
FRESH_AT_ONCE = 8
"""So many events that have just happened go besides those that have waited."""
OTHERS_AT_ONCE = 2
"""So many tasks, notices and new customers go at once: beside telephony the CRM takes fewer requests."""
WEBHOOKS_AT_ONCE = 2
MAILS_AT_ONCE = 2


class Outbox(Entries, NotSent, Settled, Protocol):
    """Where entries wait; its methods raise `StoreUnavailable`."""


class Delivery:
    """Tells one account's CRM; `held` entries of the outbox are in memory at most, and as many fresh ones."""

    def __init__(
        self,
        outbox: Outbox,
        tasks: Tasks,
        crm: RetailCrm,
        wording: Wording,
        current: Current,
        clock: Callable[[], float],
        held: int = HELD,
        webhook: Webhook | None = None,
        letters: Letters | None = None,
    ) -> None:
        account = current.account.id
        self._current = current
        self._clock = clock
        self._log = log.bind(account=account)
        self._wake = asyncio.Event()
        wake = self._wake.set
        self._waiting = waiting = Waiting(held)
        self._routes = routes = Routes(account, wake, clock)
        self._popups = popups = Popups(outbox)
        self._repetitions = Repetitions()
        self._troubles = Troubles(current)
        self.intake = Intake(outbox, waiting, clock, wake, self._line_up, self._set_aside)
        self._settlement = Settlement(
            outbox, self.intake, waiting, routes, popups, self._repetitions, account, clock, wake
        )
        self._schedule = Schedule(waiting, routes, popups, current, clock, webhook, letters)
        requests = Requests(tasks, crm, wording, current, clock, webhook, letters)
        self._attempts = Attempts(
            requests,
            waiting,
            routes,
            self._schedule,
            popups,
            self._settlement,
            self._troubles,
            account,
            clock,
        )
        self._busy: set[Lane] = set()
        self._sending: dict[asyncio.Task[None], list[OutboxEntry]] = {}
        self._finishing = False
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def problem(self) -> str | None:
        """What is wrong with the CRM, in words; None when all is well."""
        return self._routes.problem

    @property
    def since(self) -> float:
        """Since when the CRM takes something, or takes nothing."""
        return self._routes.since

    @property
    def troubles(self) -> list[Trouble]:
        """What doesn't work of what the shop has switched on beside telephony."""
        return self._troubles.all

    @property
    def backlog(self) -> int:
        """How many entries are known to wait."""
        return self._waiting.backlog

    @property
    def age(self) -> float:
        """How long the oldest entry that is in memory has waited, in seconds; 0 when none waits."""
        oldest = min((place(entry.id) for entry in self._waiting.firsts()), default=None)
        return max(0.0, self._clock() - oldest[0] / 1000) if oldest is not None else 0.0

    @property
    def held(self) -> int:
        """How many of them are in memory."""
        return len(self._waiting)

    @property
    def unread(self) -> str | None:
        """Why the outbox can't be read; None when it can."""
        return self.intake.unread

    def take(self, entries: Sequence[OutboxEntry] | None) -> None:
        """Take what was just put into the outbox; None when it isn't known what that was."""
        self.intake.take(entries)

    def wake(self) -> None:
        """Say that there is something new in the outbox, which is to be read."""
        self.intake.expect_news()

    async def finish(self, seconds: float) -> None:
        """Begin nothing more; let what is being told be told, at most so many seconds."""
        self._finishing = True
        if self._sending:
            await asyncio.wait(self._sending, timeout=seconds)

    async def run(self) -> None:
        """Deliver for ever."""
        self.wake()
        try:
            while True:
                self._wake.clear()
                await self._settlement.settle_rest()
                await self.intake.read()
                self._start()
                await self._wake.wait()
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    # -- what waits ---------------------------------------------------------------------------------------

    async def _line_up(self, entry: OutboxEntry) -> None:
        await self._popups.take_in(entry)
        if self._repetitions.is_one(entry):
            await self._settlement.take_out([entry], "written twice")
        elif not self._current.activity.covers(entry.tell.at) and not is_told_anyway(entry.tell):
            self._popups.not_told(entry)
            await self._settlement.take_out([entry], "not told: telephony was switched off in the CRM")
        else:
            self._waiting.take_in(entry, self._schedule.is_fresh(entry))

    async def _set_aside(self, entry: UnreadableEntry) -> None:
        await self._settlement.put_unreadable_aside(entry)

    # -- what goes now ------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Send what can be sent now; after a failure one request at a time, to see whether it passes."""
        if self._finishing:
            return
        ready, routes = self._schedule.ready(self._busy), self._routes
        if ready.useless:
            useless = [entry for entry, _ in ready.useless]
            self._spawn(useless, self._settlement.take_out_useless(ready.useless))
        self._start_one_by_one(routes.events, ready, EVENTS_AT_ONCE)
        self._start_uploads(ready)
        self._start_one_by_one(routes.others, ready, OTHERS_AT_ONCE)
        self._start_one_by_one(routes.webhooks, ready, WEBHOOKS_AT_ONCE)
        self._start_one_by_one(routes.mails, ready, MAILS_AT_ONCE)
        self._look_again()

    def _look_again(self) -> None:
        """Wake when what has failed alone may be tried again."""
        if self._alarm is not None:
            self._alarm.cancel()
        due = self._routes.next_due()
        self._alarm = asyncio.get_running_loop().call_at(due, self._wake.set) if due is not None else None

    def _start_one_by_one(self, route: Route, ready: Ready, most: int) -> None:
        """Send entries each in a request of its own, `most` at once, and more events that are fresh."""
        if route.resting:
            return
        fresh = ready.fresh if route is self._routes.events else []
        more = {entry.id for entry in fresh}
        under_way = self._under_way(route)
        for entry in route.in_turn([*fresh, *ready.new[route]], ready.suspects[route]):
            at_once = 1 if route.failing else most + (FRESH_AT_ONCE if entry.id in more else 0)
            if under_way < at_once:
                under_way += 1
                self._spawn([entry], self._attempts.send(entry))

    def _start_uploads(self, ready: Ready) -> None:
        """Send results that never failed together, and one that has failed alone."""
        route = self._routes.uploads
        results, suspects = ready.new[route][: route.at_once], ready.suspects[route]
        under_way = self._under_way(route)
        if route.resting or (route.failing and under_way):
            return
        if route.failing:
            batch = results or route.suspects.longest_ago(suspects)[:1]
            if batch:
                self._spawn(batch, self._attempts.upload(batch))
            return
        alone = any(route.suspects.get(entry) for sent in self._sending.values() for entry in sent)
        if results and under_way == int(alone):
            self._spawn(results, self._attempts.upload(results))
        for entry in suspects:
            if not alone and route.suspects.is_due(entry):
                self._spawn([entry], self._attempts.upload([entry]))
                return

    def _under_way(self, route: Route) -> int:
        return sum(1 for sent in self._sending.values() if sent and self._routes.of(sent[0]) is route)

    def _spawn(self, entries: list[OutboxEntry], sending: Coroutine[Any, Any, None]) -> None:
        lanes = {lane_of(entry) for entry in entries}
        self._busy |= lanes
        task = asyncio.create_task(sending)
        self._sending[task] = entries

        def ended(task: asyncio.Task[None]) -> None:
            del self._sending[task]
            self._busy.difference_update(lanes)
            self._wake.set()
            if not task.cancelled() and task.exception() is not None:
                self._log.error("delivery failed", exc_info=task.exception())
                self._routes.of(entries[0]).rest(LAST_RETRY_SECONDS)

        task.add_done_callback(ended)
