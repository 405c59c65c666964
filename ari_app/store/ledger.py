"""Writes the steps of an account's calls, and keeps them while Redis is away.

Steps that come together are written together. As long as Redis answers, a call's next order waits for its
step to be written; when it doesn't, calls go on from memory and the steps are written, in order, when it is
back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from ari_app.backoff import BackOff
from ari_app.errors import LeaseLost, StoreUnavailable
from ari_app.store.calls import CallStore, Step

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 0.3
"""How long a call waits for its step to be written before it goes on without."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 2.0
STEPS_A_WRITE = 200


class Ledger:
    """The steps of one account's calls on their way into Redis.

    `to_tell` is called after each write that put something into the outbox.
    """

    def __init__(self, store: CallStore, account: str, to_tell: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._log = log.bind(account=account)
        self._to_tell = to_tell
        self._waiting: deque[tuple[Step, asyncio.Future[None]]] = deque()
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.behind = False
        """Redis is slow or away: no call waits for its step to be written."""
        self._said = False

    @property
    def backlog(self) -> int:
        """How many steps are not written yet."""
        return len(self._waiting)

    async def write(self, step: Step) -> None:
        """Hand a step over; return when it is written, or soon in any case."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((step, done))
        self._empty.clear()
        self._more.set()
        if self.behind:
            return
        await asyncio.wait([done], timeout=PATIENCE_SECONDS)
        if not done.done():
            self.behind = True  # slow, or away: the writer will know, and say so

    async def flush(self, seconds: float) -> bool:
        """Wait until all is written, at most so long; tell whether it is."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Write what comes, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                batch = [self._waiting[index] for index in range(min(len(self._waiting), STEPS_A_WRITE))]
                await self._write([step for step, _ in batch])
                for _, done in batch:
                    self._waiting.popleft()
                    if not done.done():
                        done.set_result(None)
                if any(step.tells for step, _ in batch):
                    self._to_tell()
            self._empty.set()

    async def _write(self, steps: list[Step]) -> None:
        back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            try:
                await self._store.write(steps)
            except LeaseLost:
                await asyncio.Event().wait()  # nothing more is written; whoever runs us ends us
            except StoreUnavailable as error:
                self.behind = True
                if not self._said:
                    self._log.warning(
                        "Redis is away: calls go on from memory, steps are written later", problem=str(error)
                    )
                    self._said = True
            else:
                if self._said:
                    self._log.info("Redis is back", steps_written_late=len(self._waiting))
                self.behind = self._said = False
                return
            await asyncio.sleep(back_off.pause())
