"""How long to leave alone what has just failed."""

from __future__ import annotations

import random


class BackOff:
    """Pauses between attempts (seconds): a first one, each twice as long as the one before, up to the last.

    However often something fails, the pause is a number: ``2 ** failures`` is too large for one, some time.
    """

    __slots__ = ("_first", "_last", "_next")

    def __init__(self, first: float, last: float) -> None:
        self._first = self._next = first
        self._last = last

    def pause(self) -> float:
        """Give the pause after a failure."""
        pause = min(self._next, self._last)
        self._next = 2 * pause
        return pause

    def well(self) -> None:
        """Begin anew: an attempt has succeeded."""
        self._next = self._first


def spread(seconds: float) -> float:
    """Vary a pause by a fifth, so that those whom the same thing has failed don't all come back at once."""
    return seconds * random.uniform(0.8, 1.2)  # no secret  # nosec B311
