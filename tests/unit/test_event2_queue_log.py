"""event2.sh: what Queue() wrote down of a call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.event2 import Listener, Script, until

ANNA = "+79161234567"
DATE = "2026-11-23 12:30:05"
ENTERED = "1764000000|1700.1|sales|NONE|ENTERQUEUE||+79161234567|1\n"
CONNECTED = "1764000009|1700.1|sales|PJSIP/101|CONNECT|9|1700.2|3\n"
COMPLETED = "1764000051|1700.1|sales|PJSIP/101|COMPLETECALLER|9|42|1\n"


@pytest.fixture
async def service() -> AsyncIterator[Listener]:
    async with Listener.running() as listener:
        yield listener


@pytest.fixture
def script(service: Listener, tmp_path: Path) -> Script:
    script = Script(tmp_path, service.url)
    script.install()
    return script


def queue_log(script: Script, text: str) -> None:
    with (script.folder / "queue_log").open("a") as log:
        log.write(text)


async def queue_call(
    script: Script, extension: str = "", status: str = "ANSWERED", talking: str = "''"
) -> None:
    """Report a call as the document does after Queue(): the talk unknown, the waiting 0."""
    await script.run("", "1700.1", ANNA, extension, DATE, "in", status, talking, "0")


@pytest.mark.parametrize(
    ("lines", "code", "status", "hold", "duration"),
    [
        (ENTERED + CONNECTED + COMPLETED, "101", "ANSWERED", "9", "42"),
        (ENTERED + CONNECTED + COMPLETED.replace("CALLER", "AGENT"), "101", "ANSWERED", "9", "42"),
        (ENTERED + "1764000030|1700.1|sales|NONE|ABANDON|1|1|30\n", "", "CANCEL", "30", "0"),
        (ENTERED + "1764000060|1700.1|sales|NONE|EXITWITHTIMEOUT|1|1|60\n", "", "NOANSWER", "60", "0"),
        (ENTERED + "1764000060|1700.1|sales|NONE|EXITEMPTY|1|1|5\n", "", "NOANSWER", "5", "0"),
        (
            ENTERED + "1764000051|1700.1|sales|PJSIP/101|BLINDTRANSFER|102|internal|9|42|1\n",
            "101",
            "ANSWERED",
            "9",
            "42",
        ),
        (
            ENTERED + "1764000051|1700.1|sales|PJSIP/101|ATTENDEDTRANSFER|BRIDGE|b-1|9|42|1\n",
            "101",
            "ANSWERED",
            "9",
            "42",
        ),
        (
            ENTERED
            + "1764000060|1700.1|sales|NONE|EXITWITHTIMEOUT|1|1|60\n"
            + ENTERED
            + CONNECTED
            + COMPLETED,
            "101",
            "ANSWERED",
            "69",
            "42",
        ),
    ],
)
async def test_the_queue_knows_who_answered_and_how_long_it_took(
    script: Script, service: Listener, lines: str, code: str, status: str, hold: str, duration: str
) -> None:
    queue_log(script, lines)
    await queue_call(script)
    await script.rests()
    (event,) = service.events
    assert (event["code"], event["status"]) == (code, status)
    assert (event["hold"], event["duration"]) == (hold, duration)


async def test_only_the_calls_own_lines_count(script: Script, service: Listener) -> None:
    others = COMPLETED.replace("1700.1|", "1700.10|") + COMPLETED.replace("1700.1|", "11700.1|")
    queue_log(script, others + "1764000051|1700.2|sales|PJSIP/1700.1|ABANDON|1700.1|1|8\n")
    await queue_call(script, "102", "NO ANSWER")
    await script.rests()
    (event,) = service.events
    assert (event["code"], event["status"], event["hold"]) == ("102", "NO ANSWER", "0")


@pytest.mark.parametrize(
    ("agent", "code"),
    [
        ("PJSIP/101", "101"),
        ("Local/101@from-queue/n", "101"),
        ("SIP/101", "101"),
        ("101", "101"),
        ("Olga Smith", "102"),
        ("Olga * $(id)", "102"),
    ],
)
async def test_an_agent_is_an_extension_or_a_name(
    script: Script, service: Listener, agent: str, code: str
) -> None:
    queue_log(script, ENTERED + COMPLETED.replace("PJSIP/101", agent))
    await queue_call(script, "102")
    await script.rests()
    assert [event["code"] for event in service.events] == [code]


async def test_an_end_that_is_written_a_moment_late_is_waited_for(script: Script, service: Listener) -> None:
    queue_log(script, ENTERED + CONNECTED)
    await queue_call(script)
    await asyncio.sleep(0.6)  # later than it looks for the first time
    assert service.events == []
    queue_log(script, COMPLETED)
    await until(lambda: bool(service.events), "the call was not told", 1.5)
    assert service.events[0]["duration"] == "42"
    await script.rests()


async def test_an_end_that_is_never_written_is_told_as_far_as_it_is_known(
    script: Script, service: Listener
) -> None:
    queue_log(script, ENTERED + CONNECTED)
    await queue_call(script, status="NO ANSWER", talking="40")
    await script.rests()
    (event,) = service.events
    assert (event["code"], event["status"]) == ("101", "ANSWERED")
    assert (event["hold"], event["duration"]) == ("9", "40")


async def test_a_log_that_has_just_been_rotated_is_looked_into(script: Script, service: Listener) -> None:
    (script.folder / "queue_log.1").write_text(ENTERED + CONNECTED)
    queue_log(script, COMPLETED)
    await queue_call(script)
    await script.rests()
    assert service.events[0]["hold"] == "9"


async def test_who_is_reached_by_dial_after_nobody_in_the_queue_was_is_believed(
    script: Script, service: Listener
) -> None:
    queue_log(script, ENTERED + "1764000060|1700.1|sales|NONE|EXITWITHTIMEOUT|1|1|60\n")
    await queue_call(script, "102", "ANSWER", "33")
    await script.rests()
    (event,) = service.events
    assert (event["code"], event["status"], event["duration"]) == ("102", "ANSWER", "33")


async def test_a_shop_without_queues_is_told_at_once(script: Script, service: Listener) -> None:
    script.install(QUEUE_LOG="")
    await queue_call(script, "101", "ANSWER", "42")
    await until(lambda: bool(service.events), "the call was not told", 1.5)
    await script.rests()
