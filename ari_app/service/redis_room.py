"""Looks how full Redis is: a full one refuses to be written, so it is said before."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from ari_app.errors import StoreUnavailable
from ari_app.store.connection import Redis
from ari_app.store.health import keeping, share_taken

log = structlog.get_logger(__name__)

LOOK_SECONDS = 15.0
NEARLY_FULL = 0.8


class RedisRoom:
    """How much of Redis' memory is taken."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.taken: float | None = None
        """From 0 to 1; None where Redis has no limit, or was not asked yet."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it, for a person to read."""
        if self.taken is None or self.taken < NEARLY_FULL:
            return None
        return f"Redis' memory is {100 * self.taken:.0f} % full: give it more (maxmemory), or keep less"

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look now; a line in the log says when it is nearly full, and when it is not any more."""
        before = self.problem
        with suppress(StoreUnavailable):
            self.taken = share_taken(await keeping(self._redis))
        if self.problem is not None and before is None:
            log.error(self.problem)
        elif self.problem is None and before is not None:
            log.info("Redis has room again")
