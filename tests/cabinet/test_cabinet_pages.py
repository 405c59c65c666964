"""What the cabinet shows."""

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.pofile import read_po
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

from ari_app.store.sessions import Sessions
from ari_app.timeline import legs, timeline
from cabinet.frame import language
from tests.cabinet.cabinet_shop import CabinetShop, Reader, cabinet_shop

CABINET = Path(language.__file__).parents[1]


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def test_a_call_is_found_in_the_log_by_its_number_in_any_spelling(
    cabinet: CabinetShop, reader: Reader
) -> None:
    call = await cabinet.call()
    await cabinet.shop.told()
    for spelling in ("%2B79161234567", "8+(916)+123-45-67"):
        assert f"/calls/{call}" in await reader.text(f"/calls?number={spelling}")
    assert "There are no calls with" in await reader.text("/calls?number=%2B79160000000")
    assert "This is not a number" in await reader.text("/calls?number=Anna")
    assert "<html" not in await (await reader.get("/calls", **{"HX-Request": "true"})).text()


async def test_a_call_tells_what_happened_and_what_the_crm_was_told(
    cabinet: CabinetShop, reader: Reader
) -> None:
    call = await cabinet.call()
    await cabinet.shop.told()
    text = await reader.text(f"/calls/{call}")
    assert "The customer&#39;s card is shown to 101" in text or "card is shown to 101" in text
    assert "The call is in the CRM's history" in text.replace("&#39;", "'")
    assert "the dialplan says: over, answered, 101" in text


async def test_the_first_page_says_what_is_wrong_and_how_to_mend_it(reader: Reader) -> None:
    text = await reader.text("/")
    assert 'data-part="redis"' in text
    assert "Nobody takes connections at this address and port" in text
    assert "Everything works" not in text


async def test_the_first_page_says_that_a_bound_is_near_before_it_is_reached(
    cabinet: CabinetShop, reader: Reader
) -> None:
    shop = cabinet.shop.shop
    text = await reader.text("/")
    assert 'data-part="calls"' not in text
    assert 'data-part="steps"' not in text
    shop.ledger.bytes = int(0.85 * shop.ledger.limit)
    text = await reader.text("/")
    assert "85 % is taken" in text
    assert 'data-part="calls"' not in text
    shop.ledger.bytes = 0
    assert 'data-part="steps"' not in await reader.text("/")


async def test_nothing_secret_stands_on_a_page(cabinet: CabinetShop, reader: Reader) -> None:
    crm = cabinet.shop.account.crm
    for page in ("/", "/live", "/calls"):
        text = await reader.text(page)
        for secret in (crm.api_key, crm.client_id, crm.cabinet_secret):
            assert secret is not None
            assert secret.get_secret_value() not in text


async def test_the_language_is_the_browsers_until_another_is_chosen(cabinet: CabinetShop) -> None:
    async with cabinet.reader("fr;q=1, en;q=0.5, ru;q=0.9") as reader:
        assert 'lang="ru"' in await reader.text("/sign-in")
        answer = await reader.post(
            "/language", token=await reader.token(), language="en", back="/sign-in?next=/calls"
        )
        assert answer.headers["Location"] == "/sign-in?next=/calls"
        assert 'lang="en"' in await reader.text("/sign-in")
    async with cabinet.reader("fr") as reader:
        assert "Адрес CRM" in await reader.text("/sign-in")


@pytest.mark.parametrize(("tongue", "words"), [("en", "There is no such page"), ("ru", "Такой страницы нет")])
async def test_a_page_that_is_not_there_says_so_in_the_readers_language(
    cabinet: CabinetShop, tongue: str, words: str
) -> None:
    async with cabinet.reader(tongue) as reader:
        answer = await reader.get("/nowhere")
        assert answer.status == 404
        assert words in await answer.text()


async def test_a_page_that_fails_says_whom_to_tell(
    cabinet: CabinetShop, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(self: Sessions, ident: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Sessions, "find", fails)
    answer = await reader.get("/")
    assert answer.status == 500
    text = await answer.text()
    assert "A mistake of ours" in text
    assert "ZeroDivisionError" not in text


async def test_without_redis_the_pages_say_so(cabinet: CabinetShop, reader: Reader, redis: Redis) -> None:
    with contextlib.suppress(ConnectionError):
        await redis.execute_command("SHUTDOWN", "NOSAVE")  # type: ignore[no-untyped-call]
    answer = await reader.get("/")
    assert answer.status == 503
    assert "Redis" in await answer.text()


async def test_browsers_are_told_what_a_page_may_do(reader: Reader) -> None:
    headers = (await reader.get("/")).headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("page", ["/", "/live", "/calls", "/sign-in"])
async def test_a_page_needs_nothing_inline_and_nothing_from_another_host(
    cabinet: CabinetShop, reader: Reader, page: str
) -> None:
    if page == "/sign-in":
        async with cabinet.reader() as stranger:
            text = await stranger.text(page)
    else:
        text = await reader.text(page)
    assert not re.search(r"<script(?![^>]* src=)|<style|\son[a-z]+=|\sstyle=", text)
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', text)
    assert [address for address in addresses if re.match("(https?:)?//", address)] == []
    parts = [address for address in addresses if address.startswith("/static/")]
    assert len(parts) >= 4
    size = len(text.encode())
    for address in set(parts):
        answer = await reader.get(address)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        size += int(answer.headers["Content-Length"])  # as it is sent: packed
    assert size < 150_000


def test_every_sentence_has_its_russian() -> None:
    pages = [(f"pages/{name}.py", "python") for name in ("call_me", "call_sheet")]
    method = [("templates/**.html", "jinja2"), *pages]
    options = {"templates/**.html": {"newstyle_gettext": "true", "trimmed": "true", "silent": "false"}}
    said = {found[2] for found in extract_from_dir(str(CABINET), method, options_map=options)}
    for told in (timeline.__file__, legs.__file__):
        said |= {found[1] for found in extract_from_file("python", told, keywords={"say": None})}
    with (CABINET / "locales/ru.po").open("rb") as file:
        catalogue = read_po(file, locale="ru")
    translated = {
        message.id if isinstance(message.id, str) else tuple(message.id)
        for message in catalogue
        if message.id
        and all((message.string,) if isinstance(message.string, str) else message.string or ("",))
    }
    assert said == translated
