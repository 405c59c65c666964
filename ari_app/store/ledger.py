"""Writes the steps of an account's calls, and keeps them while Redis is away.

Steps that come together are written together, in order. As long as Redis answers, an order by which
something comes to be waits for its step to be written; other steps don't hold their call up, and mere notes
are written with the next step of any call, or a little later (`ari_app.calls.Haste`). When Redis doesn't
answer, calls go on from memory and the steps are written when it is back.

What is kept is bounded: at its limit steps go of which nobody is to be told, the newest of each call stays,
and all that the CRM is to be told. When that isn't enough, the ledger is full, and no new call is taken.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

import structlog

from ari_app.backoff import BackOff
from ari_app.calls import Haste, OutboxEntry, dump_call, dump_line, haste_of
from ari_app.errors import LeaseLost, StoreUnavailable
from ari_app.store.calls import CallStore, Step

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 0.3
"""How long a call waits for its step to be written before it goes on without."""
LATEST_SECONDS = {Haste.SHORTLY: 0.2, Haste.SOMETIME: 1.0}
"""How long a step waits for another one with which it is written."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 2.0
STEPS_A_WRITE = 200
LIMIT_BYTES = 64 * 10**6
NEARLY = 0.8
"""The share of the limit at which it is said that it is near."""
_BYTES_OF_JSON = 3
"""So many bytes of memory a byte of JSON is worth, or a little less."""

_Waiting: TypeAlias = tuple[Step, asyncio.Future[None] | None, int]
"""A step, who waits for it to be written, and its size in bytes, where that counts."""


class Ledger:
    """The steps of one account's calls on their way into Redis.

    `to_tell` is called after each write that put something into the outbox: with its entries, or None when
    they are to be read from there, because Redis was away. `limit` is in bytes.
    """

    def __init__(
        self,
        store: CallStore,
        account: str,
        to_tell: Callable[[Sequence[OutboxEntry] | None], None] = lambda _: None,
        limit: int = LIMIT_BYTES,
    ) -> None:
        self._store = store
        self._log = log.bind(account=account)
        self._to_tell = to_tell
        self._waiting: deque[_Waiting] = deque()
        self._being_written = 0
        self.limit = limit
        self.bytes = 0
        """How much memory the steps take that are not written yet, roughly."""
        self.let_go = 0
        """How many steps were let go for want of room."""
        self._look_at = limit
        self._said_near = False
        self._more = asyncio.Event()
        """There is something to be written now."""
        self._later: asyncio.TimerHandle | None = None
        """When what may wait is to be written."""
        self._flushing = 0
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
        """Hand a step over; return when its orders may be carried out, which is soon in any case."""
        haste = haste_of(step.line)
        done = None
        if haste is Haste.FIRST and not self.behind:
            done = asyncio.get_running_loop().create_future()
        size = _size(step) if self.behind or len(self._waiting) > STEPS_A_WRITE else 0
        self._waiting.append((step, done, size))
        self.bytes += size
        if self.room_taken >= NEARLY:
            self._make_room()
        self._empty.clear()
        self._write_within(LATEST_SECONDS.get(haste, 0.0))
        if done is not None:
            slow = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._too_slow, done)
            try:
                await done
            finally:
                slow.cancel()

    def _too_slow(self, done: asyncio.Future[None]) -> None:
        if not done.done():
            self.behind = True  # slow, or away: the writer will know, and say so
            done.set_result(None)

    def _write_within(self, seconds: float) -> None:
        if not seconds or self.behind or self._flushing:
            self._more.set()
            return
        loop = asyncio.get_running_loop()
        due = self._later.when() if self._later is not None else math.inf
        if loop.time() + seconds < due:
            if self._later is not None:
                self._later.cancel()
            self._later = loop.call_later(seconds, self._write_now)

    def _write_now(self) -> None:
        self._later = None
        if self._waiting:
            self._more.set()

    async def flush(self, seconds: float) -> bool:
        """Wait until all is written, at most so long; tell whether it is."""
        self._flushing += 1
        self._write_now()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        finally:
            self._flushing -= 1
        return True

    async def run(self) -> None:
        """Write what comes, for ever."""
        while True:
            await self._more.wait()
            while self._more.is_set():
                self._more.clear()
                batch = [self._waiting[index] for index in range(min(len(self._waiting), STEPS_A_WRITE))]
                if batch:
                    await self._write_batch(batch)
            if not self._waiting:
                self._look_at, self._said_near = self.limit, False
                self._empty.set()

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        behind, self._being_written = self.behind, len(batch)
        if self._later is not None:
            self._later.cancel()
            self._later = None
        entries = await self._write([step for step, _, _ in batch])
        self._being_written = 0
        for _, done, size in batch:
            self._waiting.popleft()
            self.bytes -= size
            if done is not None and not done.done():
                done.set_result(None)
        if self._waiting and (behind or entries is None or self._flushing or len(batch) == STEPS_A_WRITE):
            self._more.set()  # nothing of what has come meanwhile waits any longer
        if entries is None or entries:
            self._to_tell(entries)

    def _make_room(self) -> None:
        """Say that the limit is near; at the limit, let go what nobody needs."""
        if not self._said_near:
            self._said_near = True
            self._log.error("the steps that wait for Redis have nearly filled their room", bytes=self.bytes)
        if self.bytes < self._look_at:
            return
        first = self._being_written
        newest = {step.call.id: index for index, (step, _, _) in enumerate(self._waiting)}
        kept: deque[_Waiting] = deque()
        gone = 0
        for index, (step, done, size) in enumerate(self._waiting):
            needed = index < first or newest[step.call.id] == index or step.tells or step.line.before is None
            if needed:
                kept.append((step, done, size))
                continue
            gone += 1
            self.bytes -= size
            if done is not None and not done.done():
                done.set_result(None)
        self._waiting = kept
        self.let_go += gone
        self._look_at = max(self.limit, self.bytes + self.limit // 10)
        self._log.error("steps of calls are let go: Redis is away for too long", steps=gone, bytes=self.bytes)

    async def _write(self, steps: list[Step]) -> list[OutboxEntry] | None:
        """Write steps, as often as is needed; give the entries, None when there may be others of theirs."""
        back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        failed = False
        while True:
            try:
                entries = await self._store.write(steps)
            except LeaseLost:
                await asyncio.Event().wait()  # nothing more is written; whoever runs us ends us
            except StoreUnavailable as error:
                self.behind = failed = True
                for _, done, _ in self._waiting:  # no call waits any longer
                    if done is not None and not done.done():
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
                return None if failed else entries
            await asyncio.sleep(back_off.pause())


def _size(step: Step) -> int:
    """Say how much memory a step takes, roughly: its line and its state, as they are written."""
    return _BYTES_OF_JSON * (len(dump_line(step.line)) + len(dump_call(step.call)))
