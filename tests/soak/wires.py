"""The wires of several copies: one can be cut off from the PBX, or from Redis, while the others work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.faults.wire import Wire


class WireToRedis(Wire):
    """The wire between one copy and the Redis on a socket."""

    def __init__(self, socket: Path) -> None:
        super().__init__(0)
        self._socket = socket

    @property
    def url(self) -> str:
        """Where Redis seems to be."""
        return f"redis://127.0.0.1:{self.port}"

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._socket)


class WireToPbx(Wire):
    """The wire between all copies and the PBX; whose a connection is, is known by who has its socket."""

    def __init__(self, pbx_port: int, pid_of: Callable[[int], int | None]) -> None:
        """`pid_of` gives the process of a copy."""
        super().__init__(pbx_port)
        self._pid_of = pid_of
        self._cut_off: set[int] = set()

    def cut_off(self, copy: int) -> None:
        """Break a copy's connections, and refuse new ones."""
        self._cut_off.add(copy)
        for connection in tuple(self._connections):
            if self._is_cut_off(connection.writers[0]):
                connection.break_off()

    def let_through(self, copy: int) -> None:
        """Let a copy through again."""
        self._cut_off.discard(copy)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut_off and self._is_cut_off(writer):
            writer.transport.abort()
        else:
            super()._connected(reader, writer)

    def _is_cut_off(self, writer: asyncio.StreamWriter) -> bool:
        inode = _inode(writer.get_extra_info("peername")[1], self.port)
        pids = (self._pid_of(copy) for copy in self._cut_off)
        return any(pid is not None and _has(pid, inode) for pid in pids)


def _inode(port: int, to: int) -> str | None:
    """Give the socket that leads from one port to another; one that is closed may have had the port, too."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if [int(fields[place].rpartition(":")[2], 16) for place in (1, 2)] == [port, to] and fields[9] != "0":
            return fields[9]
    return None


def _has(pid: int, inode: str | None) -> bool:
    """Tell whether a process has a socket."""
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(file.readlink()) == f"socket:[{inode}]":
                    return True
    return False
