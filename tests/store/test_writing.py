"""What a call writes: how soon, together with what, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from ari_app.calls import Haste, OutboxEntry, haste_of
from ari_app.calls.journal import JournalLine, load_line
from ari_app.calls.orders import REPEATABLE
from ari_app.errors import StoreUnavailable
from ari_app.store.calls import CallStore, Step
from ari_app.store.connection import ask_together
from ari_app.store.keys import Keys
from ari_app.store.ledger import Ledger
from ari_app.store.statistics import state_of
from ari_app.store.writing import Commands, Writer
from tests.store.test_bounds import steps_of
from tests.support.history import HISTORY

LINES = [
    (one.name, line) for one in HISTORY for line in map(load_line, one.journal) if line.after is not None
]
ARRIVES, IS_FOUND, LEG_READY, RINGS, ANSWERED, CONFIRMED, *ENDS = steps_of("one")


@asynccontextmanager
async def ledger_at_work(
    redis: Redis, account: str = "shop", told: list[Sequence[OutboxEntry] | None] | None = None
) -> AsyncIterator[Ledger]:
    ledger = Ledger(CallStore(redis, account), account, told.append if told is not None else lambda _: None)
    work = asyncio.create_task(ledger.run())
    try:
        yield ledger
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def scripts(redis: Redis) -> int:
    """How many scripts were called so far."""
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


@pytest.mark.parametrize(("name", "line"), LINES)
def test_what_makes_something_is_written_before_it_and_what_is_told_or_over_at_once(
    name: str, line: JournalLine
) -> None:
    haste = haste_of(line)
    makes = [order for order in line.orders if not isinstance(order, REPEATABLE)]
    assert (haste is Haste.FIRST) == bool(makes)
    if Step(steps_of("x")[0].call, line).tells or line.after == "ended":
        assert haste in (Haste.FIRST, Haste.AT_ONCE)
    if line.before is not line.after and line.after in ("talking", "transferring", "dialplan", "ending"):
        assert haste in (Haste.FIRST, Haste.AT_ONCE)


async def test_a_state_stands_there_as_it_was_written_last_though_only_what_differs_is_sent_to_the_file(
    redis: Redis,
) -> None:
    store = CallStore(redis, "shop")
    calls = [replace(one.call, id="one") for one in HISTORY]
    states = [step.call for step in steps_of("one")] + calls + calls[::-1]
    for state in states:
        await store.write([replace(ARRIVES, call=state)])
        assert await redis.get(Keys("shop").call("one")) == state_of(state, ZoneInfo("UTC"))
        assert await store.get("one") == state
    stats = await redis.info("commandstats")
    assert stats["cmdstat_setrange"]["calls"] >= len(states) / 2


async def test_a_note_waits_for_the_next_step_and_holds_its_call_up_for_nothing(redis: Redis) -> None:
    async with ledger_at_work(redis) as ledger:
        await ledger.write(ARRIVES)
        assert ledger.backlog == 1
        await ledger.write(IS_FOUND)
        assert ledger.backlog == 0
        before = await scripts(redis)
        await ledger.write(RINGS)
        await ledger.write(ANSWERED)
        assert await scripts(redis) == before + 1
        journal = [type(line.event).__name__ for line in await ledger._store.journal("one")]
    assert journal == ["CallArrived", "CustomerFound", "LegRinging", "LegAnswered"]


async def test_a_note_after_which_nothing_comes_is_written_all_the_same(redis: Redis) -> None:
    async with ledger_at_work(redis) as ledger:
        await ledger.write(ARRIVES)
        await ledger.write(CONFIRMED)
        async with asyncio.timeout(20):
            while ledger.backlog:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await redis.llen(Keys("shop").journal("one")) == 2


async def test_a_service_that_stops_writes_its_notes_at_once(redis: Redis) -> None:
    async with ledger_at_work(redis) as ledger:
        await ledger.write(ARRIVES)
        await ledger.write(RINGS)
        assert await ledger.flush(10)
        assert ledger.backlog == 0
        assert await redis.sismember(Keys("shop").live, "one")


async def test_what_the_crm_is_to_be_told_is_handed_over_when_it_is_written_and_as_it_stands_there(
    redis: Redis,
) -> None:
    told: list[Sequence[OutboxEntry] | None] = []
    async with ledger_at_work(redis, told=told) as ledger:
        for step in steps_of("one"):
            await ledger.write(step)
        assert await ledger.flush(10)
        assert [entry for entries in told for entry in entries or ()] == await ledger._store.outbox.read()


async def test_after_an_outage_what_the_crm_is_to_be_told_is_read(redis: Redis) -> None:
    told: list[Sequence[OutboxEntry] | None] = []
    async with ledger_at_work(redis, told=told) as ledger:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", 1)
        for step in steps_of("one"):
            await ledger.write(step)
        await redis.config_set("maxmemory", 0)
        assert await ledger.flush(30)
        assert told[0] is None


async def test_what_several_accounts_write_at_the_same_moment_goes_out_together_in_order(
    redis: Redis,
) -> None:
    names = [f"shop-{number}" for number in range(20)]
    stores = [CallStore(redis, name) for name in names]
    await stores[0].write([ARRIVES])
    before = (await redis.info("stats"))["total_reads_processed"]
    await asyncio.gather(*(store.write([step]) for step in steps_of("one") for store in stores))
    read = (await redis.info("stats"))["total_reads_processed"] - before
    assert read < 20 * len(steps_of("one")) / 4  # some, for Redis reads no more than 16 KB at once
    for store in stores[1:]:
        assert [line.event for line in await store.journal("one")] == [s.line.event for s in steps_of("one")]
        assert (await store.ended(1))[0].id == "one"


async def test_what_one_account_can_not_write_keeps_no_other_from_writing(redis: Redis) -> None:
    await redis.set(Keys("bad").live, "no set")
    bad, good = CallStore(redis, "bad"), CallStore(redis, "good")
    found = await asyncio.gather(
        good.write([ARRIVES]), bad.write([ARRIVES]), good.write([IS_FOUND]), return_exceptions=True
    )
    assert isinstance(found[1], StoreUnavailable)
    assert [type(one) for one in (found[0], found[2])] == [list, list]
    assert len(await good.journal("one")) == 2


async def test_who_waits_for_a_write_no_longer_takes_nobody_with_them(redis: Redis) -> None:
    one, other = CallStore(redis, "one"), CallStore(redis, "other")
    gone = asyncio.create_task(one.write([ARRIVES]))
    stays = asyncio.create_task(other.write([ARRIVES]))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == []
    await asyncio.gather(gone, return_exceptions=True)
    assert len(await other.journal("one")) == 1


async def test_a_connection_that_redis_has_closed_meanwhile_is_made_again_before_anything_is_written(
    redis: Redis,
) -> None:
    store = CallStore(redis, "shop")
    await store.write([ARRIVES])
    await redis.client_kill_filter(_type="normal", skipme=True)
    await redis.ping()
    await store.write([IS_FOUND])
    assert len(await store.journal("one")) == 2


async def test_an_answer_for_which_nobody_waits_any_more_is_taken_for_no_other(redis: Redis) -> None:
    await ask_together(redis, [("PING",)])
    cut = asyncio.create_task(ask_together(redis, [("BLPOP", "nothing", 0.2), ("ECHO", "of the first")]))
    await asyncio.sleep(0)
    cut.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut
    assert await ask_together(redis, [("ECHO", "of the second")]) == [b"of the second"]


async def test_what_redis_refuses_is_an_answer_among_the_others(redis: Redis) -> None:
    first, refused, last = await ask_together(redis, [("ECHO", "a"), ("HGETALL",), ("ECHO", "b")])
    assert (first, last) == (b"a", b"b")
    assert isinstance(refused, ResponseError)


async def test_a_redis_that_forgets_its_scripts_in_between_gets_all_and_in_order(redis: Redis) -> None:
    writers = [Writer(redis, f"shop-{number}") for number in range(3)]

    async def write(writer: Writer, key: str, number: int) -> None:
        commands = Commands()
        commands.add("RPUSH", key, number)
        await writer.write(commands)

    for number in range(0, 100, 10):
        await redis.script_flush()
        await asyncio.gather(
            *(
                write(writer, f"list-{index}", number + more)
                for more in range(10)
                for index, writer in enumerate(writers)
            )
        )
    for index in range(3):
        assert [int(value) for value in await redis.lrange(f"list-{index}", 0, -1)] == list(range(100))


def test_the_steps_are_those_of_a_recorded_call() -> None:
    assert [type(step.line.event).__name__ for step in (ARRIVES, IS_FOUND, LEG_READY, RINGS)] == [
        *("CallArrived", "CustomerFound", "LegReady", "LegRinging")
    ]
    assert replace(ENDS[-1].call, id="one").over
