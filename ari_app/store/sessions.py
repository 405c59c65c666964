"""Who is signed in to the cabinet, and who tries too often to be.

A session's id is in the reader's cookie alone: Redis knows its digest, so whoever reads Redis can't use it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson
from redis.asyncio import Redis

from ari_app.store import keys
from ari_app.store.connection import ask

IDLE_SECONDS = 8 * 3600
"""A session ends when nothing was asked for so long,"""
LONGEST_SECONDS = 7 * 86_400
"""and in any case so long after it began."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody is signed in to an account since a moment (seconds since the epoch).

    `seal` is made of what opened the account then: the session is over when that opens it no longer.
    """

    account: str
    opened_at: float
    seal: str = ""


class Sessions:
    """All sessions. Every method may raise `StoreUnavailable`."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def open(self, account: str, seal: str = "") -> str:
        """Begin a session; give its id, which nobody can guess."""
        ident = secrets.token_urlsafe(32)
        data = orjson.dumps(asdict(Session(account, self._clock(), seal)))
        await ask(self._redis.set(_key(ident), data, ex=IDLE_SECONDS))
        return ident

    async def find(self, ident: str) -> Session | None:
        """Give a session that is not over, and let its idle time begin anew."""
        found = await ask(self._redis.getex(_key(ident), ex=IDLE_SECONDS))
        if found is None:
            return None
        session = Session(**orjson.loads(found))
        if self._clock() - session.opened_at < LONGEST_SECONDS:
            return session
        await self.end(ident)
        return None

    async def use(self, digest: str, seconds: int) -> bool:
        """Use a link that opens a cabinet once, and is good for no longer than so many seconds; False for one
        that was used before.
        """
        return bool(await ask(self._redis.set(keys.door(digest), 1, ex=seconds, nx=True)))

    async def end(self, ident: str) -> None:
        """End a session."""
        await ask(self._redis.unlink(_key(ident)))


class Attempts:
    """How often somebody tried something within a time that begins with the first attempt."""

    def __init__(self, redis: Redis, most: int, seconds: int) -> None:
        self._redis = redis
        self._most = most
        self._seconds = seconds

    async def take(self, who: str) -> int | None:
        """Count an attempt; None if it may be made, else the seconds to wait.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        pipe = self._redis.pipeline(transaction=True)
        key = keys.attempts(who)
        pipe.set(key, 0, ex=self._seconds, nx=True)
        pipe.incr(key)
        pipe.ttl(key)
        _, made, left = await ask(pipe.execute())
        return None if made <= self._most else max(1, int(left))

    async def forget(self, who: str) -> None:
        """Begin to count anew: an attempt was right.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        await ask(self._redis.unlink(keys.attempts(who)))


def _key(ident: str) -> str:
    return keys.session(hashlib.sha256(ident.encode("utf-8", "replace")).hexdigest())
