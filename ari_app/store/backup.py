"""A copy of all that is in Redis, as it is at one moment, into a file; and back from there.

The copy is Redis' own snapshot (RDB), fetched as a replica would: whoever writes meanwhile is not held up,
and nothing of it is half there. What is encrypted stays so. Back it goes key by key, so that the other Redis
may be anywhere, keep its append-only file, and be newer.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection

from ari_app.errors import StoreUnavailable
from ari_app.store.connection import ask, asking, connect, ping
from ari_app.store.keys import ACCOUNTS, COPIES, REVISION, RUNNING

AT_ONCE = 200
"""Keys that are asked for, and written, in one go."""
LOADING_SECONDS = 600.0
"""How long a Redis may take to read the copy."""
_LEFT_OUT = (RUNNING, COPIES, "session:", "attempts:", "door:")
"""What says who works and who is signed in now: beginnings of keys."""


async def copy_to(redis: Redis, file: Path) -> int:
    """Write what Redis has at this moment into a file, and give the number of its database.

    Raises:
        StoreUnavailable: there is no redis-cli, or Redis doesn't let itself be copied; the text says why.
    """
    at: dict[str, Any] = redis.connection_pool.connection_kwargs
    arguments = ["-s", at["path"]] if "path" in at else ["-h", at["host"], "-p", str(at["port"])]
    if issubclass(redis.connection_pool.connection_class, SSLConnection):
        arguments.append("--tls")
    if at.get("username"):
        arguments += ["--user", at["username"]]
    secret = {"REDISCLI_AUTH": at["password"]} if at.get("password") else {}
    try:
        cli = await asyncio.create_subprocess_exec(
            *("redis-cli", *arguments, "--rdb", str(file)),
            env={**os.environ, **secret},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise StoreUnavailable("redis-cli is missing: install Debian's redis-tools") from None
    try:
        said, _ = await cli.communicate()
    except asyncio.CancelledError:
        cli.kill()
        await cli.wait()
        raise
    if cli.returncode != 0 or not _is_copy(file):
        words = said.decode("utf-8", "replace").strip().splitlines()
        raise StoreUnavailable(f"Redis could not be copied: {words[-1] if words else 'no answer'}")
    return int(at.get("db") or 0)


async def restore_from(file: Path, database: int, redis: Redis) -> int:
    """Write what a copy holds into a Redis, and give the number of keys; accounts are there only at the end.

    Raises:
        StoreUnavailable: the copy can't be read, or Redis doesn't take it; it may be repeated.
    """
    if not _is_copy(file):
        raise StoreUnavailable(f"{file} is no copy of a Redis")
    count = 0
    async with _reading(file, database) as copy:
        with asking():
            keys: list[bytes] = []
            async for key in copy.scan_iter(count=AT_ONCE):
                if _is_kept(key):
                    keys.append(key)
                if len(keys) >= AT_ONCE:
                    count += await _take(copy, redis, keys)
                    keys = []
            count += await _take(copy, redis, keys)
            count += await _take(copy, redis, [ACCOUNTS.encode()])
        await ask(redis.incr(REVISION))
    return count


async def has_accounts(redis: Redis) -> bool:
    """Tell whether a Redis has accounts.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    return bool(await ask(redis.exists(ACCOUNTS)))


async def _take(copy: Redis, redis: Redis, keys: list[bytes]) -> int:
    if not keys:
        return 0
    async with copy.pipeline(transaction=False) as reading:
        for key in keys:
            reading.dump(key)
            reading.pttl(key)
        found = await reading.execute()
    written = 0
    async with redis.pipeline(transaction=False) as writing:
        for key, value, left in zip(keys, found[::2], found[1::2], strict=True):
            if value is not None:
                writing.restore(key, max(0, left), value, replace=True)
                written += 1
        await writing.execute()
    return written


def _is_kept(key: bytes) -> bool:
    """Leases are left out: whoever starts takes the accounts anew. Accounts come last."""
    name = key.decode("utf-8", "replace")
    return name != ACCOUNTS and not name.startswith(_LEFT_OUT) and not name.endswith("}:lease")


def _is_copy(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(5) == b"REDIS"
    except FileNotFoundError:
        return False


@asynccontextmanager
async def _reading(file: Path, database: int) -> AsyncIterator[Redis]:
    """Give a Redis of our own that has read a copy, and writes nowhere."""
    with tempfile.TemporaryDirectory(prefix="ari-app-") as folder:
        socket = Path(folder) / "redis.sock"
        arguments = _arguments(file, socket)
        try:
            server = await asyncio.create_subprocess_exec(
                *("redis-server", *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except FileNotFoundError:
            raise StoreUnavailable("redis-server is missing: install it") from None
        reading = asyncio.create_task(_words_of(server))
        try:
            redis = connect(f"unix://{socket}?db={database}")
            try:
                await _answers(redis, server, reading)
                yield redis
            finally:
                await redis.aclose()
        finally:
            if server.returncode is None:
                server.kill()  # it has nothing to write
            await server.wait()
            await reading


def _arguments(file: Path, socket: Path) -> list[str]:
    words = {
        "port": "0",
        "unixsocket": str(socket),
        "dir": str(file.absolute().parent),
        "dbfilename": file.name,
        "save": "",
        "appendonly": "no",
        "logfile": "",
        "daemonize": "no",
    }
    return [text for name, value in words.items() for text in (f"--{name}", value)]


async def _answers(redis: Redis, server: asyncio.subprocess.Process, words: asyncio.Task[list[str]]) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + LOADING_SECONDS
    while True:
        try:
            await ping(redis)
        except StoreUnavailable:
            if server.returncode is not None:
                last = (await words)[-1:] or ["no word"]
                raise StoreUnavailable(f"the copy can't be read: {last[0]}") from None
            if loop.time() > until:
                raise StoreUnavailable("the copy is not read in ten minutes") from None
            await asyncio.sleep(0.02)  # it still reads its file: looked at again until it answers
        else:
            return


async def _words_of(server: asyncio.subprocess.Process) -> list[str]:
    """Read what a server says, so that it is not held up by it; give its last lines."""
    assert server.stdout is not None
    last: list[str] = []
    async for line in server.stdout:
        last = [*last[-9:], line.decode("utf-8", "replace").strip()]
    return last
