"""Several copies of the service for one shop: processes on one Redis and PBX, with one folder of recordings.

The wires to Redis and to the PBX know whose connection each is, so that one copy can be cut from either.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import aiohttp
from redis.asyncio import Redis

from ari_app.accounts.reading import read_account
from ari_app.demo.crm.simulator import CrmAccount, SimulatedCrm
from ari_app.demo.pbx.lab import Lab
from ari_app.store.calls import CallStore
from ari_app.store.keys import Keys
from tests.support.office import SECRET_KEY, Office

REPOSITORY = Path(__file__).parents[2]
TAKEN_OVER_SECONDS = 5.0

_HANGING = """
import signal, sys, time
from ari_app import cli
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(15))
sys.argv[0] = "ari-app"
cli.app()
"""
"""The command, with a way to let its loop stand still: a signal."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Cable:
    """A way to a server that can be cut for one process: what it sends is then lost, and it hears nothing."""

    def __init__(self, connect: Callable[[], Awaitable[Stream]]) -> None:
        self.port = 0
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._cut: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: dict[asyncio.StreamWriter, int] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, pid: int) -> None:
        """Let nothing through any more, either way, of a process' connections."""
        self._cut.add(pid)

    def mend(self, pid: int) -> None:
        """Break what was cut, and let new connections through."""
        self._cut.discard(pid)
        for writer, owner in tuple(self._writers.items()):
            if owner == pid:
                writer.transport.abort()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect_through(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid = _owner(writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1])
        self._writers[writer] = pid
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await self._connect()
            await asyncio.gather(self._pass(reader, there, pid), self._pass(back, writer, pid))
        except OSError:
            pass
        finally:
            self._writers.pop(writer, None)
            writer.transport.abort()
            if there is not None:
                there.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if pid not in self._cut:
                    writer.write(data)
        if pid not in self._cut:
            writer.transport.abort()


def _owner(port: int, ours: int) -> int:
    """Name the copy that has a connection from a port of this machine to one of ours; 0 when it is none.

    Other connections, also those that are over, may be from the same port to elsewhere.
    """
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    ends = (f":{port:04X}", f":{ours:04X}")
    inodes = (one[9] for one in lines if one[1].endswith(ends[0]) and one[2].endswith(ends[1]))
    inode = next((inode for inode in inodes if inode != "0"), None)
    for pid in _COPIES:
        folder = Path(f"/proc/{pid}/fd")
        with suppress(OSError):
            for descriptor in os.listdir(folder):
                with suppress(OSError):
                    if os.readlink(folder / descriptor) == f"socket:[{inode}]":
                        return pid
    return 0


_COPIES: set[int] = set()


class Copy:
    """One copy: a process with a data folder of its own, which shares the recordings."""

    def __init__(self, name: str, port: int, redis_url: Callable[[], str], recordings: Path) -> None:
        self.name = name
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix=f"ari-app-{name}-"))
        (self.folder / "recordings").symlink_to(recordings)
        self.process: asyncio.subprocess.Process | None = None
        self._redis_url = redis_url

    @property
    def pid(self) -> int:
        """The process' id."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """All that it has logged."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def holder(self) -> str:
        """The name by which its leases are known."""
        file = self.folder / "holder.id"
        return file.read_text().strip() if file.exists() else ""

    async def run(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command of its own."""
        ours = {
            "DATA_DIR": str(self.folder),
            "PORT": str(self.port),
            "SECRET_KEY": SECRET_KEY,
            "REDIS_URL": self._redis_url(),
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ARI_APP_")}
        with (self.folder / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", sys.executable, "-c", _HANGING, *arguments),
                cwd=self.folder,
                env={
                    **environment,
                    "PYTHONPATH": str(REPOSITORY),
                    **{f"ARI_APP_{name}": value for name, value in ours.items()},
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def command(self, *arguments: str) -> int:
        """Run a command to its end; give its exit code."""
        return await (await self.run(*arguments)).wait()

    async def start(self) -> None:
        """Start `ari-app serve`."""
        self.process = await self.run("serve")
        _COPIES.add(self.process.pid)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait until its process is gone; give its exit code."""
        assert self.process is not None
        async with asyncio.timeout(60):
            return await self.process.wait()

    async def connected(self) -> int:
        """Tell how many PBXs it hears, as it says itself; 0 while it doesn't answer."""
        with suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as session,
                session.get(f"http://127.0.0.1:{self.port}/readyz") as response,
            ):
                return int((await response.json())["connected"])
        return 0

    async def stop(self) -> None:
        """End it, whatever it does."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        if self.process is not None:
            _COPIES.discard(self.process.pid)
        shutil.rmtree(self.folder, ignore_errors=True)


class SharedOffice(Office):
    """One shop that several copies serve."""

    def __init__(
        self, lab: Lab, crm: SimulatedCrm, account: CrmAccount, redis: Redis, redis_socket: Path, folder: Path
    ) -> None:
        super().__init__(lab, crm, account, redis, folder)
        self.to_redis = Cable(lambda: asyncio.open_unix_connection(redis_socket))
        self.to_pbx = Cable(lambda: asyncio.open_connection("127.0.0.1", lab.asterisk.http_port))
        self.copies: list[Copy] = []
        (folder / "recordings").mkdir()

    async def __aenter__(self) -> Self:
        await self.to_redis.__aenter__()
        await self.to_pbx.__aenter__()
        self.pbx_port = self.to_pbx.port
        return self

    async def __aexit__(self, *_: object) -> None:
        for copy in self.copies:
            print(f"---- {copy.name}\n{copy.log}")  # pytest shows it when the test fails
            await copy.stop()
        await self.to_pbx.__aexit__()
        await self.to_redis.__aexit__()

    async def apply(self, **calls: Any) -> None:
        """Store the account by `ari-app account apply`."""
        text = self.toml(**calls)
        self.account = read_account(text)
        self.calls = CallStore(self.redis, self.account.id)
        await self._apply_by(self.copy("tool"), text)

    async def _apply_by(self, copy: Copy, text: str) -> None:
        file = self.folder / "shop.toml"
        file.write_text(text)
        assert await copy.command("account", "apply", str(file)) == 0, copy.log

    def copy(self, name: str, redis_url: str | None = None) -> Copy:
        """Make a copy that isn't started, by default on the shop's own Redis."""
        url = redis_url or f"redis://127.0.0.1:{self.to_redis.port}"
        made = Copy(name, self.lab.asterisk.ports.service(), lambda: url, self.folder / "recordings")
        self.copies.append(made)
        return made

    async def open_two(self, **calls: Any) -> tuple[Copy, Copy]:
        """Apply the account and start two copies; give the one that has the PBX, and the other that waits."""
        await self.apply(**calls)
        one, other = self.copy("one"), self.copy("other")
        await one.start()
        await self.has_it(one)
        await other.start()
        await self.eventually(self._is_wanted, "the other copy doesn't wait for the account")
        return one, other

    async def has_it(self, copy: Copy, seconds: float = 60) -> None:
        """Wait until a copy holds the account and hears its PBX."""

        async def has() -> bool | None:
            assert copy.process is not None
            assert copy.process.returncode is None, copy.log
            return (await self.holder() == copy.holder and await copy.connected() == 1) or None

        await self.eventually(has, f"{copy.name} did not take the account over", seconds)

    async def holder(self) -> str:
        """Name who holds the account."""
        found: Any = await self.redis.hget(Keys(self.account.id).lease, "holder")
        return str((found or b"").decode())

    async def epoch(self) -> int:
        """Give the lease's epoch."""
        return int(await self.redis.hget(Keys(self.account.id).lease, "epoch") or 0)

    async def let_go(self, copy: Copy, times: int = 1) -> None:
        """Wait until a copy has let the account go."""
        await self.until(
            lambda: len(re.findall("the account is let go", copy.log)) >= times,
            f"{copy.name} did not let the account go",
        )

    async def _is_wanted(self) -> bool | None:
        return int(await self.redis.hget(Keys(self.account.id).lease, "wanted") or 0) > 0 or None
