"""Two copies of the service on one Redis and one PBX: one of them holds the account, whatever happens to it.

What is true is what the telephones and the CRM have seen: people go on talking, and the CRM hears once of it.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.store.accounts import Accounts
from tests.faults.befalls import (
    come_back,
    cut_from_both,
    cut_from_redis,
    cut_from_the_pbx,
    killed,
    stopped,
    told_once,
)
from tests.faults.copies import TAKEN_OVER_SECONDS, Copy, SharedOffice
from tests.faults.redis_server import RedisServer
from tests.support.office import SECRET_KEY, Report
from tests.support.pace import at_this_pace

ANNA = "+79161234567"
STRANGER = "+79037654321"
HANDED_OVER_SECONDS = 2.0
REMOVED = "something of a call that is over is removed"

Fault = Callable[[SharedOffice, Copy], Awaitable[None]]


def removed(report: Report, *copies: Copy) -> list[str]:
    """List what the copies took for left over of a call; what asked for a context is nobody's."""
    lines = (line for copy in copies for line in copy.log.splitlines())
    return [line for line in lines if REMOVED in line and report.call.id in line]


FAULTS = (killed, stopped, cut_from_redis, cut_from_the_pbx, cut_from_both)


@pytest.mark.parametrize("befalls", FAULTS)
async def test_people_who_talk_go_on_when_their_copy_fails_and_another_takes_over(
    shared: SharedOffice, befalls: Fault
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await shared.open_two()
    async with shared.phone(olga, Answers(after=0.1)) as phone, shared.call(ANNA) as caller:
        await shared.recorded()
        began = time.monotonic()
        await befalls(shared, one)
        await shared.has_it(other)
        assert time.monotonic() - began < at_this_pace(TAKEN_OVER_SECONDS)
        await come_back(shared, one)
        assert await shared.holder() == other.holder
        assert await one.connected() == 0
        assert phone.talking
        assert not caller.over
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
    report = await shared.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url
    assert len(phone.calls) == 1
    assert not removed(report, one, other)
    await told_once(shared)


@pytest.mark.parametrize("befalls", FAULTS)
async def test_a_phone_that_rings_when_its_copy_fails_rings_on_and_is_answered(
    shared: SharedOffice, befalls: Fault
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await shared.open_two()
    async with shared.phone(olga, Rings()) as phone, shared.call(ANNA) as caller:
        await phone.rings()
        await shared.stage("ringing")
        await shared.crm_account.wait_for_event("in")
        await befalls(shared, one)
        await shared.has_it(other)
        await come_back(shared, one)
        assert phone.ringing
        phone.answer()
        await caller.answered()
        assert (await shared.stage("talking")).talker == olga
        caller.hang_up()
        await caller.ended()
    report = await shared.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert not removed(report, one, other)
    await told_once(shared)


async def test_a_copy_that_comes_back_takes_over_in_its_turn(shared: SharedOffice) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await shared.open_two()
    async with shared.phone(olga, Answers(after=0.1)) as phone, shared.call(ANNA) as caller:
        await shared.recorded()
        for holder, next_one in ((one, other), (other, one)):
            await stopped(shared, holder)
            await shared.has_it(next_one)
            await come_back(shared, holder)
        assert phone.talking
        caller.hang_up()
        await caller.ended()
    report = await shared.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    await told_once(shared)


async def test_a_copy_that_reaches_the_pbx_before_redis_takes_it_back_from_nobody(
    shared: SharedOffice,
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await shared.open_two()
    async with shared.phone(olga, Answers(after=0.1)) as phone, shared.call(ANNA) as caller:
        await shared.recorded()
        await cut_from_both(shared, one)
        await shared.has_it(other)
        epoch = await shared.epoch()
        shared.to_pbx.mend(one.pid)
        await shared.let_go(one)
        assert "another copy of the service has taken the account since" in one.log
        assert await other.connected() == 1
        await come_back(shared, one)
        assert (await shared.holder(), await shared.epoch()) == (other.holder, epoch)
        assert phone.talking
        caller.hang_up()
        await caller.ended()
    report = await shared.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    await told_once(shared)


# -- planned ----------------------------------------------------------------------------------------------


async def test_a_copy_that_is_told_to_stop_hands_over_and_nobody_notices(shared: SharedOffice) -> None:
    olga, boris = shared.managers(2)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await shared.open_two(unknown=f"group:{boris}")
    async with (
        shared.phone(olga, Answers(after=0.1)) as phone,
        shared.phone(boris, Rings()) as ringing,
        shared.call(ANNA) as caller,
        shared.call(STRANGER) as waiting,
    ):
        await shared.recorded()
        await ringing.rings()
        await shared.stage("ringing")
        began = time.monotonic()
        one.send(signal.SIGTERM)
        await shared.has_it(other)
        assert time.monotonic() - began < at_this_pace(HANDED_OVER_SECONDS)
        assert await one.ended() == 0
        assert phone.talking
        assert ringing.ringing
        assert not waiting.over  # a caller who waits is sent nowhere
        ringing.answer()
        await waiting.answered()
        await shared.until(lambda: len(ringing.calls) == 1, "it rang again")
        for one_of_them in (caller, waiting):
            one_of_them.hang_up()
            await one_of_them.ended()
    await shared.report(2)
    assert {(upload.call.result, upload.call.code) for upload in shared.crm_account.uploads} == {
        ("answered", olga),
        ("answered", boris),
    }
    await told_once(shared, calls=2)


# -- whichever copy is asked ------------------------------------------------------------------------------


async def test_a_click_at_a_copy_that_does_not_hold_the_account_rings(shared: SharedOffice) -> None:
    (olga,) = shared.managers(1)
    one, other = await shared.open_two()
    stored = await Accounts(shared.redis, SECRET_KEY).find(shared.account.id)
    assert stored is not None
    given = {"clientId": stored.crm.client_id.get_secret_value(), "code": olga, "phone": ANNA}
    async with (
        shared.phone(olga, Answers(after=0.1)) as phone,
        shared.lab.customer_phone(Answers(after=0.1)),
        aiohttp.ClientSession() as crm,
    ):
        async with crm.get(f"http://127.0.0.1:{other.port}/crm/call", params=given) as answer:
            assert answer.status == 200, await answer.text()
            call = (await answer.json())["call"]
        await shared.recorded()
        assert await shared.holder() == one.holder
        phone.hang_up()
    report = await shared.report()
    assert (report.call.id, report.upload.result, report.upload.code) == (call, "answered", olga)


# -- Redis is away for both -------------------------------------------------------------------------------


async def test_after_an_outage_of_redis_the_last_holder_goes_on(
    shared: SharedOffice, redis_server: RedisServer
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, _ = await shared.open_two()
    epoch = await shared.epoch()
    async with shared.phone(olga, Answers(after=0.1)) as phone, shared.call(ANNA) as caller:
        await shared.recorded()
        await redis_server.kill()
        await shared.until(lambda: "Redis is away" in one.log or "can't be read" in one.log, "not noticed")
        began = time.monotonic()
        await shared.until(lambda: time.monotonic() - began > 5, "time stands still")  # the lease is over
        assert phone.talking
        await redis_server.start()
        await shared.has_it(one)
        caller.hang_up()
        await caller.ended()
        report = await shared.report()
    assert (await shared.holder(), await shared.epoch()) == (one.holder, epoch)
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    await told_once(shared)


# -- a process that hangs ---------------------------------------------------------------------------------


async def test_a_copy_that_hangs_lets_new_callers_go_on_and_takes_its_accounts_again(
    shared: SharedOffice,
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    await shared.apply(unknown=f"group:{olga}")
    one = shared.copy("one")
    await one.start()
    await shared.has_it(one)
    async with shared.phone(olga, Answers(after=0.1)) as phone, shared.call(ANNA) as caller:
        await shared.recorded()
        epoch = await shared.epoch()
        one.send(signal.SIGUSR1)  # its loop stands still for 15 s
        await shared.until(lambda: "the service hangs" in one.log, "the watchdog slept")
        async with shared.call(STRANGER) as stranger:
            await stranger.ended()
        assert "cause=31" in stranger.reason  # the dialplan served them
        await shared.let_go(one)
        await shared.has_it(one)
        assert await shared.epoch() > epoch
        assert phone.talking
        caller.hang_up()
        await caller.ended()
    report = await shared.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


# -- another installation ---------------------------------------------------------------------------------


async def test_two_installations_on_one_pbx_do_not_fight_and_one_can_be_made_to_take_it(
    shared: SharedOffice,
) -> None:
    (olga,) = shared.managers(1)
    await shared.apply(unknown=f"group:{olga}")
    one = shared.copy("one")
    await one.start()
    await shared.has_it(one)
    folder = Path(tempfile.mkdtemp(prefix="ari-app-"))
    async with RedisServer(folder) as another:
        foreign = shared.copy("foreign", another.url)
        await shared._apply_by(foreign, shared.toml(unknown=f"group:{olga}"))
        await foreign.start()
        await shared.until(lambda: "another installation" in foreign.log, "it did not say why it waits")
        assert await foreign.connected() == 0
        assert await one.connected() == 1
        assert await foreign.command("account", "take", shared.account.id) == 1
        assert await foreign.command("account", "take", "--force", shared.account.id) == 0
        await shared.eventually(lambda: hears(foreign), "it did not take the PBX")
        await shared.until(lambda: "another installation" in one.log, "it did not leave the PBX")
        assert await one.connected() == 0
        assert await foreign.connected() == 1
    shutil.rmtree(folder, ignore_errors=True)


async def hears(copy: Copy) -> bool | None:
    return await copy.connected() == 1 or None
