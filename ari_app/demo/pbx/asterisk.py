"""One Asterisk for a demo or a run of tests: started from an `Installation`, ended with all that it made."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import resource
import secrets
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from ari_app.demo.pbx import configuration
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.ports import PortBlock

UNREACHABLE = "498"
"""An extension whose phone is not registered."""
NOWHERE = "499"
"""An extension that doesn't exist."""
TWINS = [str(number) for number in range(480, 488)]
"""Extensions with two telephones each."""
EXTENSIONS = [str(number) for number in range(100, 400)]
QUEUES = [
    *(f"q{number}" for number in range(1, 41)),
    *(f"linear{number}" for number in range(1, 6)),
    *(f"strict{number}" for number in range(1, 6)),
    "sales",
    "support",
]

_HOME_IN_ROOT = Path("/lab")
_IN_ITS_OWN_MOUNTS = """\
mount --bind "$2" "$1/lab"
mount --bind "$2/hosts" "$1/etc/hosts"
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
exec chroot "$1" asterisk -f -C /lab/etc/asterisk.conf
"""
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0


class AsteriskFailed(Exception):
    """Asterisk didn't start, or ended by itself; with the last lines of its log."""


class Asterisk:
    """A running Asterisk, everything on 127.0.0.1 and on ports of its own; several may run at once.

    An async context manager. The mounts are in a namespace of the Asterisk process, so they vanish with it;
    the process is killed when the thread that started it dies, however it dies.
    """

    host = "127.0.0.1"
    http_prefix = "asterisk"
    ari_username = "ari-app"
    ami_username = "asterisk"

    def __init__(
        self,
        installation: Installation,
        *,
        extensions: Sequence[str] = EXTENSIONS,
        queues: Sequence[str] = QUEUES,
    ) -> None:
        self.installation = installation
        self.queues = tuple(queues)
        self.ari_password = secrets.token_hex(8)
        self.ami_password = secrets.token_hex(8)
        self.ports = PortBlock()
        self.phones = {extension: self.ports.phone(index) for index, extension in enumerate(extensions)}
        """The port at which Asterisk looks for each extension's phone."""
        self.twins = {
            extension: (self.ports.phone(index), self.ports.phone(index + 1))
            for index, extension in zip(itertools.count(len(extensions), 2), TWINS, strict=False)
        }
        """The ports at which Asterisk looks for the two telephones of these extensions."""
        self.folder = self.ports.folder
        self.files: Mapping[str, str] = {}
        """Files, by name, that take the place of the lab's own configuration; set them before the start."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def http_port(self) -> int:
        """The port of ARI and AJAM."""
        return self.ports.http

    @property
    def sip_port(self) -> int:
        """The UDP port that the trunk and the phones call."""
        return self.ports.sip

    @property
    def ari_url(self) -> str:
        """Such as `http://127.0.0.1:8088/asterisk/ari`."""
        return f"{self.http_url}/ari"

    @property
    def http_url(self) -> str:
        """The address of ARI and AJAM, with the prefix if there is one."""
        prefix = f"/{self.http_prefix}" if self.http_prefix else ""
        return f"http://{self.host}:{self.http_port}{prefix}"

    @property
    def recordings(self) -> Path:
        """The folder into which ARI records, as seen from here."""
        return self.folder / "spool" / "recording"

    @property
    def pid(self) -> int | None:
        """The id of the Asterisk process; None while it doesn't run."""
        return None if self._process is None else self._process.pid

    async def __aenter__(self) -> Self:
        try:
            self._write_configuration()
            await self.start()
        except BaseException:
            await self._end(hard=True)  # while it boots it doesn't hear SIGTERM
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end()

    async def start(self) -> None:
        """Start Asterisk and wait until it is fully booted and ARI answers."""
        with (self.folder / "log" / "console").open("ab") as console:
            self._process = await asyncio.create_subprocess_exec(
                *self._command_line(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl-C in our terminal is not for it
            )
        booted = asyncio.create_task(self._booted())
        ended = asyncio.create_task(self._process.wait())
        try:
            done, _ = await asyncio.wait(
                {booted, ended}, timeout=_START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
            if booted not in done:
                raise AsteriskFailed(
                    f"Asterisk {'ended at once' if done else 'did not start'}: {self._last_words()}"
                )
            booted.result()
        finally:
            for task in (booted, ended):
                task.cancel()

    async def stop(self, *, hard: bool = False) -> None:
        """End the process: asked to (calls are hung up), or by kill -9 (`hard`), as a crash would."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if process.returncode is None:
                # Process.send_signal() may take the exit code from asyncio.
                with contextlib.suppress(ProcessLookupError):  # it has crashed
                    os.kill(process.pid, signal.SIGKILL if hard else signal.SIGTERM)
            async with asyncio.timeout(_STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                await process.wait()

    async def restart(self, hard: bool = False) -> None:
        """Stop and start with the same ports, configuration and recordings; all calls are gone."""
        await self.stop(hard=hard)
        await self.start()

    async def command(self, text: str) -> str:
        """Return what the CLI command `text` prints, as `asterisk -rx` does."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "run" / "asterisk.ctl")
        try:
            await reader.readline()  # the greeting names the PBX
            writer.write(b"cli quit after " + text.encode() + b"\0")
            said = await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        return re.sub(r"\x1b\[[\d;]*m|\0", "", said.decode(errors="replace")).strip()

    async def queue_add(self, queue: str, interface: str) -> None:
        """Make `interface` (`PJSIP/101`, `Local/101@internal`) a member of `queue`."""
        said = await self.command(f"queue add member {interface} to {queue}")
        if not said.startswith("Added"):
            raise ValueError(said)

    async def queue_remove(self, queue: str, interface: str) -> None:
        """Take `interface` out of `queue`."""
        said = await self.command(f"queue remove member {interface} from {queue}")
        if not said.startswith("Removed"):
            raise ValueError(said)

    async def switch_ari(self, on: bool) -> None:
        """Switch ARI on or off while calls and AJAM go on; off, it answers 404 and cuts off listeners."""
        file = self.folder / "etc" / "ari.conf"
        setting = f"enabled = {'yes' if on else 'no'}"
        file.write_text(re.sub(r"(?m)^enabled = \w+$", setting, file.read_text(), count=1))
        said = await self.command("module reload res_ari.so")
        if "success" not in said:
            raise AsteriskFailed(f"Asterisk did not read ari.conf: {said}")
        if not on:
            await self.command("ari shutdown websocket sessions")

    async def channels(self) -> list[str]:
        """Return a line for each channel: name!context!extension!priority!state!application!..."""
        said = await self.command("core show channels concise")
        return [line for line in said.splitlines() if "!" in line]

    def log(self) -> str:
        """Return Asterisk's log so far, verbose lines included."""
        return _text(self.folder / "log" / "full")

    def warnings(self) -> list[str]:
        """Return the WARNING and ERROR lines of the log so far."""
        return [line for line in _text(self.folder / "log" / "messages").splitlines() if _is_warning(line)]

    def _write_configuration(self) -> None:
        for name in ("etc", "db", "keys/keys", "log", "run", "spool/recording"):
            (self.folder / name).mkdir(parents=True)
        # Names that Asterisk would otherwise ask a name server for, about 10 s for each call.
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()} A.ROOT-SERVERS.NET\n")
        values = {
            "home": _HOME_IN_ROOT if self.installation.root else self.folder,
            "modules": self.installation.modules,
            "max_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "http_port": self.ports.http,
            "http_prefix": self.http_prefix,
            "sip_port": self.ports.sip,
            "ami_port": self.ports.ami,
            "trunk_port": self.ports.trunk,
            "rtp_start": self.ports.rtp_start,
            "rtp_end": self.ports.rtp_end,
            "ari_username": self.ari_username,
            "ari_password": self.ari_password,
            "ami_username": self.ami_username,
            "ami_password": self.ami_password,
            "unreachable": UNREACHABLE,
        }
        configuration.write(self.folder / "etc", values, self.phones, self.twins, self.queues)
        for name, text in self.files.items():
            (self.folder / "etc" / name).write_text(text)

    def _command_line(self) -> list[str]:
        dies_with_us = ["setpriv", "--pdeathsig", "KILL"]
        if self.installation.root is None:
            return [*dies_with_us, "asterisk", "-f", "-C", str(self.folder / "etc/asterisk.conf")]
        script = ["sh", "-e", "-c", _IN_ITS_OWN_MOUNTS, "sh", str(self.installation.root), str(self.folder)]
        return [*dies_with_us, "unshare", "--mount", *script]

    async def _booted(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                if "fully booted" in await self.command("core waitfullybooted"):
                    break
            await asyncio.sleep(0.02)  # its console may not be there yet: looked at again until it is
        headers = {"Authorization": aiohttp.encode_basic_auth(self.ari_username, self.ari_password)}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.ari_url}/asterisk/info") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.02)  # nothing tells when ARI answers

    def _last_words(self) -> str:
        words = [*self.warnings(), *_text(self.folder / "log" / "console").splitlines()]
        return " | ".join(words[-5:]) or "it said nothing"

    async def _end(self, *, hard: bool = False) -> None:
        try:
            await self.stop(hard=hard)
        finally:
            self.ports.release()


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""


def _is_warning(line: str) -> bool:
    return re.search(r"\] (WARNING|ERROR)\[", line) is not None


def is_running(pid: int) -> bool:
    """Tell whether a process with the id `pid` exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
