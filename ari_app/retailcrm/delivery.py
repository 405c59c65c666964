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
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from ari_app import figures
from ari_app.accounts.current import Current
from ari_app.calls import (
    LOST_SECONDS,
    OutboxEntry,
    Tell,
    TellAlert,
    TellCustomer,
    TellHangup,
    TellMail,
    TellNotice,
    TellResult,
    TellRinging,
    TellTask,
    TellWebhook,
    UnreadableEntry,
)
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import CALLS_IN_ONE_UPLOAD, RetailCrm
from ari_app.retailcrm.errors import CrmError, CrmLimited, CrmRefused
from ari_app.retailcrm.intake import POPUP_SECONDS, REDIS_RETRY_SECONDS, Entries, Intake, place
from ari_app.retailcrm.letters import Letters
from ari_app.retailcrm.quarantine import MAIL_PAUSES_SECONDS, Suspect
from ari_app.retailcrm.requests import NobodyToTellError, Requests, Tasks
from ari_app.retailcrm.route import LAST_RETRY_SECONDS, Route
from ari_app.retailcrm.troubles import Trouble, Troubles
from ari_app.retailcrm.waiting import HELD, Lane, Waiting, Way, is_told_anyway, lane_of, way_of
from ari_app.retailcrm.webhook import Webhook
from ari_app.retailcrm.wording import Wording

T = TypeVar("T")

log = structlog.get_logger(__name__)

EVENTS_AT_ONCE = 8
FRESH_AT_ONCE = 8
"""So many events that have just happened go besides those that have waited."""
COUNTED_TO_BE_PASSED = 2
"""Failures that count, after which a call's result no longer waits for what stands before it."""
SWEPT_AT_ONCE = 200
REMEMBERED = 20_000
OTHERS_AT_ONCE = 2
"""So many tasks, notices and new customers go at once: beside telephony the CRM takes fewer requests."""
WEBHOOKS_AT_ONCE = 2
MAILS_AT_ONCE = 2
WEBHOOK_SECONDS = 3600.0
"""What the shop's program has not taken after so long is set aside."""


class Outbox(Entries, Protocol):
    """Where entries wait; its methods raise `StoreUnavailable`."""

    async def popups_not_sent(self, call: str) -> frozenset[str]:
        """Give the extensions whose popups of a call were taken out without the CRM's being told."""

    async def told(self, entries: Iterable[OutboxEntry], at: float, problem: str | None = None) -> None:
        """Take entries out."""

    async def refused(self, entry: OutboxEntry, at: float, problem: str) -> None:
        """Put an entry where a person can see it."""

    async def quarantine(self, entry: OutboxEntry, at: float, problem: str) -> None:
        """Put an entry where a person can see it that fails while others pass."""

    async def set_aside(self, entry: UnreadableEntry, at: float) -> None:
        """Put an entry that can't be read where a person can see it."""


@dataclass
class _Ready:
    """What may be sent now, each list in the order in which it goes."""

    fresh: list[OutboxEntry] = field(default_factory=list)
    events: list[OutboxEntry] = field(default_factory=list)
    results: list[OutboxEntry] = field(default_factory=list)
    others: list[OutboxEntry] = field(default_factory=list)
    """Tasks and notices of missed customers, and new customers."""
    webhooks: list[OutboxEntry] = field(default_factory=list)
    mails: list[OutboxEntry] = field(default_factory=list)
    suspects: list[OutboxEntry] = field(default_factory=list)
    """Events that have failed before, and results that have."""
    useless: list[tuple[OutboxEntry, str]] = field(default_factory=list)
    """What need not be told any more, and why."""


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
        self._current = current
        self._outbox = outbox
        self._crm = crm
        self._wording = wording
        self._webhook, self._letters = webhook, letters
        self._requests = Requests(tasks, crm, wording, current, clock, webhook, letters)
        self._troubles = Troubles(current)
        self._clock = clock
        self._account = current.account.id
        self._log = log.bind(account=self._account)
        self._waiting = Waiting(held)
        self._busy: set[Lane] = set()
        self._sending: dict[asyncio.Task[None], list[OutboxEntry]] = {}
        self._wake = asyncio.Event()
        self.intake = Intake(outbox, self._waiting, clock, self._wake.set, self._line_up, self._set_aside)
        self._remembered: dict[tuple[object, ...], str] = {}
        self._never_told: dict[str, set[str]] = {}
        self._rang: dict[str, None] = {}
        """The calls whose popups went through our hands, and whose end didn't yet."""
        self._unsettled: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._finishing = False
        self._events = Route(1, self._wake.set)
        self._uploads = Route(CALLS_IN_ONE_UPLOAD, self._wake.set)
        self._others = Route(1, self._wake.set)
        """Tasks, notices, new customers: that the key may not make them stops nothing else."""
        self._webhooks = Route(1, self._wake.set)
        """To the shop's own program."""
        self._mails = Route(1, self._wake.set, MAIL_PAUSES_SECONDS)
        """To the server for e-mail."""
        self._alarm: asyncio.TimerHandle | None = None
        self._said: str | None = None
        self.since = clock()

    @property
    def problem(self) -> str | None:
        """What is wrong with the CRM, in words; None when all is well."""
        return self._events.problem or self._uploads.problem

    @property
    def troubles(self) -> list[Trouble]:
        """What doesn't work of what the shop has switched on beside telephony."""
        return self._troubles.all

    @property
    def backlog(self) -> int:
        """How many entries are known to wait."""
        return len(self._waiting) + self._waiting.left

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
                await self._settle_rest()
                await self.intake.read()
                self._start()
                await self._wake.wait()
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    # -- what waits ---------------------------------------------------------------------------------------

    async def _line_up(self, entry: OutboxEntry) -> None:
        await self._remember_popups(entry)
        await self._take_in(entry)

    async def _remember_popups(self, entry: OutboxEntry) -> None:
        """Know of a call that ends which popups were never sent, also those from before we were started."""
        if isinstance(entry.tell, TellRinging):
            self._rang[entry.call] = None
        elif isinstance(entry.tell, TellHangup):
            if entry.call not in self._rang:
                never = await self._outbox.popups_not_sent(entry.call)
                self._never_told.setdefault(entry.call, set()).update(never)
            self._rang.pop(entry.call, None)

    async def _take_in(self, entry: OutboxEntry) -> None:
        """Line an entry up; one that was written twice, because Redis' answer was lost, counts once."""
        key = _identity(entry.call, entry.tell)
        if self._remembered.get(key, entry.id) != entry.id:
            await self._remove([entry], "written twice")
            return
        self._remembered[key] = entry.id
        if not self._current.activity.covers(entry.tell.at) and not is_told_anyway(entry.tell):
            self._leave_out(entry)
            await self._remove([entry], "not told: telephony was switched off in the CRM")
            return
        if len(self._remembered) > REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._waiting.take_in(entry, self._is_fresh(entry))

    def _is_fresh(self, entry: OutboxEntry) -> bool:
        return self._clock() - entry.tell.at <= POPUP_SECONDS

    async def _set_aside(self, entry: UnreadableEntry) -> None:
        self._log.error("what the CRM is to be told is set aside", call=entry.call, problem=entry.problem)
        at = self._clock()
        await self._settle(lambda: self._outbox.set_aside(entry, at), [])

    # -- what goes now ------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Send what can be sent now; after a failure one request at a time, to see whether it passes."""
        if self._finishing:
            return
        ready = self._ready()
        if ready.useless:
            self._spawn([entry for entry, _ in ready.useless], self._remove_useless(ready.useless))
        self._start_events(ready)
        self._start_uploads(ready)
        self._start_one_by_one(self._others, ready.others, ready.suspects, OTHERS_AT_ONCE)
        self._start_one_by_one(self._webhooks, ready.webhooks, ready.suspects, WEBHOOKS_AT_ONCE)
        self._start_one_by_one(self._mails, ready.mails, ready.suspects, MAILS_AT_ONCE)
        self._look_again()

    def _look_again(self) -> None:
        """Wake when what has failed alone may be tried again."""
        if self._alarm is not None:
            self._alarm.cancel()
        routes = (self._events, self._uploads, self._others, self._webhooks, self._mails)
        dues = [due for route in routes if (due := route.suspects.next_due())]
        self._alarm = asyncio.get_running_loop().call_at(min(dues), self._wake.set) if dues else None

    def _ready(self) -> _Ready:
        """Sort what stands first of each call."""
        ready = _Ready()
        for entry in self._waiting.firsts():
            if lane_of(entry) in self._busy or not self._may_go(entry):
                continue
            why = self._useless(entry)
            if why is not None:
                if len(ready.useless) < SWEPT_AT_ONCE:
                    ready.useless.append((entry, why))
                continue
            suspect = self._route_of(entry).suspects.get(entry)
            way = way_of(entry.tell)
            if suspect is not None and way is Way.CALLS and not isinstance(entry.tell, TellResult):
                result = self._waiting.result_behind(entry)
                free = result is not None and self._uploads.suspects.get(result) is None
                if result is not None and free and suspect.counted >= COUNTED_TO_BE_PASSED:
                    ready.results.append(result)
                    continue
            if suspect is not None:
                ready.suspects.append(entry)
            elif isinstance(entry.tell, TellResult):
                ready.results.append(entry)
            elif way is Way.OTHERS:
                ready.others.append(entry)
            elif way is Way.WEBHOOK:
                ready.webhooks.append(entry)
            elif way is Way.MAIL:
                ready.mails.append(entry)
            elif self._is_fresh(entry):
                ready.fresh.append(entry)
            else:
                ready.events.append(entry)
        return ready

    def _may_go(self, entry: OutboxEntry) -> bool:
        """Tell whether it doesn't wait until telephony is on again in the CRM."""
        return self._current.activity.on or is_told_anyway(entry.tell)

    def _start_events(self, ready: _Ready) -> None:
        route, events = self._events, [*ready.fresh, *ready.events]
        suspects = [entry for entry in ready.suspects if self._route_of(entry) is route]
        under_way = self._under_way(route)
        if route.resting:
            return
        if route.failing:
            if not under_way:
                for entry in [*events, *self._oldest(route, suspects)][:1]:
                    self._spawn([entry], self._send(entry))
            return
        due = [entry for entry in suspects if route.suspects.is_due(entry)]
        fresh = {entry.id for entry in ready.fresh}
        for entry in [*events, *due]:
            if under_way >= EVENTS_AT_ONCE + (FRESH_AT_ONCE if entry.id in fresh else 0):
                continue
            under_way += 1
            self._spawn([entry], self._send(entry))

    def _start_uploads(self, ready: _Ready) -> None:
        """Send results that never failed together, and one that has failed alone."""
        route, results = self._uploads, ready.results[: self._uploads.at_once]
        suspects = [entry for entry in ready.suspects if isinstance(entry.tell, TellResult)]
        under_way = self._under_way(route)
        if route.resting or (route.failing and under_way):
            return
        if route.failing:
            for batch in [results, *([entry] for entry in self._oldest(route, suspects))]:
                if batch:
                    self._spawn(batch, self._upload(batch))
                    return
            return
        alone = any(route.suspects.get(entry) for sent in self._sending.values() for entry in sent)
        if results and under_way == int(alone):
            self._spawn(results, self._upload(results))
        for entry in suspects:
            if not alone and route.suspects.is_due(entry):
                self._spawn([entry], self._upload([entry]))
                return

    def _start_one_by_one(
        self, route: Route, never_failed: list[OutboxEntry], suspects: list[OutboxEntry], most: int
    ) -> None:
        suspects = [entry for entry in suspects if self._route_of(entry) is route]
        under_way = self._under_way(route)
        if route.resting:
            return
        if route.failing:
            at_once, entries = 1, [*never_failed, *self._oldest(route, suspects)]
        else:
            due = (entry for entry in suspects if route.suspects.is_due(entry))
            at_once, entries = most, [*never_failed, *due]
        for entry in entries[: max(0, at_once - under_way)]:
            self._spawn([entry], self._send(entry))

    def _under_way(self, route: Route) -> int:
        return sum(1 for sent in self._sending.values() if sent and self._route_of(sent[0]) is route)

    def _route_of(self, entry: OutboxEntry) -> Route:
        match way_of(entry.tell):
            case Way.CALLS:
                return self._uploads if isinstance(entry.tell, TellResult) else self._events
            case Way.OTHERS:
                return self._others
            case Way.WEBHOOK:
                return self._webhooks
            case Way.MAIL:
                return self._mails

    def _oldest(self, route: Route, suspects: list[OutboxEntry]) -> list[OutboxEntry]:
        def failed_at(entry: OutboxEntry) -> float:
            suspect = route.suspects.get(entry)
            return suspect.failed_at if suspect is not None else 0.0

        return sorted(suspects, key=failed_at)

    def _useless(self, entry: OutboxEntry) -> str | None:
        """Say why something need not be told any more; None when it is to be told."""
        tell = entry.tell
        if isinstance(tell, TellRinging) and not self._is_fresh(entry):
            return "too late: nobody needs this popup any more"
        if isinstance(tell, TellHangup) and not self._codes(entry.call, tell):
            return "not needed: the CRM was never told that the call rings"
        if isinstance(tell, TellTask | TellNotice) and self._clock() - tell.missed_at > LOST_SECONDS:
            return "too late: the customer was missed more than a day ago"
        if isinstance(tell, TellAlert | TellMail) and self._clock() - tell.at > LOST_SECONDS:
            return "too late: it is more than a day ago"
        if way_of(tell) is Way.WEBHOOK and (self._webhook is None or not self._webhook.wanted):
            return "not needed: the webhook was switched off"
        if isinstance(tell, TellMail | TellAlert) and way_of(tell) is Way.MAIL:
            return self._why_not_written(tell)
        return None

    def _why_not_written(self, tell: TellMail | TellAlert) -> str | None:
        if self._letters is None:
            return "not needed: no e-mail can be sent"
        return None if self._letters.wanted(tell) else "not needed: this address is not written to any more"

    def _codes(self, call: str, tell: TellHangup) -> tuple[str, ...]:
        """Give the extensions for which a call's end is told: those of which the CRM knows that they rang."""
        never = self._never_told.get(call, ())
        return tuple(code for code in tell.codes if code not in never)

    async def _remove_useless(self, useless: list[tuple[OutboxEntry, str]]) -> None:
        by_reason: dict[str, list[OutboxEntry]] = {}
        for entry, why in useless:
            suspect = self._events.suspects.get(entry)
            if suspect is not None and suspect.counted:
                await self._quarantine(suspect)
                continue
            by_reason.setdefault(why, []).append(entry)
            self._leave_out(entry)
            if isinstance(entry.tell, TellHangup):
                self._never_told.pop(entry.call, None)
        for why, entries in by_reason.items():
            await self._remove(entries, why)

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
                self._route_of(entries[0]).rest(LAST_RETRY_SECONDS)

        task.add_done_callback(ended)

    # -- sending ------------------------------------------------------------------------------------------

    async def _send(self, entry: OutboxEntry) -> None:
        """Tell one entry that isn't a call's result; what there is nobody for is taken out."""
        tell = entry.tell
        if isinstance(tell, TellHangup):
            tell = replace(tell, codes=self._codes(entry.call, tell))
        request = await self._worded(entry, lambda: self._requests.of(entry.call, tell))
        if request is not None:
            await self._ask(self._route_of(entry), [entry], request())

    async def _upload(self, entries: list[OutboxEntry]) -> None:
        sent, calls = [], []
        for entry in entries:
            assert isinstance(entry.tell, TellResult)
            call = await self._worded(entry, partial(self._wording.uploaded_call, entry.call, entry.tell))
            if call is not None:
                sent.append(entry)
                calls.append(call)
        if sent:
            await self._ask(self._uploads, sent, self._requests.upload(calls))

    async def _worded(self, entry: OutboxEntry, put: Callable[[], T]) -> T | None:
        """Put an entry into the CRM's words; one for which there are none goes aside."""
        try:
            return put()
        except NobodyToTellError as nobody:
            await self._remove([entry], str(nobody))
            return None
        except Exception as error:  # one entry that can't be said keeps no other waiting
            self._log.exception("there are no words of the CRM's for an entry", call=entry.call)
            await self._put_aside(entry, f"it can't be put into the CRM's words: {type(error).__name__}")
            return None

    async def _ask(
        self, route: Route, entries: list[OutboxEntry], asking: Coroutine[Any, Any, object]
    ) -> None:
        """Send a request with some entries, and see what becomes of them."""
        try:
            await asking
        except CrmError as error:
            await self._failed(route, entries, error)
            return
        except Exception as error:  # a defect of ours: nobody waits for this entry either
            self._log.exception("an entry could not be sent", call=entries[0].call)
            await self._failed(route, entries, CrmError(f"it could not be sent: {type(error).__name__}"))
            return
        back = route.failing
        route.passed()
        for entry in entries:
            route.suspects.forget(entry)
            self._troubles.passed(entry.tell)
            if isinstance(entry.tell, TellHangup):
                self._never_told.pop(entry.call, None)
        self._say_how_it_is()
        self._count(entries)
        await self._remove(entries)
        for suspect in route.suspects.another_passed(back):
            await self._quarantine(suspect)

    def _count(self, entries: list[OutboxEntry]) -> None:
        """Count what the CRM has taken, and how late that was."""
        now = self._clock()
        for entry in entries:
            what = _what(entry.tell)
            figures.TOLD.labels(self._account, what).inc()
            figures.TOLD_LATE.labels(what).observe(max(0.0, now - entry.tell.at))

    async def _failed(self, route: Route, entries: list[OutboxEntry], error: CrmError) -> None:
        if len(entries) == 1:
            self._troubles.failed(entries[0].tell, error)
        if isinstance(error, CrmLimited) and error.retry_after is not None:
            route.rest(min(error.retry_after, LAST_RETRY_SECONDS))
        elif isinstance(error, CrmRefused):
            route.answered()
            if len(entries) == 1:
                await self._refused(entries[0], error)
            else:
                route.split(len(entries))  # one of them is wrong; the others must not suffer for it
        elif isinstance(error, CrmLimited):
            route.trouble(error)
        elif len(entries) > 1:  # perhaps one of them is bad, perhaps the CRM is away: fewer will show it
            route.split(len(entries))
            route.rest_shortly()
        else:
            bad_alone = not route.failing and route.suspects.get(entries[0]) is not None
            route.suspects.failed(entries[0], error)
            if not bad_alone:
                route.trouble(error)
        if route is self._webhooks:
            await self._put_old_ones_aside(error)
        self._say_how_it_is()

    async def _put_old_ones_aside(self, error: CrmError) -> None:
        """Set aside what the shop's program could have taken for long."""
        late = self._clock() - WEBHOOK_SECONDS
        waiting = [entry for entry in self._waiting.firsts() if way_of(entry.tell) is Way.WEBHOOK]
        for entry in waiting:
            if entry.tell.at < late and self._may_go(entry):
                await self._put_aside(entry, f"it was not taken within an hour: {error}")

    # -- what becomes of entries --------------------------------------------------------------------------

    def _leave_out(self, entry: OutboxEntry) -> None:
        """Note the extensions that the CRM isn't told of, so that it isn't told of their end either."""
        if isinstance(entry.tell, TellRinging):
            self._never_told.setdefault(entry.call, set()).update(entry.tell.codes)

    async def _refused(self, entry: OutboxEntry, error: CrmRefused) -> None:
        self._log.warning("the CRM refuses what it is told", call=entry.call, problem=str(error))
        self._gone(entry)
        at, problem = self._clock(), str(error)
        await self._settle(lambda: self._outbox.refused(entry, at, problem), [entry])

    async def _quarantine(self, suspect: Suspect) -> None:
        problem = f"it failed {suspect.counted} times while others passed: {suspect.problem}"
        self._log.error("an entry that fails alone is set aside", call=suspect.entry.call, problem=problem)
        await self._put_aside(suspect.entry, problem)

    async def _put_aside(self, entry: OutboxEntry, problem: str) -> None:
        self._leave_out(entry)
        self._gone(entry)
        at = self._clock()
        await self._settle(lambda: self._outbox.quarantine(entry, at, problem), [entry])

    def _gone(self, entry: OutboxEntry) -> None:
        """Forget an entry that a person may send again: it would count as written twice."""
        self._remembered.pop(_identity(entry.call, entry.tell), None)
        self._route_of(entry).suspects.forget(entry)
        self._waiting.drop(entry)

    async def _remove(self, entries: list[OutboxEntry], problem: str | None = None) -> None:
        """Take entries out of the outbox, now or as soon as Redis is back."""
        for entry in entries:
            self._route_of(entry).suspects.forget(entry)
            self._waiting.drop(entry)
        at = self._clock()
        await self._settle(lambda: self._outbox.told(entries, at, problem), entries)

    async def _settle(
        self, change: Callable[[], Coroutine[Any, Any, None]], entries: list[OutboxEntry]
    ) -> None:
        """Change the outbox; until that is done, `entries` are not read again."""
        going = {entry.id for entry in entries}
        self.intake.leaving(going)
        try:
            await change()
        except StoreUnavailable:
            self._unsettled.append(lambda: self._settled_late(change, going))
            asyncio.get_running_loop().call_later(REDIS_RETRY_SECONDS, self._wake.set)
        else:
            self.intake.gone(going)

    async def _settled_late(self, change: Callable[[], Coroutine[Any, Any, None]], going: set[str]) -> None:
        await change()
        self.intake.gone(going)

    async def _settle_rest(self) -> None:
        while self._unsettled:
            try:
                await self._unsettled[0]()
            except StoreUnavailable:
                asyncio.get_running_loop().call_later(REDIS_RETRY_SECONDS, self._wake.set)
                return
            self._unsettled.popleft()

    def _say_how_it_is(self) -> None:
        """Say once that the CRM takes nothing, and once that it is back."""
        problem, before = self.problem, self._said
        self._said = problem
        if (problem is None) is (before is None):
            return
        self.since = self._clock()
        if problem is not None:
            self._log.warning("the CRM takes nothing; all is kept and tried again", problem=problem)
        else:
            self._log.info("the CRM is back", waiting=self.backlog)


def _what(tell: Tell) -> str:
    match tell:
        case TellRinging():
            return "popup"
        case TellHangup():
            return "hangup"
        case TellResult():
            return "result"
        case TellCustomer():
            return "customer"
        case TellWebhook():
            return "webhook"
        case TellMail():
            return "mail"
        case TellAlert():
            return "alert"
        case _:
            return "missed"


def _identity(call: str, tell: Tell) -> tuple[object, ...]:
    words = (getattr(tell, "event", ""), getattr(tell, "way", ""), getattr(tell, "to", ""))
    return call, type(tell), getattr(tell, "codes", ()), getattr(tell, "again", 0), *words
