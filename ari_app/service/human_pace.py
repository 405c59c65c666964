"""How often something may be done within a time that slides along."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

MINUTE = 60.0


class AtMost:
    """So many within so many seconds, by a clock that never goes back."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._taken: deque[float] = deque()

    def take(self) -> bool:
        """Do it once more; False when that is too often."""
        now = self._clock()
        while self._taken and self._taken[0] <= now - self._seconds:
            self._taken.popleft()
        if len(self._taken) >= self._most:
            return False
        self._taken.append(now)
        return True


class Strangers:
    """What is let through of one account that anybody may ask for who knows its clientId.

    A person takes a call at a time, so a human pace is enough for all that people see of it.
    """

    LOOK_UPS = 60
    """Names and managers a minute, beyond those of callers who are in calls of ours."""
    POPUPS = 60
    """Popups of reported calls a minute for one extension,"""
    POPUPS_FOR_ALL = 30
    """and calls a minute that are shown to all, because a report names nobody."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._look_ups = AtMost(self.LOOK_UPS, MINUTE, clock)
        self._for_all = AtMost(self.POPUPS_FOR_ALL, MINUTE, clock)
        self._popups: dict[str, AtMost] = {}

    def may_look_up(self, number: str, in_calls: Iterable[str | None]) -> bool:
        """Let one more caller's name be given; those who are in calls of ours are known to call."""
        return number in in_calls or self._look_ups.take()

    def shown_to(self, codes: tuple[str, ...], *, everybody: bool) -> tuple[str, ...]:
        """Give those of some extensions to whom one more call may be shown; `everybody`: nobody was named."""
        if everybody and not self._for_all.take():
            return ()
        return tuple(code for code in codes if self._of(code).take())

    def _of(self, code: str) -> AtMost:
        return self._popups.setdefault(code, AtMost(self.POPUPS, MINUTE, self._clock))
