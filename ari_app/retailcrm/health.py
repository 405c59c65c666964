"""How the CRM answers: since when it does or doesn't, and when it last did."""

from __future__ import annotations

import time
from collections.abc import Callable


class Health:
    """Of one account's CRM. Moments are seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.problem: str | None = None
        """What is wrong, in words; None when all is well, or nothing was asked yet."""
        self.denied = False
        """Whether it answers, but does not let us in: a person must mend that."""
        self.since: float | None = None
        """Since when it is as it is; None while nothing was asked."""
        self.answered_at: float | None = None
        """When it last did what it was asked."""
        self.asked_at: float | None = None
        """When it was last known whether it does."""

    def answered(self) -> None:
        """It did what it was asked, or refused that alone."""
        self.answered_at = self.asked_at = self._clock()
        if self.since is None or self.problem is not None:
            self.problem, self.since = None, self.answered_at

    def failed(self, problem: str, denied: bool = False) -> None:
        """It can't be reached, or does not let us in."""
        self.asked_at = self._clock()
        if self.since is None or self.problem is None:
            self.since = self.asked_at
        self.problem, self.denied = problem, denied

    def silent_for(self, seconds: float) -> bool:
        """Tell whether nobody asked it anything for so long; a clock that was set back tells nothing."""
        return self.asked_at is None or not 0 <= self._clock() - self.asked_at < seconds
