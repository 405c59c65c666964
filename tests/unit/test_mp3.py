"""Recordings as MP3: converted beside the loop, whole or not at all."""

from __future__ import annotations

import asyncio
import math
import struct
from pathlib import Path

import pytest

from ari_app.asterisk import recordings
from ari_app.asterisk.recordings import KINDS, NotConverted, RecordingStore, StoredFile
from ari_app.asterisk.room import NoRoom

SECONDS = 20


def wav(seconds: int = SECONDS) -> bytes:
    """As Asterisk writes it: 440 Hz."""
    count = 8000 * seconds
    samples = struct.pack(f"<{count}h", *(int(9000 * math.sin(at * 0.3456)) for at in range(count)))
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    head = struct.pack("<4sI4s", b"RIFF", 36 + len(samples), b"WAVE")
    return head + form + struct.pack("<4sI", b"data", len(samples)) + samples


def stored(store: RecordingStore, call: str = "c1", content: bytes | None = None) -> StoredFile:
    """Have a recording in the store, as one that was fetched."""
    name = store.name_of(call)
    store.path_of(name).parent.mkdir(parents=True, exist_ok=True)
    store.path_of(name).write_bytes(wav() if content is None else content)
    store.belongs("shop", name)
    found = store.find(call)
    assert found is not None
    return found


def frames(content: bytes) -> int:
    """Count MP3 frames of 24 kbit/s at 8 kHz (MPEG 2.5): each has 216 bytes, and 72 ms."""
    at = 0
    while at < len(content):
        assert content[at : at + 2] == b"\xff\xe3", at
        assert content[at + 2] >> 4 == 3, "24 kbit/s"
        at += 216
    assert at == len(content)
    return at // 216


def kinds(folder: Path) -> list[str]:
    """Give the endings of the files that have anything in them."""
    return sorted(path.suffix for path in folder.rglob("*.*") if path.stat().st_size)


async def test_an_mp3_is_as_long_as_the_recording_and_a_fifth_of_its_size(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, "key", limit=10**9)
    store.count("shop")
    before = stored(store)
    after = await store.as_mp3("shop", before)
    content = store.path_of(after.name).read_bytes()
    assert frames(content) * 0.072 == pytest.approx(SECONDS, abs=0.2)
    assert after == StoredFile(before.name.replace(".wav", ".mp3"), before.seconds)
    assert store.room.taken("shop") == len(content) < len(wav()) / 5
    assert kinds(tmp_path) == [".mp3"]


async def test_a_fetch_that_is_repeated_finds_the_mp3(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, "key")
    made = await store.as_mp3("shop", stored(store))
    found = store.find("c1")
    assert found is not None
    assert found.name == made.name
    assert found.seconds == pytest.approx(SECONDS, abs=0.2)


async def test_a_service_that_was_killed_between_the_two_leaves_nothing_behind(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, "key")
    before = stored(store)
    made = await store.as_mp3("shop", before)
    content = store.path_of(made.name).read_bytes()
    assert await store.as_mp3("shop", stored(store) and before) == made
    assert store.path_of(made.name).read_bytes() == content
    assert not store.path_of(before.name).exists()


async def test_what_becomes_too_late_stays_wav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "CONVERT_SECONDS", 0.0)
    store = RecordingStore(tmp_path, "key")
    before = stored(store)
    with pytest.raises(NotConverted, match="longer than 0 s"):
        await store.as_mp3("shop", before)
    assert store.find("c1") == before
    assert kinds(tmp_path) == [".wav"]


async def test_without_room_for_both_it_stays_wav(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, "key", limit=len(wav()) + 1000)
    store.count("shop")
    before = stored(store)
    with pytest.raises(NotConverted, match="as much as they may"):
        await store.as_mp3("shop", before)
    assert store.room.taken("shop") == len(wav())
    assert store.find("c1") == before
    with pytest.raises(NoRoom), store.room.for_a_file("shop", 2000):
        pass


async def test_one_that_nobody_said_a_word_in_is_converted_too(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, "key")
    made = await store.as_mp3("shop", stored(store, content=wav(1)[:-1]))  # half a sample is left out
    assert frames(store.path_of(made.name).read_bytes()) > 0


async def test_many_are_converted_one_after_another_while_the_loop_goes_on(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, "key")
    before = [stored(store, f"c{one}") for one in range(5)]
    turns, over = 0, asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await asyncio.gather(*(store.as_mp3("shop", one) for one in before))
    over.set()
    await turning
    assert turns > 5
    assert kinds(tmp_path) == [".mp3"] * 5


async def test_a_removed_call_takes_its_mp3_with_it(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, "key")
    made = await store.as_mp3("shop", stored(store))
    store.remove("shop", "c1", made.name)
    assert store.find("c1") is None
    assert KINDS == ("wav", "mp3")
