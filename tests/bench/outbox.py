"""The benchmark of a long outage: `python -m tests.bench.outbox [--entries 100000] [--seconds 120]`.

So many entries wait in the outbox of one account, of calls an hour ago; the simulated CRM is back, and strict
about its limit of requests. Meanwhile customers call: look-ups are asked, popups are told. It prints how long
those took, how fast the backlog is told, and how much memory the process took; it fails when the CRM was
asked too fast. It ends when all is told, or
after so many seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import orjson
import structlog

from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.calls import TellHangup, TellResult, TellRinging, tagged
from ari_app.calls.outcome import Ending
from ari_app.demo.crm.simulator import (
    TELEPHONY_PER_SECOND,
    CrmAccount,
    Customer,
    Manager,
    SimulatedCrm,
)
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.delivery import Delivery
from ari_app.retailcrm.pace import Pace
from ari_app.retailcrm.wording import Wording
from ari_app.store.calls import CallStore
from ari_app.store.connection import Redis, connect
from ari_app.store.keys import Keys
from ari_app.store.server import private_redis
from tests.bench.report import Goals
from tests.support.accounts import account_toml

ANNA = "+79161234567"
EVERY_SECONDS = 0.5
MOST_SECONDS = 1.0
"""A popup or a look-up of now takes no longer: who calls hears ringing meanwhile."""


async def _fill(redis: Redis, key: str, entries: int) -> None:
    at, written = time.time() - 3600, 0
    for first in range(0, entries // 3, 1000):
        pipe = redis.pipeline(transaction=False)
        for number in range(first, min(first + 1000, entries // 3)):
            for tell in (
                TellRinging(at, ANNA, None, ("101",)),
                TellHangup(at + 20, ANNA, None, ("101",), Ending.ANSWERED),
                TellResult(at + 21, at, ANNA, None, "101", Ending.ANSWERED, 5, 15, None),
            ):
                written += 1
                data = {"call": f"call-{number}", "tell": orjson.dumps(tagged(tell))}
                pipe.xadd(key, data, id=f"{int(at * 1000) + written}-0")  # type: ignore[arg-type]
        await pipe.execute()


async def _popup(redis: Redis, key: str, delivery: Delivery, account: CrmAccount, number: int) -> float:
    call, began = f"now-{number}", time.monotonic()
    tell = orjson.dumps(tagged(TellRinging(time.time(), ANNA, None, ("101",))))
    await redis.xadd(key, {"call": call, "tell": tell})
    delivery.wake()
    await account.wait_for_event("in", call, timeout=60)
    return time.monotonic() - began


async def _measure(folder: Path, entries: int, seconds: float, goals: Goals) -> None:
    async with (
        private_redis(folder, own=True) as url,
        SimulatedCrm() as crm,
        aiohttp.ClientSession() as session,
    ):
        redis = connect(url)
        customers = [Customer(1, last_name="Иванова", phones=(ANNA,), manager_id=1)]
        account = crm.account(key="key", managers=[Manager(1, code="101")], customers=customers)
        settings = read_account(account_toml(crm={"url": account.url}))
        current, key = Current(settings), Keys(settings.id).outbox
        await _fill(redis, key, entries)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        client = RetailCrm(session, account.url, "key", Pace())
        wording = Wording(current, "http://localhost/recordings")
        calls = CallStore(redis, settings.id)
        delivery = Delivery(calls.outbox, calls.missed, client, wording, current, time.time)
        work = asyncio.create_task(delivery.run())
        popups: list[float] = []
        look_ups: list[float] = []
        began = time.monotonic()
        while len(account.uploads) < entries // 3 and time.monotonic() < began + seconds:
            popups.append(await _popup(redis, key, delivery, account, len(popups)))
            asked = time.monotonic()
            await client.manager_for(ANNA, timeout=10)
            look_ups.append(time.monotonic() - asked)
            await asyncio.sleep(EVERY_SECONDS)
        took = time.monotonic() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await redis.aclose()
    told, requests = len(account.uploads), len(account.requests)
    print(f"of {entries} entries of {entries // 3} calls those of {told} calls told in {took:.1f} s")
    print(f"requests: {requests}, {requests / took:.1f} a second (the CRM takes {TELEPHONY_PER_SECOND})")
    print(f"popups of now: {len(popups)}, the first {popups[0]:.2f} s; look-ups: {len(look_ups)}")
    goals.print("popups, at most", max(popups[1:]), MOST_SECONDS, "s")
    goals.print("look-ups, at most", max(look_ups), MOST_SECONDS, "s")
    print(f"memory: {grown / 1024:.0f} MB more, with all that the simulated CRM keeps of it")
    goals.print("asked too fast, or something wrong", len(crm.violations), 0, "times")
    print(*crm.violations[:5], sep="\n")


def main() -> None:
    """Measure, print, and end with code 1 when the CRM was told something wrong, or too fast."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long it is told at most")
    args, goals = parser.parse_args(), Goals()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(f"{os.getloadavg()[0]:.1f} tasks had the machine's {os.cpu_count()} cores before")
    with tempfile.TemporaryDirectory(prefix="ari-app-") as folder:
        asyncio.run(_measure(Path(folder), args.entries, args.seconds, goals))
    sys.exit(not goals.met)


if __name__ == "__main__":
    main()
