"""event2.sh: what the dialplan says, and what the service is told of it."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from stasis_dialplan import CannotRender
from stasis_dialplan.event2 import event2
from tests.support.event2 import Listener, Script, until

ANNA = "+79161234567"
DATE = "2026-11-23 12:30:05"
AGI = b"agi_request: event2.sh\nagi_callerid: +79161234567\n\n"
SCRIPT = Path(__file__).parents[2] / "stasis_dialplan/event2.sh"


@pytest.fixture
async def service() -> AsyncIterator[Listener]:
    async with Listener.running() as listener:
        yield listener


@pytest.fixture(params=["/bin/dash", "/bin/bash", "/bin/bash --posix"])
def script(request: pytest.FixtureRequest, service: Listener, tmp_path: Path) -> Script:
    script = Script(tmp_path, service.url, request.param)
    script.install()
    return script


def test_shellcheck_finds_nothing() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, "--shell=sh", SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_script_is_downloaded_with_the_accounts_settings() -> None:
    script = event2("the;client", "https://telephony.example.com/")
    assert '\nSERVICE="https://telephony.example.com"\n' in script
    assert '\nCLIENTID="the;client"\n' in script


def test_without_an_account_the_clientid_is_left_to_a_person() -> None:
    script = event2("", "https://telephony.example.com")
    assert '\n# The account\'s clientId, as the cabinet shows it: fill it in.\nCLIENTID=""\n' in script


@pytest.mark.parametrize("client_id", ["$(id)", "`id`", 'a"b', "a'b$c", "\\", "${HOME}", "it's"])
def test_a_clientid_never_becomes_a_command(client_id: str) -> None:
    settings, found, _ = event2(client_id, "https://x").partition("# Where Queue() writes")
    assert found
    shell = subprocess.run(
        ["sh", "-c", f'{settings}\nprintf "%s" "$CLIENTID"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout == client_id


def test_a_clientid_of_several_lines_is_refused() -> None:
    with pytest.raises(CannotRender, match="CLIENTID"):
        event2("x\nreboot", "https://x")


async def test_an_answered_call_is_told_as_the_dialplan_says(script: Script, service: Listener) -> None:
    await script.run("/rec/1.wav", "1700.1", ANNA, "101", DATE, "in", "ANSWER", "42", "7", heard=AGI)
    await script.rests()
    assert service.events == [
        {
            "type": "hangup",
            "uniqueid": "1700.1",
            "phone": ANNA,
            "code": "101",
            "status": "ANSWER",
            "direct": "in",
            "date": DATE,
            "hold": "7",
            "duration": "42",
        }
    ]
    assert script.kept() == []


async def test_blanks_quotes_and_empty_values_of_the_documented_lines_are_understood(
    script: Script, service: Listener
) -> None:
    await script.report(" ", "1700.1", ANNA, "101", f" {DATE}", '"in"', " ANSWERED ", "''", "0")
    (event,) = service.events
    assert (event["direct"], event["status"], event["date"]) == ("in", "ANSWERED", DATE)
    assert "duration" not in event
    assert event["hold"] == "0"


@pytest.mark.parametrize(
    ("third", "fourth", "number", "extension"),
    [
        (ANNA, "101", ANNA, "101"),
        ("101", ANNA, ANNA, "101"),
        (ANNA, "''", ANNA, ""),
        ("''", ANNA, ANNA, ""),
        ("84951112233", "89161234567", "84951112233", "89161234567"),  # an extension as long as a number
        ("101", "102", "101", "102"),
        ("anonymous", "101", "anonymous", "101"),
        ("101", "anonymous", "anonymous", "101"),
        (ANNA, "PJSIP/101", ANNA, "101"),
        (ANNA, "101@from-queue", ANNA, "101"),
    ],
)
async def test_number_and_extension_may_change_places(
    service: Listener, tmp_path: Path, third: str, fourth: str, number: str, extension: str
) -> None:
    script = Script(tmp_path, service.url)
    script.install()
    await script.report("", "1700.1", third, fourth, DATE, "in", "ANSWER", "1", "1")
    (event,) = service.events
    assert (event["phone"], event["code"]) == (number, extension)


HOSTILE = [
    "$(touch executed)",
    "`touch executed`",
    "x'; touch executed; '",
    'x"; touch executed; "',
    "a\ntouch executed\n",
    "-o executed",
    "--output=executed",
    "@/etc/passwd",
    "</etc/passwd",
    "x&clientId=other&type=upload",
    "a;touch executed|touch executed&touch executed",
    "%s%n%x\\n\\0",
    "*",
    "${PATH} ~",
    "Иванова «Анна»",
    "\udcff\udc80",
]


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_nothing_that_a_caller_sends_becomes_a_command(
    script: Script, service: Listener, hostile: str
) -> None:
    script.install(SEND_RECORD_TO_SERVICE="yes")
    await script.report(
        f"/no/{hostile}.wav", "1700.1", hostile, hostile, DATE, hostile, "ANSWER", hostile, hostile
    )
    (event,) = service.events
    expected = hostile.replace("\n", "").strip()
    assert event["direct"] == os.fsencode(expected).decode("utf-8", "replace")
    assert event["phone"] == event["direct"]
    assert {"duration", "hold", "record"} & set(event) == set()
    assert not [place for place in (script.folder, script.spool, Path()) if (place / "executed").exists()]


async def test_too_long_a_value_is_cut(script: Script, service: Listener) -> None:
    await script.report("", "1700.1", "7" * 5000, "101", DATE, "in", "ANSWER", "1", "1")
    (event,) = service.events
    assert event["phone"] == "7" * 1000


async def test_nobody_sees_the_clientid_or_a_number_among_the_processes(
    script: Script, service: Listener
) -> None:
    service.silent = True
    await script.run("", "1700.1", ANNA, "101", DATE, "in", "ANSWER", "1", "1")
    await until(lambda: bool(service.asked), "the service was not asked")
    lines = script.command_lines()
    await service.go_away()
    await script.stop()
    assert any("curl" in line for line in lines)
    assert not [line for line in lines if ANNA in line or "5494143d6ad0b09976b" in line]


def test_a_script_without_settings_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    script = tmp_path / "event2.sh"
    script.write_text(event2("", "https://x").replace("/var/spool", str(tmp_path)))
    done = subprocess.run(["sh", script, "", "1700.1"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "fill in SERVICE and CLIENTID" in done.stderr
    assert list(tmp_path.iterdir()) == [script]


async def test_an_address_of_the_shops_own_store_is_told(script: Script, service: Listener) -> None:
    script.install(
        record_path="ftp://shop:a&b@rec.example.com/$DAY/$UNIQUEID/$FILE", SEND_RECORD_TO_SERVICE="yes"
    )
    await script.report(
        "/rec/a b.wav", "1700.1", ANNA, "101", DATE, "out", "ANSWER", "1", "1", "+74951112233"
    )
    (event,) = service.events
    folder, _, file = event["path"].rpartition("/")
    assert folder == "ftp://shop:a&b@rec.example.com/2026-11-23/1700.1"
    assert " " not in file
    assert unquote(file) == "a b.wav"
    assert (event["direct"], event["extPhone"]) == ("out", "+74951112233")
    assert service.uploads == []
    await script.report("/rec/2.wav", "1700.2", ANNA, "101", DATE, "in", "BUSY", "0", "1")
    assert "path" not in service.events[1]  # nothing was recorded


async def test_the_debug_log_says_what_was_sent_and_answered_but_no_secret(
    script: Script, service: Listener
) -> None:
    service.answers = [400]
    await script.report("", "1700.1", ANNA, "101", DATE, "in", "ANSWER", "42", "7")
    log = script.log()
    assert f"number={ANNA} extension=101 status=ANSWER" in log
    assert '400 {"status": 400}' in log
    assert "5494143d6ad0b09976b" not in log
