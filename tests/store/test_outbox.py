"""The outbox with a bad entry in it, with a hundred thousand entries, with what can't be read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from redis.asyncio import Redis

from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.calls import OutboxEntry, TellHangup, TellResult, TellRinging, tagged
from ari_app.calls.orders import Tell
from ari_app.calls.outcome import Ending
from ari_app.demo.crm.faults import Kind
from ari_app.demo.crm.simulator import (
    Closed,
    CrmAccount,
    HtmlPage,
    Manager,
    Nonsense,
    Refusal,
    SimulatedCrm,
    Status,
)
from ari_app.retailcrm import quarantine, route
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.delivery import Delivery
from ari_app.retailcrm.intake import POPUP_SECONDS
from ari_app.retailcrm.pace import Pace
from ari_app.retailcrm.wording import Wording
from ari_app.store.calls import CallStore
from ari_app.store.events import EventStore, What
from ari_app.store.keys import Keys
from tests.support.accounts import account_toml

ANNA = "+79161234567"
BAD: dict[str, Kind] = {
    "500": Status(500),
    "403 in JSON": Status(403),
    "an HTML 403": HtmlPage(403),
    "an HTML 413": HtmlPage(413),
    "an HTML 200": HtmlPage(),
    "nonsense": Nonsense(),
    "closed": Closed(),
}


class Shop:
    """The outbox of one shop, and what tells its CRM."""

    def __init__(self, redis: Redis, crm: SimulatedCrm, account: CrmAccount) -> None:
        self.redis = redis
        self.crm = crm
        self.account = account
        settings = read_account(account_toml(crm={"url": account.url}))
        self.current = Current(settings)
        self.keys = Keys(settings.id)
        self.calls = CallStore(redis, settings.id)
        self.events = EventStore(redis, settings.id)

    async def put(self, call: str, *tells: Tell) -> None:
        """Put into the outbox what the CRM is to be told of a call."""
        for tell in tells:
            await self.redis.xadd(self.keys.outbox, {"call": call, "tell": orjson.dumps(tagged(tell))})

    async def entries(self, call: str, *tells: Tell) -> list[OutboxEntry]:
        """Put the same, and give it as it stands there."""
        ids: list[Any] = [
            await self.redis.xadd(self.keys.outbox, {"call": call, "tell": orjson.dumps(tagged(tell))})
            for tell in tells
        ]
        return [OutboxEntry(ident.decode(), call, tell) for ident, tell in zip(ids, tells, strict=True)]

    @asynccontextmanager
    async def telling(self, held: int = 2_000, pace: Pace | None = None) -> AsyncIterator[Delivery]:
        """Tell the CRM of it all."""
        async with aiohttp.ClientSession() as session:
            crm = RetailCrm(session, self.account.url, self.account.key, pace or Pace.unlimited())
            wording = Wording(self.current, "http://localhost/recordings")
            delivery = Delivery(
                self.calls.outbox, self.calls.missed, crm, wording, self.current, time.time, held
            )
            work = asyncio.create_task(delivery.run())
            try:
                yield delivery
                assert not work.done(), work
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def is_told(self) -> bool:
        """Whether nothing waits any more."""
        return await self.redis.xlen(self.keys.outbox) == 0

    def uploaded(self) -> set[str]:
        """The calls that the CRM has in its history."""
        return {one.call.external_id for one in self.account.uploads}

    def heard(self, call: str) -> list[str]:
        """What the CRM was told of a call while it went on."""
        return [one.event.type for one in self.account.events if one.event.call_external_id == call]


@pytest.fixture
async def shop(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setattr(quarantine, "PAUSES_SECONDS", (0.05,))
    monkeypatch.setattr(route, "FIRST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(route, "DENIED_RETRY_SECONDS", 0.5)
    monkeypatch.setattr(route, "LAST_RETRY_SECONDS", 0.5)
    async with SimulatedCrm(limits=False) as crm:
        yield Shop(redis, crm, crm.account(key="key", managers=[Manager(1, code="101")]))
        assert crm.violations == []


async def until(happened: Callable[[], Awaitable[bool] | bool], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while True:
            so = happened()
            if so if isinstance(so, bool) else await so:
                return
            await asyncio.sleep(0.01)


def rings(at: float) -> TellRinging:
    return TellRinging(at, ANNA, None, ("101",))


def ends(at: float) -> TellHangup:
    return TellHangup(at, ANNA, None, ("101",), Ending.ANSWERED)


def was(at: float) -> TellResult:
    return TellResult(at, at - 20, ANNA, None, "101", Ending.ANSWERED, 5, 10, None)


@pytest.mark.parametrize("fault", BAD.values(), ids=BAD)
async def test_a_result_that_fails_alone_is_set_aside_and_holds_up_no_other(shop: Shop, fault: Kind) -> None:
    calls = [f"call-{number}" for number in range(60)]
    shop.account.fault(fault, route="upload", about="call-17")
    for call in calls:
        await shop.put(call, was(time.time()))
    async with shop.telling() as delivery:
        await until(lambda: shop.uploaded() == set(calls) - {"call-17"})
        more = 0
        while not await shop.is_told():  # it counts only that it fails while others pass
            more += 1
            await shop.put(f"later-{more}", was(time.time()))
            delivery.wake()
            await until(lambda: f"later-{more}" in shop.uploaded())  # noqa: B023
            assert more < 100
        assert delivery.backlog == 0
        assert delivery.problem is None
    [refusal] = await shop.calls.outbox.refusals()
    assert (refusal.call, type(refusal.tell)) == ("call-17", TellResult)
    assert "it failed 5 times while others passed" in refusal.problem
    [event], _ = await shop.events.newest(10)
    assert (event.what, event.values["call"]) == (What.SET_ASIDE, "call-17")

    shop.account.heal()
    async with shop.telling() as delivery:
        assert await shop.calls.outbox.send_again(refusal.id) == "call-17"
        delivery.wake()
        await until(shop.is_told)
    assert "call-17" in shop.uploaded()
    assert await shop.calls.outbox.refusals() == []


async def test_a_hangup_that_fails_alone_goes_aside_and_the_calls_result_is_told_meanwhile(
    shop: Shop,
) -> None:
    now = time.time()
    await shop.put("bad", rings(now))
    async with shop.telling() as delivery:
        await until(lambda: shop.heard("bad") == ["in"])
        shop.account.fault(HtmlPage(403), route="event", about="bad")
        await shop.put("bad", ends(now), was(now))
        delivery.wake()
        told_before = False
        for number in range(100):
            told_before = told_before or bool(shop.uploaded() and not await shop.is_told())
            if await shop.is_told():
                break
            call = f"good-{number}"
            await shop.put(call, rings(time.time()), ends(time.time()))
            delivery.wake()
            await until(lambda call=call: shop.heard(call) == ["in", "hangup"])  # type: ignore[misc]
        assert await shop.is_told()
    assert shop.uploaded() == {"bad"}
    assert told_before
    [refusal] = await shop.calls.outbox.refusals()
    assert (refusal.call, type(refusal.tell)) == ("bad", TellHangup)


async def test_while_everything_fails_nothing_is_set_aside_and_the_order_is_kept(shop: Shop) -> None:
    calls = [f"call-{number}" for number in range(20)]
    now = time.time()
    for call in calls:
        await shop.put(call, rings(now), ends(now), was(now))
    shop.account.fault(Status(500))
    async with shop.telling() as delivery:
        await shop.account.wait_until(lambda crm: len(crm.requests) > 30, timeout=60)
        assert delivery.problem is not None
        assert delivery.backlog == 60
        assert await shop.calls.outbox.refusals() == []
        shop.account.heal()
        await until(shop.is_told)
        assert delivery.problem is None
    assert shop.uploaded() == set(calls)
    assert all(shop.heard(call) == ["in", "hangup"] for call in calls)
    assert await shop.calls.outbox.refusals() == []


async def test_uploads_that_all_fail_are_an_outage_though_popups_pass(shop: Shop) -> None:
    shop.account.fault(Status(500), route="upload")
    async with shop.telling() as delivery:
        for number in range(40):
            call, now = f"call-{number}", time.time()
            await shop.put(call, rings(now), ends(now), was(now))
            delivery.wake()
            await until(lambda call=call: shop.heard(call) == ["in", "hangup"])  # type: ignore[misc]
        await shop.account.wait_until(
            lambda crm: sum(one.route == "upload" for one in crm.requests) > 8, timeout=60
        )
        assert delivery.problem is not None
        assert await shop.calls.outbox.refusals() == []
        shop.account.heal()
        await until(shop.is_told)
    assert len(shop.uploaded()) == 40


async def test_a_refused_result_is_found_among_fifty(shop: Shop) -> None:
    shop.account.fault(Refusal("no such call"), route="upload", about="call-33")
    calls = [f"call-{number}" for number in range(50)]
    for call in calls:
        await shop.put(call, was(time.time()))
    async with shop.telling():
        await until(shop.is_told)
    assert shop.uploaded() == set(calls) - {"call-33"}
    [refusal] = await shop.calls.outbox.refusals()
    assert refusal.call == "call-33"


async def test_what_cannot_be_put_into_the_crms_words_goes_aside(shop: Shop) -> None:
    now = time.time()
    await shop.put("good", was(now))
    await shop.put("bad", TellResult(now, 1e30, ANNA, None, "101", Ending.ANSWERED, 5, 10, None))
    async with shop.telling() as delivery:
        await until(shop.is_told)
        assert delivery.problem is None
    assert shop.uploaded() == {"good"}
    [refusal] = await shop.calls.outbox.refusals()
    assert refusal.call == "bad"


async def test_what_cannot_be_read_goes_aside_untouched_and_comes_back_as_it_was(shop: Shop) -> None:
    odd: list[dict[bytes, bytes]] = [
        {b"call": b"c1", b"tell": b'{"kind":"TellTheWorld", "at": 1.0}'},
        {b"call": b"c2", b"tell": b"\x80oops"},
        {b"call": b"c\xff3", b"tell": b"{}"},
        {b"call": b"c4", b"tell": b"{}", b"version": b"9"},
        {b"what": b"ever"},
    ]
    for entry in odd:
        await shop.redis.xadd(shop.keys.outbox, entry)  # type: ignore[arg-type]
    await shop.put("good", was(time.time()))
    async with shop.telling():
        await until(shop.is_told)
    assert shop.uploaded() == {"good"}
    refusals = await shop.calls.outbox.refusals()
    assert len(refusals) == len(odd)
    for refusal in refusals:
        assert await shop.calls.outbox.send_again(refusal.id) is not None
    again = [fields for _, fields in await shop.redis.xrange(shop.keys.outbox) or []]
    assert again == odd
    assert await shop.calls.outbox.refusals() == []


async def test_an_outbox_that_cannot_be_read_is_said_to_be(shop: Shop) -> None:
    await shop.redis.set(shop.keys.outbox, "no stream")
    async with shop.telling() as delivery:
        await until(lambda: delivery.unread is not None)
        await shop.redis.delete(shop.keys.outbox)
        await shop.put("call", was(time.time()))
        await until(shop.is_told)
        assert delivery.unread is None


async def test_a_long_outbox_is_told_in_portions_in_order_and_delays_no_popup(shop: Shop) -> None:
    """Of 3 000 calls only 200 entries are in memory, and a popup of now goes before them."""
    old = time.time() - 3600
    pipe = shop.redis.pipeline(transaction=False)
    for number in range(3_000):
        for tell in (rings(old), ends(old), was(old)):
            data = {"call": f"call-{number}", "tell": orjson.dumps(tagged(tell))}
            pipe.xadd(shop.keys.outbox, data)  # type: ignore[arg-type]
    await pipe.execute()
    most = 0
    async with shop.telling(held=200) as delivery:
        await until(lambda: delivery.backlog > 1_000)
        await shop.put("now", rings(time.time()))
        began = time.monotonic()
        delivery.wake()
        while not shop.heard("now"):
            most = max(most, delivery.held)
            await asyncio.sleep(0.005)
        assert time.monotonic() - began < POPUP_SECONDS / 2
        assert not await shop.is_told()
        while not await shop.is_told():
            most = max(most, delivery.held)
            await asyncio.sleep(0.005)
        assert delivery.backlog == 0
    assert most <= 400
    assert len(shop.account.uploads) == 3_000
    assert len(shop.account.events) == 1  # of the old calls no popup is told, so no hangup either


async def test_what_failed_in_an_outage_is_told_at_once_when_the_crm_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "PAUSES_SECONDS", (3600.0,))
    calls = ["one", "two", "three"]
    for call in calls:
        await shop.put(call, rings(time.time()))
    shop.account.fault(Status(500))
    async with shop.telling():
        await shop.account.wait_until(lambda crm: len(crm.requests) > 8)
        shop.account.heal()
        await until(shop.is_told, 10)
    assert all(shop.heard(call) == ["in"] for call in calls)


async def test_a_popup_that_was_too_old_is_known_after_a_restart_and_its_end_is_not_told(shop: Shop) -> None:
    at = time.time()
    await shop.put("old", rings(at - 60))
    await shop.put("new", rings(at))
    async with shop.telling():
        await until(shop.is_told)
    await shop.put("old", ends(at), was(at))
    await shop.put("new", ends(at), was(at))
    async with shop.telling():
        await until(shop.is_told)
    assert shop.heard("old") == []
    assert shop.heard("new") == ["in", "hangup"]
    assert shop.uploaded() == {"old", "new"}


async def test_a_popup_sent_for_one_of_two_ends_for_that_one_after_a_restart(shop: Shop) -> None:
    at = time.time()
    await shop.put("c1", rings(at), TellRinging(at - 60, ANNA, None, ("102",)))
    async with shop.telling():
        await until(shop.is_told)
    await shop.put("c1", TellHangup(at, ANNA, None, ("101", "102"), Ending.ANSWERED), was(at))
    async with shop.telling():
        await until(shop.is_told)
    [hangup] = [one.event for one in shop.account.events if one.event.type == "hangup"]
    assert hangup.codes == ["101"]


async def test_what_is_handed_over_is_told_without_the_outbox_being_read(shop: Shop) -> None:
    async with shop.telling() as delivery:
        await until(lambda: delivery.intake.caught_up)
        await shop.redis.config_resetstat()
        for number in range(5):
            delivery.take(await shop.entries(f"call-{number}", rings(time.time()), ends(time.time())))
            delivery.take(await shop.entries(f"call-{number}", was(time.time())))
        await until(shop.is_told)
        assert "cmdstat_xrange" not in await shop.redis.info("commandstats")
    assert [shop.heard(f"call-{number}") for number in range(5)] == [["in", "hangup"]] * 5
    assert shop.uploaded() == {f"call-{number}" for number in range(5)}


async def test_what_is_handed_over_and_read_as_well_is_told_once_and_nothing_is_left_out(shop: Shop) -> None:
    await shop.put("before", rings(time.time()), ends(time.time()))
    async with shop.telling() as delivery:
        for number in range(60):
            await shop.put(f"read-{number}", rings(time.time()), ends(time.time()))
            entries = await shop.entries(f"taken-{number}", rings(time.time()), ends(time.time()))
            if number % 3:
                delivery.wake()
            delivery.take(entries)
            if number % 2:
                delivery.wake()
            await asyncio.sleep(0)
        delivery.wake()
        await until(shop.is_told)
    names = ["before", *(f"{how}-{number}" for number in range(60) for how in ("read", "taken"))]
    assert [shop.heard(name) for name in names] == [["in", "hangup"]] * len(names)


async def test_what_there_is_no_room_for_is_left_in_the_outbox_and_told_later_in_order(shop: Shop) -> None:
    shop.account.fault(Status(503))
    async with shop.telling(held=10) as delivery:
        for number in range(30):
            delivery.take(await shop.entries(f"call-{number}", rings(time.time()), ends(time.time())))
            await asyncio.sleep(0)
        await until(lambda: delivery.backlog == 60)
        assert delivery.held <= 20
        shop.account.heal()
        await until(shop.is_told)
    assert [shop.heard(f"call-{number}") for number in range(30)] == [["in", "hangup"]] * 30


async def test_what_was_read_before_it_is_handed_over_is_told_once(shop: Shop) -> None:
    async with shop.telling() as delivery:
        entries = await shop.entries("call", rings(time.time()), ends(time.time()))
        delivery.wake()
        await until(lambda: delivery.intake.read_until == entries[-1].id)
        delivery.take(entries)
        await until(shop.is_told)
        more = await shop.entries("another", rings(time.time()))
        delivery.take(more)
        await until(shop.is_told)
    assert (shop.heard("call"), shop.heard("another")) == (["in", "hangup"], ["in"])
