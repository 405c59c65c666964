"""The calls of this moment: who talks with whom, for how long; and one of them is ended."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientResponse
from redis.asyncio import Redis

from ari_app.asterisk.events import NewCaller
from ari_app.calls import happenings as h
from ari_app.calls.call import Call
from ari_app.store.accounts import Accounts
from ari_app.store.keys import Keys
from ari_app.timeline.timeline import narrate
from cabinet.pages import live
from cabinet.pages.board import MOST_SHOWN
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import SECRET_KEY
from tests.support.hostile import watched_loop


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def calls_in(cabinet: CabinetShop, channel: str = "1700000000.7", number: str = "89161234567") -> Call:
    """A customer calls, and waits for whom their call rings; give the call. There is no PBX to ring."""
    line = cabinet.shop.shop.line
    line.arrived(NewCaller(channel, "PJSIP/trunk-00000001", ("incoming", "84951112233"), number), time.time())
    return next(call for call in line.calls if call.caller.id == channel)


async def comes_to(reader: Reader, words: str, *, says: bool = True) -> str:
    """Open the page again until it says something, or no longer does."""
    async with asyncio.timeout(60):
        while True:
            text = await reader.text("/live")
            if (words in text) is says:
                return text
            await asyncio.sleep(0.02)


async def test_several_calls_are_shown_each_with_its_step_and_who_is_rung(
    cabinet: CabinetShop, reader: Reader
) -> None:
    anna = await calls_in(cabinet)
    await calls_in(cabinet, "1700000000.8", "89035557788")
    text = await comes_to(reader, "Иванова Анна")
    assert "+7 903 555-77-88" in text
    assert f'name="call" value="{anna.id}"' in text
    assert 'data-stage="ringing"' in text


async def test_a_call_is_ended_when_it_is_sure_that_this_is_wanted(
    cabinet: CabinetShop, reader: Reader
) -> None:
    call = await calls_in(cabinet)
    token = await reader.token("/live")
    asked = await reader.post("/live/hang-up", token=token, call=call.id)
    assert asked.status == 200
    assert "End this call for both sides?" in await asked.text()
    assert all(one.ending is None for one in cabinet.shop.shop.line.calls)
    answer = await reader.post("/live/hang-up", token=token, call=call.id, sure="yes")
    assert (answer.status, answer.headers["Location"]) == (303, "/live?hung-up=yes")
    text = await comes_to(reader, 'data-stage="ending"')
    assert f'value="{call.id}"' not in text
    assert "is being ended" in await reader.text("/live?hung-up=yes")
    journal = await cabinet.shop.calls.journal(call.id)
    told = [sentence.text for line in journal for sentence in narrate(line, call)]
    assert "the call is ended from the cabinet, by 127.0.0.1" in told


async def test_a_call_that_is_over_already_cant_be_ended(cabinet: CabinetShop, reader: Reader) -> None:
    call = await calls_in(cabinet)
    token = await reader.token("/live")
    await comes_to(reader, 'data-stage="ringing"')
    cabinet.shop.shop.line.put(call.id, h.CallerEnded(time.time(), 16))
    await comes_to(reader, f'value="{call.id}"', says=False)
    answer = await reader.post("/live/hang-up", token=token, call=call.id, sure="yes")
    assert answer.headers["Location"] == "/live?hung-up=gone"
    assert "was over already" in await reader.text("/live?hung-up=gone")


async def test_nobody_else_sees_or_ends_a_call(cabinet: CabinetShop, reader: Reader) -> None:
    call = await calls_in(cabinet)
    assert (await reader.post("/live/hang-up", call=call.id, sure="yes")).status == 403
    async with cabinet.reader() as stranger:
        answer = await stranger.post("/live/hang-up", token=await stranger.token(), call=call.id, sure="yes")
        assert answer.headers["Location"].startswith("/sign-in")
        for path in ("/live", "/live/calls"):
            assert (await stranger.get(path)).status == 303
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        assert call.id not in await other.text("/live")
        answer = await other.post("/live/hang-up", token=await other.token("/live"), call=call.id, sure="yes")
        assert answer.headers["Location"] == "/live?hung-up=gone"
    assert all(one.ending is None for one in cabinet.shop.shop.line.calls)


async def test_the_list_is_sent_again_when_something_changes_and_not_otherwise(
    cabinet: CabinetShop, reader: Reader
) -> None:
    answer = await reader.get("/live/calls")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    first = await answer.content.readuntil(b"\n\n")
    assert b"Not known: Asterisk is not connected" in first
    call = await calls_in(cabinet)
    async with asyncio.timeout(60):
        second = await answer.content.readuntil(b"\n\n")
    assert call.id.encode() in second
    answer.close()


async def listed(stream: ClientResponse, words: str) -> str:
    """Wait until a list that is sent says something."""
    async with asyncio.timeout(5):
        while True:
            sent = (await stream.content.readuntil(b"\n\n")).decode()
            if words in sent:
                return sent


async def asked(redis: Redis, command: str) -> int:
    """Say how often Redis was asked by a command."""
    found = await redis.info("commandstats")
    return int(found.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def looked_for_changed_accounts(redis: Redis, times: int) -> None:
    """Wait until the service has looked so often for changed accounts, which it does twice a second."""
    before = await asked(redis, "get")
    async with asyncio.timeout(10):
        while True:
            if await asked(redis, "get") >= before + times:
                return
            await asyncio.sleep(0.05)


async def test_a_reader_of_a_quiet_account_costs_nothing(
    cabinet: CabinetShop, reader: Reader, redis: Redis
) -> None:
    streams = [await reader.get("/live/calls") for _ in range(5)]
    for stream in streams:
        await listed(stream, "Not known: Asterisk is not connected")
    before = await asked(redis, "smembers"), await asked(redis, "hgetall")
    await looked_for_changed_accounts(redis, 5)
    assert (await asked(redis, "smembers"), await asked(redis, "hgetall")) == before
    for stream in streams:
        stream.close()


async def test_what_changes_is_read_once_however_many_have_the_list_open(
    cabinet: CabinetShop, reader: Reader, redis: Redis
) -> None:
    async with cabinet.reader("ru") as other:
        await other.enter(cabinet)
        streams = [await reader.get("/live/calls") for _ in range(5)]
        streams += [await other.get("/live/calls") for _ in range(5)]
        for stream in streams:
            await stream.content.readuntil(b"\n\n")
        before, seen = await asked(redis, "smembers"), cabinet.shop.shop.changes.count
        call = await calls_in(cabinet)
        sent = [await listed(stream, call.id) for stream in streams]
        assert ["With whom" in text for text in sent] == [True] * 5 + [False] * 5
        assert ["С кем" in text for text in sent] == [False] * 5 + [True] * 5
        assert await asked(redis, "smembers") - before <= cabinet.shop.shop.changes.count - seen < 5
        for stream in streams:
            stream.close()


async def test_the_list_goes_on_when_the_account_is_opened_anew(
    cabinet: CabinetShop, reader: Reader, redis: Redis
) -> None:
    before, changes = cabinet.shop.shop, cabinet.shop.shop.changes
    answer = await reader.get("/live/calls")
    await listed(answer, "Not known: Asterisk is not connected")
    account = cabinet.shop.account
    pbx = account.pbx.model_copy(update={"http_port": 10})
    await Accounts(redis, SECRET_KEY).apply(account.model_copy(update={"pbx": pbx}), keep_client_id=True)
    async with asyncio.timeout(10):
        await changes.behind(changes.count)
    assert cabinet.shop.shop is not before
    call = await calls_in(cabinet)
    await listed(answer, call.id)
    answer.close()


async def test_an_account_has_so_many_lists_open_and_no_more(
    cabinet: CabinetShop, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_STREAMS", 2)
    first, second = await reader.get("/live/calls"), await reader.get("/live/calls")
    assert (await reader.get("/live/calls")).status == 429
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        others = await other.get("/live/calls")
        assert others.status == 200
        others.close()
    first.close()
    async with asyncio.timeout(60):
        while True:
            again = await reader.get("/live/calls")
            if again.status == 200:
                break
            await asyncio.sleep(0.02)
    again.close()
    second.close()


async def test_a_call_that_the_shops_own_dialplan_reports_is_shown_until_it_reports_the_end(
    cabinet: CabinetShop, reader: Reader
) -> None:
    answer = await reader.get("/live/calls")
    await cabinet.shop.reports("in")
    await listed(answer, "+7 916 123-45-67")
    text = await comes_to(reader, "+7 916 123-45-67")
    assert "in the dialplan" in text
    assert "101" in text
    assert "data-confirm" not in text  # it isn't ours to end
    await cabinet.shop.reports("hangup", status="ANSWER", duration="5")
    await listed(answer, "Not known: Asterisk is not connected")
    answer.close()
    await comes_to(reader, "Not known: Asterisk is not connected")


async def test_twenty_thousand_reported_calls_without_an_end_hold_nobody_up(
    cabinet: CabinetShop, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = cabinet.shop
    assert await shop.reports("in") == "new"
    call = await shop.call()
    keys = Keys(shop.account.id)
    state = await shop.redis.get(keys.call(call.id))
    assert isinstance(state, bytes)
    for portion in range(100):
        pipe = shop.redis.pipeline(transaction=False)
        for one in range(200):
            ident = f"reported-{portion * 200 + one:032}"
            pipe.set(keys.call(ident), state.replace(call.id.encode(), ident.encode()))
            pipe.sadd(keys.reported, ident)
        await pipe.execute()
    await reader.text("/live")  # its template is compiled once
    with watched_loop(monkeypatch) as steps:
        await shop.shop.reported.resume()
        text = await reader.text("/live")
        stream = await reader.client.get("/live/calls")
        async with asyncio.timeout(60):
            assert b"event: calls" in await stream.content.readline()
        stream.close()
    assert shop.shop.reported.open == 20_001
    assert text.count("<tr>") == 1 + MOST_SHOWN
    assert f"{20_001 - MOST_SHOWN}" in text
    assert steps.longest < 0.1, steps.what
