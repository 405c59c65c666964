"""Recordings that are sent to us: written to disk as they come, and kept when they are whole.

Only what begins as a WAV or MP3 file does is taken. A draft lies in a folder of its own until it is kept,
in one step, under its unguessable name.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ari_app.asterisk.recordings import KINDS, RecordingStore
from ari_app.asterisk.room import Writing

CHUNK_BYTES = 1 << 18
SIGNATURE_BYTES = 12
HEADER_BYTES = 4096
"""How much of a WAV file is read to learn its length."""
FORGOTTEN_SECONDS = 3600.0
"""The age at which a draft belongs to nobody any more: a service that was killed left it."""


class BadFile(ValueError):
    """What was sent is not a WAV or MP3 file."""


class FileTooBig(Exception):
    """What was sent is longer than is allowed."""


class Draft:
    """A file on its way into the store."""

    def __init__(self, account: str, path: Path, file: BinaryIO, limit: int, writing: Writing) -> None:
        self._account = account
        self._writing = writing
        self._path = path
        self._file = file
        self._limit = limit
        self._begin = b""
        self._size = 0

    async def write(self, chunk: bytes) -> None:
        """Write a piece.

        Raises:
            BadFile, FileTooBig: nothing more need be sent.
            NoRoom: there is no room for it.
        """
        self._size += len(chunk)
        if self._size > self._limit:
            raise FileTooBig
        if len(self._begin) < HEADER_BYTES:
            known = len(self._begin) >= SIGNATURE_BYTES
            self._begin += chunk[: HEADER_BYTES - len(self._begin)]
            if not known and len(self._begin) >= SIGNATURE_BYTES:
                _kind(self._begin)
        await asyncio.to_thread(self._writing.write, self._file, chunk)

    async def keep(self, store: RecordingStore, call_id: str) -> tuple[str, float | None]:
        """Keep the file as a call's recording; give its name and its length in seconds, where that is known.

        A recording that the call has already stays: the CRM may have its link. Then that one's name is given.

        Raises:
            BadFile: it is too short to be anything.
        """
        if len(self._begin) < SIGNATURE_BYTES:
            raise BadFile
        kind = _kind(self._begin)
        kept = await asyncio.to_thread(self._keep, store.names_of(call_id, *KINDS), store, kind)
        seconds = _seconds(self._begin, self._size) if kept.endswith(".wav") and kind == "wav" else None
        return kept, seconds

    def _keep(self, names: list[str], store: RecordingStore, kind: str) -> str:
        """Put the file in its place in one step, unless one is there; give the name of what is there then."""
        self._file.flush()
        os.fsync(self._file.fileno())
        for name in names:
            if store.path_of(name).exists():
                return name
        name = next(name for name in names if name.endswith(f".{kind}"))
        path = store.path_of(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        try:
            os.link(self._path, path)
        except FileExistsError:
            return name  # two came at once
        except OSError:  # a disk without hard links
            os.replace(self._path, path)
        store.belongs(self._account, name)
        return name


@asynccontextmanager
async def draft(
    store: RecordingStore, account: str, limit: int, length: int | None = None
) -> AsyncIterator[Draft]:
    """Open a draft; it is gone in the end unless it was kept. `limit` and `length`, if known, are in bytes.

    Raises:
        OSError: also when there is no room.
    """
    path = store.drafts / f"{secrets.token_hex(16)}.part"
    await asyncio.to_thread(store.count, account)
    with store.room.for_a_file(account, length) as writing:
        file = await asyncio.to_thread(_open, path)
        try:
            yield Draft(account, path, file, limit, writing)
        finally:
            file.close()
            path.unlink(missing_ok=True)


def forget_drafts(store: RecordingStore) -> None:
    """Remove the drafts that a service which was killed has left."""
    for path in store.drafts.glob("*.part"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
                path.unlink()


def _open(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    return path.open("xb")


def _kind(begin: bytes) -> str:
    """Tell by its first bytes what a file is.

    Raises:
        BadFile: it begins as neither WAV nor MP3 does.
    """
    if begin[:4] == b"RIFF" and begin[8:12] == b"WAVE":
        return "wav"
    if begin[:3] == b"ID3" or _is_frame(begin):
        return "mp3"
    raise BadFile


def _is_frame(begin: bytes) -> bool:
    """Tell whether MPEG audio begins here: 11 bits set, then a layer, a bit rate and a sampling rate."""
    sync = begin[0] == 0xFF and begin[1] & 0xE0 == 0xE0
    return sync and begin[1] & 0x06 != 0 and begin[2] & 0xF0 != 0xF0 and begin[2] & 0x0C != 0x0C


def _seconds(begin: bytes, size: int) -> float | None:
    """Read a WAV file's length off its header, by the file's size: the header's own may be zero."""
    at, rate = 12, 0
    while at + 8 <= len(begin):
        name, length = struct.unpack_from("<4sI", begin, at)
        if name == b"fmt " and at + 20 <= len(begin):
            rate = struct.unpack_from("<I", begin, at + 16)[0]
        if name == b"data":
            return (size - at - 8) / rate if rate else None
        at += 8 + length + length % 2
    return None
