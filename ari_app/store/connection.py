"""The connection to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from ari_app.errors import StoreUnavailable

__all__ = ["Redis", "ask", "ask_together", "asking", "check_persistence", "connect", "ping", "running_for"]

Word: TypeAlias = str | bytes | int | float
"""What a command is made of."""

ANSWER_SECONDS = 2.0
CONNECTIONS = 64


def connect(url: str) -> Redis:
    """Make a client; it connects when it is used. It doesn't retry by itself: the caller decides."""
    pool = _Pool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (_Connection, kind), {})
    return Redis.from_pool(pool)


class _Pool(BlockingConnectionPool):
    """Connections, of which one is kept for what is written all the time."""

    kept: AbstractConnection | None = None


class _Connection(AbstractConnection):
    """A connection on which no cancellation gets lost, and a long command costs little.

    redis-py limits a write by `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes
    when the write is just done: the cancelled task would go on. `asyncio.timeout` doesn't.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """Write a command as it is sent: a hundred leases in 45 us, where redis-py's own takes 580."""
        try:
            return [pack_command((*args[0].split(), *args[1:]))]
        except TypeError:
            packed: list[bytes] = super().pack_command(*args)  # it says what is wrong with them
            return packed

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Write a command, within the connection's own time."""
        seconds, self.socket_timeout = self.socket_timeout, None
        if seconds is None:  # who asks limits it
            await super().send_packed_command(command, check_health)
            return
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


async def ask_together(redis: Redis, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
    """Send commands at once, and give their answers; what Redis refuses is an answer, too.

    The one is answered before the next is asked: a client has one connection for all of it, which is kept.
    redis-py's pipeline takes one out of the pool each time, and limits each part of it. Nothing is asked
    twice.

    Raises:
        RedisError, OSError: nothing was done, or it is not known what was.
    """
    pool: Any = redis.connection_pool
    if pool.kept is None:
        pool.kept = await pool.get_connection()
        pool.kept.socket_timeout = None  # one limit is set for the whole
    connection: AbstractConnection = pool.kept
    try:
        if connection.is_connected and await connection.can_read():
            await connection.disconnect()  # Redis has closed it: nothing comes there without being asked for
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.send_packed_command(connection.pack_commands(commands))
            return [await _answer(connection) for _ in commands]
    except BaseException:
        await connection.disconnect(nowait=True)  # an answer that still comes is nobody's
        raise


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as refused:
        return refused


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
