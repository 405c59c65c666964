"""The copies of the service share the accounts: who holds too many gives some to who holds fewest.

Every copy works out the same plan from the same figures, and carries out what is its own part of it. An
account moves only to a copy that holds at least two fewer, so nothing goes to and fro; accounts without live
calls move first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import structlog

from ari_app.errors import StoreUnavailable
from ari_app.store.copies import Copies
from ari_app.store.leases import awake

log = structlog.get_logger(__name__)

SAY_SECONDS = 1.0
SHARE_SECONDS = 5.0
"""How often it is looked whether accounts are to move."""
AT_ONCE = 8
"""So many accounts are handed over side by side."""
PROMISED_SECONDS = 3.0
"""How long a copy may take to say that it is ready for an account."""
ASK_SECONDS = 0.1
NOT_AGAIN_SECONDS = 15.0
"""An account that a copy isn't ready for, since it doesn't reach the PBX, is left here for so long."""


class Holder(Protocol):
    """Who holds the accounts that are shared."""

    @property
    def shops(self) -> Collection[str]:
        """The accounts that we hold."""

    def live_calls(self) -> Mapping[str, int]:
        """Give the accounts that may move, and how many calls each has now."""

    async def promise(self, account: str, heir: str) -> bool:
        """Promise an account to a copy; tell whether that one is ready for it."""

    async def give(self, account: str, heir: str) -> None:
        """Hand an account over to a copy."""


def moves(held: Mapping[str, int], ours: str) -> Iterator[str]:
    """Say to which copies we are to give an account each, by how many every copy holds."""
    held = dict(held)
    while held:
        most = max(held, key=lambda copy: (held[copy], copy))
        fewest = min(held, key=lambda copy: (held[copy], copy))
        if held[most] - held[fewest] < 2:
            return
        if most == ours:
            yield fewest
        held[most] -= 1
        held[fewest] += 1


class Sharing:
    """One copy's part in it. `share_seconds` is how often it is looked whether accounts are to move."""

    def __init__(self, copies: Copies, holder: Holder, share_seconds: float = SHARE_SECONDS) -> None:
        self._copies = copies
        self._holder = holder
        self._share_seconds = share_seconds
        self._open = True
        self._news = asyncio.Event()
        self._given: dict[str, tuple[int, float]] = {}
        self._unwanted: dict[tuple[str, str], float] = {}

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Be one of the copies; those who know us forget us when left."""
        saying = asyncio.create_task(self._keep_saying(), name="copies")
        sharing = asyncio.create_task(self._keep_sharing(), name="sharing")
        try:
            yield
        finally:
            saying.cancel()
            sharing.cancel()
            await asyncio.gather(saying, sharing, return_exceptions=True)
            with suppress(StoreUnavailable):
                await self._copies.leave()

    def close(self) -> None:
        """Take no more accounts: this copy ends."""
        self._open = False
        self._news.set()

    def changed(self) -> None:
        """Say at once how many accounts we hold now."""
        self._news.set()

    async def _keep_saying(self) -> None:
        while True:
            self._news.clear()
            with suppress(StoreUnavailable):
                await self._copies.say(len(self._holder.shops), open=self._open)
            with suppress(TimeoutError):
                async with asyncio.timeout(SAY_SECONDS):
                    await self._news.wait()

    async def _keep_sharing(self) -> None:
        while True:
            await asyncio.sleep(self._share_seconds)
            if not self._open:
                return
            try:
                await self._share()
            except Exception:  # tried again with the next beat
                log.exception("the accounts can't be shared")

    async def _share(self) -> None:
        plan = list(moves(self._figures(), self._copies.ident))
        turns, going = asyncio.Semaphore(AT_ONCE), []
        chosen: set[str] = set()

        async def move(account: str, heir: str) -> None:
            async with turns:
                await self._move(account, heir)

        for heir in plan:
            account = self._choose(heir, chosen)
            if account is not None:
                chosen.add(account)
                going.append(move(account, heir))
        await asyncio.gather(*going)

    def _figures(self) -> dict[str, int]:
        """Say how many accounts each open copy holds; what was just given counts before it was taken."""
        held = {copy.ident: copy.accounts for copy in self._copies.known.values() if copy.open}
        for heir, (expected, until) in list(self._given.items()):
            if awake() > until:
                del self._given[heir]
            elif heir in held:
                held[heir] = max(held[heir], expected)
        if self._copies.ident in held:
            held[self._copies.ident] = len(self._holder.shops)
        return held

    def _choose(self, heir: str, chosen: set[str]) -> str | None:
        """Choose an account for a copy: without live calls, if there is one."""
        now = awake()
        self._unwanted = {which: until for which, until in self._unwanted.items() if until > now}
        calls = self._holder.live_calls()
        free = [one for one in calls if one not in chosen and (one, heir) not in self._unwanted]
        return min(free, key=lambda one: (calls[one], one), default=None)

    async def _move(self, account: str, heir: str) -> None:
        try:
            async with asyncio.timeout(PROMISED_SECONDS):
                while True:
                    if await self._holder.promise(account, heir):
                        break
                    await asyncio.sleep(ASK_SECONDS)
        except TimeoutError:
            self._unwanted[account, heir] = awake() + NOT_AGAIN_SECONDS
            return
        known = self._copies.known.get(heir)
        if not self._open or known is None or not known.open:
            return
        before = self._given.get(heir, (known.accounts, 0.0))[0]
        self._given[heir] = (max(before, known.accounts) + 1, awake() + 2 * SAY_SECONDS)
        log.info("the account moves to a copy that holds fewer", account=account, to=known.address)
        await self._holder.give(account, heir)
