"""The CRM's shops (sites): asked for now and then, and kept, so that they are known while the CRM is away."""

from __future__ import annotations

import asyncio
import time

import structlog

from ari_app.accounts.account import RegisteredAccount
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.errors import CrmError
from ari_app.service.crm_module import Informing
from ari_app.store.staff import StaffStore

log = structlog.get_logger(__name__)

FRESH_SECONDS = 60.0
"""How long what the CRM said is not asked for again."""
WAIT_SECONDS = 2.0


class Sites:
    """The shops of all accounts' CRMs."""

    def __init__(self, informing: Informing) -> None:
        self._informing = informing
        self._asked: dict[str, float] = {}

    async def of(self, account: RegisteredAccount, store: StaffStore) -> tuple[dict[str, str], bool]:
        """Give the shops' names by their codes, and whether the CRM said so just now.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        known = await store.sites()
        asked = self._asked.get(account.id)
        if known and asked is not None and time.monotonic() - asked < FRESH_SECONDS:
            return known, True
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                said = await self._informing.crm(account).sites()
        except (CrmError, TimeoutError) as problem:
            log.info("the CRM doesn't name its shops", account=account.id, problem=str(problem))
            return known, False
        if not said:
            return known, False
        sites = {site.code: site.name for site in said}
        try:
            await store.keep_sites(sites)
        except StoreUnavailable:
            return sites, True
        self._asked[account.id] = time.monotonic()
        return sites, True
