"""What waits for the CRM: some of it in memory, in order per lane; what is beyond that is left in Redis.

A lane is what goes one way of one call (`Lane`): what a key may not do, such as give tasks, holds up nothing
that the CRM is told of the call itself. Of what is left only the lanes are known, so that nothing of one
overtakes what stands before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

from ari_app.calls import (
    AlertWay,
    OutboxEntry,
    Tell,
    TellAlert,
    TellCustomer,
    TellMail,
    TellNotice,
    TellResult,
    TellTask,
    TellTaskDone,
    TellWebhook,
)


class Way(StrEnum):
    """How something goes."""

    CALLS = "calls"
    """To the CRM's telephony."""
    OTHERS = "others"
    """To the rest of the CRM: tasks, notices, customers."""
    WEBHOOK = "webhook"
    """To a program of the shop's."""
    MAIL = "mail"
    """To people of the shop, by e-mail."""


Lane: TypeAlias = tuple[str, Way]
"""A call's id, and the way that something of it goes; of an e-mail, also to whom."""
HELD = 2_000
"""So many entries are in memory at most, and as many again of what has just happened."""


_ALERTS = {AlertWay.WEBHOOK.value: Way.WEBHOOK, AlertWay.MAIL.value: Way.MAIL}


def lane_of(entry: OutboxEntry) -> Lane:
    """Give the lane of an entry."""
    to = getattr(entry.tell, "to", "")
    return f"{entry.call} {to}" if to else entry.call, way_of(entry.tell)


def way_of(tell: Tell) -> Way:
    """Say how something goes."""
    match tell:
        case TellWebhook():
            return Way.WEBHOOK
        case TellMail():
            return Way.MAIL
        case TellAlert():
            return _ALERTS.get(tell.way, Way.OTHERS)
        case TellTask() | TellTaskDone() | TellNotice() | TellCustomer():
            return Way.OTHERS
        case _:
            return Way.CALLS


def is_told_anyway(tell: Tell) -> bool:
    """Tell whether it goes though telephony is switched off in the CRM: an alert that doesn't go there."""
    return isinstance(tell, TellAlert) and way_of(tell) is not Way.OTHERS


class Waiting:
    """The entries of one account that wait."""

    def __init__(self, held: int = HELD) -> None:
        self._most = held
        self._queues: dict[Lane, deque[OutboxEntry]] = {}
        self._ids: set[str] = set()
        self._left: dict[Lane, int] = {}
        self.left = 0
        """How many entries were seen and left in Redis."""

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, entry: OutboxEntry) -> bool:
        return entry.id in self._ids

    @property
    def backlog(self) -> int:
        """How many entries are known to wait, here or in Redis."""
        return len(self._ids) + self.left

    @property
    def has_room(self) -> bool:
        """Whether it is worth reading what was left."""
        return len(self._ids) <= self._most // 2

    @property
    def room(self) -> int:
        """How many entries more may be in memory, fresh or not."""
        return max(0, self._most - len(self._ids))

    def take_in(self, entry: OutboxEntry, fresh: bool) -> None:
        """Line up an entry that is seen for the first time, or leave it; fresh ones have more room."""
        lane = lane_of(entry)
        if lane not in self._left and len(self._ids) < (2 * self._most if fresh else self._most):
            self._hold(entry)
            return
        self._left[lane] = self._left.get(lane, 0) + 1
        self.left += 1

    def call_back(self, entry: OutboxEntry) -> bool:
        """Line up an entry that was left, if it was; False when there is no room for it."""
        lane = lane_of(entry)
        count = self._left.get(lane, 0)
        if not count or entry.id in self._ids:
            return True
        if len(self._ids) >= self._most:
            return False
        self._hold(entry)
        self.left -= 1
        if count == 1:
            del self._left[lane]
        else:
            self._left[lane] = count - 1
        return True

    def all_called_back(self) -> None:
        """Forget of what was left: there is nothing more of it in Redis."""
        self._left.clear()
        self.left = 0

    def drop(self, entry: OutboxEntry) -> None:
        """Take an entry out."""
        queue = self._queues.get(lane_of(entry))
        if queue is None or entry.id not in self._ids:
            return
        self._ids.discard(entry.id)
        queue.remove(entry)
        if not queue:
            del self._queues[lane_of(entry)]

    def firsts(self) -> Iterator[OutboxEntry]:
        """Give, of each lane, what is to be told first."""
        return (queue[0] for queue in self._queues.values())

    def result_behind(self, entry: OutboxEntry) -> OutboxEntry | None:
        """Give the call's result that stands behind an entry: it says all by itself."""
        queue = self._queues[lane_of(entry)]
        behind = (other for other in queue if other is not entry and isinstance(other.tell, TellResult))
        return next(behind, None)

    def _hold(self, entry: OutboxEntry) -> None:
        self._queues.setdefault(lane_of(entry), deque()).append(entry)
        self._ids.add(entry.id)
