"""A program of the shop's is told of missed customers by signed requests, and holds up nothing else."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from ari_app.calls.outcome import Ending
from ari_app.demo.crm.simulator import CrmAccount
from ari_app.network.reach import Reach
from ari_app.retailcrm import attempts
from ari_app.store.missed import Reason
from tests.cabinet.kept_calls import ANNA, over
from tests.store.test_missed_told import Shop, called_back, vain
from tests.support.shop_program import LOOPBACK, SECRET, Program


@pytest.fixture
def shop(redis: Redis, account: CrmAccount, program: Program) -> Shop:
    address = str(program.server.make_url("/missed"))
    shop = Shop(redis, account, task="true", webhook=(address, SECRET))
    shop.reach = LOOPBACK
    return shop


async def test_it_hears_whom_we_missed_and_that_they_were_called_back(shop: Shop, program: Program) -> None:
    call = vain(responsible="102", name="Иванова Анна")
    await shop.write(call, vain("m2", 50))
    await shop.write(called_back())
    await shop.told()
    missed, back = program.said
    assert missed | {"at": "", "missed_at": ""} == {
        "event": "missed",
        "id": "m1",
        "at": "",
        "phone": ANNA,
        "name": "Иванова Анна",
        "line": "+74951112233",
        "manager": "102",
        "rung": ["101"],
        "times": 1,
        "missed_at": "",
        "by": None,
        "how": None,
    }
    assert missed["missed_at"].endswith("+03:00")
    about = {name: back[name] for name in ("event", "id", "times", "by", "how", "missed_at")}
    assert about == {
        "event": "called_back",
        "id": "m1",
        "times": 2,
        "by": "101",
        "how": "called",
        "missed_at": missed["missed_at"],
    }


async def test_it_hears_once_that_a_customer_is_lost(shop: Shop, program: Program) -> None:
    await shop.write(vain(ago=3600))
    assert await shop.calls.missed.tell_lost(time.time()) == 0
    tomorrow = time.time() + 86_000
    assert await shop.calls.missed.tell_lost(tomorrow) == 1
    assert await shop.calls.missed.tell_lost(tomorrow + 60) == 0
    await shop.told()
    assert program.events == ["missed", "lost"]


async def test_it_hears_that_one_was_closed_by_hand(shop: Shop, program: Program) -> None:
    await shop.write(vain())
    assert await shop.calls.missed.close(ANNA, "m1", time.time(), Reason.SPAM, "101", "")
    await shop.told()
    assert program.events == ["missed", "closed"]
    assert (program.said[1]["by"], program.said[1]["how"]) == ("101", "spam")


async def test_who_was_missed_before_it_was_set_is_not_told(shop: Shop, program: Program) -> None:
    from tests.store.test_statistics import write

    await write(shop.calls, vain())
    await shop.write(called_back())
    assert await shop.calls.missed.tell_lost(time.time() + 90_000) == 0
    await shop.told()
    assert program.said == []


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_while_it_fails_the_crm_hears_all_and_then_it_hears_all_in_order(
    shop: Shop, program: Program, status: int
) -> None:
    program.status = status
    await shop.write(vain(), called_back())
    async with shop.telling() as telling, asyncio.timeout(60):
        while program.tried < 2 or len(await shop.calls.outbox.read()) > 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert telling.problem is None
        assert [task.complete for task in shop.tasks] == [True]
        program.status = 204
        while await shop.calls.outbox.read():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert program.events == ["missed", "called_back"]


async def test_what_it_does_not_take_for_an_hour_is_set_aside_for_a_person(
    shop: Shop, program: Program
) -> None:
    program.status = 500
    old = attempts.WEBHOOK_SECONDS + 100
    await shop.write(
        over("m1", time.time() - old, ANNA, ending=Ending.GAVE_UP), vain("m2", number="+79035550000")
    )
    async with shop.telling(), asyncio.timeout(60):
        while not await shop.calls.outbox.refusals():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (aside,) = await shop.calls.outbox.refusals()
    assert (aside.call, aside.problem) == ("m1", "it was not taken within an hour: webhook: 500")
    program.status = 204
    assert await shop.calls.outbox.send_again(aside.id) == "m1"
    await shop.told()
    assert {one["id"] for one in program.said} == {"m1", "m2"}


async def test_an_address_in_our_own_network_is_never_asked(shop: Shop, program: Program) -> None:
    shop.reach = Reach()
    await shop.write(vain())
    async with shop.telling() as telling, asyncio.timeout(60):
        while not telling.troubles:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (trouble,) = telling.troubles
        assert "own network" in trouble.problem
    assert program.tried == 0
    assert SECRET not in str(await shop.calls.outbox.read())
