"""The API as a page: all of the description is there, in both languages, and its examples work."""

import json
import re
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from redis.asyncio import Redis

from ari_app.store.tokens import Tokens
from cabinet.api import reference
from cabinet.api.openapi import DESCRIPTION
from cabinet.routes import API
from tests.browser.lively import sound
from tests.cabinet.cabinet_shop import CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import CLIENT_ID, ReportingShop, reporting_shop

PAGE = "/api-access/reference"
EXAMPLES = [(operation.id, request) for operation in reference.operations() for request in operation.requests]


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def stranger(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        yield reader


@pytest.fixture
async def shop(redis: Redis, tmp_path: Path) -> AsyncIterator[ReportingShop]:
    async with reporting_shop(redis, tmp_path, time.time) as shop:
        yield shop


def test_every_address_of_the_api_is_described() -> None:
    described = {
        (method.upper(), path) for path, methods in DESCRIPTION["paths"].items() for method in methods
    }
    assert {(route.method, route.path) for route in API} == described


async def test_the_page_shows_every_address_parameter_and_answer(stranger: Reader) -> None:
    text = unescape(await stranger.text(PAGE))
    for path, methods in DESCRIPTION["paths"].items():
        for method, said in methods.items():
            begin = text.index(f'<h2 id="{said["operationId"]}"><code>{method.upper()} /api{path}</code>')
            section = text[begin : text.index("</section>", begin)]
            for parameter in said.get("parameters", ()):
                assert f"<code>{parameter['name']}</code>" in section
            for name in fields_of_the_body(said):
                assert f"<code>{name}</code>" in section
            for status, answer in said["responses"].items():
                assert f"<code>{status}</code>" in section
                assert answer["description"] in section


def fields_of_the_body(said: dict[str, Any]) -> Iterator[str]:
    for content in said.get("requestBody", {}).get("content", {}).values():
        for shape in content["schema"].get("oneOf", [content["schema"]]):
            yield from shape["properties"]


async def test_the_page_is_for_all_and_has_the_tabs_for_those_who_are_signed_in(
    cabinet: CabinetShop, stranger: Reader
) -> None:
    assert 'href="/extensions"' not in await stranger.text(PAGE)
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        assert 'href="/extensions"' in await reader.text(PAGE)
        assert f'href="{PAGE}"' in await reader.text("/api-access")


async def test_in_russian_all_of_it_is_russian(cabinet: CabinetShop) -> None:
    async with cabinet.reader("ru") as reader:
        text = unescape(await reader.text(PAGE))
    left = [said for said in sentences(DESCRIPTION) if said in text and said != reference.in_russian(said)]
    assert [said for said in left if len(said) > 10] == []
    assert "Имя клиента и внутренний номер ответственного менеджера" in text


def test_every_sentence_of_the_description_has_its_russian() -> None:
    assert set(sentences(DESCRIPTION)) == set(reference.catalogue())


def sentences(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name in ("description", "summary", "title") and isinstance(value, str):
                yield value
            elif name != "example":
                yield from sentences(value)
    elif isinstance(part, list):
        for value in part:
            yield from sentences(value)


@pytest.mark.parametrize(("operation", "request_shown"), EXAMPLES, ids=lambda value: value[:60])
async def test_what_an_example_shows_works_and_is_answered_as_the_page_says(
    shop: ReportingShop, operation: str, request_shown: str
) -> None:
    """As a shell and curl read it."""
    if "type=upload" in request_shown:
        await shop.reports("hangup", uniqueid="1767225600.42", hangupStatus="ANSWER", billsec="12")
    if operation == "calls":
        await shop.reports("hangup", hangupStatus="ANSWER", billsec="12", duration="17", wait="5")
    token = await Tokens(shop.redis).make(shop.account.id, "an example")
    _, *words = shlex.split(request_shown.replace("CLIENT_ID", CLIENT_ID).replace("TOKEN", token))
    url, headers, form, body = words.pop(), {}, FormData(), None
    for option, value in zip(words[::2], words[1::2], strict=True):
        name, _, given = value.partition("=" if option != "-H" else ": ")
        match option:
            case "-H":
                headers[name] = given
            case "-d":
                body = value.encode()
            case "-F" if given == "@call.wav":
                form.add_field(name, sound(1), filename="call.wav")
            case "-F" | "--data-urlencode":
                form.add_field(name, given)
    method = "POST" if operation == "eventByPost" else "GET"
    sent = {"data": body if body is not None else form} if method == "POST" else {}
    address = url.replace("{address}", str(shop.client.make_url("/")).rstrip("/"))
    async with shop.client.session.request(method, address, headers=headers, **sent) as answer:  # type: ignore[arg-type]
        assert answer.status == 200, await answer.text()
        told = await answer.json()
    shown = example_of(operation)
    assert shown is None or like(shown, told), (shown, told)
    assert told.get("calls") != []


def example_of(operation: str) -> Any:
    (said,) = (one for one in reference.operations() if one.id == operation)
    texts = [content.example for answer in said.answers for content in answer.contents if content.example]
    return json.loads(texts[0]) if texts else None


def like(shown: Any, told: Any) -> bool:
    """Tell whether an answer has the fields of an example, and values of these kinds or none."""
    if isinstance(shown, dict):
        return shown.keys() == told.keys() and all(like(shown[name], told[name]) for name in shown)
    if isinstance(shown, list):
        return all(like(shown[0], one) for one in told)
    return type(shown) is type(told) or shown is None or told is None


async def test_nothing_on_the_page_comes_from_elsewhere(stranger: Reader) -> None:
    text = await stranger.text(PAGE)
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', text)
    assert [address for address in addresses if re.match("(https?:)?//", address)] == []
