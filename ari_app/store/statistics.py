"""Statistics: what an account's calls add up to, kept as counters beside the calls.

A call counts when it is over and it is known how it ended. With its state is written what it was counted
as; whoever writes the state again takes that back and counts it anew, in one step, so each call counts once
and as it was last written. Its day and hour are those of its start in the account's time zone when it was
written: when the zone is changed, what was counted stays as it was.

One hash a day, `Keys.statistics`. Its fields are ``hour|HH|in``, ``manager|CODE|in``, ``line|NUMBER|out``;
the values four numbers: calls answered and missed, seconds waited and talked, to a tenth (once whole).
Manager and line are empty where nobody and no number of the shop's is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import orjson
from redis.asyncio import Redis

from ari_app.calls import Call, Direction, Ending, Way, brief_call, reported, whose
from ari_app.store.connection import ask, asking
from ari_app.store.keys import Keys
from ari_app.store.packed import state_in

_Four: TypeAlias = tuple[float, float, float, float]
"""Calls answered and missed, seconds waited and talked."""
_NOTHING: _Four = (0.0, 0.0, 0.0, 0.0)

_DAYS_AT_ONCE = 10
"""So many are read and added up before others have their turn."""

_OLDEST = 10

_MARK = b'{"counted":'
_ROOM = 80
"""Bytes in front of a state; what the call is counted as fills them at its end, and nothing behind moves."""

_COUNT = """
local function count(days, call, sign)
  local key, kept, gone = days .. call[1], {}, {}
  for _, field in ipairs({'hour|' .. call[2], 'manager|' .. call[7], 'line|' .. call[8]}) do
    field = field .. '|' .. call[3]
    local sums, some = {}, false
    for number in string.gmatch(redis.call('HGET', key, field) or '0 0 0 0', '%-?[%d.]+') do
      sums[#sums + 1] = number
    end
    local adds = {call[4], 1 - call[4], call[5], call[6]}
    for index = 1, 4 do
      sums[index] = string.format(index < 3 and '%d' or '%.1f', sums[index] + sign * adds[index])
      some = some or tonumber(sums[index]) ~= 0
    end
    if some then
      kept[#kept + 1], kept[#kept + 2] = field, table.concat(sums, ' ')
    else
      gone[#gone + 1] = field
    end
  end
  if #kept > 0 then redis.call('HSET', key, unpack(kept)) end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
end
local function counted(state)
  if state and string.sub(state, 1, 11) == '{"counted":' then
    local fine, read = pcall(cjson.decode, string.match(state, '^[^\\n]*'))
    return fine and read.counted or nil
  end
end
"""

PUT = (
    _COUNT
    + f"local room = {_ROOM}"
    + """
local function alike(before, state, same)
  local most = #before
  while same < most do
    local middle = math.floor((same + most + 1) / 2)
    if string.sub(before, same + 1, middle) == string.sub(state, same + 1, middle) then
      same = middle
    else
      most = middle - 1
    end
  end
  return same
end
local function put(key, days, state)
  local before = redis.call('GET', key)
  local packed = before and string.find(before, '\\n', 1, true)
  if packed then redis.call('SET', key .. ':packed', before) end
  local was, is = counted(before), counted(state)
  if not before or packed or #before > #state then
    redis.call('SET', key, state)
  else
    local front = string.sub(state, 1, room)
    if string.sub(before, 1, room) ~= front then redis.call('SETRANGE', key, 0, front) end
    local same = alike(before, state, room)
    if same < #state then redis.call('SETRANGE', key, same, string.sub(state, same + 1)) end
  end
  if was then pcall(count, days, was, -1) end
  if is then pcall(count, days, is, 1) end
end
"""
)
"""Lua: `put(key, days, state)` puts a call's state in place of the one before, and counts it. `days` is what
the keys of days begin with; they are in the slot of the call's key. One that was packed is kept beside it
(`Keys.packed`). Of the front of a state, and from where it differs from the one before, only that is written:
that is what Redis appends to its file. A counter that can't be counted keeps no call from being written.
"""

COUNT_OLD = (
    _COUNT
    + """
local was, is = counted(redis.call('GET', KEYS[1])), counted(ARGV[2])
if was or not is or redis.call('GET', KEYS[1]) ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
count(ARGV[1], is, 1)
return 1
"""
)
"""Lua: the same for a state from before there were counters, if it is still the third argument."""


class By(StrEnum):
    """What is told apart within a day."""

    HOUR = "hour"
    MANAGER = "manager"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Figures:
    """What calls add up to; seconds are summed with a tenth, and rounded where they are shown."""

    answered: int = 0
    missed: int = 0
    waiting: float = 0
    """Seconds that the customers of all calls waited."""
    talking: float = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.answered + other.answered,
            self.missed + other.missed,
            self.waiting + other.waiting,
            self.talking + other.talking,
        )

    @property
    def calls(self) -> int:
        """All calls."""
        return self.answered + self.missed

    @property
    def share(self) -> float | None:
        """The share of the calls that were answered, 0 to 1."""
        return self.answered / self.calls if self.calls else None

    @property
    def average_waiting(self) -> float | None:
        """Seconds that a customer waited."""
        return self.waiting / self.calls if self.calls else None

    @property
    def average_talking(self) -> float | None:
        """Seconds of an answered call."""
        return self.talking / self.answered if self.answered else None


@dataclass(frozen=True, slots=True)
class Statistics:
    """A period's figures by direction, and then by day, or by hour (``00`` to ``23``), manager and line."""

    days: dict[tuple[Direction, date], Figures] = field(default_factory=dict)
    by: dict[tuple[Direction, By, str], Figures] = field(default_factory=dict)


class _Sums:
    """Counters of days on their way to be statistics. There are tens of thousands: each counter's numbers of
    some days are read and summed at once.
    """

    def __init__(self) -> None:
        self._days: dict[tuple[str, date], _Four] = {}
        self._fields: dict[bytes, _Four] = {}

    def take(self, some: Iterable[tuple[date, dict[bytes, bytes]]]) -> None:
        """Add the counters of some days."""
        fields: dict[bytes, list[bytes]] = {}
        for day, counters in some:
            hours: dict[str, list[bytes]] = {}
            for name, value in counters.items():
                fields.setdefault(name, []).append(value)
                if name.startswith(b"hour|"):
                    hours.setdefault(name.rpartition(b"|")[2].decode(), []).append(value)
            for way, values in hours.items():
                self._days[way, day] = _sum(values)
        for name, values in fields.items():
            answered, missed, waiting, talking = self._fields.get(name, _NOTHING)
            more = _sum(values)
            self._fields[name] = (answered + more[0], missed + more[1], waiting + more[2], talking + more[3])

    def statistics(self) -> Statistics:
        """Give what they add up to."""
        found = Statistics()
        for (way, day), sums in self._days.items():
            found.days[Direction(way), day] = _figures(*sums)
        for name, sums in self._fields.items():
            kind, _, rest = name.decode().partition("|")
            key, _, way = rest.rpartition("|")
            found.by[Direction(way), By(kind), key] = _figures(*sums)
        return found


def _sum(values: Iterable[bytes]) -> _Four:
    """Add up counters, each four numbers."""
    numbers = [float(number) for number in b" ".join(values).split()]
    return sum(numbers[::4]), sum(numbers[1::4]), sum(numbers[2::4]), sum(numbers[3::4])


def _figures(answered: float, missed: float, waiting: float, talking: float) -> Figures:
    return Figures(int(answered), int(missed), round(waiting, 1), round(talking, 1))


def days(first: date, last: date) -> Iterator[date]:
    """Give each day from the first to the last."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def counted_as(call: Call, zone: ZoneInfo) -> list[str | float] | None:
    """Say what a call counts as; None while it isn't over, when nobody knows how it ended, and for a trial.

    These are its day, hour and direction, 1 for an answered one, seconds of waiting and talking, the
    extension of who talked last or should have answered, and the shop's number.
    """
    if not call.over or call.ending in (None, Ending.UNKNOWN) or call.trial is not None:
        return None
    began = datetime.fromtimestamp(call.started_at, zone)
    others = call.way is Way.REPORTED
    manager = reported.whose(call) if others else whose(call)
    answered = call.ending is Ending.ANSWERED
    return [
        *(began.strftime("%Y-%m-%d"), began.strftime("%H"), call.direction.value),
        *(int(answered), round(call.waiting, 1), round(call.talking, 1)),
        *(manager or "", call.external or ""),
    ]


def state_of(call: Call, zone: ZoneInfo) -> bytes:
    """Write a call's state as JSON, with what it counts as in front."""
    state, counts = brief_call(call), counted_as(call, zone)
    front = b"{" if counts is None else _MARK + orjson.dumps(counts) + b","
    return front.ljust(_ROOM) + state[1:]


def is_counted(state: bytes) -> bool:
    """Tell whether a call's state was written with what it counts as."""
    return state.startswith(_MARK)


class StatisticsStore:
    """The counters of one account."""

    def __init__(self, redis: Redis, account: str) -> None:
        self._redis = redis
        self._keys = Keys(account)

    async def read(self, first: date, last: date) -> Statistics:
        """Add up the days from the first to the last.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        found, sums = list(days(first, last)), _Sums()
        for start in range(0, len(found), _DAYS_AT_ONCE):
            some = found[start : start + _DAYS_AT_ONCE]
            sums.take(zip(some, await self._read(some), strict=True))
        return sums.statistics()

    async def complete(self) -> bool:
        """Tell whether there are no calls from before there were counters that are still to be counted.

        They are counted from the newest to the oldest, so some of the oldest tell.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        redis: Any = self._redis
        with asking():
            if await redis.exists(self._keys.counted):
                return True
            oldest = await redis.zrange(self._keys.ended, 0, _OLDEST - 1)
            states = [await redis.get(self._keys.call(ident.decode())) for ident in oldest]
        uncounted = (
            orjson.loads(state_in(state)) for state in states if state is not None and not is_counted(state)
        )
        return all(state.get("ending") is None for state in uncounted)

    async def _read(self, some: list[date]) -> list[dict[bytes, bytes]]:
        pipe: Any = self._redis.pipeline(transaction=False)
        for day in some:
            pipe.hgetall(self._keys.statistics(day.isoformat()))
        found: list[dict[bytes, bytes]] = await ask(pipe.execute())
        return found
