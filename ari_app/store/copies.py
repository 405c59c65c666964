"""The copies of the service that are at work: each says so every second, and is forgotten when it is silent.

Moments are told by Redis' clock, so the copies' clocks may differ.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from redis.asyncio import Redis

from ari_app.store.connection import ask
from ari_app.store.keys import COPIES, Keys
from ari_app.store.leases import NEEDS_NO_ROOM

SILENT_SECONDS = 3.5
"""A copy that has said nothing for so long is none."""

_SAY = (
    NEEDS_NO_ROOM
    + """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now, ARGV[2]))
local found = {}
for _, copy in ipairs(redis.call('HKEYS', KEYS[1])) do
  local said = redis.call('HGET', KEYS[1], copy)
  if math.abs(now - tonumber(string.match(said, '^%d+') or '0')) > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], copy)
  else
    found[#found + 1] = copy
    found[#found + 1] = said
  end
end
return {string.format('%.0f', now), found}
"""
)
"""Lua. Who says it, what (accounts, open, address), and how long a silent copy is remembered (ms)."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the service that is at work."""

    ident: str
    accounts: int
    """How many it holds."""
    open: bool
    """Whether it takes accounts: not while it ends."""
    address: str
    """Where other copies reach it."""


class Copies:
    """All copies on one Redis, as they were a second ago. `ident` and `address` are this one's."""

    def __init__(self, redis: Redis, ident: str, address: str) -> None:
        self.ident = ident
        self._redis = redis
        self._address = address
        self._say = redis.register_script(_SAY)
        self._known: dict[str, Copy] = {}
        self._known_at = -SILENT_SECONDS
        self._ahead = 0.0

    @property
    def known(self) -> dict[str, Copy]:
        """The copies by their names; none when Redis hasn't told them for too long."""
        return self._known if time.monotonic() - self._known_at < SILENT_SECONDS else {}

    @property
    def now(self) -> float:
        """The moment by Redis' clock, in seconds since the epoch, as far as it is known here."""
        return time.time() + self._ahead

    async def say(self, accounts: int, *, open: bool) -> None:
        """Say that we are at work, and hear who else is.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        what = f"{accounts} {int(open)} {self._address}"
        now, found = await ask(self._say(keys=[COPIES], args=(self.ident, what, int(SILENT_SECONDS * 1000))))
        self._ahead = int(now) / 1000 - time.time()
        self._known_at = time.monotonic()
        told = zip(found[::2], found[1::2], strict=True)
        copies = [_read(name.decode(), said.decode()) for name, said in told]
        self._known = {copy.ident: copy for copy in copies if copy is not None}

    async def leave(self) -> None:
        """Be no copy any more.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer; we are forgotten in a moment.
        """
        await ask(self._redis.hdel(COPIES, self.ident))

    async def holder_of(self, account: str) -> Copy | None:
        """Give the copy that holds an account, if that is another one that is at work.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        holder = await ask(self._redis.hget(Keys(account).lease, "holder"))
        copy = self.known.get(holder.decode()) if holder else None
        return copy if copy is not None and copy.ident != self.ident else None


def _read(ident: str, said: str) -> Copy | None:
    """Read what a copy has said; None if another version says it in a way that isn't known here."""
    match said.split(" "):
        case [_, accounts, "0" | "1" as takes, address] if accounts.isdecimal():
            return Copy(ident, int(accounts), takes == "1", address)
    return None
