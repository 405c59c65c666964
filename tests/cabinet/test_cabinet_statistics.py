"""«Статистика»: what the reader sees of a period, and what their spreadsheet gets."""

import csv
import io
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from redis.asyncio import Redis

from ari_app.accounts.staff import Person
from ari_app.calls.call import Call, Direction
from ari_app.store.calls import CallStore
from ari_app.store.keys import Keys
from ari_app.store.staff import StaffStore
from ari_app.store.statistics import Figures
from cabinet.pages.charts import chart, round_up, some
from cabinet.pages.statistics import read
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.store.test_statistics import SHOP, call, missed, step

MOSCOW = ZoneInfo("Europe/Moscow")
TODAY = date(2026, 11, 23)


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def log(cabinet: CabinetShop, *calls: Call) -> None:
    """Write calls into the shop's log, as the service does."""
    store = CallStore(cabinet.shop.redis, cabinet.shop.account.id, lambda: MOSCOW)
    await store.write([step(one) for one in calls])


def noon(days_ago: int = 0) -> float:
    day = datetime.now(MOSCOW).date() - timedelta(days=days_ago)
    return datetime(day.year, day.month, day.day, 12, tzinfo=MOSCOW).timestamp()


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=";"))


async def test_a_period_is_summed_up_and_drawn(cabinet: CabinetShop, reader: Reader) -> None:
    out = call("c3", noon(3), direction=Direction.OUT, external=None)
    await log(cabinet, call("c1", noon()), missed("c2", noon(1)), out)
    text = await reader.text("/statistics?period=7")
    assert re.findall(r"<dd>([^<\s]+)", text) == ["3", "2", "1", "0:10", "1:00", "2:00"]
    assert text.count('class="room"') == 7 + 24
    assert "12:00–12:59: answered 2, missed 1" in text
    assert "+7 495 111-22-33" in text
    assert "Number not known" in text
    text = await reader.text("/statistics?period=7&direction=in")
    assert re.findall(r"<dd>([^<\s]+)", text)[:3] == ["2", "1", "1"]
    assert re.findall(r"<dd>([^<\s]+)", await reader.text("/statistics?period=today"))[0] == "1"


async def test_a_call_that_ends_is_counted_at_once(cabinet: CabinetShop, reader: Reader) -> None:
    assert "There were no calls in this period." in await reader.text("/statistics")
    await cabinet.call()
    text = await reader.text("/statistics?period=today")
    assert re.findall(r"<dd>([^<\s]+)", text)[:3] == ["1", "1", "0"]


@pytest.mark.parametrize(
    ("kind", "head", "row"),
    [
        ("days", "Day", [None, "2", "1", "1", "50", "13", "60", "60"]),
        ("hours", "Hour", ["12", "2", "1", "1", "50", "13", "60", "60"]),
        ("lines", "Number of the shop", [f"'{SHOP}", "2", "1", "1", "50", "13", "60", "60"]),
        ("managers", "Extension", ["101", "", "1", "1", "0", "100", "5", "60", "60"]),
    ],
)
async def test_each_table_can_be_saved_as_a_file(
    cabinet: CabinetShop, reader: Reader, kind: str, head: str, row: list[str | None]
) -> None:
    await log(cabinet, call("c1", noon()), missed("c2", noon()))
    answer = await reader.get(f"/statistics.csv?table={kind}&period=today")
    content = await answer.read()
    assert content.startswith(b"\xef\xbb\xbf")
    assert f"statistics-{kind}-" in answer.headers["Content-Disposition"]
    heads, *rows = table(content.decode())
    assert heads[0] == head
    assert heads[-7:][:4] == ["Calls", "Answered", "Missed", "Answered, %"]
    assert all(len(one) == len(heads) for one in rows)
    found = next(one for one in rows if one[0] == row[0] or row[0] is None)
    assert found[1:] == row[1:]


async def test_managers_are_named_as_the_crm_names_them(cabinet: CabinetShop, reader: Reader) -> None:
    staff = StaffStore(cabinet.shop.redis, cabinet.shop.account.id)
    await staff.keep([Person(1, "Ольга Ольгина")])
    await log(cabinet, call("c1", noon()), missed("c2", noon()))
    text = await reader.text("/statistics?period=today")
    assert "Ольга Ольгина <small>101</small>" in text
    content = await (await reader.get("/statistics.csv?table=managers&period=today")).text()
    assert [row[:2] for row in table(content)[1:]] == [["101", "Ольга Ольгина"], ["102", ""]]


async def test_a_file_speaks_the_readers_language(cabinet: CabinetShop) -> None:
    await log(cabinet, call("c1", noon()))
    async with cabinet.reader("ru") as reader:
        await reader.enter(cabinet)
        content = await (await reader.get("/statistics.csv?table=managers&period=today")).text()
    assert table(content)[0][:3] == ["Добавочный", "Сотрудник", "Звонки"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("from=Monday&to=2026-11-23", "The first day can"),
        ("from=2026-11-23&to=31.11.2026", "The last day can"),
        ("from=2026-11-23&to=2026-11-22", "The last day is before the first one."),
        ("from=2024-01-01&to=2026-11-22", "A period of a year at most"),
        ("from=2026-11-23%22%3E%3Cb%3E&to=2026-11-22", "The first day can"),
    ],
)
async def test_a_period_that_cant_be_read_is_said_beside_what_was_typed(
    reader: Reader, asked: str, said: str
) -> None:
    text = (await reader.text(f"/statistics?{asked}")).replace("&#39;", "'")
    assert said in text
    assert 'aria-invalid="true"' in text
    assert "<b>" not in text
    assert (await reader.get(f"/statistics.csv?table=days&{asked}")).status == 400


async def test_a_table_that_there_is_not_cant_be_saved(reader: Reader) -> None:
    assert (await reader.get("/statistics.csv?table=secrets")).status == 400
    assert (await reader.get("/statistics.csv")).status == 400


@pytest.mark.parametrize("page", ["/statistics", "/statistics.csv"])
async def test_statistics_are_for_who_is_signed_in(cabinet: CabinetShop, page: str) -> None:
    async with cabinet.reader() as stranger:
        answer = await stranger.get(f"{page}?period=7")
        assert answer.status == 303
        assert answer.headers["Location"].startswith(f"/sign-in?next={page}")


async def test_another_shops_calls_are_not_counted(cabinet: CabinetShop) -> None:
    await log(cabinet, call("c1", noon()))
    async with cabinet.reader() as newcomer:
        assert (await newcomer.sign_in(cabinet.newcomer.url, NEW_KEY)).status == 303
        assert "There were no calls in this period." in await newcomer.text("/statistics?period=today")
        content = await (await newcomer.get("/statistics.csv?table=managers&period=today")).text()
        assert len(table(content)) == 1


async def test_nothing_on_the_page_is_inline_and_a_long_period_is_not_a_long_page(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await log(cabinet, *(call(f"c{ago}", noon(ago), talker=str(100 + ago % 30)) for ago in range(366)))
    first = datetime.now(MOSCOW).date() - timedelta(days=365)
    for asked in ("period=90", f"from={first}"):
        text = await reader.text(f"/statistics?{asked}")
        assert not re.search(r"<script(?![^>]* src=)|<style|\son[a-z]+=|\sstyle=", text)
        assert len(text.encode()) < 100_000
    assert "By week" in text
    assert text.count('class="room"') == 53 + 24


async def test_what_a_dialplan_calls_a_line_is_shown_as_text(cabinet: CabinetShop, reader: Reader) -> None:
    hostile = replace(call("c1", noon(), talker="<i>101"), external='=HYPERLINK("x");<b>')
    await log(cabinet, hostile)
    text = await reader.text("/statistics")
    assert "<b>" not in text
    assert "<i>" not in text
    content = await (await reader.get("/statistics.csv?table=lines")).text()
    assert table(content)[1][0] == '\'=HYPERLINK("x");<b>'


def test_without_a_period_the_last_30_days_are_meant() -> None:
    asked = read({}, TODAY)
    assert (asked.period, asked.days) == ("30", (date(2026, 10, 25), TODAY))
    asked = read({"from": "2026-11-01", "direction": "sideways"}, TODAY)
    assert (asked.period, asked.direction, asked.days) == ("own", "", (date(2026, 11, 1), TODAY))
    assert read({"period": "nine"}, TODAY).period == "30"


def test_a_chart_is_as_high_as_its_highest_bar_and_a_round_number() -> None:
    assert [round_up(most) for most in (0, 1, 2, 3, 7, 11, 17, 61, 101, 1700)] == [
        *(2, 2, 2, 4, 10, 16, 20, 100, 160, 2000)
    ]
    drawn = chart([("Mon", Figures(answered=15, missed=5)), ("Tue", Figures())], ["Mon", "Tue"])
    assert (drawn.top, drawn.width) == (20, 20)
    assert [(bar.x, bar.answered, bar.missed) for bar in drawn.bars] == [(1, 75, 25), (11, 0, 0)]


def test_a_few_labels_stand_for_many() -> None:
    many = [str(number) for number in range(30)]
    assert some(many) == ["0", "7", "14", "22", "29"]
    assert some(many[:3]) == ["0", "1", "2"]
    assert some(["0"]) == ["0"]
    assert some([]) == []


async def test_the_page_says_in_which_time_zone_days_begin(cabinet: CabinetShop, reader: Reader) -> None:
    assert "Europe/Moscow" in await reader.text("/statistics")


async def test_while_calls_from_before_an_update_are_still_being_counted_it_is_said(
    cabinet: CabinetShop, reader: Reader
) -> None:
    said = "are still being counted"
    assert said not in await reader.text("/statistics")
    await log(cabinet, call("c1", noon(40)), call("c2", noon()))
    assert said not in await reader.text("/statistics")
    old = Keys(cabinet.shop.account.id).call("c1")
    await cabinet.shop.redis.set(old, orjson.dumps(call("c1", noon(40))))
    assert said in await reader.text("/statistics")
    store = CallStore(cabinet.shop.redis, cabinet.shop.account.id, lambda: MOSCOW)
    await store.note_all_counted()
    assert said not in await reader.text("/statistics")
