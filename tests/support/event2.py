"""What the tests of event2.sh share: the script with its settings, and a service that hears it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from stasis_dialplan.event2 import event2
from tests.support.processes import gone

CLIENT_ID = "5494143d6ad0b09976b"
EVENT_FIELDS = {
    *("clientId", "type", "uniqueid", "phone", "code", "status", "direct", "date", "hold", "duration"),
    *("path", "extPhone", "record"),
}


@dataclass(frozen=True)
class Told:
    """One request that the service has taken."""

    fields: dict[str, str]
    file: bytes | None = None
    file_name: str | None = None


@dataclass
class Listener:
    """The service as the script sees it; strict about what it takes."""

    told: list[Told] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    """When each request came, taken or not."""
    complaints: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """The next answers, in order; 200 when there is none left."""
    rung: list[dict[str, str]] = field(default_factory=list)
    """What the dialplan itself has told: whose phones ring."""
    customer: str = ","
    """Who a caller is: the name and their manager's extension."""
    silent: bool = False
    """It takes requests and never answers."""
    port: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def events(self) -> list[dict[str, str]]:
        """The hangups that were told."""
        return [told.fields for told in self.told if told.fields["type"] == "hangup"]

    @property
    def uploads(self) -> list[Told]:
        """The recordings that were sent."""
        return [told for told in self.told if told.fields["type"] == "upload"]

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Listener]:
        """Listen on a free port of loopback; what was told wrongly fails the test."""
        listener = cls()
        await listener.come_back()
        try:
            yield listener
        finally:
            await listener.go_away()
        assert listener.complaints == []

    async def go_away(self) -> None:
        """Refuse connections from now on."""
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def come_back(self) -> None:
        """Listen (again) on the same port."""
        self._over = asyncio.Event()
        app = web.Application(client_max_size=10**8)
        app.router.add_post("/api/event", self._hear)
        app.router.add_get("/api/event", self._hear_dialplan)
        app.router.add_get("/api/manager", self._name)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def _hear(self, request: web.Request) -> web.Response:
        self.asked.append(time.monotonic())
        try:
            told = await self._read(request)
        except (AssertionError, ValueError) as problem:
            self.complaints.append(str(problem))
            return web.json_response({"error": str(problem)}, status=400)
        if self.silent:
            await self._over.wait()
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.told.append(told)
        return web.json_response({"status": status}, status=status)

    async def _hear_dialplan(self, request: web.Request) -> web.Response:
        self.rung.append(dict(request.query))
        return web.Response()

    async def _name(self, _: web.Request) -> web.Response:
        return web.Response(text=self.customer)

    async def _read(self, request: web.Request) -> Told:
        assert request.query_string == ""
        if request.content_type == "multipart/form-data":
            return await self._read_upload(request)
        assert request.content_type == "application/x-www-form-urlencoded", request.content_type
        form = await request.post()
        assert len(form) == len(set(form)), f"a field came twice: {list(form)}"
        fields = {name: str(value) for name, value in form.items()}
        assert fields.pop("clientId") == CLIENT_ID
        assert set(fields) <= EVENT_FIELDS, f"unknown fields {set(fields) - EVENT_FIELDS}"
        assert fields["type"] == "hangup"
        assert {"uniqueid", "phone", "code", "status"} <= set(fields)
        for name in ("hold", "duration"):
            assert fields.get(name, "0").isdecimal(), f"{name}={fields[name]}"
        return Told(fields)

    async def _read_upload(self, request: web.Request) -> Told:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        assert fields.pop("clientId") == CLIENT_ID
        assert fields["type"] == "upload"
        assert set(fields) == {"type", "uniqueid"}
        return Told(fields, file.file.read(), file.filename)


@dataclass
class Script:
    """event2.sh in a folder of its own."""

    folder: Path
    url: str
    shell: str = "/bin/sh"
    inside: Path | None = None
    """Where the folder is as the script sees it, when that is elsewhere."""

    @property
    def file(self) -> Path:
        """The script."""
        return self.folder / "event2.sh"

    @property
    def spool(self) -> Path:
        """Where it keeps what it couldn't send."""
        return self.folder / f"untold {self.folder.name}"

    def install(self, client_id: str = CLIENT_ID, record_path: str = "", **settings: str) -> None:
        """Write the script, with settings as a person edits them."""
        text = event2(client_id, self.url).replace("#!/bin/sh\n", f"#!{self.shell}\n", 1)
        own = {
            "SPOOL": self._seen(self.spool),
            "QUEUE_LOG": self._seen(self.folder / "queue_log"),
            "DEBUG_LOG": self._seen(self.folder / "event2.log"),
            "RETRY_AFTER": "0.1 0.1 0.1 0.1",
        }
        for name, value in {**own, **settings}.items():
            (before,) = re.findall(rf"(?m)^{name}=.*$", text)
            text = text.replace(f"\n{before}\n", f'\n{name}="{value}"\n')
        text = text.replace('    RECORD_PATH=""\n', f'    RECORD_PATH="{record_path}"\n')
        self.file.write_text(text)
        self.file.chmod(0o700)

    async def run(self, *arguments: str, heard: bytes | None = None) -> float:
        """Run it as Asterisk does, until it has returned and closed its output; give the seconds it took.

        `heard` is what Asterisk writes to it; None: it is not Asterisk, and stays silent.
        """
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            self.file,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **({"AST_AGI_DIR": "/"} if heard is not None else {})},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        if heard is not None:
            process.stdin.write(heard)
        assert await process.stdout.read() == b""
        took = time.monotonic() - began
        process.stdin.close()
        with contextlib.suppress(ConnectionError):
            await process.stdin.wait_closed()
        assert await process.wait() == 0
        return took

    async def report(self, *arguments: str) -> None:
        """Run it and wait until it has nothing to do any more."""
        await self.run(*arguments)
        await self.rests()

    async def rests(self) -> None:
        """Wait until no copy of it works in the background."""
        # In this order: a copy is known as one only when it has begun, and then it has a call to see to.
        await until(lambda: not self.kept("call") and not self.at_work(), "event2.sh is still at work")

    def at_work(self) -> list[int]:
        """Give the ids of the processes that work for it."""
        mark = f"EVENT2_SPOOL={self._seen(self.spool)}".encode()
        return [
            int(found.parent.name) for found in Path("/proc").glob("[0-9]*/environ") if mark in _read(found)
        ]

    async def stop(self) -> list[int]:
        """End what still works in the background, as a restart of the machine does; give what was ended."""
        killed: list[int] = []
        while ended := self.at_work():
            for pid in ended:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                await gone(pid)
            killed += ended
        return killed

    def _seen(self, file: Path) -> str:
        return str(file if self.inside is None else self.inside / file.relative_to(self.folder))

    def kept(self, kind: str = "event") -> list[Path]:
        """Give what it keeps to be sent later, oldest first."""
        return sorted(self.spool.glob(f"*.{kind}"))

    def command_lines(self) -> list[str]:
        """Give what everybody on the machine sees of its processes."""
        return [_read(Path(f"/proc/{pid}/cmdline")).decode() for pid in self.at_work()]

    def log(self) -> str:
        """Give what it wrote into DEBUG_LOG."""
        file = self.folder / "event2.log"
        return file.read_text() if file.exists() else ""


async def until(predicate: Callable[[], bool], complaint: str, seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not predicate():
        assert asyncio.get_running_loop().time() < deadline, complaint
        await asyncio.sleep(0.02)  # looking again, not waiting for luck: the deadline decides


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended
        return b""
