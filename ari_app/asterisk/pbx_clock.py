"""When something happened at a PBX, by our clock.

The PBX stamps each event. Its clock may be another's, by hours, so what counts is how far it is from ours: at
most by what passed between a stamp and our reading it, at least by what passed between our asking the time
(``GET /asterisk/ping``) and its stamp. A stall of ours, or a slow network, delays what we read and changes
nothing in the stamps; a clock that somebody sets is noticed, because we measure by one that nobody sets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime

SURE_SECONDS = 1.0
"""An event that seems to be so much older than when we last had heard all is stamped by a clock set back."""


class PbxClock:
    """Turns the stamps of one PBX into moments of our `clock` (seconds since the epoch).

    `steady` is a clock that nobody sets, in seconds from anywhere.
    """

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._ahead = math.inf
        """By how much the steady clock is ahead of the PBX's, at most: the least that was seen."""
        self._heard_until = -math.inf

    def connected(self) -> None:
        """Begin anew: this may be another PBX, or the same with another clock."""
        self._ahead, self._heard_until = math.inf, self._steady()

    def asking(self) -> float:
        """Say when it is that the PBX is asked the time: for `answered`."""
        return self._steady()

    def answered(self, asked: float, stamp: object) -> float:
        """Take the PBX's time, for which we asked at a moment; give what its clock shows.

        Raises:
            ValueError: the stamp can't be read.
        """
        told = read_stamp(stamp)
        self._heard_until = asked
        if asked - told > self._ahead:  # it can't have been so late: its clock was set back
            self._ahead = math.inf
        self._ahead = min(self._ahead, self._steady() - told)
        return told

    def moment(self, stamp: object) -> float:
        """Say when something happened that is read just now; without a stamp that can be read, now."""
        now, read = self._clock(), self._steady()
        try:
            told = read_stamp(stamp)
        except ValueError:
            return now
        if told + self._ahead < self._heard_until - SURE_SECONDS:
            self._ahead = math.inf
        self._ahead = min(self._ahead, read - told)
        return round(now - (read - told - self._ahead), 3)

    def past(self, stamp: object) -> float:
        """Say when something was, such as a channel's beginning, that is told only now; never later than now.

        Without a stamp that can be read, and before the PBX was asked the time, it is now.
        """
        try:
            return self.back(read_stamp(stamp))
        except ValueError:
            return self._clock()

    def back(self, told: float) -> float:
        """Say when something was that the PBX dates `told`, in seconds since the epoch; at the latest now."""
        now, read = self._clock(), self._steady()
        return min(now, round(now - (read - told - self._ahead), 3))


def read_stamp(stamp: object) -> float:
    """Read a moment as Asterisk writes it, such as ``2026-11-25T21:00:00.123+0300``: seconds since the epoch.

    Raises:
        ValueError: it is no moment, or names no zone.
    """
    if not isinstance(stamp, str):
        raise ValueError("no stamp")
    moment = datetime.fromisoformat(stamp)
    if moment.tzinfo is None:
        raise ValueError("a stamp without a zone")
    return moment.timestamp()
