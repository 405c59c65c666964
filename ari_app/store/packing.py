"""Packs an account's calls when they have been over for a while, many at once: one costs next to nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice

import structlog
from redis.asyncio import Redis

from ari_app.calls import NOT_KNOWN, Ending, load_call, managers_of
from ari_app.clock import rest, rest_until
from ari_app.errors import StoreUnavailable
from ari_app.store.connection import ask
from ari_app.store.keys import Keys
from ari_app.store.packed import HEAD, NAMED, is_named, is_packed, pack, state_in, unpack
from ari_app.store.statistics import is_counted
from ari_app.store.writing import Commands, Writer

log = structlog.get_logger(__name__)

REST_SECONDS = 10.0
"""So long nothing was written of a call before it is packed."""
CALLS_AT_ONCE = 50
LOOKS_BACK = 2000
"""So many of the newest calls that are over are looked at when the account is taken: as many as a page of the
log looks at. An earlier version has packed them in another way, or not at all.
"""

_READ = """
local time = redis.call('TIME')
local found = {time[1] * 1000 + math.floor(time[2] / 1000)}
for index = 1, #KEYS, 3 do
  found[#found + 1] = {redis.call('GET', KEYS[index]), redis.call('GET', KEYS[index + 1]),
    redis.call('LRANGE', KEYS[index + 2], 0, -1)}
end
return found
"""
"""Lua. The keys: of each call its state, what was packed before, its journal. It gives ms, and these."""

_UNPACKED = """
local found = {}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ARGV[2] - 1)) do
  local stored = redis.pcall('GETRANGE', ARGV[1] .. id, 0, ARGV[3] - 1)
  if type(stored) == 'string' and stored ~= '' then
    local head = string.match(stored, '^[^\\n]*\\n')
    if not head or not string.find(head, ARGV[4], 1, true) then found[#found + 1] = id end
  end
end
return found
"""
"""Lua. The key: of the calls that are over. The arguments: what the keys of calls begin with, how many are
looked at, how long a head may be, what stands in it. It gives those that are to be packed, the
newest first.
"""


class Packing:
    """The calls of one account that are to be packed."""

    def __init__(self, redis: Redis, account: str, writer: Writer) -> None:
        self._redis = redis
        self._keys = Keys(account)
        self._writer = writer
        self._read = redis.register_script(_READ)
        self._unpacked = redis.register_script(_UNPACKED)
        self._resting: dict[str, float] = {}
        """When something was written last of calls that are over; oldest first."""
        self._log = log.bind(account=account)

    def note(self, call: str) -> None:
        """Have a call packed that is over, and of which the CRM was told."""
        self._resting.pop(call, None)
        self._resting[call] = time.monotonic()

    async def run(self) -> None:
        """Pack what has rested, for ever; at first also what was over when the service ended."""
        looked = False
        while True:
            if looked:
                await rest_until(lambda: bool(self._resting))
            await rest(REST_SECONDS / 2)
            with suppress(StoreUnavailable):  # they wait; the ledger says that Redis is away
                if not looked:
                    await self._look_back()
                    looked = True
                await self.pack(time.monotonic() - REST_SECONDS)

    async def _look_back(self) -> None:
        asked = (self._keys.call(""), LOOKS_BACK, HEAD, NAMED)
        newest = await ask(self._unpacked(keys=[self._keys.ended], args=asked))
        known = (ident.decode(errors="replace") for ident in reversed(newest))
        self._resting = dict.fromkeys(known, -math.inf) | self._resting

    async def pack(self, before: float) -> None:
        """Pack the calls of which nothing was written since a moment of the monotonic clock.

        Raises:
            LeaseLost: another copy of the service holds the account.
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        rested = [call for call, at in self._resting.items() if at <= before]
        waiting = iter(rested)
        while portion := list(islice(waiting, CALLS_AT_ONCE)):
            await self._pack(portion)
            for call in portion:
                if self._resting.get(call, before) <= before:
                    self._resting.pop(call, None)

    async def _pack(self, calls: Sequence[str]) -> None:
        keys = self._keys
        names = [(keys.call(call), keys.packed(call), keys.journal(call)) for call in calls]
        now, *found = await ask(self._read(keys=[key for three in names for key in three]))
        commands = Commands()
        for (call, before, journal), (stored, older, lines) in zip(names, found, strict=True):
            packed = self._packed(call, stored, older, lines, int(now))
            if packed is not None:
                commands.pack(call, journal, before, len(lines), len(stored), packed)
        if commands.keys:
            await self._writer.write(commands)

    def _packed(
        self, key: str, stored: bytes | None, older: bytes | None, lines: Iterable[bytes], now: int
    ) -> bytes | None:
        """Give a call as it is packed; None for one that isn't over, or is to stay as it is."""
        later: list[bytes] = list(lines)
        if stored is None or (is_packed(stored) and is_named(stored) and not later):
            return None
        try:
            state = state_in(stored)
            call = load_call(state)
            counts = call.ending not in (None, Ending.UNKNOWN)
            if not call.over or (counts and not is_counted(state)):
                return None
            before = [unpack(one).lines for one in (older, stored) if one is not None and is_packed(one)]
            return pack(state, [*(line for some in before for line in some), *later], now, managers_of(call))
        except NOT_KNOWN as error:
            self._log.debug("a call is not packed", key=key, problem=type(error).__name__)
            return None
