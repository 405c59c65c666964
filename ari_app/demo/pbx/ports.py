"""Ports of 127.0.0.1 and a folder for one Asterisk and its phones: a block outside the ephemeral range."""

from __future__ import annotations

import fcntl
import itertools
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_FIRST, _LAST, _SIZE = 10_000, 32_700, 2_000
_PHONES, _SERVICES, _CALLERS = 320, 20, 130


class NoFreePorts(Exception):
    """Every block is taken or has a port in use."""


class PortBlock:
    """A block of ports that no other lab of this machine uses until it is released (or its process ends)."""

    def __init__(self) -> None:
        self._lock, self._base = _take()
        self.folder = _folder(self._base)
        """An empty folder that goes with the block; what a killed owner has left in it is gone."""
        services = range(self._base + _PHONES, self._base + _PHONES + _SERVICES)
        self.sip, self.http, self.ami, self.trunk = services[:4]
        self._services = itertools.cycle(services[4:])
        callers = services.stop
        self._callers = itertools.cycle(range(callers, callers + _CALLERS))
        self.rtp_start, self.rtp_end = callers + _CALLERS, self._base + _SIZE - 1

    def phone(self, index: int) -> int:
        """Return the port of the phone at `index`, below 320."""
        if index >= _PHONES:
            raise NoFreePorts(f"a block has ports for {_PHONES} phones")
        return self._base + index

    def caller(self) -> int:
        """Return a free port for one more caller."""
        for port in itertools.islice(self._callers, _CALLERS):
            if _is_free(port):
                return port
        raise NoFreePorts(f"{_CALLERS} callers are calling already")

    def service(self) -> int:
        """Return a free port for one more service, such as one that is started again on its port."""
        return next(port for port in itertools.islice(self._services, _SERVICES) if _is_free(port))

    def release(self) -> None:
        """Remove the folder and let others have the block."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _take() -> tuple[IO[str], int]:
    for base in reversed(range(_FIRST, _LAST - _SIZE, _SIZE)):
        lock = (Path(tempfile.gettempdir()) / f"ari-app-ports-{base}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        if all(_is_free(port) for port in _fixed(base)):
            return lock, base
        lock.close()
    raise NoFreePorts(f"no block of {_SIZE} ports is free between {_FIRST} and {_LAST}")


def _folder(base: int) -> Path:
    folder = Path(tempfile.gettempdir()) / f"ari-app-lab-{base}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _fixed(base: int) -> Iterator[int]:
    return iter(range(base, base + _PHONES + _SERVICES))


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
