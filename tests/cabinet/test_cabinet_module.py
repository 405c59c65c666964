"""The module's life in the CRM: connected, switched off and on, moved, told the CRM's settings."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import ClientResponse
from redis.asyncio import Redis

from ari_app.demo.crm.account import CrmAccount
from ari_app.demo.crm.callbacks import post_form
from ari_app.demo.crm.simulator import Status
from ari_app.retailcrm.module import MODULE_CODE
from ari_app.store.module import ModuleStore
from cabinet.frame.security import ATTEMPTS
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import ANNA, API_KEY, CLIENT_ID

SECRET = "marketplace-secret"


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    """A shop whose module is registered: somebody has signed in."""
    async with cabinet_shop(redis, tmp_path, marketplace_secret=SECRET) as cabinet:
        async with cabinet.reader() as reader:
            assert (await reader.sign_in(cabinet.shop.crm_account.url, API_KEY)).status == 303
        yield cabinet
        assert cabinet.crm.violations == []


@pytest.fixture
def crm(cabinet: CabinetShop) -> CrmAccount:
    return cabinet.shop.crm_account


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        yield reader


async def click(cabinet: CabinetShop, code: str = "101", **more: str) -> ClientResponse:
    given = {"clientId": CLIENT_ID, "code": code, "phone": ANNA} | more
    return await cabinet.shop.client.get("/crm/call", params=given)


async def heard(cabinet: CabinetShop) -> list[tuple[Any, ...]]:
    return await cabinet.shop.told()


# Switched off and on


async def test_while_the_module_is_off_nobody_is_called_by_a_click(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    assert (await crm.switch_module(MODULE_CODE, active=False))[:2] == (200, {"success": True})
    answer = await click(cabinet)
    assert answer.status == 403
    assert "switched off" in (await answer.json())["errorMsg"]
    await crm.switch_module(MODULE_CODE, active=True)
    assert (await click(cabinet)).status == 503  # the shop of these tests has no PBX


async def test_what_happens_while_the_module_is_off_is_never_told(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    await crm.switch_module(MODULE_CODE, active=False)
    await cabinet.call("1700000000.1")
    assert await heard(cabinet) == []
    await crm.switch_module(MODULE_CODE, active=True)
    await cabinet.call("1700000000.2")
    assert await heard(cabinet) == [
        ("in", "101"),
        ("hangup", "101", "answered"),
        ("upload", "answered", "101"),
    ]


async def test_a_frozen_module_is_off_too(cabinet: CabinetShop, crm: CrmAccount) -> None:
    await crm.switch_module(MODULE_CODE, active=True, freeze=True)
    assert (await click(cabinet)).status == 403
    await cabinet.call()
    assert await heard(cabinet) == []


async def test_a_call_of_which_the_crm_heard_nothing_is_not_ended_for_it_either(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    await crm.switch_module(MODULE_CODE, active=False)
    await cabinet.shop.reports("in")
    assert await heard(cabinet) == []
    await crm.switch_module(MODULE_CODE, active=True)
    await cabinet.shop.reports("hangup", hangupStatus="ANSWER", duration="12")
    assert [told[0] for told in await heard(cabinet)] == ["upload"]


async def test_customers_have_their_names_while_the_module_is_off(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    await crm.switch_module(MODULE_CODE, active=False)
    found = await (await cabinet.shop.manager(type="json")).json()
    assert found["result"] == {"callerId": "Иванова Анна", "phone": "101"}


async def test_a_restarted_service_knows_that_the_module_is_off(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    await crm.switch_module(MODULE_CODE, active=False)
    await cabinet.shop.stop()
    await cabinet.shop.start(crm_domains=("loopback",))
    assert (await click(cabinet)).status == 403


async def test_what_happened_before_the_module_was_switched_off_is_told_when_it_is_on(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    cabinet.crm.fault(Status(502, "Bad gateway"))
    await cabinet.call()
    cabinet.crm.heal()
    await crm.switch_module(MODULE_CODE, active=False)
    await cabinet.call("1700000000.2")
    await crm.switch_module(MODULE_CODE, active=True)
    assert ("upload", "answered", "101") in await heard(cabinet)
    assert len(crm.uploads) == 1


async def test_the_clientid_alone_switches_nothing(cabinet: CabinetShop, crm: CrmAccount) -> None:
    off = {"clientId": CLIENT_ID, "activity": {"active": False}}
    for key in ("x", CLIENT_ID, "0" * 32):
        assert (await post_form(f"{cabinet.address}/crm/activity/{key}", off)).status == 401
    path = crm.rights.modules[MODULE_CODE]["actions"]["activity"]
    for client_id in ("", "another", "é"):
        answer = await post_form(f"{cabinet.address}{path}", off | {"clientId": client_id})
        assert answer.status == 401
        assert answer.body["success"] is False
    assert (await click(cabinet)).status == 503


async def test_what_the_crm_leaves_out_of_an_activity_stays_as_it_was(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    on, off = 503, 403  # the PBX is away; telephony is off
    for said, becomes in (
        ({"freeze": True}, off),
        ({"active": True}, off),  # it is frozen all the same
        ({"freeze": None}, off),
        ({"active": True, "freeze": None}, off),
        ({"freeze": False}, on),
        ({"active": False}, off),
        ({"freeze": False}, off),
        ({"active": None, "freeze": False}, off),
        ({"active": True}, on),
        ({"active": None}, on),
        ({"active": "1", "freeze": "0"}, on),
    ):
        answer = await crm.tell_module(MODULE_CODE, "activity", activity=said)
        assert (answer.status, (await click(cabinet)).status) == (200, becomes), said


async def test_what_was_left_out_is_known_after_a_restart(cabinet: CabinetShop, crm: CrmAccount) -> None:
    await crm.tell_module(MODULE_CODE, "activity", activity={"freeze": True})
    store = ModuleStore(cabinet.shop.redis, cabinet.shop.account.id)
    assert not (await store.activity()).on
    assert (await store.tell(None, False, 1.0)).on


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"activity": ""},
        {"activity": "["},
        {"activity": "[]"},
        {"activity": "[" * 20_000},
        {"activity": "{}"},
        {"activity": '{"active": "maybe"}'},
        {"activity": '{"active": {}}'},
        {"activity": '{"freeze": "maybe"}'},
        {"systemUrl": ""},
    ],
)
async def test_what_can_not_be_read_changes_nothing(
    cabinet: CabinetShop, crm: CrmAccount, said: dict[str, str]
) -> None:
    await crm.switch_module(MODULE_CODE, active=False)
    answer = await crm.tell_module(MODULE_CODE, "activity", **said)
    if said != {"systemUrl": ""}:
        assert answer.status == 400
        assert answer.body["success"] is False
    assert (await click(cabinet)).status == 403


async def test_signing_in_does_not_switch_on_what_was_switched_off_in_the_crm(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    await crm.switch_module(MODULE_CODE, active=False)
    async with cabinet.reader() as reader:
        await reader.sign_in(crm.url, API_KEY)
    assert crm.rights.modules[MODULE_CODE]["active"] is False


async def test_what_the_crm_could_not_tell_is_read_from_it_at_the_next_occasion(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    await crm.switch_module(MODULE_CODE, active=False)
    crm.rights.modules[MODULE_CODE]["active"] = True  # and the word of it is lost
    assert (await click(cabinet)).status == 403
    async with cabinet.reader() as reader:
        await reader.sign_in(crm.url, API_KEY)
    assert (await click(cabinet)).status == 503


# Moved


async def moved_to(cabinet: CabinetShop, url: str) -> None:
    """Wait until the service works with the address."""
    async with asyncio.timeout(60):
        while True:  # the service looks by itself
            shop = cabinet.shop.service.shops.get(cabinet.shop.account.id)
            if shop is not None and shop.settings.crm.url == url:
                return
            await asyncio.sleep(0.01)


async def test_a_crm_that_moves_is_followed_and_the_account_stays_itself(
    cabinet: CabinetShop, crm: CrmAccount, reader: Reader
) -> None:
    before, call = crm.url, await cabinet.call("1700000000.1")
    await heard(cabinet)
    await reader.enter(cabinet)
    cabinet.crm.move(crm)
    assert crm.url != before
    assert (await crm.tell_address(MODULE_CODE)).body == {"success": True}
    await moved_to(cabinet, crm.url)
    await cabinet.call("1700000000.2")
    assert len(await heard(cabinet)) == 6
    assert f"/calls/{call}" in await reader.text("/calls")  # who was signed in still is
    [account] = await cabinet.shop.service.accounts.registered()
    assert (account.id, account.crm.url) == (cabinet.shop.account.id, crm.url)
    async with cabinet.reader() as another:
        assert (await another.sign_in(crm.url, API_KEY)).status == 303
        assert f"/calls/{call}" in await another.text("/calls")


async def test_whoever_gets_the_address_that_a_crm_left_gets_nothing_of_the_account(
    cabinet: CabinetShop, crm: CrmAccount, reader: Reader
) -> None:
    left = crm.url
    cabinet.crm.move(crm)
    await crm.tell_address(MODULE_CODE)
    await moved_to(cabinet, crm.url)
    cabinet.newcomer.url = left
    answer = await reader.sign_in(left, NEW_KEY)
    assert answer.status == 422
    assert (await reader.get("/")).status == 303


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254",
        "https://evil.example",
        "https://shop.retailcrm.ru.evil.example",
        "https://retailcrm.ru",
        "file:///etc/passwd",
        "https://[",
    ],
)
async def test_only_an_address_of_the_crm_is_followed(
    cabinet: CabinetShop, crm: CrmAccount, address: str
) -> None:
    answer = await crm.tell_module(MODULE_CODE, "activity", systemUrl=address)
    assert answer.status == 400
    assert (await cabinet.shop.service.accounts.find(cabinet.shop.account.id)) == cabinet.shop.shop.settings


async def test_an_account_of_the_crm_that_does_not_know_our_key_and_module_is_not_followed(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    module = crm.rights.modules[MODULE_CODE]
    cabinet.crm.move(crm)
    crm.rights.modules[MODULE_CODE] = module | {"accountUrl": "http://elsewhere.example/account/x"}
    answer = await crm.tell_address(MODULE_CODE)
    assert (answer.status, answer.body["errorMsg"]) == (400, "systemUrl does not know our module")
    crm.rights.modules[MODULE_CODE] = module
    crm.fault(Status(403, 'Wrong "apiKey" value.'), route="module", times=1)
    answer = await crm.tell_address(MODULE_CODE)
    assert (answer.status, answer.body["errorMsg"]) == (400, "systemUrl does not know our key")
    crm.fault(Status(502, "Bad gateway"), route="module", times=1)
    assert (await crm.tell_address(MODULE_CODE)).status == 503
    assert (await crm.tell_address(MODULE_CODE)).status == 200


async def test_while_an_account_is_opened_anew_no_dialplan_is_told_that_there_is_none(
    cabinet: CabinetShop, crm: CrmAccount
) -> None:
    cabinet.crm.move(crm)
    await crm.tell_address(MODULE_CODE)
    moving = asyncio.create_task(moved_to(cabinet, crm.url))
    answers = set()
    while not moving.done():
        answers.add((await cabinet.shop.manager(type="json")).status)
        answers.add((await cabinet.shop.send("in", uniqueid="1700000000.9")).status)
        answers.add((await click(cabinet)).status)
    await moving
    assert answers <= {200, 503}


# The CRM's settings


async def test_the_crms_time_zone_is_used_as_soon_as_it_is_told(
    cabinet: CabinetShop, crm: CrmAccount, redis: Redis
) -> None:
    times = [{"day_type": "Monday", "start_time": "09:00", "end_time": "18:00"}]
    told = {
        "timezone": {"value": "Asia/Omsk"},
        "system_language": {"value": "RU"},
        "default_currency": "RUB",
        "work_times": times,
        "non_working_days": {},
    }
    crm.timezone = "Asia/Omsk"
    assert (await crm.tell_module(MODULE_CODE, "settings", settings=told)).status == 200
    assert cabinet.shop.shop.current.zone() == ZoneInfo("Asia/Omsk")
    kept = await ModuleStore(redis, cabinet.shop.account.id).settings()
    assert (kept.language, kept.currency, kept.work_times) == ("RU", "RUB", tuple(times))


@pytest.mark.parametrize("told", ["", "[]", "null", "{"])
async def test_settings_that_are_none_are_refused(cabinet: CabinetShop, crm: CrmAccount, told: str) -> None:
    assert (await crm.tell_module(MODULE_CODE, "settings", settings=told)).status == 400
    assert (await crm.tell_module(MODULE_CODE, "settings")).status == 400


async def test_a_time_zone_that_nobody_knows_changes_nothing(cabinet: CabinetShop, crm: CrmAccount) -> None:
    zones: list[Any] = [{"value": "Mars/Olympus"}, "../../etc/passwd", 7, None, {"value": {}}]
    for zone in zones:
        assert (await crm.tell_module(MODULE_CODE, "settings", settings={"timezone": zone})).status == 200
    assert cabinet.shop.shop.current.zone() == ZoneInfo("Europe/Moscow")


# The simple connection


async def test_a_click_in_the_marketplace_makes_the_account_and_opens_its_cabinet(
    cabinet: CabinetShop, reader: Reader
) -> None:
    newcomer = cabinet.newcomer
    answer = await newcomer.connect(f"{cabinet.address}/crm/config", SECRET)
    assert answer.status == 200, answer.body
    module = newcomer.rights.modules[MODULE_CODE]
    assert answer.body["accountUrl"] == module["accountUrl"]
    path = answer.body["accountUrl"].removeprefix(cabinet.shop.service.public_url)
    opened = await reader.post(path, clientId=module["clientId"])
    assert (opened.status, opened.headers["Location"]) == (303, path)
    opened = await reader.get(path)
    assert (opened.status, opened.headers["Location"]) == (303, "/")
    assert 'data-step="pbx" data-state="bad"' in await reader.text("/")


async def test_connecting_again_opens_the_same_account(cabinet: CabinetShop) -> None:
    first = await cabinet.newcomer.connect(f"{cabinet.address}/crm/config", SECRET)
    again = await cabinet.newcomer.connect(f"{cabinet.address}/crm/config", SECRET)
    assert first.body == again.body
    assert len(await cabinet.shop.service.accounts.registered()) == 2


async def test_without_the_secret_nobody_connects(cabinet: CabinetShop) -> None:
    answer = await cabinet.newcomer.connect(f"{cabinet.address}/crm/config", "guessed")
    assert (answer.status, answer.body["errorMsg"]) == (403, "token is wrong")
    assert not cabinet.newcomer.requests
    assert len(await cabinet.shop.service.accounts.registered()) == 1


def brought(system_url: str, key: str = NEW_KEY) -> dict[str, object]:
    token = hmac.digest(SECRET.encode(), key.encode(), "sha256").hex()
    return {"register": {"systemUrl": system_url, "apiKey": key, "token": token}}


async def test_the_key_is_shown_only_to_the_crm(cabinet: CabinetShop) -> None:
    for address in ("https://evil.example", "http://169.254.169.254", "ftp://shop.retailcrm.ru", "https://["):
        answer = await post_form(f"{cabinet.address}/crm/register", brought(address))
        assert answer.status == 400
        assert "systemUrl" in answer.body["errorMsg"]


async def test_a_key_that_the_crm_does_not_know_or_that_may_not_enough_is_refused_in_words(
    cabinet: CabinetShop,
) -> None:
    url = f"{cabinet.address}/crm/register"
    answer = await post_form(url, brought(cabinet.newcomer.url, "unknown"))
    assert (answer.status, answer.body["errorMsg"]) == (400, "apiKey is not known to the CRM")
    cabinet.crm.violations.clear()  # the CRM minds an unknown key
    cabinet.newcomer.rights.scopes -= {"user_read"}
    answer = await post_form(url, brought(cabinet.newcomer.url))
    assert answer.body["errorMsg"] == "apiKey lacks permissions: /api/users, /api/users/{id}"


@pytest.mark.parametrize(
    "given", ["", "[]", "{", "{}", json.dumps({"systemUrl": 1, "apiKey": "k", "token": "t"}), "[" * 20_000]
)
async def test_a_connection_that_can_not_be_read_is_refused(cabinet: CabinetShop, given: str) -> None:
    answer = await post_form(f"{cabinet.address}/crm/register", {"register": given})
    assert answer.status == 400
    assert "register" in answer.body["errorMsg"]


async def test_whoever_guesses_tokens_has_to_wait(cabinet: CabinetShop) -> None:
    wrong = {"systemUrl": cabinet.newcomer.url, "apiKey": NEW_KEY, "token": "0" * 64}

    async def tried(client: aiohttp.ClientSession) -> int:
        form, by = {"register": json.dumps(wrong)}, {"X-Forwarded-For": "203.0.113.7"}
        async with client.post(f"{cabinet.address}/crm/register", data=form, headers=by) as answer:
            return answer.status

    async with aiohttp.ClientSession() as client:
        assert [await tried(client) for _ in range(ATTEMPTS)] == [403] * ATTEMPTS
        assert await tried(client) == 429


async def test_a_service_without_a_marketplace_secret_has_no_simple_connection(
    redis: Redis, tmp_path: Path
) -> None:
    async with cabinet_shop(redis, tmp_path) as cabinet, cabinet.reader() as reader:
        assert (await reader.get("/crm/config")).status == 404
        assert (await reader.post("/crm/register", register="{}")).status == 404
