"""What a soak does, drawn from its seed alone: which calls are placed when, and which fault comes when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

SHOPS = 4
"""Every second one has an Asterisk queue where the others have a group."""
MANAGERS = 14
"""Of each shop, beside the two of its group or queue."""
TOGETHER_SECONDS = 14.0
"""The calls that ring a shop's group or queue keep so far apart."""
QUIET_SECONDS = 8.0
"""The last fault of a plan begins so long before its last call."""


class Kind(StrEnum):
    """What kind of call it is meant to be; a fault may make another one of it."""

    KNOWN = "known customer, answered"
    HANGS_UP = "the manager hangs up"
    DECLINED = "declined, then the fallback"
    BUSY = "manager busy, then the fallback"
    SILENT = "nobody there, then the fallback"
    UNKNOWN = "unknown caller"
    GIVES_UP = "the caller gives up"
    CLICK = "click-to-call"
    CLICK_IN_VAIN = "click-to-call in vain"
    DIALS = "the manager dials"
    BLIND = "blind transfer"
    ATTENDED = "attended transfer"


TOGETHER = frozenset({Kind.DECLINED, Kind.BUSY, Kind.SILENT, Kind.UNKNOWN})
"""Those that come to the shop's group or queue."""
_SHARES = {
    Kind.KNOWN: 5,
    Kind.HANGS_UP: 3,
    Kind.DECLINED: 2,
    Kind.BUSY: 1,
    Kind.SILENT: 1,
    Kind.UNKNOWN: 3,
    Kind.GIVES_UP: 2,
    Kind.CLICK: 2,
    Kind.CLICK_IN_VAIN: 1,
    Kind.DIALS: 2,
    Kind.BLIND: 2,
    Kind.ATTENDED: 2,
}


class What(StrEnum):
    """What goes wrong."""

    KILLED = "service: kill -9"
    STOPPED = "service: SIGTERM"
    FROZEN = "service: SIGSTOP"
    BLOCKED = "service: loop blocked"
    CLOCK = "service: clock stepped"
    CUT_FROM_REDIS = "one copy: cut from Redis"
    CUT_FROM_PBX = "one copy: cut from the PBX"
    REDIS_KILLED = "Redis: kill -9"
    REDIS_FROZEN = "Redis: SIGSTOP"
    REDIS_FULL = "Redis: full"
    REDIS_READ_ONLY = "Redis: read-only"
    CRM_CLOSED = "CRM: connections closed"
    CRM_503 = "CRM: 503"
    CRM_SLOW = "CRM: slow"
    CRM_HTML = "CRM: HTML pages"
    CRM_ONE_500 = "CRM: 500 for one call"
    WIRE_CUT = "PBX wire: cut"
    WIRE_SILENT = "PBX wire: silent"
    WIRE_PULLED = "PBX wire: pulled"
    WIRE_SLOW = "PBX wire: slow"
    WIRE_ANSWERS = "PBX wire: answers lost"
    PBX_RESTARTED = "Asterisk: restarted"
    PBX_CRASHED = "Asterisk: kill -9"
    DISK = "disk full"


OF_COPIES = frozenset({What.CUT_FROM_REDIS, What.CUT_FROM_PBX})
"""Those that there can be only where there are several copies."""
_SECONDS = {
    What.KILLED: (0.0, 4.0),
    What.STOPPED: (0.0, 3.0),
    What.FROZEN: (1.0, 8.0),
    What.BLOCKED: (1.0, 8.0),
    What.CLOCK: (5.0, 10.0),
    What.CUT_FROM_REDIS: (2.0, 10.0),
    What.CUT_FROM_PBX: (2.0, 10.0),
    What.REDIS_KILLED: (0.5, 6.0),
    What.REDIS_FROZEN: (1.0, 8.0),
    What.REDIS_FULL: (2.0, 8.0),
    What.REDIS_READ_ONLY: (2.0, 8.0),
    What.CRM_CLOSED: (2.0, 15.0),
    What.CRM_503: (2.0, 15.0),
    What.CRM_SLOW: (2.0, 10.0),
    What.CRM_HTML: (2.0, 15.0),
    What.CRM_ONE_500: (10.0, 20.0),
    What.WIRE_CUT: (0.0, 0.0),
    What.WIRE_SILENT: (1.0, 8.0),
    What.WIRE_PULLED: (1.0, 8.0),
    What.WIRE_SLOW: (3.0, 10.0),
    What.WIRE_ANSWERS: (3.0, 8.0),
    What.PBX_RESTARTED: (0.0, 0.0),
    What.PBX_CRASHED: (0.0, 2.0),
    What.DISK: (3.0, 7.0),
}
"""How long it lasts, in seconds: at least, at most."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that is placed `at` seconds after the beginning; its customer's number is nobody else's."""

    at: float
    kind: Kind
    shop: int
    number: str
    """The customer's, E.164."""
    manager: int
    """Which of the shop's."""
    colleague: int
    """Another one, to whom the customer is handed over."""
    rings: float
    """Seconds that a phone rings before it is answered, or declined."""
    talks: float
    """Seconds of talk until somebody hangs up."""
    patience: float
    """Seconds after which somebody who isn't answered leaves."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """Something goes wrong `at` seconds after the beginning, or when the one before it is over."""

    at: float
    what: What
    seconds: float
    copy: int
    """Which copy of the service it befalls, where it befalls one."""
    forwards: bool
    """Where a clock is stepped."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is done, in order."""

    calls: Sequence[PlannedCall]
    faults: Sequence[PlannedFault]


def draw(
    seed: int,
    seconds: float,
    *,
    rate: float = 1.0,
    every: float = 16.0,
    copies: int = 1,
    longest: float = math.inf,
    kinds: Sequence[What] = tuple(What),
) -> Plan:
    """Draw a plan: `rate` calls a second, and a fault of one of the `kinds` about `every` so many seconds.

    No fault lasts for more than `longest` seconds.
    """
    return Plan(
        tuple(_calls(Random(f"calls {seed}"), seconds, rate)),
        tuple(_faults(Random(f"faults {seed}"), seconds, every, copies, longest, kinds)),
    )


def _calls(random: Random, seconds: float, rate: float) -> Iterator[PlannedCall]:
    at, number = 0.0, 0
    together = [-TOGETHER_SECONDS] * SHOPS
    managers = [0] * SHOPS
    kinds, shares = list(_SHARES), list(_SHARES.values())
    while (at := at + random.expovariate(rate)) < seconds:
        [kind] = random.choices(kinds, shares)
        shop = random.randrange(SHOPS)
        free = [one for one, last in enumerate(together) if at - last >= TOGETHER_SECONDS]
        if kind in TOGETHER:
            if not free:
                kind = Kind.KNOWN
            else:
                shop = random.choice(free)
                together[shop] = at
        manager, managers[shop] = managers[shop], (managers[shop] + 2) % MANAGERS
        number += 1
        yield PlannedCall(
            at=at,
            kind=kind,
            shop=shop,
            number=f"+7916{number:07}",
            manager=manager,
            colleague=manager + 1,
            rings=random.uniform(0.3, 2.5),
            talks=random.uniform(2.0, 6.0) + (4.0 if kind in (Kind.BLIND, Kind.ATTENDED) else 0.0),
            patience=random.uniform(2.0, 5.0) if kind in (Kind.GIVES_UP, Kind.CLICK_IN_VAIN) else 25.0,
        )


def _faults(
    random: Random, seconds: float, every: float, copies: int, longest: float, kinds: Sequence[What]
) -> Iterator[PlannedFault]:
    at, bag = 0.0, list[What]()
    kinds = [what for what in kinds if copies > 1 or what not in OF_COPIES]
    while (at := at + every * random.uniform(0.6, 1.4)) < seconds - QUIET_SECONDS and kinds:
        if not bag:
            bag = random.sample(list(kinds), len(kinds))
        what = bag.pop()
        lasts = min(longest, random.uniform(*_SECONDS[what]))
        yield PlannedFault(at, what, lasts, random.randrange(copies), random.random() < 0.5)
        at += lasts
