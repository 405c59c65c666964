"""Room on the disk for recordings: so much of it stays free, and one account takes so much of it at most.

Redis' file is on the same disk, and a PBX or a clientId may be anybody's. Room is asked for while a file is
written, a block at a time, and what has been asked for and not yet written counts as taken: thirty files that
come at once don't pass the bound together.

Whose a file is says a mark, an empty file in a folder of the account: ``NAME-wav`` for ``NAME.wav``.
"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

KEEP_FREE = 10**9
"""Bytes that stay free on the disk."""
BLOCK = 4 * 10**6
"""Bytes that are asked for at a time."""


class NoRoom(OSError):
    """There is no room for a recording; the text says why."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ENOSPC, why)


class Marks:
    """The marks that say which files are an account's, in a folder; files lie where `path_of` says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, account: str, name: str) -> None:
        """Mark a file as an account's."""
        folder = self._of(account)
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        (folder / name.replace(".", "-")).touch(mode=0o640)

    def remove(self, account: str, name: str) -> None:
        """Forget a file."""
        (self._of(account) / name.replace(".", "-")).unlink(missing_ok=True)

    def has(self, account: str, name: str) -> bool:
        """Tell whether a file is marked as an account's."""
        return (self._of(account) / name.replace(".", "-")).exists()

    def names(self, account: str) -> list[str]:
        """Name an account's files."""
        with suppress(FileNotFoundError):
            return [path.name.replace("-", ".") for path in self._of(account).iterdir()]
        return []

    def forget(self, account: str) -> None:
        """Forget an account of which no file is left."""
        with suppress(OSError):
            self._of(account).rmdir()

    def _of(self, account: str) -> Path:
        return self._folder / quote(account, safe="").replace(".", "%2E")


class Room:
    """The room on the disk of `folder`; `limit` is what one account may take of it, in bytes, if it has one.

    Its methods may be called from any thread.
    """

    def __init__(self, folder: Path, limit: int | None = None, keep_free: int = KEEP_FREE) -> None:
        self.limit = limit
        self.keep_free = keep_free
        self._folder = folder
        self._taken: dict[str, int] = {}
        """What the files of an account take that are whole, in bytes; of those whose were counted."""
        self._coming: dict[str, int] = {}
        """What those take that are being written."""
        self._ahead = 0
        """What was asked for and is not written yet."""
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether there is no room on the disk for another recording."""
        try:
            return shutil.disk_usage(self._folder).free < self.keep_free
        except OSError:
            return False

    def counted(self, account: str) -> bool:
        """Tell whether it is known how much an account takes."""
        return self.limit is None or account in self._taken

    def count(self, account: str, size: int) -> None:
        """Note how much an account's files take."""
        with self._lock:
            self._taken[account] = size

    def changed(self, account: str, by: int) -> None:
        """Note that an account's files take more, or less, by so many bytes."""
        with self._lock:
            if account in self._taken:
                self._taken[account] = max(0, self._taken[account] + by)

    def forget(self, account: str) -> None:
        """Count the account's files anew, the next time that one comes."""
        with self._lock:
            self._taken.pop(account, None)

    def taken(self, account: str) -> int:
        """Say how many bytes an account takes, as far as that was counted."""
        return self._taken.get(account, 0)

    @contextmanager
    def for_a_file(self, account: str, length: int | None = None) -> Iterator[Writing]:
        """Have room for one file while it is written; `length` is its own, in bytes, where that is known.

        Raises:
            NoRoom: there is none for so much.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        writing = Writing(self, account)
        try:
            writing.ask(length or BLOCK)
            yield writing
        finally:
            self._release(writing)

    def _take(self, writing: Writing, size: int) -> None:
        """Take room for so many bytes more of a file."""
        with self._lock:
            account = writing.account
            coming = self._coming.get(account, 0)
            if self.limit is not None and self._taken.get(account, 0) + coming + size > self.limit:
                raise NoRoom(f"the account's recordings take {self.limit / 10**9:g} GB, as much as they may")
            if shutil.disk_usage(self._folder).free - self._ahead - size < self.keep_free:
                raise NoRoom("the disk is nearly full")
            if writing.over:
                raise NoRoom("nobody waits for the file any more")
            self._coming[account] = coming + size
            self._ahead += size
            writing.size += size
            writing.ahead += size

    def _wrote(self, writing: Writing, size: int) -> None:
        with self._lock:
            writing.ahead -= size
            if not writing.over:
                self._ahead -= size

    def _release(self, writing: Writing) -> None:
        with self._lock:
            writing.over = True
            self._ahead -= writing.ahead
            left = self._coming.get(writing.account, 0) - writing.size
            if left > 0:
                self._coming[writing.account] = left
            else:
                self._coming.pop(writing.account, None)


class Writing:
    """One file that is being written. A thread may still write when nobody waits for it any more."""

    def __init__(self, room: Room, account: str) -> None:
        self._room = room
        self.account = account
        self.size = 0
        """Bytes that were asked for, in all."""
        self.ahead = 0
        """Of them, those that are not written yet."""
        self.over = False
        """Whether the room was given back."""

    def ask(self, size: int) -> None:
        """Make sure that there is room for so many bytes more.

        Raises:
            NoRoom: there is none.
        """
        missing = size - self.ahead
        if missing > 0:
            self._room._take(self, max(missing, BLOCK) if self.size else missing)

    def write(self, file: BinaryIO, piece: bytes) -> None:
        """Write a piece of the file.

        Raises:
            NoRoom: there is no room for it.
        """
        self.ask(len(piece))
        file.write(piece)
        self._room._wrote(self, len(piece))
