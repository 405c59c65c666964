"""Click-to-call: which of the calls that the CRM asks for are placed, and how often.

The clientId stands in dialplans and in the logs of proxies, so it may be known to a thief: what it can do is
bounded, for an extension and for the account, and where it can call. The address that the CRM was given holds
a secret besides; an address without it has narrower bounds, until the account closes it.

What isn't placed is answered with the status of an HTTP answer and a sentence::

    NotPlaced
    ├── BadRequest     400  the number or the extension is wrong; asking again is no use
    ├── NotAllowed     403  such numbers, or calls by the clientId alone, the account doesn't allow
    ├── TooMany        429  there were too many calls lately, or too many ring now
    └── NoWay          503  the PBX can't be reached
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from ari_app.accounts.clickable import countries_of, why_not
from ari_app.accounts.current import Current
from ari_app.accounts.managers import NoExtension, extension_of
from ari_app.calls import NotDialled, dialled, e164
from ari_app.errors import StoreUnavailable
from ari_app.store.clicks import AcceptedClick, ClickStore

MINUTE, DAY = 60.0, 86_400.0
"""Seconds."""
NARROWER = 5
"""By so much the account's limits are smaller for who knows only its clientId."""
STORE_RETRY_SECONDS = 1.0
_WAIT_FOR_ONE = 5
"""Seconds after which one of the calls that ring may have been answered."""


@dataclass(frozen=True, slots=True)
class ClickLimits:
    """How many clicks are accepted: of an extension, of an account, and how many may ring at once.

    They are counted in memory, and taken up again (`Clicks.take_up`) by whoever has the account next.
    """

    extension_a_minute: int = 10
    a_minute: int = 60
    a_day: int = 1_000
    ringing: int = 10

    def narrower(self) -> ClickLimits:
        """Give those of who knows only the clientId."""
        return replace(self, a_minute=max(1, self.a_minute // NARROWER), a_day=max(1, self.a_day // NARROWER))


LIMITS = ClickLimits()


class NotPlaced(Exception):
    """A call that the CRM asked for isn't placed: the HTTP status, and a sentence that says why."""

    status: int
    reason = ""
    """A word for what the shop's administrator should know of; empty: nothing."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class BadRequest(NotPlaced):
    """The number or the extension is wrong."""

    status = 400


class NotAllowed(NotPlaced):
    """The account doesn't let a click call such a number, or not in this way."""

    status = 403

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class TooMany(NotPlaced):
    """There were too many calls; `retry_after` is in whole seconds."""

    status = 429
    reason = "too many"

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class NoWay(NotPlaced):
    """As far as is known, no way to the PBX works."""

    status = 503


class Telephone(Protocol):
    """The line that places the calls."""

    @property
    def ringing_clicks(self) -> int:
        """How many click-to-calls wait for their customers to answer."""
        ...

    def clicked(self, code: str, dialled: str) -> str | None:
        """Give the click-to-call of an extension to a number that the customer hasn't answered yet."""
        ...

    def place_call(self, code: str, dialled: str, external: str | None, outgoing: str) -> str | None:
        """Begin a call and give its id at once; None when no way to the PBX works."""
        ...


class Clicks:
    """The click-to-calls of one account; `clock` is seconds and never goes back."""

    def __init__(
        self,
        current: Current,
        telephone: Telephone,
        clock: Callable[[], float],
        limits: ClickLimits,
        accepted: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        """Build it; `accepted` is told of each call its extension and `known` (as `place` has it)."""
        self._current = current
        self._clock = clock
        self._tell_accepted = accepted
        self._telephone = telephone
        self._limits = limits
        self._accepted = _Accepted(clock)
        self._strangers = _Accepted(clock)
        """What was accepted of who knows only the clientId."""

    def place(self, code: str, user_id: str, phone: str, external_phone: str, known: bool) -> str:
        """Place a call and give its id; a repeat of one that still rings gives that one's.

        All as the CRM sends it; what is empty wasn't given. `code` wins over `user_id`. `external_phone`
        chooses the line when it is one of the account's, else the ordinary one is taken. `known` tells
        whether it came to the address that the CRM was given, with the secret.

        Raises:
            NotPlaced: the call is not placed; its kinds say why.
        """
        account = self._current.account
        if not known and not account.clicks.client_id_is_enough:
            raise NotAllowed("clientId alone places no calls: the CRM knows the whole address", "client id")
        try:
            extension, number = extension_of(account, code, user_id), dialled(phone, account.crm.country)
        except (NoExtension, NotDialled) as problem:
            raise BadRequest(str(problem)) from None
        ringing = self._telephone.clicked(extension, number)
        if ringing is not None:
            return ringing
        countries = countries_of(account) if known else frozenset({account.crm.country})
        if (harm := why_not(account, number, countries)) is not None:
            raise NotAllowed(harm.value, harm.name.lower())
        self._see_limits(extension, known)
        external = e164(external_phone, account.crm.country)
        line = account.line_of(external)
        ours = external if line is not None else None
        placed = self._telephone.place_call(extension, number, ours, line or account.pbx.outgoing)
        if placed is None:
            raise NoWay("the PBX can't be reached now")
        self._count(extension, known, self._clock())
        self._tell_accepted(extension, known)
        return placed

    def admit(self, extension: str) -> None:
        """Count a call to an extension that somebody asks for in the cabinet.

        Raises:
            TooMany: there were too many lately.
        """
        self._see_limits(extension, True)
        self._count(extension, True, self._clock())
        self._tell_accepted(extension, True)

    def take_up(self, clicks: Iterable[tuple[float, str, bool]]) -> None:
        """Count what was accepted before, the oldest first: how many seconds ago, extension, and `known`."""
        now = self._clock()
        for ago, extension, known in clicks:
            if 0 <= ago < DAY:
                self._count(extension, known, now - ago)

    def _count(self, extension: str, known: bool, at: float) -> None:
        self._accepted.note(extension, at)
        if not known:
            self._strangers.note(extension, at)

    def _see_limits(self, extension: str, known: bool) -> None:
        """Raise `TooMany` when a limit is reached."""
        ringing = self._telephone.ringing_clicks
        self._accepted.within(self._limits, extension, ringing)
        if not known:
            self._strangers.within(self._limits.narrower(), extension, ringing)


class _Accepted:
    """When calls were accepted lately: the moments of each extension, and of all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_extension: dict[str, deque[float]] = {}
        self._all: deque[float] = deque()

    def note(self, extension: str, at: float) -> None:
        """Take note of one."""
        self._by_extension.setdefault(extension, deque()).append(at)
        self._all.append(at)

    def within(self, limits: ClickLimits, extension: str, ringing: int) -> None:
        """Raise `TooMany` when one more is too many; `ringing` are those that ring now."""
        own = self._by_extension.setdefault(extension, deque())
        self._see(own, limits.extension_a_minute, MINUTE, "calls a minute from one extension")
        self._see(self._all, limits.a_minute, MINUTE, "calls a minute from one account")
        self._see(self._all, limits.a_day, DAY, "calls a day from one account")
        if ringing >= limits.ringing:
            raise TooMany(f"at most {limits.ringing} calls ring at once", _WAIT_FOR_ONE)

    def _see(self, accepted: deque[float], limit: int, span: float, what: str) -> None:
        now = self._clock()
        while accepted and accepted[0] <= now - DAY:
            accepted.popleft()
        if len(accepted) < limit:
            return
        wait = accepted[-limit] + span - now
        if wait > 0:
            raise TooMany(f"at most {limit} {what}", max(1, math.ceil(wait)))


class AcceptedClicks:
    """Keeps what was accepted, for whoever has the account next; who clicks waits for none of it.

    `clock` is Unix time.
    """

    def __init__(self, store: ClickStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._unwritten: list[AcceptedClick] = []
        self._more = asyncio.Event()

    def note(self, extension: str, known: bool) -> None:
        """Take note of one."""
        self._unwritten.append(AcceptedClick(self._clock(), extension, known))
        self._more.set()

    async def load(self) -> list[tuple[float, str, bool]]:
        """Give what was kept, as `Clicks.take_up` takes it.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        now = self._clock()
        return [(now - one.at, one.extension, one.known) for one in await self._store.load()]

    async def run(self) -> None:
        """Write what comes, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            try:
                await self._store.keep(batch := self._unwritten[:])
                del self._unwritten[: len(batch)]
            except StoreUnavailable:
                await asyncio.sleep(STORE_RETRY_SECONDS)
                self._more.set()
