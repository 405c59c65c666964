"""What of all that waits may be told now, in which order, and what need not be told any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from ari_app.accounts.current import Current
from ari_app.calls import (
    LOST_SECONDS,
    OutboxEntry,
    TellAlert,
    TellHangup,
    TellMail,
    TellNotice,
    TellRinging,
    TellTask,
)
from ari_app.retailcrm.intake import POPUP_SECONDS
from ari_app.retailcrm.letters import Letters
from ari_app.retailcrm.popups import Popups
from ari_app.retailcrm.quarantine import Suspect
from ari_app.retailcrm.route import Route, Routes
from ari_app.retailcrm.waiting import Lane, Waiting, Way, is_told_anyway, lane_of, way_of
from ari_app.retailcrm.webhook import Webhook

COUNTED_TO_BE_PASSED = 2
"""Failures that count, after which a call's result no longer waits for what stands before it."""
SWEPT_AT_ONCE = 200


@dataclass
class Ready:
    """What may be told now, each list in the order in which it goes."""

    fresh: list[OutboxEntry] = field(default_factory=list)
    """Events that have just happened: before all others of their route."""
    new: dict[Route, list[OutboxEntry]] = field(default_factory=lambda: defaultdict(list))
    """What never failed."""
    suspects: dict[Route, list[OutboxEntry]] = field(default_factory=lambda: defaultdict(list))
    """What has failed before."""
    useless: list[tuple[OutboxEntry, str]] = field(default_factory=list)
    """What need not be told any more, and why."""


class Schedule:
    """Of one account's entries."""

    def __init__(
        self,
        waiting: Waiting,
        routes: Routes,
        popups: Popups,
        current: Current,
        clock: Callable[[], float],
        webhook: Webhook | None,
        letters: Letters | None,
    ) -> None:
        self._waiting = waiting
        self._routes = routes
        self._popups = popups
        self._current = current
        self._clock = clock
        self._webhook, self._letters = webhook, letters

    def ready(self, busy: Set[Lane]) -> Ready:
        """Sort what stands first of each call, but for the lanes in which something is being told."""
        ready = Ready()
        for entry in self._waiting.firsts():
            if lane_of(entry) in busy or not self.may_go(entry):
                continue
            why = self._useless(entry)
            if why is not None:
                if len(ready.useless) < SWEPT_AT_ONCE:
                    ready.useless.append((entry, why))
                continue
            route = self._routes.of(entry)
            suspect = route.suspects.get(entry)
            if suspect is not None and (result := self._passing(suspect)) is not None:
                ready.new[self._routes.uploads].append(result)
            elif suspect is not None:
                ready.suspects[route].append(entry)
            elif route is self._routes.events and self.is_fresh(entry):
                ready.fresh.append(entry)
            else:
                ready.new[route].append(entry)
        return ready

    def is_fresh(self, entry: OutboxEntry) -> bool:
        """Tell whether something has just happened."""
        return self._clock() - entry.tell.at <= POPUP_SECONDS

    def may_go(self, entry: OutboxEntry) -> bool:
        """Tell whether it doesn't wait until telephony is on again in the CRM."""
        return self._current.activity.on or is_told_anyway(entry.tell)

    def _passing(self, suspect: Suspect) -> OutboxEntry | None:
        """Give the call's result, if it need not wait any longer for an event before it that fails."""
        if self._routes.of(suspect.entry) is not self._routes.events:
            return None
        if suspect.counted < COUNTED_TO_BE_PASSED:
            return None
        result = self._waiting.result_behind(suspect.entry)
        if result is None or self._routes.uploads.suspects.get(result) is not None:
            return None
        return result

    def _useless(self, entry: OutboxEntry) -> str | None:
        """Say why something need not be told any more; None when it is to be told."""
        tell = entry.tell
        if isinstance(tell, TellRinging) and not self.is_fresh(entry):
            return "too late: nobody needs this popup any more"
        if isinstance(tell, TellHangup) and not self._popups.codes(entry.call, tell):
            return "not needed: the CRM was never told that the call rings"
        if isinstance(tell, TellTask | TellNotice) and self._clock() - tell.missed_at > LOST_SECONDS:
            return "too late: the customer was missed more than a day ago"
        if isinstance(tell, TellAlert | TellMail) and self._clock() - tell.at > LOST_SECONDS:
            return "too late: it is more than a day ago"
        if way_of(tell) is Way.WEBHOOK and (self._webhook is None or not self._webhook.wanted):
            return "not needed: the webhook was switched off"
        if isinstance(tell, TellMail | TellAlert) and way_of(tell) is Way.MAIL:
            return self._why_not_written(tell)
        return None

    def _why_not_written(self, tell: TellMail | TellAlert) -> str | None:
        if self._letters is None:
            return "not needed: no e-mail can be sent"
        return None if self._letters.wanted(tell) else "not needed: this address is not written to any more"
