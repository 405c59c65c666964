"""A redis-server that a test may kill, start again and freeze."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Self

from redis.exceptions import RedisError

from ari_app.store.connection import connect


class RedisServer:
    """Append-only, on a unix socket in `folder`, whose path must be short; an async context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder / 'redis.sock'}"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it; return when it has read its files and answers."""
        settings = {
            "port": "0",
            "unixsocket": str(self.folder / "redis.sock"),
            "dir": str(self.folder),
            "appendonly": "yes",
            "save": "",
            "logfile": str(self.folder / "redis.log"),
        }
        self._process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "redis-server"),
            *(word for name, value in settings.items() for word in (f"--{name}", value)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(60), connect(self.url) as redis:
            while True:
                with suppress(RedisError, OSError):
                    if await redis.ping():
                        return
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """`kill -9`; it keeps what was handed to the kernel."""
        process, self._process = self._process, None
        if process is not None:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()

    async def fill(self) -> None:
        """Let its memory be full: it takes nothing more, and forgets nothing."""
        async with connect(self.url) as redis:
            await redis.config_set("maxmemory-policy", "noeviction")
            await redis.config_set("maxmemory", 1)

    async def make_room(self) -> None:
        """Let there be room again."""
        async with connect(self.url) as redis:
            await redis.config_set("maxmemory", 0)

    async def demote(self) -> None:
        """Let it be the copy of another, which isn't there: it can be read, and not written."""
        async with connect(self.url) as redis:
            await redis.replicaof("127.0.0.1", "1")

    async def promote(self) -> None:
        """Let it be written again."""
        async with connect(self.url) as redis:
            await redis.replicaof("NO", "ONE")

    def freeze(self) -> None:
        """Let it take what it is sent, and answer nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it stood."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)
