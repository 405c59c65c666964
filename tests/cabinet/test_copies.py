"""Two copies of the service on one Redis: whichever is asked, the one that holds the account answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from socket import create_server
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from redis.asyncio import Redis
from yarl import URL

from ari_app.asterisk.events import NewCaller
from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.retailcrm.registration import callback_key
from ari_app.service.click_to_call import LIMITS, Clicks
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from ari_app.settings import Settings
from ari_app.store.keys import COPIES, Keys
from cabinet.api.fields import LONGEST_LINE
from cabinet.app import make_app
from cabinet.frame.passing import FRESH_SECONDS, HEADER, PASSING
from cabinet.frame.visits import visit_to
from tests.cabinet.cabinet_shop import Reader
from tests.cabinet.clicking import Line
from tests.cabinet.shop import ANNA, CHANNEL, CLIENT_ID, SECRET_KEY, Client, ReportingShop
from tests.cabinet.test_api_upload import wav

VISITOR = "203.0.113.7"


class Copy:
    """One copy, and who asks it."""

    def __init__(self, name: str, redis: Redis, folder: Path) -> None:
        self.name = name
        self.socket = create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        settings = Settings(
            data_dir=folder, copy_url=self.address, proxies=1, public_url="http://shop", _env_file=None
        )
        self.service = Service(settings, redis, SECRET_KEY, name, share_seconds=3600)
        self.app = make_app(self.service)
        self.client: Client
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._work = asyncio.create_task(self.service.run())
        server = TestServer(self.app, socket_factory=lambda *_: self.socket)
        await server.start_server(max_line_size=LONGEST_LINE)
        self.client = TestClient(server, cookie_jar=aiohttp.CookieJar(unsafe=True))
        await self.client.start_server()
        await self.service.loaded.wait()

    async def knows(self, *names: str) -> None:
        """Wait until it knows these copies, and no other."""
        async with asyncio.timeout(10):
            while set(self.service.copies.known) != set(names):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def stop_working(self) -> None:
        """End as SIGTERM lets it; it is still asked."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None

    async def stop(self) -> None:
        await self.client.close()
        await self.stop_working()
        self.socket.close()


class TwoCopies:
    """A shop that one copy holds, and another doesn't."""

    def __init__(self, shop: ReportingShop, holder: Copy, other: Copy) -> None:
        self.shop = shop
        self.holder = holder
        self.other = other
        self.line = Line()
        held = holder.service.shops[shop.account.id]
        held.clicks = Clicks(held.current, self.line, lambda: 0.0, LIMITS)

    @property
    def held(self) -> Shop:
        """The account at work."""
        return self.holder.service.shops[self.shop.account.id]

    async def reader(self, copy: Copy) -> Reader:
        """Somebody who comes to a copy from the CRM."""
        secret = self.shop.account.crm.cabinet_secret
        assert secret is not None
        reader = Reader(copy.client, "en")
        assert (await reader.get(f"/account/{secret.get_secret_value()}")).status == 303
        return reader

    def signed(self, by: Copy, to: Copy, path: str) -> str:
        """Give the pass with which a copy passes a request on to another."""
        asked = make_mocked_request("GET", path, headers={"Host": URL(to.address).authority})
        return by.app[PASSING].sign(asked, to.name)

    async def status(self, copy: Copy, path: str, given: str) -> int:
        """Ask a copy with a pass."""
        async with copy.client.get(URL(path, encoded=True), headers={HEADER: given}) as answer:
            return answer.status

    async def click(self, copy: Copy, **headers: str) -> tuple[int, object]:
        given = {"clientId": CLIENT_ID, "code": "101", "phone": ANNA}
        async with copy.client.get("/crm/call", params=given, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def copies(redis: Redis, tmp_path: Path) -> AsyncIterator[TwoCopies]:
    async with SimulatedCrm() as crm:
        shop = ReportingShop(crm, redis, tmp_path, time.time)
        await shop.apply()
        started: list[Copy] = []
        try:
            for name in ("one", "other"):
                copy = Copy(name, redis, tmp_path)
                await copy.start()
                started.append(copy)
                await copy.knows(*(one.name for one in started))
            await started[0].knows("one", "other")
            assert shop.account.id in started[0].service.shops
            assert shop.account.id not in started[1].service.shops
            yield TwoCopies(shop, *started)
        finally:
            for copy in reversed(started):
                await copy.stop()


# -- what is passed on --------------------------------------------------------------------------------------


async def test_a_click_at_a_copy_that_does_not_hold_the_account_is_placed_by_the_one_that_does(
    copies: TwoCopies,
) -> None:
    placed = {"success": True, "call": "call-1"}
    assert await copies.click(copies.other) == (200, placed)
    assert await copies.click(copies.holder) == (200, placed)  # the same click
    assert copies.line.placed == {("101", ANNA): ("call-1", None, "default,1")}


@pytest.mark.parametrize("multipart", [False, True])
async def test_a_form_is_passed_on_though_it_was_read_to_know_whose_it_is(
    copies: TwoCopies, multipart: bool
) -> None:
    form = aiohttp.FormData(
        {"clientId": CLIENT_ID, "code": "101", "phone": ANNA}, default_to_multipart=multipart
    )
    async with copies.other.client.post("/crm/call", data=form) as answer:
        assert (answer.status, (await answer.json())["call"]) == (200, "call-1")


async def test_a_status_and_what_the_crm_says_of_the_module_reach_the_holder(copies: TwoCopies) -> None:
    shop = copies.shop.account
    assert shop.crm.cabinet_secret is not None
    key = callback_key(shop.crm.cabinet_secret.get_secret_value())
    given = {"clientId": CLIENT_ID, "code": "101", "status": "dinner"}
    async with copies.other.client.get(f"/crm/status/{key}", params=given) as answer:
        assert answer.status == 200, await answer.text()
    assert copies.held.away == {"101"}
    off = {"clientId": CLIENT_ID, "activity": '{"active": false}'}
    async with copies.other.client.post(f"/crm/activity/{key}", data=off) as answer:
        assert answer.status == 200, await answer.text()
    assert not copies.held.activity.on


async def test_the_holder_hears_what_another_copy_has_read_of_the_module_in_the_crm(
    copies: TwoCopies,
) -> None:
    await copies.other.service.switch_telephony(copies.shop.account.id, False)
    async with asyncio.timeout(30):
        while copies.held.activity.on:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_report_and_the_file_of_a_recording_are_taken_by_the_holder(copies: TwoCopies) -> None:
    report = {"clientId": CLIENT_ID, "uniqueid": CHANNEL, "phone": ANNA, "code": "101"}
    async with copies.other.client.get("/api/event", params=report | {"type": "in"}) as answer:
        assert (answer.status, (await answer.json())["taken"]) == (200, "new")
    sent = aiohttp.FormData()
    for name, value in (report | {"type": "upload"}).items():
        sent.add_field(name, value)
    sound = wav(60.0)
    sent.add_field("file", sound, filename="call.wav", content_type="audio/wav")
    async with copies.other.client.post("/api/event", data=sent) as answer:
        assert answer.status == 200, await answer.text()
        call = (await answer.json())["call"]
    recordings = copies.holder.service.recordings
    assert recordings.path_of(recordings.name_of(call)).read_bytes() == sound


async def test_a_file_streams_through_as_it_comes(copies: TwoCopies, tmp_path: Path) -> None:
    report = {"clientId": CLIENT_ID, "uniqueid": CHANNEL, "phone": ANNA, "code": "101"}
    async with copies.other.client.get("/api/event", params=report | {"type": "in"}) as answer:
        assert answer.status == 200
    sound, halfway = wav(60.0), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield sound[: len(sound) // 2]
        await halfway.wait()
        yield sound[len(sound) // 2 :]

    given = {"clientId": CLIENT_ID, "type": "upload", "uniqueid": CHANNEL}

    async def send() -> aiohttp.ClientResponse:
        return await copies.other.client.post("/api/event", params=given, data=pieces())

    sending = asyncio.create_task(send())
    async with asyncio.timeout(30):
        while not any(file.stat().st_size for file in (tmp_path / "recordings").rglob("*") if file.is_file()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    halfway.set()
    answer = await sending
    assert answer.status == 200, await answer.text()


async def test_a_dialplan_that_asks_who_calls_is_told_by_the_holder(copies: TwoCopies) -> None:
    given = {"clientId": CLIENT_ID, "phone": ANNA, "type": "text"}
    async with copies.other.client.get("/api/manager", params=given) as answer:
        assert (answer.status, await answer.text()) == (200, "Иванова Анна,101")


# -- the cabinet --------------------------------------------------------------------------------------------


async def test_a_live_call_is_seen_and_ended_at_a_copy_that_does_not_hold_it(copies: TwoCopies) -> None:
    reader = await copies.reader(copies.other)
    stream = await reader.get("/live/calls")
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert "Not known: Asterisk is not connected" in (await stream.content.readuntil(b"\n\n")).decode()
    new = NewCaller("1700000000.7", "PJSIP/trunk-00000001", ("incoming", "84951112233"), "89161234567")
    copies.held.line.arrived(new, time.time())
    (call,) = copies.held.line.calls
    async with asyncio.timeout(30):
        while call.id not in (await stream.content.readuntil(b"\n\n")).decode():
            pass
    token = await reader.token("/live")
    ended = await reader.client.post(
        "/live/hang-up",
        data={"token": token, "call": call.id, "sure": "yes"},
        headers=reader.headers | {"X-Forwarded-For": VISITOR},
        allow_redirects=False,
    )
    assert ended.headers["Location"] == "/live?hung-up=yes"
    async with asyncio.timeout(30):
        while copies.held.line.calls and copies.held.line.calls[0].ending is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    journal = await copies.shop.calls.journal(call.id)
    assert VISITOR in "".join(repr(line.event) for line in journal)
    stream.close()


async def test_a_page_that_redis_can_answer_is_answered_where_it_is_asked(copies: TwoCopies) -> None:
    reader = await copies.reader(copies.other)
    await copies.holder.client.close()  # nobody can be asked any more
    assert "Statistics" in await reader.text("/statistics")
    assert (await reader.get("/live")).status == 503


async def test_the_time_zone_of_the_crm_is_known_at_every_copy(copies: TwoCopies) -> None:
    account = copies.shop.account
    assert account.crm.cabinet_secret is not None
    key = callback_key(account.crm.cabinet_secret.get_secret_value())
    told = {"clientId": CLIENT_ID, "settings": '{"timezone": "Asia/Vladivostok"}'}
    async with copies.other.client.post(f"/crm/settings/{key}", data=told) as answer:
        assert answer.status == 200
    for copy in (copies.holder, copies.other):
        visit = await visit_to(copy.service, account.id)
        assert visit is not None
        assert visit.zone.key == "Asia/Vladivostok"


async def test_a_stream_ends_when_the_account_has_moved(copies: TwoCopies) -> None:
    reader = await copies.reader(copies.holder)
    stream = await reader.get("/live/calls")
    await stream.content.readuntil(b"\n\n")
    await copies.holder.stop_working()
    async with asyncio.timeout(30):
        await stream.read()


# -- what is not passed on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "1 2 3 4", "x", "1764100000000 word 10.0.0.1 " + "0" * 64])
async def test_a_forged_pass_is_refused(copies: TwoCopies, given: str) -> None:
    for copy in (copies.holder, copies.other):
        async with copy.client.get("/crm/call", headers={HEADER: given}) as answer:
            assert answer.status == 403
    assert copies.line.placed == {}


async def test_a_pass_is_good_for_one_request_at_one_copy_and_once(copies: TwoCopies) -> None:
    path = f"/crm/call?clientId={CLIENT_ID}&code=101&phone=%2B79161234567"
    given = copies.signed(copies.other, copies.holder, path)
    assert await copies.status(copies.other, path, given) == 403
    assert await copies.status(copies.holder, path + "&userId=1", given) == 403
    assert await copies.status(copies.holder, path, given) == 200
    assert await copies.status(copies.holder, path, given) == 403


async def test_an_old_pass_is_refused(copies: TwoCopies) -> None:
    path = f"/crm/call?clientId={CLIENT_ID}&code=101&phone=%2B79161234567"
    copies.other.service.copies._ahead -= FRESH_SECONDS + 5
    given = copies.signed(copies.other, copies.holder, path)
    assert await copies.status(copies.holder, path, given) == 403


async def test_what_was_passed_on_is_not_passed_on_again(copies: TwoCopies) -> None:
    path = f"/crm/call?clientId={CLIENT_ID}&code=101&phone=%2B79161234567"
    given = copies.signed(copies.holder, copies.other, path)
    assert await copies.status(copies.other, path, given) == 503
    assert copies.line.placed == {}


async def test_nothing_is_passed_to_a_holder_that_is_no_copy_at_work(copies: TwoCopies) -> None:
    lease = Keys(copies.shop.account.id).lease
    await copies.shop.redis.hset(lease, mapping={"holder": "stranger", "address": "http://127.0.0.1:9"})
    assert (await copies.click(copies.other))[0] == 503


async def test_while_nobody_holds_the_account_the_crm_is_asked_to_come_again(copies: TwoCopies) -> None:
    await copies.other.service.copies.say(0, open=True)
    lease = Keys(copies.shop.account.id).lease
    await copies.shop.redis.hset(lease, "holder", "")
    given = {"clientId": CLIENT_ID, "code": "101", "phone": ANNA}
    async with copies.other.client.get("/crm/call", params=given) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


async def test_who_is_unknown_everywhere_is_refused_at_once(copies: TwoCopies) -> None:
    async with copies.other.client.get("/crm/call", params={"clientId": "nobody"}) as answer:
        assert answer.status == 401


# -- who is a copy ------------------------------------------------------------------------------------------


async def test_a_copy_that_is_silent_is_forgotten_and_one_that_ends_at_once(
    copies: TwoCopies, redis: Redis
) -> None:
    said: Any = await redis.hget(COPIES, "one")
    at, what = said.decode().split(" ", 1)
    await redis.hset(COPIES, "gone", f"{int(at) - 60_000} {what}")
    await redis.hset(COPIES, "of the future", f"{int(at) + 60_000} {what}")
    await copies.other.service.copies.say(0, open=True)
    assert set(copies.other.service.copies.known) == {"one", "other"}
    await copies.holder.stop_working()
    await copies.other.knows("other")
