"""What the tests of faults share."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.demo.pbx.lab import Lab
from ari_app.store.connection import connect
from tests.faults.copies import SharedOffice
from tests.faults.redis_server import RedisServer
from tests.faults.served import ServedOffice
from tests.faults.wire import Wire
from tests.support.office import API_KEY, Office


@pytest_asyncio.fixture(loop_scope="session")
async def served(lab: Lab, crm: SimulatedCrm) -> AsyncIterator[ServedOffice]:
    """A shop served by `ari-app serve`; a test that leaves something of it behind fails."""
    account = crm.account(key=API_KEY)
    account.repeats_allowed = True  # what was in flight when the service was killed is told again
    office = ServedOffice(lab, crm, account)
    try:
        yield office
        if office.running:
            await office.is_clean()
    finally:
        print(office.log)  # pytest shows it when the test fails
        await asyncio.shield(office.stop())
        await office.redis.aclose()
        shutil.rmtree(office.folder, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def redis_server() -> AsyncIterator[RedisServer]:
    """A Redis of the test's own."""
    folder = Path(tempfile.mkdtemp(prefix="ari-app-"))  # short: a socket's path has a limit
    async with RedisServer(folder) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(
    lab: Lab, crm: SimulatedCrm, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[Office]:
    """A shop on the test's own Redis; a test that leaves something of it behind fails."""
    redis = connect(redis_server.url)
    office = Office(lab, crm, crm.account(key=API_KEY), redis, tmp_path)
    try:
        yield office
        await office.is_clean()
    finally:
        await asyncio.shield(office.stop())
        await redis.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def wire(lab: Lab, office: Office) -> AsyncIterator[Wire]:
    """The wire between the office's service and the PBX."""
    async with Wire(lab.asterisk.http_port) as wire:
        office.pbx_port = wire.port
        try:
            yield wire
            await wire.mend()
            if office.service is not None:
                await office.is_clean()
        finally:
            await office.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def shared(lab: Lab, crm: SimulatedCrm, redis_server: RedisServer) -> AsyncIterator[SharedOffice]:
    """A shop that copies serve; a test that leaves something of it behind fails."""
    redis = connect(redis_server.url)
    folder = Path(tempfile.mkdtemp(prefix="ari-app-"))
    account = crm.account(key=API_KEY)
    async with SharedOffice(lab, crm, account, redis, redis_server.folder / "redis.sock", folder) as office:
        yield office
        await office.is_clean()
    await redis.aclose()
    shutil.rmtree(folder, ignore_errors=True)
