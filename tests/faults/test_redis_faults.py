"""Redis dies or freezes in mid-call: calls go on from memory, and every step is written when it is back."""

import os
import signal
import time

import pytest
from structlog.testing import capture_logs

from ari_app.calls.call import Call, Stage
from ari_app.calls.happenings import CallArrived
from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.store.connection import ANSWER_SECONDS
from ari_app.store.ledger import PATIENCE_SECONDS
from tests.faults.redis_server import RedisServer
from tests.faults.served import ServedOffice
from tests.support.office import Office, Report
from tests.support.pace import at_this_pace

ANNA = "+79161234567"


async def test_a_call_that_rings_while_redis_dies_is_answered_and_reported_once(
    shop: Office, redis_server: RedisServer
) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    with capture_logs() as log:
        async with shop.phone(olga, Rings()) as phone, shop.call(ANNA) as caller:
            await phone.rings()
            await shop.crm_account.wait_for_event("in")
            await redis_server.kill()
            phone.answer()
            await caller.answered()
            await shop.until(lambda: stage_of(shop) == "talking", "they don't talk")
            await redis_server.start()
            await shop.stage("talking")
            caller.hang_up()
            await caller.ended()
        report = await shop.report()

    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url
    await the_journal_is_complete(shop, report)
    said = [line["event"] for line in log]
    assert sum("Redis is away" in line or "does not answer" in line for line in said) == 1
    assert said.count("Redis is back") == 1


async def test_a_talk_that_ends_while_redis_is_away_is_reported_when_it_is_back(
    shop: Office, redis_server: RedisServer
) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    async with shop.phone(olga, Answers(after=0.1)) as phone, shop.call(ANNA) as caller:
        await shop.recorded()
        await redis_server.kill()
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
        await shop.until(lambda: not shop.shop.line.calls, "the call did not end")
    await redis_server.start()
    report = await shop.report()

    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.record_url
    await the_journal_is_complete(shop, report)


async def test_calls_that_come_while_redis_is_away_are_served_and_reported_later(
    shop: Office, redis_server: RedisServer
) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    await redis_server.kill()
    for _ in range(3):
        async with shop.phone(olga, Answers(after=0.1)), shop.call(ANNA, talks=0.3) as caller:
            await caller.ended()
        assert caller.status == 200
    await shop.until(lambda: not shop.shop.line.calls, "the calls did not end")
    await redis_server.start()
    for number in (1, 2, 3):
        report = await shop.report(number)
        assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
        await the_journal_is_complete(shop, report)


async def test_a_frozen_redis_delays_no_call_for_long_and_nothing_is_told_twice(
    shop: Office, redis_server: RedisServer
) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    redis_server.freeze()
    began = time.monotonic()
    talks = ANSWER_SECONDS + 0.5  # so long that writes are given up and sent again, though Redis has them
    async with shop.phone(olga, Answers(after=0.1)) as phone, shop.call(ANNA, talks=talks) as caller:
        ringing = await phone.rings()
        assert ringing.at - began < at_this_pace(2)  # some 100 ms a step, only until Redis is given up
        await caller.ended()
    async with shop.phone(olga, Answers(after=0.1)) as phone:
        began = time.monotonic()
        async with shop.call(ANNA, talks=0.5) as caller:
            assert (await phone.rings()).at - began < at_this_pace(1)  # no step waits any more
            await caller.ended()
    assert caller.status == 200
    await shop.until(lambda: not shop.shop.line.calls, "the calls did not end")
    redis_server.thaw()
    for number in (1, 2):
        report = await shop.report(number)
        assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
        assert report.upload.record_url
        await the_journal_is_complete(shop, report)


@pytest.mark.parametrize("outage", ["frozen", "killed", "full", "read-only"])
async def test_an_outage_of_redis_costs_no_call_and_makes_nothing_wrong(
    shop: Office, redis_server: RedisServer, outage: str
) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    match outage:
        case "frozen":
            redis_server.freeze()
        case "killed":
            await redis_server.kill()
        case "full":
            await redis_server.fill()
        case _:
            await redis_server.demote()
    for _ in range(3):
        async with shop.phone(olga, Answers(after=0.1)) as phone:
            began = time.monotonic()
            async with shop.call(ANNA, talks=0.5) as caller:
                assert (await phone.rings()).at - began < PATIENCE_SECONDS + at_this_pace(0.7)
                await caller.ended()
            assert caller.status == 200
    await shop.until(lambda: not shop.shop.line.calls, "the calls did not end")
    match outage:
        case "frozen":
            redis_server.thaw()
        case "killed":
            await redis_server.start()
        case "full":
            await redis_server.make_room()
        case _:
            await redis_server.promote()
    for number in (1, 2, 3):
        report = await shop.report(number)
        assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
        assert (report.upload.result, report.upload.code) == ("answered", olga)
        await the_journal_is_complete(shop, report)


async def test_redis_that_dies_at_every_stage_of_a_call_loses_no_step(
    shop: Office, redis_server: RedisServer
) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open(fallback=f"group:{boris}")
    async with (
        shop.phone(olga, Rings()) as silent,
        shop.phone(boris, Rings()) as phone,
        shop.call(ANNA) as caller,
    ):
        await silent.rings()
        await redis_server.kill()
        silent.decline()
        await phone.rings()
        await redis_server.start()
        await shop.crm_account.wait_until(lambda account: len(account.events) == 2, timeout=60)
        await redis_server.kill()
        phone.answer()
        await caller.answered()
        await redis_server.start()
        await shop.stage("talking")
        await redis_server.kill()
        caller.hang_up()
        await caller.ended()
        await shop.until(lambda: stage_of(shop) is None, "the call did not end")
        await redis_server.start()
    report = await shop.report()
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", sorted([olga, boris]), "answered")]
    await the_journal_is_complete(shop, report)


async def test_the_services_own_redis_killed_in_mid_call_is_started_again_and_has_it_all(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Rings()) as phone, served.call(ANNA) as caller:
        await phone.rings()
        await served.crm_account.wait_for_event("in")
        os.kill(await served.redis_pid(), signal.SIGKILL)
        phone.answer()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        upload = await served.crm_account.wait_for_upload(timeout=60)
    assert upload.call.result == "answered"
    report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.call.id in await served.calls_list()
    assert '"stage":"ended"' in await served.calls_list("--json")


def stage_of(office: Office) -> str | None:
    """Say at which stage the one live call is, as the service has it in memory."""
    return next((call.stage.value for call in office.shop.line.calls), None)


async def the_journal_is_complete(office: Office, report: Report) -> None:
    """Make sure that every step from the arrival to the end is there, once, in order."""
    call: Call = report.call
    lines = await office.calls.journal(call.id)
    steps = [line for line in lines if line.after is not None]
    assert isinstance(steps[0].event, CallArrived)
    assert [line.before for line in steps[1:]] == [line.after for line in steps[:-1]]
    assert steps[-1].after is Stage.ENDED
    assert call.id in [ended.id for ended in await office.calls.ended(10)]
