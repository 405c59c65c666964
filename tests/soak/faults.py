"""How each fault of a plan befalls the world, and when it was over."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ari_app.demo.crm.faults import Closed, HtmlPage, Kind, Slow, Status
from tests.faults.wire import Fault
from tests.soak.copies import Copy
from tests.soak.plan import PlannedFault, What
from tests.soak.world import World, fill
from tests.support.pace import at_this_pace

HEARD_LATER_SECONDS, NOT_TAKEN_SECONDS = 3.5, 2.9
"""What stands still no longer loses nothing: the PBX and the wires keep it so long, if no copy takes over."""
STEP_SECONDS = 40.0
SLOW_SECONDS, SLOW_PACKETS = 0.4, 8
"""How late each packet is on a slow wire, and how many go to and fro from an answer until it is recorded."""
LOST_ANSWERS = 4
_DEAF = frozenset({
    What.KILLED, What.STOPPED, What.WIRE_CUT, What.WIRE_SILENT, What.WIRE_PULLED,
    What.PBX_RESTARTED, What.PBX_CRASHED, What.CUT_FROM_PBX, What.CUT_FROM_REDIS, What.WIRE_ANSWERS,
})  # fmt: skip
"""Requests go by the socket of the events: a lost answer breaks it."""
OF_ONE_COPY = frozenset({
    What.KILLED, What.STOPPED, What.FROZEN, What.BLOCKED, What.CUT_FROM_REDIS, What.CUT_FROM_PBX,
})  # fmt: skip
"""Where there are several copies, another one takes over."""
TAKEN_OVER_SECONDS = 6.0
LOOK_SECONDS = 0.2
_STANDS_STILL = frozenset({What.FROZEN, What.BLOCKED})
_CRM: dict[What, Kind] = {
    What.CRM_CLOSED: Closed(),
    What.CRM_503: Status(503),
    What.CRM_SLOW: Slow(3.0),
    What.CRM_HTML: HtmlPage(),
}


@dataclass(slots=True)
class Happened:
    """A fault that was, on the clock of `time.monotonic()`."""

    fault: PlannedFault
    began: float
    healed: float = math.inf
    back: float = math.inf
    """When it was over, and every PBX heard again."""
    unheard_since: float = math.inf
    unheard: float = 0.0
    """From when and until when some PBX was not heard."""
    taken_over: float = math.inf
    """When the first time ended at which some was not heard; accounts that move back later make more."""
    note: str = ""
    alone: bool = True
    """Whether there is one copy of the service only."""

    @property
    def deaf(self) -> bool:
        """Whether what happened meanwhile may never have been heard."""
        what = self.fault.what
        if what is What.STOPPED and not self.alone:
            return False  # it hands everything over
        if what is What.WIRE_SLOW:
            return math.isfinite(self.unheard_since)  # the PBX broke the event stream off, or we did
        kept = HEARD_LATER_SECONDS if self.alone else NOT_TAKEN_SECONDS
        return what in _DEAF or (what in _STANDS_STILL and self.fault.seconds > kept)

    @property
    def lasted(self) -> float:
        """Seconds from its beginning until it was over, and every PBX heard again."""
        return self.back - self.began

    @property
    def since(self) -> float:
        """When it began to keep us from hearing; what is only slow may never do that."""
        return self.unheard_since if self.fault.what is What.WIRE_SLOW and self.deaf else self.began

    def covers(self, moment: float, margin: float = 1.0) -> bool:
        """Whether something happened in it, or so shortly before or after that nobody could tell."""
        return self.since - margin <= moment <= self.back + margin

    def overlaps(self, since: float, until: float, margin: float = 1.0) -> bool:
        """Whether it was on while something lasted."""
        return self.since - margin <= until and since <= self.back + margin

    def holds_up(self, moment: float) -> float:
        """Seconds by which what we ordered at a moment may have been carried out later."""
        if not self.began - 1.0 <= moment <= self.healed:
            return 0.0
        if self.fault.what in _STANDS_STILL:
            return min(self.healed - moment, self.healed - self.began)
        return SLOW_PACKETS * SLOW_SECONDS if self.fault.what is What.WIRE_SLOW else 0.0

    def in_words(self, origin: float) -> str:
        """Tell it in a line, in seconds since `origin`."""
        back = f"{self.back - origin:.1f}" if math.isfinite(self.back) else "never"
        return f"{self.fault.what.value} {self.began - origin:.1f} to {self.healed - origin:.1f}, back {back}"


async def befall(world: World, happened: Happened) -> None:
    """Let a fault begin, last and be healed; return when the service is back, or should be."""
    fault = happened.fault
    watching = asyncio.create_task(_watch(world, happened))
    try:
        async with _begun(world, fault):
            await asyncio.sleep(fault.seconds)
        happened.healed = time.monotonic()
        if not await world.back():
            happened.note = "the service did not come back"
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    happened.back = happened.unheard
    if fault.what is What.CUT_FROM_REDIS:  # what happens until another copy has it is not written
        happened.back = max(happened.unheard, min(happened.healed, happened.began + TAKEN_OVER_SECONDS))
    if happened.alone or fault.what not in OF_ONE_COPY:
        happened.back = max(happened.healed, happened.unheard)
    elif happened.deaf:
        unheard = min(happened.taken_over, happened.unheard) - happened.began
        if unheard > TAKEN_OVER_SECONDS * at_this_pace(1.0):
            happened.note = f"no other copy heard every PBX for {unheard:.1f} s"
    await world.complete()


async def _watch(world: World, happened: Happened) -> None:
    """Take note until when a PBX was not heard; one that is handed over is missing for one look at most."""
    happened.unheard = happened.began
    missing = False
    while True:
        heard = await world.connected()
        if not heard and missing:
            happened.unheard = time.monotonic()
            happened.unheard_since = min(happened.unheard_since, happened.unheard)
        elif heard and happened.unheard > happened.began:
            happened.taken_over = min(happened.taken_over, happened.unheard)
        missing = not heard
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def _begun(world: World, fault: PlannedFault) -> AsyncIterator[None]:
    copy, what = world.copies[fault.copy], fault.what
    if what in _CRM:
        world.crm.fault(_CRM[what])
        yield
        world.crm.heal()
    elif what is What.CRM_ONE_500:
        for shop in world.shops:
            if (number := shop.newest) is not None:
                shop.crm.fault(Status(500), route="upload", about=number)
        yield
        world.crm.heal()
    elif what.value.startswith("service"):
        async with _service(copy, fault):
            yield
    elif what is What.CUT_FROM_REDIS:
        wire = world.redis_wires[fault.copy]
        wire.refuse(unnoticed=fault.forwards)
        yield
        await wire.mend()
    elif what is What.CUT_FROM_PBX:
        world.wire.cut_off(fault.copy)
        yield
        world.wire.let_through(fault.copy)
    elif what.value.startswith("Redis"):
        async with _redis(world, what):
            yield
    elif what is What.DISK:
        file = await asyncio.to_thread(fill, world.disk)
        yield
        file.unlink()
    elif what in (What.PBX_CRASHED, What.PBX_RESTARTED):
        await world.restart_asterisk(hard=what is What.PBX_CRASHED, after=fault.seconds)
        yield
    else:
        async with _wire(world, what):
            yield


@asynccontextmanager
async def _service(copy: Copy, fault: PlannedFault) -> AsyncIterator[None]:
    match fault.what:
        case What.KILLED:
            await copy.kill()
            yield
            await copy.start()
        case What.STOPPED:
            await copy.stop()
            yield
            await copy.start()
        case What.FROZEN:
            copy.freeze()
            yield
            copy.thaw()
        case What.BLOCKED:
            copy.block(fault.seconds)
            yield
        case _:
            copy.step(STEP_SECONDS if fault.forwards else -STEP_SECONDS)
            yield
            copy.step(0)


@asynccontextmanager
async def _redis(world: World, what: What) -> AsyncIterator[None]:
    server = world.redis
    match what:
        case What.REDIS_KILLED:
            await server.kill()
            yield
            await server.start()
        case What.REDIS_FROZEN:
            server.freeze()
            yield
            server.thaw()
        case What.REDIS_FULL:
            await server.fill()
            yield
            await server.make_room()
        case _:
            await server.demote()
            yield
            await server.promote()


@asynccontextmanager
async def _wire(world: World, what: What) -> AsyncIterator[None]:
    wire = world.wire
    match what:
        case What.WIRE_CUT:
            wire.cut()
            yield
        case What.WIRE_SILENT:
            wire.fall_silent()
            yield
            await wire.mend()
        case What.WIRE_PULLED:
            wire.refuse(unnoticed=True)
            yield
            await wire.mend()
        case What.WIRE_SLOW:
            wire.delay = SLOW_SECONDS
            yield
            wire.delay = 0.0
        case _:
            wire.spoil(r"(POST|DELETE) .*", Fault.ANSWER_LOST, times=LOST_ANSWERS)
            yield
            wire.forget()
