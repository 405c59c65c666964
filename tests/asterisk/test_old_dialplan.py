"""The files of `ari-app dialplan old`: the module's documented dialplan as it runs on Asterisk 16 to 22."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import QUEUES, Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Rings
from tests.asterisk.pbx_files import Api, configure, prepared, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"

EXTENSIONS = """
#include extensions_old.conf
#include extensions_custom_old.conf

[from-trunk]
exten => text,1,Goto(init-channel,s,1)
exten => json,1,Goto(init-channel-json,s,1)
exten => freepbx,1,Noop(Entering Custom Destination)
 same => n,Gosub(at-transfer,s,1())
 same => n,Noop(Returned from Custom Destination)
 same => n,Goto(ext-queues,600,1)

[from-internal]
exten => _XXX,1,Dial(PJSIP/${EXTEN},20)
 same => n,Hangup()

[ext-queues]
exten => 600,1,Answer()
 same => n,Queue(managers,t)
 same => n,Hangup()
"""
# Writes down its arguments, one a line, as event2.sh gets them.
SCRIPT = """#!/bin/sh
printf '%s\\n' "$@" > "$0.new" && mv "$0.new" "$0.arguments"
"""


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served() -> AsyncIterator[Api]:
    async with Api.running() as api:
        yield api


@pytest.fixture
def api(served: Api) -> Api:
    served.answer, served.status, served.silent = ",", 200, False
    served.asked.clear()
    return served


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation, served: Api) -> AsyncIterator[Lab]:
    asterisk = Asterisk(installation, queues=[*QUEUES, "managers"])
    configure(asterisk, "old", served, EXTENSIONS, "lines,1")
    home = Path("/lab") if installation.root else asterisk.folder
    asterisk.files = {
        name: text.replace("AGI(event2.sh", f"AGI({home}/event2.sh") for name, text in asterisk.files.items()
    }
    script = asterisk.folder / "event2.sh"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    async with asterisk:
        yield Lab(asterisk)


async def test_asterisk_takes_the_files_without_a_complaint(lab: Lab) -> None:
    assert [line for line in lab.asterisk.warnings() if "extensions" in line or "pbx" in line] == []


@pytest.mark.parametrize("called", ["text", "json", "freepbx"])
async def test_a_known_customer_reaches_their_manager_and_the_end_is_reported(
    lab: Lab, api: Api, called: str
) -> None:
    (olga,) = lab.extensions(1)
    known = f'{{"result": {{"callerId": "Иванова Анна", "phone": "{olga}"}}}}'
    api.answer = known if called == "json" else f"Иванова Анна,{olga}"
    async with lab.phone(olga, Answers(after=1.2)) as phone, lab.call(ANNA, called, talks=1.3) as caller:
        await caller.ended()
        told = await _arguments(lab)
    assert (phone.calls[0].name, phone.calls[0].number) == ("Иванова Анна", ANNA)
    assert api.asked[0]["phone"] == ANNA
    event = api.asked[1]
    assert event["path"] == "/api/event"
    assert (event["type"], event["phone"], event["code"]) == ("in", ANNA, olga)
    recording, unique_id, number, extension, date, direction, status, talking, waiting = told
    assert unique_id == event["uniqueid"]
    assert recording.endswith(".wav") or called == "freepbx"
    assert (number, extension, direction, status) == (ANNA, olga, "in", "ANSWER")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", date)
    assert int(talking) in (1, 2)
    assert int(waiting) in (1, 2)


@pytest.mark.parametrize("called", ["text", "json", "freepbx"])
@pytest.mark.parametrize("answer", ["", "<html>Error 502, nginx 1.22.1</html>"])
async def test_an_unknown_customer_reaches_the_queue_and_whoever_answers_is_reported(
    lab: Lab, api: Api, called: str, answer: str
) -> None:
    olga, boris = lab.extensions(2)
    api.answer = answer or (
        '{"result": {"callerId": "+79161234567", "phone": ""}}' if called == "json" else ","
    )
    for code in (olga, boris):
        await lab.asterisk.queue_add("managers", f"PJSIP/{code}")
    async with (
        lab.phone(olga, Rings()),
        lab.phone(boris, Answers(after=0.3)) as phone,
        lab.call(ANNA, called) as caller,
    ):
        await phone.answers()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        told = await _arguments(lab)
    for code in (olga, boris):
        await lab.asterisk.queue_remove("managers", f"PJSIP/{code}")
    assert api.asked[1]["code"] == ""
    assert told[2:4] == [ANNA, boris]
    assert told[5:] == ["in", "ANSWERED", "", "0"]


async def test_a_callers_number_never_becomes_an_argument_or_a_command(lab: Lab, api: Api) -> None:
    (olga,) = lab.extensions(1)
    api.answer = f"Анна,{olga}"
    async with (
        lab.phone(olga, Answers(after=0.1)),
        lab.call("+7916,1&type=hangup;id", "text", talks=0.1) as caller,
    ):
        await caller.ended()
        told = await _arguments(lab)
    assert told[2:4] == ["+79161", olga]
    assert [asked["phone"] for asked in api.asked] == ["+79161", "+79161"]


async def _arguments(lab: Lab) -> list[str]:
    """Wait until the script has been run, and give what it was told."""
    file = lab.asterisk.folder / "event2.sh.arguments"
    told = await until(lambda: file.read_text() if file.exists() else None, "event2.sh was not run")
    file.unlink()
    return told.splitlines()
