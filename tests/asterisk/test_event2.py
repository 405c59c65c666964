"""event2.sh, run by a real Asterisk from the module's documented dialplan, on the oldest and the newest."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from ari_app.accounts.reading import read_account
from ari_app.demo.pbx.asterisk import QUEUES, Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Rings
from stasis_dialplan import Settings, render
from tests.asterisk.pbx_files import account, prepared
from tests.support.event2 import CLIENT_ID, Listener, Script, until
from tests.support.office import Office
from tests.support.pace import at_this_pace

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
# The document's own lines stand in [unfiltered]: what a caller sends goes into AGI() as it is.
EXTENSIONS = """
#include extensions_old.conf
#include extensions_custom_old.conf

[from-trunk]
exten => text,1,Goto(init-channel,s,1)
exten => freepbx,1,Gosub(at-transfer,s,1())
 same => n,Goto(ext-queues,600,1)
exten => unfiltered,1,Goto(unfiltered,s,1)
exten => timed,1,Log(NOTICE,before event2.sh)
 same => n,AGI(HOME/event2.sh,,${UNIQUEID},${CALLERID(num)},101,,in,ANSWER,1,1)
 same => n,Log(NOTICE,after event2.sh: ${AGISTATUS})
 same => n,Hangup()

[unfiltered]
exten => s,1,Answer()
 same => n,Hangup()
exten => h,1,AGI(HOME/event2.sh, '',${UNIQUEID},${CALLERID(num)},101,,"in", ${CDR(disposition)},'',0)
 same => n,AGI(HOME/event2.sh,${CALLERID(name)},${CALLERID(num)},${CALLERID(name)},${CALLERID(name)},,in)

[from-internal]
exten => _XXX,1,Dial(PJSIP/${EXTEN},20)
 same => n,Hangup()

[ext-queues]
exten => 600,1,Answer()
 same => n,Queue(managers,t)
 same => n,Hangup()
"""


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served() -> AsyncIterator[Listener]:
    async with Listener.running() as listener:
        yield listener


@pytest.fixture
def service(served: Listener) -> Listener:
    served.customer, served.silent = ",", False
    for what in (served.told, served.rung, served.asked, served.complaints):
        what.clear()
    return served


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation, served: Listener) -> AsyncIterator[Lab]:
    asterisk = Asterisk(installation, queues=[*QUEUES, "managers"])
    home = str(_home(asterisk) or asterisk.folder)
    settings = Settings.of(read_account(account(asterisk, "lines,1")), served.url)
    files = {"extensions.conf": EXTENSIONS.replace("HOME", home), **render("old", settings)}
    asterisk.files = {
        name: text.replace("AGI(event2.sh", f"AGI({home}/event2.sh") for name, text in files.items()
    }
    async with asterisk:
        yield Lab(asterisk)


@pytest_asyncio.fixture(loop_scope="session")
async def script(lab: Lab, service: Listener) -> AsyncIterator[Script]:
    script = Script(lab.asterisk.folder, service.url, inside=_home(lab.asterisk))
    install(script)
    yield script
    await script.rests()


def install(script: Script, client_id: str = CLIENT_ID) -> None:
    """Let Asterisk run the script with these settings."""
    log = f"{script.inside or script.folder}/log/queue_log"
    script.install(client_id, QUEUE_LOG=log, SEND_RECORD_TO_SERVICE="yes", RETRY_AFTER="0.1 0.1")


def _home(asterisk: Asterisk) -> Path | None:
    """Give Asterisk's folder as Asterisk sees it, where that is elsewhere."""
    return Path("/lab") if asterisk.installation.root else None


async def hangup(service: Listener) -> dict[str, str]:
    """Wait until the end of a call is told."""
    await until(lambda: bool(service.events), "the end was not told")
    (event,) = service.events
    return event


async def test_a_managers_call_is_told_with_its_recording(
    lab: Lab, service: Listener, script: Script
) -> None:
    (olga,) = lab.extensions(1)
    service.customer = f"Иванова Анна,{olga}"
    async with lab.phone(olga, Answers(after=1.2)), lab.call(ANNA, "text", talks=2.3) as caller:
        await caller.ended()
    event = await hangup(service)
    (rung,) = service.rung
    assert (rung["type"], rung["phone"], rung["code"]) == ("in", ANNA, olga)
    assert event["uniqueid"] == rung["uniqueid"]
    assert (event["phone"], event["code"], event["direct"]) == (ANNA, olga, "in")
    assert (event["status"], event["record"]) == ("ANSWER", "wait")
    assert int(event["duration"]) in (2, 3)
    assert int(event["hold"]) in (1, 2)
    assert datetime.strptime(event["date"], "%Y-%m-%d %H:%M:%S")
    await until(lambda: bool(service.uploads), "the recording was not sent")
    (upload,) = service.uploads
    assert upload.fields["uniqueid"] == event["uniqueid"]
    sound = upload.file or b""
    assert sound[:4] == b"RIFF"
    assert int.from_bytes(sound[4:8], "little") == len(sound) - 8  # Asterisk has closed it
    assert len(sound) > 2 * 16_000


async def test_a_call_that_nobody_answers_is_told_without_one(
    lab: Lab, service: Listener, script: Script
) -> None:
    (olga,) = lab.extensions(1)
    service.customer = f"Иванова Анна,{olga}"
    async with lab.phone(olga, Rings()), lab.call(ANNA, "text", gives_up_after=0.5) as caller:
        await caller.ended()
    event = await hangup(service)
    assert (event["code"], event["status"]) == (olga, "CANCEL")
    await script.rests()
    assert "record" not in event
    assert service.uploads == []


@asynccontextmanager
async def members(lab: Lab, *codes: str) -> AsyncIterator[None]:
    """Put extensions into the queue of managers."""
    for code in codes:
        await lab.asterisk.queue_add("managers", f"PJSIP/{code}")
    yield
    for code in codes:
        await lab.asterisk.queue_remove("managers", f"PJSIP/{code}")


@pytest.mark.parametrize("called", ["text", "freepbx"])
async def test_a_queues_call_is_told_as_the_queue_knows_it(
    lab: Lab, service: Listener, script: Script, called: str
) -> None:
    olga, boris = lab.extensions(2)
    async with (
        members(lab, olga, boris),
        lab.phone(olga, Rings()),
        lab.phone(boris, Answers(after=1.2)) as phone,
        lab.call(ANNA, called) as caller,
    ):
        await phone.answers()
        await asyncio.sleep(2.2)  # they talk
        caller.hang_up()
        await caller.ended()
        event = await hangup(service)
    assert (event["phone"], event["code"], event["status"]) == (ANNA, boris, "ANSWERED")
    assert int(event["duration"]) in (2, 3)
    assert int(event["hold"]) in (1, 2)
    assert event["uniqueid"] == service.rung[0]["uniqueid"]


@pytest.mark.parametrize("called", ["text", "freepbx"])
async def test_a_caller_who_leaves_the_queue_is_told_with_the_time_waited(
    lab: Lab, service: Listener, script: Script, called: str
) -> None:
    (olga,) = lab.extensions(1)
    async with (
        members(lab, olga),
        lab.phone(olga, Rings()) as phone,
        lab.call(ANNA, called) as caller,
    ):
        await phone.rings()
        await asyncio.sleep(2.2)  # they wait
        caller.hang_up()
        await caller.ended()
        event = await hangup(service)
    assert (event["code"], event["status"], event["duration"]) == ("", "CANCEL", "0")
    assert int(event["hold"]) in (2, 3)


@pytest.mark.parametrize(
    "hostile",
    [
        "$(touch HOME/executed)",
        "`touch HOME/executed`",
        "x'; touch HOME/executed; '",
        'x"; touch HOME/executed; "',
        "x; touch HOME/executed | touch HOME/executed & touch HOME/executed",
        "x\ntouch HOME/executed\n",
        "-o HOME/executed",
        "--output=HOME/executed",
        "@HOME/event2.sh",
        "${SHELL(touch HOME/executed)}",
    ],
)
async def test_what_a_caller_sends_executes_nothing(
    lab: Lab, service: Listener, script: Script, hostile: str
) -> None:
    hostile = hostile.replace("HOME", str(_home(lab.asterisk) or lab.asterisk.folder))
    name = hostile.replace("\n", " ")
    async with lab.call(quote(hostile), "unfiltered", name=name) as caller:
        await caller.ended()
    await until(lambda: "status=" in script.log(), "the script was not run")
    await until(lambda: len(service.asked) >= 2, "the calls were not told")
    await script.rests()
    assert not (lab.asterisk.folder / "executed").exists()
    if not {'"', ";"} & set(hostile):  # at these Asterisk ends the number, or an argument
        (event,) = [event for event in service.events if event["code"] == "101"]
        assert (event["phone"], event["direct"]) == (hostile.replace("\n", ""), "in")


async def test_the_dialplan_goes_on_at_once_while_the_service_hangs(
    lab: Lab, service: Listener, script: Script
) -> None:
    service.silent = True
    times = []
    for _ in range(3):
        before = len(lab.asterisk.log())
        async with lab.call(ANNA, "timed") as caller:
            await caller.ended()
        times.append(_seconds_of_agi(lab.asterisk.log()[before:]))
    await until(lambda: bool(service.asked), "the service was not asked")
    service.silent = False
    await service.go_away()  # those that hang need not wait for their time limit
    await service.come_back()
    assert min(times) < at_this_pace(0.2), times
    assert max(times) < at_this_pace(1), times


async def test_asterisk_has_nothing_to_complain_of(lab: Lab, service: Listener, script: Script) -> None:
    async with lab.call(ANNA, "timed") as caller:
        await caller.ended()
    await hangup(service)
    assert [line for line in lab.asterisk.warnings() if re.search("agi|event2|utils|pipe", line, re.I)] == []


async def test_a_call_reaches_the_crm(lab: Lab, service: Listener, script: Script, office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    service.customer = f"Иванова Анна,{olga}"
    async with office.web() as url:
        script.url = url
        install(script, office.account.crm.client_id.get_secret_value())
        async with lab.phone(olga, Answers(after=1.2)), lab.call(ANNA, "text", talks=2.3) as caller:
            await caller.ended()
        await script.rests()
        await office.crm_account.wait_until(lambda account: bool(account.uploads), timeout=60)
    (upload,) = office.crm_account.uploads
    assert (upload.call.result, upload.call.code, upload.call.type) == ("answered", olga, "in")
    assert upload.call.duration in (2, 3)
    assert upload.call.record_url


def _seconds_of_agi(log: str) -> float:
    before, after = (
        datetime.strptime(
            re.findall(rf"\[(\S+ \S+)\] NOTICE.* {when} event2.sh", log)[0], "%Y-%m-%d %H:%M:%S.%f"
        )
        for when in ("before", "after")
    )
    return (after - before).total_seconds()
