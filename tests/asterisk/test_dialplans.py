"""The files of `ari-app dialplan asterisk`, and nothing else, on the oldest and the newest Asterisk."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.check.trial import Part
from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Rings
from tests.asterisk.pbx_files import (
    APP,
    Api,
    ajam,
    application,
    configure,
    nobody_listens,
    prepared,
    send_on,
    started,
)
from tests.asterisk.test_transfers import handed_over
from tests.asterisk.test_trial import steps
from tests.support.office import Office
from tests.support.pace import at_this_pace

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
STRANGER = "+79037654321"

# The shop's own dialplan: what a person writes around ours. Calls go out at priority 3 only.
EXTENSIONS = """
[general]
static = yes

#include extensions_retailcrm.conf

[from-trunk]
include => retailcrm-incoming
exten => named,1,Goto(retailcrm-named,menu:greeting:1,1)
exten => handed,1,Goto(menu,handed,1)

[internal]
include => retailcrm-outgoing
exten => _XXX,1,Gosub(retailcrm-transferred,s,1)
 same => n,Dial(PJSIP/${EXTEN},20)
 same => n,Hangup()

exten => 600,1,Gosub(retailcrm-transferred,s,1)
 same => n,Goto(queues,sales,1)
exten => 601,1,Goto(retailcrm-queue,sales,1)

[lines]
; As if lines included retailcrm-outgoing by mistake.
exten => +79990000000,3,Goto(retailcrm-outgoing,${EXTEN},1)
exten => _[+0-9].,1,Hangup(1)
 same => n,Hangup(1)
 same => n,Dial(PJSIP/${EXTEN}@trunk,20)
 same => n,Hangup()

[queues]
exten => sales,1,Queue(sales)
 same => n,Hangup()

[menu]
exten => handed,1,Set(BLINDTRANSFER=PJSIP/102-0000ffff)
 same => n,Gosub(retailcrm-transferred,s,1)
 same => n,Goto(greeting,1)
exten => greeting,1,Log(NOTICE,greeting: ${DB(shop/greeting)} for [${CALLERID(name)}] [${CALLERID(num)}])
 same => n,Answer()
 same => n,Wait(0.5)
 same => n,Hangup()
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
    asterisk = Asterisk(installation)
    configure(
        asterisk,
        "asterisk",
        served,
        EXTENSIONS,
        "lines,3",
        fallback="queue:queues,sales",
        unknown="dialplan:menu,greeting,1",
    )
    async with asterisk:
        await asterisk.command("database put shop greeting hello")
        yield Lab(asterisk)


@pytest.fixture
def shop(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """The shop for which the files were made."""
    office.app = APP
    toml = office.toml
    line = 'outgoing = "lines,3"'
    monkeypatch.setattr(office, "toml", lambda **calls: toml(**calls).replace("[calls]", f"{line}\n[calls]"))
    return office


async def test_asterisk_takes_the_files_without_a_complaint(lab: Lab) -> None:
    ours = ("extensions", "ari.conf", "http.conf", "manager.conf", "pbx_config", "res_ari", "config.c")
    assert [line for line in lab.asterisk.warnings() if any(name in line for name in ours)] == []


async def test_a_trial_call_comes_by_the_files_rings_and_is_recorded(shop: Office) -> None:
    (olga,) = shop.managers(1)
    await shop.open()
    async with shop.phone(olga, Answers(after=0.1)):
        call = await shop.ended(await shop.shop.try_out(olga, ANNA, "Пробный звонок"))
        await shop.told_all()
    assert await steps(shop, call) == dict.fromkeys(Part, "good")


async def test_a_customers_call_reaches_the_service(shop: Office) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open(fallback=f"group:{olga}")
    async with shop.phone(olga, Answers(after=0.1)) as phone, shop.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    report = await shop.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.external_phone == "+74951112233"
    assert phone.calls[0].name == "Иванова Анна"


@pytest.mark.parametrize("called", ["74951112233", "s"])
async def test_while_the_service_is_away_a_customer_reaches_the_queue_within_a_second(
    shop: Office, called: str
) -> None:
    (olga,) = shop.managers(1)
    await shop.open()
    await shop.stop()
    await nobody_listens(shop.lab.asterisk)
    await shop.lab.asterisk.queue_add("sales", f"PJSIP/{olga}")
    async with shop.phone(olga, Answers(after=0.1)) as phone:
        began = time.monotonic()
        async with shop.lab.call(ANNA, called, talks=0.1) as caller:
            await phone.rings()
            await caller.ended()
    await shop.lab.asterisk.queue_remove("sales", f"PJSIP/{olga}")
    assert caller.status == 200
    assert phone.calls[0].at - began < at_this_pace(1.0)


async def test_what_the_dialplan_does_after_us_is_not_refused_and_it_knows_the_name(
    shop: Office, api: Api
) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    api.answer = f"Иванова Анна,{olga}"
    await shop.open(fallback="dialplan:menu,greeting,1")
    before = len(shop.lab.asterisk.log())
    async with shop.phone(olga, Busy()), shop.call(ANNA) as caller:
        await caller.ended()
    await shop.report()
    log = shop.lab.asterisk.log()[before:]
    assert caller.status == 200
    assert f"greeting: hello for [Иванова Анна] [{ANNA}]" in log
    assert "Dangerous function" not in log


async def test_a_place_that_the_files_dont_name_is_reached_with_the_number(shop: Office, api: Api) -> None:
    await shop.open(unknown="dialplan:menu,greeting,2")
    async with shop.call(STRANGER) as caller:
        await caller.ended()
    await shop.report()
    assert caller.status == 200
    assert api.asked == []


async def test_a_caller_who_goes_on_in_the_dialplan_is_shown_by_name(lab: Lab, api: Api) -> None:
    api.answer = "Магазин: Иванова-Анна,101"
    assert await _greeting(lab) == f"[Магазин: Иванова-Анна] [{ANNA}]"
    assert api.asked == [{"path": "/api/manager", "clientId": "the;client", "type": "text", "phone": ANNA}]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (502, "<html><head>Bad gateway, sorry</head></html>"),
        (401, '{"error": "unknown clientId", "code": 401}'),
        (200, ""),
        (200, ","),
    ],
)
async def test_what_is_no_name_leaves_the_number(lab: Lab, api: Api, status: int, answer: str) -> None:
    api.status, api.answer = status, answer
    assert await _greeting(lab) == f"[] [{ANNA}]"


async def test_without_curl_the_number_stays(lab: Lab, api: Api) -> None:
    api.answer = "Иванова Анна,101"
    assert "Unloaded" in await lab.asterisk.command("module unload func_curl.so")
    try:
        assert await _greeting(lab) == f"[] [{ANNA}]"
    finally:
        await lab.asterisk.command("module load func_curl.so")
    assert api.asked == []


async def test_a_name_never_becomes_dialplan_code(lab: Lab, api: Api) -> None:
    api.answer = '${DB(shop/greeting)}" $[1+1]; Анна,'
    assert await _greeting(lab) == f"[DBshopgreeting 1+1 Анна] [{ANNA}]"


async def test_a_callers_own_name_and_number_never_become_dialplan_code(lab: Lab, api: Api) -> None:
    attack = "1${DB(shop/greeting)}"
    async with lab.call("+7916&phone=1,2", "named", name=attack) as caller:
        await caller.ended()
    assert [asked["phone"] for asked in api.asked] == ["+791612"]
    assert f"greeting: hello for [{attack}]" in lab.asterisk.log()


async def test_a_silent_service_holds_a_caller_up_for_two_seconds_at_most(lab: Lab, api: Api) -> None:
    api.silent = True
    began = time.monotonic()
    assert await _greeting(lab) == f"[] [{ANNA}]"
    assert time.monotonic() - began < 2 + at_this_pace(1.5)  # the greeting itself takes half a second


async def test_a_phones_call_goes_out_while_the_service_is_away(lab: Lab) -> None:
    (olga,) = lab.extensions(1)
    await nobody_listens(lab.asterisk)
    began = time.monotonic()
    async with (
        lab.customer_phone(Answers(after=0.1)) as customer,
        lab.call(olga, ANNA, talks=0.1) as caller,
    ):
        await caller.ended()
    assert caller.status == 200
    assert customer.calls[0].at - began < at_this_pace(1.0)


async def test_a_phones_call_is_handed_to_the_service_with_its_number(lab: Lab) -> None:
    (olga,) = lab.extensions(1)
    async with application(lab.asterisk) as events, lab.call(olga, "8916123(45)67"):
        start = await started(events)
    assert start["args"] == ["outgoing", "89161234567"]
    assert start["channel"]["name"].startswith(f"PJSIP/{olga}-")


async def test_a_phones_call_goes_out_through_the_service(shop: Office) -> None:
    (olga,) = shop.managers(1)
    await shop.open()
    async with (
        shop.lab.customer_phone(Answers(after=0.2)) as customer,
        shop.lab.call(olga, ANNA, talks=0.5) as caller,
    ):
        await caller.ended()
        await customer.is_free()
    report = await shop.report()
    assert caller.status == 200
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.type, report.upload.phone, report.upload.code) == ("out", ANNA, olga)


async def test_a_call_from_the_crm_reaches_the_customer_through_the_lines_priority(shop: Office) -> None:
    (olga,) = shop.managers(1)
    await shop.open()
    async with (
        shop.phone(olga, Answers(after=0.1, hangs_up_after=0.6)) as phone,
        shop.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        assert shop.shop.line.place_call(olga, ANNA, None, "lines,3")
        await customer.is_free()
        await phone.is_free()
    assert (await shop.report()).upload.result == "answered"


async def test_a_call_that_is_sent_back_goes_out(lab: Lab) -> None:
    (olga,) = lab.extensions(1)
    async with (
        application(lab.asterisk) as events,
        lab.customer_phone(Answers(after=0.1)) as customer,
        lab.call(olga, ANNA, talks=0.1) as caller,
    ):
        channel = (await started(events))["channel"]["id"]
        await send_on(lab.asterisk, channel, "internal", ANNA, 1)
        await caller.ended()
    assert caller.status == 200
    assert len(customer.calls) == 1


async def test_a_context_that_would_send_a_call_round_for_ever_ends_it(lab: Lab) -> None:
    (olga,) = lab.extensions(1)
    async with lab.call(olga, "+79990000000") as caller:
        await caller.ended()
    assert "cause=34" in caller.reason
    assert "include retailcrm-outgoing where the phones dial, not in lines" in lab.asterisk.log()


async def test_calls_between_colleagues_pass_the_service_by(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with (
        application(lab.asterisk) as events,
        lab.phone(boris, Answers(after=0.1)) as phone,
        lab.call(olga, boris, talks=0.1) as caller,
    ):
        await caller.ended()
        assert phone.calls[0].number == olga
        async with lab.call(olga, ANNA):
            start = await started(events)
    assert start["args"][1] == ANNA  # the only one that came


async def test_a_colleague_sees_which_customer_is_handed_over(shop: Office) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    async with (
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.1)) as his,
        shop.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(shop, hers, boris)
        await his.answers()
        await shop.stage("talking")
        customer.hang_up()
        await his.is_free()
    assert (his.calls[0].name, his.calls[0].number) == ("Иванова Анна", ANNA)
    assert (await shop.report()).upload.code == boris


async def test_a_colleague_sees_what_is_known_when_who_handed_over_has_gone_at_once(lab: Lab) -> None:
    async with lab.call("anonymous", "handed", name="Иванова Анна") as customer:
        await customer.ended()
    assert "for [Иванова Анна] [anonymous]" in lab.asterisk.log()


@pytest.mark.parametrize("number", ["600", "601"], ids=["the shop's queue", "our context's"])
async def test_a_member_of_a_queue_sees_which_customer_is_handed_over_to_it(
    shop: Office, number: str
) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    await shop.lab.asterisk.queue_add("sales", f"PJSIP/{boris}")
    async with (
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.1)) as his,
        shop.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(shop, hers, number)
        await his.answers()
        await shop.stage("talking")
        customer.hang_up()
        await his.is_free()
    await shop.lab.asterisk.queue_remove("sales", f"PJSIP/{boris}")
    assert (his.calls[0].name, his.calls[0].number) == ("Иванова Анна", ANNA)
    assert (await shop.report()).upload.code == boris


async def test_a_local_channel_gets_to_the_lines_priority(lab: Lab) -> None:
    async with ajam(lab.asterisk) as act, lab.customer_phone(Answers(after=0.1)) as customer:
        said = await act(
            action="originate",
            channel=f"Local/{ANNA}@retailcrm-outgoing-lines-3/n",
            application="Wait",
            data="0.2",
            **{"async": "true"},
        )
        assert "Response: Success" in said
        await customer.answers()


async def test_calls_that_the_service_makes_dont_come_back_to_it(lab: Lab) -> None:
    (olga,) = lab.extensions(1)
    async with (
        application(lab.asterisk) as events,
        ajam(lab.asterisk) as act,
        lab.phone(olga, Answers(after=0.1)),
        lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        await act(
            action="originate",
            channel=f"PJSIP/{olga}",
            context="internal",
            exten=ANNA,
            priority="1",
            channelid=f"{APP}-0123456789abcdef-1",
            **{"async": "true"},
        )
        await customer.answers()
        async with lab.call(olga, STRANGER):
            start = await started(events)
    assert start["args"][1] == STRANGER


async def test_the_managers_rights_suffice_for_ajam_and_for_no_more(lab: Lab) -> None:
    (olga,) = lab.extensions(1)
    async with ajam(lab.asterisk) as act, lab.phone(olga, Rings()) as phone:
        calls = {"channel": f"PJSIP/{olga}", "context": "lines", "exten": ANNA, "priority": "3"}
        said = await act(action="originate", **calls, channelid="ours", **{"async": "true"})
        assert "Response: Success" in said
        await phone.rings()
        assert "Uniqueid: ours" in await act(action="coreshowchannels")
        phone.decline()
        heard = ""
        while "Event: Hangup" not in heard:
            heard += await act(action="waitevent", timeout="5")
        for action in (
            {"action": "command", "command": "core show version"},
            {"action": "hangup", "channel": "/.*/"},
            {"action": "setvar", "variable": "X", "value": "1"},
            {"action": "getconfig", "filename": "manager.conf"},
            {"action": "redirect", "channel": "x", "context": "menu", "exten": "greeting", "priority": "1"},
            {"action": "queueadd", "queue": "sales", "interface": f"PJSIP/{olga}"},
            {"action": "originate", "channel": f"PJSIP/{olga}", "application": "System", "data": "id"},
        ):
            assert "Response: Error" in await act(**action), action


async def _greeting(lab: Lab) -> str:
    """Send a caller through the context that sets the name; return whom the greeting was for."""
    async with lab.call(ANNA, "named") as caller:
        await caller.ended()
    assert caller.status == 200
    return lab.asterisk.log().rpartition("greeting: hello for ")[2].splitlines()[0]
