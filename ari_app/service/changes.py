"""Wakes who shows an account as it is now, so that nobody has to look again and again."""

from __future__ import annotations

import asyncio


class Changes:
    """Says that something of an account has changed: its calls, its settings or its people's names."""

    def __init__(self) -> None:
        self.count = 0
        """How many changes there were; who saw the account at a count misses none behind it."""
        self._next = asyncio.Event()

    def note(self) -> None:
        """Wake who waits: what they show may have changed."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def behind(self, count: int) -> None:
        """Wait for a change that isn't among the first `count`."""
        while self.count <= count:
            await self._next.wait()
