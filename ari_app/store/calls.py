"""Calls in Redis: their state, their journal, and what the CRM is still to be told.

A step of a call is one script call: the new state, the journal's line and the outbox entries, together or not
at all, and only by who holds the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import structlog
from redis.asyncio import Redis

from ari_app.accounts.current import NO_MAIL
from ari_app.accounts.sections import MailSettings
from ari_app.bounded import Allowance
from ari_app.calls import (
    Call,
    JournalLine,
    OutboxEntry,
    Tell,
    TellResult,
    Way,
    brief_tagged,
    line_at,
)
from ari_app.store.connection import ask
from ari_app.store.events import Event, What
from ari_app.store.leases import Lease
from ari_app.store.missed import MissedStore
from ari_app.store.missed import command as missed_command
from ari_app.store.outbox import TELLS, OutboxStore
from ari_app.store.packed import HEAD, packed_at
from ari_app.store.packing import Packing
from ari_app.store.reading import CallReader
from ari_app.store.statistics import COUNT_OLD, is_counted, state_of
from ari_app.store.writing import Commands, Together, Writer

log = structlog.get_logger(__name__)


CHANNEL_SECONDS = 86_400
"""How long it is known of a channel that a call of ours began with it."""

_LOOK = """
return {redis.call('HLEN', KEYS[1]), redis.call('SCARD', KEYS[2]), redis.call('SCARD', KEYS[3]),
  redis.call('ZCARD', KEYS[4])}
"""
"""Lua. The keys: of what is set aside, the live calls, those that were handed in, those that are over."""
_AT_ONCE = 200
_NO_BOUND = 1e18
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a call: its new state, and the line for the journal."""

    call: Call
    line: JournalLine

    @property
    def tells(self) -> list[Tell]:
        """What the CRM is to be told of it."""
        return [order for order in self.line.orders if isinstance(order, TELLS)]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of an account."""

    aside: int
    """Entries of the outbox that are set aside."""
    live: int
    late: int
    """Calls that were handed in."""
    ended: int


class CallStore(CallReader):
    """The calls of one account, to be read and written.

    `zone` is the time zone in whose days and hours calls are counted when they are written, and `mail` says
    who is written to of missed customers; who only reads need not give them. `lease` is what the account is
    held by; with it, `LeaseLost` is raised by what writes.
    """

    def __init__(
        self,
        redis: Redis,
        account: str,
        zone: Callable[[], ZoneInfo] = lambda: _UTC,
        lease: Lease | None = None,
        written: Allowance | None = None,
        mail: Callable[[], MailSettings] = lambda: NO_MAIL,
    ) -> None:
        super().__init__(redis, account)
        self.written = written or Allowance(_NO_BOUND, 1.0)
        """How much may be written of the account's calls; what is begun is written all the same."""
        self.missed = MissedStore(redis, account)
        """The customers whom the calls have missed."""
        self._writer = Writer(redis, account, lease)
        self.packing = Packing(redis, account, self._writer)
        self.outbox = OutboxStore(redis, account, self._writer, self.journal, self.packing.note)
        """What the CRM is still to be told of them."""
        self._zone, self._mail = zone, mail
        self._look = redis.register_script(_LOOK)
        self._log = log.bind(account=account)

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

    async def counts(self) -> Counts:
        """Count what may have come without us, in one command; accounts that ask at one moment ask together.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        keys = self._keys
        asked = [keys.refused, keys.live, keys.late, keys.ended]
        return Counts(*await ask(Together.of(self._redis).call(self._look, asked, ())))

    async def take_late(self) -> list[Call]:
        """Give the calls that were handed in, each once.

        Raises:
            LeaseLost: another copy of the service holds the account.
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        ids = await ask(self._redis.smembers(self._keys.late))
        if not ids:
            return []
        calls = await self._load(ids)
        commands = Commands()
        commands.add("SREM", self._keys.late, *ids)
        await self._writer.write(commands)
        return calls

    def _add_steps(self, commands: Commands, steps: Sequence[Step]) -> None:
        keys, zone, mail = self._keys, self._zone(), self._mail()
        newest = {step.call.id: step.call for step in steps}
        for call in newest.values():
            commands.state(keys.call(call.id), state_of(call, zone))
            unfinished = keys.reported if call.way is Way.REPORTED else keys.live
            if call.over:
                commands.add("SREM", unfinished, call.id)
                index = keys.ended if call.trial is None else keys.trials
                commands.add("ZADD", index, call.started_at, call.id)
                if call.number is not None and call.trial is None:
                    commands.add("ZADD", keys.number(call.number), call.started_at, call.id)
                if (missed := missed_command(keys, call, mail)) is not None:
                    commands.add(*missed)
            else:
                commands.add("SADD", unfinished, call.id)
        lines: dict[str, list[JournalLine]] = {}
        for step in steps:
            lines.setdefault(step.call.id, []).append(step.line)
        for call_id, some in lines.items():
            commands.journal(self._keys, call_id, some)
        for step in steps:
            if step.line.before is None and step.call.way is not Way.REPORTED:
                began = keys.channel(step.call.caller.id)
                commands.add("SET", began, step.call.id, "EX", CHANNEL_SECONDS)
            for tell in step.tells:
                tagged_tell = orjson.dumps(brief_tagged(tell))
                commands.entry(keys.outbox, step.call.id, tagged_tell)

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
        waiting = await self.outbox.calls()
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

    async def forget(self, calls: Sequence[Call]) -> None:
        """Remove calls that are over, with all that is said of them but their part in the statistics."""
        keys, ids = self._keys, {call.id for call in calls}
        if not ids:
            return
        refused = [refusal.id for refusal in await self.outbox.refusals() if refusal.call in ids]
        pipe = self._redis.pipeline(transaction=True)
        for call in calls:
            pipe.unlink(*keys.all_of(call.id))
            pipe.zrem(keys.ended, call.id)
            pipe.zrem(keys.trials, call.id)
            if call.number is not None:
                pipe.zrem(keys.number(call.number), call.id)
        if refused:
            pipe.hdel(keys.refused, *refused)
        pipe.unlink(keys.watched)  # an earlier version wrote there
        await ask(pipe.execute())

    async def mend(self, at: float) -> None:
        """Move keys that aren't of their kind out of the way, untouched: no call could be read or written.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        keys = self._keys
        kinds = {
            **dict.fromkeys((keys.live, keys.reported), b"set"),
            **dict.fromkeys((keys.outbox, keys.events), b"stream"),
            **dict.fromkeys((keys.refused, keys.pbx, keys.pbx_known, keys.missed), b"hash"),
            **dict.fromkeys((keys.missed_since, keys.missed_calls, keys.missed_closed), b"zset"),
            **dict.fromkeys((keys.ended, keys.trials), b"zset"),
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
            commands.event(self._keys, Event(at, What.UNREADABLE, {"call": "", "problem": problem}))
            await self._writer.write(commands)

    async def forget_unreadable(self, until: float, before: float) -> list[str]:
        """Remove calls that are over, began before `until` and can't be read, and give their ids.

        Both are in seconds since the epoch; a call stays of which the CRM is still to be told, or with which
        something happened since `before`.
        """
        places = await ask(self._redis.zrangebyscore(self._keys.ended, 0, until, start=0, num=_AT_ONCE))
        waiting = await self.outbox.calls()
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

    async def seen(self, at: float, startup: str) -> None:
        """Note the last moment at which the PBX was connected, and when it had been started."""
        commands = Commands()
        commands.add("HSET", self._keys.pbx, "seen", repr(at), "startup", startup)
        await self._writer.write(commands)


def _newest(line: bytes | None, stored: bytes) -> float:
    """Say when the last line of a journal was of, which may be packed."""
    if line is not None:
        return line_at(line) or 0.0
    return packed_at(stored)
