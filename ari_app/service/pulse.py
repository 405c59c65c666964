"""Whether Redis answers at this moment, for whoever asks how the service is."""

from __future__ import annotations

import asyncio
import time

from ari_app.errors import StoreUnavailable
from ari_app.store.connection import Redis, ping

SECONDS = 1.0
"""How long Redis may take; who asks about us is answered within two."""
FRESH_SECONDS = 0.5
"""How long an answer is believed: anybody may ask, and Redis is asked no more often for it."""


class Pulse:
    """Asks Redis for a sign of life, once for all who want to know at the same time."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._asking: asyncio.Task[bool] | None = None
        self._said = False
        self._said_at = float("-inf")

    async def beats(self) -> bool:
        """Tell whether Redis answers; in a second at most."""
        if time.monotonic() - self._said_at < FRESH_SECONDS:
            return self._said
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="pulse of Redis")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(SECONDS):
                await ping(self._redis)
            self._said = True
        except (StoreUnavailable, TimeoutError):
            self._said = False
        finally:
            self._said_at = time.monotonic()
            self._asking = None
        return self._said
