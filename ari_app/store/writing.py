"""What the holder of an account writes: all of one moment in one script call, or nothing of it.

Redis refuses the whole when the account is held by another copy, or by another time of ours (epoch), than who
writes. So what a copy that was paused, or cut off, still has to say can spoil nothing.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from redis.asyncio import Redis

from ari_app.errors import LeaseLost
from ari_app.store.connection import ask
from ari_app.store.keys import Keys
from ari_app.store.leases import Lease
from ari_app.store.missed import TAKE
from ari_app.store.statistics import PUT

Value: TypeAlias = str | bytes | int | float

_STATE = "state"

_WRITE = (
    PUT
    + TAKE
    + """
if ARGV[1] ~= '' then
  local held = redis.call('HMGET', KEYS[1], 'holder', 'epoch')
  if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
end
local at = 4
for index = 2, #KEYS do
  local name, last = ARGV[at], at + 1 + tonumber(ARGV[at + 1])
  if name == 'unless' then
    if redis.call('EXISTS', KEYS[index]) == 1 then return 0 end
  elseif name == 'state' then
    put(KEYS[index], ARGV[3], ARGV[last])
  elseif name == 'tried' or name == 'talked' then
    pcall(take_missed, name, KEYS[index], unpack(ARGV, at + 2, last))
  else
    redis.call(name, KEYS[index], unpack(ARGV, at + 2, last))
  end
  at = last + 1
end
return 1
"""
)
"""Lua. The first key is the lease, each other one that of a command. The arguments: holder and epoch (empty
for who holds nothing and may write all the same), what the keys of the statistics' days begin with, and for
each command its name, the number of its arguments after the key, and these.
"""


class Commands:
    """What is to be written, in order."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.arguments: list[Value] = []

    def add(self, command: str, key: str, *arguments: Value) -> None:
        """Add one command of Redis; it has one key, its first argument."""
        self.keys.append(key)
        self.arguments += (command, len(arguments), *arguments)

    @property
    def size(self) -> int:
        """How many bytes it writes, roughly."""
        return sum(len(one) if isinstance(one, str | bytes) else 8 for one in self.arguments)

    def unless(self, key: str) -> None:
        """Write nothing when there is such a key; it comes first."""
        self.add("unless", key)

    def state(self, key: str, state: bytes) -> None:
        """Put a call's state in place of the one before, and count it in the statistics."""
        self.add(_STATE, key, state)


class Writer:
    """Writes what concerns one account; without a `lease` for who needs to hold nothing."""

    def __init__(self, redis: Redis, account: str, lease: Lease | None = None) -> None:
        self._redis = redis
        self._lease = lease
        keys = Keys(account)
        self._lease_key, self._days = keys.lease, keys.statistics("")
        self._script = redis.register_script(_WRITE)

    async def write(self, commands: Commands) -> None:
        """Write all of it, in one moment.

        Raises:
            LeaseLost: another copy holds the account; nothing was written.
            StoreUnavailable: nothing was written, or it is not known whether it was.
        """
        lease = self._lease
        who: tuple[Value, Value] = ("", "") if lease is None else (lease.holder, lease.epoch)
        arguments: list[Any] = [*who, self._days, *commands.arguments]
        written = await ask(self._script(keys=[self._lease_key, *commands.keys], args=arguments))
        if lease is not None and not written:
            lease.lose("Redis refuses what it writes: another copy holds it")
            raise LeaseLost("another copy of the service holds the account")
