"""Look-ups that others ask for, by the API: a dialplan of the shop's own, or whoever knows its clientId.

The same question at the same time is asked once, and its answer is good for some seconds, so a dialplan may
ask at each of its steps. How many go to the CRM at once is bounded; calls of ours ask for themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from ari_app.calls import happenings as h

log = structlog.get_logger(__name__)

KEPT_SECONDS = 5.0
"""How long an answer is good: whose a number is changes rarely, who is free more often."""
MOST_AT_ONCE = 50
"""So many different questions are asked at once: more would find no turn while their callers wait."""
SAID_SECONDS = 60.0

Answer: TypeAlias = h.CustomerFound | h.CustomerUnknown
_Question: TypeAlias = tuple[str, bool]


class Asked:
    """The look-ups that others ask one account for; `ask` gets the number, seconds, and `ignore_status`."""

    def __init__(
        self,
        ask: Callable[[str, float, bool], Awaitable[Answer]],
        account: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._on_the_way: dict[_Question, asyncio.Task[Answer]] = {}
        self._known: dict[_Question, Answer] = {}
        self._until: deque[tuple[float, _Question]] = deque()
        """When each answer is to be forgotten, the oldest first."""
        self._said_at = float("-inf")
        self._log = log.bind(account=account)

    async def answer(self, number: str, seconds: float, ignore_status: bool) -> Answer:
        """Say who has a number; an answer that is on its way, or just came, serves again."""
        question = number, ignore_status
        self._forget()
        known = self._known.get(question)
        if known is not None:
            return known
        asking = self._on_the_way.get(question)
        if asking is None:
            if len(self._on_the_way) >= MOST_AT_ONCE:
                return self._too_many()
            asking = asyncio.create_task(self._find(question, seconds), name="look-up for others")
            self._on_the_way[question] = asking
        return await asyncio.shield(asking)

    async def _find(self, question: _Question, seconds: float) -> Answer:
        number, ignore_status = question
        try:
            found = await self._ask(number, seconds, ignore_status)
        finally:
            del self._on_the_way[question]
        if isinstance(found, h.CustomerFound) or found.problem is None:
            self._known[question] = found
            self._until.append((self._clock() + KEPT_SECONDS, question))
        return found

    def _forget(self) -> None:
        now = self._clock()
        while self._until and self._until[0][0] <= now:
            self._known.pop(self._until.popleft()[1], None)

    def _too_many(self) -> Answer:
        if self._clock() - self._said_at >= SAID_SECONDS:
            self._said_at = self._clock()
            self._log.warning("look-ups that are asked for by the API go unanswered", at_once=MOST_AT_ONCE)
        return h.CustomerUnknown(0.0, problem=f"more than {MOST_AT_ONCE} look-ups at once")
