"""The benchmark of many shops without calls: `python -m tests.bench.idle [--pbxs 500] [--seconds 30]`.

Imitated PBXs and a simulated CRM with an account for each, in this process; the service, as `make bench` runs
it, in its own. It prints how much memory and CPU that one takes, and what comes when all connections to the
PBXs are cut at one moment: how soon the last is back, and how many connections were made at once. Then the
same when the PBXs have been away for a while. It ends after some four minutes, or when something takes
longer than it may.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from rich.console import Console

from ari_app.accounts.reading import read_account
from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.demo.pbx.preparation import prepare_visibly
from ari_app.store.accounts import Accounts
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from tests.bench.ari_description import Description
from tests.bench.imitated_server import ImitatedServer, imitated
from tests.bench.processes import cpu_seconds, memory_mb
from tests.bench.report import Goals
from tests.bench.service import SECRET_KEY
from tests.bench.shop import serving
from tests.support.accounts import account_toml

MEMORY_MB, CORE, BACK_SECONDS = 350, 0.03, 15.0
"""The goals, for 500."""
START_SECONDS, SETTLES_SECONDS, AWAY_SECONDS = 180.0, 100.0, 20.0
"""For a minute and a half an account that was taken looks each second whether calls are handed in."""
MOST_SECONDS = 60.0
"""No connection may take longer."""


async def _measure(folder: Path, description: Description, pbxs: int, seconds: float, goals: Goals) -> None:
    async with AsyncExitStack() as stack:
        redis_url = await stack.enter_async_context(private_redis(folder, own=True, temporary=True))
        redis = connect(redis_url)
        stack.push_async_callback(redis.aclose)
        crm = await stack.enter_async_context(SimulatedCrm())
        server = await stack.enter_async_context(imitated(description, pbxs))
        accounts = Accounts(redis, SECRET_KEY)
        for number, pbx in enumerate(server.pbxs):
            url = crm.account(key=f"key {number}").url
            toml = account_toml(crm={"url": url, "api_key": f"key {number}"}, pbx=server.fields(pbx))
            await accounts.apply(read_account(toml), keep_client_id=True)
        began = time.monotonic()
        pid, _ = await stack.enter_async_context(serving(folder, redis_url, START_SECONDS))
        print(f"{pbxs} PBXs are connected {time.monotonic() - began:.1f} s after the start")
        redis_pid = (await redis.info("server"))["process_id"]
        await asyncio.sleep(SETTLES_SECONDS)
        spent = cpu_seconds(pid), cpu_seconds(redis_pid)
        await asyncio.sleep(seconds)
        core, redis_core = (
            (now - before) / seconds
            for now, before in zip((cpu_seconds(pid), cpu_seconds(redis_pid)), spent, strict=True)
        )
        goals.print("memory of the service", memory_mb(pid), MEMORY_MB, "MB")
        goals.print("CPU of the service, of one core", core * 100, CORE * 100, "%")
        print(f"CPU of Redis, of one core: {redis_core * 100:.1f} %")
        await _cut(server, pid, 0.0, goals)
        await _cut(server, pid, AWAY_SECONDS, goals)
        goals.print("memory of the service after both", memory_mb(pid), MEMORY_MB, "MB")
        print(f"asked and not allowed: {len(server.wrong)}", *server.wrong[:5], sep="\n")
        print(f"the CRM complains: {len(crm.violations)}", *crm.violations[:5], sep="\n")
        goals.met = goals.met and not server.wrong and not crm.violations


async def _cut(server: ImitatedServer, pid: int, away: float, goals: Goals) -> None:
    """Cut all connections, let PBXs be away so long, and see how they are connected again."""
    server.away = away > 0
    server.cut()
    if away:
        await asyncio.sleep(away)
    server.away, began = False, time.monotonic()
    spent = cpu_seconds(pid)
    try:
        await server.all_introduced(MOST_SECONDS)
    except TimeoutError:
        print(f"{len(server.pbxs) - len(server.introduced)} are not back after {MOST_SECONDS:g} s")
    spent = cpu_seconds(pid) - spent
    back = sorted(moment - began for moment in server.introduced.values())
    opened = [moment - began for moment in server.opened]
    most = Counter(int(moment * 10) for moment in opened).most_common(1)
    print(
        f"all connections cut{f', PBXs away for {away:g} s' if away else ''}: the first back after "
        f"{back[0]:.2f} s, half of them {back[len(back) // 2]:.2f} s; event streams opened {len(opened)}, "
        f"at most {most[0][1]} in 0.1 s; CPU {spent:.1f} s"
    )
    whole = back[-1] if len(back) == len(server.pbxs) else float("inf")
    goals.print("all are back", whole, BACK_SECONDS, "s")


def main() -> None:
    """Measure, print, and end with code 1 when a goal isn't reached or something was not as it must be."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--pbxs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long CPU is measured")
    args = parser.parse_args()
    description = Description(prepare_visibly(Console(stderr=True, highlight=False)))
    goals = Goals()
    print(f"{os.getloadavg()[0]:.1f} tasks had the machine's {os.cpu_count()} cores before")
    with tempfile.TemporaryDirectory(prefix="ari-app-bench-") as folder:
        uvloop.run(_measure(Path(folder), description, args.pbxs, args.seconds, goals))
    sys.exit(not goals.met)


if __name__ == "__main__":
    main()
