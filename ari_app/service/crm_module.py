"""What the CRM is told of our module, and what people entered there: extensions, numbers, addresses.

Whoever changes what the CRM should know calls `Informing.inform_soon` afterwards; a CRM that doesn't answer
is told in the background as soon as it does.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import aiohttp
import structlog

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.extensions import Merged, merge, with_everybody
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.errors import CrmError
from ari_app.retailcrm.module import MODULE_CODE
from ari_app.retailcrm.pace import Pace
from ari_app.retailcrm.registration import IntegrationModule, describe
from ari_app.service.changes import Changes
from ari_app.store.accounts import Accounts, WrongSecretKey
from ari_app.store.connection import Redis
from ari_app.store.staff import StaffStore, untold_of

log = structlog.get_logger(__name__)

WAIT_SECONDS = 4.0
"""How long a page waits for the CRM; the telling goes on behind it."""
RETRY_SECONDS = 20.0
AT_ONCE = 8
"""So many CRMs are told at a time: one that is silent keeps no others waiting."""


class Serving(Protocol):
    """The part of the service that knows what the CRMs are told."""

    accounts: Accounts
    redis: Redis
    public_url: str
    pace_of: Callable[[str], Pace]

    def changes_of(self, account: str) -> Changes:
        """Give what wakes those who show an account."""
        ...

    async def switch_telephony(self, account: str, on: bool | None, frozen: bool | None = None) -> None:
        """Take note of whether the CRM of an account has the module switched on, and whether it froze it."""
        ...


def crm_of(service: Serving, session: aiohttp.ClientSession, account: RegisteredAccount) -> RetailCrm:
    """Give the account's CRM."""
    key = account.crm.api_key.get_secret_value()
    return RetailCrm(session, account.crm.url, key, service.pace_of(key))


async def register(
    service: Serving, crm: RetailCrm, account: RegisteredAccount
) -> tuple[RegisteredAccount, Merged]:
    """Take over the extensions that were entered in the CRM, and tell it of us.

    Whether telephony is on there is read, too, and not changed: it might not have reached us. Give the
    account as it is then, and what was taken.

    Raises:
        CrmError: the CRM doesn't take it.
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    store = StaffStore(service.redis, account.id)
    there = await crm.module(MODULE_CODE)
    on, frozen = (there.active, there.frozen) if there is not None else (True, False)
    await service.switch_telephony(account.id, on, frozen)
    changes, told = await store.changes(), await store.told_codes()
    merged = Merged(account.extensions)

    def take(now: RegisteredAccount) -> RegisteredAccount:
        nonlocal merged
        merged = merge(now.extensions, there.codes if there else {}, told)
        if not merged.taken:
            return now
        return with_everybody(now, now.altered(extensions=merged.extensions))

    take(account)
    if merged.taken:
        account = await service.accounts.change(account.id, take) or account
    codes = {one.user_id: one.code for one in account.extensions}
    unknown = await crm.edit_module(_description(service, account, active=there.active if there else True))
    await store.told(changes, codes, _digest(service, account))
    if unknown.users or unknown.sites:
        log.warning(
            "the CRM doesn't know all that it was told",
            account=account.id,
            users=unknown.users,
            sites=unknown.sites,
        )
    return account, merged


def _description(service: Serving, account: RegisteredAccount, active: bool) -> IntegrationModule:
    assert account.crm.cabinet_secret is not None
    return describe(
        service.public_url,
        account.crm.client_id.get_secret_value(),
        account.crm.cabinet_secret.get_secret_value(),
        {one.user_id: one.code for one in account.extensions},
        {phone.number: phone.site for phone in account.external_phones if phone.site},
        active=active,
    )


def _digest(service: Serving, account: RegisteredAccount) -> str:
    """Give what stands for all that the CRM is told of an account, by this version of ours."""
    told = _description(service, account, active=True).model_dump_json()
    return hashlib.sha256(told.encode()).hexdigest()


class Informing:
    """Keeps the CRMs of all accounts informed: one telling at a time for each, the newest settings last."""

    def __init__(self, service: Serving) -> None:
        self._service = service
        self._session: aiohttp.ClientSession | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[bool]] = set()
        self._unregistered: set[str] = set()
        """Accounts of which nobody has signed in: their CRMs don't know of us."""

    def crm(self, account: RegisteredAccount) -> RetailCrm:
        """Give the account's CRM, to be asked."""
        assert self._session is not None, "the service isn't running"
        return crm_of(self._service, self._session, account)

    async def inform(self, account_id: str) -> Merged | None:
        """Tell the CRM of an account as it is stored now; None when there is no such account.

        Raises:
            CrmError: the CRM doesn't take it.
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        async with self._locks.setdefault(account_id, asyncio.Lock()):
            account = await self._service.accounts.find(account_id)
            if account is None:
                return None
            return (await register(self._service, self.crm(account), account))[1]

    async def inform_soon(self, account_id: str) -> bool:
        """Tell the CRM of a change that is stored; say whether it knows it by now. Else it is told later.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        await StaffStore(self._service.redis, account_id).changed()
        task = asyncio.create_task(self._try(account_id), name=f"telling the CRM of {account_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        done, _ = await asyncio.wait({task}, timeout=WAIT_SECONDS)
        return bool(done) and task.result()

    async def retry(self) -> None:
        """Tell what couldn't be told before, and what another version of ours or the command line changed."""
        turns = asyncio.Semaphore(AT_ONCE)
        accounts = await self._service.accounts.registered()
        found = await untold_of(self._service.redis, [account.id for account in accounts])
        due = [
            self._inform_if_needed(account, *untold, turns)
            for account, untold in zip(accounts, found, strict=True)
            if untold is not None and (untold != (False, None) or account.id not in self._unregistered)
        ]
        await asyncio.gather(*due)

    async def _inform_if_needed(
        self, account: RegisteredAccount, to_tell: bool, told: str | None, turns: asyncio.Semaphore
    ) -> None:
        async with turns:
            try:
                if to_tell or await self._differs(account, told):
                    await self._try(account.id)
            except Exception:  # the other accounts are told all the same
                log.exception("the CRM can't be told", account=account.id)

    async def _differs(self, account: RegisteredAccount, told: str | None) -> bool:
        """Say whether the CRM knows us otherwise than we are. One that doesn't know us isn't told."""
        secret = account.crm.cabinet_secret
        if secret is None:
            return False
        if told is not None:
            return told != _digest(self._service, account)
        try:
            there = await self.crm(account).module(MODULE_CODE)
        except CrmError as problem:
            log.warning("the CRM can't be asked for our module", account=account.id, problem=str(problem))
            return False
        if there is not None and secret.get_secret_value() in (there.account_url or ""):
            return True
        self._unregistered.add(account.id)
        return False

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Keep the CRMs informed until left."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._session = session
            following = asyncio.create_task(self._follow(), name="telling CRMs what they don't know yet")
            try:
                yield
            finally:
                tasks = [following, *self._tasks]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(self, account_id: str) -> bool:
        try:
            await self.inform(account_id)
        except (CrmError, StoreUnavailable) as problem:
            log.warning("the CRM isn't told of a change yet", account=account_id, problem=str(problem))
            return False
        except Exception:  # told again later, as when the CRM is away
            log.exception("the CRM can't be told", account=account_id)
            return False
        return True

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            with suppress(StoreUnavailable, WrongSecretKey):
                await self.retry()
