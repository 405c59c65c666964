"""«Телефония»: how calls are handled, set by people."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.sections import (
    AlertSettings,
    CallSettings,
    ClickSettings,
    ExternalPhone,
    MailSettings,
    MissedSettings,
    Notify,
    RecordingFormat,
    WebhookSettings,
)
from ari_app.calls.routing import Dialplan, People, Queue
from cabinet.forms.destinations import MOST_STEPS, Step, read_steps
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop

_VERSION = re.compile(r'name="version" value="([0-9a-f]+)"')

Typed = list[tuple[str, str]]


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def send(reader: Reader, *typed: tuple[str, str]) -> tuple[int, str]:
    """Send the form of the page as it is now; give the status, and the page or where to go."""
    page = await reader.text("/telephony")
    token, version = re.search(r'name="token" value="([0-9a-f]+)"', page), _VERSION.search(page)
    assert token is not None
    assert version is not None
    ordinary = {
        "caller_name_prefix": "",
        "manager_caller_name": "CRM",
        "ring_manager_seconds": "60",
        "ring_group_seconds": "60",
        "keep_days": "1095",
        "recording_format": "wav",
        "task_minutes": "30",
        "minutes": "0",
        "country": "RU",
        "timezone": "",
    }
    fields = [(name, value) for name, value in ordinary.items() if name not in dict(typed)]
    answer = await reader.client.post(
        "/telephony",
        data=[("token", token[1]), ("version", version[1]), *fields, *typed],
        headers=reader.headers,
        allow_redirects=False,
    )
    return answer.status, answer.headers.get("Location") or await answer.text()


async def stored(cabinet: CabinetShop) -> RegisteredAccount:
    found = await cabinet.shop.service.accounts.find(cabinet.shop.account.id)
    assert found is not None
    return found


def group(name: str, *codes: str, kind: str = "together", order: str = "") -> Typed:
    return [(f"{name}-kind", kind), (f"{name}-order", order), *((f"{name}-codes", code) for code in codes)]


def place(name: str, kind: str, where: str) -> Typed:
    return [(f"{name}-kind", kind), (f"{name}-place", where)]


async def test_every_setting_of_calls_is_on_the_page(cabinet: CabinetShop, reader: Reader) -> None:
    page = await reader.text("/telephony")
    sections = (CallSettings, MissedSettings, WebhookSettings, AlertSettings, MailSettings)
    for field in (name for section in sections for name in section.model_fields):
        assert f'id="{field}"' in page, field


async def test_all_settings_are_stored_and_shown_again(cabinet: CabinetShop, reader: Reader) -> None:
    status, then = await send(
        reader,
        ("caller_name_prefix", "Shop"),
        ("manager_caller_name", "To a customer"),
        ("blank_unknown_caller", "yes"),
        ("ring_manager_seconds", "20"),
        ("ring_group_seconds", "40"),
        ("recording_format", "mp3"),
        ("keep_days", "90"),
        ("ignore_manager_status", "yes"),
        ("country", "KZ"),
        ("timezone", "Asia/Almaty"),
        *group("fallback-0", "101", "103", kind="in_turn", order="103,101"),
        *place("fallback-1", "queue", " queues , sales "),
        *group("unknown-0", "102", "101"),
        *place("unknown-1", "dialplan", "ivr,s,1"),
    )
    assert (status, then) == (303, "/telephony?saved=1")
    account = await stored(cabinet)
    assert account.calls == CallSettings(
        caller_name_prefix="Shop",
        manager_caller_name="To a customer",
        blank_unknown_caller=True,
        ring_manager_seconds=20,
        ring_group_seconds=40,
        recording_format=RecordingFormat.MP3,
        keep_days=90,
        ignore_manager_status=True,
        record=False,
        fallback="group:103>101;queue:queues,sales",
        unknown="group:102,101;dialplan:ivr,s,1",
    )
    assert (account.crm.country, account.crm.timezone) == ("KZ", "Asia/Almaty")
    assert account.crm.api_key == cabinet.shop.account.crm.api_key
    found = await cabinet.shop.service.accounts.get(account.id)
    assert found is not None
    assert found.policy().unknown == (People(("102", "101"), 40), Dialplan("ivr", "s", 1))
    assert found.policy().fallback[-1] == Queue("queues", "sales")
    page = await reader.text("/telephony")
    assert 'value="queues,sales"' in page
    assert re.search(r'<option value="in_turn" selected>', page)
    assert re.search(r'<option value="Asia/Almaty" selected>', page)
    assert page.count('name="fallback-0-codes" value="101" checked') == 1
    assert page.count('name="fallback-0-codes" value="102" checked') == 0


async def test_what_the_crm_is_told_of_missed_calls_is_set_there(
    cabinet: CabinetShop, reader: Reader
) -> None:
    typed = [("task", "yes"), ("task_minutes", "45"), ("task_for", "102"), ("notify", "group")]
    status, then = await send(reader, *typed, ("notify_group", "superadmins"))
    assert (status, then) == (303, "/telephony?saved=1")
    wanted = MissedSettings(
        task=True, task_minutes=45, task_for="102", notify=Notify.GROUP, notify_group="superadmins"
    )
    assert (await stored(cabinet)).missed == wanted
    page = await reader.text("/telephony")
    assert re.search(r'<option value="group" selected>', page)


async def test_when_the_administrator_is_told_is_set_there(cabinet: CabinetShop, reader: Reader) -> None:
    cabinet.shop.crm_account.rights.scopes -= {"notification_write"}
    status, then = await send(reader, ("minutes", "10"), ("group", "superadmins"))
    assert status == 303
    assert "/api/notifications/send" in await reader.text(then)
    assert (await stored(cabinet)).alerts == AlertSettings(minutes=10, group="superadmins")


async def test_who_is_written_to_is_set_there(cabinet: CabinetShop, reader: Reader) -> None:
    typed = [("missed", "sales@shop.example, Anna@shop.example"), ("lost", "chief@shop.example")]
    status, then = await send(reader, *typed, ("alerts", "admin@shop.example"))
    assert (status, then) == (303, "/telephony?saved=1")
    assert (await stored(cabinet)).mail == MailSettings(
        missed=("sales@shop.example", "Anna@shop.example"),
        lost=("chief@shop.example",),
        alerts=("admin@shop.example",),
    )
    page = await reader.text("/telephony")
    assert 'value="sales@shop.example Anna@shop.example"' in page
    assert "ARI_APP_SMTP_HOST" in page  # the operator has named no server


@pytest.mark.parametrize(
    "wrong", ["anna", "Anna <anna@shop.example>", "a@shop.example\r\nBcc:b@shop.example"]
)
async def test_who_can_not_be_written_to_is_not_stored(
    cabinet: CabinetShop, reader: Reader, wrong: str
) -> None:
    status, _ = await send(reader, ("alerts", wrong))
    assert status == 422
    assert (await stored(cabinet)).mail == MailSettings()


async def test_a_program_of_the_shops_is_set_there_and_its_secret_never_shown(
    cabinet: CabinetShop, reader: Reader
) -> None:
    status, _ = await send(reader, ("url", "https://example.com/missed"))
    assert status == 422  # there is no secret
    status, _ = await send(reader, ("url", "ftp://example.com"), ("secret", "s" * 20))
    assert status == 422
    status, then = await send(reader, ("url", "https://example.com/missed"), ("secret", "hunter2-" * 3))
    assert (status, then) == (303, "/telephony?saved=1")
    stored_now = (await stored(cabinet)).webhook
    assert stored_now.url == "https://example.com/missed"
    assert stored_now.secret is not None
    assert stored_now.secret.get_secret_value() == "hunter2-" * 3
    assert "hunter2" not in await reader.text("/telephony")


async def test_what_the_key_may_not_do_is_said_when_it_is_switched_on(
    cabinet: CabinetShop, reader: Reader
) -> None:
    cabinet.shop.crm_account.rights.scopes -= {"task_write", "notification_write"}
    status, then = await send(reader, ("task", "yes"))
    assert status == 303
    page = await reader.text(then)
    assert "/api/tasks/create" in page
    assert "/api/notifications/send" not in page
    assert (await stored(cabinet)).missed.task
    cabinet.shop.crm_account.rights.scopes -= {"customer_write"}
    status, then = await send(reader, ("task", "yes"), ("new_customers", "yes"))
    page = await reader.text(then)
    assert "/api/customers/create" in page
    assert "/api/customers/{externalId}" not in page
    assert (await stored(cabinet)).calls.new_customers
    status, then = await send(reader, ("task", "yes"), ("notify", "manager"))
    page = await reader.text(then)
    assert "/api/notifications/send" in page
    assert "/api/tasks/create" not in page  # it was said already


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (group("fallback-0"), "Tick who is to be rung"),
        (group("fallback-0", "sip/101"), "Tick who is to be rung"),
        (place("fallback-0", "queue", ""), "Enter the context in which Queue() is"),
        (place("fallback-0", "queue", "a,b,c"), "Enter the context in which Queue() is"),
        (place("fallback-0", "dialplan", "ivr"), "Enter context, extension and priority"),
        (place("fallback-0", "dialplan", "ivr,s,1;queue:other"), "Enter context, extension and priority"),
        (place("fallback-0", "dialplan", "ivr,${EVIL},1"), "Enter context, extension and priority"),
    ],
)
async def test_a_step_that_leads_nowhere_is_refused_beside_it(
    cabinet: CabinetShop, reader: Reader, typed: Typed, sentence: str
) -> None:
    status, page = await send(reader, *typed, *group("unknown-0", "101"))
    assert status == 422
    said = re.search(r'id="fallback-0-wrong">([^<]*)<', page)
    assert said is not None
    assert sentence in said[1]
    assert 'aria-describedby="fallback-0-wrong"' in page
    assert 'name="unknown-0-codes" value="101" checked' in page
    assert (await stored(cabinet)).calls == cabinet.shop.account.calls


async def test_a_step_that_is_taken_away_is_gone_and_no_steps_are_possible(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await send(reader, *group("fallback-0", "101"), *place("fallback-1", "queue", "queues"))
    await send(reader, ("fallback-0-kind", ""), *place("fallback-1", "queue", "queues"))
    assert (await stored(cabinet)).calls.fallback == "queue:queues"
    status, page = await send(reader)
    assert status == 422
    assert "a call ends when the responsible manager does not take it" in page
    assert (await stored(cabinet)).calls.fallback == "queue:queues"
    assert (await send(reader, ("sure", "yes")))[0] == 303
    assert (await stored(cabinet)).calls.fallback == ""
    assert (await send(reader, ("caller_name_prefix", "Shop")))[0] == 303  # nobody is dropped by that


async def test_an_extension_that_the_account_no_longer_has_stays_until_it_is_taken_out(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await send(reader, *group("fallback-0", "999", "101"))
    page = await reader.text("/telephony")
    assert 'name="fallback-0-codes" value="999" checked' in page
    assert "not an extension of the account" in page


async def test_a_shop_without_extensions_is_told_where_to_enter_them(cabinet: CabinetShop) -> None:
    async with cabinet.reader() as reader:
        await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
        page = await reader.text("/telephony")
        assert "There are no extensions yet" in page
        assert (await send(reader, ("caller_name_prefix", "New")))[0] == 303


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("country", "XX"),
        ("timezone", "Europe/Nowhere"),
        ("timezone", "../../etc/passwd"),
        ("caller_name_prefix", "x" * 41),
        ("manager_caller_name", "CRM\r\nAction: Originate"),
        ("caller_name_prefix", "a\x00b"),
        ("ring_manager_seconds", "-1"),
    ],
)
async def test_what_cannot_be_is_refused(
    cabinet: CabinetShop, reader: Reader, field: str, value: str
) -> None:
    status, page = await send(reader, (field, value))
    assert status == 422
    assert f'id="{field}-wrong"' in page
    assert (await stored(cabinet)) == cabinet.shop.account


async def test_a_country_in_which_two_of_the_shops_numbers_are_the_same_is_refused(
    cabinet: CabinetShop, reader: Reader
) -> None:
    account = cabinet.shop.account
    numbers = tuple(ExternalPhone(number=number) for number in ("+74951112233", "84951112233"))
    estonian = account.crm.model_copy(update={"country": "EE"})
    await cabinet.shop.service.accounts.change(
        account.id, lambda now: now.model_copy(update={"external_phones": numbers, "crm": estonian})
    )
    status, page = await send(reader, ("country", "RU"))
    assert status == 422
    assert "together with the other settings" in page
    assert (await stored(cabinet)).crm.country == "EE"


async def test_strangers_and_forms_without_token_get_nowhere(cabinet: CabinetShop, reader: Reader) -> None:
    assert (await reader.post("/telephony", record="yes")).status == 403
    async with cabinet.reader() as stranger:
        assert (await stranger.get("/telephony")).headers["Location"] == "/sign-in?next=/telephony"
        answer = await stranger.post("/telephony", token=await stranger.token(), record="yes")
        assert answer.headers["Location"].startswith("/sign-in")


async def test_each_sees_their_own(cabinet: CabinetShop, reader: Reader) -> None:
    await send(reader, ("caller_name_prefix", "Mine"), *place("fallback-0", "queue", "my-queue"))
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        page = await other.text("/telephony")
        assert "Mine" not in page
        assert "my-queue" not in page


@pytest.mark.parametrize(
    "text",
    ["", "group:101", "group:101,102", "group:103>101", "queue:q", "queue:q,s;dialplan:ivr,s,1;group:101"],
)
def test_what_is_stored_is_shown_and_stored_again_as_it_is(text: str) -> None:
    assert ";".join(step.text for step in read_steps(text)) == text


def test_what_is_stored_with_blanks_is_read_too() -> None:
    assert read_steps(" GROUP: 101 > 102 ; queue:q ") == [
        Step("in_turn", ("101", "102")),
        Step("queue", place="q"),
    ]
    assert MOST_STEPS >= 5


async def test_which_countries_and_short_numbers_a_click_calls(cabinet: CabinetShop, reader: Reader) -> None:
    status, _ = await send(reader, ("countries", "ru, kz"), ("short_numbers", "112 0611"))
    assert status == 303
    clicks = (await stored(cabinet)).clicks
    assert clicks == ClickSettings(
        countries=("RU", "KZ"), short_numbers=("112", "0611"), client_id_is_enough=False
    )
    status, page = await send(reader, ("countries", "RU Moon"), ("short_numbers", "*72"))
    assert status == 422
    assert "Two letters each, separated by blanks" in page
    assert "Numbers of 2 to 6 digits" in page
    assert (await stored(cabinet)).clicks == clicks


async def test_the_pbxs_addresses_are_networks_or_nothing(cabinet: CabinetShop, reader: Reader) -> None:
    status, _ = await send(reader, ("addresses", "203.0.113.5 10.8.0.1/16"))
    assert status == 303
    assert (await stored(cabinet)).api.addresses == ("203.0.113.5/32", "10.8.0.0/16")
    status, page = await send(reader, ("addresses", "pbx.example"))
    assert status == 422
    assert "Addresses or networks, such as 203.0.113.5" in page


async def test_while_asterisk_shows_nothing_the_page_says_what_to_type(reader: Reader) -> None:
    page = await reader.text("/telephony")
    assert "at which Queue() is, for example queues,sales." in page
    assert "What Asterisk has is offered here when there is access to AMI:" in page
