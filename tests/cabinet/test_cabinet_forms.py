"""How the forms of settings behave, whatever their page."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.cabinet.cabinet_shop import CabinetShop, Reader, cabinet_shop

_VERSION = re.compile(r'name="version" value="([0-9a-f]+)"')

AS_STORED = {
    "caller_name_prefix": "",
    "manager_caller_name": "CRM",
    "ring_manager_seconds": "60",
    "ring_group_seconds": "60",
    "keep_days": "1095",
    "task_minutes": "30",
    "minutes": "0",
    "record": "yes",
    "recording_format": "wav",
    "country": "RU",
}


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def version(reader: Reader) -> str:
    found = _VERSION.search(await reader.text("/telephony"))
    assert found is not None
    return found[1]


async def send(reader: Reader, seen: str, **typed: str) -> tuple[int, str]:
    """Send the form that was seen; give the status, and the page or where to go."""
    answer = await reader.post(
        "/telephony", token=await reader.token("/"), version=seen, **(AS_STORED | typed)
    )
    return answer.status, answer.headers.get("Location") or await answer.text()


async def test_what_is_applied_is_said_and_stored(cabinet: CabinetShop, reader: Reader) -> None:
    status, then = await send(reader, await version(reader), manager_caller_name="Shop")
    assert (status, then) == (303, "/telephony?saved=1")
    assert "The changes are applied" in await reader.text(then)
    stored = await cabinet.shop.service.accounts.get(cabinet.shop.account.id)
    assert stored is not None
    assert stored.calls.manager_caller_name == "Shop"
    assert stored.pbx == cabinet.shop.account.pbx
    assert stored.crm == cabinet.shop.account.crm


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("0", "Enter a number from 1 to 600"),
        ("601", "Enter a number from 1 to 600"),
        ("soon", "Enter a whole number"),
        ("１２", "Enter a whole number"),
        ("", "Fill in this field"),
        ("9" * 5000, "Enter a whole number"),
    ],
)
async def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_is_kept(
    cabinet: CabinetShop, reader: Reader, typed: str, sentence: str
) -> None:
    status, text = await send(
        reader, await version(reader), ring_group_seconds=typed, caller_name_prefix='<b>"x'
    )
    assert status == 422
    field = re.search(r'<input id="ring_group_seconds"[^>]*>', text)
    assert field is not None
    assert 'aria-invalid="true"' in field[0]
    assert 'aria-describedby="ring_group_seconds-wrong ring_group_seconds-help"' in field[0]
    assert f'value="{typed[:4000]}"' in field[0]
    assert "autofocus" in field[0]
    said = re.search(r'id="ring_group_seconds-wrong">([^<]*)<', text)
    assert said is not None
    assert said[1].startswith(sentence)
    assert "&lt;b&gt;&#34;x" in text
    stored = await cabinet.shop.service.accounts.get(cabinet.shop.account.id)
    assert stored is not None
    assert stored.calls == cabinet.shop.account.calls


async def test_a_form_that_shows_older_settings_is_refused_and_taken_when_it_is_sent_once_more(
    cabinet: CabinetShop, reader: Reader
) -> None:
    seen = await version(reader)
    assert (await send(reader, seen, manager_caller_name="First"))[0] == 303
    status, text = await send(reader, seen, manager_caller_name="Second")
    assert status == 409
    assert "somebody else changed these settings" in text
    assert 'value="Second"' in text
    assert "Stored now:</small>" not in text
    assert re.search(r'id="manager_caller_name-there">Stored now: <b>First</b>', text)
    fresh = _VERSION.search(text)
    assert fresh is not None
    assert (await send(reader, fresh[1], manager_caller_name="Second"))[0] == 303


async def test_what_somebody_changes_on_another_page_disturbs_nobody(
    cabinet: CabinetShop, reader: Reader
) -> None:
    seen = await version(reader)
    accounts = cabinet.shop.service.accounts
    others = cabinet.shop.account.extensions[:1]
    await accounts.change(
        cabinet.shop.account.id, lambda account: account.model_copy(update={"extensions": others})
    )
    assert (await send(reader, seen, caller_name_prefix="VIP"))[0] == 303
    stored = await accounts.get(cabinet.shop.account.id)
    assert stored is not None
    assert (stored.extensions, stored.calls.caller_name_prefix) == (others, "VIP")


async def test_a_form_without_its_token_is_refused(cabinet: CabinetShop, reader: Reader) -> None:
    answer = await reader.post("/telephony", version=await version(reader), **AS_STORED)
    assert answer.status == 403


async def test_who_is_not_signed_in_changes_nothing(cabinet: CabinetShop) -> None:
    async with cabinet.reader() as stranger:
        answer = await stranger.post("/telephony", token=await stranger.token(), **AS_STORED)
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/sign-in")
