"""Which accounts this copy of the service holds: it takes those that are nobody's, and keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog

from ari_app import figures
from ari_app.accounts.account import Account
from ari_app.asterisk.ari import AriTransport
from ari_app.asterisk.errors import PbxError
from ari_app.backoff import BackOff
from ari_app.errors import StoreUnavailable
from ari_app.network.reach import Passages
from ari_app.store.connection import Redis
from ari_app.store.leases import (
    RENEW_SECONDS,
    Held,
    Lease,
    Precedence,
    awake,
    installation,
    renew_soon,
)

log = structlog.get_logger(__name__)

PROBE_SECONDS = 2.0
"""How long a PBX may take to answer a copy that might take it."""
FIRST_PROBE_SECONDS, LAST_PROBE_SECONDS = 0.5, 15.0
"""How long one is left alone that did not."""
REACHED_SECONDS = 1.0
"""How long one that did is believed to do so, while its account is handed over to us."""
FIRST_REST_SECONDS, LAST_REST_SECONDS = 1.0, 30.0
"""How long an account is left alone whose PBX somebody has taken who holds no lease."""
QUIET_SECONDS = 120.0
SHORTEST_PAUSE = 0.05


@dataclass
class _Claim:
    lease: Lease
    rests: BackOff = field(default_factory=lambda: BackOff(FIRST_REST_SECONDS, LAST_REST_SECONDS))
    rests_until: float = 0.0
    probes: BackOff = field(default_factory=lambda: BackOff(FIRST_PROBE_SECONDS, LAST_PROBE_SECONDS))
    probe_at: float = 0.0
    reached_until: float = 0.0
    other: str | None = None
    """Who has it, when that was said in the log."""
    free_at: float | None = None


class Holding:
    """The leases of one copy. `lost` is called, and must not wait, when an account is another's."""

    def __init__(self, redis: Redis, holder: str, address: str, lost: Callable[[str], None]) -> None:
        self._redis = redis
        self._holder = holder
        self._address = address
        self._lost = lost
        self._claims: dict[str, _Claim] = {}
        self._precedence = Precedence()
        self._installation: str | None = None
        self._keeping: asyncio.Task[None] | None = None

    def lease(self, account: str) -> Lease:
        """Give an account's lease, ours or not."""
        return self._claim(account).lease

    async def installation(self) -> str:
        """Give the name by which PBXs know all copies on this Redis.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        if self._installation is None:
            self._installation = await installation(self._redis)
        return self._installation

    @contextmanager
    def noting_outages(self) -> Iterator[None]:
        """Note that Redis doesn't do what it is asked: after an outage the last holders come first."""
        try:
            yield
        except StoreUnavailable:
            self._precedence.away()
            raise

    async def take(self, account: Account, passages: Passages) -> bool:
        """Take an account unless it is another copy's; tell whether it is ours.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        claim = self._claim(account.id)
        claim.free_at = None
        lease = claim.lease
        if lease.held:
            return True
        if awake() < claim.rests_until:
            return False
        with self.noting_outages():  # it may be read, and not be written
            held = await lease.take(patient=self._precedence.theirs)
        self._precedence.answers()
        if held is not None and (held.offered or held.promised) and awake() >= claim.probe_at:
            if (held.promised and awake() < claim.reached_until) or await _reaches(account, passages):
                claim.reached_until = awake() + REACHED_SECONDS
                held = await lease.take(able=True)
            else:
                claim.probe_at = awake() + claim.probes.pause()
        elif held is not None and not (held.offered or held.promised):
            claim.probes.well()
        if held is not None:
            self._note(account.id, claim, held)
            return False
        figures.LEASES_TAKEN.labels(account.id).inc()
        log.info("the account is ours", account=account.id, epoch=lease.epoch)
        claim.other = None
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep(), name="leases are kept")
        return True

    async def _keep(self) -> None:
        """Renew our leases, all together, until we hold none."""
        while held := [claim.lease for claim in self._claims.values() if claim.lease.held]:
            renew_soon(held)
            await asyncio.sleep(RENEW_SECONDS)

    def soonest(self) -> float:
        """Say in how many seconds the next lease of another copy is over if it isn't renewed."""
        free = (claim.free_at for claim in self._claims.values() if claim.free_at is not None)
        return max(SHORTEST_PAUSE, min(free, default=1e9) - awake())

    def rest(self, account: str) -> None:
        """Leave an account alone for a while: somebody who holds no lease may have taken its PBX."""
        claim = self._claim(account)
        if awake() - claim.rests_until > QUIET_SECONDS:
            claim.rests.well()
        claim.rests_until = awake() + claim.rests.pause()

    async def wanted(self, account: str) -> str | None:
        """Name a copy that waits for an account of ours; None when there is none."""
        with suppress(StoreUnavailable):
            return await self._claim(account).lease.wanted()
        return None

    async def name_heir(self, account: str, heir: str) -> bool:
        """Promise an account of ours to another copy; tell whether that one waits and reaches the PBX."""
        with suppress(StoreUnavailable):
            return await self._claim(account).lease.name_heir(heir)
        return False

    async def leave(self, account: str) -> None:
        """Give an account back, if it is ours still; while Redis is away its lease runs out."""
        with suppress(StoreUnavailable):
            await self._claim(account).lease.leave()

    def lose_all(self) -> None:
        """Let all accounts go, and take them again by their leases."""
        for claim in self._claims.values():
            claim.lease.lose("the service stood still")

    def _claim(self, account: str) -> _Claim:
        claim = self._claims.get(account)
        if claim is None:
            lease = Lease(self._redis, account, self._holder, self._address)
            lease.on_loss = lambda: self._lost(account)
            claim = self._claims[account] = _Claim(lease)
        return claim

    def _note(self, account: str, claim: _Claim, held: Held) -> None:
        claim.free_at = awake() + (0.0 if held.promised else held.seconds) + SHORTEST_PAUSE
        if held.holder and claim.other != held.holder:
            claim.other = held.holder
            log.info("another copy holds the account", account=account, address=held.address)


async def _reaches(account: Account, passages: Passages) -> bool:
    """Tell whether the PBX of an account answers us."""
    pbx = account.pbx
    session = passages.to(pbx.guarded).session
    transport = AriTransport(session, pbx.ari_url, pbx.ari_username, pbx.ari_password.get_secret_value())
    with suppress(PbxError, TimeoutError):
        async with asyncio.timeout(PROBE_SECONDS):
            await transport.request("GET", "/ari/asterisk/info", params={"only": "status"})
            return True
    return False
