"""What is asked of the CRM though no call needs it: whether it answers, and its time zone."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from zoneinfo import ZoneInfo

import structlog

from ari_app.accounts.current import Current
from ari_app.clock import rest, rest_until
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.errors import CrmError
from ari_app.store.module import ModuleStore

log = structlog.get_logger(__name__)

CRM_SILENT_SECONDS, CRM_FIRST_SECONDS = 40.0, 5.0
"""After how long without a question the CRM is asked whether it answers, and how long after we have begun."""
ZONE_SECONDS = 3600.0
ZONE_RETRY_SECONDS = 60.0


class CrmWatch:
    """Of one account's CRM."""

    def __init__(self, crm: RetailCrm, current: Current, module: ModuleStore) -> None:
        self._crm = crm
        self._current = current
        self._module = module
        self._log = log.bind(account=current.account.id)

    async def ask_when_silent(self) -> None:
        """Find out within a minute whether the CRM answers, while nobody asks it anything."""
        asked = -math.inf

        def is_silent() -> bool:  # one that is asked too much says nothing, and is asked no more often
            rested = time.monotonic() - asked >= CRM_SILENT_SECONDS
            return rested and self._crm.health.silent_for(CRM_SILENT_SECONDS)

        await rest(CRM_FIRST_SECONDS)
        while True:
            await rest_until(is_silent)
            asked = time.monotonic()
            with suppress(CrmError):
                await self._crm.credentials()

    async def follow_zone(self) -> None:
        """The CRM's own time zone wins, when it can be read."""
        while True:
            try:
                name = await self._crm.timezone()
                if name:
                    self._current.take_zone(ZoneInfo(name))
                    with suppress(StoreUnavailable):
                        await self._module.keep_zone(name)
                pause = ZONE_SECONDS
            except CrmError:
                pause = ZONE_RETRY_SECONDS
            except (ValueError, LookupError, OSError):
                self._log.warning("the CRM names a time zone that is not known here", zone=name)
                pause = ZONE_SECONDS
            await asyncio.sleep(pause)
