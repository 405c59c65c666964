"""The benchmark of a long log: `python -m tests.bench.log [--calls 1000000] [--requests 200]`.

It writes calls as the service does, into a Redis as it comes with the service; then it asks for pages as a
browser does, one after the other. Times are the server's own: from a request that is read to an answer that
is ready to be sent. The first answer of each page is apart: its template is compiled then, once.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import uvloop
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from ari_app.accounts.reading import read_account
from ari_app.calls.call import Call, Direction, Stage
from ari_app.calls.happenings import RecordingFinished, RecordingStored
from ari_app.calls.journal import JournalLine
from ari_app.calls.outcome import Ending
from ari_app.service.service import Service
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore, Place, Step
from ari_app.store.connection import Redis, connect
from ari_app.store.server import private_redis
from cabinet.app import make_app
from tests.bench.service import SECRET_KEY
from tests.support.accounts import account_toml
from tests.support.story import Story

DAYS = 365
MANAGERS, LINES, CUSTOMERS = 30, 5, 200_000
AT_ONCE = 200
ZONE = ZoneInfo("Europe/Moscow")
LIMITS = {"log": 0.1, "number": 0.1, "statistics": 0.3}
"""Seconds of server time that a page may take."""
_COLUMNS = "{:<36} {:>8} {:>7} {:>7} {:>7} {:>7} {:>5}"

ACCOUNT = account_toml(
    crm={
        "url": "https://bench.retailcrm.ru",
        "cabinet_secret": "the door of the benchmark's cabinet",
        "timezone": "Europe/Moscow",
    }
)


@dataclass
class Page:
    """A page that is asked for, and how long each answer took, in seconds."""

    name: str
    paths: list[str]
    limit: float | None = None
    first: float = 0.0
    took: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def fine(self) -> bool:
        """Whether the slowest answer was quick enough."""
        return self.limit is None or max(self.took) <= self.limit

    def __str__(self) -> str:
        ordered = sorted(self.took)
        times = (f"{seconds * 1000:.1f}" for seconds in (self.first, ordered[len(ordered) // 2], ordered[-1]))
        limit = f"{self.limit * 1000:.0f}" if self.limit else ""
        return _COLUMNS.format(self.name, len(ordered), *times, limit, round(self.size / 1000))


def plain_call() -> tuple[Call, JournalLine]:
    """One call as the service leaves it: a customer whose own manager answered, recorded."""
    story = Story().found("101").wait(5)
    story.answers("101").wait(60).caller_hangs_up().settle()
    before = story.call.stage
    story.happens(RecordingFinished(story.now))
    stored = RecordingStored(story.now, f"{'0' * 40}.wav", 60.0)
    story.happens(stored)
    assert story.call.stage is Stage.ENDED, story.call
    return story.call, JournalLine(story.now, "", before, Stage.ENDED, stored, story.last)


def calls(count: int, until: float) -> Iterator[Step]:
    """Give calls of the last year, oldest first, mostly by day; every sixth was missed."""
    chance = random.Random(1)
    one, line = plain_call()
    for number in range(count):
        at = until - DAYS * 86_400 * (1 - number / count)
        at = at - at % 86_400 + chance.triangular(5, 18, 9) * 3600
        waiting, talking = chance.uniform(2, 40), chance.expovariate(1 / 120)
        code = str(101 + chance.randrange(MANAGERS))
        answered = chance.random() < 5 / 6
        call = replace(
            one,
            id=f"retailcrm-{number:016x}",
            account="bench.retailcrm.ru",
            direction=chance.choice((Direction.IN, Direction.IN, Direction.OUT)),
            started_at=min(at, until - 60),
            number=f"+7916{min(int(chance.expovariate(8 / CUSTOMERS)), 9_999_999):07}",
            external=f"+7495111220{chance.randrange(LINES)}",
            answered_at=at + waiting if answered else None,
            ended_at=at + waiting + (talking if answered else 0),
            ending=Ending.ANSWERED if answered else Ending.GAVE_UP,
            talker=code if answered else None,
            first_talker=code if answered else None,
            responsible=code,
        )
        yield Step(call, replace(line, at=call.started_at, call=call.id))


async def fill(store: CallStore, count: int) -> None:
    """Write the log as the ledger does."""
    batch: list[Step] = []
    began = time.monotonic()
    for number, step in enumerate(calls(count, time.time()), 1):
        batch.append(step)
        if len(batch) == AT_ONCE or number == count:
            await store.write(batch)
            batch = []
        if number % 50_000 == 0:
            print(f"{number} calls in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


@asynccontextmanager
async def cabinet(
    redis: Redis, folder: Path, took: list[float]
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Serve the cabinet, with somebody signed in; `took` gets the time of each answer."""

    @web.middleware
    async def clock(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        try:
            return await handler(request)
        finally:
            took.append(time.perf_counter() - began)

    account = await Accounts(redis, SECRET_KEY).apply(read_account(ACCOUNT), keep_client_id=True)
    app = make_app(Service(Settings(data_dir=folder, _env_file=None), redis, SECRET_KEY, "bench"))
    app.middlewares.insert(0, clock)
    async with TestClient(TestServer(app)) as client:
        assert account.crm.cabinet_secret is not None
        door = f"/account/{account.crm.cabinet_secret.get_secret_value()}"
        answer = await client.get(door, allow_redirects=False)
        assert answer.status == 303, answer.status
        yield client


async def pages(store: CallStore) -> list[Page]:
    """Say what is asked for."""
    newest = await store.ended(1000)
    numbers = list(dict.fromkeys(call.number for call in newest if call.number))
    today = date.today()
    deep = await store.ended(1, skip=500_000)
    behind = f"/calls?behind={Place.of(deep[0])}" if deep else "/calls"
    year = f"/statistics?from={today - timedelta(days=364)}&to={today}"
    return [
        Page("CallLog, first page", ["/calls"], LIMITS["log"]),
        Page("CallLog, a number", [f"/calls?number={n[1:]}" for n in numbers], LIMITS["number"]),
        Page("CallLog, behind half a million calls", [behind]),
        Page("CallLog, a manager's missed calls", ["/calls?manager=115&result=missed&period=month"]),
        Page("Statistics of 90 days", ["/statistics?period=90"], LIMITS["statistics"]),
        Page("Statistics of 90 days, incoming", ["/statistics?period=90&direction=in"], LIMITS["statistics"]),
        Page("Statistics of a year", [year]),
    ]


async def measure(count: int, requests: int) -> bool:
    """Fill, ask, print; tell whether all was quick enough."""
    with tempfile.TemporaryDirectory(prefix="ari-app-bench-") as name:
        folder = Path(name)
        async with private_redis(folder, own=True, temporary=True) as url:
            redis, took = connect(url), list[float]()
            store = CallStore(redis, "bench.retailcrm.ru", lambda: ZONE)
            await fill(store, count)
            async with cabinet(redis, folder, took) as client:
                asked = await pages(store)
                for page in asked:
                    for number in range(-1, requests):
                        took.clear()
                        answer = await client.get(
                            page.paths[number % len(page.paths)], headers={"Accept-Language": "ru"}
                        )
                        page.size = len(await answer.read())
                        assert answer.status == 200, f"{page.name}: {answer.status}"
                        if number < 0:
                            page.first = took[0]
                        else:
                            page.took += took
            memory = (await redis.info("memory"))["used_memory"]
            version = (await redis.info("server"))["redis_version"]
            await redis.aclose()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, Redis {version}, {count} calls")
    print(f"$ {shlex.join(sys.orig_argv)}\n")
    print(_COLUMNS.format("page, server time in ms", "requests", "first", "p50", "max", "limit", "KB"))
    print(*asked, sep="\n")
    print(f"\nRedis: {memory / 1e9:.2f} GB, {memory / count:.0f} bytes a call, with one line of journal each")
    return all(page.fine for page in asked)


def main() -> None:
    """Measure, print a table, and end with code 1 when a page took too long."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=200, help="how often each page is asked for")
    args = parser.parse_args()
    sys.exit(not uvloop.run(measure(args.calls, args.requests)))


if __name__ == "__main__":
    main()
