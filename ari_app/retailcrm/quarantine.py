"""Which entries of the outbox are bad by themselves: they fail while others pass.

A failure counts against an entry when another entry on the same route has passed after it; while everything
fails, the CRM is away and nothing counts. An entry is tried five times within two minutes or so, and then
goes where a person can see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ari_app.calls import OutboxEntry
from ari_app.retailcrm.errors import CrmError

TRIES = 5
PAUSES_SECONDS = (1.0, 5.0, 20.0, 60.0)
"""How long a suspect is left alone after each failure that counts; the last for all that follow."""
MAIL_PAUSES_SECONDS = (60.0, 300.0, 900.0, 3600.0)
"""The same of an e-mail: a server that doesn't know us yet lets us come again after minutes (greylisting)."""


@dataclass(slots=True)
class Suspect:
    """An entry that has failed. Moments are the given clock's, in seconds."""

    entry: OutboxEntry
    problem: str
    failed_at: float
    due: float
    """When it is tried again while others pass."""
    counted: int = 0
    """How many of its failures count."""
    judged: bool = False
    """Whether it is known if the last one does."""


class Suspects:
    """The entries on one route that have failed and wait to be tried again."""

    def __init__(self, clock: Callable[[], float], pauses: Sequence[float] | None = None) -> None:
        self._clock = clock
        self._pauses = pauses
        self._suspects: dict[str, Suspect] = {}

    def get(self, entry: OutboxEntry) -> Suspect | None:
        """Give what is known against an entry."""
        return self._suspects.get(entry.id)

    def is_due(self, entry: OutboxEntry) -> bool:
        """Tell whether an entry may be tried; one that never failed always may."""
        suspect = self._suspects.get(entry.id)
        return suspect is None or suspect.due <= self._clock()

    def longest_ago(self, entries: Iterable[OutboxEntry]) -> list[OutboxEntry]:
        """Sort entries by when they failed last."""

        def failed_at(entry: OutboxEntry) -> float:
            suspect = self._suspects.get(entry.id)
            return suspect.failed_at if suspect is not None else 0.0

        return sorted(entries, key=failed_at)

    def failed(self, entry: OutboxEntry, error: CrmError) -> Suspect:
        """Note that an entry, sent alone, has failed."""
        suspect, now = self._suspects.get(entry.id), self._clock()
        if suspect is None:
            suspect = self._suspects[entry.id] = Suspect(entry, str(error), now, now)
        suspect.problem, suspect.failed_at, suspect.judged = str(error), now, False
        pauses = self._pauses or PAUSES_SECONDS
        suspect.due = now + pauses[min(suspect.counted, len(pauses) - 1)]
        return suspect

    def next_due(self) -> float | None:
        """Give the moment at which one that isn't due yet will be; None when there is none."""
        now = self._clock()
        return min((one.due for one in self._suspects.values() if one.due > now), default=None)

    def another_passed(self, back: bool) -> Iterator[Suspect]:
        """Count what failed before; give those that have failed often enough.

        `back`: nothing had passed before, so all that failed meanwhile is tried at once.
        """
        for suspect in list(self._suspects.values()):
            if back:
                suspect.due = self._clock()
            if suspect.judged:
                continue
            suspect.judged = True
            suspect.counted += 1
            if suspect.counted >= TRIES:
                yield suspect

    def forget(self, entry: OutboxEntry) -> None:
        """Hold nothing against an entry any more: it passed, or is gone."""
        self._suspects.pop(entry.id, None)
