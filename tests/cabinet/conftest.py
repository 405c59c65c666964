"""What the tests of the web application share."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from tests.cabinet.shop import ReportingShop, reporting_shop


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with private_redis(tmp_path, own=False, temporary=True) as url:
        client = connect(url)
        yield client
        await client.aclose()


@pytest.fixture
async def shop(redis: Redis, tmp_path: Path) -> AsyncIterator[ReportingShop]:
    """A shop with a dialplan of its own."""
    async with reporting_shop(redis, tmp_path, time.time) as shop:
        yield shop
