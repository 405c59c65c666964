"""The time, and word of it when somebody sets the clock: by hand, or a service that keeps the time."""

from __future__ import annotations

import time
from collections.abc import Callable

SET_SECONDS = 1.0
"""A clock that goes too fast or slow is put right little by little; one that jumps by more was set."""


class WatchedClock:
    """Gives the time in seconds since the epoch; when it was set, calls `tell` with by how many seconds.

    Who asks for the time first is told the new one, and all who were to be told know of it by then. What has
    passed is measured by `steady`, a clock that nobody sets.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        tell: Callable[[float], None] = lambda by: None,
    ) -> None:
        self.tell = tell
        self._clock = clock
        self._steady = steady
        self._ahead = clock() - steady()

    def __call__(self) -> float:
        """Give the time."""
        now = self._clock()
        ahead = now - self._steady()
        by, self._ahead = ahead - self._ahead, ahead
        if abs(by) > SET_SECONDS:
            self.tell(by)
        return now
