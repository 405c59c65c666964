"""The wire between the service and the PBX's HTTP server: a proxy that a test can cut and tamper with.

It reads requests by HTTP and over the event socket, where a broken connection is the loss of the events, too.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self


class Fault(Enum):
    """What befalls a request."""

    LOST = auto()
    """It doesn't reach the PBX: the connection breaks."""
    ANSWER_LOST = auto()
    """It reaches the PBX, but the connection breaks before the answer."""
    ERROR_500 = auto()
    """Something else answers 500."""
    NOT_YET = auto()
    """The PBX has just started, and doesn't know the address yet."""


_ERROR_500 = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
_NOT_YET = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 32\r\n\r\n"
    b'{"message":"Resource not found"}'
)
_TAKES_THEM, _TAKES_THEM_NOT = b'"RESTRequest"', b'"RestRequest"'


@dataclass(eq=False)
class _Rule:
    request: re.Pattern[bytes]
    fault: Fault
    left: int
    then: Callable[[], None]


@dataclass(eq=False)
class _Connection:
    """One connection; when it `is_events`, requests are frames of it."""

    writers: tuple[asyncio.StreamWriter, ...]
    is_events: bool = False
    begun: bytes = b""
    """A frame that hasn't come as a whole."""

    def break_off(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    def leave(self) -> None:
        """Break off what the service sees of it."""
        self.writers[0].transport.abort()


class Wire:
    """An async context manager; `port` is where the PBX seems to be."""

    def __init__(self, pbx_port: int) -> None:
        self.port = 0
        self.hits = 0
        """How many requests met a fault."""
        self._pbx_port = pbx_port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rules: list[_Rule] = []
        self.delay = 0.0
        """Seconds by which everything comes later, either way."""
        self.old = False
        """Whether the PBX seems to be one that takes requests by HTTP alone."""
        self.asked: deque[tuple[str, str]] = deque(maxlen=1000)
        """What was asked last, by ``HTTP`` or over the event ``socket``."""
        self._flows = asyncio.Event()
        self._flows.set()
        self._noticed = asyncio.Event()
        self._noticed.set()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        self._flows.set()
        self._noticed.set()
        await asyncio.gather(*self._tasks)

    async def mend(self) -> None:
        """Let everything through again, but for `spoil`ed requests."""
        self._flows.set()
        self._noticed.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Break every connection; new ones are let through."""
        for connection in tuple(self._connections):
            if self._noticed.is_set():
                connection.break_off()
            else:
                connection.leave()

    def refuse(self, *, unnoticed: bool = False) -> None:
        """Break every connection, and refuse new ones until it is mended.

        `unnoticed` by the PBX: its ends of the connections stay open so long, as when a cable is pulled.
        """
        if unnoticed:
            self._noticed.clear()
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def fall_silent(self) -> None:
        """Keep the connections, but let nothing through until it is mended."""
        self._flows.clear()

    def spoil(
        self, request: str, fault: Fault, times: int = 1, then: Callable[[], None] = lambda: None
    ) -> None:
        """Let the next so many requests that match (``POST .*/answer``) meet a fault, `then` more."""
        self._rules.append(_Rule(re.compile(request.encode()), fault, times, then))

    def forget(self) -> None:
        """Spoil nothing any more."""
        self._rules.clear()

    def say(self, text: bytes) -> None:
        """Put a text message of the PBX's into every event stream."""
        for connection in self._connections:
            if connection.is_events:
                connection.writers[0].write(_frame(text))

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect_through(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            pbx_reader, pbx_writer = await self._reach()
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection((writer, pbx_writer))
        self._connections.add(connection)
        await asyncio.gather(self._requests(connection, reader), self._answers(pbx_reader, writer))
        connection.break_off()
        self._connections.discard(connection)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the far side."""
        return await asyncio.open_connection("127.0.0.1", self._pbx_port)

    async def _requests(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._passes()
                head = data.split(b"\r\n", 1)[0]
                requests = _frames(connection, data) if connection.is_events else [(data, head, None)]
                connection.is_events |= b"Upgrade: websocket" in data
                for request in requests:
                    if not await self._lets_through(connection, *request):
                        raise ConnectionError
        await self._noticed.wait()
        connection.break_off()

    async def _lets_through(
        self, connection: _Connection, data: bytes, head: bytes, ident: str | None = None
    ) -> bool:
        """Pass a request on, or let it meet its fault; False: the connection breaks. A frame has `ident`."""
        service, pbx = connection.writers
        if head:
            self.asked.append(("HTTP" if ident is None else "socket", head.decode(errors="replace")))
        match self._fault_of(head):
            case None:
                pbx.write(data)
            case Fault.LOST:
                return False
            case Fault.ANSWER_LOST:
                service.transport.abort()
                pbx.write(data)
                await asyncio.sleep(0.05)  # the PBX carries nothing out for who is gone already
                return False
            case Fault.ERROR_500:
                service.write(_ERROR_500 if ident is None else _refusal(ident, 500))
            case Fault.NOT_YET:
                service.write(_NOT_YET if ident is None else _refusal(ident, 404))
        return True

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._passes()
                writer.write(data.replace(_TAKES_THEM, _TAKES_THEM_NOT) if self.old else data)
        writer.transport.abort()

    async def _passes(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._flows.wait()

    def _fault_of(self, head: bytes) -> Fault | None:
        for rule in self._rules:
            if rule.left and rule.request.match(head):
                rule.left -= 1
                self.hits += 1
                asyncio.get_running_loop().call_soon(rule.then)
                return rule.fault
        return None


def _frame(text: bytes) -> bytes:
    """Make a frame as the PBX sends it."""
    length = bytes([len(text)]) if len(text) < 126 else b"\x7e" + len(text).to_bytes(2, "big")
    return b"\x81" + length + text


def _refusal(ident: str, status: int) -> bytes:
    said = {"type": "RESTResponse", "request_id": ident, "status_code": status}
    return _frame(json.dumps({**said, "message_body": '{"message": "Resource not found"}'}).encode())


def _frames(connection: _Connection, data: bytes) -> list[tuple[bytes, bytes, str | None]]:
    """Split what the service sends into frames, each with its request, as HTTP writes it, and its id."""
    found, data = [], connection.begun + data
    while len(data) >= 6:
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        end = at + 4 + size
        if len(data) < end:
            break
        text = bytes(byte ^ data[at + index % 4] for index, byte in enumerate(data[at + 4 : end]))
        asked = json.loads(text) if data[0] == 0x81 else None
        head = f"{asked['method']} /asterisk/ari/{asked['uri']} HTTP/1.1" if asked else ""
        found.append((data[:end], head.encode(), asked["request_id"] if asked else None))
        data = data[end:]
    connection.begun = data
    return found
