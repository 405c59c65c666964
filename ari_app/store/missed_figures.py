"""What missed customers add up to: how many were called back, how soon, and how many were lost.

Each customer who was missed counts once, in the day and hour of their first call; who was lost and called
back later stays lost.

What a day adds up to is remembered until something of it changes. What is closed stays as it is, so their
number tells; the open ones are compared as they are stored.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import TypeAlias
from zoneinfo import ZoneInfo

from ari_app.calls import LOST_SECONDS
from ari_app.store.missed import MissedCustomer, MissedStore
from ari_app.store.statistics import By

_DAYS_AT_ONCE = 10
_DAY_SECONDS = 86_400.0
_Day: TypeAlias = tuple[str, str, float, float]
"""An account, a time zone, and a period in it."""


@dataclass(slots=True)
class MissedFigures:
    """Customers; `seconds` are the times, each until a talk, of those who were called back within a day."""

    missed: int = 0
    lost: int = 0
    by_hand: int = 0
    """Closed without a call within a day."""
    seconds: list[float] = field(default_factory=list)

    @property
    def called_back(self) -> int:
        """With how many somebody has talked within a day."""
        return len(self.seconds)

    @property
    def waiting(self) -> int:
        """How many still wait for a call."""
        return self.missed - self.lost - self.by_hand - self.called_back

    @property
    def share(self) -> float | None:
        """The share of the missed that were called back within a day, 0 to 1."""
        return self.called_back / self.missed if self.missed else None

    @property
    def median(self) -> float | None:
        """The time, in seconds, within which half of those who were called back were."""
        return median(self.seconds) if self.seconds else None

    def add(self, other: MissedFigures) -> None:
        """Add others."""
        self.missed += other.missed
        self.lost += other.lost
        self.by_hand += other.by_hand
        self.seconds += other.seconds

    def count(self, customer: MissedCustomer, now: float) -> None:
        """Count one."""
        self.missed += 1
        seconds = customer.seconds
        if customer.is_lost(now):
            self.lost += 1
        elif seconds is not None and seconds < LOST_SECONDS:
            self.seconds.append(seconds)
        elif customer.closed is not None:
            self.by_hand += 1


@dataclass(slots=True)
class MissedStatistics:
    """A period's figures: of all, and by hour (``00`` to ``23``), manager and line; a key may be empty."""

    all: MissedFigures = field(default_factory=MissedFigures)
    by: dict[By, dict[str, MissedFigures]] = field(default_factory=lambda: {by: {} for by in By})

    def count(self, customer: MissedCustomer, zone: ZoneInfo, now: float) -> None:
        """Count one."""
        self.all.count(customer, now)
        hour = f"{datetime.fromtimestamp(customer.first, zone).hour:02}"
        manager = customer.owners[0] if customer.owners else ""
        for by, key in ((By.HOUR, hour), (By.MANAGER, manager), (By.LINE, customer.line)):
            self.by[by].setdefault(key, MissedFigures()).count(customer, now)

    def add(self, other: MissedStatistics) -> None:
        """Add those of another period."""
        self.all.add(other.all)
        for by, figures in other.by.items():
            mine = self.by[by]
            for key, some in figures.items():
                if key not in mine:
                    mine[key] = MissedFigures()
                mine[key].add(some)


@dataclass(frozen=True, slots=True)
class _Sum:
    """What a day adds up to, of so many closed ones and those open ones, until one of these is lost."""

    closed: int
    open: int
    until: float
    figures: MissedStatistics


@dataclass
class Remembered:
    """What days add up to, of all accounts: those that were asked for last."""

    most: int = 200_000
    """So many customers are in it."""
    _known: dict[_Day, _Sum] = field(default_factory=dict)
    _customers: int = 0

    def get(self, day: _Day, closed: int, open_: int, now: float) -> MissedStatistics | None:
        """Give what a day adds up to, if nothing has changed."""
        known = self._known.pop(day, None)
        if known is None:
            return None
        if (known.closed, known.open) != (closed, open_) or now >= known.until:
            self._customers -= known.figures.all.missed
            return None
        self._known[day] = known
        return known.figures

    def keep(self, day: _Day, known: _Sum) -> None:
        """Remember a day, and forget those that nobody has asked for since longest."""
        self._known[day] = known
        self._customers += known.figures.all.missed
        while self._customers > self.most:
            oldest = next(iter(self._known))
            self._customers -= self._known.pop(oldest).figures.all.missed


async def missed_statistics(
    store: MissedStore,
    since: float,
    until: float,
    zone: ZoneInfo,
    now: float,
    remembered: Remembered | None = None,
) -> MissedStatistics:
    """Add up the customers who were missed in a period, in seconds since the epoch.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    found, remembered = MissedStatistics(), remembered or Remembered()
    days = list(_days(since, until))
    for start in range(0, len(days), _DAYS_AT_ONCE):
        some = days[start : start + _DAYS_AT_ONCE]
        for span, (closed, stored) in zip(some, await store.stored(some), strict=True):
            if closed or stored:
                day, open_ = (store.account, zone.key, *span), hash(tuple(stored))
                known = remembered.get(day, closed, open_, now)
                if known is None:
                    known, until_ = await _sum(store, span, store.read(stored), zone, now)
                    remembered.keep(day, _Sum(closed, open_, until_, known))
                found.add(known)
        await asyncio.sleep(0)  # others have their turn
    return found


async def _sum(
    store: MissedStore, span: tuple[float, float], open_: list[MissedCustomer], zone: ZoneInfo, now: float
) -> tuple[MissedStatistics, float]:
    """Add up a day, and say until when that holds: then one of the open ones is lost."""
    found = MissedStatistics()
    for customer in open_:
        found.count(customer, zone, now)
    async for customer in store.closed(*span):
        found.count(customer, zone, now)
    lost = (customer.first + LOST_SECONDS for customer in open_)
    return found, min((at for at in lost if at > now), default=math.inf)


def _days(since: float, until: float) -> Iterator[tuple[float, float]]:
    while since < until:
        yield since, min(since + _DAY_SECONDS, until)
        since += _DAY_SECONDS
