"""What a check says of what is set aside."""

from __future__ import annotations

from redis.asyncio import Redis

from ari_app.check.everything import of_store
from ari_app.check.findings import State
from ari_app.store.calls import CallStore
from ari_app.store.keys import Keys
from tests.support.history import HISTORY, put_live, put_outbox

KEYS = Keys("shop")


async def test_a_check_says_what_is_set_aside_and_what_cannot_be_read(redis: Redis) -> None:
    assert [found.sentence async for found in of_store(redis, "shop")] == ["nothing is"]
    await put_outbox(redis, "shop", HISTORY[0])
    store = CallStore(redis, "shop")
    entry = (await store.outbox.read())[0]
    assert entry.tell is not None
    await store.outbox.quarantine(entry, 1.0, "500")
    moment = next(iter(HISTORY[0].live.values()))
    await put_live(redis, "shop", [moment])
    await redis.set(KEYS.call(moment.call.id), b"{}")
    found = [one async for one in of_store(redis, "shop")]
    assert {one.state for one in found} == {State.WARNING}
    assert "1 messages" in found[0].sentence
    assert moment.call.id in found[1].sentence
