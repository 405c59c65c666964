"""One measurement: calls at one rate, one way."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.load import LoadResult
from tests.bench.processes import costs
from tests.bench.shop import NUMBER, Shop, open_shop, pbx_of

TALK_SECONDS = 2.0
WARM_UP_CALLS_A_SECOND, WARM_UP_SECONDS = 10, 2.0
IDLE_SECONDS = 3.0


class Through(StrEnum):
    """How the calls go."""

    PLAIN = "plain Dial()"
    MIXED = "MixMonitor"
    UNRECORDED = "us, unrecorded"
    US = "through us"


@dataclass(frozen=True)
class Measured:
    """What came of one measurement; CPU in seconds, by who took it."""

    rate: int
    way: Through
    load: LoadResult
    seconds: float
    cpu: Mapping[str, float]
    problems: list[str] = field(default_factory=list)


async def measure(lab: Lab, pids: Mapping[str, int], way: Through, rate: int, seconds: float) -> Measured:
    """Place `rate` calls a second for so many seconds; `pids` are the processes that all ways share."""
    if way in (Through.PLAIN, Through.MIXED):
        return await _measure_plain(lab, pids, way, rate, seconds)
    return await _measure_us(lab, pids, way, rate, seconds)


async def _measure_plain(
    lab: Lab, pids: Mapping[str, int], way: Through, rate: int, seconds: float
) -> Measured:
    """Place calls that the dialplan dials by itself, and records if so asked."""
    before = "03" if way is Through.MIXED else "00"
    called = [f"{before}{extension}" for extension in lab.asterisk.phones]
    await _load(lab, WARM_UP_CALLS_A_SECOND, WARM_UP_SECONDS, called)
    meter = _Meter(pids)
    load = await _load(lab, rate, seconds, called)
    return Measured(rate, way, load, meter.seconds, meter.read())


async def _load(lab: Lab, rate: int, seconds: float, called: Sequence[str]) -> LoadResult:
    """Place calls; both sides send sound, as telephones do."""
    return await lab.load(rate, seconds, called, talks=TALK_SECONDS, sound=True)


async def _measure_us(lab: Lab, pids: Mapping[str, int], way: Through, rate: int, seconds: float) -> Measured:
    """Place calls of known customers, each of whom has a responsible manager."""
    calls = round(rate * seconds)
    pbx, managers = pbx_of(lab.asterisk), len(lab.asterisk.phones)
    async with open_shop(pbx, managers, calls, record=way is Through.US) as shop:
        warm_up = await _load(lab, WARM_UP_CALLS_A_SECOND, WARM_UP_SECONDS, [NUMBER])
        await shop.settled()
        idle = await _idle(shop)
        meter = _Meter({**pids, **shop.pids})
        load = await _load(lab, rate, seconds, [NUMBER])
        await shop.settled()
        cpu = meter.read()
        cpu["us"] -= idle * meter.seconds
        problems = await shop.problems(warm_up.placed + load.placed)
        return Measured(rate, way, load, meter.seconds, cpu, problems)


async def _idle(shop: Shop) -> float:
    """Say how much CPU a second our process takes when there are no calls."""
    meter = _Meter(shop.pids)
    await asyncio.sleep(IDLE_SECONDS)
    return meter.read()["us"] / IDLE_SECONDS


class _Meter:
    """Reads the CPU that was taken since it was made, also by the caller (a child process that has ended)."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._costs()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def read(self) -> dict[str, float]:
        now = self._costs()
        return {name: now[name] - self._before[name] for name in now}

    def _costs(self) -> dict[str, float]:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {**costs(self._pids), "caller": ended.ru_utime + ended.ru_stime}
