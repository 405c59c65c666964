"""event2.sh: recordings that the service keeps, and how long they are."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.event2 import Listener, Script, until

ANNA = "+79161234567"
DATE = "2026-11-23 12:30:05"
SOUND = b"RIFF" + bytes(range(256)) * 100


@pytest.fixture
async def service() -> AsyncIterator[Listener]:
    async with Listener.running() as listener:
        yield listener


@pytest.fixture
async def script(service: Listener, tmp_path: Path) -> AsyncIterator[Script]:
    script = Script(tmp_path, service.url)
    script.install(SEND_RECORD_TO_SERVICE="yes")
    yield script
    await script.stop()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "q 600 \"$(id)\"; filename=x, 'Анна'.wav"
    file.write_bytes(SOUND)
    return file


async def report(script: Script, recording: Path | str, status: str = "ANSWER") -> None:
    await script.run(str(recording), "1700.1", ANNA, "101", DATE, "in", status, "42", "7")


async def test_the_end_is_told_first_and_the_recording_follows(
    script: Script, service: Listener, recording: Path
) -> None:
    await report(script, recording)
    await script.rests()
    hangup, upload = service.told
    assert (hangup.fields["type"], hangup.fields["record"]) == ("hangup", "wait")
    assert upload.fields == {"type": "upload", "uniqueid": "1700.1"}
    assert upload.file == SOUND
    assert upload.file_name is not None
    assert upload.file_name.removesuffix(".wav").replace(".", "").isdecimal()  # nothing of a caller's
    assert (script.folder / recording.name).exists()
    assert [path.name for path in script.spool.iterdir()] == []


@pytest.mark.parametrize("status", ["BUSY", "NO ANSWER", "CANCEL"])
async def test_a_call_without_a_talk_has_no_recording(
    script: Script, service: Listener, recording: Path, status: str
) -> None:
    await report(script, recording, status)
    await script.rests()
    assert service.uploads == []
    assert "record" not in service.events[0]


@pytest.mark.parametrize("name", ["''", "/nowhere/1.wav", "1.gsm"])
async def test_where_there_is_no_file_to_send_the_service_does_not_wait_for_one(
    script: Script, service: Listener, tmp_path: Path, name: str
) -> None:
    (tmp_path / "1.gsm").write_bytes(SOUND)
    script.install(SEND_RECORD_TO_SERVICE="yes", RECORD_FOLDER=str(tmp_path))
    await report(script, name)
    await script.rests()
    assert service.uploads == []
    assert "record" not in service.events[0]


async def test_a_shop_that_keeps_its_recordings_sends_none(
    script: Script, service: Listener, recording: Path
) -> None:
    script.install()
    await report(script, recording)
    await script.rests()
    assert service.uploads == []
    assert "record" not in service.events[0]


async def test_a_recording_that_asterisk_still_writes_is_waited_for(
    script: Script, service: Listener, recording: Path
) -> None:
    with recording.open("ab") as asterisk:  # the script's parent, as far as it knows
        await report(script, recording)
        await until(lambda: bool(service.events), "the end was not told")
        await asyncio.sleep(2.5)  # longer than it takes to find a file that doesn't grow
        assert service.uploads == []
        asterisk.write(SOUND)
    await script.rests()
    assert [upload.file for upload in service.uploads] == [SOUND + SOUND]


async def test_a_file_of_the_shops_own_choice_is_sent(
    script: Script, service: Listener, recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "1700.1.mp3").write_bytes(b"ID3" + SOUND)
    script.install(SEND_RECORD_TO_SERVICE="yes", record_path=f"{tmp_path}/$UNIQUEID.mp3")
    await report(script, recording)
    await script.rests()
    (upload,) = service.uploads
    assert upload.file == b"ID3" + SOUND
    assert (upload.file_name or "").endswith(".mp3")


async def test_a_recording_that_could_not_be_sent_follows_with_the_next_call(
    script: Script, service: Listener, recording: Path
) -> None:
    service.answers = [200] + [503] * 5
    await report(script, recording)
    await script.rests()
    assert service.uploads == []
    assert len(script.kept("upload")) == 1
    await script.report("", "1700.2", ANNA, "101", DATE, "in", "BUSY", "0", "7")
    assert [upload.file for upload in service.uploads] == [SOUND]
    assert script.kept("upload") == []


async def test_a_recording_waits_until_its_call_was_told(
    script: Script, service: Listener, recording: Path
) -> None:
    await service.go_away()
    await report(script, recording)
    await script.rests()
    assert len(script.kept("event")) == len(script.kept("upload")) == 1
    await service.come_back()
    await script.report("", "1700.2", ANNA, "101", DATE, "in", "BUSY", "0", "7")
    assert [told.fields["type"] for told in service.told if told.fields["uniqueid"] == "1700.1"] == [
        "hangup",
        "upload",
    ]


async def test_a_recording_that_is_gone_is_let_go(script: Script, service: Listener, recording: Path) -> None:
    await service.go_away()
    await report(script, recording)
    await script.rests()
    (script.folder / recording.name).unlink()
    await service.come_back()
    await script.report("", "1700.2", ANNA, "101", DATE, "in", "BUSY", "0", "7")
    assert service.uploads == []
    assert script.kept("upload") == []


async def test_other_calls_are_told_while_a_recording_is_sent(
    script: Script, service: Listener, recording: Path
) -> None:
    await report(script, recording)
    await until(lambda: bool(service.events), "the end was not told")
    service.silent = True
    await until(lambda: len(service.asked) == 2, "the recording was not sent")
    service.silent = False
    await script.run("", "1700.2", ANNA, "101", DATE, "in", "BUSY", "0", "7")
    await until(lambda: len(service.events) == 2, "the other call was not told")
    assert service.uploads == []


@pytest.mark.parametrize(
    ("status", "said", "duration"),
    [("ANSWER", "63.918000", "63"), ("ANSWER", "", "42"), ("BUSY", "63.918000", "42")],
)
async def test_soxi_says_how_long_an_answered_call_was(
    script: Script, service: Listener, recording: Path, tmp_path: Path, status: str, said: str, duration: str
) -> None:
    soxi = tmp_path / "soxi"
    soxi.write_text(f'#!/bin/sh\n[ "$1" = -D ] && [ -s "$2" ] && [ -n "{said}" ] && echo "{said}"\n')
    soxi.chmod(0o755)
    script.install(SOXI_PATH=str(soxi))
    await report(script, recording, status)
    await script.rests()
    assert [event["duration"] for event in service.events] == [duration]


async def test_the_queue_is_believed_more_than_the_recordings_length(
    script: Script, service: Listener, recording: Path, tmp_path: Path
) -> None:
    soxi = tmp_path / "soxi"
    soxi.write_text("#!/bin/sh\necho 99\n")
    soxi.chmod(0o755)
    (tmp_path / "queue_log").write_text("1764000051|1700.1|sales|PJSIP/101|COMPLETECALLER|9|33|1\n")
    script.install(SOXI_PATH=str(soxi))
    await report(script, recording)
    await script.rests()
    assert [event["duration"] for event in service.events] == ["33"]
