"""Which managers are free and which are away, as the CRM says: by its callback, and by its list of users."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from ari_app.accounts.current import Current
from ari_app.backoff import BackOff
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import User, UsersPage
from ari_app.retailcrm.errors import CrmError
from ari_app.store.statuses import Status, StatusStore

log = structlog.get_logger(__name__)

AWAY = frozenset({"busy", "dinner", "break"})
WORDS = AWAY | {"free"}

EVERY_SECONDS = 180.0
FIRST_RETRY_SECONDS = 5.0
"""After a failed answer; each further one doubles it, up to `EVERY_SECONDS`."""
STORE_RETRY_SECONDS = 2.0
USERS_A_PAGE = 100
MOST_PAGES = 100


class Users(Protocol):
    """The part of the CRM that is asked."""

    async def users(self, page: int = 1, limit: int = 100) -> UsersPage:
        """Give a page of the CRM's active users."""
        ...


class Statuses:
    """The managers' states of one account, by extension; `clock` is Unix time."""

    def __init__(self, current: Current, store: StatusStore, crm: Users, clock: Callable[[], float]) -> None:
        self._current = current
        self._store = store
        self._crm = crm
        self._clock = clock
        self._known: dict[str, Status] = {}
        self._away: frozenset[str] = frozenset()
        """Those of them who are away: each step of a call asks."""
        self._unwritten: dict[str, Status] = {}
        self._to_write = asyncio.Event()
        self._to_ask = asyncio.Event()
        self._said: set[str] = set()
        """The extensions that the CRM's callback spoke of while a page of users was on its way."""
        self._log = log.bind(account=current.account.id)

    @property
    def away(self) -> frozenset[str]:
        """The extensions whose managers are busy, at dinner or on a break."""
        return self._away & self._current.account.codes

    def is_away(self, code: str) -> bool:
        """Tell whether the manager with an extension is busy, at dinner or on a break."""
        known = self._known.get(code)
        return known is not None and known.status in AWAY

    def word_of(self, code: str) -> str | None:
        """Give what the CRM says of the manager with an extension: free, busy, dinner or break."""
        known = self._known.get(code)
        return known.status if known is not None else None

    def set(self, code: str, status: str, at: float) -> None:
        """Take what the CRM's callback says; it is kept in Redis soon, or when Redis is back."""
        self._said.add(code)
        self._take(code, Status(status, at))

    def account_changed(self) -> None:
        """Ask the CRM again soon: other extensions, or other people at them."""
        self._to_ask.set()

    async def load(self) -> None:
        """Take up what was known when the service ended.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        self._known = await self._store.load() | self._known
        self._away = frozenset(filter(self.is_away, self._known))

    async def run(self) -> None:
        """Follow the CRM's users, and keep what is known, for ever."""
        async with asyncio.TaskGroup() as work:
            work.create_task(self._follow())
            work.create_task(self._keep())

    def _take(self, code: str, status: Status) -> None:
        self._known[code] = self._unwritten[code] = status
        self._away = self._away | {code} if self.is_away(code) else self._away - {code}
        self._to_write.set()

    # -- the CRM's list of users --------------------------------------------------------------------------

    async def _follow(self) -> None:
        trouble, back_off = False, BackOff(FIRST_RETRY_SECONDS, EVERY_SECONDS)
        while True:
            self._to_ask.clear()
            try:
                await self._ask()
            except CrmError as error:
                if not trouble:
                    self._log.warning("the CRM doesn't say who is free", problem=str(error))
                trouble, pause = True, back_off.pause()
            else:
                if trouble:
                    self._log.info("the CRM says again who is free")
                trouble, pause = False, EVERY_SECONDS
                back_off.well()
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._to_ask.wait()
        except TimeoutError:
            pass

    async def _ask(self) -> None:
        """Take what each page says as it comes, so that a failure loses only what was still to come."""
        page = pages = 1
        while page <= min(pages, MOST_PAGES):
            self._said.clear()
            answer = await self._crm.users(page, USERS_A_PAGE)
            for user in answer.users:
                self._take_user(user)
            page, pages = page + 1, answer.pages

    def _take_user(self, user: User) -> None:
        code = self._current.account.code_of_user(user.id)
        if not user.active or user.status not in WORDS or code is None or code in self._said:
            return
        known = self._known.get(code)
        if known is None or known.status != user.status:
            self._take(code, Status(user.status, self._clock()))

    # -- Redis --------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Write what is new. Redis' absence is told by the ledger; here it only means later."""
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            batch, self._unwritten = self._unwritten, {}
            try:
                await self._store.keep(batch)
            except StoreUnavailable:
                self._unwritten = batch | self._unwritten
                self._to_write.set()
                await asyncio.sleep(STORE_RETRY_SECONDS)
