"""One copy of the service under test: a real `ari-app serve`, to be killed, stopped, frozen, blocked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp

from tests.support.office import SECRET_KEY

REPOSITORY = Path(__file__).parents[2]
INSIDE = Path(__file__).parent / "inside"
ENDS_WITHIN = 20.0
"""Seconds that SIGTERM may take."""
FAKETIME = "libfaketimeMT.so.1"


def faketime() -> Path | None:
    """Give the library that lets a process have a clock of its own; Debian's package is `faketime`."""
    return next(iter(sorted(Path("/usr/lib").glob(f"*/faketime/{FAKETIME}"))), None)


class Copy:
    """A copy with a data folder of its own; its recordings lie where those of all copies do."""

    def __init__(
        self, number: int, folder: Path, port: int, redis_url: str, recordings: Path, url: str
    ) -> None:
        """`url` is where the CRM finds recordings."""
        self.number = number
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"copy-{number}.log"
        self.process: asyncio.subprocess.Process | None = None
        data = folder / f"copy-{number}"
        data.mkdir()
        (data / "recordings").symlink_to(recordings)
        self._data = data
        self._clock = folder / f"copy-{number}.clock"
        self._clock.write_text("+0\n")
        self._block = folder / f"copy-{number}.block"
        ours = {
            "DATA_DIR": str(data),
            "PORT": str(port),
            "SECRET_KEY": SECRET_KEY,
            "REDIS_URL": redis_url,
            "RECORDINGS_URL": url,
            "CLICKS_A_DAY": "100000",
        }
        plain = {name: value for name, value in os.environ.items() if not name.startswith("ARI_APP_")}
        self._environment = plain | {f"ARI_APP_{name}": value for name, value in ours.items()}
        self._environment["PYTHONPATH"] = str(REPOSITORY)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start it; it works soon after."""
        if self.running:
            return
        more = {"PYTHONPATH": f"{INSIDE}:{REPOSITORY}", "SOAK_BLOCK_FILE": str(self._block)}
        if (library := faketime()) is not None:
            more |= {
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DONT_RESET": "1",
                "NO_FAKE_STAT": "1",
            }
        with self.log.open("ab") as log:
            self.process = await self._run(["serve"], more, log.fileno())

    async def say(self, *command: str) -> str:
        """Give what a command of `ari-app` prints, run beside this copy."""
        with self.log.open("ab") as log:
            process = await self._run([*command], {}, log.fileno(), output=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(
                f"ari-app {' '.join(command)} ended with code {process.returncode}: see {self.log}"
            )
        return said.decode()

    async def alive(self) -> bool:
        """Tell whether it answers."""
        with suppress(aiohttp.ClientError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=1.0)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self.url}/healthz") as answer,
            ):
                return answer.status == 200
        return False

    async def connected(self) -> int:
        """Say how many PBXs it hears; 0 when it doesn't answer."""
        with suppress(aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            timeout = aiohttp.ClientTimeout(total=1.0)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self.url}/readyz") as answer,
            ):
                return int((await answer.json())["connected"])
        return 0

    async def kill(self) -> None:
        """`kill -9` it."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> bool:
        """Tell it to stop; False when it had to be killed, since it took longer than it may."""
        if not self.running:
            return True
        self._send(signal.SIGCONT)
        self._send(signal.SIGTERM)
        assert self.process is not None
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                await self.process.wait()
        except TimeoutError:
            await self.kill()
            return False
        return True

    def freeze(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def block(self, seconds: float) -> None:
        """Block its event loop; its other threads go on."""
        self._block.write_text(str(seconds))
        self._send(signal.SIGUSR2)

    def step(self, seconds: float) -> None:
        """Let its clock be so many seconds ahead of the true one; it sees that within a second."""
        self._clock.write_text(f"{seconds:+.0f}\n")

    async def _end(self, number: signal.Signals) -> None:
        if self.running:
            assert self.process is not None
            self._send(number)
            await self.process.wait()

    def _send(self, number: signal.Signals) -> None:
        if self.running:
            assert self.process is not None
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def _run(
        self, arguments: list[str], more: Mapping[str, str], log: int, output: int | None = None
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "ari_app.cli", *arguments),
            cwd=self._data,
            env={**self._environment, **more},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log if output is None else output,
            stderr=log,
            start_new_session=True,
        )
