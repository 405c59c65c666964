"""A shop that is served by a real `ari-app serve`: a process with a data folder and a Redis of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from redis.exceptions import RedisError

from ari_app.accounts.reading import read_account
from ari_app.demo.crm.simulator import CrmAccount, SimulatedCrm
from ari_app.demo.pbx.lab import Lab
from ari_app.store.calls import CallStore
from ari_app.store.connection import connect
from tests.support.office import SECRET_KEY, Office
from tests.support.processes import gone

REPOSITORY = Path(__file__).parents[2]


class ServedOffice(Office):
    """One shop, served by a process that can be killed."""

    def __init__(self, lab: Lab, crm: SimulatedCrm, account: CrmAccount) -> None:
        folder = Path(tempfile.mkdtemp(prefix="ari-app-"))  # short: a socket's path has a limit
        redis = connect(f"unix://{folder / 'redis' / 'redis.sock'}")
        super().__init__(lab, crm, account, redis, folder)
        self.port = lab.asterisk.ports.service()
        self.process: asyncio.subprocess.Process | None = None
        self.program = REPOSITORY
        """The folder with the version that is run."""
        self.shops = 1
        """How many shops it serves."""
        self.sections = ""
        """More sections of the account's file."""

    @property
    def running(self) -> bool:
        """Whether the service's process is there."""
        return self.process is not None and self.process.returncode is None

    @property
    def log(self) -> str:
        """All that the service has logged, of every start."""
        return (self.folder / "log").read_text(errors="replace")

    async def apply(self, **calls: Any) -> None:
        """Store the account by `ari-app account apply`."""
        text = self.toml(**calls) + self.sections
        self.account = read_account(text)
        self.calls = CallStore(self.redis, self.account.id)
        file = self.folder / "shop.toml"
        file.write_text(text)
        command = await self._run("account", "apply", str(file))
        assert await command.wait() == 0, self.log

    async def start(self) -> None:
        """Start `ari-app serve`; return when the PBX is taken, of each shop."""
        await self.start_timed()

    async def start_timed(self) -> float:
        """Start `ari-app serve`; give the seconds until the PBX was taken."""
        assert not self.running
        began = time.monotonic()
        self.process = await self._run("serve")
        await self.eventually(self._has_the_pbx, "the service did not take the PBX")
        return time.monotonic() - began

    async def time_command(self, *arguments: str) -> float:
        """Run a command to its end; give the seconds that it took."""
        began = time.monotonic()
        command = await self._run(*arguments)
        assert await command.wait() == 0, self.log
        return time.monotonic() - began

    async def kill(self) -> None:
        """`kill -9` the service; its Redis lives on."""
        await self._send(signal.SIGKILL)
        await self._ended()

    async def pause(self) -> None:
        """Let the service's process stand still (SIGSTOP)."""
        await self._send(signal.SIGSTOP)

    async def go_on(self) -> None:
        """Let the process that stands still go on."""
        await self._send(signal.SIGCONT)

    async def terminate(self) -> float:
        """Tell the service to stop; give the seconds until its process and its Redis were gone."""
        redis_pid = await self.redis_pid()
        await self.redis.connection_pool.disconnect()
        began = time.monotonic()
        await self._send(signal.SIGTERM)
        await self._ended()
        await gone(redis_pid)
        return time.monotonic() - began

    async def redis_pid(self) -> int:
        """Give the id of the service's Redis process."""
        return int((await self.redis.info("server"))["process_id"])

    async def calls_list(self, *options: str) -> str:
        """Give what `ari-app calls list` prints."""
        command = await self._run("calls", "list", *options, output=asyncio.subprocess.PIPE)
        said, _ = await command.communicate()
        assert command.returncode == 0, self.log
        return said.decode()

    async def stop(self) -> None:
        """End whatever is there still."""
        if self.running:
            await self._send(signal.SIGTERM)
            await self._ended()
        with suppress(RedisError, OSError):  # it closes the connection instead of answering
            await self.redis.shutdown()

    async def _has_the_pbx(self) -> bool | None:
        assert self.running, self.log
        with suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}/readyz") as response,
            ):
                said = await response.json()
                return (said["connected"] == self.shops) or None
        return None

    async def _run(self, *arguments: str, output: int | None = None) -> asyncio.subprocess.Process:
        """Run the command that stands beside these tests, or another version's, whatever is installed."""
        ours = {"DATA_DIR": str(self.folder), "PORT": str(self.port), "SECRET_KEY": SECRET_KEY}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ARI_APP_")}
        with (self.folder / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "ari_app.cli", *arguments),
                cwd=self.folder,
                env={
                    **environment,
                    "PYTHONPATH": str(self.program),
                    **{f"ARI_APP_{name}": value for name, value in ours.items()},
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log if output is None else output,
                stderr=log,
            )

    async def _send(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    async def _ended(self) -> None:
        assert self.process is not None
        async with asyncio.timeout(60):
            await self.process.wait()
