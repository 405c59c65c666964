"""What is bounded while Redis can't be written, and what can't be read and closes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from redis.asyncio import Redis
from structlog.testing import capture_logs

from ari_app.calls.journal import load_line
from ari_app.store.calls import CallStore, Step
from ari_app.store.events import EventStore, What
from ari_app.store.keys import Keys
from ari_app.store.ledger import Ledger
from tests.support.history import HISTORY, put_ended, put_live

KEYS = Keys("shop")
KNOWN = next(one for one in HISTORY if one.name == "known_customer_answered")
OTHER = next(one for one in HISTORY if one.name == "blind_transfer")
STEPS = [line for line in map(load_line, KNOWN.journal) if line.after is not None]
LIMIT = 2_000_000


def steps_of(call_id: str) -> list[Step]:
    """The steps of a whole call, from its arrival to its end."""
    call = replace(KNOWN.call, id=call_id)
    return [
        Step(
            call if line is STEPS[-1] else replace(call, stage=line.after or call.stage),
            replace(line, call=call_id),
        )
        for line in STEPS
    ]


async def test_a_full_redis_fills_the_ledger_no_further_than_its_limit_and_nothing_to_tell_is_lost(
    redis: Redis,
) -> None:
    store = CallStore(redis, "shop")
    ledger = Ledger(store, "shop", limit=LIMIT)
    work = asyncio.create_task(ledger.run())
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", 1)
    written: list[str] = []
    with capture_logs() as log:
        while not ledger.full:
            call_id = f"call-{len(written)}"
            written.append(call_id)
            for step in steps_of(call_id):
                await ledger.write(step)
    assert ledger.behind
    assert ledger.let_go > len(written)
    assert ledger.bytes < 1.3 * LIMIT
    said = [line["event"] for line in log]
    near = said.index("the steps that wait for Redis have nearly filled their room")
    assert near < said.index("steps of calls are let go: Redis is away for too long")
    await redis.config_set("maxmemory", 0)
    assert await ledger.flush(30)
    assert (ledger.bytes, ledger.full) == (0, False)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    tells = [tell for step in steps_of("x") for tell in step.tells]
    assert await redis.xlen(KEYS.outbox) == len(written) * len(tells)
    assert await redis.zcard(KEYS.ended) == len(written)
    assert await redis.scard(KEYS.live) == 0


async def test_keys_of_another_kind_are_moved_away_untouched_and_close_nothing(redis: Redis) -> None:
    await redis.set(KEYS.live, "no set")
    await redis.set(KEYS.outbox, "no stream")
    store = CallStore(redis, "shop")
    await store.mend(12.5)
    assert await store.live() == []
    assert await store.outbox.read() == []
    assert await redis.get(KEYS.aside(KEYS.live, 12.5)) == b"no set"
    events, _ = await EventStore(redis, "shop").newest(10)
    assert [event.what for event in events] == [What.UNREADABLE] * 2
    await put_live(redis, "shop", [OTHER.live["talking"]])
    await store.mend(13.5)
    assert [call.id for call in await store.live()] == [OTHER.call.id]


async def test_ids_and_states_that_cannot_be_read_hide_no_other_call_and_are_counted(redis: Redis) -> None:
    await put_live(redis, "shop", [OTHER.live["talking"], KNOWN.live["talking"]])
    await put_ended(redis, "shop", KNOWN)
    await redis.set(KEYS.call(KNOWN.call.id), b"{}")
    await redis.sadd(KEYS.live, b"\xff\xfe", "gone")
    await redis.lpush(KEYS.call("a-list"), "x")
    await redis.sadd(KEYS.live, "a-list")
    await redis.zadd(KEYS.ended, {b"\xff\xfd": 5.0})
    store = CallStore(redis, "shop")
    assert [call.id for call in await store.live()] == [OTHER.call.id]
    assert await store.unreadable_live({OTHER.call.id}) == sorted(["a-list", "gone", KNOWN.call.id])
    assert await store.ended(10) == []
    assert [call async for call in store.walk()] == []


async def test_of_many_live_calls_those_that_are_not_known_are_looked_at(redis: Redis) -> None:
    await put_live(redis, "shop", [OTHER.live["talking"]])
    gone = [f"gone-{number}" for number in range(500)]
    await redis.sadd(KEYS.live, *gone)
    assert await CallStore(redis, "shop").unreadable_live(set()) == sorted(gone)


async def test_an_ended_call_that_cannot_be_read_goes_at_its_age(redis: Redis) -> None:
    await put_ended(redis, "shop", KNOWN)
    await put_ended(redis, "shop", OTHER)

    await redis.set(KEYS.call(KNOWN.call.id), b"{}")
    store = CallStore(redis, "shop")
    until = max(KNOWN.call.started_at, OTHER.call.started_at) + 1
    assert await store.forget_unreadable(KNOWN.call.started_at - 1, before=until + 1e6) == []
    assert await store.forget_unreadable(until, before=0.0) == []
    assert await store.forget_unreadable(until, before=until + 1e6) == [KNOWN.call.id]
    assert await redis.exists(KEYS.call(KNOWN.call.id), KEYS.journal(KNOWN.call.id)) == 0
    assert [call.id for call in await store.ended(10)] == [OTHER.call.id]
