"""The page of the shop's numbers."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from ari_app.accounts.sections import ExternalPhone
from ari_app.demo.crm.simulator import Status
from ari_app.service.crm_sites import Sites
from cabinet.app import make_app
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import Client

FIRST = ExternalPhone(number="+74951112233", site="shop")


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def send(reader: Reader, path: str = "/numbers", **typed: str) -> tuple[int, str]:
    """Send a form; give the status, and the page or where to go."""
    answer = await reader.post(path, token=await reader.token("/numbers"), **typed)
    return answer.status, answer.headers.get("Location") or await answer.text()


async def phones(cabinet: CabinetShop) -> tuple[ExternalPhone, ...]:
    account = await cabinet.shop.service.accounts.find(cabinet.shop.account.id)
    assert account is not None
    return account.external_phones


def told(cabinet: CabinetShop) -> dict[str, str]:
    module: dict[str, Any] = cabinet.shop.crm_account.rights.modules["ari-app"]
    listed = module["integrations"]["telephony"]["externalPhones"]
    return {one["externalPhone"]: one["siteCode"] for one in listed}


async def test_numbers_are_shown_in_groups_with_their_shop_and_line(reader: Reader) -> None:
    text = await reader.text("/numbers")
    row = re.search(r'<tr id="row-74951112233".*?</tr>', text, re.DOTALL)
    assert row is not None
    assert "+7 495 111-22-33" in row[0]
    assert "Магазин на Садовой" in row[0]
    assert "as usual" in row[0]


@pytest.mark.parametrize(
    "typed", ["8 (800) 700-06-00", "+7 800 700 06 00", "88007000600", "8007000600", "8‑800‑700‑06‑00"]
)
async def test_a_number_is_added_in_any_spelling_and_the_crm_is_told(
    cabinet: CabinetShop, reader: Reader, typed: str
) -> None:
    status, then = await send(reader, number=typed, site="shop", outgoing="line-2, 1")
    assert (status, then) == (303, "/numbers?saved=yes")
    assert await phones(cabinet) == (
        FIRST,
        ExternalPhone(number="+78007000600", site="shop", outgoing="line-2,1"),
    )
    assert told(cabinet) == {"+74951112233": "shop", "+78007000600": "shop"}
    text = await reader.text(then)
    assert "Saved, and retailCRM knows it" in text
    assert "+7 800 700-06-00" in text


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Enter the number"),
        ("the shop's", "This is not a telephone number"),
        ("+7 495 111-22-33x4", "This is not a telephone number"),
        ("1" * 40, "This is not a telephone number"),
        ("7", "This is not a telephone number"),
        ("12", "This is not a telephone number"),
        ("0", "This is not a telephone number"),
        ("8 495 111 22 33", "+7 495 111-22-33 is in the list already (Магазин на Садовой)"),
    ],
)
async def test_what_is_no_number_or_twice_is_refused_beside_the_field(
    cabinet: CabinetShop, reader: Reader, typed: str, sentence: str
) -> None:
    status, text = await send(reader, number=typed, site="", outgoing="default,7")
    assert status == 422
    assert sentence in re.sub(r"\s+", " ", text)
    field = re.search(r'<input id="number-new"[^>]*>', text)
    assert field is not None
    assert 'aria-invalid="true"' in field[0]
    assert f'value="{typed.replace(chr(39), "&#39;")}"' in field[0]
    assert 'value="default,7"' in text
    assert await phones(cabinet) == (FIRST,)


@pytest.mark.parametrize("line", ["default,0", "линия", "a b;c", "x" * 80, "default,1,2"])
async def test_a_line_that_is_none_is_refused(cabinet: CabinetShop, reader: Reader, line: str) -> None:
    status, text = await send(reader, number="88007000600", site="", outgoing=line)
    assert status == 422
    assert "A line is context or context,priority" in text
    assert await phones(cabinet) == (FIRST,)


async def test_a_number_is_changed_and_removed(cabinet: CabinetShop, reader: Reader) -> None:
    row = "/numbers/+74951112233"
    typed = {"number": "+7 495 111-22-34", "site": "", "outgoing": "msk"}
    assert (await send(reader, row, was="shop|", **typed))[0] == 303
    assert await phones(cabinet) == (ExternalPhone(number="+74951112234", outgoing="msk"),)
    assert told(cabinet) == {}
    assert "not chosen" in await reader.text("/numbers")
    status, then = await send(reader, "/numbers/+74951112234", was="|msk", remove="yes", sure="yes", **typed)
    assert (status, then) == (303, "/numbers?saved=removed")
    assert await phones(cabinet) == ()
    assert "There are no numbers yet" in await reader.text("/numbers")


async def test_a_number_can_not_become_another_one_of_the_list(cabinet: CabinetShop, reader: Reader) -> None:
    await send(reader, number="88007000600", site="", outgoing="")
    status, text = await send(
        reader, "/numbers/+78007000600", was="|", number="84951112233", site="", outgoing=""
    )
    assert status == 422
    assert "is in the list already" in text
    assert len(await phones(cabinet)) == 2


async def test_what_somebody_else_changed_meanwhile_is_said(cabinet: CabinetShop, reader: Reader) -> None:
    row, typed = "/numbers/+74951112233", {"number": "+74951112233", "site": "shop", "outgoing": "mine"}
    assert (await send(reader, row, was="shop|", **(typed | {"outgoing": "theirs"})))[0] == 303
    status, text = await send(reader, row, was="shop|", **typed)
    assert status == 409
    assert "Somebody else changed this number" in text
    assert 'name="was" value="shop|theirs"' in text
    assert 'value="mine"' in text
    await send(reader, row, was="shop|theirs", remove="yes", sure="yes", **typed)
    status, text = await send(reader, row, was="shop|theirs", **typed)
    assert status == 409
    assert "Somebody else removed this number" in text


async def test_while_the_crm_is_away_the_shops_are_those_that_it_had(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await reader.text("/numbers")
    cabinet.crm.fault(Status(500))
    cabinet.shop.service.sites = Sites(cabinet.shop.service.informing)  # as a restart makes it
    server: TestServer = TestServer(make_app(cabinet.shop.service))
    async with server:
        client: Client = TestClient(server)
        after_a_restart = Reader(client, "en")
        await after_a_restart.enter(cabinet)
        text = await after_a_restart.text("/numbers")
        await client.session.close()
    assert "Магазин на Садовой" in text
    assert "the shops are those that it had last" in text


async def test_a_crm_that_does_not_answer_leaves_the_number_saved_and_is_told_later(
    cabinet: CabinetShop, reader: Reader
) -> None:
    cabinet.shop.crm_account.fault(Status(500), route="edit")
    assert (await send(reader, number="88007000600", site="shop", outgoing=""))[0] == 303
    assert len(await phones(cabinet)) == 2
    assert "It is told by itself as soon as it answers" in await reader.text("/numbers?saved=yes")
    cabinet.shop.crm_account.heal()
    await cabinet.shop.service.informing.retry()
    assert told(cabinet) == {"+74951112233": "shop", "+78007000600": "shop"}


async def test_others_see_and_change_nothing(cabinet: CabinetShop) -> None:
    row = "/numbers/+74951112233"
    async with cabinet.reader() as stranger:
        for path in ("/numbers", "/numbers?edit=74951112233"):
            assert (await stranger.get(path)).headers["Location"].startswith("/sign-in")
        for path in ("/numbers", row):
            answer = await stranger.post(path, token=await stranger.token(), number="88007000600")
            assert answer.headers["Location"].startswith("/sign-in")
        await stranger.sign_in(cabinet.newcomer.url, NEW_KEY)
        assert "495 111" not in (await stranger.text("/numbers?edit=74951112233")).partition("<form class")[0]
        status, _ = await send(stranger, row, was="shop|", number="+74951112233", remove="yes", sure="yes")
        assert status == 303
    assert await phones(cabinet) == (FIRST,)


async def test_a_form_without_its_token_is_refused(cabinet: CabinetShop, reader: Reader) -> None:
    assert (await reader.post("/numbers", number="88007000600")).status == 403
    assert (await reader.post("/numbers/+74951112233", was="shop|", remove="yes", sure="yes")).status == 403
    assert await phones(cabinet) == (FIRST,)


async def test_it_is_asked_whether_a_number_is_to_go(cabinet: CabinetShop, reader: Reader) -> None:
    status, text = await send(
        reader, "/numbers/+74951112233", was="shop|", number="+74951112233", remove="yes"
    )
    assert status == 200
    assert "Remove the number +7 495 111-22-33?" in text
    assert 'name="was" value="shop|"' in text
    assert len(await phones(cabinet)) == 1


async def test_a_shops_code_that_is_too_long_is_refused_and_not_cut(reader: Reader) -> None:
    status, _ = await send(reader, "/numbers", number="+74952223344", site="s" * 300)
    assert status == 422
