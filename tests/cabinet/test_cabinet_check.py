"""The check as a page, and what it finds in Russian."""

import ast
import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from redis.asyncio import Redis

from ari_app import check
from ari_app.check.findings import bad
from ari_app.demo.crm.simulator import Status
from ari_app.retailcrm.module import MODULE_CODE
from cabinet.pages import findings
from cabinet.pages.findings import in_language, say
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import API_KEY

PARTS = ["everything", "findings", "look", "doors", "asterisk", "dialplan", "places", "followed", "crm"]
PARTS += ["trial"]
"""The checks of a shop; those of the machine are for who runs the service, at the command line."""


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    """The shop's administrator, whose module is registered."""
    async with cabinet.reader() as reader:
        await reader.sign_in(cabinet.shop.crm_account.url, API_KEY)
        yield reader


async def checked(reader: Reader) -> str:
    """Check, and read the page when it is over."""
    answer = await reader.post("/check", token=await reader.token("/check"))
    assert (answer.status, answer.headers["Location"]) == (303, "/check")
    async with asyncio.timeout(60):
        while True:
            text = await reader.text("/check")
            if "hx-trigger" not in text:
                return text
            await asyncio.sleep(0.05)


# The page


async def test_before_the_first_check_the_page_offers_one(reader: Reader) -> None:
    text = await reader.text("/check")
    assert "Nothing was checked yet" in text
    assert "Check now" in text
    assert 'action="/check"' in await reader.text("/")


async def test_a_check_says_what_is_wrong_and_how_to_mend_it(reader: Reader) -> None:
    text = await checked(reader)
    assert "nothing answers at 127.0.0.1:9" in text
    assert "http.conf enabled = yes" in text
    assert f"{MODULE_CODE} is registered, active, and leads the CRM to us" in text
    assert "to be mended" in text
    assert API_KEY not in text


async def test_a_check_speaks_the_readers_language(cabinet: CabinetShop, reader: Reader) -> None:
    await checked(reader)
    reader.headers["Accept-Language"] = "ru"
    text = await reader.text("/check")
    assert "по адресу 127.0.0.1:9 никто не отвечает: соединение отклонено" in text
    assert "у ключа есть право user_read" in text
    shown = text[text.index('class="findings"') :]
    assert "nothing answers" not in shown


async def test_a_module_that_is_switched_off_is_found(cabinet: CabinetShop, reader: Reader) -> None:
    await cabinet.shop.crm_account.switch_module(MODULE_CODE, active=False)
    assert f"{MODULE_CODE} is registered, but switched off" in await checked(reader)


async def test_a_part_of_the_page_comes_alone_while_the_check_goes_on(reader: Reader) -> None:
    await checked(reader)
    answer = await reader.get("/check", **{"HX-Request": "true"})
    text = await answer.text()
    assert text.lstrip().startswith('<div id="check"')
    assert "<html" not in text


async def test_an_account_is_checked_once_at_a_time(cabinet: CabinetShop, reader: Reader) -> None:
    token = await reader.token("/check")
    for _ in range(5):
        assert (await reader.post("/check", token=token)).status == 303
    text = await checked(reader)
    assert text.count("nothing answers at 127.0.0.1:9") == 1


async def test_a_shop_without_a_pbx_is_checked_too(cabinet: CabinetShop) -> None:
    async with cabinet.reader() as newcomer:
        await newcomer.sign_in(cabinet.newcomer.url, NEW_KEY)
        text = await checked(newcomer)
        assert "Asterisk is not connected: no call reaches the service" in text
        assert f"{cabinet.newcomer.url} knows the key" in text


async def test_a_check_needs_a_session_and_a_form_of_ours_and_shows_nobody_elses(
    cabinet: CabinetShop, reader: Reader
) -> None:
    async with cabinet.reader() as stranger:
        assert (await stranger.get("/check")).headers["Location"] == "/sign-in?next=/check"
        answer = await stranger.post("/check", token=await stranger.token())
        assert answer.headers["Location"] == "/sign-in?next=/check"
    assert (await reader.post("/check", token="00" * 64)).status == 403
    await checked(reader)
    async with cabinet.reader() as another:
        await another.sign_in(cabinet.newcomer.url, NEW_KEY)
        assert "Nothing was checked yet" in await another.text("/check")


# How the CRM does


async def test_the_first_page_says_since_when_the_crm_does_not_answer(
    cabinet: CabinetShop, reader: Reader
) -> None:
    assert "last answer" in await reader.text("/")
    cabinet.crm.fault(Status(502, "Bad gateway"))
    await cabinet.shop.manager(type="json")
    text = await reader.text("/")
    assert "502 Bad gateway" in text
    assert "last answer" in text
    cabinet.crm.heal()
    await cabinet.shop.manager(type="json")
    assert "502 Bad gateway" not in await reader.text("/")


async def test_the_first_page_says_that_telephony_is_switched_off(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await cabinet.shop.crm_account.switch_module(MODULE_CODE, active=False)
    text = await reader.text("/")
    assert "Telephony is switched off in retailCRM" in text
    assert "Switch it on in retailCRM" in text


# The catalogue


def catalogue() -> set[str]:
    path = Path(findings.__file__).parents[1] / "locales" / "check.ru.po"
    with path.open("rb") as file:
        return {str(one.id) for one in read_po(file, locale="ru") if one.id and one.string}


def template(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
    return None


def sentences(part: str) -> Iterator[str]:
    """Give what a module of checks says, with a gap where something is put in."""
    path = Path(check.__file__).parent / f"{part}.py"
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in ("good", "bad", "warning", "unknown", "kind"):
            for argument in node.args:
                said = template(argument)
                if said is not None and said.replace("{}", "").strip(": "):
                    yield said


@pytest.mark.parametrize("part", PARTS)
def test_every_sentence_of_a_check_has_its_russian(part: str) -> None:
    names = {"ari.conf", "stasis.conf"}
    assert set(sentences(part)) - catalogue() - names == set()


def test_what_is_put_into_a_sentence_is_translated_too() -> None:
    assert say("nothing answers at pbx:8088: no answer within 4 s") == (
        "по адресу pbx:8088 никто не отвечает: нет ответа за 4 с"
    )
    assert say("the PBX's clock is 7 s ahead of ours: its log and ours tell different times of a call") == (
        "часы у АТС спешат относительно наших на 7 с: время звонка в её журнале и в нашем будет разным"
    )
    assert say("ari-app is registered, but frozen") == "ari-app зарегистрирован, но заморожен"


def test_what_has_no_russian_stays_as_it_is() -> None:
    strange = bad("ARI", "a sentence of tomorrow", "{0} and ${STASISSTATUS}")
    assert in_language(strange, "ru") == strange
    assert in_language(bad("clock", "mend ARI first", "check again"), "en").sentence == "mend ARI first"
