"""Missed customers in Redis: one open record a customer, kept as calls end; and what became of them.

Whoever writes a call that is over takes note of it in the same moment (`command`, `TAKE`). A call in which
nobody was missed, of a customer who isn't, costs one look. A call that is written again counts once: the ids
of missed calls are known for some days. What is told late, when somebody has called back already, opens
nothing.

A record is JSON. It moves from the hash of the open ones into the sorted set of the closed ones when somebody
has talked with the customer, or has closed it in the cabinet. Only whole milliseconds are kept.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from ari_app.accounts.current import NO_MAIL
from ari_app.accounts.sections import MailSettings
from ari_app.calls import (
    LOST_SECONDS,
    Call,
    MissedEvent,
    Talked,
    TellMail,
    TellNotice,
    TellTask,
    TellTaskDone,
    TellWebhook,
    meaning_of,
    tagged,
    tells_of,
)
from ari_app.store.connection import ask
from ari_app.store.keys import Keys

log = structlog.get_logger(__name__)

LONGEST_NOTE = 500
"""Characters of a note."""
TAKEN = "tried"
CLOSED = "talked"
_AT_ONCE = 200
_TASK_SECONDS = 30 * 86_400

TAKE = """
local function open_record(key, number)
  local stored = redis.call('HGET', key, number)
  return stored and cjson.decode(stored) or nil
end
local function put_open(key, record)
  redis.call('HSET', key, record.number, cjson.encode(record))
  redis.call('ZADD', key .. ':since', record.first, record.number)
end
local function drop_open(key, number)
  redis.call('HDEL', key, number)
  redis.call('ZREM', key .. ':since', number)
end
local function close_record(key, record)
  redis.call('ZADD', key .. ':closed', record.first, cjson.encode(record))
end
local function tell(outbox, record, told)
  if told ~= '' then redis.call('XADD', outbox, '*', 'call', record.opened, 'tell', told) end
end
local function tell_about(outbox, record, about)
  about.phone, about.missed_at, about.times = record.number, record.first, record.times
  about.external, about.name = record.line or '', record.name or ''
  about.responsible, about.rung = record.responsible or '', record.rung or ''
  tell(outbox, record, cjson.encode(about))
end
local function tell_hook(outbox, record, told)
  if record.hook then tell_about(outbox, record, cjson.decode(told)) end
end
local function tell_mails(outbox, record, told)
  if told == '' then return end
  for _, mail in ipairs(cjson.decode(told)) do tell_about(outbox, record, mail) end
end
local function was_tried(key, tried, outbox, numbers, calls, task, notice, hook, mails, lost)
  local known = key .. ':calls'
  redis.call('ZREMRANGEBYSCORE', known, '-inf', '(' .. string.format('%d', tried.at - 604800))
  if redis.call('ZADD', known, 'NX', tried.at, tried.call) == 0 then return end
  local later = redis.call('ZREVRANGEBYSCORE', numbers, '+inf', '(' .. tried.at, 'LIMIT', 0, 20)
  for _, id in ipairs(later) do
    local state = redis.call('GET', calls .. id)
    if state and string.find(state, '^{"counted":%["[^"]*","[^"]*","[^"]*",1') then return end
  end
  local record = open_record(key, tried.number)
  local is_new = not record
  if is_new then
    record = {number = tried.number, first = tried.at, last = 0, times = 0, opened = tried.call, tries = {}}
    record.task = task ~= '' or nil
    record.hook = hook ~= '' or nil
    record.mail = lost ~= '' or nil
    tell(outbox, record, task)
    tell(outbox, record, notice)
  end
  record.times = record.times + 1
  record.first = math.min(record.first, tried.at)
  record.tries[#record.tries + 1] = {at = tried.at, call = tried.call}
  if #record.tries > 10 then table.remove(record.tries, 1) end
  if tried.at >= record.last then
    record.last = tried.at
    for _, name in ipairs({'line', 'responsible', 'rung', 'name'}) do
      if tried[name] ~= '' then record[name] = tried[name] end
    end
  end
  if is_new then
    tell_hook(outbox, record, hook)
    tell_mails(outbox, record, mails)
  end
  put_open(key, record)
end
local function was_talked(key, talked, outbox, done, hook)
  local record = open_record(key, talked.number)
  if not record or record.first > talked['until'] then return end
  local before, later = {}, {}
  for _, one in ipairs(record.tries) do
    if one.call == talked.call then
      record.times = record.times - 1
    elseif one.at > talked['until'] then
      later[#later + 1] = one
    else
      before[#before + 1] = one
    end
  end
  local mine = record.times - #later
  if mine == 0 and record.opened ~= talked.call then return end
  if mine > 0 then
    local closed = cjson.decode(cjson.encode(record))
    closed.tries, closed.times = before, mine
    if #before == 0 then closed.tries = nil else closed.last = before[#before].at end
    closed.closed, closed.how, closed.by, closed.by_call = talked.at, talked.how, talked.by, talked.call
    close_record(key, closed)
  end
  if record.task then tell(outbox, record, done) end
  tell_hook(outbox, record, hook)
  if #later == 0 then return drop_open(key, talked.number) end
  record.task, record.hook, record.mail = nil, nil, nil
  record.tries, record.times, record.first, record.opened = later, #later, later[1].at, later[1].call
  put_open(key, record)
end
local function take_missed(name, key, told, outbox, ...)
  told = cjson.decode(told)
  if name == 'tried' then was_tried(key, told, outbox, ...) else was_talked(key, told, outbox, ...) end
end
"""
"""Lua: `take_missed(name, key, told, outbox, ...)` takes note of a call that is over. `key` is the hash of
the open records, from whose name the other keys are made. Then come, of one who was missed, the key of the
customer's calls, what those of states begin with, and what the CRM, the shop's program and then its people
(by e-mail) are told, or nothing, when it is for the first time, and a word if these are written to when
nobody calls back; of one who was talked with, what CRM and program are told when they were told that they
were missed.
"""

_CHANGE = (
    TAKE
    + """
local record = open_record(KEYS[1], ARGV[1])
if not record or record.opened ~= ARGV[2] then return 0 end
for name, value in pairs(cjson.decode(ARGV[3])) do record[name] = value end
if not record.closed then
  put_open(KEYS[1], record)
else
  drop_open(KEYS[1], record.number)
  if record.task then tell(ARGV[4], record, ARGV[5]) end
  tell_hook(ARGV[4], record, ARGV[6])
  close_record(KEYS[1], record)
end
return 1
"""
)
"""Lua: change an open record if it is still the one that was seen; with `closed` in the changes it closes."""

_LOST = (
    TAKE
    + """
local told = 0
local from = redis.call('GET', KEYS[2]) or '-inf'
for _, number in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1] .. ':since', '(' .. from, ARGV[1])) do
  local record = open_record(KEYS[1], number)
  if record and (record.hook or record.mail) then
    tell_hook(KEYS[3], record, ARGV[2])
    if record.mail then tell_mails(KEYS[3], record, ARGV[3]) end
    told = told + 1
  end
end
redis.call('SET', KEYS[2], ARGV[1])
return told
"""
)
"""Lua: tell of those who are lost since it was looked last: who were missed until a moment."""


class How(StrEnum):
    """What became of a missed customer."""

    CALLED = "called"
    """We called them."""
    CAME = "came"
    """They called again and were answered."""
    BY_HAND = "by hand"
    """Somebody closed it in the cabinet, without a call."""


class Reason(StrEnum):
    """Why it was closed without a call."""

    ELSEWHERE = "elsewhere"
    """They were reached otherwise: by a message, in the shop."""
    WRONG_NUMBER = "wrong number"
    SPAM = "spam"
    NOT_NEEDED = "not needed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Try:
    """One call in vain."""

    at: float
    call: str


@dataclass(frozen=True, slots=True)
class MissedCustomer:
    """A customer who was missed. Moments are seconds since the epoch; what isn't known is empty."""

    number: str
    first: float
    last: float
    times: int
    opened: str
    """The id of the call with which it began."""
    tries: tuple[Try, ...] = ()
    """The last of their calls."""
    line: str = ""
    responsible: str = ""
    rung: str = ""
    """The extensions that were rung or should have been, with blanks between them."""
    name: str = ""
    note: str = ""
    closed: float | None = None
    """When the talk began, or when it was closed by hand."""
    how: str = ""
    """A word of `How`; one that another version knows may come."""
    by: str = ""
    """The extension of who called back, or closed it."""
    by_call: str = ""
    reason: str = ""

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose they are: the responsible manager's, else those who were rung."""
        return (self.responsible,) if self.responsible else tuple(self.rung.split())

    @property
    def seconds(self) -> float | None:
        """How long they waited for a talk, from the first time on; None when there was none."""
        if self.closed is None or self.how == How.BY_HAND:
            return None
        return max(0.0, self.closed - self.first)

    def is_lost(self, now: float) -> bool:
        """Tell whether they weren't called back, nor their record closed, within a day."""
        return (now if self.closed is None else self.closed) - self.first >= LOST_SECONDS


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which missed customers are looked for, by manager and line; what is empty leaves nobody out."""

    manager: str = ""
    """Whose they are, or who called back or closed it."""
    line: str = ""

    def lets_through(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a record, as it is stored, is wanted."""
        if self.line and record.get("line", "") != self.line:
            return False
        responsible, rung = record.get("responsible", ""), str(record.get("rung", ""))
        owners = (responsible,) if responsible else rung.split()
        return not self.manager or self.manager in (*owners, record.get("by", ""))


ALL = Wanted()
_RECORD = TypeAdapter(MissedCustomer)


def command(
    keys: Keys, call: Call, mail: MailSettings = NO_MAIL
) -> tuple[str, str, *tuple[str | bytes, ...]] | None:
    """Give the command that takes note of a call with the step that writes it; None when there is nothing.

    `mail` says who is written to.
    """
    meaning = meaning_of(call)
    if meaning is None:
        return None
    told: dict[str, Any] = {"call": call.id, "number": meaning.number, "at": round(meaning.at, 3)}
    if isinstance(meaning, Talked):
        how = How.CALLED if meaning.ours else How.CAME
        told |= {"until": round(meaning.until, 3), "by": meaning.by or "", "how": how.value}
        done = TellTaskDone(meaning.until, meaning.number)
        hook = TellWebhook(meaning.at, meaning.number, MissedEvent.CALLED_BACK, by=meaning.by or "", how=how)
        return CLOSED, keys.missed, orjson.dumps(told), keys.outbox, _tell(done), _tell(hook)
    told |= {
        "line": meaning.line or "",
        "responsible": meaning.responsible or "",
        "rung": " ".join(meaning.rung),
        "name": meaning.name or "",
    }
    tells = {type(one): _tell(one) for one in tells_of(call, meaning)}
    missed = TellWebhook(call.ended_at or meaning.at, meaning.number, MissedEvent.MISSED)
    return (
        *(TAKEN, keys.missed, orjson.dumps(told), keys.outbox),
        *(keys.number(meaning.number), keys.call("")),
        *(tells.get(TellTask, b""), tells.get(TellNotice, b"")),
        _tell(missed) if call.policy.missed_webhook else b"",
        _mails(missed.at, MissedEvent.MISSED, mail.missed),
        b"lost" if mail.lost else b"",
    )


def _tell(tell: TellTask | TellTaskDone | TellNotice | TellWebhook) -> bytes:
    return orjson.dumps(tagged(tell))


def _mails(at: float, event: MissedEvent, mailboxes: Sequence[str]) -> bytes:
    """Give what is written to some addresses, without what the record knows; nothing for none."""
    mails = [tagged(TellMail(at, "", event, to)) for to in mailboxes]
    return orjson.dumps(mails) if mails else b""


class MissedStore:
    """The missed customers of one account. Every method may raise `StoreUnavailable`."""

    def __init__(self, redis: Redis, account: str) -> None:
        self.account = account
        self._redis = redis
        self._keys = Keys(account)
        self._log = log.bind(account=account)

    async def waiting(self, now: float) -> int:
        """Count those who wait for a call, and aren't lost."""
        since = f"({now - LOST_SECONDS!r}"
        return int(await ask(self._redis.zcount(self._keys.missed_since, since, "+inf")))

    async def open(self, since: float, until: float, limit: int) -> list[MissedCustomer]:
        """Give those whom nobody has called back and who were missed in a period, the oldest first."""
        found: list[MissedCustomer] = []
        async for portion in self._stored_open(since, until, limit):
            found += self.read(portion)
        return found

    async def get(self, number: str) -> MissedCustomer | None:
        """Give an open one."""
        stored = await ask(self._redis.hget(self._keys.missed, number))
        found = self.read([stored]) if stored else []
        return found[0] if found else None

    async def closed(self, since: float, until: float) -> AsyncIterator[MissedCustomer]:
        """Give those who were closed and missed in a period, the newest first, some at a time."""
        async with aclosing(self._stored_closed(since, until)) as portions:
            async for portion in portions:
                for record in self.read(portion):
                    yield record

    async def stored(self, spans: Sequence[tuple[float, float]]) -> list[tuple[int, list[bytes]]]:
        """Say of each of some periods how many were closed who were missed in it, and give the open ones as
        they are stored, to be read by `read`.
        """
        pipe: Any = self._redis.pipeline(transaction=False)
        for since, until in spans:
            pipe.zcount(self._keys.missed_closed, since, f"({until!r}")
            pipe.zrangebyscore(self._keys.missed_since, since, f"({until!r}")
        found = await ask(pipe.execute())
        for numbers in filter(None, found[1::2]):
            pipe.hmget(self._keys.missed, numbers)
        records = iter(await ask(pipe.execute()) if any(found[1::2]) else ())
        return [
            (count, [one for one in next(records) if one] if numbers else [])
            for count, numbers in zip(found[::2], found[1::2], strict=True)
        ]

    async def _stored_closed(self, since: float, until: float) -> AsyncGenerator[list[bytes], None]:
        key, skip = self._keys.missed_closed, 0
        while True:
            found = await ask(
                self._redis.zrevrangebyscore(key, f"({until!r}", since, start=skip, num=_AT_ONCE)
            )
            yield found
            if len(found) < _AT_ONCE:
                return
            skip += len(found)

    async def _stored_open(self, since: float, until: float, limit: int) -> AsyncGenerator[list[bytes], None]:
        numbers = await ask(
            self._redis.zrangebyscore(self._keys.missed_since, since, f"({until!r}", start=0, num=limit)
        )
        for start in range(0, len(numbers), _AT_ONCE):
            portion = numbers[start : start + _AT_ONCE]
            yield [one for one in await ask(self._redis.hmget(self._keys.missed, portion)) if one]

    async def find(
        self, *, is_open: bool, since: float, until: float, wanted: Wanted, most: int, look_at: int
    ) -> tuple[list[MissedCustomer], bool]:
        """Give the first wanted ones who were missed in a period: open ones, the oldest first, or closed
        ones, the newest first. True with them: not all of the period were looked at, for so many were enough.
        """
        found: list[MissedCustomer] = []
        looked_at = 0
        stored = self._stored_open(since, until, look_at) if is_open else self._stored_closed(since, until)
        async with aclosing(stored) as portions:
            async for portion in portions:
                looked_at += len(portion)
                found += self.read(portion, wanted)
                if len(found) >= most or looked_at >= look_at:
                    break
        return found[:most], looked_at >= look_at and len(found) < most

    async def note(self, number: str, opened: str, note: str) -> bool:
        """Keep a note; False when the customer isn't missed any more."""
        return await self._change(number, opened, {"note": note[:LONGEST_NOTE]}, 0.0)

    async def close(self, number: str, opened: str, at: float, reason: Reason, by: str, note: str) -> bool:
        """Close it without a call; False when it was closed already."""
        closed: dict[str, Any] = {
            "closed": round(at, 3),
            "how": How.BY_HAND.value,
            "reason": reason.value,
            "by": by,
        }
        noted = {"note": note[:LONGEST_NOTE]} if note else {}
        return await self._change(number, opened, closed | noted, at)

    async def _change(self, number: str, opened: str, changes: dict[str, Any], at: float) -> bool:
        keys, done = self._keys, _tell(TellTaskDone(at, number))
        by, reason = changes.get("by", ""), changes.get("reason", "")
        hook = _tell(TellWebhook(at, number, MissedEvent.CLOSED, by=by, how=reason))
        changed = orjson.dumps(changes)
        asked = self._redis.eval(_CHANGE, 1, keys.missed, number, opened, changed, keys.outbox, done, hook)
        return bool(await ask(asked))

    async def tell_lost(self, now: float, mail: MailSettings = NO_MAIL) -> int:
        """Let the shop's program, and who is to be written to, be told of those who are lost since it was
        called last; count them.
        """
        keys, until = self._keys, f"{now - LOST_SECONDS:.3f}"
        hook = _tell(TellWebhook(now, "", MissedEvent.LOST))
        mails = _mails(now, MissedEvent.LOST, mail.lost)
        asked = self._redis.eval(_LOST, 3, keys.missed, keys.missed_lost, keys.outbox, until, hook, mails)
        return int(await ask(asked))

    async def keep_task(self, opened: str, task: int) -> None:
        """Remember the CRM's id of the task that a customer's first call has made, for 30 days."""
        key = self._keys.missed_task(opened)
        await ask(self._redis.set(key, task, ex=_TASK_SECONDS))

    async def task_of(self, opened: str) -> int | None:
        """Give the id of that task; None when there is none, or none any more."""
        found = await ask(self._redis.get(self._keys.missed_task(opened)))
        return int(found) if found else None

    async def forget(self, before: float) -> None:
        """Remove those who were missed before a moment: their calls go, too."""
        until = f"({before!r}"
        numbers = await ask(self._redis.zrangebyscore(self._keys.missed_since, "-inf", until))
        pipe: Any = self._redis.pipeline(transaction=True)
        if numbers:
            pipe.hdel(self._keys.missed, *numbers)
            pipe.zrem(self._keys.missed_since, *numbers)
        pipe.zremrangebyscore(self._keys.missed_closed, "-inf", until)
        await ask(pipe.execute())

    def read(self, stored: Iterable[bytes], wanted: Wanted = ALL) -> list[MissedCustomer]:
        """Read records as they are stored; what can't be read is left out."""
        found = []
        for record in stored:
            try:
                known = orjson.loads(record)
                if wanted.lets_through(known):
                    found.append(_read(known))
            except (ValueError, ValidationError, AttributeError):
                self._log.error("of a missed customer can't be read what another version wrote")
        return found


def _read(stored: Mapping[str, Any]) -> MissedCustomer:
    known = MissedCustomer.__slots__
    record = _RECORD.validate_python({n: v for n, v in stored.items() if n in known})
    return replace(record, tries=tuple(sorted(record.tries, key=lambda one: one.at)))
