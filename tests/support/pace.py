"""How fast this machine is just now, with all else that runs on it: limits in seconds go by that."""

import time

_WORK = 0.05
"""Seconds of work, on a processor of its own."""


def at_this_pace(seconds: float) -> float:
    """Give the time that what takes `seconds` on an idle machine may take on this one, at this moment.

    It is never less than `seconds`. A task that is ready waits while others have the processors: some work is
    done here and now, and the time that it takes is compared with the time that it had a processor.
    """
    began, had = time.monotonic(), time.thread_time()
    while (worked := time.thread_time() - had) < _WORK:
        pass
    return seconds * max(1.0, (time.monotonic() - began) / worked)
