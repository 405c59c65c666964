"""A telephone that nobody here wrote: linphone, steered through its daemon's socket. It has no sound card."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from ari_app.demo.pbx.machine import SOFTPHONE

_SOCKETS = Path("/tmp")
"""Where linphone-daemon puts its socket: its name is taken for a path from here."""
_CONFIGURATION = """\
[sip]
sip_port={port}
sip_tcp_port=0
sip_tls_port=0
bind_address=127.0.0.1
use_ipv6=0
guess_hostname=0
contact=sip:{extension}@127.0.0.1
default_proxy=0
register_only_when_network_is_up=0
auto_net_state_mon=0
[proxy_0]
reg_proxy=<sip:127.0.0.1:{pbx}>
reg_identity=sip:{extension}@127.0.0.1
reg_sendregister=0
[rtp]
audio_rtp_port=-1
[video]
enabled=0
capture=0
display=0
[storage]
backend=sqlite3
uri=null
"""
_RINGS = ("OutgoingRinging", "OutgoingEarlyMedia")
_OVER = ("End", "Error", "Released")


class SoftphoneFailed(Exception):
    """The program ended by itself, or refused what its user wanted; with its own words."""


@dataclass
class SoftCall:
    """One call of the telephone, incoming or dialled, as linphone tells of it."""

    id: str
    name: str
    """The displayed caller name when it rang, empty when there is none; of a dialled call: of its own."""
    number: str
    states: list[str] = field(default_factory=list)
    """All states so far, linphone's own words: `IncomingReceived`, `StreamsRunning`, `Paused`, `End` ..."""

    @property
    def state(self) -> str:
        """The last state."""
        return self.states[-1]

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.state in _OVER

    @property
    def talking(self) -> bool:
        """Whether both sides hear each other."""
        return self.state == "StreamsRunning"


class Softphone:
    """The telephone of an extension; an async context manager. Its process dies with its owner."""

    def __init__(self, extension: str, port: int, pbx_port: int, folder: Path) -> None:
        """`port` is where the PBX looks for it; `folder` is where it gets a folder of its own."""
        self.extension = extension
        self.calls: list[SoftCall] = []
        self._port = port
        self._pbx_port = pbx_port
        self._folder = Path(tempfile.mkdtemp(prefix=f"softphone-{port}-", dir=folder))
        self._process: asyncio.subprocess.Process | None = None
        self._commands = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for call in self.calls:
                    if not call.over:
                        await self.hang_up(call)
        finally:
            await self._end()

    # -- what its user sees -------------------------------------------------------------------------------

    @property
    def incoming(self) -> list[SoftCall]:
        """The calls that rang here, also those that are over."""
        return [call for call in self.calls if "IncomingReceived" in call.states]

    async def rings(self, calls: int = 1) -> SoftCall:
        """Wait until so many calls have rung here, whatever became of them, and give the last of them."""
        await self.until(lambda: len(self.incoming) >= calls, f"{calls} calls ring")
        return self.incoming[calls - 1]

    async def talks(self, call: SoftCall) -> None:
        """Wait until both sides of a call hear each other."""
        await self.until(lambda: call.talking or call.over, "it talks")
        if call.over:
            raise SoftphoneFailed(f"the call ended: {call.states}")

    async def hears_ringing(self, call: SoftCall) -> None:
        """Wait until the number that was dialled rings."""
        await self.until(lambda: call.state in _RINGS, "it hears ringing")

    async def holds(self, call: SoftCall) -> None:
        """Wait until a call is on hold, which a second one puts it as well."""
        await self.until(lambda: call.state == "Paused", "it holds")

    async def is_over(self, call: SoftCall) -> None:
        """Wait until a call has ended."""
        await self.until(lambda: call.over, "the call is over")

    async def until(self, predicate: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
        """Wait until `predicate` holds; asked again after everything that happens at this telephone."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: predicate() or not self._works)
        except TimeoutError:
            raise TimeoutError(f"{self.extension}: not {what}; {self.calls}") from None
        if not predicate():
            raise SoftphoneFailed(f"linphone is gone: {self._last_words()}")

    # -- what its user does -------------------------------------------------------------------------------

    async def answer(self, call: SoftCall) -> None:
        """Answer a call that rings; returns when both hear each other. Another one is put on hold."""
        await self._ask(f"answer {call.id}")
        await self.talks(call)

    async def dial(self, number: str) -> SoftCall:
        """Dial a number; another call is put on hold first. Returns when the call is under way."""
        said = await self._ask(f"call sip:{number}@127.0.0.1")
        await self.until(lambda: any(call.id == said["Id"] for call in self.calls), "it dials")
        return next(call for call in self.calls if call.id == said["Id"])

    async def hold(self, call: SoftCall) -> None:
        """Put a call on hold; returns when the PBX has agreed."""
        await self._ask(f"call-pause {call.id}")
        await self.holds(call)

    async def resume(self, call: SoftCall) -> None:
        """Go back to a call that is on hold."""
        await self._ask(f"call-resume {call.id}")
        await self.talks(call)

    async def transfer(self, call: SoftCall, to: str) -> None:
        """Hand a call over to a number without asking there first (REFER); returns when it has left."""
        await self._ask(f"call-transfer {call.id} sip:{to}@127.0.0.1")
        await self.is_over(call)

    async def transfer_to(self, call: SoftCall, consultation: SoftCall) -> None:
        """Hand a call over to whom was called before, answered or not (REFER, Replaces)."""
        await self._ask(f"call-transfer {call.id} {consultation.id}")
        await self.is_over(call)
        await self.is_over(consultation)

    async def hang_up(self, call: SoftCall) -> None:
        """End a call, or decline one that rings."""
        if not call.over:
            with contextlib.suppress(SoftphoneFailed):  # it may have ended meanwhile
                await self._ask(f"terminate {call.id}")
        await self.is_over(call)

    async def shows(self, call: SoftCall) -> tuple[str, str]:
        """Give the name and the number that the telephone shows of the other side now."""
        said = await self._ask(f"call-status {call.id}")
        return _party(said.get("From", ""))

    # -- the process --------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The id of its process; None before it is on."""
        return None if self._process is None else self._process.pid

    @property
    def _works(self) -> bool:
        return self._listening is not None and not self._listening.done()

    async def _start(self) -> None:
        configuration = self._folder / "linphonerc"
        configuration.write_text(
            _CONFIGURATION.format(port=self._port, extension=self.extension, pbx=self._pbx_port)
        )
        socket = self._folder / "socket"
        with (self._folder / "console").open("wb") as console:
            self._process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", SOFTPHONE, "--disable-stats-events"),
                *("--pipe", _socket_name(socket)),
                *("--config", str(configuration), "--log", str(self._folder / "log")),
                env={"HOME": str(self._folder), "PATH": os.environ["PATH"]},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl-C in our terminal is not for it
            )
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                    self._reader, self._writer = await asyncio.open_unix_connection(socket)
                    break
                if self._process.returncode is not None:
                    raise SoftphoneFailed(f"linphone-daemon ended: {self._last_words()}")
                await asyncio.sleep(0.01)  # looking again: the timeout decides
        await self._ask("version")
        self._listening = asyncio.create_task(self._listen(), name=f"softphone {self.extension}")

    async def _listen(self) -> None:
        """Take linphone's events out of its queue; it says nothing without being asked."""
        try:
            while True:
                said = await self._ask("pop-event")
                if said.get("Event-type") == "call-state-changed":
                    self._happened(said)
                    async with self._changed:
                        self._changed.notify_all()
                else:
                    await asyncio.sleep(0.02)  # looking again, whoever waits has a deadline
        finally:
            with contextlib.suppress(RuntimeError):  # the loop may be over
                async with self._changed:
                    self._changed.notify_all()

    def _happened(self, event: dict[str, str]) -> None:
        call = next((call for call in self.calls if call.id == event["Id"]), None)
        if call is None:
            call = SoftCall(event["Id"], *_party(event["From"]))
            self.calls.append(call)
        call.states.append(event["Event"].removeprefix("LinphoneCall"))

    async def _ask(self, command: str) -> dict[str, str]:
        """Give linphone's answer by the words before its colons.

        Raises:
            SoftphoneFailed: it refused, or is gone.
        """
        async with self._commands:
            try:
                self._writer.write(command.encode())
                answer = (await self._reader.read(65536)).decode(errors="replace")
            except ConnectionError:
                answer = ""
        said = dict(re.findall(r"(?m)^([\w-]+): (.*)$", answer))
        if said.get("Status") != "Ok":
            raise SoftphoneFailed(f"{command}: {said.get('Reason') or answer or self._last_words()}")
        return said

    def _last_words(self) -> str:
        file = self._folder / "console"
        words = file.read_text(errors="replace").splitlines() if file.exists() else []
        return " | ".join(words[-5:]) or "it said nothing"

    async def _end(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._writer.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _socket_name(socket: Path) -> str:
    return os.path.relpath(socket, _SOCKETS)


def _party(address: str) -> tuple[str, str]:
    """Split an address into the displayed name and the number."""
    found = re.match(r'\s*(?:"((?:\\.|[^"\\])*)"\s*)?<?sips?:(?:([^@>;]*)@)?', address)
    return (re.sub(r"\\(.)", r"\1", found[1] or ""), found[2] or "") if found else ("", "")
