"""Watches the loop from outside of it: a process that hangs must not hold the PBXs' new callers in silence.

When the loop hasn't turned for five seconds, the PBXs' event streams are shut: a new caller goes on in the
dialplan, and who is inside is taken up by whoever takes the account over. When the loop turns again, whatever
it was doing is no longer ours to do: the accounts are let go, and taken again by their leases.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from ari_app.store.leases import awake

log = structlog.get_logger(__name__)

STALL_SECONDS = 5.0
BEAT_SECONDS = 0.25


class Watchdog:
    """`shut` is called from another thread when the loop hangs, `resumed` by the loop when it turns again."""

    def __init__(
        self, shut: Callable[[], None], resumed: Callable[[], None], stall_seconds: float = STALL_SECONDS
    ) -> None:
        self._shut = shut
        self._resumed = resumed
        self._stall_seconds = stall_seconds
        self._turned = awake()
        self._over = threading.Event()
        self._beating: asyncio.TimerHandle | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Watch the running loop."""
        self._turned = awake()
        self._beat()
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            if self._beating is not None:
                self._beating.cancel()
            thread.join()

    def _beat(self) -> None:
        now = awake()
        stood, self._turned = now - self._turned, now
        self._beating = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)
        if stood > self._stall_seconds:
            log.error("the service stood still; it takes its accounts again", seconds=round(stood, 1))
            self._resumed()

    def _watch(self) -> None:
        barked = 0.0
        while not self._over.wait(BEAT_SECONDS):
            turned = self._turned
            if awake() - turned > self._stall_seconds and turned != barked:
                barked = turned
                self._shut()
                log.error("the service hangs: new callers go on in the dialplan")
