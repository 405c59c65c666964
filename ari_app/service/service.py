"""The composition root: builds, starts and stops everything."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from functools import lru_cache

import structlog

from ari_app.accounts.account import Account
from ari_app.asterisk.pbx import PbxState
from ari_app.asterisk.recordings import RecordingStore
from ari_app.errors import StoreUnavailable
from ari_app.reach import ANYWHERE, Passages, Reach, passage
from ari_app.retailcrm.pace import Pace
from ari_app.service.changes import Changes
from ari_app.service.click_to_call import ClickLimits
from ari_app.service.crm_module import Informing
from ari_app.service.crm_sites import Sites
from ari_app.service.retention import Keeping
from ari_app.service.shop import Bounds, Shop
from ari_app.service.synchronising import Synchronising
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts, WrongSecretKey
from ari_app.store.connection import Redis, check_persistence
from ari_app.store.leases import Holder
from ari_app.store.module import ModuleStore

log = structlog.get_logger(__name__)

REVISION_SECONDS = 0.5
"""How often the accounts are looked at for changes."""
DRAIN_SECONDS = 5.0


class Service:
    """All accounts at work."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        secret_key: str,
        holder_id: str,
        pace: Callable[[], Pace] = Pace,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.shops: dict[str, Shop] = {}
        self.recordings = RecordingStore(settings.data_dir / "recordings", secret_key)
        self.redis = redis
        self.public_url = settings.public_url
        """Where the CRM, people and PBXs reach us."""
        self.settings = settings
        self.accounts = Accounts(redis, secret_key)
        self._secret_key = secret_key
        self._holder = Holder(redis, holder_id)
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
        )
        self._revision = -1
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
    def settled(self) -> bool:
        """Whether an account that isn't in `shops` isn't there: none is just being opened anew."""
        return self.loaded.is_set() and not self._absent

    @property
    def ready(self) -> bool:
        """Whether every PBX that we should hold is connected, or known to be unreachable."""
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

    def changes_of(self, account: str) -> Changes:
        """Give what wakes those who show an account, whether it is at work or not."""
        return self._changes.setdefault(account, Changes())

    def key_for(self, purpose: str) -> bytes:
        """Derive a key from the secret one, another for each purpose."""
        return hmac.digest(self._secret_key.encode(), purpose.encode(), "sha256")

    async def run(self) -> None:
        """Work until cancelled; then send on the callers who wait, and end."""
        async with self.informing.at_work(), self.synchronising.at_work():
            await self._run()

    async def _run(self) -> None:
        await self._holder.take()
        holding = asyncio.create_task(self._holder.keep(), name="holder")
        keeping = asyncio.create_task(self._keeping.run(), name="keeping")
        problem = await check_persistence(self.redis)
        if problem:
            log.warning(problem)
        async with passage(ANYWHERE) as operators, passage(Reach(self.settings.pbx_networks)) as others:
            try:
                await self._follow_accounts(Passages(operators, others))
            finally:
                await asyncio.shield(self._stop())
                holding.cancel()
                keeping.cancel()
                await asyncio.gather(holding, keeping, return_exceptions=True)
                await self._holder.leave()

    async def _follow_accounts(self, passages: Passages) -> None:
        trouble: str | None = None
        while True:
            try:
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
            await asyncio.sleep(REVISION_SECONDS)

    async def _take_changes(self, passages: Passages) -> None:
        revision = await self.accounts.revision()
        if revision == self._revision and not self._reopening:
            return
        accounts = {account.id: account for account in await self.accounts.all()}
        self._absent &= accounts.keys()
        for gone in self.shops.keys() - accounts.keys():
            log.info("account removed", account=gone)
            await self.shops.pop(gone).stop(drain_seconds=None)
            self.changes_of(gone).note()
        problem: Exception | None = None
        for account in accounts.values():
            try:
                await self._take_account(account, passages)
            except Exception as error:  # what is wrong with one keeps no other closed
                problem = problem or _NotOpened(account.id, error)
        if problem is not None:
            raise problem  # they are all looked at again
        self._revision = revision
        self.loaded.set()

    async def _take_account(self, account: Account, passages: Passages) -> None:
        shop = self.shops.get(account.id)
        if shop is not None and shop.settings == account:
            return
        if shop is not None and _same_connections(account, shop.settings):
            shop.change(account)
            log.info("account changed", account=account.id)
            return
        if shop is not None:
            if account.pbx.identity != shop.settings.pbx.identity and shop.line.listening and shop.line.calls:
                if account.id not in self._reopening:
                    log.info(
                        "the other PBX is taken when the calls in progress have ended", account=account.id
                    )
                self._reopening.add(account.id)
                return
            self._absent.add(account.id)
            await self.shops.pop(account.id).stop(drain_seconds=None)
            log.info("account changed", account=account.id)
        self._reopening.discard(account.id)
        before = shop.settings if shop is not None else account
        shop = Shop(
            account,
            self.redis,
            passages.operators.session,
            self.recordings,
            self.settings.recordings_url,
            self.pace_of(account.crm.api_key.get_secret_value()),
            self._clock,
            passages.to(account.pbx.guarded),
            self.changes_of(account.id),
            _click_limits(self.settings),
            Bounds(self.settings.ledger_mb * 10**6, self.settings.live_calls),
        )
        await shop.open()
        shop.notes.take_change(before, account)
        self.shops[account.id] = shop  # only now: one that Redis kept from being opened is opened later
        self._absent.discard(account.id)
        self.changes_of(account.id).note()
        await shop.reread_activity()

    async def _stop(self) -> None:
        await asyncio.gather(*(shop.stop(DRAIN_SECONDS) for shop in self.shops.values()))


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


def _same_connections(one: Account, other: Account) -> bool:
    return one.pbx == other.pbx and one.crm.connection == other.crm.connection
