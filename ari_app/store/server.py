"""The private redis-server: in the data folder, on a unix socket, append-only file on.

The service owns it and shuts it down at its end; one that a killed service has left behind is taken over. A
command line tool that finds none running starts one for as long as it needs it. A lock in the data folder
keeps the two from doing so at the same time.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from redis.exceptions import RedisError

from ari_app.errors import StoreUnavailable
from ari_app.store.connection import connect

START_SECONDS = 15.0
LONGEST_SOCKET_PATH = 100


@asynccontextmanager
async def private_redis(data_dir: Path, *, own: bool) -> AsyncIterator[str]:
    """Give the URL of the data folder's redis-server, started if need be.

    With `own` it is shut down at the end even if it was running before.

    Raises:
        StoreUnavailable: there is no redis-server program, or it does not start; the text says what to do.
    """
    folder = (data_dir / "redis").resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailable(f"the folder {folder} can't be made: {error.strerror}") from error
    socket = _socket_path(folder)
    url = f"unix://{socket}"
    with _lock(folder):
        started = not await _answers(url)
        if started:
            await _start(folder, socket, url)
    try:
        yield url
    finally:
        if own or started:
            await asyncio.shield(_shut_down(url))


def _socket_path(folder: Path) -> Path:
    """A unix socket's path has a limit; of a long folder a short name below /tmp is made."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    short = Path(f"/tmp/ari-app-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}")
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid() or short.is_symlink():
        raise StoreUnavailable(f"{short} belongs to somebody else: choose a data folder with a shorter path")
    return short / "redis.sock"


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def _start(folder: Path, socket: Path, url: str) -> None:
    program = shutil.which("redis-server")
    if program is None:
        raise StoreUnavailable(
            "there is no redis-server on this machine: install it (apt-get install redis-server), "
            "or name another machine's with ARI_APP_REDIS_URL"
        )
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": str(folder / "redis.log"),
    }
    arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    delay = 0.01
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    while not await _answers(url):
        if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise StoreUnavailable(f"redis-server did not start: see {folder / 'redis.log'}")
        await asyncio.sleep(delay)
        delay = min(delay * 2, 0.2)


async def _answers(url: str) -> bool:
    redis = connect(url)
    try:
        return bool(await redis.ping())
    except (RedisError, OSError, TimeoutError):
        return False
    finally:
        await redis.aclose()


async def _shut_down(url: str) -> None:
    redis = connect(url)
    try:
        await redis.shutdown()
    except (RedisError, OSError, TimeoutError):
        pass  # it is gone already, or goes: SHUTDOWN closes the connection instead of answering
    finally:
        await redis.aclose()
    for _ in range(250):
        if not await _answers(url):
            return
        await asyncio.sleep(0.02)
