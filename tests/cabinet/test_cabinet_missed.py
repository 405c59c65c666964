"""«Пропущенные»: whom the shop owes a call, who calls them back, and what becomes of it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientResponse
from redis.asyncio import Redis

from ari_app.calls import happenings as h
from ari_app.calls.call import Call
from ari_app.calls.outcome import Ending
from cabinet.pages.missed import ON_A_PAGE
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.kept_calls import ANNA, BORIS, keep, over
from tests.cabinet.test_cabinet_live import calls_in

HOUR = 3600.0
LINE = "+74951112233"


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


def vain(ident: str, ago: float, number: str = ANNA, **more: object) -> Call:
    """A customer calls so many seconds ago, and 101 doesn't take it."""
    return over(ident, time.time() - ago, number, ending=Ending.GAVE_UP, **more)  # type: ignore[arg-type]


def talk(ident: str, ago: float, number: str = ANNA, **more: object) -> Call:
    """A customer calls and talks with 101."""
    return over(ident, time.time() - ago, number, talked=60.0, **more)  # type: ignore[arg-type]


async def press(reader: Reader, number: str = ANNA, code: str = "101", **more: str) -> ClientResponse:
    """Press «call back»."""
    token = await reader.token("/missed")
    return await reader.post("/missed/call", token=token, number=number, code=code, **more)


async def close(reader: Reader, do: str, **fields: str) -> ClientResponse:
    """Press a button of a line of Anna's."""
    given = {"number": ANNA, "opened": "c1", "note": "", "reason": "spam"} | fields
    return await reader.post("/missed/close", token=await reader.token("/missed"), do=do, **given)


def became(answer: ClientResponse) -> str:
    assert answer.status == 303
    return parse_qs(urlsplit(answer.headers["Location"]).query)["became"][0]


def numbers(text: str) -> list[str]:
    """The customers that are shown, in order."""
    return re.findall(r'href="/calls\?number=%2B(\d+)"', text)


async def test_a_line_a_customer_the_oldest_first(cabinet: CabinetShop, reader: Reader) -> None:
    assert "Nobody waits for a call" in await reader.text("/missed")
    await keep(
        cabinet.shop.calls,
        vain("c1", 2 * HOUR, responsible="103", name="Иванова Анна"),
        vain("c2", HOUR),
        vain("c3", 3 * HOUR, BORIS, told=("101", "102")),
        talk("c4", HOUR / 2, "+79261112233"),
    )
    text = await reader.text("/missed")
    assert numbers(text) == [BORIS[1:], ANNA[1:]]
    assert "2 times" in text
    assert "Иванова Анна" in text
    for call in ("c1", "c2"):
        assert f'href="/calls/{call}"' in text
    assert re.search(r'class="count">2<', await reader.text("/calls"))


async def test_it_closes_by_itself_and_says_who_called_back_and_after_how_long(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await keep(cabinet.shop.calls, vain("c1", HOUR), talk("c2", HOUR / 2))
    assert "Nobody waits for a call" in await reader.text("/missed")
    text = await reader.text("/missed?view=done")
    assert numbers(text) == [ANNA[1:]]
    assert "called again, was answered" in text
    assert 'href="/calls/c2"' in text
    assert "after 30:05" in text
    assert 'class="count"' not in text


async def test_who_was_not_called_back_within_a_day_is_lost(cabinet: CabinetShop, reader: Reader) -> None:
    await keep(cabinet.shop.calls, vain("c1", 25 * HOUR), vain("c2", 23 * HOUR, BORIS))
    assert numbers(await reader.text("/missed")) == [BORIS[1:]]
    assert numbers(await reader.text("/missed?view=lost")) == [ANNA[1:]]


async def test_it_is_filtered_by_manager_line_and_period(cabinet: CabinetShop, reader: Reader) -> None:
    await keep(
        cabinet.shop.calls,
        vain("c1", HOUR, responsible="103"),
        vain("c2", HOUR, BORIS, external="+78125550000"),
        vain("c3", 26 * HOUR, "+79261112233"),
    )
    assert numbers(await reader.text("/missed?manager=103")) == [ANNA[1:]]
    assert numbers(await reader.text("/missed?line=%2B78125550000")) == [BORIS[1:]]
    assert numbers(await reader.text("/missed?view=lost&period=today")) == []
    assert "Nobody fits" in await reader.text("/missed?manager=777")
    assert "ends before it begins" in await reader.text("/missed?period=own&from=2026-02-02&to=2026-01-01")


async def test_many_are_shown_on_several_pages(cabinet: CabinetShop, reader: Reader) -> None:
    many = [vain(f"m{n}", HOUR + 100 - n, f"+7916000{n:04}") for n in range(ON_A_PAGE + 3)]
    await keep(cabinet.shop.calls, *many)
    first = numbers(await reader.text("/missed"))
    then = numbers(await reader.text("/missed?page=1"))
    assert len(first) == ON_A_PAGE
    assert [f"+{one}" for one in first + then] == [call.number for call in many]
    for page in ("-1", "99999999999", "x", "²"):
        assert (await reader.get(f"/missed?page={page}")).status == 200


async def test_a_note_is_kept_and_shown_as_it_was_typed(cabinet: CabinetShop, reader: Reader) -> None:
    await keep(cabinet.shop.calls, vain("c1", HOUR))
    assert became(await close(reader, "note", note="после <b>пяти</b>")) == "noted"
    assert "после &lt;b&gt;пяти&lt;/b&gt;" in await reader.text("/missed")


async def test_it_is_closed_without_a_call_for_a_reason(cabinet: CabinetShop, reader: Reader) -> None:
    await keep(cabinet.shop.calls, vain("c1", HOUR))
    assert (await close(reader, "close", reason="boredom")).status == 400
    assert became(await close(reader, "close", reason="spam", note="банк")) == "closed"
    text = await reader.text("/missed?view=done")
    assert "closed without a call" in text
    assert "advertising, spam" in text
    assert "банк" in text
    assert became(await close(reader, "close")) == "gone"
    assert became(await press(reader)) == "gone"


async def test_who_is_on_the_line_already_is_not_called_a_second_time(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await keep(cabinet.shop.calls, vain("c1", HOUR))
    call = await calls_in(cabinet)
    text = await reader.text("/missed")
    assert "calls just now" in text
    assert 'name="number" value="+79161234567" data-busy' not in text
    answer = await press(reader)
    assert became(answer) == "busy"
    assert "somebody is on the line with +7 916 123-45-67" in await reader.text(answer.headers["Location"])
    cabinet.shop.shop.line.put(call.id, h.CallerEnded(time.time(), 16))
    async with asyncio.timeout(60):
        while True:
            if became(await press(reader)) == "no pbx":  # they have hung up: nobody is on the line
                break


async def test_why_a_call_could_not_be_placed_is_said(cabinet: CabinetShop, reader: Reader) -> None:
    await keep(cabinet.shop.calls, vain("c1", HOUR), vain("c2", HOUR, "+18005550100"))
    answer = await press(reader)
    assert became(answer) == "no pbx"
    assert "Asterisk is not connected" in await reader.text(answer.headers["Location"])
    assert became(await press(reader, code="777")) == "no extension"
    abroad = await press(reader, "+18005550100")
    assert became(abroad) == "not allowed"
    assert "may not call that country" in await reader.text(abroad.headers["Location"])
    assert '<option value="101" selected>' in await reader.text("/missed")


async def test_where_one_was_is_kept_after_a_press(cabinet: CabinetShop, reader: Reader) -> None:
    await keep(cabinet.shop.calls, vain("c1", 25 * HOUR))
    answer = await press(reader, view="lost", manager="101", period="week")
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert (asked["view"], asked["manager"], asked["period"]) == (["lost"], ["101"], ["week"])


async def test_nobody_else_sees_or_closes_them(cabinet: CabinetShop, reader: Reader) -> None:
    await keep(cabinet.shop.calls, vain("c1", HOUR))
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        assert numbers(await other.text("/missed")) == []
        assert became(await close(other, "close")) == "gone"
        assert became(await press(other)) == "gone"
    assert numbers(await reader.text("/missed")) == [ANNA[1:]]
