"""The outbox in Redis: what the CRM is still to be told, and what of it was set aside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import orjson
from redis.asyncio import Redis

from ari_app.calls import (
    NOT_KNOWN,
    CrmTold,
    JournalLine,
    OutboxEntry,
    Tell,
    TellAlert,
    TellResult,
    TellRinging,
    UnreadableEntry,
    kind_of,
    order_from,
    tagged,
)
from ari_app.store.connection import ask
from ari_app.store.events import Event, What
from ari_app.store.keys import Keys
from ari_app.store.reading import Once
from ari_app.store.writing import Commands, Writer, why

Journal: TypeAlias = Callable[[str], Awaitable[list[JournalLine]]]
"""Gives the journal of a call."""
TELLS = get_args(Tell)
_AT_ONCE = 200

_AGAIN = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
return 1
"""


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


class OutboxStore:
    """One account's outbox. `over` is told of a call when the CRM has its result, or never will.

    Whoever writes with a lease finds out by `LeaseLost` that the account is another copy's.
    """

    def __init__(
        self, redis: Redis, account: str, writer: Writer, journal: Journal, over: Callable[[str], None]
    ) -> None:
        self._redis = redis
        self._journal = journal
        self._once = Once(account)
        self._keys = Keys(account)
        self._writer = writer
        self._over = over

    # -- reading ------------------------------------------------------------------------------------------

    async def read(self, after: str = "0", limit: int = 500) -> list[OutboxEntry | UnreadableEntry]:
        """Give what the CRM is still to be told, behind an entry's id, oldest first."""
        entries = await ask(self._redis.xrange(self._keys.outbox, min=f"({after}", count=limit))
        return [_entry(ident.decode(), fields) for ident, fields in entries]

    async def calls(self) -> set[str]:
        """Name the calls of which the CRM is still to be told."""
        found: set[str] = set()
        after = "0"
        while True:
            entries = await ask(self._redis.xrange(self._keys.outbox, min=f"({after}", count=_AT_ONCE))
            found.update(fields.get(b"call", b"").decode() for _, fields in entries)
            if len(entries) < _AT_ONCE:
                return found
            after = entries[-1][0].decode()

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
                self._once.error("something that the CRM refused can't be read", problem=why(error))
        return sorted(refusals, key=lambda refusal: refusal.at)

    async def popups_not_sent(self, call: str) -> frozenset[str]:
        """Give the extensions of which the CRM was never told, by a call's journal, that they ring."""
        told: dict[bool, set[str]] = {True: set(), False: set()}
        for line in await self._journal(call):
            if isinstance(line.event, CrmTold) and isinstance(line.event.tell, TellRinging):
                told[line.event.problem is None].update(line.event.tell.codes)
        return frozenset(told[False] - told[True])

    # -- what becomes of entries --------------------------------------------------------------------------

    async def told(self, entries: Iterable[OutboxEntry], at: float, problem: str | None = None) -> None:
        """Take entries out of the outbox: the CRM was told, or (`problem`) need not be told any more."""
        commands = Commands()
        entries = list(entries)
        for entry in entries:
            commands.add("XDEL", self._keys.outbox, entry.id)
            if isinstance(entry.tell, TellAlert):
                continue  # it is of no call
            told = CrmTold(at, entry.tell, problem)
            commands.journal(self._keys, entry.call, [JournalLine(at, entry.call, None, None, told)])
        await self._writer.write(commands)
        for entry in entries:
            if isinstance(entry.tell, TellResult):
                self._over(entry.call)

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
        commands.event(self._keys, Event(at, what, {"call": entry.call, "problem": problem}))
        if not isinstance(entry.tell, TellAlert):
            told = CrmTold(at, entry.tell, problem)
            commands.journal(self._keys, entry.call, [JournalLine(at, entry.call, None, None, told)])
        await self._writer.write(commands)
        if isinstance(entry.tell, TellResult):
            self._over(entry.call)

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
        commands.event(self._keys, Event(at, What.UNREADABLE, {"call": entry.call, "problem": entry.problem}))
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


def _entry(ident: str, fields: dict[bytes, bytes]) -> OutboxEntry | UnreadableEntry:
    call, stored = fields.get(b"call", b"").decode(errors="replace"), fields.get(b"tell", b"")
    kind = None
    try:
        data = orjson.loads(stored)
        kind = kind_of(data)
        tell = order_from(data)
        if isinstance(tell, TELLS):
            return OutboxEntry(ident, call, tell)
        problem = "not for the CRM"
    except NOT_KNOWN as error:
        problem = why(error)
    problem = f"this version can't read it: {kind or 'no kind'} ({problem})"
    return UnreadableEntry(ident, call, stored, problem, tuple(fields.items()))


def _fields(refused: dict[str, Any]) -> dict[str, str]:
    """Give the fields of what could not be read, a character a byte; none of what could, or of older ones."""
    return refused.get("fields") or {}


def _tell_from(data: Any) -> Tell | None:
    try:
        tell = order_from(data)
    except NOT_KNOWN:
        return None
    return tell if isinstance(tell, TELLS) else None
