"""The list of an account's live calls, as all who have it open see it.

It is read when something has changed and rendered once in each language, however many read it; while nothing
changes it costs nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ari_app.calls import Call, Direction, LegState, Role, Stage, Way
from ari_app.service.service import Service
from cabinet.frame.language import chosen
from cabinet.frame.people import names_of
from cabinet.frame.rendering import text_of
from cabinet.frame.visits import Visit, visit_to

REST_SECONDS = 0.5
"""The list of an account in which much happens is renewed no sooner than so long after the last time."""

MOST_SHOWN = 100
"""So many calls are shown at most, the newest: nobody reads more, and all of them would hold up everybody."""
REPORTED_SECONDS = 2 * 3600.0
"""So long a reported call is shown without an end; a dialplan may never report it."""

_NOT_NAMED = (Role.QUEUE, Role.CUSTOMER)


@dataclass(frozen=True, slots=True)
class Listed:
    """The list in one language."""

    changes: int
    """How many changes of the account are in it."""
    text: str


class Board:
    """The list of one account, while somebody has it open."""

    def __init__(self, service: Service, account: str) -> None:
        self.readers = 0
        self.changes = service.changes_of(account)
        self._service = service
        self._account = account
        self._reading = asyncio.Lock()
        self._visit: Visit | None = None
        self._shown: dict[str, Any] = {}
        self._seen = -1
        self._read_at, self._until = -math.inf, math.inf
        self._texts: dict[str, str] = {}

    async def list_for(self, request: web.Request) -> Listed | None:
        """Give the list in the reader's language; None when the account is gone.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        async with self._reading:
            if self.changes.count != self._seen or time.time() >= self._until:
                await self._read()
            if self._visit is None:
                return None
            language = chosen(request).language
            if language not in self._texts:
                self._texts[language] = text_of(request, "parts/live_calls.html", self._visit, **self._shown)
            return Listed(self._seen, self._texts[language])

    async def changed(self, listed: Listed, seconds: float) -> None:
        """Wait until there is something newer than a list, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, max(0.0, self._until - time.time()))):
                await self.changes.behind(listed.changes)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._read_at + REST_SECONDS - loop.time())
        self._read_at = loop.time()
        seen = self.changes.count  # what changes while it is read is read again
        self._visit = await visit_to(self._service, self._account)
        if self._visit is not None:
            self._shown = await shown(self._visit)
            self._until = min(map(_shown_until, self._shown["calls"]), default=math.inf)
        self._texts = {}
        self._seen = seen


class Boards:
    """The lists that somebody has open now, by their accounts."""

    def __init__(self, service: Service) -> None:
        self.closed = False
        """The service ends: nobody is to wait for anything any more."""
        self._service = service
        self._open: dict[str, Board] = {}

    @contextmanager
    def reader_of(self, account: str, most: int) -> Iterator[Board]:
        """Open the list of an account, which may be open so many times at most.

        Raises:
            HTTPTooManyRequests: it is open as many times as it may be.
        """
        board = self._open.setdefault(account, Board(self._service, account))
        if board.readers >= most:
            raise web.HTTPTooManyRequests
        board.readers += 1
        try:
            yield board
        finally:
            board.readers -= 1
            if not board.readers:
                del self._open[account]

    def close(self) -> None:
        """Wake the waiting streams: the service ends."""
        self.closed = True
        for board in self._open.values():
            board.changes.note()


async def shown(visit: Visit) -> dict[str, Any]:
    """Give what the list is rendered from.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    reported, of_them = await _reported(visit)
    live = live_calls(visit)
    newest = heapq.nlargest(MOST_SHOWN, (*live, *reported), key=lambda call: call.started_at)
    heard = visit.shop is not None and visit.shop.line.listening
    return {
        "calls": newest,
        "more": max(0, len(live) + of_them - len(newest)) if len(newest) == MOST_SHOWN else 0,
        "names": await names_of(visit),
        "talks": talks,
        "rung": rung,
        "may_end": may_end,
        "heard": heard,
    }


def live_calls(visit: Visit) -> list[Call]:
    """Give the calls that we run, and that are not over."""
    return [call for call in visit.shop.line.calls if not call.over] if visit.shop else []


async def _reported(visit: Visit) -> tuple[list[Call], int]:
    """Give the newest calls that a dialplan of the shop's own has reported, and no end of them yet.

    And how many there are, roughly: of those that aren't read it isn't known how they stand.
    """
    if visit.shop is None:
        calls = await visit.calls.some_reported(MOST_SHOWN)
        known = len(calls)
    else:
        calls = await visit.calls.those(visit.shop.reported.newest(MOST_SHOWN))
        known = visit.shop.reported.open
    now = time.time()
    return [call for call in calls if call.ending is None and now < _shown_until(call)], known


def _shown_until(call: Call) -> float:
    return call.started_at + REPORTED_SECONDS if call.way is Way.REPORTED else math.inf


def may_end(call: Call) -> bool:
    """Tell whether a call can be ended from here: not one that AJAM has placed: its user may not hang up."""
    return call.way is Way.ARI and call.ending is None


def talks(call: Call) -> str | None:
    """Name the manager who has the call now: the one who talks, or who makes it."""
    if call.stage is Stage.TALKING and call.talker:
        return call.talker
    return call.caller.code if call.direction is Direction.OUT else None


def rung(call: Call) -> list[str]:
    """Name those whose phones ring, by their extensions or what was dialled."""
    waited_for = (leg.code or leg.target for leg in call.legs if leg.pending and leg.role not in _NOT_NAMED)
    codes = [code for code in waited_for if code]
    if call.way is Way.REPORTED:
        codes.extend(call.told)
    if call.caller.state is LegState.RINGING and call.caller.code and call.stage is Stage.CALLING:
        codes.append(call.caller.code)
    return list(dict.fromkeys(codes))
