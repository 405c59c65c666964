"""Which calls somebody wants to see: number, manager, result, direction and period, as an address says it.

Number and period are indexes of the log; for the rest the calls of the period are looked at one by one, so a
look ends after `LOOKED_AT` calls, and goes on where it ended when it is asked to.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from ari_app.calls import Call, Direction, Ending, e164, managers_of
from ari_app.store.calls import CallStore
from ari_app.store.reading import Place
from ari_app.store.sieve import Sieve

LOOKED_AT = 2000
"""So many calls are looked at for one page; then the reader is asked whether to go on."""

PERIODS = ("", "today", "yesterday", "week", "month", "own")
"""All time; four that are chosen quickly (``week`` and ``month``: the last 7 and 30 days); two days."""
RESULTS = ("", "answered", "missed", *(ending.value for ending in Ending if ending is not Ending.ANSWERED))
"""``missed`` is every ending but ``answered`` and ``unknown``."""
DIRECTIONS = ("", *(direction.value for direction in Direction))

_LONGEST = 40
_FIRST_DAY, _LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)
_BACK_DAYS = {"today": (0, 0), "yesterday": (1, 1), "week": (6, 0), "month": (29, 0)}


@dataclass(frozen=True, slots=True)
class CallFilter:
    """What was asked for, each as it was typed; empty means all. `first` and `last` are days of `own`."""

    number: str = ""
    manager: str = ""
    line: str = ""
    """A number of the shop's, in E.164."""
    result: str = ""
    direction: str = ""
    period: str = ""
    first: str = ""
    last: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> CallFilter:
        """Read it off an address; what isn't known is left out."""
        given = {
            name: query.get(name, "").strip()[:_LONGEST]
            for name in ("number", "manager", "line", "from", "to")
        }
        period = _one_of(query.get("period", ""), PERIODS)
        if "period" not in query and (given["from"] or given["to"]):
            period = "own"
        return cls(
            number=given["number"],
            manager=given["manager"],
            line=_with_plus(query.get("line", ""), given["line"]),
            result=_one_of(query.get("result", ""), RESULTS),
            direction=_one_of(query.get("direction", ""), DIRECTIONS),
            period=period,
            first=given["from"] if period == "own" else "",
            last=given["to"] if period == "own" else "",
        )

    @property
    def anything(self) -> bool:
        """Whether it leaves calls out."""
        return bool(self._given)

    @property
    def _given(self) -> dict[str, str]:
        given = {
            "number": self.number,
            "manager": self.manager,
            "line": self.line,
            "result": self.result,
            "direction": self.direction,
            "period": self.period,
            "from": self.first,
            "to": self.last,
        }
        return {name: value for name, value in given.items() if value}

    def query(self, **more: str) -> str:
        """Write it as it stands behind the question mark of an address."""
        return urlencode(self._given | more)

    @property
    def unreadable(self) -> str | None:
        """Name the day that can't be read, ``from`` or ``to``; ``order`` when the wrong one is the later."""
        first, last = _day(self.first), _day(self.last)
        if self.first and first is None:
            return "from"
        if self.last and last is None:
            return "to"
        return "order" if first and last and last < first else None

    def number_in(self, country: str) -> str | None:
        """Give the number in E.164; None when none is asked for, or what was typed isn't one."""
        return e164(self.number, country) if self.number else None

    def span(self, zone: ZoneInfo, now: float) -> tuple[float, float]:
        """Give the period from its first moment to the first one behind it, in seconds since the epoch."""
        first, last = _day(self.first), _day(self.last)
        if self.period in _BACK_DAYS:
            today = datetime.fromtimestamp(now, zone).date()
            first, last = (today - timedelta(days=days) for days in _BACK_DAYS[self.period])
        since = _midnight(first, zone) if first else 0.0
        return since, _midnight(last + timedelta(days=1), zone) if last else math.inf

    @property
    def sieve(self) -> Sieve:
        """Give what leaves most calls out that aren't wanted, before they are read."""
        doubtful = self.result in ("", Ending.UNKNOWN.value)
        answered = None if doubtful else self.result == Ending.ANSWERED.value
        ending = "" if self.result in ("missed", Ending.ANSWERED.value) else self.result
        return Sieve(self.direction, answered, self.line, self.manager, ending)

    def lets_through(self, call: Call) -> bool:
        """Tell whether a call of the period and the number is wanted."""
        if self.direction and call.direction.value != self.direction:
            return False
        if self.manager and self.manager not in managers_of(call):
            return False
        if self.line and call.external != self.line:
            return False
        ending = call.ending.value if call.ending else ""
        if self.result == "missed":
            return ending not in ("", Ending.ANSWERED.value, Ending.UNKNOWN.value)
        return self.result in ("", ending)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of calls. `behind` is where the next one begins; None when there are no more.

    `gave_up` tells that `looked_at` calls were enough, and more may be found behind them.
    """

    calls: tuple[Call, ...] = ()
    behind: Place | None = None
    looked_at: int = 0
    gave_up: bool = False


async def find(
    store: CallStore,
    wanted: CallFilter,
    span: tuple[float, float],
    number: str | None,
    most: int,
    behind: Place | None = None,
) -> Found:
    """Give the newest calls that are wanted, at most so many.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    calls: list[Call] = []
    looked_at, last = 0, behind
    sifted = store.sift(wanted.sieve, *span, number, behind=behind, look_at=LOOKED_AT)
    async for place, count, call in sifted:
        if len(calls) == most or looked_at >= LOOKED_AT:
            return Found(tuple(calls), last, looked_at, gave_up=len(calls) < most)
        looked_at += count
        last = place
        if call is not None and wanted.lets_through(call):
            calls.append(call)
    return Found(tuple(calls), None, looked_at)


async def find_all(
    store: CallStore, wanted: CallFilter, span: tuple[float, float], number: str | None
) -> AsyncIterator[Call]:
    """Give every call that is wanted, the newest first.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    async for _, _, call in store.sift(wanted.sieve, *span, number):
        if call is not None and wanted.lets_through(call):
            yield call


def _with_plus(sent: str, given: str) -> str:
    """Give a number whose plus an address may have taken for a blank."""
    return f"+{given}" if sent.startswith(" ") and given.isdecimal() else given


def _one_of(text: str, words: tuple[str, ...]) -> str:
    return text if text in words else ""


def _day(text: str) -> date | None:
    """Read a day; one before there were calls, or that nobody will see, becomes the nearest that counts."""
    try:
        return min(max(date.fromisoformat(text), _FIRST_DAY), _LAST_DAY)
    except ValueError:
        return None


def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime.combine(day, time(), zone).timestamp()
