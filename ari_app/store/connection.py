"""The connection to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ari_app.errors import StoreUnavailable

__all__ = ["Redis", "ask", "asking", "check_persistence", "connect", "ping", "running_for"]

ANSWER_SECONDS = 2.0
CONNECTIONS = 64


def connect(url: str) -> Redis:
    """Make a client; it connects when it is used. It doesn't retry by itself: the caller decides."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (_Cancellable, kind), {})
    return Redis.from_pool(pool)


class _Cancellable(AbstractConnection):
    """A connection on which no cancellation gets lost.

    redis-py limits a write by `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes
    when the write is just done: the cancelled task would go on. `asyncio.timeout` doesn't.
    """

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Write a command, within the connection's own time."""
        seconds, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(seconds):
                await super().send_packed_command(command, check_health)
        finally:
            self.socket_timeout = seconds


@contextmanager
def asking() -> Iterator[None]:
    """Put whatever the client raises when Redis can't be reached, is silent or refuses into our words.

    Raises:
        StoreUnavailable: nothing was done, or it is not known whether it was.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not do what it is asked: {error}") from error


async def ask(request: Any) -> Any:
    """Give Redis' answer to one request; raises as `asking` does."""
    with asking():
        return await request


async def ping(redis: Redis) -> None:
    """Make sure that Redis answers.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    await ask(redis.ping())


async def check_persistence(redis: Redis) -> str | None:
    """Say what is wrong when Redis would forget everything at its own restart."""
    try:
        info = await ask(redis.info("persistence"))
    except StoreUnavailable:
        return None  # it will be asked again soon enough by everybody else
    if info.get("aof_enabled"):
        return None
    return "Redis keeps nothing when it is restarted: set 'appendonly yes' in its configuration"


async def running_for(redis: Redis) -> float:
    """Say for how many seconds Redis has been running.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    return float((await ask(redis.info("server")))["uptime_in_seconds"])
