"""Whether PBXs are there still: all event sockets are asked together, once a second.

One sweep, and no task and timers for each: a process may have hundreds of PBXs, and most of them say nothing
for hours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import GeneratorType
from typing import ClassVar
from weakref import WeakKeyDictionary

import structlog
from websockets.asyncio.client import ClientConnection
from websockets.protocol import State
from websockets.streams import StreamReader

log = structlog.get_logger(__name__)

PING_SECONDS, PONG_SECONDS = 1.0, 2.0
"""How often the PBX is asked for a sign of life, and how long it may take; then the socket is lost."""
AT_ONCE = 50
"""So many are asked before others have their turn."""
_PING = b"\x89\x80\0\0\0\0"
"""The whole frame: a ping that says nothing, masked as all that a client sends (RFC 6455, 5.2, 5.5.2)."""
_PONG = b"\x8a\x00"
"""The whole frame of its answer, which is all that most sockets hear for hours."""


class EventSocket(ClientConnection):
    """An event socket that notices whether it hears anything."""

    silent = False
    """Whether it was given up, since it heard nothing any more."""
    _heard = True
    _waited = 0.0
    """How long nothing was heard since we asked, in seconds."""

    def data_received(self, data: bytes) -> None:
        """Take what has come; an answer to our ping alone says nothing more, and isn't read."""
        self._heard = True
        if data != _PONG or not self._between_frames:
            super().data_received(data)

    @property
    def _between_frames(self) -> bool:
        """Whether what comes next begins a frame: who reads the stream waits there for more, or its end."""
        waits: object = self.protocol.parser
        while isinstance(inner := getattr(waits, "gi_yieldfrom", None), GeneratorType):
            waits = inner
        return getattr(waits, "__name__", "") == StreamReader.at_eof.__name__

    def look(self, since: float, patience: float) -> None:
        """Ask for a sign of life, or give the socket up; the last look was `since` seconds ago."""
        if self.protocol.state is not State.OPEN:
            return
        if self._heard:
            self._heard, self._waited = False, 0.0
            self.transport.write(_PING)
            return
        self._waited += since
        if self._waited >= patience:
            self.silent = True
            self.transport.abort()


class SignsOfLife:
    """Looks at the event sockets of one loop every so many seconds."""

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, SignsOfLife]] = WeakKeyDictionary()

    def __init__(self, seconds: float = PING_SECONDS) -> None:
        self._seconds = seconds
        self._sockets: dict[EventSocket, float] = {}
        self._sweeping: asyncio.Task[None] | None = None

    @classmethod
    def here(cls) -> SignsOfLife:
        """Give that of the running loop."""
        return cls._all.setdefault(asyncio.get_running_loop(), cls())

    @contextmanager
    def watching(self, socket: EventSocket, patience: float) -> Iterator[None]:
        """Ask on a socket; one that says nothing for so many seconds after that is given up, and aborted."""
        self._sockets[socket] = patience
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep(), name="signs of life")
        try:
            yield
        finally:
            del self._sockets[socket]

    async def _sweep(self) -> None:
        try:
            while self._sockets:
                await asyncio.sleep(self._seconds)
                for number, (socket, patience) in enumerate(tuple(self._sockets.items())):
                    if number % AT_ONCE == 0:
                        await asyncio.sleep(0)  # what has come while we stood still is heard first
                    self._look(socket, patience)
        finally:
            self._sweeping = None

    def _look(self, socket: EventSocket, patience: float) -> None:
        try:
            socket.look(self._seconds, patience)
        except Exception:  # one is in no other's way
            log.exception("a PBX can't be asked for a sign of life")
            socket.transport.abort()
