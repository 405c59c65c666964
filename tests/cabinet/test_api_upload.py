"""A PBX sends the recording's file; its link reaches the CRM, since the CRM hears of a call only once."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import FormData
from redis.asyncio import Redis

from ari_app.asterisk.uploads import forget_drafts
from ari_app.calls.call import Stage
from ari_app.calls.reported import FILE_SECONDS, SILENCE_SECONDS
from ari_app.store.keys import ACCOUNTS
from tests.cabinet.shop import CHANNEL, CLIENT_ID, ReportingShop, reporting_shop
from tests.cabinet.test_api_event import END


def wav(seconds: float = 2.0) -> bytes:
    sound = bytes(int(16_000 * seconds))
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(sound),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        16_000,
        2,
        16,
        b"data",
        len(sound),
    )
    return header + sound


MP3 = b"\xff\xfb\x90\x00" + bytes(2000)


async def test_a_file_that_comes_before_the_end(shop: ReportingShop) -> None:
    await shop.reports("in")
    await shop.uploads(wav())
    await shop.reports("hangup", **END, record="wait")
    await shop.told()
    link = shop.crm_account.uploads[0].call.record_url
    name = shop.service.recordings.name_of((await shop.call()).id)
    assert link == f"http://localhost:8080/recordings/{name}"
    assert shop.service.recordings.path_of(name).read_bytes() == wav()
    assert (await shop.call()).recording.seconds == 2.0


async def test_a_file_that_comes_after_the_end_is_waited_for(shop: ReportingShop) -> None:
    await shop.reports("in")
    await shop.reports("hangup", **END, record="wait")
    assert await shop.told() == [("in", "101"), ("hangup", "101", "answered")]
    await shop.uploads(MP3)
    assert (await shop.told())[-1] == ("upload", "answered", "101")
    assert (shop.crm_account.uploads[0].call.record_url or "").endswith(".mp3")


async def test_a_file_of_which_nobody_spoke_before(shop: ReportingShop) -> None:
    await shop.uploads(wav())
    await shop.reports("in")
    await shop.reports("hangup", **END)
    assert await shop.told() == [("in", "101"), ("hangup", "101", "answered"), ("upload", "answered", "101")]
    assert shop.crm_account.uploads[0].call.record_url is not None


async def test_without_being_told_to_wait_the_report_goes_at_once(shop: ReportingShop) -> None:
    await shop.reports("hangup", **END)
    await shop.told()
    assert shop.crm_account.uploads[0].call.record_url is None
    await shop.uploads(wav())
    assert len(await shop.told()) == 2
    assert (await shop.call()).recording.file is not None


@pytest.mark.parametrize("another", [wav(9.0), MP3])
async def test_the_file_that_the_crms_link_plays_stays(shop: ReportingShop, another: bytes) -> None:
    await shop.reports("hangup", **END, record="wait")
    assert await shop.uploads(wav()) == "new"
    await shop.told()
    assert await shop.uploads(another) == "repeated"
    files = [path for path in shop.folder.glob("recordings/**/*.*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [wav()]
    assert (shop.crm_account.uploads[0].call.record_url or "").endswith(files[0].name)
    assert (await shop.call()).recording.seconds == 2.0


async def test_of_two_files_at_once_one_stays(shop: ReportingShop) -> None:
    await shop.reports("hangup", **END, record="wait")
    taken = await asyncio.gather(*(shop.uploads(wav(seconds)) for seconds in (1.0, 2.0, 3.0)))
    assert sorted(taken) == ["new", "repeated", "repeated"]
    assert [path.suffix for path in shop.folder.glob("recordings/**/*.*") if path.is_file()] == [".wav"]
    assert len(await shop.told()) == 2


async def test_nobody_waits_for_the_recording_of_an_unanswered_call(shop: ReportingShop) -> None:
    await shop.reports("hangup", **END | {"status": "NOANSWER"}, record="wait")
    assert (await shop.told())[-1] == ("upload", "no answer", "101")


async def test_a_file_wins_over_an_address_where_it_was_to_be_waited_for(shop: ReportingShop) -> None:
    await shop.reports("hangup", **END, record="wait", path="http://pbx.example/1.wav")
    await shop.uploads(wav())
    await shop.told()
    assert "/recordings/" in (shop.crm_account.uploads[0].call.record_url or "")


class Clock:
    """A clock that a test puts forward."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def __call__(self) -> float:
        return self.at


async def test_after_ten_minutes_the_crm_is_told_without_the_file_also_after_a_restart(
    redis: Redis, tmp_path: Path
) -> None:
    clock = Clock()
    async with reporting_shop(redis, tmp_path, clock) as shop:
        await shop.reports("hangup", **END | {"date": ""}, record="wait", path="http://pbx.example/1.wav")
        await shop.told()
        await shop.stop()
        clock.at += FILE_SECONDS
        await shop.start()
        await shop.crm_account.wait_for_upload()
        assert (await shop.told())[-1] == ("upload", "answered", "101")
        assert shop.crm_account.uploads[0].call.record_url == "http://pbx.example/1.wav"
        assert "the recording did not come in time" in await shop.story()


async def test_a_clock_that_is_set_makes_no_file_overdue(redis: Redis, tmp_path: Path) -> None:
    clock = Clock()
    async with reporting_shop(redis, tmp_path, clock) as shop:
        await shop.reports("hangup", **END | {"date": ""}, record="wait")
        clock.at += 2 * FILE_SECONDS
        assert shop.shop.now == clock.at  # whoever asks for the time first, notices
        assert await shop.uploads(wav()) == "new"
        await shop.crm_account.wait_for_upload()
        assert "/recordings/" in (shop.crm_account.uploads[0].call.record_url or "")
        assert "the recording did not come in time" not in await shop.story()


async def test_a_call_of_which_nobody_says_the_end_is_not_guessed(redis: Redis, tmp_path: Path) -> None:
    clock = Clock()
    async with reporting_shop(redis, tmp_path, clock) as shop:
        await shop.reports("in")
        await shop.told()
        await shop.stop()
        clock.at += SILENCE_SECONDS
        await shop.start()
        async with asyncio.timeout(60):
            while True:
                if not await shop.calls.reported():
                    break
                await asyncio.sleep(0.01)
        assert await shop.told() == [("in", "101")]
        assert (await shop.call()).stage is Stage.ENDED
        assert "the dialplan never said how it ended: the CRM is not told" in await shop.story()


async def test_a_form_with_a_file(shop: ReportingShop) -> None:
    form = FormData({"clientId": CLIENT_ID, "type": "upload", "uniqueid": CHANNEL})
    form.add_field("file", wav(), filename="../../etc/passwd", content_type="audio/wav")
    answer = await shop.client.post("/api/event", data=form)
    assert answer.status == 200, await answer.text()
    assert (await shop.call()).recording.seconds == 2.0


async def test_nothing_is_taken_from_strangers(shop: ReportingShop) -> None:
    form = FormData({"clientId": "wrong", "type": "upload", "uniqueid": CHANNEL})
    form.add_field("file", wav(), filename="1.wav")
    assert (await shop.client.post("/api/event", data=form)).status == 401
    given = {"clientId": "wrong", "type": "upload", "uniqueid": CHANNEL}
    assert (await shop.client.post("/api/event", params=given, data=wav())).status == 401
    assert not list(shop.folder.glob("recordings/**/*.*"))


@pytest.mark.parametrize(
    "content",
    [b"#!/bin/sh\nreboot\n", b"<html><script>", b"RIFF", b"RIFF1234AVI LIST", b"\xff\xff\xff\xff" * 9],
)
async def test_only_recordings_are_taken(shop: ReportingShop, content: bytes) -> None:
    given = {"clientId": CLIENT_ID, "type": "upload", "uniqueid": CHANNEL}
    answer = await shop.client.post("/api/event", params=given, data=content)
    assert answer.status == 400
    assert (await answer.json())["parameter"] == "file"
    assert not [path for path in shop.folder.glob("recordings/**/*") if path.is_file()]


async def test_a_file_that_is_too_big_is_not_taken(shop: ReportingShop) -> None:
    await shop.stop()
    await shop.start(upload_limit_mb=1)
    given = {"clientId": CLIENT_ID, "type": "upload", "uniqueid": CHANNEL}

    async def endless() -> AsyncIterator[bytes]:
        yield wav(1)
        for _ in range(200):
            yield bytes(16_000)

    answer = await shop.client.post("/api/event", params=given, data=endless())
    assert answer.status == 413
    assert (await answer.json())["parameter"] == "file"
    assert not [path for path in shop.folder.glob("recordings/**/*") if path.is_file()]


async def test_no_file_fills_the_disk_on_which_calls_are_written(
    shop: ReportingShop,
) -> None:
    shop.service.recordings.room.keep_free = 1 << 60
    asked = {"clientId": CLIENT_ID, "type": "upload", "uniqueid": CHANNEL}
    assert (await shop.client.post("/api/event", params=asked, data=wav())).status == 503
    assert not [path for path in shop.folder.glob("recordings/**/*") if path.is_file()]
    shop.service.recordings.room.keep_free = 0
    await shop.uploads(wav())


async def test_a_file_whose_sender_is_cut_off_leaves_nothing(shop: ReportingShop) -> None:
    async with asyncio.timeout(60):
        _, writer = await asyncio.open_connection("127.0.0.1", shop.client.port)
        where = f"/api/event?clientId={CLIENT_ID}&type=upload&uniqueid={CHANNEL}"
        writer.write(f"POST {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n".encode() + wav(1))
        await writer.drain()
        while True:
            if list(shop.folder.glob("recordings/drafts/*")):
                break
            await asyncio.sleep(0.01)
        writer.transport.abort()
        while True:
            if not list(shop.folder.glob("recordings/drafts/*")):
                break
            await asyncio.sleep(0.01)
    assert await shop.calls.get(shop.shop.reported.id_of(CHANNEL)) is None


async def test_what_a_killed_service_left_is_forgotten(shop: ReportingShop) -> None:
    drafts = shop.service.recordings.drafts
    drafts.mkdir(parents=True)
    for name in ("old.part", "new.part"):
        (drafts / name).touch()
    os.utime(drafts / "old.part", (1.0, 1.0))
    forget_drafts(shop.service.recordings)
    assert [path.name for path in drafts.iterdir()] == ["new.part"]


async def test_the_links_of_a_removed_account_lead_nowhere_at_once(shop: ReportingShop) -> None:
    await shop.reports("hangup", **END, record="wait")
    await shop.uploads(wav())
    await shop.told()
    call = await shop.call()
    link = f"/recordings/{call.recording.file}"
    assert (await shop.client.get(link)).status == 200
    await shop.redis.rename(ACCOUNTS, "elsewhere")  # nobody has removed it: Redis has lost it
    await shop.service.accounts.note_news()
    async with asyncio.timeout(10):
        while True:
            if shop.account.id not in shop.service.shops:
                break
            await asyncio.sleep(0.02)
    assert (await shop.client.get(link)).status == 200
    await shop.redis.rename("elsewhere", ACCOUNTS)
    assert await shop.service.accounts.remove(shop.account.id)
    async with asyncio.timeout(10):
        while True:
            if (await shop.client.get(link)).status == 404:
                break
            await asyncio.sleep(0.02)
    assert shop.account.id not in shop.service.shops
    assert not [path for path in shop.folder.glob("recordings/**/*") if path.is_file()]


async def test_an_account_that_has_no_more_room_on_the_disk_is_told_so_before_it_sends(
    shop: ReportingShop,
) -> None:
    room = shop.service.recordings.room
    room.limit = 500_000
    asked = {"clientId": CLIENT_ID, "type": "upload", "uniqueid": CHANNEL}
    assert (await shop.client.post("/api/event", params=asked, data=wav(50))).status == 503
    room.limit = 10_000_000
    await shop.uploads(wav(50))
    assert room.taken(shop.account.id) == len(wav(50))


async def test_recordings_are_counted_anew_when_an_account_comes_back_from_another_copy(
    shop: ReportingShop,
) -> None:
    room, account = shop.service.recordings.room, shop.account.id
    room.count(account, 5)
    shop.service._holding.lease(account).lose("another copy has it for a while")
    async with asyncio.timeout(20):
        while room.taken(account) or account not in shop.service.shops:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
