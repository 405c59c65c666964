"""The outbox's consumer: tells the CRM what calls have to say, in order per call, at least once.

While the CRM is away, limits us or answers nonsense, everything stays in the outbox and is tried again, at
first soon and then every half minute. What it refuses for good is put where a person can see it, and so is
what another version wanted told and this one can't read. A popup that is 30 s old is worth nothing any more
and is not sent; a result always is.

While telephony is switched off in the CRM nothing is sent. What happened then is not told later; what
happened before, and still waits, is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

import structlog

from ari_app.accounts.current import Current
from ari_app.backoff import BackOff, spread
from ari_app.calls import OutboxEntry, Tell, TellHangup, TellResult, TellRinging, UnreadableEntry
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import CALLS_IN_ONE_UPLOAD, RetailCrm
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmLimited, CrmRefused, CrmUnavailable
from ari_app.retailcrm.wording import Wording

log = structlog.get_logger(__name__)

POPUP_SECONDS = 30.0
EVENTS_AT_ONCE = 8
READ_AT_ONCE = 500
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 30.0
DENIED_RETRY_SECONDS = 60.0
REMEMBERED = 20_000


class Outbox(Protocol):
    """Where entries wait; its methods raise `StoreUnavailable`."""

    async def outbox(self, after: str = "0", limit: int = 500) -> list[OutboxEntry | UnreadableEntry]:
        """Give entries behind an id, oldest first."""

    async def told(self, entries: Iterable[OutboxEntry], at: float, problem: str | None = None) -> None:
        """Take entries out."""

    async def refused(self, entry: OutboxEntry, at: float, problem: str) -> None:
        """Put an entry where a person can see it."""

    async def set_aside(self, entry: UnreadableEntry, at: float) -> None:
        """Put an entry that can't be read where a person can see it."""


class Delivery:
    """Tells one account's CRM. `problem` says in words what is wrong with it, None when all is well."""

    def __init__(
        self,
        outbox: Outbox,
        crm: RetailCrm,
        wording: Wording,
        current: Current,
        clock: Callable[[], float],
    ) -> None:
        self._current = current
        self._outbox = outbox
        self._crm = crm
        self._wording = wording
        self._clock = clock
        self._log = log.bind(account=current.account.id)
        self._waiting: dict[str, deque[OutboxEntry]] = {}
        self._busy: set[str] = set()
        self._uploading = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._news = False
        self._last_id = "0"
        self._remembered: dict[tuple[object, ...], None] = {}
        self._never_told: dict[str, set[str]] = {}
        self._unsettled: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._failing = False
        self._back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self._resting = False
        self._finishing = False
        self.problem: str | None = None
        self.since = clock()

    @property
    def backlog(self) -> int:
        """How many entries are known to wait."""
        return sum(map(len, self._waiting.values()))

    def wake(self) -> None:
        """Say that there is something new in the outbox."""
        self._news = True
        self._wake.set()

    async def finish(self, seconds: float) -> None:
        """Begin nothing more; let what is being told be told, at most so many seconds."""
        self._finishing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def run(self) -> None:
        """Deliver for ever."""
        self._news = True
        try:
            while True:
                await self._settle_rest()
                if self._news:
                    self._news = False
                    await self._read()
                self._start()
                await self._wake.wait()
                self._wake.clear()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what waits ---------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            try:
                entries = await self._outbox.outbox(self._last_id, READ_AT_ONCE)
            except StoreUnavailable:
                asyncio.get_running_loop().call_later(1.0, self.wake)
                return
            for entry in entries:
                self._last_id = entry.id
                if isinstance(entry, UnreadableEntry):
                    await self._set_aside(entry)
                else:
                    await self._take_in(entry)
            if len(entries) < READ_AT_ONCE:
                return

    async def _take_in(self, entry: OutboxEntry) -> None:
        """Line an entry up; one that was written twice, because Redis' answer was lost, counts once."""
        key = _identity(entry.call, entry.tell)
        if key in self._remembered:
            await self._remove([entry], "written twice")
            return
        self._remembered[key] = None
        if not self._current.activity.covers(entry.tell.at):
            self._leave_out(entry)
            await self._remove([entry], "not told: telephony was switched off in the CRM")
            return
        if len(self._remembered) > REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._waiting.setdefault(entry.call, deque()).append(entry)

    async def _set_aside(self, entry: UnreadableEntry) -> None:
        self._log.error("what the CRM is to be told is set aside", call=entry.call, problem=entry.problem)
        at = self._clock()
        await self._settle(lambda: self._outbox.set_aside(entry, at))

    def _start(self) -> None:
        """Send what can be sent now; after a failure one entry goes alone, to see whether the CRM is back."""
        if self._resting or self._finishing or not self._current.activity.on:
            return
        at_once = 1 if self._failing else EVENTS_AT_ONCE
        uploads: list[OutboxEntry] = []
        for call, queue in self._waiting.items():
            if call in self._busy:
                continue
            if isinstance(queue[0].tell, TellResult):
                if len(uploads) < CALLS_IN_ONE_UPLOAD:
                    uploads.append(queue[0])
            elif len(self._tasks) < at_once:
                self._spawn([queue[0]], self._send_event(queue[0]))
        if uploads and not self._uploading and not (self._failing and self._tasks):
            self._uploading = True
            self._spawn(uploads, self._send_uploads(uploads))

    def _spawn(self, entries: list[OutboxEntry], sending: Coroutine[Any, Any, None]) -> None:
        calls = {entry.call for entry in entries}
        self._busy |= calls
        task = asyncio.create_task(sending)
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._busy.difference_update(calls)
            self._wake.set()
            if not task.cancelled() and task.exception() is not None:
                self._log.error("delivery failed", exc_info=task.exception())
                self._rest(LAST_RETRY_SECONDS)

        task.add_done_callback(ended)

    # -- sending ------------------------------------------------------------------------------------------

    async def _send_event(self, entry: OutboxEntry) -> None:
        tell = entry.tell
        assert not isinstance(tell, TellResult)
        if isinstance(tell, TellRinging) and self._clock() - tell.at > POPUP_SECONDS:
            self._leave_out(entry)
            await self._remove([entry], "too late: nobody needs this popup any more")
            return
        if isinstance(tell, TellHangup):
            never = self._never_told.pop(entry.call, set())
            codes = tuple(code for code in tell.codes if code not in never)
            if not codes:
                await self._remove([entry], "not needed: the CRM was never told that the call rings")
                return
            tell = TellHangup(tell.at, tell.phone, tell.external, codes, tell.ending)
        try:
            await self._crm.call_event(self._wording.event(entry.call, tell))
        except CrmError as error:
            await self._failed(entry, error)
        else:
            self._well()
            await self._remove([entry])

    def _leave_out(self, entry: OutboxEntry) -> None:
        """Note the extensions that the CRM isn't told of, so that it isn't told of their end either."""
        if isinstance(entry.tell, TellRinging):
            self._never_told.setdefault(entry.call, set()).update(entry.tell.codes)

    async def _send_uploads(self, entries: list[OutboxEntry]) -> None:
        try:
            await self._upload(entries)
        finally:
            self._uploading = False

    async def _upload(self, entries: list[OutboxEntry]) -> None:
        calls = [
            self._wording.uploaded_call(entry.call, entry.tell)
            for entry in entries
            if isinstance(entry.tell, TellResult)
        ]
        try:
            await self._crm.upload_calls(calls)
        except CrmRefused as error:
            if len(entries) == 1:
                await self._failed(entries[0], error)
                return
            for entry in entries:  # one of them is wrong; the others must not suffer for it
                await self._upload([entry])
                if self._failing:
                    return
        except CrmError as error:
            await self._failed(entries[0], error)
        else:
            self._well()
            await self._remove(entries)

    async def _failed(self, entry: OutboxEntry, error: CrmError) -> None:
        match error:
            case CrmRefused():
                self._well()
                self._log.warning("the CRM refuses what it is told", call=entry.call, problem=str(error))
                self._drop(entry)
                self._remembered.pop(_identity(entry.call, entry.tell), None)  # a person may send it again
                at, problem = self._clock(), str(error)
                await self._settle(lambda: self._outbox.refused(entry, at, problem))
            case CrmDenied():
                self._trouble(str(error))
                self._rest(DENIED_RETRY_SECONDS)
            case CrmLimited() if error.retry_after is not None:
                self._rest(min(error.retry_after, LAST_RETRY_SECONDS))
            case CrmUnavailable() | CrmError():
                self._trouble(str(error))
                self._rest()

    async def _remove(self, entries: list[OutboxEntry], problem: str | None = None) -> None:
        """Take entries out of the outbox, now or as soon as Redis is back."""
        for entry in entries:
            self._drop(entry)
        at = self._clock()
        await self._settle(lambda: self._outbox.told(entries, at, problem))

    async def _settle(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await change()
        except StoreUnavailable:
            self._unsettled.append(change)
            asyncio.get_running_loop().call_later(1.0, self._wake.set)

    async def _settle_rest(self) -> None:
        for _ in range(len(self._unsettled)):
            await self._settle(self._unsettled.popleft())

    def _drop(self, entry: OutboxEntry) -> None:
        queue = self._waiting.get(entry.call)
        if queue and queue[0] is entry:
            queue.popleft()
            if not queue:
                del self._waiting[entry.call]

    # -- how the CRM does ---------------------------------------------------------------------------------

    def _rest(self, seconds: float | None = None) -> None:
        """Leave the CRM alone: for about so many seconds, or else longer with each failure."""
        self._failing = True
        if self._resting:
            return
        self._resting = True
        pause = self._back_off.pause() if seconds is None else seconds

        def rested() -> None:
            self._resting = False
            self._wake.set()

        asyncio.get_running_loop().call_later(spread(pause), rested)

    def _trouble(self, problem: str) -> None:
        if self.problem is None:
            self._log.warning("the CRM takes nothing; all is kept and tried again", problem=problem)
            self.since = self._clock()
        self.problem = problem

    def _well(self) -> None:
        self._failing = False
        self._back_off.well()
        if self.problem is not None:
            self._log.info("the CRM is back", waiting=self.backlog)
            self.problem, self.since = None, self._clock()


def _identity(call: str, tell: Tell) -> tuple[object, ...]:
    return call, type(tell), getattr(tell, "codes", ())
