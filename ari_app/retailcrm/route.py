"""One of the CRM's two routes for what calls have to say: whether it takes anything, and how much at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ari_app.backoff import BackOff, spread
from ari_app.retailcrm.errors import CrmDenied, CrmError
from ari_app.retailcrm.quarantine import Suspects

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 30.0
DENIED_RETRY_SECONDS = 60.0


class Route:
    """A route of one account's CRM.

    `most` entries go in one request. After a failure it is tried with one request at a time, to see whether
    the CRM is back; `wake` is called when it is time for one. `pauses`, in seconds, are those of what fails
    alone.
    """

    def __init__(self, most: int, wake: Callable[[], None], pauses: Sequence[float] | None = None) -> None:
        self._most = most
        self._wake = wake
        self._back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self.suspects = Suspects(lambda: asyncio.get_running_loop().time(), pauses)
        self.at_once = most
        """How many entries go in one request now."""
        self.failures = 0
        """How many requests have failed since one passed."""
        self.failing = False
        self.resting = False
        self.problem: str | None = None
        """Why it takes nothing; None when it does, or when that isn't sure yet."""

    def passed(self) -> None:
        """Note that the CRM has taken something: more may go at once."""
        self.answered()
        self.at_once = min(2 * self.at_once, self._most)

    def answered(self) -> None:
        """Note that the CRM is there, whatever it says."""
        self.failing, self.failures, self.problem = False, 0, None
        self._back_off.well()

    def split(self, entries: int) -> None:
        """Send half as many at once as went wrong together."""
        self.at_once = max(1, entries // 2)

    def trouble(self, error: CrmError) -> None:
        """Note that a request failed. One failure is no outage: it is seen soon, with another entry."""
        self.failures += 1
        if self.failures > 1:
            self.problem = str(error)
        self.rest(DENIED_RETRY_SECONDS if isinstance(error, CrmDenied) and self.failures > 1 else None)

    def rest_shortly(self) -> None:
        """Leave it alone for a moment."""
        self.rest(FIRST_RETRY_SECONDS)

    def rest(self, seconds: float | None = None) -> None:
        """Leave it alone: for about so many seconds, or else longer with each failure."""
        self.failing = True
        if self.resting:
            return
        self.resting = True
        pause = self._back_off.pause() if seconds is None else seconds

        def rested() -> None:
            self.resting = False
            self._wake()

        asyncio.get_running_loop().call_later(spread(pause), rested)
