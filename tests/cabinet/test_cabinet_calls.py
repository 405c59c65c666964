"""The call log: calls are found by what is known of them, opened, and saved as a table."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from socket import create_server
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from babel.messages.pofile import read_po
from redis.asyncio import Redis

from ari_app.accounts.staff import Person
from ari_app.calls.call import Direction, Leg, LegState, Role
from ari_app.calls.outcome import Ending, LegResult
from ari_app.store.staff import StaffStore
from cabinet.forms import call_filter
from cabinet.forms.call_filter import CallFilter
from cabinet.frame import language
from cabinet.pages import call_log, call_sheet
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.kept_calls import ANNA, BORIS, keep, over, recorded

MOSCOW = ZoneInfo("Europe/Moscow")
PART = {"HX-Request": "true"}


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


def moscow(day: str) -> float:
    """A moment of the shop's own time."""
    return datetime.fromisoformat(day).replace(tzinfo=MOSCOW).timestamp()


async def shown(reader: Reader, query: str) -> list[str]:
    """Name the calls that the log shows, in its order."""
    text = await reader.text(f"/calls?{query}")
    return named(text)


def named(text: str) -> list[str]:
    """Name the calls to which a page leads."""
    return re.findall(r'href="/calls/([^"?]+)', text)


async def test_filters_find_calls_by_manager_result_and_direction_and_combine(
    cabinet: CabinetShop, reader: Reader
) -> None:
    now = time.time()
    await keep(
        cabinet.shop.calls,
        over("talked", now - 50),
        over("missed", now - 40, ending=Ending.GAVE_UP),
        over("other", now - 30, talker="102", number=BORIS),
        over("out", now - 20, talker="102", direction=Direction.OUT),
        over("nobody", now - 10, number=BORIS, talker="102", ending=Ending.BUSY),
    )
    assert await shown(reader, "") == ["nobody", "out", "other", "missed", "talked"]
    assert await shown(reader, "manager=101") == ["missed", "talked"]
    assert await shown(reader, "result=answered") == ["out", "other", "talked"]
    assert await shown(reader, "result=missed") == ["nobody", "missed"]
    assert await shown(reader, "result=gave+up") == ["missed"]
    assert await shown(reader, "direction=out") == ["out"]
    assert await shown(reader, "manager=102&direction=in&result=missed&number=8+903+555-77-88") == ["nobody"]
    assert await shown(reader, "manager=103") == []
    assert "No call fits" in await reader.text("/calls?manager=103")


async def test_a_manager_who_handed_the_customer_over_is_found_too(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await keep(cabinet.shop.calls, over("handed", time.time(), talker="102", first_talker="101"))
    assert await shown(reader, "manager=101") == ["handed"]
    assert await shown(reader, "manager=102") == ["handed"]
    assert "101 → 102" in " ".join((await reader.text("/calls")).split())


async def test_a_period_goes_by_the_days_of_the_shops_time_zone(cabinet: CabinetShop, reader: Reader) -> None:
    await keep(
        cabinet.shop.calls,
        over("before", moscow("2026-03-07T23:59:59")),
        over("first", moscow("2026-03-08T00:00:00")),
        over("last", moscow("2026-03-09T23:59:59")),
        over("after", moscow("2026-03-10T00:00:00")),
    )
    assert await shown(reader, "period=own&from=2026-03-08&to=2026-03-09") == ["last", "first"]
    assert await shown(reader, "from=2026-03-09") == ["after", "last"]
    assert await shown(reader, "period=own&to=2026-03-08") == ["first", "before"]
    assert len(await shown(reader, "period=&from=2026-03-09")) == 4


async def test_a_period_that_is_chosen_quickly_ends_today(cabinet: CabinetShop, reader: Reader) -> None:
    now = datetime.now(MOSCOW)
    calls = [
        over(f"{days} days ago", (now - timedelta(days=days)).timestamp()) for days in (0, 1, 6, 7, 29, 30)
    ]
    await keep(cabinet.shop.calls, *calls)
    assert len(await shown(reader, "period=today")) == 1
    assert len(await shown(reader, "period=yesterday")) == 1
    assert len(await shown(reader, "period=week")) == 3
    assert len(await shown(reader, "period=month")) == 5


def test_a_day_has_23_hours_when_clocks_are_put_forward() -> None:
    since, until = CallFilter(period="own", first="2026-03-29", last="2026-03-29").span(
        ZoneInfo("Europe/Berlin"), 0
    )
    assert until - since == 23 * 3600


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=yesterday", "This is not a day"),
        ("to=2026-02-30", "This is not a day"),
        ("from=2026-03-09&to=2026-03-08", "ends before it begins"),
        ("number=Anna", "This is not a number"),
    ],
)
async def test_what_cant_be_read_is_said_and_stays_typed(reader: Reader, query: str, said: str) -> None:
    text = await reader.text(f"/calls?{query}")
    assert said in text
    assert f'value="{query.rpartition("=")[2]}"' in text
    assert (await reader.get(f"/calls.csv?{query}")).status == 400


@pytest.mark.parametrize(
    "query", ["behind=x", "behind=nan_1", "manager=<script>", "result=x&direction=y&period=z", "number=%00"]
)
async def test_an_address_that_somebody_made_up_breaks_nothing(reader: Reader, query: str) -> None:
    answer = await reader.get(f"/calls?{query}")
    assert answer.status == 200
    assert "<script>" not in (await answer.text()).replace("<script src", "")


async def test_the_log_is_paged_through_and_each_call_is_seen_once(
    cabinet: CabinetShop, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_log, "ON_A_PAGE", 3)
    at = time.time()
    await keep(cabinet.shop.calls, *(over(f"c{n}", at - n // 2) for n in range(8)))
    seen, page = [], "/calls?result=answered"
    while page:
        text = await reader.text(page)
        seen += named(text)
        page = next(
            (piece.rpartition('href="')[2].partition('"')[0] for piece in text.split('rel="next"')[:-1]), ""
        ).replace("&amp;", "&")
    assert sorted(seen) == [f"c{n}" for n in range(8)]
    assert "To the newest calls" in text


async def test_a_long_look_without_a_result_ends_and_can_be_gone_on_with(
    cabinet: CabinetShop, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_filter, "LOOKED_AT", 4)
    at = time.time()
    await keep(
        cabinet.shop.calls,
        *(over(f"c{n}", at - n) for n in range(6)),
        over("missed", at - 10, ending=Ending.BUSY),
    )
    text = await reader.text("/calls?result=missed")
    assert "4 calls of this period were looked through" in text
    assert "None of them fits so far" in text
    further = text.partition('class="secondary" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "missed" in named(await reader.text(further))


async def test_a_call_of_which_nobody_knows_whether_it_was_answered_is_neither_that_nor_missed(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await keep(cabinet.shop.calls, over("nobody-knows", time.time() - 9, ending=Ending.UNKNOWN))
    for result, shown in (("missed", False), ("answered", False), ("unknown", True)):
        assert ("nobody-knows" in named(await reader.text(f"/calls?result={result}"))) is shown


async def test_a_search_can_be_shared_by_its_address(reader: Reader) -> None:
    answer = await reader.get("/calls?number=&manager=101&result=&direction=&period=week&from=&to=", **PART)
    assert answer.headers["HX-Push-Url"] == "/calls?manager=101&period=week"
    text = await reader.text("/calls?manager=101&period=week&result=busy&direction=in")
    for chosen in ("101", "week", "busy", "in"):
        assert f'<option value="{chosen}" selected>' in text


async def test_the_call_tells_each_legs_own_waiting_and_talking(cabinet: CabinetShop, reader: Reader) -> None:
    at = time.time() - 100
    legs = (
        _leg("1", "101", at, at + 5, at + 25),
        _leg("2", "102", at + 20, at + 27, at + 65),
        _leg("3", "103", at, None, at + 5, LegResult.DECLINED),
    )
    await keep(cabinet.shop.calls, over("handed", at, talker="102", first_talker="101", legs=legs))
    rows = (await reader.text("/calls/handed")).partition("Who was rung")[2].partition("</table>")[0]
    cells = [
        " ".join(piece.partition("</td>")[0].rpartition(">")[2].split()) for piece in rows.split("<td")[1:]
    ]
    assert [cells[n] for n in (0, 2, 3)] == ["101", "0:05", "0:20"]
    assert [cells[n] for n in (4, 6, 7)] == ["102", "0:07", "0:38"]
    assert cells[8:] == ["103", "", "0:05", "—"]


def _leg(
    ident: str, code: str, began: float, up: float | None, end: float, result: LegResult = LegResult.ANSWERED
) -> Leg:
    return Leg(
        ident,
        Role.MANAGER,
        LegState.GONE,
        end,
        code=code,
        result=result,
        rang=True,
        began_at=began,
        answered_at=up,
        ended_at=end,
    )


async def test_the_table_holds_what_was_chosen_and_no_formulas(cabinet: CabinetShop, reader: Reader) -> None:
    file = "a" * 40 + ".wav"
    await keep(
        cabinet.shop.calls,
        over(
            "one", moscow("2026-03-08T12:00:00"), name='=HYPERLINK("http://evil")', recording=recorded(file)
        ),
        over("two", moscow("2026-03-09T12:00:00"), name="Анна; Иванова", ending=Ending.BUSY),
        over("three", moscow("2026-03-10T12:00:00")),
    )
    answer = await reader.get("/calls.csv?from=2026-03-08&to=2026-03-09")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    body = (await answer.read()).decode()
    assert body.startswith("\ufeffWhen;")
    heading, newer, older, end = body.split("\r\n")
    assert end == ""
    assert newer.startswith('2026-03-09 12:00:00;Incoming;79161234567;"Анна; Иванова";74951112233;101;')
    assert "'=HYPERLINK" in older
    assert older.endswith(f"/recordings/{file};one")
    assert heading.count(";") == 11


async def test_a_day_long_ago_and_one_that_nobody_will_see_are_days_too(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await keep(cabinet.shop.calls, over("one", moscow("2026-03-08T12:00:00")))
    assert await shown(reader, "from=1900-01-01&to=9999-12-31") == ["one"]
    assert await shown(reader, "from=9999-12-31") == []


async def test_calls_are_found_by_the_number_of_the_shop_that_was_called(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await keep(
        cabinet.shop.calls,
        over("ours", time.time() - 10),
        replace(over("theirs", time.time() - 20), external="+74952223344"),
    )
    assert await shown(reader, "line=%2B74951112233") == ["ours"]
    assert await shown(reader, "line=+74952223344") == ["theirs"]
    text = await reader.text("/calls")
    assert "+7 495 111-22-33" in text
    assert "+7 495 222-33-44" in text


async def test_who_comes_back_from_a_call_finds_the_filter_as_it_was(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await keep(cabinet.shop.calls, over("one", time.time() - 10))
    assert 'href="/calls/one?manager=101"' in await reader.text("/calls?manager=101")
    assert 'href="/calls?manager=101"' in await reader.text("/calls/one?manager=101&more=x")


async def test_a_recording_is_kept_under_a_name_that_people_can_read(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await StaffStore(cabinet.shop.redis, cabinet.shop.account.id).keep([Person(1, "Ольга/Ольгина")])
    await keep(
        cabinet.shop.calls, over("one", moscow("2026-03-08T12:00:00"), recording=recorded("f" * 32 + ".mp3"))
    )
    assert 'download="2026-03-08 12-00-00 +79161234567 Ольга-Ольгина.mp3"' in await reader.text("/calls/one")


async def test_a_table_of_many_calls_is_whole(cabinet: CabinetShop, reader: Reader) -> None:
    at = time.time()
    await keep(cabinet.shop.calls, *(over(f"c{n}", at - n) for n in range(450)))
    body = await (await reader.get("/calls.csv")).text()
    assert [line.rpartition(";")[2] for line in body.split("\r\n")[1:-1]] == [f"c{n}" for n in range(450)]


async def test_strangers_and_other_accounts_see_nothing_of_the_log(cabinet: CabinetShop) -> None:
    await keep(cabinet.shop.calls, over("secret-call", time.time(), name="Анна Иванова"))
    async with cabinet.reader() as stranger:
        for path in ("/calls", "/calls.csv", "/calls/secret-call"):
            answer = await stranger.get(path)
            assert answer.status == 303
            assert answer.headers["Location"].startswith("/sign-in?next=/calls")
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        assert "secret-call" not in await other.text("/calls")
        assert "secret-call" not in await other.text(f"/calls?number=%2B{ANNA[1:]}")
        assert "secret-call" not in await (await other.get("/calls.csv")).text()
        assert (await other.get("/calls/secret-call")).status == 404


async def test_the_russian_cabinet_tells_a_call_in_russian(cabinet: CabinetShop) -> None:
    call = await cabinet.call()
    await cabinet.shop.told()
    async with cabinet.reader("ru") as reader:
        await reader.enter(cabinet)
        text = await reader.text(f"/calls/{call}")
    assert "диалплан сообщает: входящий, +79161234567, для 101" in text
    assert "диалплан сообщает: завершён, отвечен, 101, ожидание 0 с, разговор 17 с" in text
    assert "the dialplan" not in text


def test_each_translation_has_the_places_of_its_text() -> None:
    with (Path(language.__file__).parents[1] / "locales/ru.po").open("rb") as file:
        catalogue = read_po(file, locale="ru")
    for message in catalogue:
        said = [message.string] if isinstance(message.string, str) else list(message.string or ())
        original = message.id if isinstance(message.id, str) else message.id[-1]
        for text in filter(None, said):
            assert places(text) == places(original), original


def places(text: str) -> set[str]:
    """Name what is put into a text."""
    return set(re.findall(r"%\((\w+)\)s", text))


async def test_who_leaves_while_the_table_of_calls_is_sent_is_no_failure_of_ours() -> None:
    ended: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()

    async def lines(request: web.Request) -> AsyncGenerator[list[str | int], None]:
        for number in range(1000):
            while number == 500 and request.transport is not None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            yield [number]

    async def table(request: web.Request) -> web.StreamResponse:
        try:
            answer = await call_sheet.send(request, ["Number"], lines(request))
        except BaseException as error:
            ended.set_exception(error)
            raise
        ended.set_result(answer)
        return answer

    app = web.Application()
    app.router.add_get("/", table)
    runner = web.AppRunner(app)  # as `serve` has it: nothing is cancelled when somebody leaves
    await runner.setup()
    socket = create_server(("127.0.0.1", 0))
    await web.SockSite(runner, socket).start()
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*socket.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        await reader.readline()
        writer.transport.abort()
        await ended
    await runner.cleanup()
