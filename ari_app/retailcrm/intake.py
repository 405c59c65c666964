"""How entries of the outbox come in: from those who have just written them, or read from Redis.

Redis is read at the start, when others may have put something into the outbox or Redis was away, and when
there was no room in memory. No entry comes in twice, and none is passed by.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from ari_app.calls import OutboxEntry, TellRinging, UnreadableEntry
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.waiting import Waiting

READ_AT_ONCE = 500
READING_SECONDS = 0.3
"""So long new entries are read before what waits has its turn: a popup of now may be the last of them."""
POPUP_SECONDS = 30.0
"""So long a popup is of use to anybody."""
REDIS_RETRY_SECONDS = 1.0
REMEMBERED = 20_000

LineUp: TypeAlias = Callable[[OutboxEntry], Awaitable[None]]
SetAside: TypeAlias = Callable[[UnreadableEntry], Awaitable[None]]


class Entries(Protocol):
    """Where entries wait; its methods raise `StoreUnavailable`."""

    async def read(self, after: str = "0", limit: int = 500) -> list[OutboxEntry | UnreadableEntry]:
        """Give entries behind an id, oldest first."""


class Intake:
    """One account's. What has come in is given to `line_up`, what can't be read to `set_aside`."""

    def __init__(
        self,
        outbox: Entries,
        waiting: Waiting,
        clock: Callable[[], float],
        wake: Callable[[], None],
        line_up: LineUp,
        set_aside: SetAside,
    ) -> None:
        self._outbox = outbox
        self._waiting = waiting
        self._clock = clock
        self._wake = wake
        self._line_up = line_up
        self._set_aside = set_aside
        self._news = True
        """There may be entries in the outbox that weren't handed over."""
        self._reading = False
        self._arrived: deque[OutboxEntry] = deque()
        self._handed_over: set[str] = set()
        """Entries of the outbox that reading it would find again."""
        self._taken_out: set[str] = set()
        """Those of them that were taken out of it while it was read."""
        self._going: set[str] = set()
        """What is being taken out."""
        self.read_until = "0"
        """The newest entry that was read."""
        self._called_back_until = "0"
        self._early_until = "0"
        self._early: set[str] = set()
        self.unread: str | None = None
        """Why the outbox can't be read; None when it can."""

    @property
    def caught_up(self) -> bool:
        """Whether nothing in the outbox is known to be unread."""
        return self.unread is None and not self._news and not self._reading

    def take(self, entries: Sequence[OutboxEntry] | None) -> None:
        """Take what was just put into the outbox; None when it isn't known what that was."""
        if entries is not None:
            entries = [entry for entry in entries if not self._was_read(entry)]
            if not entries:
                return
        room = self._waiting.room - len(self._arrived)
        if entries is None or self._news or self._reading or self._waiting.left or room < len(entries):
            self.expect_news()
            return
        self._arrived += entries
        self._handed_over.update(entry.id for entry in entries)
        self._wake()

    def _was_read(self, entry: OutboxEntry) -> bool:
        """Tell whether reading has found an entry already, before Redis' answer came that it is written."""
        return entry.id in self._early or place(entry.id) <= place(self.read_until)

    def expect_news(self) -> None:
        """Say that there is something new in the outbox, which is to be read."""
        self._news = True
        self._wake()

    def leaving(self, idents: set[str]) -> None:
        """Don't read entries again that are being taken out."""
        self._going |= idents

    def gone(self, idents: set[str]) -> None:
        """Forget entries that are out of the outbox."""
        self._going -= idents
        if self._reading:  # what is read at this moment may have them still
            self._taken_out |= idents
        else:
            self._handed_over -= idents

    async def read(self) -> None:
        """Read what is new, in portions, and a portion of what was left, when there is room for it."""
        try:
            while self._arrived:
                await self._line_up(self._arrived[0])
                self._arrived.popleft()
            if self._news:
                await self._read_news()
                if self._news:
                    await self._read_popups_of_now()
            if self._waiting.left and self._waiting.has_room:
                await self._call_back()
        except StoreUnavailable as error:
            self._news = True
            self.unread = str(error)
            asyncio.get_running_loop().call_later(REDIS_RETRY_SECONDS, self._wake)
        else:
            self.unread = None

    async def _read_news(self) -> None:
        self._news, self._reading = False, True
        try:
            await self._read_on()
        finally:
            self._reading = False
            self._handed_over -= self._taken_out
            self._taken_out.clear()

    async def _read_on(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + READING_SECONDS
        while True:
            entries = await self._outbox.read(self.read_until, READ_AT_ONCE)
            for entry in entries:
                if entry.id in self._early:
                    self._early.discard(entry.id)
                elif entry.id in self._handed_over:
                    pass
                elif isinstance(entry, UnreadableEntry):
                    await self._set_aside(entry)
                else:
                    await self._line_up(entry)
                self.read_until = entry.id
            if len(entries) < READ_AT_ONCE:
                return
            if loop.time() > until:
                self.expect_news()
                return

    async def _read_popups_of_now(self) -> None:
        """Take popups of now first, while much stands before them that isn't read yet."""
        after = f"{int((self._clock() - POPUP_SECONDS) * 1000)}-0"
        after = max(after, self._early_until, self.read_until, key=place)
        for entry in await self._outbox.read(after, READ_AT_ONCE):
            self._early_until = entry.id
            new = isinstance(entry, OutboxEntry) and entry.id not in self._handed_over
            if new and isinstance(entry.tell, TellRinging):
                self._early.add(entry.id)
                await self._line_up(entry)

    async def _call_back(self) -> None:
        """Read on in what was left in Redis; all of it stands before what was seen last."""
        entries = await self._outbox.read(self._called_back_until, READ_AT_ONCE)
        for entry in entries:
            if place(entry.id) > place(self.read_until):
                entries = []
                break
            known = isinstance(entry, UnreadableEntry) or entry.id in self._going
            if not known and isinstance(entry, OutboxEntry) and not self._waiting.call_back(entry):
                return
            self._called_back_until = entry.id
        if not entries:
            self._waiting.all_called_back()
        self._wake()


class Repetitions:
    """Knows what was written twice, because Redis' answer was lost: by what it says, of the last entries."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], str] = {}

    def is_one(self, entry: OutboxEntry) -> bool:
        """Tell whether an entry says what another said before."""
        if self._known.setdefault(_identity(entry), entry.id) != entry.id:
            return True
        if len(self._known) > REMEMBERED:
            self._known.pop(next(iter(self._known)))
        return False

    def forget(self, entry: OutboxEntry) -> None:
        """Let what it says be said again."""
        self._known.pop(_identity(entry), None)


def _identity(entry: OutboxEntry) -> tuple[object, ...]:
    tell = entry.tell
    words = (getattr(tell, "event", ""), getattr(tell, "way", ""), getattr(tell, "to", ""))
    return entry.call, type(tell), getattr(tell, "codes", ()), getattr(tell, "again", 0), *words


def place(ident: str) -> tuple[int, int]:
    """Give the place of a stream's entry in the order in which they were written."""
    at, _, number = ident.partition("-")
    return int(at), int(number or 0)
