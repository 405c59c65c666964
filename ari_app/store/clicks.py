"""When clicks in the CRM placed calls lately: what a limit a day counts, whoever holds the account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from ari_app.store.connection import ask
from ari_app.store.keys import Keys

KEPT = 5_000
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class AcceptedClick:
    """A call that was placed at a moment (Unix time); `known`: by the address that only the CRM knows."""

    at: float
    extension: str
    known: bool


class ClickStore:
    """One account's clicks that were accepted within a day. Every method may raise `StoreUnavailable`."""

    def __init__(self, redis: Redis, account: str) -> None:
        self._redis = redis
        self._key = Keys(account).clicks

    async def keep(self, clicks: Sequence[AcceptedClick]) -> None:
        """Keep some; they go when a day has passed without one."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.rpush(self._key, *(f"{one.at!r} {int(one.known)} {one.extension}" for one in clicks))
        pipe.ltrim(self._key, -KEPT, -1)
        pipe.expire(self._key, DAY_SECONDS)
        await ask(pipe.execute())

    async def load(self) -> list[AcceptedClick]:
        """Give them, the oldest first; what another version has written otherwise is left out."""
        found = []
        for text in await ask(self._redis.lrange(self._key, 0, -1)):
            at, known, extension = (*text.decode("utf-8", "replace").split(" ", 2), "", "")[:3]
            try:
                found.append(AcceptedClick(float(at), extension, known == "1"))
            except ValueError:
                continue
        return found
