"""event2.sh and the API together: what the script sends, the CRM hears."""

from pathlib import Path

import pytest

from tests.cabinet.shop import ANNA, CHANNEL, ReportingShop
from tests.cabinet.test_api_upload import wav
from tests.support.event2 import Script

DATE = "2026-01-02 03:04:05"


@pytest.fixture
def script(shop: ReportingShop, tmp_path: Path) -> Script:
    folder = tmp_path / "agi-bin"
    folder.mkdir()
    return Script(folder, str(shop.client.make_url("")).rstrip("/"))


async def test_a_call_that_the_script_reports(shop: ReportingShop, script: Script) -> None:
    script.install(record_path="https://u:p@pbx.example/$UNIQUEID.wav")
    await shop.reports("in")
    await script.report("1.wav", CHANNEL, ANNA, " 101", DATE, "in", "ANSWER", "61", "5")
    assert await shop.told() == [("in", "101"), ("hangup", "101", "answered"), ("upload", "answered", "101")]
    upload = shop.crm_account.uploads[0].call
    assert (upload.date, upload.duration, upload.duration_waiting) == (DATE, 61, 5)
    assert upload.record_url == f"https://u:p@pbx.example/{CHANNEL}.wav"


async def test_a_recording_that_the_script_sends(shop: ReportingShop, script: Script) -> None:
    file = script.folder / "1.wav"
    file.write_bytes(wav(2))
    script.install(SEND_RECORD_TO_SERVICE="yes")
    await script.report(str(file), CHANNEL, ANNA, "101", DATE, "in", "ANSWERED", "61", "5")
    assert await shop.told() == [("hangup", "101", "answered"), ("upload", "answered", "101")]
    name = shop.service.recordings.name_of((await shop.call()).id)
    assert (shop.crm_account.uploads[0].call.record_url or "").endswith(name)
    assert shop.service.recordings.path_of(name).read_bytes() == wav(2)


async def test_what_the_script_could_not_send_is_told_when_the_service_is_back(
    shop: ReportingShop, script: Script
) -> None:
    url = script.url
    script.url = "http://127.0.0.1:9"
    script.install()
    await script.report("", CHANNEL, ANNA, "101", DATE, "in", "NO ANSWER", "''", "0")
    assert await shop.told() == []
    script.url = url
    script.install()
    await script.report("", "1700000001.1", ANNA, "102", DATE, "in", "BUSY", "", "")
    assert sorted(await shop.told()) == [
        ("hangup", "101", "no answered"),
        ("hangup", "102", "busy"),
        ("upload", "busy", "102"),
        ("upload", "no answer", "101"),
    ]
