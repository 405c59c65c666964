"""A finished recording is brought from the PBX with as few requests as can be, and few at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import aiohttp
import structlog
from aiohttp import web

from ari_app.asterisk.ari import Ari
from ari_app.asterisk.errors import PbxRefused
from ari_app.asterisk.events import Ids
from ari_app.asterisk.recordings import RecordingStore
from ari_app.asterisk.stored_recordings import DOWNLOADS, StoredRecordings
from ari_app.calls.call import Way
from tests.unit.test_hostile_pbx import pbx

WAV = b"RIFF\0\0\0\0WAVE" + bytes(32) + bytes(32_000)


class Recorded:
    """The ARI of a PBX on which recordings lie that nobody writes any more; it notes what is asked."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self.asked: list[str] = []
        self.transport = self
        self.recordings = StoredRecordings(Ids("shop"), lambda: cast(Ari, self), structlog.get_logger())

    async def __call__(self, _: str, operation: str, **what: str) -> None:
        self.asked.append(operation)
        if operation == "getLive":
            raise PbxRefused(Way.ARI, "Recording not found", status=404)

    async def download(self, path: str) -> aiohttp.ClientResponse:
        self.asked.append("file")
        return await self._session.get(self._url + path)


async def whole(_: web.Request) -> web.Response:
    return web.Response(body=WAV)


async def test_what_is_closed_is_fetched_by_one_request_and_removed_by_another(tmp_path: Path) -> None:
    async with pbx(whole) as place:
        there = Recorded(*place)
        store = RecordingStore(tmp_path, "key")
        stored = await there.recordings.fetch(store, "shop", "c1", closed=True)
    assert there.asked == ["file", "deleteStored"]
    assert stored.seconds == 2.0
    assert store.path_of(stored.name).stat().st_size == len(WAV)


async def test_what_may_yet_be_written_is_asked_for_first(tmp_path: Path) -> None:
    async with pbx(whole) as place:
        there, store = Recorded(*place), RecordingStore(tmp_path, "key")
        await there.recordings.fetch(store, "shop", "c1", closed=False)
    assert there.asked == ["getLive", "file", "deleteStored"]


async def test_no_more_than_eight_files_are_on_their_way_at_once(tmp_path: Path) -> None:
    sending, most, full = 0, 0, asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        nonlocal sending, most
        sending += 1
        most = max(most, sending)
        if sending == DOWNLOADS:
            full.set()
        await full.wait()
        sending -= 1
        return web.Response(body=WAV)

    async with pbx(slow) as place:
        there, store = Recorded(*place), RecordingStore(tmp_path, "key")
        names = [f"c{number}" for number in range(20)]
        await asyncio.gather(*(there.recordings.fetch(store, "shop", name, closed=True) for name in names))
    assert most == DOWNLOADS == 8
    assert sorted(there.asked) == ["deleteStored"] * 20 + ["file"] * 20
