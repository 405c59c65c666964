"""The tasks of an account at work: what fails is started again, until all are ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

Job = Callable[[], Coroutine[Any, Any, None]]


class Work:
    """Of one account."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._log = log.bind(account=account)
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, name: str, job: Job) -> asyncio.Task[None]:
        """Begin a job; it may return when there is nothing more to do."""

        async def keep_working() -> None:
            while True:
                try:
                    await job()
                except Exception:  # nothing of an account stands still for good
                    self._log.exception("a task of the account failed; it is started again", task=name)
                    await asyncio.sleep(1.0)  # a defect that comes at once each time keeps nobody busy
                else:
                    return

        task = asyncio.create_task(keep_working(), name=f"{self._account} {name}")
        self._tasks.append(task)
        return task

    def stop(self, but: asyncio.Task[None] | None = None) -> None:
        """Have all jobs end, but for one that goes on."""
        for task in self._tasks:
            if task is not but:
                task.cancel()

    async def end(self) -> None:
        """End all jobs, and wait until they have ended."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
