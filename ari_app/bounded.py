"""What others say, read within bounds: nobody's words may hold up the loop that serves all accounts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

_SEPARATORS = b",[{"


def read_json(said: bytes | str, most_values: int) -> Any:
    """Read JSON that has no more than so many values.

    The time it takes goes by their number: four megabytes of ``[],[],[]`` take half a second, as many of text
    some milliseconds. Depth is bounded by orjson itself.

    Raises:
        ValueError: it is no JSON, or has more values.
    """
    raw = said.encode("utf-8", "replace") if isinstance(said, str) else said
    if len(raw) - len(raw.translate(None, _SEPARATORS)) > most_values:
        raise ValueError(f"more than {most_values} values")
    return orjson.loads(said)


SAID_SECONDS = 60.0
"""How often it is said that somebody has used up what is allowed."""


class Allowance:
    """How often something may happen: so many times a second, on an average of `seconds`."""

    def __init__(self, a_second: float, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.a_second = a_second
        self._most = a_second * seconds
        self._clock = clock
        self._left, self._at = self._most, clock()
        self._said_at = float("-inf")

    def take(self, times: int = 1) -> tuple[float, bool]:
        """Take some; say how many seconds to wait (0: they were there), and whether to say so in the log."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self.a_second) - times
        self._at = now
        self._left = max(self._left, -self._most)
        if self._left >= 0:
            return 0.0, False
        say = now - self._said_at >= SAID_SECONDS
        if say:
            self._said_at = now
        return -self._left / self.a_second, say

    @property
    def used(self) -> float:
        """The share that is used up, 1 and more: all of it."""
        left = self._left + (self._clock() - self._at) * self.a_second
        return max(0.0, 1.0 - left / self._most)
