"""What has happened to one call and isn't dealt with yet, in order.

It is what `asyncio.Queue` is for one reader; but that holds four deques, 3 KB for each live call.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from ari_app.calls import happenings as h

Letter: TypeAlias = tuple[float, h.Happening]
"""A happening, and the moment at which it was put here (monotonic seconds)."""


class Mailbox:
    """One call's. One reader takes what is in it, and says of each letter when it is dealt with."""

    __slots__ = ("_open", "_reader", "_settled", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[Letter] = []
        self._open = 0
        """How many are not dealt with."""
        self._reader: asyncio.Future[None] | None = None
        self._settled: tuple[asyncio.Future[None], ...] = ()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, letter: Letter) -> None:
        """Add a letter."""
        self._waiting.append(letter)
        self._open += 1
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def comes(self) -> asyncio.Future[None]:
        """Give what is done when a letter comes."""
        self._reader = asyncio.get_running_loop().create_future()
        return self._reader

    def take(self) -> Letter:
        """Take the next letter, which is here."""
        return self._waiting.pop(0)

    def dealt_with(self) -> None:
        """One of those taken is dealt with."""
        self._open -= 1
        if not self._open:
            for waits in self._settled:
                if not waits.done():
                    waits.set_result(None)
            self._settled = ()

    async def settled(self) -> None:
        """Wait until all are dealt with."""
        while self._open:
            waits = asyncio.get_running_loop().create_future()
            self._settled += (waits,)
            await waits
