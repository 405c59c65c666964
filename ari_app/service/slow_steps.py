"""Says which step has held up the loop: whatever takes long there, all accounts wait for.

A thread looks whether the loop turns. When it has worked at one thing for a tenth of a second, the thread
notes what that is: the task's name, which is the account's or a request's, the step that was begun last, and
the place in our code. A line in the log says so when the loop turns again. The loop does no more for
it than beat.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

from ari_app.steps import newest

log = structlog.get_logger(__name__)

SLOW_SECONDS = 0.1
"""Of work. When the machine has others to do it is no fault of the step that it takes longer."""
STANDS_SECONDS = 1.0
"""So long it may stand still without working: it waits for a disk, or another thread."""
BEAT_SECONDS = 0.05
SAID_A_MINUTE = 30
_OURS = ("/ari_app/", "/cabinet/", "/stasis_dialplan/")
_PLACES = 3


class SlowSteps:
    """Watches the running loop. `count` tells how many slow steps there were."""

    def __init__(self, slow_seconds: float = SLOW_SECONDS) -> None:
        self.count = 0
        self._slow_seconds = slow_seconds
        self._turned, self._worked = time.monotonic(), 0.0
        self._seen: dict[str, str] = {}
        """What was going on, when a slow step was noticed."""
        self._over = threading.Event()
        self._said: list[float] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Watch the loop that runs in this thread."""
        loop = asyncio.get_running_loop()
        thread = threading.Thread(
            target=self._watch, args=(loop, threading.get_ident()), name="slow steps", daemon=True
        )
        self._turned, self._worked = time.monotonic(), time.thread_time()
        beating = loop.create_task(self._beat(), name="beat")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            beating.cancel()
            thread.join()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now, worked = time.monotonic(), time.thread_time()
            stood, work = now - self._turned - BEAT_SECONDS, worked - self._worked
            self._turned, self._worked = now, worked
            seen, self._seen = self._seen, {}
            if seen and (work >= self._slow_seconds or stood >= STANDS_SECONDS):
                self.count += 1
                self._say(seen, stood, work)

    def _say(self, seen: dict[str, str], stood: float, work: float) -> None:
        now = time.monotonic()
        self._said = [at for at in self._said if now - at < 60]
        if len(self._said) < SAID_A_MINUTE:
            self._said.append(now)
            seconds = {"seconds": round(stood, 3), "worked": round(work, 3)}
            log.warning("a slow step held up the others", **seconds, **seen)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._over.wait(BEAT_SECONDS):
            if time.monotonic() - self._turned > BEAT_SECONDS + self._slow_seconds and not self._seen:
                self._seen = _what_goes_on(loop, sys._current_frames().get(thread))


def _what_goes_on(loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> dict[str, str]:
    task = asyncio.current_task(loop)
    places: list[str] = []
    while frame is not None and len(places) < _PLACES:
        name = frame.f_code.co_filename
        ours = next((part for part in _OURS if part in name), None)
        if ours is not None and not name.endswith("slow_steps.py"):
            places.append(f"{ours[1:]}{name.rpartition(ours)[2]}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return {
        "task": task.get_name() if task is not None else "none",
        "step": newest(),
        "at": " < ".join(places) or "elsewhere",
    }
