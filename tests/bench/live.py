"""The benchmark of many calls at once: `python -m tests.bench.live [--calls 1000] [--rate 10]`.

An imitated PBX in this process; the service, a simulated CRM and Redis, each in its own. So many calls begin,
of known customers whose own managers answer, and talk; then each second some end and as many begin. It prints
how long it takes from the event that the PBX sends until the request for what follows is there, by kinds of
events, and how much memory the service has. Every call must be complete in Redis and in the CRM in the end.
It ends after some three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import deque

import uvloop
from rich.console import Console

from ari_app.demo.pbx.preparation import prepare_visibly
from tests.bench.ari_description import Asked, Description
from tests.bench.imitated import ANSWERS_AFTER, APP, Channel, ImitatedPbx
from tests.bench.imitated_server import imitated
from tests.bench.processes import cpu_seconds, memory_mb
from tests.bench.report import Goals, percentile
from tests.bench.shop import NUMBER, open_shop

P99_MS, CALL_KB, MEMORY_MB = 20, 8, 130
"""The goals."""
SPARE = 1.5
"""So many managers, for each call at once: one who has just hung up rests."""
WARM_UP = 50
RESTS_SECONDS = 5.0
_CALL = len(f"{APP}-") + 16
"""The length of a call's id, with which the ids of all that is its own begin."""


class Watch:
    """Measures from an event of a call until the first request that concerns this call, seconds by event."""

    def __init__(self, pbx: ImitatedPbx) -> None:
        self.took: dict[str, list[float]] = {}
        self._pbx = pbx
        self._waits: dict[str, tuple[str, float]] = {}
        self._call_of: dict[str, str] = {}
        """By their callers."""
        pbx.said, pbx.heard = self._said, self._heard

    def clear(self) -> None:
        """Begin anew."""
        self.took.clear()

    def _said(self, kind: str, channel: Channel) -> None:
        caller = not channel.id.startswith(APP)
        match kind, channel.state:
            case "StasisStart", _:
                what = "a caller comes" if caller else "a leg is ready"
            case "ChannelStateChange", "Up" if not caller:
                what = "a manager answers"
            case "ChannelDestroyed", _ if caller:
                what = "a caller hangs up"
            case _:
                return
        self._waits[self._key(channel.id)] = (what, time.monotonic())

    def _heard(self, asked: Asked, at: float) -> None:
        values = asked.values
        if "originator" in values:
            self._call_of[values["originator"]] = values["channelId"][:_CALL]
        named = (values.get(name, "") for name in ("channelId", "bridgeId", "eventSource"))
        for ident in named:
            wait = self._waits.pop(self._key(ident.removeprefix("channel:")), None)
            if wait is not None:
                self.took.setdefault(wait[0], []).append(at - wait[1])

    def _key(self, ident: str) -> str:
        return self._call_of.get(ident, ident) if not ident.startswith(APP) else ident[:_CALL]


async def _measure(
    description: Description, calls: int, rate: int, begins: int, seconds: float, goals: Goals
) -> None:
    managers = round(calls * SPARE)
    placed = WARM_UP + calls + round(rate * seconds)
    codes = [str(101 + number) for number in range(managers)]
    async with imitated(description) as server:
        (pbx,) = server.pbxs.values()
        watch = Watch(pbx)
        async with open_shop(server.fields(pbx.name), managers, placed, extensions=codes) as shop:
            pid = shop.pids["us"]
            numbers = iter(f"+7916{number:07d}" for number in range(placed))
            talking: deque[str] = deque()

            async def begin(count: int, a_second: float, *, ends: bool = False) -> None:
                began = time.monotonic()
                for number in range(count):
                    await asyncio.sleep(began + number / a_second - time.monotonic())
                    talking.append(pbx.call(next(numbers), NUMBER))
                    if ends:
                        pbx.hang_up(talking.popleft())

            async def end_all() -> None:
                while talking:
                    pbx.hang_up(talking.popleft())
                    await asyncio.sleep(1 / begins / 2)
                await shop.settled()

            await begin(WARM_UP, begins)
            await asyncio.sleep(10 * ANSWERS_AFTER)
            await end_all()
            before = memory_mb(pid)
            await begin(calls, begins)
            await asyncio.sleep(RESTS_SECONDS)
            live = await shop.calls.live()
            up = sum(call.talker is not None for call in live)
            print(f"{len(live)} calls are live, in {up} of them people talk")
            memory = memory_mb(pid)
            goals.print("memory of the service", memory, MEMORY_MB, "MB")
            goals.print("of it for a live call", (memory - before) * 1000 / max(1, len(live)), CALL_KB, "KB")
            watch.clear()
            spent, began = cpu_seconds(pid), time.monotonic()
            await begin(round(rate * seconds), rate, ends=True)
            core = (cpu_seconds(pid) - spent) / (time.monotonic() - began)
            took = [one for those in watch.took.values() for one in those]
            print(f"{rate} calls a second begin and end; the service takes {core * 100:.0f} % of a core")
            for what, those in watch.took.items():
                p50, p99 = (percentile(those, percent) * 1000 for percent in (50, 99))
                print(f"{what}: {len(those)} times, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
            goals.print("event to order, p99", percentile(took, 99) * 1000, P99_MS, "ms")
            await end_all()
            problems = [*await shop.problems(placed), *server.wrong]
            print(f"problems: {len(problems)}", *problems[:10], sep="\n")
            goals.met = goals.met and not problems and len(live) == calls


def main() -> None:
    """Measure, print, and end with code 1 when a goal isn't reached or something was not as it must be."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=10, help="calls a second that begin, and that end")
    parser.add_argument("--begins", type=int, default=20, help="calls a second that begin before")
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args()
    description = Description(prepare_visibly(Console(stderr=True, highlight=False)))
    goals = Goals()
    print(f"{os.getloadavg()[0]:.1f} tasks had the machine's {os.cpu_count()} cores before")
    uvloop.run(_measure(description, args.calls, args.rate, args.begins, args.seconds, goals))
    sys.exit(not goals.met)


if __name__ == "__main__":
    main()
