"""The routes by which entries of the outbox are told: whether one takes anything, and how much at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import structlog

from ari_app.backoff import BackOff, spread
from ari_app.calls import OutboxEntry, TellResult
from ari_app.retailcrm.client import CALLS_IN_ONE_UPLOAD
from ari_app.retailcrm.errors import CrmDenied, CrmError
from ari_app.retailcrm.quarantine import MAIL_PAUSES_SECONDS, Suspects
from ari_app.retailcrm.waiting import Way, way_of

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 30.0
DENIED_RETRY_SECONDS = 60.0


class Route:
    """A route of one account.

    `most` entries go in one request. After a failure it is tried with one request at a time, to see whether
    the other side is back; `wake` is called when it is time for one. `pauses`, in seconds, are those of
    what fails alone.
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

    def in_turn(self, new: list[OutboxEntry], suspects: list[OutboxEntry]) -> list[OutboxEntry]:
        """Give what may be tried now, in order: what never failed, and then what has.

        While it fails, each suspect may show whether it is back, the one that has failed longest ago first.
        """
        if not self.failing:
            return [*new, *(entry for entry in suspects if self.suspects.is_due(entry))]
        return [*new, *self.suspects.longest_ago(suspects)]

    def passed(self) -> None:
        """Note that something was taken: more may go at once."""
        self.answered()
        self.at_once = min(2 * self.at_once, self._most)

    def answered(self) -> None:
        """Note that somebody is there, whatever they say."""
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


class Routes:
    """Those of one account; `wake` and `clock`, which is Unix time, are as the delivery has them."""

    def __init__(self, account: str, wake: Callable[[], None], clock: Callable[[], float]) -> None:
        self.events = Route(1, wake)
        self.uploads = Route(CALLS_IN_ONE_UPLOAD, wake)
        self.others = Route(1, wake)
        """Tasks, notices, new customers: that the key may not make them stops nothing else."""
        self.webhooks = Route(1, wake)
        """To the shop's own program."""
        self.mails = Route(1, wake, MAIL_PAUSES_SECONDS)
        """To the server for e-mail."""
        self._clock = clock
        self._log = log.bind(account=account)
        self._said: str | None = None
        self.since = clock()
        """Since when the CRM takes something, or takes nothing."""

    def __iter__(self) -> Iterator[Route]:
        return iter((self.events, self.uploads, self.others, self.webhooks, self.mails))

    def of(self, entry: OutboxEntry) -> Route:
        """Give the route by which an entry goes."""
        match way_of(entry.tell):
            case Way.CALLS:
                return self.uploads if isinstance(entry.tell, TellResult) else self.events
            case Way.OTHERS:
                return self.others
            case Way.WEBHOOK:
                return self.webhooks
            case Way.MAIL:
                return self.mails

    @property
    def problem(self) -> str | None:
        """What is wrong with the CRM, in words; None when all is well."""
        return self.events.problem or self.uploads.problem

    def next_due(self) -> float | None:
        """Give the moment, by the loop's clock, at which what has failed alone may be tried again."""
        return min((due for route in self if (due := route.suspects.next_due())), default=None)

    def say_how_it_is(self, backlog: int) -> None:
        """Say once that the CRM takes nothing, and once that it is back, when `backlog` entries wait."""
        problem, before = self.problem, self._said
        self._said = problem
        if (problem is None) is (before is None):
            return
        self.since = self._clock()
        if problem is not None:
            self._log.warning("the CRM takes nothing; all is kept and tried again", problem=problem)
        else:
            self._log.info("the CRM is back", waiting=backlog)
