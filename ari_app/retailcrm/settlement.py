"""What becomes of an entry of the outbox in the end: it is taken out, or set aside where a person sees it.

While Redis is away that waits until it is back, in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

import structlog

from ari_app.calls import OutboxEntry, UnreadableEntry
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.errors import CrmRefused
from ari_app.retailcrm.intake import REDIS_RETRY_SECONDS, Intake, Repetitions
from ari_app.retailcrm.popups import Popups
from ari_app.retailcrm.quarantine import Suspect
from ari_app.retailcrm.route import Routes
from ari_app.retailcrm.waiting import Waiting

log = structlog.get_logger(__name__)


class Settled(Protocol):
    """What is changed of the outbox; its methods raise `StoreUnavailable`."""

    async def told(self, entries: Iterable[OutboxEntry], at: float, problem: str | None = None) -> None:
        """Take entries out."""

    async def refused(self, entry: OutboxEntry, at: float, problem: str) -> None:
        """Put an entry where a person can see it."""

    async def quarantine(self, entry: OutboxEntry, at: float, problem: str) -> None:
        """Put an entry where a person can see it that fails while others pass."""

    async def set_aside(self, entry: UnreadableEntry, at: float) -> None:
        """Put an entry that can't be read where a person can see it."""


class Settlement:
    """Of one account's entries; `wake` is called when it is time for `settle_rest`."""

    def __init__(
        self,
        outbox: Settled,
        intake: Intake,
        waiting: Waiting,
        routes: Routes,
        popups: Popups,
        repetitions: Repetitions,
        account: str,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._intake = intake
        self._waiting = waiting
        self._routes = routes
        self._popups = popups
        self._repetitions = repetitions
        self._clock = clock
        self._wake = wake
        self._log = log.bind(account=account)
        self._unsettled: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()

    async def take_out(self, entries: list[OutboxEntry], problem: str | None = None) -> None:
        """Take entries out: they were told, or the problem says why they weren't."""
        for entry in entries:
            self._drop(entry)
        at = self._clock()
        await self._settle(lambda: self._outbox.told(entries, at, problem), entries)

    async def take_out_useless(self, useless: list[tuple[OutboxEntry, str]]) -> None:
        """Take out what need not be told any more, and why; what failed while others passed goes aside."""
        by_reason: dict[str, list[OutboxEntry]] = {}
        for entry, why in useless:
            suspect = self._routes.events.suspects.get(entry)
            if suspect is not None and suspect.counted:
                await self.quarantine(suspect)
                continue
            by_reason.setdefault(why, []).append(entry)
            self._popups.not_told(entry)
            self._popups.over(entry)
        for why, entries in by_reason.items():
            await self.take_out(entries, why)

    async def refused(self, entry: OutboxEntry, error: CrmRefused) -> None:
        """Set aside what is refused for good."""
        self._log.warning("the CRM refuses what it is told", call=entry.call, problem=str(error))
        self._may_come_again(entry)
        at, problem = self._clock(), str(error)
        await self._settle(lambda: self._outbox.refused(entry, at, problem), [entry])

    async def quarantine(self, suspect: Suspect) -> None:
        """Set aside what fails while others pass."""
        problem = f"it failed {suspect.counted} times while others passed: {suspect.problem}"
        self._log.error("an entry that fails alone is set aside", call=suspect.entry.call, problem=problem)
        await self.put_aside(suspect.entry, problem)

    async def put_aside(self, entry: OutboxEntry, problem: str) -> None:
        """Set aside what can't be told."""
        self._popups.not_told(entry)
        self._may_come_again(entry)
        at = self._clock()
        await self._settle(lambda: self._outbox.quarantine(entry, at, problem), [entry])

    async def put_unreadable_aside(self, entry: UnreadableEntry) -> None:
        """Set aside what another version wanted told."""
        self._log.error("what the CRM is to be told is set aside", call=entry.call, problem=entry.problem)
        at = self._clock()
        await self._settle(lambda: self._outbox.set_aside(entry, at), [])

    async def settle_rest(self) -> None:
        """Settle what could not be while Redis was away."""
        while self._unsettled:
            try:
                await self._unsettled[0]()
            except StoreUnavailable:
                asyncio.get_running_loop().call_later(REDIS_RETRY_SECONDS, self._wake)
                return
            self._unsettled.popleft()

    def _may_come_again(self, entry: OutboxEntry) -> None:
        """Forget an entry that a person may send again: it would count as written twice."""
        self._repetitions.forget(entry)
        self._drop(entry)

    def _drop(self, entry: OutboxEntry) -> None:
        self._routes.of(entry).suspects.forget(entry)
        self._waiting.drop(entry)

    async def _settle(
        self, change: Callable[[], Coroutine[Any, Any, None]], entries: list[OutboxEntry]
    ) -> None:
        """Change the outbox; until that is done, `entries` are not read again."""
        going = {entry.id for entry in entries}
        self._intake.leaving(going)

        async def settle() -> None:
            await change()
            self._intake.gone(going)

        try:
            await settle()
        except StoreUnavailable:
            self._unsettled.append(settle)
            asyncio.get_running_loop().call_later(REDIS_RETRY_SECONDS, self._wake)
