"""What fails of an account's surroundings in Redis: since when, and whether its administrator was told.

What is told stands in the outbox from the same moment on, so it is told once, also after a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import orjson
import structlog
from redis.asyncio import Redis

from ari_app.calls import TellAlert, tagged
from ari_app.store.connection import ask
from ari_app.store.keys import Keys
from ari_app.store.leases import Lease
from ari_app.store.writing import Commands, Writer

log = structlog.get_logger(__name__)


class Part(StrEnum):
    """What may fail."""

    PBX = "pbx"
    CRM = "crm"
    RECORDING = "recording"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Failing:
    """Something fails since a moment, in seconds since the epoch."""

    since: float
    told: bool = False


class AlertStore:
    """What fails of one account. Every method may raise `StoreUnavailable`, and what writes `LeaseLost`."""

    def __init__(self, redis: Redis, account: str, lease: Lease | None = None) -> None:
        self._redis = redis
        self._keys = Keys(account)
        self._writer = Writer(redis, account, lease)
        self._log = log.bind(account=account)

    async def load(self) -> dict[Part, Failing]:
        """Give what is known to fail."""
        found: dict[Part, Failing] = {}
        for name, stored in (await ask(self._redis.hgetall(self._keys.alerts))).items():
            try:
                data = orjson.loads(stored)
                found[Part(name.decode())] = Failing(float(data["since"]), bool(data["told"]))
            except (ValueError, LookupError, TypeError):
                self._log.error("of what fails can't be read what another version wrote")
        return found

    async def fails(self, part: Part, failing: Failing, tells: Sequence[TellAlert] = ()) -> None:
        """Keep that something fails, and have that told."""
        commands = Commands()
        commands.add("HSET", self._keys.alerts, part.value, orjson.dumps(asdict(failing)))
        await self._write(commands, part, failing, tells)

    async def works(self, part: Part, failing: Failing, tells: Sequence[TellAlert] = ()) -> None:
        """Forget that something fails, and have told that it is back."""
        commands = Commands()
        commands.add("HDEL", self._keys.alerts, part.value)
        await self._write(commands, part, failing, tells)

    async def _write(
        self, commands: Commands, part: Part, failing: Failing, tells: Sequence[TellAlert]
    ) -> None:
        for tell in tells:
            ident = f"alert-{part.value}-{int(failing.since)}"
            commands.entry(self._keys.outbox, ident, orjson.dumps(tagged(tell)))
        await self._writer.write(commands)
