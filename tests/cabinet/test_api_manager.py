"""A dialplan asks who calls, and waits for the answer with a caller on the line."""

import asyncio
import time

import pytest
from yarl import URL

from ari_app.calls.happenings import CustomerUnknown
from ari_app.demo.crm.simulator import Customer, Silent, Status
from cabinet.api.manager import CRM_SECONDS, for_array
from tests.cabinet.shop import ANNA, API_KEY, CLIENT_ID, UNKNOWN, ReportingShop
from tests.support.pace import at_this_pace


async def test_a_known_customer_as_json(shop: ReportingShop) -> None:
    answer = await shop.manager(type="json")
    assert answer.status == 200
    assert await answer.json() == {"result": {"callerId": "Иванова Анна", "phone": "101"}}


async def test_a_known_customer_as_text(shop: ReportingShop) -> None:
    answer = await shop.manager(type="text")
    assert (answer.status, answer.content_type, answer.charset) == (200, "text/plain", "utf-8")
    assert await answer.text() == "Иванова Анна,101"


@pytest.mark.parametrize("phone", ["89167654321", "+7 (916) 765-43-21", UNKNOWN])
async def test_an_unknown_customers_name_is_the_number_as_it_was_given(
    shop: ReportingShop, phone: str
) -> None:
    answer = await shop.manager(phone, type="json")
    assert await answer.json() == {"result": {"callerId": phone, "phone": ""}}
    assert await (await shop.manager(phone, type="text")).text() == f"{phone},"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("+79167654321", UNKNOWN),
        ("%2B79167654321", UNKNOWN),
        ("'+79167654321'", UNKNOWN),
        ("%2089167654321", "89167654321"),
        ("79167654321", "79167654321"),
    ],
)
async def test_a_plus_that_a_dialplan_did_not_escape_is_shown(
    shop: ReportingShop, written: str, shown: str
) -> None:
    url = URL(f"/api/manager?clientId={CLIENT_ID}&type=text&phone={written}", encoded=True)
    assert await (await shop.client.get(url)).text() == f"{shown},"


@pytest.mark.parametrize("value", ["", "0", "false", "1"])
async def test_an_unknown_customer_without_a_name(shop: ReportingShop, value: str) -> None:
    answer = await shop.manager(UNKNOWN, type="text", ignoreBlankCaller=value)
    assert await answer.text() == ","


async def test_the_account_may_want_unknown_customers_without_a_name(shop: ReportingShop) -> None:
    await shop.apply(blank_unknown_caller=True)
    async with asyncio.timeout(60):
        while True:
            if shop.shop.policy.blank_unknown_caller:
                break
            await asyncio.sleep(0.01)
    assert await (await shop.manager(UNKNOWN, type="text")).text() == ","


async def test_a_name_carries_the_accounts_prefix(shop: ReportingShop) -> None:
    await shop.apply(caller_name_prefix="Магазин, №1")
    async with asyncio.timeout(60):
        while True:
            if shop.shop.policy.caller_name_prefix:
                break
            await asyncio.sleep(0.01)
    assert await (await shop.manager(type="text")).text() == "Магазин №1: Иванова Анна,101"
    assert await (await shop.manager(UNKNOWN, type="text")).text() == f"{UNKNOWN},"


@pytest.mark.parametrize("value", ["", "0", "1"])
async def test_a_busy_manager_is_named_only_if_status_is_ignored(shop: ReportingShop, value: str) -> None:
    shop.crm_account.set_status(1, "busy")
    assert await (await shop.manager(type="text")).text() == "Иванова Анна,"
    assert await (await shop.manager(type="text", ignoreStatus=value)).text() == "Иванова Анна,101"


@pytest.mark.parametrize("kind", ["json", "text"])
async def test_the_answer_comes_within_two_seconds_whatever_the_crm_does(
    shop: ReportingShop, kind: str
) -> None:
    shop.crm.fault(Silent(), route="manager")
    began = time.monotonic()
    answers = await asyncio.gather(*(shop.manager(type=kind) for _ in range(20)))
    assert time.monotonic() - began < CRM_SECONDS + at_this_pace(0.3)
    for answer in answers:
        assert ANNA in await answer.text()
        assert answer.status == 200


async def test_a_crm_that_fails_makes_every_customer_unknown(shop: ReportingShop) -> None:
    shop.crm.fault(Status(500), route="manager")
    assert await (await shop.manager(type="text")).text() == f"{ANNA},"


@pytest.mark.parametrize("phone", ["", "anonymous", "*97"])
async def test_the_crm_is_not_asked_about_what_is_no_customers_number(
    shop: ReportingShop, phone: str
) -> None:
    assert await (await shop.manager(phone, type="text")).text() == f"{phone},"
    assert shop.crm_account.look_ups == []


@pytest.mark.parametrize(
    ("last_name", "text"),
    [
        ('ООО "Ромашка", опт\nи розница', "ООО Ромашка опт и розница"),
        ("${SHELL(reboot)}", "SHELL(reboot)}"),
        ("$[1+1]`id`", "1+1 id"),
        ("Ромашка (опт)", "Ромашка (опт)"),
        ("Ромашка (опт", "Ромашка опт"),
        ('O\'Brien, "Jr"', "O'Brien Jr"),
        ("Дем'яненко", "Дем'яненко"),
        ("a\\,b|c", "a b|c"),
    ],
)
async def test_no_name_can_break_the_array_of_a_dialplan(
    shop: ReportingShop, last_name: str, text: str
) -> None:
    shop.crm_account.add_customer(Customer(id=7, last_name=last_name, phones=("+79160000007",), manager_id=1))
    answer = await (await shop.manager("+79160000007", type="text")).text()
    assert answer == f"{text},101"


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        ('"Аня" <sip:+79167654321@10.0.0.1:5060>', "+79167654321"),
        ("sip:89167654321@10.0.0.1", "89167654321"),
        ("0000000000", "0000000000"),
    ],
)
async def test_an_unknown_customer_is_shown_by_the_number_alone(
    shop: ReportingShop, phone: str, shown: str
) -> None:
    answer = await (await shop.manager(phone, type="json")).json()
    assert answer["result"]["callerId"] == shown


async def test_a_customer_is_found_by_what_a_dialplan_gives_for_the_number(shop: ReportingShop) -> None:
    answer = await shop.manager(f'"x" <sip:{ANNA}@192.168.100.10:5060;user=phone>', type="json")
    assert (await answer.json())["result"] == {"callerId": "Иванова Анна", "phone": "101"}


def test_a_number_can_break_it_as_little_as_a_name() -> None:
    assert for_array("1,2\n3\"4'5`6$7\u2028") == "1 2 3 4'5 6 7"
    assert for_array("[(") == ""
    assert for_array(")(") == ""


@pytest.mark.parametrize(
    ("given", "status", "parameter"),
    [
        ({"clientId": "wrong"}, 401, "clientId"),
        ({"clientId": ""}, 401, "clientId"),
        ({"clientId": CLIENT_ID, "phone": "1"}, 400, "type"),
        ({"clientId": CLIENT_ID, "type": "json"}, 400, "phone"),
        ({"clientId": CLIENT_ID, "type": "xml", "phone": "1"}, 400, "type"),
        ({"clientId": CLIENT_ID, "type": "json", "phone": "1" * 16}, 400, "phone"),
        ({"clientId": CLIENT_ID, "type": "json", "phone": "٣" * 7}, 400, "phone"),
        ({"clientId": CLIENT_ID, "type": "json", "phone": "1\x002"}, 400, "phone"),
        ({"clientId": CLIENT_ID, "type": "json", "phone[]": "1"}, 400, "phone"),
    ],
)
async def test_what_is_wrong_is_named(
    shop: ReportingShop, given: dict[str, str], status: int, parameter: str
) -> None:
    answer = await shop.client.get("/api/manager", params=given)
    assert (answer.status, (await answer.json())["parameter"]) == (status, parameter)


@pytest.mark.parametrize("given", [{"clientId": "wrong"}, {"clientId": CLIENT_ID}, {}])
async def test_an_error_as_text_is_empty_because_a_dialplan_reads_it(
    shop: ReportingShop, given: dict[str, str]
) -> None:
    answer = await shop.client.get("/api/manager", params=given | {"type": "text"})
    assert answer.status in (400, 401)
    assert (answer.content_type, await answer.text()) == ("text/plain", "")


async def test_three_hundred_look_ups_of_others_hold_up_no_call_and_no_report(shop: ReportingShop) -> None:
    def number(of: int) -> str:
        return f"+7916{of:07}"

    strangers = [asyncio.create_task(shop.manager(number(one), type="text")) for one in range(300)]
    await shop.crm_account.wait_until(lambda crm: len(crm.look_ups) == 9)
    assert shop.service.pace_of(API_KEY).waiting > 20
    began = time.monotonic()
    assert await shop.reports("hangup", status="ANSWERED", duration="5", hold="2", direct="in") == "new"
    real = await asyncio.gather(*(shop.shop.desk.look_up(number(one), time.time) for one in range(900, 920)))
    assert [answer.problem for answer in real if isinstance(answer, CustomerUnknown)] == [None] * 20
    assert time.monotonic() - began < at_this_pace(1.0)
    assert await shop.told() == [("hangup", "101", "answered"), ("upload", "answered", "101")]
    assert time.monotonic() - began < at_this_pace(2.0)
    answers = await asyncio.gather(*strangers)
    assert {answer.status for answer in answers} == {200}


async def test_the_same_question_is_asked_once_and_its_answer_serves_for_a_moment(
    shop: ReportingShop,
) -> None:
    texts = [
        await answer.text()
        for answer in await asyncio.gather(*(shop.manager(type="text") for _ in range(30)))
    ]
    assert set(texts) == {"Иванова Анна,101"}
    assert await (await shop.manager(type="text")).text() == "Иванова Анна,101"
    assert len(shop.crm_account.look_ups) == 1
