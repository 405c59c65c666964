"""The page of employees and their extensions."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.accounts.extensions import with_everybody
from ari_app.accounts.reading import read_account
from ari_app.accounts.staff import Person
from ari_app.demo.crm.simulator import Status
from ari_app.store.staff import StaffStore
from cabinet.pages.extensions import free_at_pbx
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.support.accounts import account_toml

PEOPLE = [Person(1, "Ольга Ольгина"), Person(2, "Борис Борисов"), Person(3, "Вера Верина"), Person(4, "<b>Н")]


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        await StaffStore(cabinet.shop.redis, cabinet.shop.account.id).keep(PEOPLE)
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def send(reader: Reader, user: int, was: str, code: str, **more: str) -> tuple[int, str]:
    """Send an employee's form; give the status, and the page or where to go."""
    token = await reader.token("/extensions")
    answer = await reader.post(f"/extensions/{user}", token=token, was=was, code=code, **more)
    return answer.status, answer.headers.get("Location") or await answer.text()


async def codes(cabinet: CabinetShop) -> dict[int, str]:
    account = await cabinet.shop.service.accounts.find(cabinet.shop.account.id)
    assert account is not None
    return {one.user_id: one.code for one in account.extensions}


def told(cabinet: CabinetShop) -> dict[int, str]:
    module: dict[str, Any] = cabinet.shop.crm_account.rights.modules["ari-app"]
    listed = module["integrations"]["telephony"]["additionalCodes"]
    return {one["userId"]: one["code"] for one in listed}


STORED = {1: "101", 2: "102", 3: "103"}


async def test_employees_are_shown_with_extension_and_state(cabinet: CabinetShop, reader: Reader) -> None:
    cabinet.shop.shop.note_status("102", "dinner")
    text = await reader.text("/extensions")
    row = re.search(r'<tr id="row-2".*?</tr>', text, re.DOTALL)
    assert row is not None
    assert "Борис Борисов" in row[0]
    assert ">102<" in row[0]
    assert "at dinner" in row[0]
    assert "not known" in row[0]
    assert "Asterisk is not connected" in text
    assert "&lt;b&gt;Н" in text
    assert "<b>Н" not in text


async def test_an_extension_is_given_changed_and_removed_and_the_crm_is_told(
    cabinet: CabinetShop, reader: Reader
) -> None:
    assert await send(reader, 4, "", " 104 ") == (303, "/extensions?saved=4#row-4")
    assert await codes(cabinet) == told(cabinet) == STORED | {4: "104"}
    assert "Saved, and retailCRM knows it" in await reader.text("/extensions?saved=4")
    assert (await send(reader, 4, "104", "0105"))[0] == 303
    assert await codes(cabinet) == told(cabinet) == STORED | {4: "0105"}
    assert (await send(reader, 4, "0105", "", remove="yes", sure="yes"))[0] == 303
    assert await codes(cabinet) == told(cabinet) == STORED


async def test_an_employees_other_telephones_are_kept_when_the_extension_changes(
    cabinet: CabinetShop, reader: Reader
) -> None:
    more = {"devices": "99101, soft-101", "mobile": "8 903 555-44-33"}
    assert (await send(reader, 1, "101", "101", **more))[0] == 303
    assert (await send(reader, 1, "101", "111"))[0] == 303
    account = await cabinet.shop.service.accounts.find(cabinet.shop.account.id)
    assert isinstance(account, Account)
    hers = next(one for one in account.extensions if one.user_id == 1)
    assert (hers.code, hers.devices, hers.mobile) == ("111", ("99101", "soft-101"), "8 903 555-44-33")
    assert account.owners.of_number("+79035554433") == "111"
    assert 'value="99101 soft-101"' in await reader.text("/extensions?edit=1")


@pytest.mark.parametrize(
    ("field", "typed"), [("devices", "102"), ("devices", "a&b"), ("mobile", "mobile"), ("mobile", "12")]
)
async def test_what_can_not_be_a_telephone_is_refused_beside_its_field(
    cabinet: CabinetShop, reader: Reader, field: str, typed: str
) -> None:
    status, text = await send(reader, 1, "101", "101", **{"devices": "", "mobile": "", field: typed})
    assert status == 422
    assert f'id="{field}-1-wrong"' in text
    assert await codes(cabinet) == STORED


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("101", "101 belongs to Ольга Ольгина already"),
        ("reception", "digits only"),
        ("10 4", "digits only"),
        ("１０４", "digits only"),
        ("1" * 21, "digits only"),
        ("<b>", "digits only"),
        *((code, "has no * and no #, and is not 0") for code in ("*101", "101#", "*97", "0", "00")),
        ("PJSIP/1&2", "digits only"),
    ],
)
async def test_what_can_not_be_an_extension_is_refused_beside_the_field_and_kept_as_typed(
    cabinet: CabinetShop, reader: Reader, code: str, sentence: str
) -> None:
    status, text = await send(reader, 4, "", code)
    assert status == 422
    assert re.search(r'id="code-4-wrong">[^<]*', text)
    assert sentence in text
    field = re.search(r'<input id="code-4"[^>]*>', text)
    assert field is not None
    assert 'aria-invalid="true"' in field[0]
    assert f'value="{code.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}"' in field[0]
    assert await codes(cabinet) == STORED


async def test_an_emptied_field_removes_nothing_by_itself(cabinet: CabinetShop, reader: Reader) -> None:
    status, text = await send(reader, 1, "101", "")
    assert status == 422
    assert "press “Remove the extension”" in text
    assert await codes(cabinet) == STORED


async def test_what_somebody_else_changed_meanwhile_is_said_and_then_taken(
    cabinet: CabinetShop, reader: Reader
) -> None:
    assert (await send(reader, 1, "101", "111"))[0] == 303
    status, text = await send(reader, 1, "101", "121")
    assert status == 409
    assert "it is 111 now" in text
    assert 'name="was" value="111"' in text
    assert 'value="121"' in text
    assert (await send(reader, 1, "101", "", remove="yes", sure="yes"))[0] == 409
    assert (await send(reader, 1, "111", "121"))[0] == 303
    assert (await codes(cabinet))[1] == "121"


async def test_a_crm_that_does_not_answer_leaves_the_change_saved_and_is_told_later(
    cabinet: CabinetShop, reader: Reader
) -> None:
    cabinet.shop.crm_account.fault(Status(500), route="edit")
    assert (await send(reader, 4, "", "104"))[0] == 303
    assert (await codes(cabinet))[4] == "104"
    text = await reader.text("/extensions?saved=4")
    assert "It is told by itself as soon as it answers" in text
    assert "Saved, and retailCRM knows it" not in text
    cabinet.shop.crm_account.heal()
    await cabinet.shop.service.informing.retry()
    assert told(cabinet) == STORED | {4: "104"}
    assert "It is told by itself" not in await reader.text("/extensions")


async def test_a_removed_extension_does_not_come_back_from_a_crm_that_was_away(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await cabinet.shop.service.informing.inform(cabinet.shop.account.id)
    cabinet.shop.crm_account.fault(Status(500), route="edit")
    assert (await send(reader, 1, "101", "", remove="yes", sure="yes"))[0] == 303
    cabinet.shop.crm_account.heal()
    await cabinet.shop.service.informing.retry()
    assert 1 not in await codes(cabinet)
    assert 1 not in told(cabinet)


async def test_a_row_is_edited_by_an_ordinary_address_too(reader: Reader) -> None:
    text = await reader.text("/extensions?edit=2")
    assert 'action="/extensions/2"' in text
    assert 'value="102"' in text
    assert 'action="/extensions/1"' not in text


async def test_employees_are_found_by_name_and_by_extension(reader: Reader) -> None:
    text = await reader.text("/extensions?q=борис")
    assert "Борис Борисов" in text
    assert "Вера" not in text
    assert "Вера" in await reader.text("/extensions?q=103")
    assert "Nobody fits “&lt;x&gt;”" in await reader.text("/extensions?q=<x>")


@pytest.mark.parametrize("user", ["99", "0", "999999999999999999"])
async def test_somebody_who_is_not_in_the_crm_gets_no_extension(
    cabinet: CabinetShop, reader: Reader, user: str
) -> None:
    token = await reader.token("/extensions")
    assert (await reader.post(f"/extensions/{user}", token=token, was="", code="177")).status == 404
    assert await codes(cabinet) == STORED


@pytest.mark.parametrize("query", ["edit=x", "page=0", "page=99", "page=x", "saved=%00", "edit=" + "9" * 50])
async def test_an_odd_address_shows_the_page(reader: Reader, query: str) -> None:
    assert "Ольга" in await reader.text(f"/extensions?{query}")


async def test_others_see_and_change_nothing(cabinet: CabinetShop) -> None:
    async with cabinet.reader() as stranger:
        for path in ("/extensions", "/extensions?edit=1"):
            answer = await stranger.get(path)
            assert answer.headers["Location"].startswith("/sign-in")
        answer = await stranger.post("/extensions/1", token=await stranger.token(), was="101", code="177")
        assert answer.headers["Location"].startswith("/sign-in")
        await stranger.sign_in(cabinet.newcomer.url, NEW_KEY)
        text = await stranger.text("/extensions")
        assert "Ольга" not in text
        assert "101" not in re.sub(r'value="[0-9a-f]+"', "", text).partition('id="staff"')[2]
        token = await stranger.token("/extensions")
        assert (await stranger.post("/extensions/1", token=token, was="101", code="177")).status == 404
    assert await codes(cabinet) == STORED


async def test_a_form_without_its_token_is_refused(cabinet: CabinetShop, reader: Reader) -> None:
    assert (await reader.post("/extensions/1", was="101", code="177")).status == 403
    assert await codes(cabinet) == STORED


async def test_it_is_asked_whether_an_extension_is_to_go(cabinet: CabinetShop, reader: Reader) -> None:
    status, text = await send(reader, 1, "101", "", remove="yes")
    assert status == 200
    assert "Remove the extension 101?" in text
    assert await codes(cabinet) == STORED


async def test_nobody_is_dropped_who_calls_a_shop_that_has_chosen_nothing(cabinet: CabinetShop) -> None:
    async with cabinet.reader() as reader:
        await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
        for user, code in ((7, "107"),):
            assert (await send(reader, user, "", code))[0] == 303
        found = await cabinet.shop.service.accounts.registered()
        [ours] = (one for one in found if one.crm.url == cabinet.newcomer.url)
        assert ours.calls.fallback == "group:107"


def shop_with(fallback: str, *codes: str) -> RegisteredAccount:
    extensions = [{"user_id": user, "code": code} for user, code in enumerate(codes, 1)]
    return read_account(account_toml()).altered(calls={"fallback": fallback}, extensions=extensions)


@pytest.mark.parametrize(
    ("before", "fallback", "after", "then"),
    [
        ((), "", ("101",), "group:101"),
        (("101",), "group:101", ("101", "102"), "group:101,102"),
        (("101", "102"), "group:102,101", ("101",), "group:101"),
        (("101",), "", ("101", "102"), ""),
        (("101", "102"), "group:101", ("101", "102", "103"), "group:101"),
        (("101",), "queue:sales", ("101", "102"), "queue:sales"),
    ],
)
def test_the_group_of_all_follows_the_extensions_until_somebody_chooses(
    before: tuple[str, ...], fallback: str, after: tuple[str, ...], then: str
) -> None:
    account = with_everybody(shop_with(fallback, *before), shop_with(fallback, *after))
    assert account.calls.fallback == then


async def test_extensions_that_the_pbx_has_and_nobody_are_offered(cabinet: CabinetShop) -> None:
    account = cabinet.shop.account
    known = {"PJSIP": dict.fromkeys(("101", "104", "1000", "99", "trunk", "*97", "0"), "online")}
    assert free_at_pbx(account, known) == ["99", "104", "1000"]
    assert free_at_pbx(account, {"SIP": {"104": "online"}}) == []
