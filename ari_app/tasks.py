"""Ending tasks for certain.

A cancellation may get lost: `asyncio.wait_for` of Python 3.11, which redis-py uses for each command, passes
it over when its work is done at that very moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_SECONDS = 0.5


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end, whatever it is; one that goes on is cancelled again."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)
        for task in done:
            if not task.cancelled():
                task.exception()  # whoever ends a task doesn't care; without this asyncio would complain


def go_on_unless_cancelled() -> None:
    """Raise the cancellation of the current task again if it got lost; for loops that run for ever."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
