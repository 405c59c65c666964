"""Recordings come from PBXs that may be anybody's, onto a disk that is everybody's."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import web

from ari_app.asterisk import room as room_module
from ari_app.asterisk.recordings import LONGEST_RECORDING, NoRecording, RecordingStore
from ari_app.asterisk.room import NoRoom
from ari_app.asterisk.uploads import draft
from tests.unit.test_hostile_pbx import Answer, pbx

MEGABYTE = 10**6
WAV = b"RIFF\0\0\0\0WAVE"


class Disk(NamedTuple):
    """As `shutil.disk_usage` says how it is."""

    total: int
    used: int
    free: int


class SmallDisk:
    """A disk on which nothing else is; its smallest free space is noted each time that it is asked."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size

    def usage(self, _: object) -> Disk:
        while True:
            with suppress(FileNotFoundError):  # a thread has renamed one just now
                used = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
                return Disk(self.size, used, self.size - used)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    """A disk of 60 MB, and blocks of a quarter of one."""
    disk = SmallDisk(tmp_path, 60 * MEGABYTE)
    monkeypatch.setattr(shutil, "disk_usage", disk.usage)
    monkeypatch.setattr(room_module, "BLOCK", MEGABYTE // 4)
    return disk


def recording_of(size: int, *, tells_length: bool = False) -> Answer:
    """A PBX that sends so many bytes, whatever is asked."""

    async def send(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if tells_length:
            response.content_length = size
        await response.prepare(request)
        left = size
        while left > 0:
            await response.write(bytes(min(left, 1 << 16)))
            left -= 1 << 16
        return response

    return send


async def fetch(
    store: RecordingStore, session: aiohttp.ClientSession, url: str, call: str, account: str
) -> int:
    async with session.get(url) as response:
        await store.save(account, call, response)
    return response.status


def drafts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.wav") if path.stat().st_size]


@pytest.mark.parametrize("tells_length", [True, False])
async def test_thirty_recordings_at_once_leave_free_what_is_to_stay_free(
    tmp_path: Path, disk: SmallDisk, tells_length: bool
) -> None:
    store = RecordingStore(tmp_path, "key", keep_free=20 * MEGABYTE)
    async with pbx(recording_of(3 * MEGABYTE, tells_length=tells_length)) as (session, url):
        came = await asyncio.gather(
            *(fetch(store, session, url, f"call {one}", f"shop {one % 3}") for one in range(30)),
            return_exceptions=True,
        )
    refused = [one for one in came if isinstance(one, NoRoom)]
    assert {type(one) for one in came} <= {NoRoom, int}
    assert len(refused) >= 17
    assert len(files(tmp_path)) == 30 - len(refused) > 0
    assert disk.usage(tmp_path).free >= 20 * MEGABYTE
    assert (store.room._ahead, store.room._coming) == (0, {})
    assert drafts(tmp_path) == []


async def test_an_account_takes_its_share_of_the_disk_and_no_more_and_others_go_on(
    tmp_path: Path, disk: SmallDisk
) -> None:
    store = RecordingStore(tmp_path, "key", limit=10 * MEGABYTE, keep_free=MEGABYTE)
    async with pbx(recording_of(3 * MEGABYTE)) as (session, url):
        greedy = await asyncio.gather(
            *(fetch(store, session, url, f"call {one}", "greedy") for one in range(10)),
            return_exceptions=True,
        )
        assert greedy.count(200) == len(files(tmp_path)) <= 3
        assert "as much as they may" in str(next(one for one in greedy if isinstance(one, NoRoom)))
        await fetch(store, session, url, "another's", "modest")
        with pytest.raises(NoRoom):
            async with draft(store, "greedy", 100 * MEGABYTE, 11 * MEGABYTE):
                pass
        anew = RecordingStore(tmp_path, "key", limit=10 * MEGABYTE, keep_free=MEGABYTE)
        for one in range(3):
            anew.remove("greedy", f"call {one}")
        stored = sum(path.stat().st_size for path in files(tmp_path)) - 3 * MEGABYTE
        for one in range(20, 24):
            if stored + 3.25 * MEGABYTE > 10 * MEGABYTE:
                with pytest.raises(NoRoom):
                    await fetch(anew, session, url, f"call {one}", "greedy")
                break
            await fetch(anew, session, url, f"call {one}", "greedy")
            stored += 3 * MEGABYTE
        else:
            raise AssertionError("there is no end of room")


async def test_a_recording_of_691_megabytes_is_refused_by_its_length(tmp_path: Path) -> None:
    sent = 0

    async def send(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        response.content_length = 691_200_000
        await response.prepare(request)
        while sent < 691_200_000:
            await response.write(bytes(1 << 16))
            sent += 1 << 16
        return response

    assert LONGEST_RECORDING == 6 * 3600 * 16_000
    store = RecordingStore(tmp_path, "key")
    async with pbx(send) as (session, url):
        with pytest.raises(NoRecording, match="691200000 bytes, more than"):
            await fetch(store, session, url, "call", "shop")
    assert sent < 10 * MEGABYTE
    assert files(tmp_path) == drafts(tmp_path) == []


@pytest.fixture
async def kept(tmp_path: Path) -> RecordingStore:
    """A store with recordings of two accounts."""
    store = RecordingStore(tmp_path, "key", limit=10 * MEGABYTE)
    async with pbx(recording_of(50_000)) as (session, url):
        for account in ("gone", "stays"):
            for one in range(5):
                await fetch(store, session, url, f"{account} {one}", account)
            async with draft(store, account, MEGABYTE) as coming:
                await coming.write(WAV + bytes(50_000))
                await coming.keep(store, f"{account} sent")
    return store


async def test_what_belongs_to_a_removed_account_goes_and_nothing_else(
    kept: RecordingStore, tmp_path: Path
) -> None:
    assert kept.remove_account("gone") == 6
    assert {path.name for path in files(tmp_path)} == {
        kept.name_of(call) for call in (*(f"stays {one}" for one in range(5)), "stays sent")
    }
    assert kept.remove_account("gone") == kept.remove_account("..") == kept.remove_account("never was") == 0
    assert not (tmp_path / "accounts" / "gone").exists()
    assert len(list((tmp_path / "accounts" / "stays").iterdir())) == 6


def test_room_is_given_back_though_a_thread_still_writes(tmp_path: Path, disk: SmallDisk) -> None:
    room = RecordingStore(tmp_path, "key", keep_free=0).room
    with (tmp_path / "file").open("wb") as file:
        with room.for_a_file("shop", 2 * MEGABYTE) as writing:
            writing.write(file, bytes(MEGABYTE))
        writing.write(file, bytes(MEGABYTE))
        with pytest.raises(NoRoom, match="nobody waits"):
            writing.write(file, bytes(MEGABYTE))
    assert (room._ahead, room._coming) == (0, {})
