"""What missed customers add up to: how many were called back, how soon, and how many were lost.

Each customer who was missed counts once, in the day and hour of their first call; who was lost and called
back later stays lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from zoneinfo import ZoneInfo

from ari_app.calls import LOST_SECONDS
from ari_app.store.missed import MissedCustomer, MissedStore
from ari_app.store.statistics import By

_AT_ONCE = 500
_MOST = 10**9


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


async def missed_statistics(
    store: MissedStore, since: float, until: float, zone: ZoneInfo, now: float
) -> MissedStatistics:
    """Add up the customers who were missed in a period, in seconds since the epoch.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    found = MissedStatistics()
    for customers in _portions(await store.open(since, until, _MOST)):
        for customer in customers:
            found.count(customer, zone, now)
        await asyncio.sleep(0)  # others have their turn
    async for customer in store.closed(since, until):
        found.count(customer, zone, now)
    return found


def _portions(customers: list[MissedCustomer]) -> Iterator[list[MissedCustomer]]:
    for start in range(0, len(customers), _AT_ONCE):
        yield customers[start : start + _AT_ONCE]
