"""Writes the steps of an account's calls, and keeps them while Redis is away.

Steps that come together are written together. As long as Redis answers, a call's next order waits for its
step to be written; when it doesn't, calls go on from memory and the steps are written, in order, when it is
back.

What is kept is bounded: at its limit steps go of which nobody is to be told, the newest of each call stays,
and all that the CRM is to be told. When that isn't enough, the ledger is full, and no new call is taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from ari_app.backoff import BackOff
from ari_app.calls import dump_call, dump_line
from ari_app.errors import LeaseLost, StoreUnavailable
from ari_app.store.calls import CallStore, Step

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 0.3
"""How long a call waits for its step to be written before it goes on without."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 2.0
STEPS_A_WRITE = 200
LIMIT_BYTES = 64 * 10**6
NEARLY = 0.8
"""The share of the limit at which it is said that it is near."""
_BYTES_OF_JSON = 3
"""So many bytes of memory a byte of JSON is worth, or a little less."""


class Ledger:
    """The steps of one account's calls on their way into Redis.

    `to_tell` is called after each write that put something into the outbox; `limit` is in bytes.
    """

    def __init__(
        self,
        store: CallStore,
        account: str,
        to_tell: Callable[[], None] = lambda: None,
        limit: int = LIMIT_BYTES,
    ) -> None:
        self._store = store
        self._log = log.bind(account=account)
        self._to_tell = to_tell
        self._waiting: deque[tuple[Step, asyncio.Future[None], int]] = deque()
        self._being_written = 0
        self.limit = limit
        self.bytes = 0
        """How much memory the steps take that are not written yet, roughly."""
        self.let_go = 0
        """How many steps were let go for want of room."""
        self._look_at = limit
        self._said_near = False
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

    @property
    def unwritten(self) -> list[Step]:
        """The steps that are not written yet, or may not be, oldest first."""
        return [step for step, _, _ in self._waiting]

    @property
    def room_taken(self) -> float:
        """How much of the limit is taken, from 0 to 1, or more."""
        return self.bytes / self.limit

    @property
    def full(self) -> bool:
        """Whether there is no room for the steps of another call."""
        return self.bytes >= self.limit

    @property
    def spent(self) -> bool:
        """Whether the account's calls have written as much as they may."""
        return self._store.written.used >= 1

    async def write(self, step: Step) -> None:
        """Hand a step over; return when it is written, or soon in any case."""
        done = asyncio.get_running_loop().create_future()
        size = _size(step) if self.behind or len(self._waiting) > STEPS_A_WRITE else 0
        self._waiting.append((step, done, size))
        self.bytes += size
        if self.room_taken >= NEARLY:
            self._make_room()
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
                self._being_written = len(batch)
                await self._write([step for step, _, _ in batch])
                self._being_written = 0
                for _, done, size in batch:
                    self._waiting.popleft()
                    self.bytes -= size
                    if not done.done():
                        done.set_result(None)
                if any(step.tells for step, _, _ in batch):
                    self._to_tell()
            self._look_at, self._said_near = self.limit, False
            self._empty.set()

    def _make_room(self) -> None:
        """Say that the limit is near; at the limit, let go what nobody needs."""
        if not self._said_near:
            self._said_near = True
            self._log.error("the steps that wait for Redis have nearly filled their room", bytes=self.bytes)
        if self.bytes < self._look_at:
            return
        first = self._being_written
        newest = {step.call.id: index for index, (step, _, _) in enumerate(self._waiting)}
        kept: deque[tuple[Step, asyncio.Future[None], int]] = deque()
        gone = 0
        for index, (step, done, size) in enumerate(self._waiting):
            needed = index < first or newest[step.call.id] == index or step.tells or step.line.before is None
            if needed:
                kept.append((step, done, size))
                continue
            gone += 1
            self.bytes -= size
            if not done.done():
                done.set_result(None)
        self._waiting = kept
        self.let_go += gone
        self._look_at = max(self.limit, self.bytes + self.limit // 10)
        self._log.error("steps of calls are let go: Redis is away for too long", steps=gone, bytes=self.bytes)

    async def _write(self, steps: list[Step]) -> None:
        back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            try:
                await self._store.write(steps)
            except LeaseLost:
                await asyncio.Event().wait()  # nothing more is written; whoever runs us ends us
            except StoreUnavailable as error:
                self.behind = True
                for _, done, _ in self._waiting:  # no call waits any longer
                    if not done.done():
                        done.set_result(None)
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


def _size(step: Step) -> int:
    """Say how much memory a step takes, roughly: its line and its state, as they are written."""
    return _BYTES_OF_JSON * (len(dump_line(step.line)) + len(dump_call(step.call)))
