"""How a planned call is played, and what its telephones saw of it: the truth that we are compared with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.phones import Fate, PhoneCall
from ari_app.demo.pbx.sipp import SippFailed
from tests.soak.plan import Kind, PlannedCall
from tests.soak.telephones import Answers, Declines, Manner, Telephones
from tests.soak.world import World

LEFT_SECONDS = 6.0
"""How long a telephone may still be in a call whose customer is gone."""
BEFORE_SECONDS = 2.0
"""How long two talk before the customer is handed over."""
APART_SECONDS = 1.2
"""Telephones that ring together are answered so far apart."""


@dataclass(frozen=True, slots=True)
class Rang:
    """A telephone that rang, on the clock of `time.monotonic()`."""

    extension: str
    at: float
    answered: float | None
    """When it was answered; of one who was asked first: when the customer came."""
    ended: float | None
    refused: bool


@dataclass(slots=True)
class Seen:
    """A call as its telephones saw it, on the clock of `time.monotonic()`."""

    call: PlannedCall
    manager: str
    """The extension."""
    began: float
    ended: float = 0.0
    placed: bool = True
    """Whether it was placed at all: a click that is refused isn't."""
    heard: bool = False
    """Whether who calls heard ringing."""
    status: int | None = None
    answered: float | None = None
    """When who calls (a clicked call's customer) was connected."""
    gave_up: bool = False
    reason: str = ""
    shop: list[Rang] = field(default_factory=list)
    outside: list[Rang] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Telephones that were left alone in the call long after its end."""
    notes: list[str] = field(default_factory=list)
    """What people could not do."""

    @property
    def incoming(self) -> bool:
        """Whether it is the customer who calls."""
        return self.call.kind not in (Kind.CLICK, Kind.CLICK_IN_VAIN, Kind.DIALS)

    def in_words(self, origin: float) -> str:
        """Tell it on a line, in seconds since `origin`."""
        caller = f"{self.status or 'no answer'}" + (
            f" after {self.answered - self.began:.1f} s" if self.answered else ""
        )
        parts = [f"caller: {caller}, began {self.began - origin:.1f}, ended {self.ended - origin:.1f}"]
        parts += ["gave up"] if self.gave_up else []
        parts += [f"reason {self.reason}"] if self.reason else []
        for one in (*self.shop, *self.outside):
            answered = f", answered {one.answered - origin:.1f}" if one.answered else ""
            ended = f", ended {one.ended - origin:.1f}" if one.ended else ""
            parts.append(f"{one.extension} rang {one.at - origin:.1f}{answered}{ended}")
        return "; ".join(parts + self.notes)


async def play(world: World, call: PlannedCall) -> Seen:
    """Play a call to its end."""
    shop = world.shops[call.shop]
    manager = shop.busy if call.kind is Kind.BUSY else shop.managers[call.manager]
    seen = Seen(call, manager, time.monotonic())
    if call.kind is not Kind.UNKNOWN:
        shop.know(call.number, manager)
    world.telephones.expect(call.number, lambda rung: _manner(call, manager, shop.together, rung))
    scene = _Scene(world, call, seen, shop.managers[call.colleague])
    try:
        if seen.incoming:
            await scene.customer_calls()
        elif call.kind is Kind.DIALS:
            await scene.manager_dials()
        else:
            await scene.manager_clicks()
    except (TimeoutError, SippFailed) as problem:
        seen.notes.append(f"not played to its end: {problem or type(problem).__name__}")
    await scene.is_over()
    return seen


def _manner(call: PlannedCall, manager: str, together: list[str], rung: str) -> Manner:
    """Say what somebody does whose telephone rings in this call."""
    if rung not in (*together, manager):
        if call.kind is Kind.CLICK_IN_VAIN and len(rung) > 3:
            return None  # the customer
        return Answers(call.rings)
    if call.kind is Kind.GIVES_UP:
        return None
    if rung == manager:
        if call.kind is Kind.DECLINED:
            return Declines(call.rings)
        return None if call.kind is Kind.SILENT else Answers(call.rings)
    return Answers(call.rings + APART_SECONDS * together.index(rung))


class _Scene:
    def __init__(self, world: World, call: PlannedCall, seen: Seen, colleague: str) -> None:
        self._world = world
        self._phones: Telephones = world.telephones
        self._call = call
        self._seen = seen
        self._colleague = colleague
        self._asked: list[PhoneCall] = []
        self._came: float | None = None

    async def customer_calls(self) -> None:
        call, shop = self._call, self._world.shops[self._call.shop]
        talks = call.talks + (5.0 if call.kind is Kind.HANGS_UP else 0.0)
        customer = self._world.lab.call(
            call.number, shop.number, app=shop.app, talks=talks, gives_up_after=call.patience
        )
        async with self._called(customer), self._beside(customer):
            await customer.ended(timeout=call.patience + talks + 10.0)

    async def manager_dials(self) -> None:
        call, shop = self._call, self._world.shops[self._call.shop]
        manager = self._world.lab.dial(
            self._seen.manager, call.number, app=shop.app, talks=call.talks, gives_up_after=call.patience
        )
        async with self._called(manager):
            await manager.ended(timeout=call.patience + call.talks + 10.0)

    async def manager_clicks(self) -> None:
        call, seen, shop = self._call, self._seen, self._world.shops[self._call.shop]
        seen.began = time.monotonic()
        try:
            answer = await shop.click(self._world.address(), seen.manager, call.number)
            seen.status, seen.placed = answer.status, answer.status == 200
        except (aiohttp.ClientError, TimeoutError) as problem:
            seen.placed = False
            seen.notes.append(f"the click was not answered: {type(problem).__name__}")
        customer, own = self._phones.of_customer, self._phones.of_shop
        if not await self._phones.until(lambda: bool(_talking(own(call.number))), 12.0):
            return
        connected = await self._phones.until(
            lambda: bool(_talking(customer(call.number))), call.patience, outside=True
        )
        if not connected:
            self._phones.hang_up(own(call.number))
            return
        await asyncio.sleep(call.talks)
        by_customer = int(call.number[-1]) % 2 == 0
        self._phones.hang_up((customer if by_customer else own)(call.number), outside=by_customer)
        await self._phones.until(lambda: not _talking(own(call.number)), 5.0)

    async def is_over(self) -> None:
        """Wait until nobody is in the call, and write down what the telephones saw."""
        seen, number = self._seen, self._call.number
        shop, outside = self._phones.of_shop(number) + self._asked, self._phones.of_customer(number)
        if not seen.incoming and self._call.kind is not Kind.DIALS:
            seen.ended = max(
                (one.ended_at or time.monotonic() for one in (*shop, *outside)), default=seen.began
            )
        if shop or outside:
            until = time.monotonic() + LEFT_SECONDS
            while time.monotonic() < until and any(one.ended_at is None for one in (*shop, *outside)):
                await asyncio.sleep(0.1)
                shop = self._phones.of_shop(number) + self._asked
                outside = self._phones.of_customer(number)
            seen.left = [one.to for one in (*shop, *outside) if one.ended_at is None]
            self._phones.hang_up(shop)
            self._phones.hang_up(outside, outside=True)
        seen.shop = [self._rang(one) for one in shop]
        seen.outside = [self._rang(one) for one in outside]
        if self._call.kind in (Kind.CLICK, Kind.CLICK_IN_VAIN):
            seen.answered = next((one.answered for one in seen.outside if one.answered), None)
            seen.gave_up = seen.answered is None

    def _rang(self, one: PhoneCall) -> Rang:
        answered = one.answered_at
        if one in self._asked:
            answered = (
                self._came if self._came is not None and (one.ended_at or self._came) >= self._came else None
            )
        return Rang(one.to, one.at, answered, one.ended_at, one.fate is Fate.REFUSED)

    @asynccontextmanager
    async def _called(self, customer: Customer) -> AsyncIterator[None]:
        """Place the call of somebody, and take note of what they saw, however it ends."""
        began = time.monotonic()
        try:
            async with customer:
                began = time.monotonic()
                yield
        finally:
            seen = self._seen
            seen.began = began
            seen.heard = bool(customer.provisional) or customer.status == 200
            seen.status = customer.status
            seen.answered = None if customer.answered_after is None else began + customer.answered_after
            seen.ended = (
                began + customer.ended_after if customer.ended_after is not None else time.monotonic()
            )
            seen.gave_up = customer.answered_after is None and customer.ended_by != "other side"
            seen.reason = customer.reason

    @asynccontextmanager
    async def _beside(self, customer: Customer) -> AsyncIterator[None]:
        """Do what the shop's people do of themselves while the customer is there."""
        doing = asyncio.create_task(self._people(customer))
        try:
            yield
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
            if not doing.cancelled() and (problem := doing.exception()) is not None:
                if not isinstance(problem, TimeoutError | SippFailed | AssertionError):
                    raise problem
                self._seen.notes.append(f"somebody could not do their part: {problem!r}")

    async def _people(self, customer: Customer) -> None:
        call = self._call
        if call.kind not in (Kind.HANGS_UP, Kind.BLIND, Kind.ATTENDED):
            return
        if not await self._phones.until(lambda: bool(_talking(self._own())), call.patience):
            return
        await customer.answered()
        first = next(iter(_talking(self._own())), None)
        if first is None:
            return
        await asyncio.sleep(call.talks if call.kind is Kind.HANGS_UP else BEFORE_SECONDS)
        if call.kind is Kind.HANGS_UP:
            self._phones.hang_up([first])
        elif call.kind is Kind.BLIND:
            status = await self._phones.keys(first).transfer(self._colleague)
            self._seen.notes.append(f"handed over to {self._colleague}: {status}")
        else:
            await self._ask_first(first)

    async def _ask_first(self, giver: PhoneCall) -> None:
        keys, began = self._phones.keys(giver), time.monotonic()
        await keys.hold()
        async with self._world.lab.dial(giver.to, self._colleague) as consultation:
            await consultation.answered()
            self._asked = self._phones.consultations(giver.to, self._colleague, began)
            await asyncio.sleep(0.5)
            status = await keys.transfer_to(consultation)
            if status == 200:
                self._came = time.monotonic()
                await consultation.ended()
        self._seen.notes.append(f"handed over, asked first, to {self._colleague}: {status}")

    def _own(self) -> list[PhoneCall]:
        return self._phones.of_shop(self._call.number)


def _talking(calls: list[PhoneCall]) -> list[PhoneCall]:
    return [one for one in calls if one.fate is Fate.TALKING]
