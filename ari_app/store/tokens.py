"""The tokens with which a shop's own programs ask the API: made, named, listed and revoked.

A token is shown once, when it is made: Redis knows its digest alone, so whoever reads Redis can't use it. It
begins with its account's name, so all that is known of it lies, and goes, with the account.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from redis.asyncio import Redis

from ari_app.store.connection import ask
from ari_app.store.keys import Keys

LONGEST_NAME = 60
MOST = 50
"""Tokens that an account may have at once."""

_TOKEN = re.compile(r"([a-z0-9._-]{1,255})\.([A-Za-z0-9_-]{43})")
_USE = """
local found = redis.call('HEXISTS', KEYS[1], ARGV[1])
if found == 1 then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
return found
"""
_MAKE = """
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class TooManyTokens(Exception):
    """The account has as many tokens as it may have: one has to be revoked first."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token. Moments are seconds since the epoch; `id` is nothing to sign in with."""

    id: str
    name: str
    made_at: float
    used_at: float | None = None


class Tokens:
    """The tokens of all accounts. Every method may raise `StoreUnavailable`."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock

    async def make(self, account: str, name: str) -> str:
        """Make a token and give it; nobody can read it again. Of its name the first 60 characters are kept.

        Raises:
            TooManyTokens: the account has as many as it may have.
        """
        text = f"{account}.{secrets.token_urlsafe(32)}"
        known = orjson.dumps({"name": name.strip()[:LONGEST_NAME], "made_at": self._clock()})
        made = await ask(self._redis.eval(_MAKE, 1, Keys(account).tokens, _digest(text), known, MOST))
        if not made:
            raise TooManyTokens
        return text

    async def list(self, account: str) -> list[Token]:
        """Give an account's tokens, the newest first."""
        keys = Keys(account)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hgetall(keys.tokens)
        pipe.hgetall(keys.tokens_used)
        known, used = await ask(pipe.execute())
        tokens = [
            Token(ident.decode(), **orjson.loads(data), used_at=float(used[ident]) if ident in used else None)
            for ident, data in known.items()
        ]
        return sorted(tokens, key=lambda token: (-token.made_at, token.id))

    async def revoke(self, account: str, ident: str) -> bool:
        """Let a token of an account open nothing any more; False when there is none with this id."""
        keys = Keys(account)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hdel(keys.tokens, ident)
        pipe.hdel(keys.tokens_used, ident)
        gone, _ = await ask(pipe.execute())
        return bool(gone)

    async def find(self, text: str) -> str | None:
        """Name the account that a token belongs to, and note the use; None for one that is not known."""
        read = _TOKEN.fullmatch(text)
        if read is None:
            return None
        account = read[1]
        keys = Keys(account)
        found = await ask(
            self._redis.eval(_USE, 2, keys.tokens, keys.tokens_used, _digest(text), repr(self._clock()))
        )
        return account if found else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
