"""A sieve leaves most calls out that aren't looked for, and none that is, packed or not."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from redis.asyncio import Redis

from ari_app.calls.call import Call, Direction
from ari_app.calls.outcome import Ending
from ari_app.store.calls import CallStore
from ari_app.store.keys import Keys
from ari_app.store.packed import is_packed, pack, unpack
from cabinet.forms.call_filter import RESULTS, CallFilter, find, find_all
from tests.store.test_statistics import MIDNIGHT, call, missed, write

LINES = ("+74951112233", "+74957654321", 'a "line" \\ of ours', "")
CODES = ("101", "102", "1010", "")


def some_calls(seed: int) -> Iterator[Call]:
    chance = random.Random(seed)
    for number in range(300):
        yield call(
            f"c{number}",
            MIDNIGHT + number,
            direction=chance.choice(tuple(Direction)),
            ending=chance.choice(tuple(Ending)),
            external=chance.choice(LINES) or None,
            talker=chance.choice(CODES) or None,
            first_talker=chance.choice(CODES) or None,
            responsible=chance.choice(CODES) or None,
            told=tuple(code for code in CODES if code and chance.random() < 0.3),
            name=chance.choice((None, "Анна", "101", 'she said "102"')),
        )


async def pack_some(redis: Redis, store: CallStore, chance: random.Random) -> None:
    """Pack a third of what is over, and another as an earlier version did."""
    keys, ids = Keys("shop"), await store.ended_ids()
    named = dict.fromkeys(chance.sample(ids, 200))
    for ident in named:
        store.packing.note(ident)
    await store.packing.pack(math.inf)
    for ident in [*named][:100]:
        stored: Any = await redis.get(keys.call(ident))
        if is_packed(stored):
            one = unpack(stored)
            head = stored.partition(b"\n")[0]
            older = {
                name: value for name, value in orjson.loads(head).items() if name not in ("ending", "whose")
            }
            later = pack(one.state, one.lines, one.until).partition(b"\n")[2]
            await redis.set(keys.call(ident), orjson.dumps(older) + b"\n" + later)


@pytest.mark.parametrize("seed", range(3))
async def test_it_finds_each_call_that_is_looked_for_and_no_other(redis: Redis, seed: int) -> None:
    store, calls, left_out = CallStore(redis, "shop"), list(some_calls(seed)), 0
    await write(store, *calls)
    chance = random.Random(seed)
    await pack_some(redis, store, chance)
    filters = list(itertools.product(LINES, CODES, RESULTS, ("", "in", "out")))
    for line, code, result, way in chance.sample(filters, 40):
        wanted = CallFilter(line=line, manager=code, result=result, direction=way)
        found = [one async for one in find_all(store, wanted, (0.0, math.inf), None)]
        assert found == [one for one in reversed(calls) if wanted.lets_through(one)], wanted
        sifted = [one async for one in store.sift(wanted.sieve)]
        assert sum(count for _, count, _ in sifted) == len(calls)
        left_out += sum(count for _, count, one in sifted if one is None)
    assert left_out > len(calls) * 30


async def test_pages_follow_each_other_also_where_calls_began_in_one_moment(redis: Redis) -> None:
    store, chance = CallStore(redis, "shop"), random.Random(1)
    calls = [replace(one, started_at=MIDNIGHT + chance.randrange(20)) for one in some_calls(1)]
    await write(store, *calls)
    wanted, seen = CallFilter(manager="101"), list[str]()
    page = await find(store, wanted, (0.0, math.inf), None, 7)
    while page.behind is not None:
        seen += [one.id for one in page.calls]
        page = await find(store, wanted, (0.0, math.inf), None, 7, page.behind)
    seen += [one.id for one in page.calls]
    due = sorted(calls, key=lambda one: (one.started_at, one.id.encode()), reverse=True)
    assert seen == [one.id for one in due if wanted.lets_through(one)]


async def test_what_cannot_be_unpacked_or_is_gone_is_passed_by(redis: Redis) -> None:
    store, keys = CallStore(redis, "shop"), Keys("shop")
    await write(store, *(call(f"c{number}", MIDNIGHT + number) for number in range(5)))
    await redis.set(keys.call("c1"), b'{"packed":1}\nbroken')
    await redis.delete(keys.call("c2"))
    await redis.delete(keys.call("c3"))
    await redis.rpush(keys.call("c3"), "a list")
    found = await find(store, CallFilter(manager="101"), (0.0, math.inf), None, 9)
    assert ([one.id for one in found.calls], found.looked_at) == (["c4", "c0"], 3)


async def test_what_an_earlier_version_packed_is_named_when_the_account_is_taken(redis: Redis) -> None:
    store, keys = CallStore(redis, "shop"), Keys("shop")
    await write(store, call(), missed("c2", MIDNIGHT + 1, told=("102", "101")))
    await store.packing._look_back()
    await store.packing.pack(math.inf)
    for ident, head in (("c1", b'"ending":"answered","whose":["101"]}'), ("c2", b'"whose":["101","102"]}')):
        stored: Any = await redis.get(keys.call(ident))
        assert stored.partition(b"\n")[0].endswith(head)
        one = unpack(stored)
        await redis.set(
            keys.call(ident), stored.replace(b',"ending"', b',"once"').replace(b',"whose"', b',"who"')
        )
        again = await store.get(ident)
        await store.packing._look_back()
        await store.packing.pack(math.inf)
        named: Any = await redis.get(keys.call(ident))
        assert named.partition(b"\n")[0].endswith(head)
        assert (await store.get(ident), unpack(named).lines) == (again, one.lines)


async def test_a_page_counts_and_goes_on_behind_calls_that_were_left_out(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    mine = [missed(f"m{number}", MIDNIGHT + 500 + number, responsible="115") for number in range(3)]
    await write(store, *mine, *(call(f"c{number}", MIDNIGHT + number) for number in range(400)))
    wanted = CallFilter(manager="115", result="missed")
    found = await find(store, wanted, wanted.span(ZoneInfo("UTC"), MIDNIGHT), None, 2)
    assert [one.id for one in found.calls] == ["m2", "m1"]
    rest = await find(store, wanted, wanted.span(ZoneInfo("UTC"), MIDNIGHT), None, 2, found.behind)
    assert [one.id for one in rest.calls] == ["m0"]
    assert (rest.behind, rest.looked_at) == (None, 401)
    other = replace(wanted, manager="11")
    assert (await find(store, other, (0.0, 1e12), None, 2)).calls == ()
