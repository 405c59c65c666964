"""The telephones of all shops and customers: a few SIPp processes, and people who go by the plan."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from ari_app.demo.pbx.keys import Keys
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.phones import Busy, Fate, Phone, PhoneCall, Rings

FOR_EVER = 1e9
CONSULTED_AFTER = 0.5
"""Seconds after which a colleague answers who is asked before a transfer."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Somebody answers after so many seconds of ringing."""

    after: float


@dataclass(frozen=True, slots=True)
class Declines:
    """Somebody declines after so many seconds of ringing."""

    after: float


Manner: TypeAlias = Answers | Declines | None
"""What somebody does whose telephone rings; None: nothing."""
Person: TypeAlias = Callable[[str], Manner]
"""Tells it by the extension that rings, or by the number outside."""


def digits(number: str) -> str:
    """Give what is the same in all spellings of a customer's number."""
    return re.sub(r"\D", "", number)[-10:]


class Telephones:
    """All telephones; those that are `busy` always are. An async context manager."""

    def __init__(self, lab: Lab, extension: str, busy: str) -> None:
        """`extension` is one of those that share the ordinary telephones' port, `busy` one of the others."""
        self.shop = lab.phone(extension, Rings(), sound=False)
        self.busy = lab.phone(busy, Busy(), sound=False)
        self.outside = lab.customer_phone(Rings())
        self._people: dict[str, Person] = {}
        self._rung: defaultdict[tuple[int, str], list[PhoneCall]] = defaultdict(list)
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for phone in (self.shop, self.busy, self.outside):
            await self._stack.enter_async_context(phone)
            self._do(self._attend(phone))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    def expect(self, number: str, person: Person) -> None:
        """Say what people do when this customer's call rings at theirs."""
        self._people[digits(number)] = person

    def of_shop(self, number: str) -> list[PhoneCall]:
        """Give the calls of a customer at the shop's telephones, the busy ones too."""
        return self._rung[self.shop.port, digits(number)] + self._rung[self.busy.port, digits(number)]

    def of_customer(self, number: str) -> list[PhoneCall]:
        """Give the calls at a customer's own telephone."""
        return self._rung[self.outside.port, digits(number)]

    def consultations(self, asking: str, asked: str, since: float) -> list[PhoneCall]:
        """Give the calls from one extension to another."""
        return [one for one in self._rung[self.shop.port, asking] if one.to == asked and one.at >= since]

    def keys(self, call: PhoneCall) -> Keys:
        """Give the keys of a shop's telephone in a call."""
        return self.shop.keys(call)

    async def until(self, happened: Callable[[], bool], seconds: float, *, outside: bool = False) -> bool:
        """Wait until something holds at the shop's telephones, or at customers'; False when it doesn't."""
        try:
            await (self.outside if outside else self.shop).until(happened, seconds)
        except TimeoutError:
            return False
        return True

    def hang_up(self, calls: list[PhoneCall], *, outside: bool = False) -> None:
        """Hang up what isn't over, at the shop's telephones or at customers'."""
        if there := [one for one in calls if not one.over]:
            (self.outside if outside else self.shop).hang_up(*there)

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, phone: Phone) -> None:
        seen = 0
        while True:
            await phone.until(lambda before=seen: len(phone.calls) > before, FOR_EVER)  # type: ignore[misc]
            new, seen = phone.calls[seen:], len(phone.calls)
            for call in new:
                number = digits(call.to if phone is self.outside else call.number)
                self._rung[phone.port, number].append(call)
                self._do(_serve(phone, call, self._people.get(number, _colleague)(call.to)))


def _colleague(_: str) -> Manner:
    return Answers(CONSULTED_AFTER)


async def _serve(phone: Phone, call: PhoneCall, manner: Manner) -> None:
    if manner is None:
        return
    await asyncio.sleep(manner.after)
    if call.fate is Fate.RINGING:
        (phone.answer if isinstance(manner, Answers) else phone.decline)(call)
