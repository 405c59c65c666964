"""Calls read from Redis: those that are live, those that are over, and their journals."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from ari_app.calls import NOT_KNOWN, Call, Direction, JournalLine, read_call, read_lines
from ari_app.store.connection import ask
from ari_app.store.keys import Keys
from ari_app.store.packed import lines_of, parsed_state_in
from ari_app.store.sieve import SIFT, Sieve
from ari_app.store.writing import why

log = structlog.get_logger(__name__)

_State = TypeVar("_State")

_LOOKED_AT = 200
"""So many of the newest calls are looked at for a customer's."""

_SILENT_SECONDS = 1.0
"""So long a watcher waits for a line before it looks again whether Redis is still there."""
_AT_ONCE = 200
_AT_FIRST = 64
"""So many calls are read first, then more: most readers of the log have seen enough on the first page."""


@dataclass(frozen=True, slots=True)
class Place:
    """A call's place in the log: its start, in seconds since the epoch, and its id."""

    at: float
    id: str

    @classmethod
    def of(cls, call: Call) -> Place:
        """Give the place of a call."""
        return cls(call.started_at, call.id)

    @classmethod
    def read(cls, text: str) -> Place | None:
        """Read what `str` of a place gave; None when it isn't one."""
        at, _, call_id = text.partition("_")
        try:
            place = cls(float(at), call_id)
        except ValueError:
            return None
        return place if call_id and math.isfinite(place.at) else None

    def __str__(self) -> str:
        return f"{self.at!r}_{self.id}"


class Once:
    """Says in the log what can't be read, each thing once."""

    def __init__(self, account: str) -> None:
        self._log = log.bind(account=account)
        self._said: set[str] = set()

    def error(self, saying: str, /, **values: str) -> None:
        """Say it, if it was not said before."""
        if self.is_new(f"{saying} {values}"):
            self._log.error(saying, **values)

    def is_new(self, said: str) -> bool:
        """Tell whether something was not said before; from now on it was."""
        new = said not in self._said
        self._said.add(said)
        return new


def _newest(until: float, behind: Place | None) -> str:
    """Say from where on an index is read, in Redis' words: before a moment, or with that of a place."""
    return f"({until!r}" if behind is None or behind.at >= until else repr(behind.at)


def _those_behind(
    placed: Iterable[tuple[Place, _State]], behind: Place | None
) -> Iterator[tuple[Place, _State]]:
    """Leave out what isn't behind a place: of calls that began in one moment, ids tell them apart."""
    if behind is None:
        return iter(placed)
    last = (behind.at, behind.id.encode())
    return (one for one in placed if one[0].at < last[0] or (one[0].at, one[0].id.encode()) < last)


class CallReader:
    """The calls of one account, for whoever only reads.

    Another version may have stored what this one does not know. What can't be read stays as it is and is left
    out, with a line in the log; the version that knows it reads it. All methods raise `StoreUnavailable` when
    Redis can't be reached, or does not answer.
    """

    def __init__(self, redis: Redis, account: str) -> None:
        self.account = account
        self._redis = redis
        self._keys = Keys(account)
        self._once = Once(account)
        self._sift = redis.register_script(SIFT)

    async def live(self) -> list[Call]:
        """Give the calls of ours that are not over, oldest first."""
        ids = await ask(self._redis.smembers(self._keys.live))
        found = [call async for portion in self._portions(ids) for call in portion]
        return sorted(found, key=lambda call: call.started_at)

    async def reported(self) -> list[Call]:
        """Give the calls that are not over and that a dialplan of the shop's own reports, oldest first."""
        found = [call async for portion in self.reported_in_portions() for call in portion]
        return sorted(found, key=lambda call: call.started_at)

    async def reported_in_portions(self) -> AsyncIterator[list[Call]]:
        """Give the same in any order, some at a time: a dialplan may report any number and end none."""
        ids = await ask(self._redis.smembers(self._keys.reported))
        async for portion in self._portions(ids):
            yield portion

    async def some_reported(self, limit: int) -> list[Call]:
        """Give some of them, for whoever doesn't know which are the newest."""
        return await self._load(await ask(self._redis.srandmember(self._keys.reported, limit)))

    async def those(self, ids: Iterable[str]) -> list[Call]:
        """Give calls by their ids; who gives many of them holds others up."""
        return await self._load(ident.encode() for ident in ids)

    async def ended_ids(self) -> list[str]:
        """Name all calls that are over, trials too, oldest first."""
        calls = await ask(self._redis.zrange(self._keys.ended, 0, -1))
        return self._names((*calls, *await ask(self._redis.zrange(self._keys.trials, 0, -1))))

    async def trials(self, limit: int, until: float = math.inf) -> list[Call]:
        """Give the newest trials that are over and began before a moment, newest first.

        `until` is in seconds since the epoch.
        """
        found = self._redis.zrevrangebyscore(self._keys.trials, f"({until!r}", 0, start=0, num=limit)
        return await self._load(await ask(found))

    async def began_with(self, channel: str) -> str | None:
        """Name the call of ours that began with a channel in the last day."""
        found = await ask(self._redis.get(self._keys.channel(channel)))
        return found.decode() if found else None

    async def ended(
        self, limit: int, skip: int = 0, number: str | None = None, *, behind: Place | None = None
    ) -> list[Call]:
        """Give the newest calls that are over, newest first: all, or those with a number (E.164).

        `behind` leaves out those from the newest to a place, whatever was added or removed since; `skip` some
        more.
        """
        key = self._keys.ended if number is None else self._keys.number(number)
        if behind is None:
            return await self._load(await ask(self._redis.zrevrange(key, skip, skip + limit - 1)))
        places, _ = await self._behind(key, -math.inf, math.inf, behind, skip + limit)
        return await self._load(place.id.encode() for place in places[skip : skip + limit])

    async def walk(
        self,
        since: float = 0.0,
        until: float = math.inf,
        number: str | None = None,
        *,
        behind: Place | None = None,
    ) -> AsyncIterator[Call]:
        """Give the calls that are over and began from `since` on and before `until`, newest first.

        Both are seconds since the epoch. They are read a few hundred at a time, so whoever has seen enough
        may stop, and go on another time `behind` the last one seen; with `number` (E.164) only that
        customer's are given. Each is given once, and none is left out because others end or go meanwhile.
        """
        key = self._keys.ended if number is None else self._keys.number(number)
        more, at_once = True, _AT_FIRST
        while more:
            places, more = await self._behind(key, since, until, behind, at_once)
            at_once = min(2 * at_once, _AT_ONCE)
            for call in await self._load(place.id.encode() for place in places):
                yield call
            behind = places[-1] if places else behind

    async def sift(
        self,
        sieve: Sieve,
        since: float = 0.0,
        until: float = math.inf,
        number: str | None = None,
        *,
        behind: Place | None = None,
        look_at: float = math.inf,
    ) -> AsyncIterator[tuple[Place, int, Call | None]]:
        """Give the same calls as `walk`, but for those that a sieve leaves out: of these the place of the
        last one in a row, and how many they are. With each other call comes its place, and 1.

        What comes behind the first `look_at` calls is looked at one by one.
        """
        key, states = self._keys.ended if number is None else self._keys.number(number), self._keys.call("")
        more, at_once = True, _AT_FIRST
        while more:
            limit = int(max(1, min(at_once, look_at)))
            asked = (_newest(until, behind), since, limit, states, *sieve.words)
            more, *found = await ask(self._sift(keys=[key], args=asked))
            at_once = min(2 * at_once, _AT_ONCE)
            placed = (
                (Place(float(at), ident.decode(errors="replace")), (state, count))
                for ident, at, state, count in found
            )
            for place, (state, count) in _those_behind(placed, behind):
                behind = place
                look_at -= count
                out = not state or sieve.leaves_out(state)
                if count:
                    yield place, count, None if out else self._read(self._keys.call(place.id), state)
            await asyncio.sleep(0)  # others have their turn

    async def _behind(
        self, key: str, since: float, until: float, behind: Place | None, limit: int
    ) -> tuple[list[Place], bool]:
        """Give the next places in an index, and whether there may be more behind them."""
        newest, same = _newest(until, behind), 0
        if not newest.startswith("("):
            same = await ask(self._redis.zcount(key, newest, newest))
        found = await ask(
            self._redis.zrevrangebyscore(key, newest, since, start=0, num=limit + same, withscores=True)
        )
        placed = ((Place(at, ident.decode(errors="replace")), None) for ident, at in found)
        return [place for place, _ in _those_behind(placed, behind)], len(found) == limit + same

    async def get(self, call_id: str) -> Call | None:
        """Give one call."""
        found = await self._load([call_id.encode()])
        return found[0] if found else None

    async def journal(self, call_id: str) -> list[JournalLine]:
        """Give a call's lines, oldest first; one written twice (Redis' answer was lost) counts once."""
        packed, lines = await self._stored_journal(call_id)
        read = self._lines(dict.fromkeys(lines_of(packed, lines)), call_id)
        return [line for line in read if line is not None]

    async def _stored_journal(self, call_id: str) -> tuple[list[bytes | None], list[bytes]]:
        """Give what may be packed of a call, oldest first, and the list of its journal's lines."""
        keys = self._keys
        pipe: Any = self._redis.pipeline(transaction=True)
        pipe.mget(keys.packed(call_id), keys.call(call_id))
        pipe.lrange(keys.journal(call_id), 0, -1)
        packed, lines = await ask(pipe.execute())
        return packed, lines

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[AsyncIterator[JournalLine]]:
        """Hear the account's new lines as they are written, from now on and for ever."""
        async with self._redis.pubsub() as heard:
            await ask(heard.subscribe(self._keys.watched))
            await ask(heard.get_message(timeout=None))
            yield self._watch(heard)

    async def _watch(self, heard: PubSub) -> AsyncIterator[JournalLine]:
        while True:
            said = await ask(heard.get_message(ignore_subscribe_messages=True, timeout=_SILENT_SECONDS))
            if said is not None:
                call, *new = said["data"].split(b"\n")
                packed, lines = await self._stored_journal(call.decode())
                read = self._lines([*lines_of(packed, lines), *new], call.decode())
                for line in read[-len(new) :]:
                    if line is not None:
                        yield line

    async def unreadable_live(self, known: Collection[str]) -> list[str]:
        """Name the calls that are not over and that this version can't read; those that are known can be."""
        ids = await ask(self._redis.smembers(self._keys.live))
        doubtful = set(self._names(ids)) - set(known)
        async for portion in self._portions(ident.encode() for ident in tuple(doubtful)):
            doubtful -= {call.id for call in portion}
        return sorted(doubtful)

    async def last_seen(self) -> tuple[float, str] | None:
        """Give the last moment at which the PBX was connected, and when it had been started."""
        fields = await ask(self._redis.hgetall(self._keys.pbx))
        if not fields:
            return None
        return float(fields[b"seen"]), fields[b"startup"].decode()

    async def led_here(self) -> bool:
        """Tell whether one of the newest calls is a customer's that came by the PBX that the account has."""
        since = await ask(self._redis.hget(self._keys.pbx_known, "since"))
        seen = 0
        async for call in self.walk(since=float(since or 0.0)):
            if call.direction is Direction.IN:
                return True
            seen += 1
            if seen >= _LOOKED_AT:
                return False
        return False

    async def _portions(self, ids: Iterable[bytes]) -> AsyncIterator[list[Call]]:
        """Load calls, however many, some at a time; others have their turn in between."""
        waiting = iter(ids)
        while portion := list(itertools.islice(waiting, _AT_FIRST)):
            yield await self._load(portion)
            await asyncio.sleep(0)  # others have their turn

    async def _load(self, ids: Iterable[bytes]) -> list[Call]:
        keys = [self._keys.call(ident) for ident in self._names(ids)]
        if not keys:
            return []
        found = await ask(self._redis.mget(keys))
        states = zip(keys, found, strict=True)
        read = (self._read(key, state) for key, state in states if state is not None)
        return [call for call in read if call is not None]

    def _names(self, ids: Iterable[bytes]) -> list[str]:
        """Give the calls' ids; what can't be one is left out."""
        names = []
        for ident in ids:
            try:
                names.append(ident.decode())
            except UnicodeDecodeError:
                self._once.error("an id of a call can't be read; it stays where it is", id=repr(ident))
        return names

    def _read(self, key: str, state: bytes) -> Call | None:
        try:
            return read_call(parsed_state_in(state))
        except NOT_KNOWN as error:
            call = key.removeprefix(self._keys.call(""))
            self._once.error("a call can't be read; it stays as it is", call=call, problem=why(error))
            return None

    def _lines(self, stored: Iterable[bytes], call: str) -> list[JournalLine | None]:
        lines, left_out = read_lines(stored, call)
        new = [kind for kind in left_out if self._once.is_new(kind)]
        if new:
            self._once.error("of a journal is left out what is not known", what=", ".join(new))
        return lines
