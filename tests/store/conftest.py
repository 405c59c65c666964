"""A Redis of its own for each test: these tests kill it, freeze it and empty it. And who is told of calls."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.demo.crm.simulator import CrmAccount, Manager, SimulatedCrm
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from tests.support.postman import Postman
from tests.support.shop_program import Program


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with private_redis(tmp_path, own=False, temporary=True) as url:
        client = connect(url)
        yield client
        await client.aclose()


@pytest.fixture
async def crm() -> AsyncIterator[SimulatedCrm]:
    async with SimulatedCrm() as crm:
        yield crm


@pytest.fixture
async def account(crm: SimulatedCrm) -> AsyncIterator[CrmAccount]:
    """A CRM with two managers; a test in which it was told something wrong fails."""
    managers = [Manager(id=1, last_name="Ольгина", code="101"), Manager(id=2, code="102")]
    account = crm.account(key="k" * 32, managers=managers)
    yield account
    assert account.violations == []


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    """The shop's program behind its webhook."""
    program = Program()
    await program.server.start_server()
    yield program
    await program.server.close()


@pytest.fixture
async def postman() -> AsyncIterator[Postman]:
    """A server for e-mail."""
    async with Postman() as postman:
        yield postman
