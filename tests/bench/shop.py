"""A shop for one measurement: a Redis, a simulated CRM and the service, each a process of its own."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from ari_app.accounts.account import Account
from ari_app.accounts.reading import read_account
from ari_app.calls.call import RecordingState
from ari_app.calls.outcome import Ending
from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from tests.bench.processes import START_SECONDS, process
from tests.bench.service import SECRET_KEY
from tests.support.accounts import account_toml

API_KEY = "a key for the benchmark"
NUMBER = "74951112233"
SETTLE_SECONDS = 30.0


@dataclass(frozen=True)
class Shop:
    """What runs, by the ids of its processes, and what it has done."""

    pids: Mapping[str, int]
    calls: CallStore
    http: aiohttp.ClientSession
    crm_url: str
    url: str
    """Where the service's own addresses are."""
    account: Account
    records: bool

    async def settled(self) -> bool:
        """Wait until no call is live and the CRM has been told everything; False when that takes too long."""
        for _ in range(round(SETTLE_SECONDS / 0.1)):
            if not await self.calls.live() and not await self.calls.outbox.read(limit=1):
                return True
            await asyncio.sleep(0.1)
        return False

    async def problems(self, placed: int) -> list[str]:
        """Say what is not as it must be after `placed` calls, all of which talked."""
        async with self.http.get(f"{self.crm_url}/simulator/state") as answer:
            told: dict[str, Any] = await answer.json()
        live, outbox = await self.calls.live(), await self.calls.outbox.read()
        ended = await self.calls.ended(placed + 1000)
        answered = [call for call in ended if call.ending is Ending.ANSWERED]
        stored = [call for call in answered if call.recording.state is RecordingState.STORED]
        found = {
            "calls in Redis": (len(ended), placed),
            "calls that talked": (len(answered), placed),
            "recordings stored": (len(stored), placed if self.records else 0),
            "look-ups": (told["lookUps"], placed),
            "in and hangup events taken by the CRM": (told["events"], 2 * placed),
            "uploads taken by the CRM": (told["uploads"], placed),
            "repeated messages": (told["repeats"], 0),
            "calls still live": (len(live), 0),
            "entries left in the outbox": (len(outbox), 0),
        }
        wrong = [f"{what}: {number}, not {due}" for what, (number, due) in found.items() if number != due]
        return wrong + [f"the CRM complains: {sentence}" for sentence in told["violations"][:5]]


@asynccontextmanager
async def open_shop(
    pbx: Mapping[str, object],
    managers: int,
    customers: int,
    *,
    record: bool = False,
    extensions: Sequence[str] = (),
) -> AsyncIterator[Shop]:
    """Start everything; each customer has a responsible manager, in turn. `pbx`: that section of the account.

    With `extensions` managers who talk are busy; else each may have any number of calls.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ari-app-bench-")))
        redis_url = await stack.enter_async_context(private_redis(folder, own=True, temporary=True))
        redis = connect(redis_url)
        stack.push_async_callback(redis.aclose)
        crm_pid, said = await stack.enter_async_context(
            process(
                *(sys.executable, "-m", "ari_app.demo.crm.simulator", "--no-limit", "--key", API_KEY),
                *("--managers", str(managers), "--customers", str(customers)),
            )
        )
        crm_url = said.rpartition(" ")[2]
        toml = account_toml(
            crm={"url": crm_url, "api_key": API_KEY},
            pbx=pbx,
            calls={"ignore_manager_status": not extensions, "record": record},
            extensions=extensions,
        )
        account = await Accounts(redis, SECRET_KEY).apply(read_account(toml), keep_client_id=True)
        service_pid, url = await stack.enter_async_context(serving(folder, redis_url))
        pids = {"us": service_pid, "CRM": crm_pid, "Redis": (await redis.info("server"))["process_id"]}
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Shop(pids, CallStore(redis, account.id), http, crm_url, url, account, record)


@asynccontextmanager
async def serving(
    folder: Path, redis_url: str, seconds: float = START_SECONDS
) -> AsyncIterator[tuple[int, str]]:
    """Run the service; gives its process and its address when it hears every PBX, within so many seconds."""
    command = (sys.executable, "-m", "tests.bench.service", str(folder), redis_url)
    async with process(*command, seconds=seconds) as (pid, said):
        yield pid, said.rpartition(" ")[2]


def pbx_of(asterisk: Asterisk) -> Mapping[str, object]:
    """Give the section ``pbx`` of an account whose PBX is a real one."""
    return {
        "host": asterisk.host,
        "http_port": asterisk.http_port,
        "http_prefix": asterisk.http_prefix,
        "ari_username": asterisk.ari_username,
        "ari_password": asterisk.ari_password,
    }
