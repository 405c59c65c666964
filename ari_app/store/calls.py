"""Calls in Redis: their state, their journal, and what the CRM is still to be told.

A step of a call is one script call: the new state, the journal's line and the outbox entries, together or not
at all, and only by who holds the account.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from zoneinfo import ZoneInfo

import orjson
import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from ari_app.bounded import Allowance
from ari_app.calls import (
    NOT_KNOWN,
    Call,
    CrmTold,
    Direction,
    JournalLine,
    OutboxEntry,
    Tell,
    TellAlert,
    TellResult,
    TellRinging,
    UnreadableEntry,
    Way,
    brief_line,
    brief_tagged,
    kind_of,
    line_at,
    load_call,
    order_from,
    read_lines,
    tagged,
)
from ari_app.store.connection import ask
from ari_app.store.events import KEPT, Event, What
from ari_app.store.keys import Keys
from ari_app.store.leases import Lease
from ari_app.store.missed import MissedStore
from ari_app.store.missed import command as missed_command
from ari_app.store.packed import HEAD, is_packed, lines_of, packed_at, state_in, unpack
from ari_app.store.packing import Packing
from ari_app.store.statistics import COUNT_OLD, is_counted, state_of
from ari_app.store.writing import Commands, Writer

log = structlog.get_logger(__name__)


CHANNEL_SECONDS = 86_400
"""How long it is known of a channel that a call of ours began with it."""

_LOOKED_AT = 200
"""So many of the newest calls are looked at for a customer's."""

_AT_ONCE = 200
_NO_BOUND = 1e18
_AT_FIRST = 64
"""So many calls are read first, then more: most readers of the log have seen enough on the first page."""

_AGAIN = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
return 1
"""
_UTC = ZoneInfo("UTC")
_TELLS = get_args(Tell)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a call: its new state, and the line for the journal."""

    call: Call
    line: JournalLine

    @property
    def tells(self) -> list[Tell]:
        """What the CRM is to be told of it."""
        return [order for order in self.line.orders if isinstance(order, _TELLS)]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that the CRM refused for good, kept for a person to see.

    `tell` is None when another version wanted it told, and this one can't read it.
    """

    id: str
    call: str
    tell: Tell | None
    at: float
    problem: str


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


class CallStore:
    """The calls of one account.

    `zone` is the time zone in whose days and hours calls are counted when they are written; who only reads
    need not give it. `lease` is what the account is held by; with it, `LeaseLost` is raised by what writes.

    Another version may have stored what this one does not know. What can't be read stays as it is and is left
    out, with a line in the log; the version that knows it reads it.
    """

    def __init__(
        self,
        redis: Redis,
        account: str,
        zone: Callable[[], ZoneInfo] = lambda: _UTC,
        lease: Lease | None = None,
        written: Allowance | None = None,
    ) -> None:
        self.account = account
        self.written = written or Allowance(_NO_BOUND, 1.0)
        """How much may be written of the account's calls; what is begun is written all the same."""
        self.missed = MissedStore(redis, account)
        """The customers whom the calls have missed."""
        self._redis = redis
        self._writer = Writer(redis, account, lease)
        self._keys = Keys(account)
        self.packing = Packing(redis, account, self._writer)
        self._zone = zone
        self._log = log.bind(account=account)
        self._said: set[str] = set()
        """What was said of what can't be read: it is said once."""

    # -- writing ------------------------------------------------------------------------------------------

    async def write(self, steps: Sequence[Step]) -> list[OutboxEntry]:
        """Write steps, in order and at once; calls that are over are counted with it, each once.

        Gives what the CRM is to be told of them, as it stands in the outbox now.

        Raises:
            LeaseLost: another copy of the service holds the account; nothing was written.
            StoreUnavailable: nothing was written, or it is not known whether it was.
        """
        commands = Commands()
        self._add_steps(commands, steps)
        self.written.take(commands.size)
        ids = await self._writer.write(commands)
        for step in steps:
            if step.call.over and not any(isinstance(tell, TellResult) for tell in step.tells):
                self.packing.note(step.call.id)
        told = [(step.call.id, tell) for step in steps for tell in step.tells]
        return [OutboxEntry(ident, call, tell) for ident, (call, tell) in zip(ids, told, strict=True)]

    async def hand_in(self, steps: Sequence[Step], *, unless_found: bool = False) -> None:
        """Write all the steps of a call though another copy holds the account now, for that copy to take up.

        A call of which Redis has heard already is left as it is; with `unless_found` so is one whose caller
        has begun another call there.

        Raises:
            StoreUnavailable: nothing was written, or it is not known whether it was.
        """
        call, caller = steps[-1].call.id, steps[0].call.caller.id
        commands = Commands()
        commands.unless(self._keys.call(call))
        if unless_found:
            commands.unless(self._keys.channel(caller))
        self._add_steps(commands, steps)
        commands.add("SADD", self._keys.late, call)
        await Writer(self._redis, self.account).write(commands)

    async def take_late(self) -> list[Call]:
        """Give the calls that were handed in, each once.

        Raises:
            LeaseLost: another copy of the service holds the account.
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        if not await ask(self._redis.scard(self._keys.late)):
            return []
        ids = await ask(self._redis.smembers(self._keys.late))
        calls = await self._load(ids)
        commands = Commands()
        commands.add("SREM", self._keys.late, *ids)
        await self._writer.write(commands)
        return calls

    def _add_steps(self, commands: Commands, steps: Sequence[Step]) -> None:
        keys, zone = self._keys, self._zone()
        newest = {step.call.id: step.call for step in steps}
        for call in newest.values():
            commands.state(keys.call(call.id), state_of(call, zone))
            unfinished = keys.reported if call.way is Way.REPORTED else keys.live
            if call.over:
                commands.add("SREM", unfinished, call.id)
                commands.add("ZADD", keys.ended, call.started_at, call.id)
                if call.number is not None:
                    commands.add("ZADD", keys.number(call.number), call.started_at, call.id)
                if (missed := missed_command(keys, call)) is not None:
                    commands.add(*missed)
            else:
                commands.add("SADD", unfinished, call.id)
        lines: dict[str, list[JournalLine]] = {}
        for step in steps:
            lines.setdefault(step.call.id, []).append(step.line)
        for call_id, some in lines.items():
            self._add_lines(commands, call_id, some)
        for step in steps:
            if step.line.before is None and step.call.way is not Way.REPORTED:
                began = keys.channel(step.call.caller.id)
                commands.add("SET", began, step.call.id, "EX", CHANNEL_SECONDS)
            for tell in step.tells:
                tagged_tell = orjson.dumps(brief_tagged(tell))
                commands.entry(keys.outbox, step.call.id, tagged_tell)

    async def told(self, entries: Iterable[OutboxEntry], at: float, problem: str | None = None) -> None:
        """Take entries out of the outbox: the CRM was told, or (`problem`) need not be told any more."""
        commands = Commands()
        entries = list(entries)
        for entry in entries:
            commands.add("XDEL", self._keys.outbox, entry.id)
            if isinstance(entry.tell, TellAlert):
                continue  # it is of no call
            told = CrmTold(at, entry.tell, problem)
            self._add_lines(commands, entry.call, [JournalLine(at, entry.call, None, None, told)])
        await self._writer.write(commands)
        for entry in entries:
            if isinstance(entry.tell, TellResult):
                self.packing.note(entry.call)

    async def refused(self, entry: OutboxEntry, at: float, problem: str) -> None:
        """Move an entry that the CRM refused for good to the list that a person can see."""
        await self._put_aside(entry, at, problem, What.CRM_REFUSED)

    async def quarantine(self, entry: OutboxEntry, at: float, problem: str) -> None:
        """Move an entry that fails while others pass to the same list."""
        await self._put_aside(entry, at, problem, What.SET_ASIDE)

    async def _put_aside(self, entry: OutboxEntry, at: float, problem: str, what: What) -> None:
        data = {"id": entry.id, "call": entry.call, "at": at, "problem": problem, "tell": tagged(entry.tell)}
        commands = Commands()
        commands.add("XDEL", self._keys.outbox, entry.id)
        commands.add("HSET", self._keys.refused, entry.id, orjson.dumps(data))
        self._add_event(commands, Event(at, what, {"call": entry.call, "problem": problem}))
        if not isinstance(entry.tell, TellAlert):
            told = CrmTold(at, entry.tell, problem)
            self._add_lines(commands, entry.call, [JournalLine(at, entry.call, None, None, told)])
        await self._writer.write(commands)
        if isinstance(entry.tell, TellResult):
            self.packing.note(entry.call)

    async def set_aside(self, entry: UnreadableEntry, at: float) -> None:
        """Move an entry that this version can't read, as it is, to the list that a person can see."""
        try:
            tell = orjson.loads(entry.stored)
        except ValueError:
            tell = entry.stored.decode(errors="replace")
        data = {"id": entry.id, "call": entry.call, "at": at, "problem": entry.problem, "tell": tell}
        data["fields"] = {name.decode("latin-1"): value.decode("latin-1") for name, value in entry.fields}
        commands = Commands()
        commands.add("XDEL", self._keys.outbox, entry.id)
        commands.add("HSET", self._keys.refused, entry.id, orjson.dumps(data))
        self._add_event(commands, Event(at, What.UNREADABLE, {"call": entry.call, "problem": entry.problem}))
        await self._writer.write(commands)

    async def send_again(self, refusal: str) -> str | None:
        """Move what the CRM refused back into the outbox, once; name its call, None if it was moved already.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        keys = self._keys
        found = await ask(self._redis.hget(keys.refused, refusal))
        if found is None:
            return None
        data = orjson.loads(found)
        fields = {name.encode("latin-1"): text.encode("latin-1") for name, text in _fields(data).items()}
        fields = fields or {b"call": data["call"].encode(), b"tell": orjson.dumps(data["tell"])}
        told = [word for field in fields.items() for word in field]
        again = self._redis.eval(_AGAIN, 2, keys.refused, keys.outbox, refusal, found, *told)
        return str(data["call"]) if await ask(again) else None

    async def count_old(self, calls: Iterable[Call]) -> None:
        """Count calls that ended before there were counters; one that is counted stays as it is.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        keys = [self._keys.call(call.id) for call in calls]
        found = await ask(self._redis.mget(keys)) if keys else []
        pipe = self._redis.pipeline(transaction=False)
        for key, state in zip(keys, found, strict=True):
            if state is None or is_counted(state):
                continue
            call = self._read(key, state)
            if call is not None:
                counted = state_of(call, self._zone())
                pipe.eval(COUNT_OLD, 1, key, self._keys.statistics(""), counted, state)
        await ask(pipe.execute())

    async def all_counted(self) -> bool:
        """Tell whether the calls from before there were counters are counted."""
        return bool(await ask(self._redis.exists(self._keys.counted)))

    async def note_all_counted(self) -> None:
        """Remember that they are."""
        await ask(self._redis.set(self._keys.counted, 1))

    async def settled(self, calls: Sequence[Call], before: float) -> list[Call]:
        """Give those that are over, of which the CRM is told all, and with which nothing happened since
        `before`, in seconds since the epoch.
        """
        waiting = await self._calls_to_tell()
        touched = await self._touched([call.id for call in calls])
        return [
            call
            for call, at in zip(calls, touched, strict=True)
            if call.over and call.id not in waiting and at < before
        ]

    async def _touched(self, calls: Sequence[str]) -> list[float]:
        """Say when something happened last with calls, in seconds since the epoch; 0: nobody knows."""
        pipe: Any = self._redis.pipeline(transaction=False)
        for call in calls:
            pipe.lindex(self._keys.journal(call), -1)
            pipe.getrange(self._keys.call(call), 0, HEAD - 1)
        found = iter(await ask(pipe.execute()))
        return [_newest(line, stored) for line, stored in zip(found, found, strict=True)]

    async def forget(self, calls: Sequence[Call], before: float) -> None:
        """Remove calls that are over, with all that is said of them but their part in the statistics.

        Of what can be watched, the lines from before a moment go.
        """
        keys, ids = self._keys, {call.id for call in calls}
        if not ids:
            return
        refused = [refusal.id for refusal in await self.refusals() if refusal.call in ids]
        pipe = self._redis.pipeline(transaction=True)
        for call in calls:
            pipe.unlink(*keys.all_of(call.id))
            pipe.zrem(keys.ended, call.id)
            if call.number is not None:
                pipe.zrem(keys.number(call.number), call.id)
        if refused:
            pipe.hdel(keys.refused, *refused)
        pipe.xtrim(keys.watched, minid=max(0, int(before * 1000)))
        await ask(pipe.execute())

    async def _calls_to_tell(self) -> set[str]:
        found: set[str] = set()
        after = "0"
        while True:
            entries = await ask(self._redis.xrange(self._keys.outbox, min=f"({after}", count=_AT_ONCE))
            found.update(fields.get(b"call", b"").decode() for _, fields in entries)
            if len(entries) < _AT_ONCE:
                return found
            after = entries[-1][0].decode()

    async def mend(self, at: float) -> None:
        """Move keys that aren't of their kind out of the way, untouched: no call could be read or written.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        keys = self._keys
        kinds = {
            **dict.fromkeys((keys.live, keys.reported), b"set"),
            **dict.fromkeys((keys.outbox, keys.watched, keys.events), b"stream"),
            **dict.fromkeys((keys.refused, keys.pbx, keys.pbx_known, keys.missed), b"hash"),
            **dict.fromkeys((keys.missed_since, keys.missed_calls, keys.missed_closed), b"zset"),
            keys.ended: b"zset",
        }
        pipe: Any = self._redis.pipeline(transaction=False)
        for key in kinds:
            pipe.type(key)
        found = await ask(pipe.execute())
        for (key, kind), is_kind in zip(kinds.items(), found, strict=True):
            if is_kind in (kind, b"none"):
                continue
            aside = keys.aside(key, at)
            await ask(self._redis.rename(key, aside))
            self._log.error("a key of another kind is moved out of the way", key=key, to=aside)
            problem = f"{key} is a {is_kind.decode()}, not a {kind.decode()}: see {aside}"
            commands = Commands()
            self._add_event(commands, Event(at, What.UNREADABLE, {"call": "", "problem": problem}))
            await self._writer.write(commands)

    async def forget_unreadable(self, until: float, before: float) -> list[str]:
        """Remove calls that are over, began before `until` and can't be read, and give their ids.

        Both are in seconds since the epoch; a call stays of which the CRM is still to be told, or with which
        something happened since `before`.
        """
        places = await ask(self._redis.zrangebyscore(self._keys.ended, 0, until, start=0, num=_AT_ONCE))
        waiting = await self._calls_to_tell()
        gone = []
        for ident in [ident for ident in self._names(places) if ident not in waiting]:
            state = await ask(self._redis.get(self._keys.call(ident)))
            if state is not None and self._read(self._keys.call(ident), state) is not None:
                continue
            [touched] = await self._touched([ident])
            if touched < before:
                gone.append(ident)
        if gone:
            keys = self._keys
            pipe: Any = self._redis.pipeline(transaction=True)
            pipe.unlink(*(key for ident in gone for key in keys.all_of(ident)))
            pipe.zrem(self._keys.ended, *gone)
            await ask(pipe.execute())
        return gone

    async def seen(self, at: float, startup: str) -> None:
        """Note the last moment at which the PBX was connected, and when it had been started."""
        commands = Commands()
        commands.add("HSET", self._keys.pbx, "seen", repr(at), "startup", startup)
        await self._writer.write(commands)

    def _add_lines(self, commands: Commands, call: str, lines: Sequence[JournalLine]) -> None:
        keys = self._keys
        commands.lines(keys.journal(call), keys.watched, call, [brief_line(line) for line in lines])

    def _add_event(self, commands: Commands, event: Event) -> None:
        fields = (part for pair in event.fields().items() for part in pair)
        commands.add("XADD", self._keys.events, "MAXLEN", "~", KEPT, "*", *fields)

    # -- reading ------------------------------------------------------------------------------------------

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
        """Name all calls that are over, oldest first."""
        return self._names(await ask(self._redis.zrange(self._keys.ended, 0, -1)))

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

    async def _behind(
        self, key: str, since: float, until: float, behind: Place | None, limit: int
    ) -> tuple[list[Place], bool]:
        """Give the next places in an index, and whether there may be more behind them."""
        newest, same = f"({until!r}", 0
        if behind is not None and behind.at < until:
            newest = repr(behind.at)
            same = await ask(self._redis.zcount(key, newest, newest))
        found = await ask(
            self._redis.zrevrangebyscore(key, newest, since, start=0, num=limit + same, withscores=True)
        )
        places = [Place(at, ident.decode(errors="replace")) for ident, at in found]
        if behind is not None:
            last = (behind.at, behind.id.encode())
            places = [place for place in places if (place.at, place.id.encode()) < last]
        return places, len(found) == limit + same

    async def get(self, call_id: str) -> Call | None:
        """Give one call."""
        found = await self._load([call_id.encode()])
        return found[0] if found else None

    async def journal(self, call_id: str) -> list[JournalLine]:
        """Give a call's lines, oldest first; one written twice (Redis' answer was lost) counts once."""
        packed, lines = await self._stored_journal(call_id)
        return self._lines(dict.fromkeys(lines_of(packed, lines)))

    async def _stored_journal(self, call_id: str) -> tuple[list[bytes | None], list[bytes]]:
        """Give what may be packed of a call, oldest first, and the list of its journal's lines."""
        keys = self._keys
        pipe: Any = self._redis.pipeline(transaction=True)
        pipe.mget(keys.packed(call_id), keys.call(call_id))
        pipe.lrange(keys.journal(call_id), 0, -1)
        packed, lines = await ask(pipe.execute())
        return packed, lines

    async def popups_not_sent(self, call_id: str) -> frozenset[str]:
        """Give the extensions of which the CRM was never told, by a call's journal, that they ring.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        told: dict[bool, set[str]] = {True: set(), False: set()}
        for line in await self.journal(call_id):
            if isinstance(line.event, CrmTold) and isinstance(line.event.tell, TellRinging):
                told[line.event.problem is None].update(line.event.tell.codes)
        return frozenset(told[False] - told[True])

    async def keep_task(self, call: str, task: int) -> None:
        """Remember the CRM's id of the task that a missed call has made."""
        await self.missed.keep_task(call, task)

    async def task_of(self, call: str) -> int | None:
        """Give the id of the task that a missed call has made; None when there is none."""
        return await self.missed.task_of(call)

    async def watch(self, since: str = "$") -> AsyncIterator[JournalLine]:
        """Give the account's new lines as they are written, for ever. `since` is a stream id."""
        while True:
            found = await ask(self._redis.xread({self._keys.watched: since}, block=1000, count=500))
            for _, entries in found or []:
                for ident, fields in entries:
                    since = ident.decode()
                    for line in self._lines(await self._new_lines(since, fields)):
                        yield line

    async def _new_lines(self, ident: str, fields: dict[bytes, bytes]) -> list[bytes]:
        """Give the lines of which an entry of the watched stream tells."""
        if b"line" in fields:
            return [fields[b"line"]]  # as an earlier version wrote it
        last, count = int(fields[b"last"]), int(fields[b"count"])
        packed, lines = await self._stored_journal(fields[b"call"].decode())
        written = int(ident.partition("-")[0])
        for stored in packed:
            if stored is not None and is_packed(stored) and unpack(stored).until >= written:
                lines = lines_of([stored], [])
                break
        return lines[last - count : last]

    async def watched_until(self) -> str:
        """Give the stream id after which `watch` gives only what is still to come."""
        newest = await ask(self._redis.xrevrange(self._keys.watched, count=1))
        return newest[0][0].decode() if newest else "0"

    async def outbox(self, after: str = "0", limit: int = 500) -> list[OutboxEntry | UnreadableEntry]:
        """Give what the CRM is still to be told, behind an entry's id, oldest first."""
        entries = await ask(self._redis.xrange(self._keys.outbox, min=f"({after}", count=limit))
        return [_entry(ident.decode(), fields) for ident, fields in entries]

    async def unreadable_live(self, known: Collection[str]) -> list[str]:
        """Name the calls that are not over and that this version can't read; those that are known can be."""
        ids = await ask(self._redis.smembers(self._keys.live))
        doubtful = set(self._names(ids)) - set(known)
        async for portion in self._portions(ident.encode() for ident in doubtful):
            doubtful -= {call.id for call in portion}
        return sorted(doubtful)

    async def refused_count(self) -> int:
        """Say how many entries of the outbox are set aside: refused, failing alone, or not readable."""
        return int(await ask(self._redis.hlen(self._keys.refused)))

    async def refusals(self) -> list[Refusal]:
        """Give what the CRM refused for good, oldest first."""
        found = await ask(self._redis.hvals(self._keys.refused))
        refusals = []
        for stored in found:
            try:
                data = orjson.loads(stored)
                tell = _tell_from(data["tell"])
                refusals.append(Refusal(data["id"], data["call"], tell, data["at"], data["problem"]))
            except NOT_KNOWN as error:
                self._leave_out("something that the CRM refused can't be read", problem=_why(error))
        return sorted(refusals, key=lambda refusal: refusal.at)

    async def last_seen(self) -> tuple[float, str] | None:
        """Give the last moment at which the PBX was connected, and when it had been started."""
        fields = await ask(self._redis.hgetall(self._keys.pbx))
        if not fields:
            return None
        return float(fields[b"seen"]), fields[b"startup"].decode()

    async def has_pbx_since(self, identity: str, at: float) -> float:
        """Note which PBX the account has, and give since when (seconds since the epoch); 0 for its first."""
        known, since = await ask(self._redis.hmget(self._keys.pbx_known, ["identity", "since"]))
        if known is not None and known.decode() == identity:
            return float(since)
        now = 0.0 if known is None else at
        commands = Commands()
        commands.add("HSET", self._keys.pbx_known, "identity", identity, "since", repr(now))
        await self._writer.write(commands)
        return now

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
                self._leave_out("an id of a call can't be read; it stays where it is", id=repr(ident))
        return names

    def _read(self, key: str, state: bytes) -> Call | None:
        try:
            return load_call(state_in(state))
        except NOT_KNOWN as error:
            call = key.removeprefix(self._keys.call(""))
            self._leave_out("a call can't be read; it stays as it is", call=call, problem=_why(error))
            return None

    def _lines(self, stored: Iterable[bytes]) -> list[JournalLine]:
        lines, left_out = read_lines(stored)
        new = [kind for kind in left_out if kind not in self._said]
        if new:
            self._said.update(new)
            self._log.error("of a journal is left out what is not known", what=", ".join(new))
        return lines

    def _leave_out(self, saying: str, /, **values: str) -> None:
        said = f"{saying} {values}"
        if said not in self._said:
            self._said.add(said)
            self._log.error(saying, **values)


def _newest(line: bytes | None, stored: bytes) -> float:
    """Say when the last line of a journal was of, which may be packed."""
    if line is not None:
        return line_at(line) or 0.0
    return packed_at(stored)


def _entry(ident: str, fields: dict[bytes, bytes]) -> OutboxEntry | UnreadableEntry:
    call, stored = fields.get(b"call", b"").decode(errors="replace"), fields.get(b"tell", b"")
    kind = None
    try:
        data = orjson.loads(stored)
        kind = kind_of(data)
        tell = order_from(data)
        if isinstance(tell, _TELLS):
            return OutboxEntry(ident, call, tell)
        why = "not for the CRM"
    except NOT_KNOWN as error:
        why = _why(error)
    problem = f"this version can't read it: {kind or 'no kind'} ({why})"
    return UnreadableEntry(ident, call, stored, problem, tuple(fields.items()))


def _fields(refused: dict[str, Any]) -> dict[str, str]:
    """Give the fields of what could not be read, a character a byte; none of what could, or of older ones."""
    return refused.get("fields") or {}


def _tell_from(data: Any) -> Tell | None:
    try:
        tell = order_from(data)
    except NOT_KNOWN:
        return None
    return tell if isinstance(tell, _TELLS) else None


def _why(error: Exception) -> str:
    """Say what is wrong with something that was stored, but not what stands there: it may be anybody's."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['type']}"
    return "not known" if isinstance(error, KeyError) else "no JSON of ours"
