"""The time, word of it when somebody sets the clock (by hand, or a service does), and rests."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakValueDictionary

SET_SECONDS = 1.0
"""A clock that goes too fast or slow is put right little by little; one that jumps by more was set."""


class WatchedClock:
    """Gives the time in seconds since the epoch; when it was set, calls `tell` with by how many seconds.

    Who asks for the time first is told the new one, and all who were to be told know of it by then. What has
    passed is measured by `steady`, a clock that nobody sets.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        tell: Callable[[float], None] = lambda by: None,
    ) -> None:
        self.tell = tell
        self._clock = clock
        self._steady = steady
        self._ahead = clock() - steady()

    def __call__(self) -> float:
        """Give the time, to a millisecond: more of it would only be written down again and again."""
        now = round(self._clock(), 3)
        ahead = now - self._steady()
        by, self._ahead = ahead - self._ahead, ahead
        if abs(by) > SET_SECONDS:
            self.tell(by)
        return now


_beginnings: WeakValueDictionary[tuple[int, int], asyncio.Event] = WeakValueDictionary()
"""Of seconds to come, by the identity of the loop, whose timers keep them, and its time."""


async def rest(seconds: float) -> None:
    """Sleep for so long, or up to a second less: what is done from time to time is done together with others.

    Until the same second all rest by one timer. A loop that wakes up once for many wakes up less often, and
    what they ask goes out together.
    """
    if seconds < 1:
        await asyncio.sleep(seconds)
        return
    loop = asyncio.get_running_loop()
    second = math.floor(loop.time() + seconds)
    begins = _beginnings.get((id(loop), second))
    if begins is None or begins.is_set():
        begins = _beginnings[id(loop), second] = asyncio.Event()
        loop.call_at(second, begins.set)
    await begins.wait()


async def rest_until(due: Callable[[], bool]) -> None:
    """Sleep until something is due, which is looked at now and each second, with all else that may be.

    So one look at it costs next to nothing: nobody is woken for it. `due` must not wait.
    """
    if due():
        return
    here = id(asyncio.get_running_loop())
    looks = _Looks.all.get(here)
    if looks is None:
        looks = _Looks.all[here] = _Looks()
    await looks.until(due)


class _Looks:
    """What is looked at each second in one loop."""

    all: ClassVar[WeakValueDictionary[int, _Looks]] = WeakValueDictionary()
    """By the identity of the loop, whose timer keeps them."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._next: asyncio.TimerHandle | None = None

    async def until(self, due: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._look_again(loop)
        waiter = loop.create_future()
        self._waiting[waiter] = due
        try:
            await waiter
        finally:
            del self._waiting[waiter]

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next = loop.call_at(math.floor(loop.time() + 1), self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next = None
        for waiter, due in tuple(self._waiting.items()):
            if not waiter.done():
                try:
                    if due():
                        waiter.set_result(None)
                except Exception as error:  # whoever rests deals with it
                    waiter.set_exception(error)
        if self._waiting:
            self._look_again(loop)
