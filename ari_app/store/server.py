"""The private redis-server: in the data folder, on a unix socket, append-only file on.

Whoever needs it (the service, a command) holds a shared lock on ``users`` while it does; the last one to
leave shuts the server down. The server itself inherits an exclusive lock on ``running``, so that the lock is
held as long as its process lives: meanwhile no second server is started on the same files, however slow the
first one is to answer. Both locks are the kernel's: a `kill -9` leaves nothing to clean up.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from urllib.parse import quote

import structlog
from redis.exceptions import BusyLoadingError

from ari_app.backoff import BackOff
from ari_app.errors import StoreUnavailable
from ari_app.store.connection import ask, connect, ping

log = structlog.get_logger(__name__)

SILENCE_SECONDS = 15.0
"""How long a server may give no sign of life before we give up; reading its files counts as a sign."""
LOOK_SECONDS = 0.25
"""How often the service looks whether its server is still there."""
LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel takes 107."""
_CONTAINERS_MEMORY = Path("/sys/fs/cgroup/memory.max")
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


@asynccontextmanager
async def private_redis(
    data_dir: Path, *, own: bool, temporary: bool = False, megabytes: int | None = None
) -> AsyncIterator[str]:
    """Give the URL of the data folder's redis-server, started if need be.

    It takes `megabytes` (10**6 bytes) of memory at most, by default half of the machine's; then it refuses to
    be written, and forgets nothing.

    It is shut down when the last one who uses it leaves. With `own` it is started again when it dies. A
    `temporary` one, whose data nobody wants afterwards, dies with the process that has started it, also if
    that is killed; else it stays for the next one.

    Raises:
        StoreUnavailable: there is no redis-server program, or it does not start; the text says what to do.
    """
    memory = megabytes * 10**6 if megabytes is not None else _memory() // 2
    server = _Server.at(data_dir, temporary, memory)
    users = _open_lock(server.folder / "users")
    try:
        await _wait_for_lock(users, fcntl.LOCK_SH)
    except BaseException:
        os.close(users)
        raise
    try:
        await server.be_there()
        guard = asyncio.create_task(server.keep_alive(), name="private redis") if own else None
        try:
            yield server.url
        finally:
            if guard is not None:
                guard.cancel()
                await asyncio.gather(guard, return_exceptions=True)
    finally:
        await asyncio.shield(server.leave(users))


_children: list[subprocess.Popen[bytes]] = []
"""Servers that this process started and has not seen end. Kept here, not by asyncio: that would kill those
which are left to others.
"""


class _Answer(Enum):
    READY = auto()
    LOADING = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class _Server:
    folder: Path
    socket: Path
    temporary: bool
    memory: int
    """Bytes."""

    @classmethod
    def at(cls, data_dir: Path, temporary: bool, memory: int) -> _Server:
        folder = (data_dir / "redis").resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreUnavailable(f"the folder {folder} can't be made: {error.strerror}") from error
        return cls(folder, _socket_path(folder), temporary, memory)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    async def be_there(self) -> None:
        """Return when the server answers; start it when there is none."""
        if self.socket.parent != self.folder:
            _make_ours(self.socket.parent)
        loop = asyncio.get_running_loop()
        started, silent_since, back_off = False, loop.time(), BackOff(0.005, 0.2)
        while True:
            if not self._running():
                if started:
                    raise StoreUnavailable(f"redis-server did not start: {self._last_words()}")
                started = self._start()
            match await self._ask():
                case _Answer.READY:
                    return
                case _Answer.LOADING:
                    silent_since = loop.time()
                case _Answer.NONE:
                    if loop.time() - silent_since > SILENCE_SECONDS:
                        raise StoreUnavailable(
                            f"the redis-server of {self.folder} runs but is silent: {self._last_words()}"
                        )
            await asyncio.sleep(back_off.pause())

    async def keep_alive(self) -> None:
        """Start the server again whenever it is gone, for ever."""
        trouble = False
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._running():
                continue
            if not trouble:
                log.warning(
                    "the private redis-server has ended; it is started again", folder=str(self.folder)
                )
            try:
                await self.be_there()
            except StoreUnavailable as error:
                if not trouble:
                    log.error("the private redis-server can't be started", problem=str(error))
                trouble = True
                await asyncio.sleep(1.0)  # what keeps it from starting rarely goes at once
            else:
                log.info("the private redis-server is back")
                trouble = False

    async def leave(self, users: int) -> None:
        """Stop using the server (`users` is closed); shut it down when nobody else uses it."""
        try:
            fcntl.flock(users, fcntl.LOCK_UN)
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            await self._shut_down()
            if self.socket.parent != self.folder and not self._running():
                with suppress(OSError):
                    self.socket.parent.rmdir()
        finally:
            os.close(users)

    async def _shut_down(self) -> None:
        """Shut the server down and wait for its end. SHUTDOWN writes and syncs the append-only file.

        It is told again as long as it runs: one that has only just been started doesn't listen yet, and
        redis-py can't tell that from a server that has ended.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SILENCE_SECONDS
        problem: Exception | None = None
        redis = connect(self.url)
        try:
            while self._running():
                if loop.time() > deadline:
                    log.warning("the private redis-server does not end", problem=str(problem))
                    return
                try:
                    await ask(redis.shutdown())
                except StoreUnavailable as error:
                    problem = error
                await asyncio.sleep(0.01)  # looked at again until it has ended
        finally:
            await redis.aclose()

    async def _ask(self) -> _Answer:
        redis = connect(self.url)
        try:
            await ping(redis)
        except StoreUnavailable as error:
            return _Answer.LOADING if isinstance(error.__cause__, BusyLoadingError) else _Answer.NONE
        finally:
            await redis.aclose()
        return _Answer.READY

    def _running(self) -> bool:
        _children[:] = [child for child in _children if child.poll() is None]
        lock = _open_lock(self.folder / "running")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _start(self) -> bool:
        """Start the server unless one runs or is being started; tell whether it was started."""
        program = shutil.which("redis-server")
        if program is None:
            raise StoreUnavailable(
                "there is no redis-server on this machine: install it (apt-get install redis-server), "
                "or name another machine's with ARI_APP_REDIS_URL"
            )
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "no" if self.temporary else "everysec",
            "save": "",
            "maxmemory": str(self.memory),
            "maxmemory-policy": "noeviction",
            "logfile": str(self._log_file),
        }
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        lock = _open_lock(self.folder / "running")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self._log_file.open("ab") as complaints:
                child = subprocess.Popen(
                    [*(_DIES_WITH_US if self.temporary else ()), program, *arguments],
                    pass_fds=(lock,),
                    stdin=subprocess.DEVNULL,
                    stdout=complaints,
                    stderr=complaints,
                    start_new_session=True,  # Ctrl-C in our terminal is not for it
                )
        except BlockingIOError:
            return False
        except OSError as error:
            raise StoreUnavailable(f"redis-server can't be started: {error}") from error
        finally:
            os.close(lock)
        _children.append(child)
        return True

    @property
    def _log_file(self) -> Path:
        return self.folder / "redis.log"

    def _last_words(self) -> str:
        try:
            lines = self._log_file.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return f"{lines[-1].strip()} ({self._log_file})" if lines else f"see {self._log_file}"


def _memory() -> int:
    """Say how many bytes of memory this machine has, or the container that we run in."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        memory = min(memory, int(_CONTAINERS_MEMORY.read_text()))
    return memory


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"{path} can't be used: {error.strerror}") from error


async def _wait_for_lock(descriptor: int, kind: int) -> None:
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.02)  # a lock that is taken tells nobody when it is free
        else:
            return


def _socket_path(folder: Path) -> Path:
    """A unix socket's path has a limit; for a long folder a short name below /tmp is made."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    return Path(
        f"/tmp/ari-app-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}/redis.sock"
    )


def _make_ours(folder: Path) -> None:
    """Make a folder below /tmp that only we may use."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreUnavailable(f"{folder} is not ours alone: choose a data folder with a shorter path")
