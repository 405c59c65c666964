"""Looks after what is kept: calls go at a certain age, with their journals and recordings.

It is done in small portions between which others have their turn. A call stays as long as it isn't over, the
CRM is still to be told of it, or something happened to it within a day: the CRM may still fetch its
recording. Statistics stay: they are small, and name no customer. Calls from before there were statistics are
counted here, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import structlog

from ari_app.asterisk.recordings import RecordingStore
from ari_app.calls import Call
from ari_app.errors import StoreUnavailable
from ari_app.store.calls import CallStore

log = structlog.get_logger(__name__)

FIRST_SECONDS = 30.0
"""How long after the start it begins: the CRM's time zone is known by then."""
LOOK_SECONDS = 3600.0
DAY_SECONDS = 86_400
TRIALS_SECONDS = 2 * DAY_SECONDS
"""How long a trial is kept: nobody looks for one later."""
PORTION = 100
PAUSE_SECONDS = 0.05


class Keeping:
    """The calls of all accounts, `stores`, of which none is kept for more than so many days.

    `own_days` says for how many an account wants its own kept, by its name. `clock` gives seconds since the
    epoch, `pause` is in seconds, between portions.
    """

    def __init__(
        self,
        stores: Callable[[], Iterable[CallStore]],
        recordings: RecordingStore,
        days: int,
        clock: Callable[[], float],
        pause: float = PAUSE_SECONDS,
        own_days: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        self._stores = stores
        self._recordings = recordings
        self._days = days
        self._own_days = own_days
        self._clock = clock
        self._pause = pause

    async def run(self) -> None:
        """Look after them, for ever."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            for store in list(self._stores()):
                await self._look_after(store)
                self._recordings.room.forget(store.account)  # somebody may have removed files by hand
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_after(self, store: CallStore) -> None:
        try:
            await self.count_old(store)
            gone = await self.let_go(store)
        except StoreUnavailable:
            return  # the ledger says that Redis is away
        except OSError as error:
            log.error("old recordings can't be removed", account=store.account, problem=str(error))
        except Exception:  # the other accounts are looked after all the same
            log.exception("old calls can't be looked after", account=store.account)
        else:
            if gone:
                log.info("old calls were removed", account=store.account, calls=gone)

    async def count_old(self, store: CallStore) -> None:
        """Count the calls that ended before there were statistics.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        if await store.all_counted():
            return
        portion: list[Call] = []
        async for call in store.walk():
            portion.append(call)
            if len(portion) == PORTION:
                await store.count_old(portion)
                portion = []
                await asyncio.sleep(self._pause)
        await store.count_old(portion)
        await store.note_all_counted()

    async def let_go(self, store: CallStore) -> int:
        """Remove the calls that are too old; give how many.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
            OSError: a recording can't be removed, so its call stays.
        """
        now, gone = self._clock(), 0
        until = now - self._kept_seconds(store.account)
        portion: list[Call] = []
        async for call in store.walk(until=until):
            portion.append(call)
            if len(portion) == PORTION:
                gone += await self._let_go(store, portion, now)
                portion = []
                await asyncio.sleep(self._pause)
        gone += await self._let_go(store, portion, now)
        gone += await self._let_go(store, await store.trials(PORTION, now - TRIALS_SECONDS), now)
        await store.missed.forget(until)
        unreadable = await store.forget_unreadable(until, before=now - DAY_SECONDS)
        await asyncio.to_thread(self._remove_files, store.account, dict.fromkeys(unreadable))
        return gone + len(unreadable)

    async def _let_go(self, store: CallStore, portion: list[Call], now: float) -> int:
        """Remove the files first: what is left over when we are stopped here is found another time."""
        if not portion:
            return 0
        calls = await store.settled(portion, before=now - DAY_SECONDS)
        files = {call.id: call.recording.file for call in calls}
        await asyncio.to_thread(self._remove_files, store.account, files)
        await store.forget(calls)
        return len(calls)

    def _kept_seconds(self, account: str) -> float:
        own = self._own_days(account)
        return DAY_SECONDS * (self._days if own is None else min(own, self._days))

    def _remove_files(self, account: str, files: Mapping[str, str | None]) -> None:
        """Remove the files of calls; some are known by their names."""
        for call, file in files.items():
            self._recordings.remove(account, call, file)
