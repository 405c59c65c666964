"""«Синхронизировать пользователей»: reads the CRM's users in the background, one reading an account."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import structlog

from ari_app.accounts.staff import Synchronisation, compare
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import RetailCrm, User
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmLimited, CrmRefused
from ari_app.service.crm_module import Informing, Serving
from ari_app.store.staff import StaffStore

log = structlog.get_logger(__name__)

USERS_A_PAGE = 100
MOST_PAGES = 200


class NoUsers(Exception):
    """The CRM names nobody at all: that can't be, since somebody made the key."""


class TooManyUsers(Exception):
    """The CRM names more pages than anybody has users."""


class Synchronising:
    """The synchronisations that are under way. What is known stays untouched until all pages have come."""

    def __init__(self, service: Serving, informing: Informing) -> None:
        self._informing = informing
        self._service = service
        self._running: dict[str, asyncio.Task[None] | None] = {}

    async def begin(self, account_id: str, *, inform: bool = True) -> None:
        """Begin, unless it is under way. Without `inform` only people are read, and no extensions merged.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        if account_id in self._running:
            return
        self._running[account_id] = None
        how = Synchronisation(time.time())
        try:
            await StaffStore(self._service.redis, account_id).note(how)
        except StoreUnavailable:
            del self._running[account_id]
            raise
        self._running[account_id] = asyncio.create_task(
            self._carry_out(account_id, how, inform), name=f"synchronising the users of {account_id}"
        )

    async def begin_first(self, account_id: str) -> None:
        """Begin, if it was never begun: in a new account the administrator finds the employees by name.

        Extensions were merged a moment ago, when the module was registered.
        """
        with suppress(StoreUnavailable):  # it can be begun by hand
            if await StaffStore(self._service.redis, account_id).synchronisation() is None:
                await self.begin(account_id, inform=False)

    async def of(self, account_id: str) -> Synchronisation | None:
        """Say how it goes or went. One that isn't under way and never ended was cut off by a restart.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        known = await StaffStore(self._service.redis, account_id).synchronisation()
        if known is not None and known.ended_at is None and account_id not in self._running:
            return replace(known, ended_at=known.began_at, problem="stopped")
        return known

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """End what is under way when left."""
        try:
            yield
        finally:
            tasks = [task for task in self._running.values() if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry_out(self, account_id: str, how: Synchronisation, inform: bool) -> None:
        store = StaffStore(self._service.redis, account_id)
        try:
            how = await self._synchronise(account_id, store, how)
            how = await self._compare_extensions(account_id, store, how) if inform else how
        except StoreUnavailable as problem:
            how = replace(how, problem="store", detail=str(problem))
        except Exception:  # the page says that it is our mistake
            log.exception("a synchronisation failed", account=account_id)
            how = replace(how, problem="mistake")
        try:
            await store.note(replace(how, ended_at=time.time()))
        except StoreUnavailable as problem:
            log.warning("how a synchronisation went can't be kept", account=account_id, problem=str(problem))
        finally:
            self._running.pop(account_id, None)

    async def _synchronise(self, account_id: str, store: StaffStore, how: Synchronisation) -> Synchronisation:
        account = await self._service.accounts.find(account_id)
        if account is None:
            return replace(how, problem="stopped")
        users: dict[int, User] = {}
        crm = self._informing.crm(account)
        try:
            async for page, pages, found in _pages(crm):
                users |= {user.id: user for user in found}
                how = replace(how, page=page, pages=pages)
                await store.note(how)
        except (CrmError, NoUsers, TooManyUsers) as problem:
            log.warning("the users can't be synchronised", account=account_id, problem=str(problem))
            return replace(how, problem=_word(problem), detail=str(problem))
        people = compare(await store.people(), users.values())
        await store.keep(people.values())
        self._service.changes_of(account_id).note()
        there = [one for one in people.values() if not one.left]
        return replace(
            how,
            users=len(there),
            new=sum(one.new for one in there),
            left=len(people) - len(there),
            blocked=sum(not one.active for one in there),
        )

    async def _compare_extensions(
        self, account_id: str, store: StaffStore, how: Synchronisation
    ) -> Synchronisation:
        if how.problem:
            return how
        try:
            merged = await self._informing.inform(account_id)
        except CrmError as problem:
            await store.changed()
            return replace(how, untold=str(problem))
        if merged is None:
            return how
        return replace(how, taken=len(merged.taken), conflicts=merged.conflicts)


async def _pages(crm: RetailCrm) -> AsyncIterator[tuple[int, int, tuple[User, ...]]]:
    """Read all users, also the blocked ones: give the page's number, how many there are, and its users."""
    anybody = False
    page = pages = 1
    while page <= pages:
        answer = await crm.users(page, USERS_A_PAGE, everybody=True)
        anybody = anybody or bool(answer.users)
        pages = answer.pages
        if not anybody:
            raise NoUsers("the CRM names no users")
        if pages > MOST_PAGES:
            raise TooManyUsers(f"the CRM names {pages} pages of users")
        yield page, pages, answer.users
        page += 1


def _word(problem: Exception) -> str:
    match problem:
        case NoUsers():
            return "empty"
        case TooManyUsers():
            return "many"
        case CrmDenied():
            return "denied"
        case CrmLimited():
            return "limited"
        case CrmRefused():
            return "refused"
        case _:
            return "silent"
