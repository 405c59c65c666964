"""What is different during one call of the demo, and as before after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from ari_app.demo.crm.faults import Silent
from ari_app.demo.show.people import USER_IDS
from ari_app.demo.show.theatre import DemoFailed, Theatre

Remark = Callable[[str], None]
"""Tells the audience what can't be seen in the call's own journal."""


class Circumstance(Protocol):
    """Something that isn't as usual."""

    def during(self, theatre: Theatre, remark: Remark) -> AbstractAsyncContextManager[None]:
        """Make it so; it is as usual again when the context is left."""
        ...


@dataclass(frozen=True, slots=True)
class AsUsual:
    """Nothing is different."""

    @asynccontextmanager
    async def during(self, theatre: Theatre, remark: Remark) -> AsyncIterator[None]:
        """See `Circumstance`."""
        yield


@dataclass(frozen=True, slots=True)
class CrmIsSilent:
    """The CRM never answers the question who calls."""

    @asynccontextmanager
    async def during(self, theatre: Theatre, remark: Remark) -> AsyncIterator[None]:
        """See `Circumstance`."""
        theatre.crm_account.fault(Silent(), route="manager")
        try:
            yield
        finally:
            theatre.crm_account.heal()


@dataclass(frozen=True, slots=True)
class AtDinner:
    """A manager has gone to dinner and told the CRM, which tells the service."""

    code: str

    @asynccontextmanager
    async def during(self, theatre: Theatre, remark: Remark) -> AsyncIterator[None]:
        """See `Circumstance`."""
        await self._tell(theatre, "dinner")
        remark(f"the CRM says that {self.code} is at dinner")
        try:
            yield
        finally:
            await self._tell(theatre, "free")
            remark(f"the CRM says that {self.code} is free again")

    async def _tell(self, theatre: Theatre, status: str) -> None:
        answer = await theatre.crm_account.change_status(
            theatre.settings.public_url,
            theatre.client_id,
            status,
            code=self.code,
            user_id=USER_IDS[self.code],
        )
        if answer.status != 200:
            raise DemoFailed(f"the service answered {answer.status} to the CRM: {answer.body}")


@dataclass(frozen=True, slots=True)
class WithoutAri:
    """ARI is switched off in Asterisk's configuration; AJAM works."""

    @asynccontextmanager
    async def during(self, theatre: Theatre, remark: Remark) -> AsyncIterator[None]:
        """See `Circumstance`."""
        asterisk = theatre.lab.asterisk
        await asterisk.switch_ari(False)
        try:
            await theatre.until(lambda: not theatre.listening, "the service did not lose ARI")
            remark("ARI is switched off in Asterisk: only AJAM is left")
            yield
        finally:
            await asterisk.switch_ari(True)
        await theatre.until_listening()
        remark("ARI is switched on again, and the service has found it")
