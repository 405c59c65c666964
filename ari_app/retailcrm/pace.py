"""How fast one account may be asked, and which requests go first when not all can.

The more urgent goes first, but none has it all: each kind of request has a share that is its own while it
waits, and look-ups that others ask for have a quarter at most, however many they are.

retailCRM takes 40 requests a second on /telephony routes and 10 on the others, per key; one more is answered
503. The server counts when a request arrives, we only know when it left and when its answer was back. So a
place is kept from the start of a request until one window after its answer: whatever the network does, no
window of the server's sees more requests than there are places.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum

TELEPHONY_PER_SECOND = 38
"""Requests a second to telephony routes: two below the CRM's limit of 40."""
OTHERS_PER_SECOND = 9
"""Requests a second to all other routes: one below the CRM's limit of 10."""
LONGEST_WAY_SECONDS = 0.5
"""A request whose answer takes longer than this is taken to have arrived by then."""


class Urgency(IntEnum):
    """How urgent a request is: the lower goes first."""

    LOOK_UP = 0  # a call of ours: its caller hears ringing and waits for the answer
    POPUP = 1  # an `in` or `out` event: worthless when late
    ASKED = 2  # a look-up that somebody else asks for: a dialplan or a program, by the API
    REPORT = 3  # hangups and uploads: needed, but not this second
    OTHER = 4  # routes outside telephony: counted apart


@dataclass(frozen=True, slots=True)
class _Share:
    """What a kind of request may have of the places. Shares of 1."""

    left_free: float = 0
    """So much it leaves to others, so that a burst of it delays nobody who is more urgent."""
    at_least: float = 0
    """So much is its own while it waits: who is more urgent keeps nobody waiting for ever."""
    at_most: float = 1
    """It never has more."""


_SHARES = {
    Urgency.LOOK_UP: _Share(),
    Urgency.POPUP: _Share(left_free=1 / 10, at_least=1 / 10),
    Urgency.ASKED: _Share(left_free=1 / 10, at_least=1 / 20, at_most=1 / 4),
    Urgency.REPORT: _Share(left_free=1 / 4, at_least=1 / 10),
    Urgency.OTHER: _Share(),
}
GOES_ON = frozenset({Urgency.LOOK_UP, Urgency.ASKED})
"""What isn't held back by a pause: somebody waits on the line."""


_NONE = dict.fromkeys(Urgency, 0)


@dataclass(slots=True, eq=False)
class _Place:
    free_at: float
    urgency: Urgency


class _Lane:
    """One limit of the CRM's: its places, and the requests that wait for one."""

    def __init__(self, places: int | None, window: float) -> None:
        self._limit = places
        self._window = window
        self._taken: list[_Place] = []
        self._count = _NONE.copy()
        """How many of the taken places each kind has."""
        self._waiting: dict[Urgency, list[asyncio.Future[_Place]]] = {urgency: [] for urgency in Urgency}
        """Few, and mostly none: an empty deque takes 0.8 KB, and an account would have ten."""
        self._paused_until = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    async def enter(self, urgency: Urgency) -> _Place:
        """Wait for a place; a cancelled wait takes none."""
        waiter: asyncio.Future[_Place] = asyncio.get_running_loop().create_future()
        self._waiting[urgency].append(waiter)
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._taken = [place for place in self._taken if place is not waiter.result()]
            elif waiter in self._waiting[urgency]:
                self._waiting[urgency].remove(waiter)
            self._serve()
            raise

    def leave(self, place: _Place) -> None:
        """The answer is here (or never will be): the place is free again one window from now."""
        place.free_at = min(place.free_at, asyncio.get_running_loop().time() + self._window)
        self._serve()

    def pause(self, until: float) -> None:
        self._paused_until = max(self._paused_until, until)

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _serve(self) -> None:
        """Give places to the waiting requests, in order, and set the alarm for the next chance."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._taken = [place for place in self._taken if place.free_at > now]
        self._count = _NONE.copy()
        for place in self._taken:
            self._count[place.urgency] += 1
        paused = now < self._paused_until
        for urgency, queue in self._waiting.items():
            if paused and urgency not in GOES_ON:
                continue
            while queue and self._has_place_for(urgency):
                waiter = queue.pop(0)
                if waiter.done():  # given up; its task has yet to wake up
                    continue
                place = _Place(now + LONGEST_WAY_SECONDS + self._window, urgency)
                if self._limit is not None:
                    self._taken.append(place)
                    self._count[urgency] += 1
                waiter.set_result(place)
        if self.waiting:
            chances = [place.free_at for place in self._taken]
            if paused:
                chances.append(self._paused_until)
            if chances:
                self._alarm = loop.call_at(min(chances), self._serve)

    def _has_place_for(self, urgency: Urgency) -> bool:
        limit = self._limit
        if limit is None:
            return True
        share, taken, has = _SHARES[urgency], len(self._taken), self._count[urgency]
        if taken >= limit or has >= max(1, int(limit * share.at_most)):
            return False
        if has < int(limit * share.at_least):
            return True
        kept = sum(
            max(0, int(limit * _SHARES[other].at_least) - self._count[other])
            for other, queue in self._waiting.items()
            if queue and other is not urgency
        )
        return taken < limit - max(kept, int(limit * share.left_free))


class Pace:
    """The rate of one account's requests: `async with pace.place(Urgency.LOOK_UP): ...` around each of them.

    Within an urgency, first come, first served. `window` is in seconds; None for a limit means no limit.
    Times are the running loop's.
    """

    def __init__(
        self,
        telephony: int | None = TELEPHONY_PER_SECOND,
        others: int | None = OTHERS_PER_SECOND,
        window: float = 1.0,
    ) -> None:
        self._telephony = _Lane(telephony, window)
        self._others = _Lane(others, window)

    @classmethod
    def unlimited(cls) -> "Pace":
        """For measurements against a CRM that counts nothing; `pause` still works."""
        return cls(telephony=None, others=None)

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return self._telephony.waiting + self._others.waiting

    @asynccontextmanager
    async def place(self, urgency: Urgency) -> AsyncIterator[None]:
        """Wait for a place for this request, and keep it for as long as the block runs."""
        lane = self._others if urgency is Urgency.OTHER else self._telephony
        place = await lane.enter(urgency)
        try:
            yield
        finally:
            lane.leave(place)

    def pause(self, seconds: float) -> None:
        """Let nothing but look-ups start for that long; a longer pause that runs already stays."""
        until = asyncio.get_running_loop().time() + seconds
        self._telephony.pause(until)
        self._others.pause(until)
