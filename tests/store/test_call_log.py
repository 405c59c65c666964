"""The log of calls that are over, as it is paged and walked while others end."""

from redis.asyncio import Redis

from ari_app.store.calls import CallStore
from ari_app.store.keys import Keys
from ari_app.store.reading import Place
from tests.store.test_statistics import MIDNIGHT, call, step, write

ANNA = "+79161234567"


async def test_a_walk_gives_each_call_once_though_others_end_and_go_meanwhile(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    await write(store, *(call(f"c{number}", MIDNIGHT + number) for number in range(450)))
    seen = []
    async for one in store.walk():
        seen.append(one.id)
        if len(seen) % 150 == 0:
            await write(store, call(f"new{len(seen)}", MIDNIGHT + 1000), call(f"c{450 - len(seen)}"))
            await redis.zrem(Keys("shop").ended, seen[-10])
    assert len(seen) == len(set(seen))
    assert {f"c{number}" for number in range(450)} - {"c150", "c300"} <= set(seen)


async def test_calls_that_began_at_one_moment_are_walked_too(redis: Redis) -> None:
    store, ids = CallStore(redis, "shop"), {f"c{number:04}" for number in range(450)}
    await store.write([step(call(ident, MIDNIGHT)) for ident in sorted(ids)])
    seen = [one.id async for one in store.walk()]
    assert seen == sorted(ids, reverse=True)


async def test_a_walk_keeps_to_its_period_and_number_and_goes_on_behind_a_call(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    calls = [call(f"c{number}", MIDNIGHT + number) for number in range(6)]
    await write(store, *calls, call("other", MIDNIGHT + 2, number="+79160000000"))
    walked = [one.id async for one in store.walk(MIDNIGHT + 1, MIDNIGHT + 4, ANNA)]
    assert walked == ["c3", "c2", "c1"]
    rest = [one.id async for one in store.walk(MIDNIGHT + 1, MIDNIGHT + 4, behind=Place.of(calls[3]))]
    assert rest == ["other", "c2", "c1"]
    assert [one.id async for one in store.walk(until=MIDNIGHT + 2, behind=Place.of(calls[5]))] == ["c1", "c0"]


async def test_the_next_page_begins_behind_the_last_call_of_this_one_whatever_ended_since(
    redis: Redis,
) -> None:
    store = CallStore(redis, "shop")
    await write(store, *(call(f"c{number}", MIDNIGHT + 0.1 * number) for number in range(5)))
    first = await store.ended(2)
    await write(store, call("new", MIDNIGHT + 60))
    place = Place.read(str(Place.of(first[-1])))
    assert [one.id for one in await store.ended(2, behind=place)] == ["c2", "c1"]
    assert [one.id for one in await store.ended(2, 1, ANNA, behind=place)] == ["c1", "c0"]


def test_a_place_in_an_address_may_be_anything() -> None:
    for text in ("", "1", "_", "1_", "x_c1", "nan_c1", "inf_c1"):
        assert Place.read(text) is None
    assert Place.read("1700000000.25_app-1_2") == Place(1700000000.25, "app-1_2")
