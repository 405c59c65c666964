"""Click-to-call: which of the calls that the CRM asks for are placed, and how often.

What isn't placed is answered with the status of an HTTP answer and a sentence::

    NotPlaced
    ├── BadRequest     400  the number or the extension is wrong; asking again is no use
    ├── TooMany        429  the extension has had its calls of this minute
    └── NoWay          503  the PBX can't be reached
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ari_app.accounts.current import Current
from ari_app.accounts.managers import NoExtension, extension_of
from ari_app.calls import NotDialled, dialled, e164

MOST_CALLS = 10
"""Accepted calls of an extension within `WINDOW_SECONDS`: a thief of a clientId gets no further."""
WINDOW_SECONDS = 60.0


class NotPlaced(Exception):
    """A call that the CRM asked for isn't placed: the HTTP status, and a sentence that says why."""

    status: int

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class BadRequest(NotPlaced):
    """The number or the extension is wrong."""

    status = 400


class TooMany(NotPlaced):
    """The extension has had its calls of this minute; `retry_after` is in whole seconds."""

    status = 429

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class NoWay(NotPlaced):
    """As far as is known, no way to the PBX works."""

    status = 503


class Telephone(Protocol):
    """The line that places the calls."""

    def clicked(self, code: str, dialled: str) -> str | None:
        """Give the click-to-call of an extension to a number that the customer hasn't answered yet."""
        ...

    def place_call(self, code: str, dialled: str, external: str | None, outgoing: str) -> str | None:
        """Begin a call and give its id at once; None when no way to the PBX works."""
        ...


class Clicks:
    """The click-to-calls of one account; `clock` is seconds and never goes back."""

    def __init__(self, current: Current, telephone: Telephone, clock: Callable[[], float]) -> None:
        self._current = current
        self._telephone = telephone
        self._clock = clock
        self._accepted: dict[str, deque[float]] = {}

    def place(self, code: str, user_id: str, phone: str, external_phone: str) -> str:
        """Place a call and give its id; a repeat of one that still rings gives that one's.

        All as the CRM sends it; what is empty wasn't given. `code` wins over `user_id`. `external_phone`
        chooses the line when it is one of the account's, else the ordinary one is taken.

        Raises:
            NotPlaced: the call is not placed; its kinds say why.
        """
        account = self._current.account
        try:
            extension, number = extension_of(account, code, user_id), dialled(phone, account.crm.country)
        except (NoExtension, NotDialled) as problem:
            raise BadRequest(str(problem)) from None
        ringing = self._telephone.clicked(extension, number)
        if ringing is not None:
            return ringing
        accepted = self._within_the_limit(extension)
        external = e164(external_phone, account.crm.country)
        line = account.line_of(external)
        ours = external if line is not None else None
        placed = self._telephone.place_call(extension, number, ours, line or account.pbx.outgoing)
        if placed is None:
            raise NoWay("the PBX can't be reached now")
        accepted.append(self._clock())
        return placed

    def _within_the_limit(self, extension: str) -> deque[float]:
        """Give the moments at which calls of an extension were accepted lately; raises `TooMany`."""
        accepted, now = self._accepted.setdefault(extension, deque()), self._clock()
        while accepted and accepted[0] <= now - WINDOW_SECONDS:
            accepted.popleft()
        if len(accepted) >= MOST_CALLS:
            wait = max(1, math.ceil(accepted[0] + WINDOW_SECONDS - now))
            raise TooMany(f"at most {MOST_CALLS} calls a minute from one extension", wait)
        return accepted
