"""The composition root: builds, starts and stops everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import structlog

from ari_app import figures
from ari_app.accounts.account import Account
from ari_app.asterisk.installations import Mark
from ari_app.asterisk.pbx_state import PbxState
from ari_app.asterisk.recordings import RecordingStore
from ari_app.errors import StoreUnavailable
from ari_app.keyring import KeyRing
from ari_app.network.reach import ANYWHERE, CRM_KEEP_ALIVE_SECONDS, Passages, Reach, passage
from ari_app.retailcrm.mail import MailServer
from ari_app.retailcrm.pace import Pace
from ari_app.service.changes import Changes
from ari_app.service.click_to_call import ClickLimits
from ari_app.service.crm_module import Informing
from ari_app.service.crm_sites import Sites
from ari_app.service.doors import Doors
from ari_app.service.handover import hand_in
from ari_app.service.holding import Holding
from ari_app.service.pulse import Pulse
from ari_app.service.redis_room import RedisRoom
from ari_app.service.retention import Keeping
from ari_app.service.sharing import SHARE_SECONDS, Sharing
from ari_app.service.shop import Bounds, Shop
from ari_app.service.slow_steps import SlowSteps
from ari_app.service.synchronising import Synchronising
from ari_app.service.watchdog import Watchdog
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts, WrongSecretKey
from ari_app.store.connection import Redis, check_persistence
from ari_app.store.copies import Copies
from ari_app.store.leases import say_running, say_stopped
from ari_app.store.module import ModuleStore

log = structlog.get_logger(__name__)

REVISION_SECONDS = 0.5
"""How often the accounts are looked at for changes, and those of other copies for one that is free."""
RUNNING_SECONDS = 3.0
DRAIN_SECONDS = 5.0
HAND_IN_SECONDS, HAND_IN_RETRY_SECONDS = 60.0, 1.0
"""How long it is tried to hand in calls of which the next holder can't know."""
COMES_SECONDS, COMES_LOOKS = 1.0, 20
"""How long the next holder may take to say that it is ready, and how often it is asked meanwhile."""
AT_ONCE = 32
"""So many accounts are opened, or looked at, side by side."""


class Service:
    """All accounts at work."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        secret_key: KeyRing | str,
        holder_id: str,
        pace: Callable[[], Pace] = Pace,
        clock: Callable[[], float] = time.time,
        share_seconds: float = SHARE_SECONDS,
    ) -> None:
        self.shops: dict[str, Shop] = {}
        self.recordings = RecordingStore(settings.recordings_dir, secret_key, settings.recordings_gb * 10**9)
        self.redis = redis
        self.public_url = settings.public_url
        """Where the CRM, people and PBXs reach us."""
        self.settings = settings
        self.mail_server = MailServer.of(settings)
        """By which people are written to; None when the operator has named none."""
        self.accounts = Accounts(redis, secret_key)
        self.keys = KeyRing.of(secret_key)
        """The secret key, and those before it."""
        self.doors = Doors()
        """Which cabinet an address opens that only its CRM knows."""
        self._holding = Holding(redis, holder_id, settings.public_url, self._lost)
        self.copies = Copies(redis, holder_id, settings.copy_url)
        """All copies of the service on this Redis."""
        self._sharing = Sharing(self.copies, self, share_seconds)
        self._watchdog = Watchdog(self._shut, self._holding.lose_all)
        self.redis_room = RedisRoom(redis)
        self.pulse = Pulse(redis)
        """Whether Redis answers."""
        self.slow_steps = SlowSteps()
        """What has held up all accounts."""
        self.pace_of: Callable[[str], Pace] = lru_cache(maxsize=10_000)(lambda api_key: pace())
        """The pace at which an API key's CRM is asked by all parts of ours: the CRM counts every request."""
        self.informing = Informing(self)
        """What keeps the CRMs informed of us, while `run` works."""
        self.synchronising = Synchronising(self, self.informing)
        self.sites = Sites(self.informing)
        self._clock = clock
        self._keeping = Keeping(
            lambda: [shop.calls for shop in self.shops.values()],
            self.recordings,
            settings.keep_calls_days,
            clock,
            own_days=self._own_days,
        )
        self._revision = -1
        self._known: dict[str, Account] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}
        self._handing_in: set[asyncio.Task[None]] = set()
        self._reopening: set[str] = set()
        self._absent: set[str] = set()
        self._changes: dict[str, Changes] = {}
        self.loaded = asyncio.Event()
        """Set when the accounts were read for the first time."""

    @property
    def upload_limit(self) -> int:
        """How many bytes a recording that a PBX sends may have."""
        return self.settings.upload_limit_mb * 10**6

    @property
    def elsewhere(self) -> list[Account]:
        """The accounts that are not in `shops`: another copy's, or just being opened."""
        return [account for name, account in self._known.items() if name not in self.shops]

    @property
    def ready(self) -> bool:
        """Whether every PBX of the accounts that we hold is connected, or known to be unreachable."""
        return self.loaded.is_set() and all(
            shop.line.pbx.state is not PbxState.CONNECTING for shop in self.shops.values()
        )

    async def switch_telephony(self, account: str, on: bool | None, frozen: bool | None = None) -> None:
        """Take note of whether the CRM of an account has the module switched on, and whether it froze it.

        What it doesn't say (None) stays as it was; a frozen module is off though it is switched on.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        shop = self.shops.get(account)
        kept = await ModuleStore(self.redis, account).tell(on, frozen, self._clock())
        if shop is not None:
            shop.take_activity(kept)
        elif any(known.id == account for known in self.elsewhere):
            await self.accounts.note_news()  # the copy that holds it reads it then

    async def installation(self) -> str:
        """Give the name by which PBXs know all copies on our Redis.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        return await self._holding.installation()

    def changes_of(self, account: str) -> Changes:
        """Give what wakes those who show an account, whether it is at work or not."""
        return self._changes.setdefault(account, Changes())

    def key_for(self, purpose: str) -> bytes:
        """Derive a key from the secret one, another for each purpose."""
        return self.keys.key_for(purpose)

    async def run(self) -> None:
        """Work until cancelled; then send on the callers who wait, and end."""
        async with self.informing.at_work(), self.synchronising.at_work(), self._sharing.at_work():
            await self._run()

    async def _run(self) -> None:
        running = asyncio.create_task(self._say_running(), name="running")
        keeping = asyncio.create_task(self._keeping.run(), name="keeping")
        room = asyncio.create_task(self.redis_room.run(), name="redis room")
        problem = await check_persistence(self.redis)
        if problem:
            log.warning(problem)
        async with (
            passage(ANYWHERE) as operators,
            passage(Reach(self.settings.pbx_networks)) as others,
            passage(ANYWHERE, CRM_KEEP_ALIVE_SECONDS) as crms,
        ):
            try:
                with self._watchdog.at_work(), self.slow_steps.at_work():
                    await self._follow_accounts(Passages(operators, others, crms))
            finally:
                await asyncio.shield(self._stop())
                for task in (running, keeping, room):
                    task.cancel()
                await asyncio.gather(running, keeping, room, return_exceptions=True)
                with suppress(StoreUnavailable):
                    await say_stopped(self.redis)

    # -- shared with other copies ---------------------------------------------------------------------------

    def live_calls(self) -> Mapping[str, int]:
        """Give the accounts that may move to another copy, and how many calls each has now."""
        return {
            name: len(shop.line.calls) for name, shop in self.shops.items() if name not in self._reopening
        }

    async def promise(self, account: str, heir: str) -> bool:
        """Promise an account to another copy; tell whether that one is ready for it."""
        return account in self.shops and await self._holding.name_heir(account, heir)

    async def give(self, account: str, heir: str) -> None:
        """Hand an account over to another copy, which is ready for it; its calls go on."""
        shop = self._take_out(account)
        if shop is not None:
            self._close(account, shop.hand_over(heir))
            await asyncio.wait([self._closing[account]])

    def _take_out(self, account: str) -> Shop | None:
        """Have an account that we held no more: who asks for it is sent to whoever takes it."""
        shop = self.shops.pop(account, None)
        if shop is not None:
            self._absent.add(account)
            self._sharing.changed()
        return shop

    def _close(self, account: str, ending: Coroutine[Any, Any, None]) -> None:
        """Carry out how a shop ends; until then the account isn't taken again."""

        async def close() -> None:
            try:
                await ending
            finally:
                del self._closing[account]
                self.changes_of(account).note()

        self._closing[account] = asyncio.create_task(close(), name=f"{account} let go")

    async def _say_running(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await say_running(self.redis)
            await asyncio.sleep(RUNNING_SECONDS)

    async def _follow_accounts(self, passages: Passages) -> None:
        trouble: str | None = None
        while True:
            try:
                with self._holding.noting_outages():
                    await self._take_changes(passages)
            except (StoreUnavailable, WrongSecretKey, _NotOpened) as error:
                if str(error) != trouble:
                    known = isinstance(error, StoreUnavailable | WrongSecretKey)
                    known = known or isinstance(error.__cause__, StoreUnavailable)
                    log.warning(
                        "the accounts can't be read", problem=str(error), exc_info=None if known else error
                    )
                trouble = str(error)
            else:
                if trouble is not None:
                    log.info("the accounts can be read again")
                trouble = None
            await asyncio.sleep(min(REVISION_SECONDS, self._holding.soonest()))

    async def _take_changes(self, passages: Passages) -> None:
        revision = await self.accounts.revision()
        if revision == self._revision and not self._reopening and not self._absent:
            return
        before = self._known
        if revision != self._revision:
            registered = await self.accounts.registered()
            self.doors.know(registered)
            self._known = {account.id: account for account in registered if isinstance(account, Account)}
        self._absent &= self._known.keys()
        for gone in (before.keys() | self.shops.keys()) - self._known.keys():
            await self._forget(gone)
        if revision != self._revision:
            for removed in await self.accounts.removed():
                await self._remove_recordings(removed)
        turns, news = asyncio.Semaphore(AT_ONCE), revision != self._revision

        async def take(account: Account) -> _NotOpened | None:
            async with turns:
                try:
                    await self._take_account(account, passages)
                    if news and account.id in self.shops:
                        await self.shops[account.id].reread_activity()
                except Exception as error:  # what is wrong with one keeps no other closed
                    return _NotOpened(account.id, error)
            return None

        problems = await asyncio.gather(*map(take, self._known.values()))
        for problem in filter(None, problems):
            self._revision = -1
            raise problem  # they are all looked at again
        self._revision = revision
        self.loaded.set()

    async def _forget(self, account: str) -> None:
        """End what there is of an account that is gone."""
        shop = self.shops.pop(account, None)
        try:
            if shop is not None:
                log.info("account removed", account=account)
                await shop.end()
                await shop.unmark()
                await self._holding.leave(account)
                await self.accounts.forget(account)
                self.changes_of(account).note()
        finally:
            figures.forget(account)

    async def _remove_recordings(self, account: str) -> None:
        """Remove what is left of an account on the disk, so that no link leads to it any more."""
        try:
            files = await asyncio.to_thread(self.recordings.remove_account, account)
        except OSError as error:
            log.error("recordings of a removed account can't be removed", account=account, problem=str(error))
        else:
            if files:
                log.info("recordings of a removed account are removed", account=account, files=files)

    def _own_days(self, account: str) -> int | None:
        shop = self.shops.get(account)
        return shop.settings.calls.keep_days if shop is not None else None

    async def _take_account(self, account: Account, passages: Passages) -> None:
        shop = self.shops.get(account.id)
        if shop is not None and shop.settings == account:
            return
        if shop is not None and _same_connections(account, shop.settings):
            shop.change(account)
            log.info("account changed", account=account.id)
            return
        if shop is not None:
            leaves = account.pbx.identity != shop.settings.pbx.identity and shop.line.listening
            if leaves and shop.line.calls:
                if account.id not in self._reopening:
                    log.info(
                        "the other PBX is taken when the calls in progress have ended", account=account.id
                    )
                self._reopening.add(account.id)
                return
            self._absent.add(account.id)
            await self.shops.pop(account.id).stop(DRAIN_SECONDS if leaves else None)
            log.info("account changed", account=account.id)
        if not await self._may_open(account, passages):
            self._absent.add(account.id)
            return
        self._reopening.discard(account.id)
        figures.know(account.id)
        before = shop.settings if shop is not None else account
        shop = Shop(
            account,
            self.redis,
            self._holding.lease(account.id),
            passages.crms.session,
            self.recordings,
            self.settings.recordings_url,
            self.pace_of(account.crm.api_key.get_secret_value()),
            self._clock,
            passages.to(account.pbx.guarded),
            self.changes_of(account.id),
            Mark(
                account.pbx.stasis_app,
                await self.installation(),
                self.public_url,
                self._holding.lease(account.id).epoch,
            ),
            click_limits=_click_limits(self.settings),
            bounds=_bounds(self.settings),
            outside=passages.others,
            mail_server=self.mail_server,
            cabinet_url=self.public_url,
        )
        await shop.open()
        if not self._holding.lease(account.id).held:  # lost meanwhile
            shop.let_go()
            await shop.close()
            self._absent.add(account.id)
            return
        shop.notes.take_change(before, account)
        self.shops[account.id] = shop  # only now: one that Redis kept from being opened is opened later
        self._sharing.changed()
        self._absent.discard(account.id)
        self.changes_of(account.id).note()
        await shop.reread_activity()

    async def _may_open(self, account: Account, passages: Passages) -> bool:
        """Take the account, if it is nobody else's."""
        if account.id in self._closing:
            return False
        return await self._holding.take(account, passages)

    def _lost(self, account: str) -> None:
        """Let an account go, at once: another copy has it."""
        figures.LEASES_LOST.labels(account).inc()
        shop = self._take_out(account)
        if shop is None:
            return
        shop.let_go()
        if shop.line.pbx.state is PbxState.REPLACED:
            self._holding.rest(account)

        async def close() -> None:
            await self._holding.leave(account)
            await shop.close()

        self._close(account, close())
        task = asyncio.create_task(self._hand_in(account, shop), name=f"{account} handed in")
        self._handing_in.add(task)
        task.add_done_callback(self._handing_in.discard)

    async def _hand_in(self, account: str, shop: Shop) -> None:
        """Hand in what the next holder can't know, as soon as Redis can be reached."""
        until = asyncio.get_running_loop().time() + HAND_IN_SECONDS
        while account in self._known and asyncio.get_running_loop().time() < until:
            try:
                await hand_in(account, shop.ledger, shop.calls)
            except StoreUnavailable:
                await asyncio.sleep(HAND_IN_RETRY_SECONDS)
            else:
                return

    def _shut(self) -> None:
        for shop in list(self.shops.values()):
            shop.events.shut()

    async def _stop(self) -> None:
        self._sharing.close()
        await asyncio.gather(*(self._end(account, shop) for account, shop in tuple(self.shops.items())))
        await asyncio.gather(*self._closing.values(), return_exceptions=True)
        for task in self._handing_in:
            task.cancel()

    async def _end(self, account: str, shop: Shop) -> None:
        """Hand an account over to a copy that waits for it; without one, send on the callers who wait."""
        heir = await self._holding.wanted(account)
        if heir is not None:
            heir = heir if await self._comes(account, heir) else ""
            log.info("the account is handed over", account=account)
            self._take_out(account)
            await shop.hand_over(heir)
            return
        await shop.stop(DRAIN_SECONDS)
        await shop.unmark()
        await self._holding.leave(account)

    async def _comes(self, account: str, heir: str) -> bool:
        """Have a copy stand ready to take an account over: then nobody's ears are missing for long."""
        for _ in range(COMES_LOOKS):
            if await self._holding.name_heir(account, heir):
                return True
            await asyncio.sleep(COMES_SECONDS / COMES_LOOKS)
        return False


class _NotOpened(Exception):
    """An account can't be opened now."""

    def __init__(self, account: str, problem: Exception) -> None:
        why = str(problem) if isinstance(problem, StoreUnavailable) else type(problem).__name__
        super().__init__(f"{account} can't be opened: {why}")
        self.__cause__ = problem


def _click_limits(settings: Settings) -> ClickLimits:
    return ClickLimits(
        settings.clicks_extension_a_minute,
        settings.clicks_a_minute,
        settings.clicks_a_day,
        settings.clicks_ringing,
    )


def _bounds(settings: Settings) -> Bounds:
    return Bounds(
        settings.ledger_mb * 10**6,
        settings.live_calls,
        settings.events_a_second,
        settings.reports_a_second,
        settings.written_mb * 10**6,
    )


def _same_connections(one: Account, other: Account) -> bool:
    return one.pbx == other.pbx and one.crm.connection == other.crm.connection
