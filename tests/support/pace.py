"""How fast this machine is, with all else that runs on it: limits in seconds go by that."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

_WORK = 0.05
"""Seconds of work, on a processor of its own."""
_RAN_AND_WAITED = Path("/proc/self/schedstat")
"""How long this process' loop had a processor and how long it waited for one, in ns, as Linux counts them."""


def _ran_and_waited() -> tuple[int, int]:
    with suppress(OSError):
        ran, waited, *_ = map(int, _RAN_AND_WAITED.read_text("ascii").split())
        return ran, waited
    return 0, 0


_begun = [_ran_and_waited()]


def begin() -> None:
    """Measure from now on: a test begins."""
    _begun[0] = _ran_and_waited()


def at_this_pace(seconds: float) -> float:
    """Give the time that what takes `seconds` on an idle machine may take on this one.

    It is never less than `seconds`. A task that is ready waits while others have the processors: as often as
    ours have waited since the test began, and as some work that is done here and now.
    """
    began, had = time.monotonic(), time.thread_time()
    while (worked := time.thread_time() - had) < _WORK:
        pass
    now = (time.monotonic() - began) / worked
    ran, waited = (after - before for after, before in zip(_ran_and_waited(), _begun[0], strict=True))
    return seconds * max(1.0, now, 1.0 + waited / ran if ran else 1.0)
