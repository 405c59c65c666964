"""Calls that are over are kept packed; whoever reads them, or writes more of them, doesn't notice."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from ari_app.calls import Call, JournalLine, OutboxEntry, TellResult
from ari_app.calls.call import Way
from ari_app.calls.happenings import ServiceStopping
from ari_app.calls.journal import load_line
from ari_app.store.calls import CallStore, Step
from ari_app.store.keys import Keys
from ari_app.store.packed import is_packed, pack, unpack
from ari_app.store.writing import Commands
from tests.store.test_bounds import KNOWN, steps_of
from tests.store.test_statistics import read
from tests.support.history import HISTORY, History, put_ended, put_live

KEYS = Keys("shop")


async def pack_all(store: CallStore) -> None:
    """Pack what is over, as if it had rested."""
    await store.packing._look_back()
    await store.packing.pack(math.inf)


async def written(store: CallStore) -> Call:
    """A call that was written, step by step, and told; not packed yet."""
    for step in steps_of("one"):
        await store.write([step])
    await store.outbox.told([one for one in await store.outbox.read() if isinstance(one, OutboxEntry)], 1.0)
    found = await store.get("one")
    assert found is not None
    return found


@pytest.mark.parametrize("history", HISTORY, ids=[one.name for one in HISTORY])
async def test_a_call_of_any_kind_and_version_reads_the_same_when_it_is_packed(
    redis: Redis, history: History
) -> None:
    await put_ended(redis, "shop", history)
    store = CallStore(redis, "shop")
    call, journal = await store.get(history.call.id), await store.journal(history.call.id)
    await pack_all(store)
    stored: Any = await redis.get(KEYS.call(history.call.id))
    counted = b'"counted"' in history.ended or history.call.ending in (None, "unknown")
    assert is_packed(stored) == counted
    assert await store.get(history.call.id) == call
    assert await store.journal(history.call.id) == journal
    assert await store.ended(10) == [call]
    assert (await redis.exists(KEYS.journal(history.call.id)) == 0) == counted


async def test_a_packed_call_takes_a_fraction_of_the_room_and_stands_nowhere_else(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    await written(store)
    before = await taken(redis)
    await pack_all(store)
    assert await taken(redis) < 2_000 < before
    assert [key async for key in redis.scan_iter(match="*one*")] == [KEYS.call("one").encode()]


async def taken(redis: Redis) -> int:
    """How much memory the keys of one call take, in bytes."""
    sizes = [await redis.memory_usage(key) or 0 for key in KEYS.all_of("one")]
    return sum(sizes)


async def test_what_is_written_of_a_packed_call_is_read_behind_what_was_packed_and_counted_once(
    redis: Redis,
) -> None:
    store = CallStore(redis, "shop")
    call = await written(store)
    journal, counted = await store.journal("one"), await read(redis)
    await pack_all(store)
    later = JournalLine(2.0, "one", call.stage, call.stage, ServiceStopping(2.0))
    changed = replace(call, name="Иванова Анна Петровна")
    await store.write([Step(changed, later)])
    assert await store.get("one") == changed
    assert await store.journal("one") == [*journal, later]
    assert await read(redis) == counted
    await pack_all(store)
    assert await redis.exists(*KEYS.all_of("one")) == 1
    assert await store.get("one") == changed
    assert await store.journal("one") == [*journal, later]
    assert await read(redis) == counted


async def test_what_the_crm_refuses_of_a_packed_call_is_in_its_journal(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    call = await written(store)
    await pack_all(store)
    [tell] = [tell for step in steps_of("one") for tell in step.tells if isinstance(tell, TellResult)]
    before = await store.journal("one")
    await store.outbox.refused(OutboxEntry("9-9", call.id, tell), 3.0, "no")
    for _ in range(2):
        assert len(await store.journal("one")) == len(before) + 1
        assert await store.settled([call], before=call.started_at + 1e6) == [call]
        await pack_all(store)


async def test_a_packed_call_goes_at_its_age_and_not_before_it_has_rested(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    call = await written(store)
    newest = max(line.at for line in await store.journal("one"))
    await pack_all(store)
    assert await store.settled([call], before=newest) == []
    assert await store.settled([call], before=newest + 1) == [call]
    await store.forget([call])
    assert await redis.exists(*KEYS.all_of("one")) == 0


async def test_a_call_of_which_something_is_written_meanwhile_is_not_packed(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    await written(store)
    packing = store.packing
    write = packing._writer.write

    async def writes_before(commands: Commands) -> list[str]:
        await redis.rpush(KEYS.journal("one"), orjson.dumps({"at": 5.0}))
        return await write(commands)

    packing._writer.write = writes_before  # type: ignore[method-assign]
    await pack_all(store)
    stored: Any = await redis.get(KEYS.call("one"))
    assert not is_packed(stored)


async def test_live_calls_and_those_that_cannot_be_read_stay_as_they_are(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    await put_live(redis, "shop", [KNOWN.live["talking"]])
    await redis.zadd(KEYS.ended, {KNOWN.call.id: 1.0, "odd": 2.0, "gone": 3.0})
    await redis.set(KEYS.call("odd"), b"oops")
    await pack_all(store)
    assert await redis.get(KEYS.call(KNOWN.call.id)) == KNOWN.live["talking"].state
    assert await redis.get(KEYS.call("odd")) == b"oops"


async def test_what_is_broken_is_a_call_that_cannot_be_read(redis: Redis) -> None:
    state, lines = KNOWN.ended, KNOWN.journal
    packed = pack(state, lines, 1)
    for broken in (packed[:-10], packed[:60], packed.replace(b'"packed":1', b'"packed":7'), b"{}\n\n"):
        with pytest.raises((ValueError, LookupError, TypeError)):
            unpack(broken)
        await redis.set(KEYS.call("one"), broken)
        await redis.zadd(KEYS.ended, {"one": 1.0})
        store = CallStore(redis, "shop")
        assert await store.ended(10) == []
        assert await store.journal("one") == []
        assert await store.forget_unreadable(5.0, before=1e12) == ["one"]


async def test_who_watches_hears_each_line_once_of_calls_that_begin_and_of_those_that_are_packed(
    redis: Redis,
) -> None:
    store = CallStore(redis, "shop")
    await written(store)
    await pack_all(store)
    before = await store.journal("one")
    again = [replace(step.call, id="two") for step in steps_of("one")]
    seen: list[JournalLine] = []
    async with asyncio.timeout(20), store.watching() as lines:
        for call, step in zip(again, steps_of("one"), strict=True):
            await store.write([Step(call, replace(step.line, call="two"))])
        await store.write(steps_of("one")[-1:])
        due = [*await store.journal("two"), steps_of("one")[-1].line]
        async for line in lines:
            seen.append(line)
            if len(seen) == len(due):
                break
    assert seen == due
    assert {line.call for line in (*before, *seen)} == {"one", "two"}


def test_the_history_has_calls_that_were_reported() -> None:
    assert any(one.call.way is Way.REPORTED for one in HISTORY)
    assert load_line(KNOWN.journal[0]).before is None
