"""One SIPp process: plays a scenario of `scenarios/`, tells what happens in it, does what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

Happening = Callable[[list[str]], None]
"""Told each line that the scenario logs, as its words: what happened, the call's id, the rest in one word."""

_CALLS_FAILED = 1
"""SIPp's exit code when it has placed its calls and some of them failed."""
_EXPECTED_TIMEOUT = re.compile(
    r"\d{4}-\d\d-\d\d\t\S+\t\S+: Call-Id: \S+ receive timeout on message \S+ jumping to label \d+"
)

_SOUND = bytes((0x80 + step if rising else step) for rising in (0, 1) for step in range(0x20, 0x2A)) * 400
"""A second of a 400 Hz hum in G.711 u-law, so that recordings aren't silent."""
HUM = '<action><exec rtp_stream="sound.ulaw,-1,0,PCMU/8000"/></action>'
"""What a scenario does to send it."""


class SippFailed(Exception):
    """SIPp ended by itself, or met a SIP message that its scenario doesn't know; with its own words."""


class Sipp:
    """A SIPp process; its folder goes with it, and it is killed when the thread that started it dies."""

    def __init__(self, port: int, folder: Path, happening: Happening) -> None:
        """`folder` is where the process gets a folder of its own."""
        self.port = port
        self._happening = happening
        self.folder = Path(tempfile.mkdtemp(prefix=f"sipp-{port}-", dir=folder))
        self._fifo = -1
        self._unfinished = b""
        self._process: asyncio.subprocess.Process | None = None
        self._reaper: asyncio.Task[None] | None = None
        self._stopping = False
        self._calls_may_fail = False
        self._changed: asyncio.Future[None] | None = None
        self._failure = ""

    @property
    def pid(self) -> int | None:
        """The process's id; None before it is started."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    async def start(
        self, scenario: str, values: Mapping[str, object], arguments: Sequence[str], *, fails: bool = False
    ) -> None:
        """Start `scenarios/SCENARIO.xml`, each `@name@` in it replaced; returns when its port is bound.

        With `fails`, calls that fail are a result and no error.
        """
        self._calls_may_fail = fails
        text = resources.files(__package__).joinpath("scenarios", f"{scenario}.xml").read_text()
        text = re.sub(r"@([a-z_]+)@", lambda found: str(values[found[1]]), text)
        (self.folder / "sound.ulaw").write_bytes(_SOUND)
        (self.folder / "scenario.xml").write_text(text, "utf-8", "surrogateescape")
        fifo = self.folder / "log"
        os.mkfifo(fifo)
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._fifo, self._read)
        common = "-nostdin -aa -trace_logs -log_file log -trace_err -error_file errors -timer_resol 1"
        with (self.folder / "console").open("wb") as console:
            self._process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", "sipp", "-sf", "scenario.xml", *common.split()),
                *("-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(self.port), *arguments),
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl-C in our terminal is not for it
            )
        self._reaper = asyncio.create_task(self._reap())
        await self.until(lambda: _is_bound(self.port) or not self.running, poll=0.005)
        if self._failure:
            raise SippFailed(self._failure)

    def send(self, order: str, call_id: str, what: str = "") -> None:
        """Send the made-up request `order` (ANSWER, HANGUP, TRANSFER ...) into the call `call_id`."""
        request = (
            f"{order} sip:sipp@127.0.0.1:{self.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-{order}-{os.urandom(6).hex()}\r\n"
            f"From: <sip:lab@127.0.0.1>;tag=lab\r\nTo: <sip:sipp@127.0.0.1>\r\nCall-ID: {call_id}\r\n"
            f"CSeq: 1 {order}\r\nWhat: {what}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(request.encode(), ("127.0.0.1", self.port))

    async def until(
        self, predicate: Callable[[], bool], timeout: float = 30.0, poll: float | None = None
    ) -> None:
        """Wait until `predicate` holds; asked again whenever the scenario logs something or the process ends.

        Raises SippFailed when the process failed meanwhile, TimeoutError after `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while not predicate():
                if self._failure:
                    raise SippFailed(self._failure)
                if self._changed is None:
                    self._changed = asyncio.get_running_loop().create_future()
                await asyncio.wait([self._changed], timeout=poll)

    async def ended(self, timeout: float = 30.0) -> None:
        """Wait until the process has ended by itself."""
        await self.until(lambda: not self.running, timeout)

    async def kill(self) -> None:
        """End the process at once, without a word to the other side, and remove its folder."""
        self._stopping = True
        try:
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(
                        self._process.pid, signal.SIGKILL
                    )  # Process.kill() may take the exit code from asyncio
            if self._reaper is not None:
                await self._reaper
        finally:
            if self._fifo >= 0:
                asyncio.get_running_loop().remove_reader(self._fifo)
                os.close(self._fifo)
                self._fifo = -1
            shutil.rmtree(self.folder, ignore_errors=True)

    def errors(self) -> str:
        """Return what SIPp complained about so far: messages that the scenario doesn't know."""
        file = self.folder / "errors"
        said = file.read_text(errors="replace") if file.exists() else ""
        said = said.removeprefix("The following events occurred:")
        return _EXPECTED_TIMEOUT.sub("", said).strip()

    async def _reap(self) -> None:
        assert self._process is not None
        code = await self._process.wait()
        self._read()
        if code and not self._stopping and not (self._calls_may_fail and code == _CALLS_FAILED):
            console = (self.folder / "console").read_text(errors="replace").strip()
            self._failure = self.errors() or console or f"SIPp ended with code {code}"
        self._tell_the_waiting()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._fifo >= 0 and (chunk := os.read(self._fifo, 65536)):
                *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
                for line in lines:
                    self._happening(line.decode(errors="replace").strip().split(maxsplit=2))
        self._tell_the_waiting()

    def _tell_the_waiting(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
        self._changed = None


def _is_bound(port: int) -> bool:
    wanted = f"0100007F:{port:04X}"
    return any(wanted in line.split()[1] for line in Path("/proc/net/udp").read_text().splitlines()[1:])
