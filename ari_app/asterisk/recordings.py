"""Our store of recordings: a folder of WAV (8 kHz, 16 bit, mono) or MP3.

Files that a shop sends by itself lie there too (`ari_app.asterisk.uploads`): WAV of any kind, or MP3.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import aiohttp

from ari_app.asterisk import mp3
from ari_app.asterisk.room import KEEP_FREE, Marks, NoRoom, Room, Writing
from ari_app.keyring import KeyRing

HEADER_BYTES = 44
BYTES_A_SECOND = 16_000
_RIFF_SIZE_AT, _DATA_SIZE_AT = 4, 40

KINDS = ("wav", "mp3")
"""The kinds of files that a recording may be."""
LONGEST_RECORDING = 6 * 3600 * BYTES_A_SECOND
"""Bytes. A PBX may be anybody's, and the disk is everybody's."""
CONVERT_SECONDS = 20.0
"""How long one may take to become an MP3, with its wait for those before it: six hours of talk take that, and
the call's result waits for it."""
PIECE = 1 << 20
"""Bytes that are written at once, by a thread: a minute of talk. So much of a file is in memory at most."""


class NoRecording(Exception):
    """There is no recording to be had; the text says why."""


class NotConverted(Exception):
    """A recording could not be made an MP3, and stays as it was; the text says why."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A recording in our store. `name` is what its link ends with, `seconds` its length."""

    name: str
    seconds: float


class RecordingStore:
    """Recordings as plain files. Their names can't be guessed, and are the same for the same call: a fetch
    that is repeated after a crash finds the file that is already there.

    What was named by an older secret key keeps its name, for the CRM has its link.
    """

    def __init__(
        self,
        folder: Path,
        secret_key: KeyRing | str,
        limit: int | None = None,
        keep_free: int = KEEP_FREE,
    ) -> None:
        """Build it; `limit` is what one account's files may take, in bytes."""
        self._folder = folder
        self._marks = Marks(folder / "accounts")
        self._revoked = folder / "revoked"
        self.room = Room(folder, limit, keep_free)
        self._converting = asyncio.Semaphore(1)
        self._keys = [
            hashlib.sha256(b"recording names " + key.encode()).digest() for key in KeyRing.of(secret_key).all
        ]

    @property
    def drafts(self) -> Path:
        """The folder for what is still being sent to us."""
        return self._folder / "drafts"

    def name_of(self, call_id: str, kind: str = "wav") -> str:
        """Name a call's recording."""
        return self.names_of(call_id, kind)[0]

    def names_of(self, call_id: str, *kinds: str) -> list[str]:
        """Give the names that a call's recording of these kinds may have; by the present key first."""
        return [
            f"{hmac.digest(key, call_id.encode(), 'sha256').hex()[:40]}.{kind}"
            for key in self._keys
            for kind in kinds
        ]

    def path_of(self, name: str) -> Path:
        """Say where a recording lies."""
        return self._folder / name[:2] / name

    def find(self, call_id: str) -> StoredFile | None:
        """Find a recording of ours that was stored before; as MP3, if it is there as both."""
        for name in self.names_of(call_id, "mp3", "wav"):
            with suppress(FileNotFoundError):
                return StoredFile(name, _seconds(name, self.path_of(name).stat().st_size))
        return None

    async def as_mp3(self, account: str, stored: StoredFile) -> StoredFile:
        """Make a recording of ours an MP3, beside the loop, one at a time; the WAV goes when it is whole.

        Raises:
            NotConverted: it stays as it is.
        """
        ends = time.monotonic() + CONVERT_SECONDS
        try:
            async with asyncio.timeout(CONVERT_SECONDS):
                await self._converting.acquire()
        except TimeoutError:
            raise _took_too_long() from None
        try:
            name = await asyncio.to_thread(self._convert, account, stored.name, ends)
        except (mp3.CannotEncode, OSError) as error:
            raise NotConverted(str(getattr(error, "strerror", None) or error)) from error
        finally:
            self._converting.release()
        return StoredFile(name, stored.seconds)

    def _convert(self, account: str, wav: str, ends: float) -> str:
        """Write the MP3, give its name, and remove the WAV; it gives up at a moment of `time.monotonic`."""
        path = self.path_of(wav).with_suffix(".mp3")
        if not path.exists():  # a service that was killed may have left both
            with self.path_of(wav).open("rb") as samples:
                samples.seek(HEADER_BYTES)
                length = round(_seconds(wav, os.fstat(samples.fileno()).st_size) * mp3.BYTES_A_SECOND)
                with self.room.for_a_file(account, length) as writing, _Part(path, writing) as part:
                    for piece in mp3.encoded(samples):
                        part.write(piece)
                        if time.monotonic() > ends:
                            raise _took_too_long()
                    part.put()
            self.belongs(account, path.name)
        self.remove_file(account, wav)
        return path.name

    def remove(self, account: str, call_id: str, file: str | None = None) -> None:
        """Remove a call's recording, of whatever kind, if there is one.

        `file` is its name where that is known: a key that is no longer here may have made it.

        Raises:
            OSError: the file can't be removed.
        """
        for name in {*self.names_of(call_id, *KINDS), *((file,) if file else ())}:
            self.remove_file(account, name)

    def remove_file(self, account: str, name: str) -> None:
        """Remove a file of an account's.

        Raises:
            OSError: it can't be removed.
        """
        path = self.path_of(name)
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self.room.changed(account, -size)
        self._marks.remove(account, name)
        self._revoked_mark(name).unlink(missing_ok=True)

    def revoke_links(self, account: str) -> int:
        """Let the links of all that an account has so far open nothing, and say how many there are.

        Only in its own cabinet these recordings are heard from then on. For a thread.

        Raises:
            OSError: it can't be noted.
        """
        names = self._marks.names(account)
        for name in names:
            mark = self._revoked_mark(name)
            mark.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            mark.touch(mode=0o640)
        return len(names)

    def is_revoked(self, name: str) -> bool:
        """Tell whether a file's link opens nothing any more."""
        return self._revoked_mark(name).exists()

    def is_of(self, account: str, name: str) -> bool:
        """Tell whether a file is an account's."""
        return self._marks.has(account, name)

    def _revoked_mark(self, name: str) -> Path:
        return self._revoked / name[:2] / name.replace(".", "-")

    def remove_account(self, account: str) -> int:
        """Remove all files of an account, and say how many; from then on their links lead nowhere.

        Raises:
            OSError: one can't be removed.
        """
        names = self._marks.names(account)
        for name in names:
            self.remove_file(account, name)
        self._marks.forget(account)
        self.room.forget(account)
        return len(names)

    def belongs(self, account: str, name: str) -> None:
        """Note whose a file is that has come just now."""
        self._marks.put(account, name)
        with suppress(FileNotFoundError):
            self.room.changed(account, self.path_of(name).stat().st_size)

    def count(self, account: str) -> None:
        """Learn how much an account's files take, unless it is known; it may take a while."""
        if not self.room.counted(account):
            size = 0
            for name in self._marks.names(account):
                with suppress(FileNotFoundError):
                    size += self.path_of(name).stat().st_size
            self.room.count(account, size)

    async def save(self, account: str, call_id: str, response: aiohttp.ClientResponse) -> StoredFile:
        """Write a download into the store, whole or not at all.

        Raises:
            NoRecording: it is empty, or too long.
            NoRoom: there is no room for it.
        """
        length = response.content_length
        if (length or 0) > LONGEST_RECORDING:
            raise NoRecording(f"the recording has {length} bytes, more than {LONGEST_RECORDING}")
        name = self.name_of(call_id)
        size, piece = 0, bytearray()
        if not self.room.counted(account):
            await asyncio.to_thread(self.count, account)
        with self.room.for_a_file(account, length) as writing, _Part(self.path_of(name), writing) as part:
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > LONGEST_RECORDING:
                    raise NoRecording(f"the recording is longer than {LONGEST_RECORDING} bytes")
                piece += chunk
                if len(piece) >= PIECE:
                    await asyncio.to_thread(part.write, bytes(piece))
                    piece.clear()
            if size <= HEADER_BYTES:
                raise NoRecording("the recording is empty")
            await asyncio.to_thread(self._finish, part, bytes(piece), size, account, name)
        return StoredFile(name, _seconds(name, size))

    def _finish(self, part: _Part, rest: bytes, size: int, account: str, name: str) -> None:
        part.write(rest)
        part.finish(size)
        self.belongs(account, name)


def _seconds(name: str, size: int) -> float:
    """Say how long a recording of ours is; an MP3 is up to 0.2 s shorter than that."""
    if name.endswith(".mp3"):
        return size / mp3.BYTES_A_SECOND
    return max(0, size - HEADER_BYTES) / BYTES_A_SECOND


def _took_too_long() -> NotConverted:
    return NotConverted(f"it took longer than {CONVERT_SECONDS:.0f} s")


class _Part:
    """A file that is not whole yet; it is gone when nobody has finished it. Its methods are for a thread."""

    def __init__(self, path: Path, writing: Writing) -> None:
        self._path = path
        self._writing = writing
        self._file: BinaryIO | None = None
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Write a piece.

        Raises:
            NoRoom: there is no room for it.
        """
        if self._over:
            raise NoRoom("nobody waits for the file any more")
        if self._file is None:
            part = self._path.with_suffix(".part")
            part.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._file = part.open("w+b")
        self._writing.write(self._file, piece)

    def finish(self, size: int) -> None:
        """Write the true length into the header, where a killed PBX leaves zero; sync, and rename."""
        assert self._file is not None
        wav = self._file
        wav.seek(_RIFF_SIZE_AT)
        wav.write(struct.pack("<I", size - 8))
        wav.seek(_DATA_SIZE_AT)
        wav.write(struct.pack("<I", size - HEADER_BYTES))
        self.put()

    def put(self) -> None:
        """Put what was written into its place: sync, and rename."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._file.name, self._path)
