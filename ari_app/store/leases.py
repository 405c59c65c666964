"""Who may hold the PBXs: one process, by a key in Redis that it keeps renewing.

A holder is known by its data folder: started again after a crash it is the same holder, and takes the key at
once.
"""

from __future__ import annotations

import asyncio

import structlog
from redis.asyncio import Redis

from ari_app.errors import StoreUnavailable
from ari_app.store.connection import ask
from ari_app.store.keys import HOLDER

log = structlog.get_logger(__name__)

HOLD_SECONDS = 10
RENEW_SECONDS = 3.0

_LEAVE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"


class Holder:
    """This process's claim to the PBXs."""

    def __init__(self, redis: Redis, ident: str) -> None:
        self._redis = redis
        self._ident = ident

    async def take(self) -> None:
        """Wait until the key is ours."""
        waiting = False
        while True:
            try:
                if await ask(self._redis.set(HOLDER, self._ident, nx=True, ex=HOLD_SECONDS)):
                    return
                if await ask(self._redis.get(HOLDER)) == self._ident.encode():
                    await ask(self._redis.expire(HOLDER, HOLD_SECONDS))
                    return
                if not waiting:
                    log.warning("another service holds the PBXs of this Redis; waiting until it ends")
            except StoreUnavailable as error:
                if not waiting:
                    log.warning("Redis is away; waiting for it", problem=str(error))
            waiting = True
            await asyncio.sleep(1.0)

    async def keep(self) -> None:
        """Renew the key, for ever."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await ask(self._redis.set(HOLDER, self._ident, ex=HOLD_SECONDS))
            except StoreUnavailable:
                continue  # the ledger says that Redis is away

    async def leave(self) -> None:
        """Give the key back."""
        try:
            await ask(self._redis.eval(_LEAVE, 1, HOLDER, self._ident))
        except StoreUnavailable as error:
            log.debug("the holder's key could not be given back", problem=str(error))
