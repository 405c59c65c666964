"""A Redis of its own for each test: these tests kill it, freeze it and empty it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.store.connection import connect
from ari_app.store.server import private_redis


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with private_redis(tmp_path, own=False, temporary=True) as url:
        client = connect(url)
        yield client
        await client.aclose()
