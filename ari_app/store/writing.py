"""What the holder of an account writes: all of one moment in one script call, or nothing of it.

Redis refuses the whole when the account is held by another copy, or by another time of ours (epoch), than who
writes. So what a copy that was paused, or cut off, still has to say can spoil nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias
from weakref import WeakValueDictionary

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError

from ari_app.calls import JournalLine, brief_line
from ari_app.errors import LeaseLost
from ari_app.store.connection import ask, ask_together
from ari_app.store.events import KEPT, Event
from ari_app.store.keys import Keys
from ari_app.store.leases import Lease
from ari_app.store.missed import TAKE
from ari_app.store.statistics import PUT

Value: TypeAlias = str | bytes | int | float

CALLS_AT_ONCE = 100
"""So many calls of scripts go out together at most."""
_STATE, _OUTBOX, _LINES, _PACK = "state", "outbox", "lines", "pack"

_WRITE = (
    PUT
    + TAKE
    + """
if ARGV[1] ~= '' then
  local held = redis.call('HMGET', KEYS[1], 'holder', 'epoch')
  if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
end
local at, entries = 4, {1}
for index = 2, #KEYS do
  local name, last = ARGV[at], at + 1 + tonumber(ARGV[at + 1])
  if name == 'unless' then
    if redis.call('EXISTS', KEYS[index]) == 1 then return 0 end
  elseif name == 'state' then
    put(KEYS[index], ARGV[3], ARGV[last])
  elseif name == 'outbox' then
    entries[#entries + 1] = redis.call('XADD', KEYS[index], '*', unpack(ARGV, at + 2, last))
  elseif name == 'lines' then
    redis.call('RPUSH', KEYS[index], unpack(ARGV, at + 4, last))
    redis.call('PUBLISH', ARGV[at + 2], table.concat(ARGV, '\\n', at + 3, last))
  elseif name == 'pack' then
    local same = redis.call('LLEN', ARGV[at + 2]) == tonumber(ARGV[at + 4])
    if same and redis.call('STRLEN', KEYS[index]) == tonumber(ARGV[at + 5]) then
      redis.call('SET', KEYS[index], ARGV[last])
      redis.call('UNLINK', ARGV[at + 2], ARGV[at + 3])
    end
  elseif name == 'tried' or name == 'talked' then
    pcall(take_missed, name, KEYS[index], unpack(ARGV, at + 2, last))
  else
    redis.call(name, KEYS[index], unpack(ARGV, at + 2, last))
  end
  at = last + 1
end
return entries
"""
)
"""Lua. The first key is the lease, each other one that of a command. The arguments: holder and epoch (empty
for who holds nothing and may write all the same), what the keys of the statistics' days begin with, and for
each command its name, the number of its arguments after the key, and these. It gives 0 for nothing written,
or a list: 1, then the ids of the entries of the outbox.
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

    def journal(self, keys: Keys, call: str, lines: Sequence[JournalLine]) -> None:
        """Add lines to a call's journal, in a few words, and say them to who watches."""
        self.add(_LINES, keys.journal(call), keys.watched, call, *map(brief_line, lines))

    def event(self, keys: Keys, event: Event) -> None:
        """Add to what happened beside the calls."""
        fields = (part for pair in event.fields().items() for part in pair)
        self.add("XADD", keys.events, "MAXLEN", "~", KEPT, "*", *fields)

    def pack(self, call: str, journal: str, before: str, lines: int, length: int, packed: bytes) -> None:
        """Put a packed call in place of its state, its journal of so many lines, and what was packed before.

        Unless anything was written of it since: then the journal has more lines, or the state another length.
        """
        self.add(_PACK, call, journal, before, lines, length, packed)

    def entry(self, key: str, call: str, tell: bytes) -> None:
        """Put into an outbox what the CRM is to be told of a call; its id is given when it is written."""
        self.add(_OUTBOX, key, "call", call, "tell", tell)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call of a script that somebody waits for."""

    script: AsyncScript
    words: list[Any]
    done: asyncio.Future[Any]


class Together:
    """Calls of scripts on their way to one Redis: what comes while some are under way goes out together.

    Each is a transaction of its own; they are carried out in the order in which they were asked for.
    """

    _all: ClassVar[WeakValueDictionary[int, Together]] = WeakValueDictionary()
    """By the identity of the client, which each of them keeps."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[_Asked] = []
        self._going: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, redis: Redis) -> Together:
        """Give the one of a client: all accounts share it."""
        found = cls._all.get(id(redis))
        if found is None:
            found = cls._all[id(redis)] = cls(redis)
        return found

    async def call(self, script: AsyncScript, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        """Call a script; gives its answer.

        Raises:
            RedisError, OSError: it was not carried out, or it is not known whether it was.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(script, [len(keys), *keys, *arguments], done))
        if self._going is None:
            self._going = asyncio.create_task(self._go(), name="writing to Redis")
        return await done

    async def _go(self) -> None:
        """Send what waits, until nothing does."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:CALLS_AT_ONCE], self._waiting[CALLS_AT_ONCE:]
                try:
                    answers = await self._send(batch)
                except (RedisError, OSError) as error:
                    answers = [error] * len(batch)
                except BaseException:
                    self._waiting = batch + self._waiting
                    raise
                for asked, answer in zip(batch, answers, strict=True):
                    if asked.done.done():
                        continue  # whoever asked doesn't wait any more
                    if isinstance(answer, Exception):
                        asked.done.set_exception(answer)
                    else:
                        asked.done.set_result(answer)
        finally:
            self._going = None
            for asked in self._waiting:
                asked.done.cancel()
            self._waiting.clear()

    async def _send(self, batch: Sequence[_Asked]) -> list[Any]:
        """Send some, and those that Redis doesn't know once more: it has been started anew."""
        answers = await self._evaluate(batch)
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            for script in {batch[index].script for index in unknown}:
                await self._redis.script_load(script.script)
            again = await self._evaluate([batch[index] for index in unknown])
            for index, answer in zip(unknown, again, strict=True):
                answers[index] = answer
        return answers

    async def _evaluate(self, batch: Sequence[_Asked]) -> list[Any]:
        return await ask_together(
            self._redis, [("EVALSHA", asked.script.sha, *asked.words) for asked in batch]
        )


class Writer:
    """Writes what concerns one account; without a `lease` for who needs to hold nothing."""

    def __init__(self, redis: Redis, account: str, lease: Lease | None = None) -> None:
        self._together = Together.of(redis)
        self._lease = lease
        keys = Keys(account)
        self._lease_key, self._days = keys.lease, keys.statistics("")
        self._script = redis.register_script(_WRITE)

    async def write(self, commands: Commands) -> list[str]:
        """Write all of it, in one moment; give the ids of the entries that it puts into the outbox, in order.

        Raises:
            LeaseLost: another copy holds the account; nothing was written.
            StoreUnavailable: nothing was written, or it is not known whether it was.
        """
        lease = self._lease
        who: tuple[Value, Value] = ("", "") if lease is None else (lease.holder, lease.epoch)
        arguments: list[Any] = [*who, self._days, *commands.arguments]
        keys = [self._lease_key, *commands.keys]
        written = await ask(self._together.call(self._script, keys, arguments))
        if lease is not None and not written:
            lease.lose("Redis refuses what it writes: another copy holds it")
            raise LeaseLost("another copy of the service holds the account")
        return [ident.decode() for ident in written[1:]] if written else []


def why(error: Exception) -> str:
    """Say what is wrong with something that was stored, but not what stands there: it may be anybody's."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['type']}"
    return "not known" if isinstance(error, KeyError) else "no JSON of ours"
