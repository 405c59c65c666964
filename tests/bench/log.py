"""The benchmark of a long log: `python -m tests.bench.log [--calls N] [--requests 200] [--kept FOLDER]`.

It writes calls as the service does, into a Redis as it comes with the service; then it asks for pages as a
browser does, one after the other. Times are the server's own: from a request that is read to an answer that
is ready to be sent. The first answer of each page is apart: its template is compiled then, once.

With `--kept` the calls are written into a folder that stays, and the next time they are there already.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import random
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
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
from ari_app.store.calls import CallStore, Step
from ari_app.store.connection import Redis, connect
from ari_app.store.keys import Keys
from ari_app.store.reading import Place
from ari_app.store.server import private_redis
from cabinet.app import make_app
from tests.bench.service import SECRET_KEY
from tests.support.accounts import account_toml
from tests.support.story import Story

DAYS, REPEATED = 368, 8
"""An eighth of the time is written as the service does; the rest is the same again, of other customers."""
MANAGERS, LINES, CUSTOMERS = 30, 5, 200_000
AT_ONCE = 200
PACKED = 5_000
"""So many of the newest calls are packed as they are kept: more than any page looks at."""
ZONE = ZoneInfo("Europe/Moscow")
P50, SIZE = 0.03, 150_000
"""Seconds of server time that half of a page's answers may take at most, and bytes of each."""
_COLUMNS = "{:<46} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>5}  {}"

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
    slow: bool = False
    """Whether its time is shown only."""
    first: float = 0.0
    took: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """How much of it our process worked: the same on a machine that has much else to do."""
    redis_cpu: float = 0.0
    """How long Redis worked for one."""
    size: int = 0

    @property
    def fine(self) -> bool:
        """Whether the answers were quick and small enough."""
        half = sorted(self.took)[len(self.took) // 2]
        return self.size <= SIZE and (self.slow or half <= P50)

    def __str__(self) -> str:
        ordered = sorted(self.took)
        half = len(ordered) // 2
        shown = (self.first, ordered[half], ordered[-1], sorted(self.cpu)[half], self.redis_cpu)
        times = (f"{seconds * 1000:.1f}" for seconds in shown)
        fine = "" if self.fine else "too much"
        return _COLUMNS.format(self.name, len(ordered), *times, round(self.size / 1000), fine)


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


def calls(count: int, days: int, until: float) -> Iterator[Step]:
    """Give calls of some days, oldest first, mostly by day; every sixth was missed."""
    chance = random.Random(1)
    one, line = plain_call()
    for number in range(count):
        at = until - days * 86_400 * (1 - number / count)
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


_LATER = """
local tag, mark, seconds = ARGV[1], ARGV[2], tonumber(ARGV[3])
local function later(text)
  text = string.gsub(text, 'retailcrm%-0', 'retailcrm-' .. mark)
  text = string.gsub(text, '%+7916', '+79' .. mark .. '5')
  return (string.gsub(text, '1[678]%d%d%d%d%d%d%d%d%.?%d*', function(at)
    return string.format('%.3f', tonumber(at) + seconds)
  end))
end
local function put(key, at, member)
  redis.call('ZADD', tag .. key, at + seconds, later(member))
end
for index = 4, #ARGV, 2 do
  local one, at = ARGV[index], ARGV[index + 1]
  if string.sub(one, 1, 1) == '{' then
    put(':missed:closed', at, one)
  elseif string.sub(one, 1, 1) == '+' then
    redis.call('HSET', tag .. ':missed', later(one), later(redis.call('HGET', tag .. ':missed', one)))
    put(':missed:since', at, one)
  else
    local state = redis.call('GET', tag .. ':call:' .. one)
    local lines = tag .. ':call:' .. later(one) .. ':journal'
    redis.call('SET', tag .. ':call:' .. later(one), later(state))
    for _, line in ipairs(redis.call('LRANGE', tag .. ':call:' .. one .. ':journal', 0, -1)) do
      redis.call('RPUSH', lines, later(line))
    end
    put(':calls:ended', at, one)
    put(':number:' .. later(string.match(state, '%+7916%d+')), at, one)
  end
end
"""
"""Lua: of calls, missed customers by number, and closed ones, each with its moment, the same once more."""


async def repeat(redis: Redis, times: int, days: int) -> None:
    """Let the same happen again and again, so many days later each time, with other customers."""
    keys, script = Keys("bench.retailcrm.ru"), redis.register_script(_LATER)
    there = [
        [part for pair in await redis.zrange(key, 0, -1, withscores=True) for part in pair]
        for key in (keys.ended, keys.missed_since, keys.missed_closed)
    ]
    counted = [name async for name in redis.scan_iter(match=keys.statistics("20*"), count=10_000)]
    figures = {name.decode()[-10:]: await redis.hgetall(name) for name in counted}
    for time_ in range(1, times):
        later = timedelta(days=time_ * days)
        for some in there:
            for start in range(0, len(some), 2 * AT_ONCE):
                portion = some[start : start + 2 * AT_ONCE]
                await script(args=["{bench.retailcrm.ru}", time_, later.total_seconds(), *portion])
        for day, sums in figures.items():
            name = keys.statistics((date.fromisoformat(day) + later).isoformat())
            await redis.hset(name, items=[part for pair in sums.items() for part in pair])
        print(f"written {time_ + 1} times", file=sys.stderr, flush=True)


async def kept(redis: Redis) -> None:
    """Wait until all is in Redis' append-only file."""
    while (await redis.info("persistence"))["aof_rewrite_in_progress"]:
        await asyncio.to_thread(time.sleep, 1)


async def fill(redis: Redis, store: CallStore, count: int) -> None:
    """Write the log; into the append-only file it comes at the end, all at once."""
    await redis.config_set("appendonly", "no")
    days, count = DAYS // REPEATED, count // REPEATED
    batch: list[Step] = []
    began = time.monotonic()
    for number, step in enumerate(calls(count, days, time.time() - (DAYS - days) * 86_400), 1):
        batch.append(step)
        if len(batch) == AT_ONCE or number == count:
            await store.write(batch)
            batch = []
        if number % 25_000 == 0:
            print(f"{number} calls in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    await repeat(redis, REPEATED, days)
    await store.note_all_counted()
    await redis.config_set("appendonly", "yes")
    async with asyncio.timeout(600):
        await kept(redis)


@asynccontextmanager
async def cabinet(
    redis: Redis, folder: Path, took: list[float], cpu: list[float]
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Serve the cabinet, with somebody signed in; `took` and `cpu` get each answer's time, and our part."""

    @web.middleware
    async def clock(request: web.Request, handler: Handler) -> web.StreamResponse:
        began, worked = time.perf_counter(), time.thread_time()
        try:
            return await handler(request)
        finally:
            took.append(time.perf_counter() - began)
            cpu.append(time.thread_time() - worked)

    account = await Accounts(redis, SECRET_KEY).apply(read_account(ACCOUNT), keep_client_id=True)
    service = Service(Settings(data_dir=folder, _env_file=None), redis, SECRET_KEY, "bench")
    service.doors.know([account])  # it isn't run: neither PBX nor CRM is there
    service.loaded.set()
    app = make_app(service)
    app.middlewares.insert(0, clock)
    async with TestClient(TestServer(app)) as client:
        assert account.crm.cabinet_secret is not None
        door = f"/account/{account.crm.cabinet_secret.get_secret_value()}"
        answer = await client.get(door, allow_redirects=False)
        assert answer.status == 303, answer.status
        yield client


async def pages(store: CallStore) -> list[Page]:
    """Say what is asked for: each page that shows calls, with each of its filters."""
    newest = await store.ended(1000)
    numbers = list(dict.fromkeys(call.number for call in newest if call.number))
    deep = await store.ended(1, skip=500_000)
    behind = f"/calls?behind={Place.of(deep[0])}" if deep else "/calls"
    today, line = date.today(), "%2B74951112203"
    results = ("answered", "missed", "busy")
    year = f"from={today - timedelta(days=364)}&to={today}"
    own = f"from={today - timedelta(days=200)}&to={today - timedelta(days=140)}"
    month = "manager=115&period=month"
    return [
        Page("Information", ["/"]),
        Page("Calls now", ["/live"]),
        Page("CallLog, first page", ["/calls"]),
        Page("CallLog, a number", [f"/calls?number={n[1:]}" for n in numbers]),
        Page("CallLog, behind half a million calls", [behind]),
        *(Page(f"CallLog, period: {one}", [f"/calls?period={one}"]) for one in ("today", "week", "month")),
        Page("CallLog, two months of half a year ago", [f"/calls?{own}"]),
        *(Page(f"CallLog, result: {one}", [f"/calls?result={one}"]) for one in results),
        *(Page(f"CallLog, direction: {one}", [f"/calls?direction={one}"]) for one in ("in", "out")),
        Page("CallLog, a manager", ["/calls?manager=115"]),
        Page("CallLog, a line", [f"/calls?line={line}"]),
        Page("CallLog, a manager's missed calls of a month", [f"/calls?result=missed&{month}"]),
        Page("CallLog, the same of a line", [f"/calls?result=missed&{month}&line={line}&direction=in"]),
        *_missed_pages(month, line, own),
        *(Page(f"Statistics of {n} days", [f"/statistics?period={n}"]) for n in (7, 30)),
        Page("Statistics of 30 days, incoming", ["/statistics?period=30&direction=in"]),
        Page("Statistics of 90 days", ["/statistics?period=90"], slow=True),
        Page("Statistics of a year", [f"/statistics?{year}"], slow=True),
    ]


def _missed_pages(month: str, line: str, own: str) -> Iterator[Page]:
    for view in ("", "lost", "done"):
        for name, wanted in (
            ("all", ""),
            ("a manager's", "manager=115"),
            ("a line's", f"line={line}"),
            ("a manager's of a month", month),
            ("a manager's of a line in a month", f"{month}&line={line}"),
            ("two months of half a year ago", own),
        ):
            yield Page(f"Missed, {view or 'waiting'}: {name}", [f"/missed?view={view}&{wanted}"])


async def pack(store: CallStore, count: int) -> None:
    """Have the newest calls packed, as they are when they have been over for a while."""
    for one in await store.ended(count):
        store.packing.note(one.id)
    await store.packing.pack(math.inf)


async def worked_by(redis: Redis) -> float:
    """Say how long Redis has worked for those who ask it, in seconds."""
    cpu = await redis.info("cpu")
    return float(cpu["used_cpu_user_main_thread"]) + float(cpu["used_cpu_sys_main_thread"])


async def measure(folder: Path, count: int, requests: int, only: str, temporary: bool) -> bool:
    """Fill what isn't filled, ask, print; tell whether all was quick enough."""
    async with private_redis(folder, own=True, temporary=temporary, megabytes=8000) as url:
        redis, took, cpu = connect(url), list[float](), list[float]()
        redis.connection_pool.connection_kwargs["socket_timeout"] = 60.0  # a busy machine is no fault of ours
        store = CallStore(redis, "bench.retailcrm.ru", lambda: ZONE)
        if not await store.all_counted():
            await fill(redis, store, count)
        await pack(store, PACKED)
        async with cabinet(redis, folder, took, cpu) as client:
            asked = [page for page in await pages(store) if only in page.name]
            for page in asked:
                worked = 0.0
                for number in range(-1, requests):
                    took.clear()
                    cpu.clear()
                    path = page.paths[number % len(page.paths)]
                    answer = await client.get(path, headers={"Accept-Language": "ru"})
                    page.size = max(page.size, len(await answer.read()))
                    assert answer.status == 200, f"{page.name}: {answer.status}"
                    if number < 0:
                        page.first = took[0]
                        worked = await worked_by(redis)
                    else:
                        page.took += took
                        page.cpu += cpu
                page.redis_cpu = (await worked_by(redis) - worked) / requests
        memory = (await redis.info("memory"))["used_memory"]
        version = (await redis.info("server"))["redis_version"]
        count = await redis.zcard(Keys("bench.retailcrm.ru").ended)
        await redis.aclose()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, Redis {version}, {count} calls")
    print(f"$ {shlex.join(sys.orig_argv)}\n")
    print(
        _COLUMNS.format(
            "page, server time in ms", "requests", "first", "p50", "max", "CPU p50", "Redis", "KB", ""
        )
    )
    print(*asked, sep="\n")
    print(
        f"\nA page may take {P50 * 1000:.0f} ms at p50, and {SIZE // 1000} KB; a long period's figures more."
    )
    print(f"Redis: {memory / 1e9:.2f} GB, {memory / count:.0f} bytes a call, with one line of journal each")
    return all(page.fine for page in asked)


def main() -> None:
    """Measure, print a table, and end with code 1 when a page took too much."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=200, help="how often each page is asked for")
    parser.add_argument("--only", default="", help="a word that stands in the names of the pages asked for")
    parser.add_argument("--kept", type=Path, help="a folder in which the calls are, or will be next time")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = args.kept or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ari-app-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        fine = uvloop.run(measure(folder, args.calls, args.requests, args.only, args.kept is None))
    sys.exit(not fine)


if __name__ == "__main__":
    main()
