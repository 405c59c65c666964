"""The counters beside the calls: each call counts once, and as it was last written."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from ari_app.calls.call import Call, Direction, Leg, LegState, Role, Stage, Way
from ari_app.calls.happenings import ServiceStopping
from ari_app.calls.journal import JournalLine
from ari_app.calls.outcome import Ending, whole_seconds
from ari_app.calls.routing import Policy
from ari_app.store.calls import CallStore, Step
from ari_app.store.connection import connect
from ari_app.store.keys import Keys
from ari_app.store.server import private_redis
from ari_app.store.statistics import By, Figures, Statistics, StatisticsStore, counted_as

MOSCOW, OMSK = ZoneInfo("Europe/Moscow"), ZoneInfo("Asia/Omsk")
MIDNIGHT = 1_700_082_000.0
"""In Moscow, between the 15th and the 16th of November 2023."""
SHOP = "+74951112233"
DAYS = (date(2023, 11, 1), date(2023, 11, 30))


def call(call_id: str = "c1", at: float = MIDNIGHT + 3600, **more: Any) -> Call:
    """A call from Anna that 101 answered after 5 s and that lasted a minute, but for what is said."""
    caller = Leg("channel", Role.CALLER, LegState.GONE, at)
    policy = Policy("PJSIP/##", (), ())
    plain = Call(
        call_id, "shop", Stage.ENDED, Direction.IN, at, caller, "+79161234567", SHOP, policy, way=Way.ARI
    )
    talk: dict[str, Any] = {
        "ending": Ending.ANSWERED,
        "answered_at": at + 5,
        "ended_at": at + 65,
        "talker": "101",
        "reported": True,
    }
    return replace(plain, **talk | more)


def missed(call_id: str = "c2", at: float = MIDNIGHT + 3600, **more: Any) -> Call:
    """A call from Anna that nobody answered within 20 s, though 102 was rung."""
    unheard: dict[str, Any] = {
        "ending": Ending.GAVE_UP,
        "answered_at": None,
        "ended_at": at + 20,
        "talker": None,
    }
    return call(call_id, at, **unheard | {"told": ("102",)} | more)


def step(call: Call) -> Step:
    return Step(call, JournalLine(call.started_at, call.id, Stage.TALKING, call.stage, ServiceStopping(1.0)))


async def write(store: CallStore, *calls: Call) -> None:
    for one in calls:
        await store.write([step(one)])


async def read(redis: Redis) -> Statistics:
    return await StatisticsStore(redis, "shop").read(*DAYS)


async def test_calls_are_counted_by_day_hour_manager_line_and_direction(redis: Redis) -> None:
    store = CallStore(redis, "shop", lambda: MOSCOW)
    await write(store, call(), missed(), call("c3", MIDNIGHT - 1, direction=Direction.OUT, external=None))
    found = await read(redis)
    assert found.days == {
        (Direction.IN, date(2023, 11, 16)): Figures(1, 1, 25, 60),
        (Direction.OUT, date(2023, 11, 15)): Figures(1, 0, 5, 60),
    }
    assert found.by == {
        (Direction.IN, By.HOUR, "01"): Figures(1, 1, 25, 60),
        (Direction.OUT, By.HOUR, "23"): Figures(1, 0, 5, 60),
        (Direction.IN, By.MANAGER, "101"): Figures(1, 0, 5, 60),
        (Direction.IN, By.MANAGER, "102"): Figures(0, 1, 20, 0),
        (Direction.OUT, By.MANAGER, "101"): Figures(1, 0, 5, 60),
        (Direction.IN, By.LINE, SHOP): Figures(1, 1, 25, 60),
        (Direction.OUT, By.LINE, ""): Figures(1, 0, 5, 60),
    }


async def test_a_call_that_is_written_again_counts_as_it_was_last_written(redis: Redis) -> None:
    store = CallStore(redis, "shop", lambda: MOSCOW)
    await write(store, call(), call(), call(talker="102", ended_at=MIDNIGHT + 3600 + 35))
    assert (await read(redis)).by[Direction.IN, By.MANAGER, "102"] == Figures(1, 0, 5, 30)
    assert (Direction.IN, By.MANAGER, "101") not in (await read(redis)).by


async def test_what_was_counted_stays_in_its_day_when_the_time_zone_changes(redis: Redis) -> None:
    at = MIDNIGHT - 3600
    await write(CallStore(redis, "shop", lambda: MOSCOW), call("c1", at))
    omsk = CallStore(redis, "shop", lambda: OMSK)
    await write(omsk, call("c2", at))
    assert {day.day for _, day in (await read(redis)).days} == {15, 16}
    await write(omsk, call("c1", at))
    assert (await read(redis)).days == {(Direction.IN, date(2023, 11, 16)): Figures(2, 0, 10, 120)}


async def test_a_call_of_which_nobody_knows_how_it_ended_does_not_count(redis: Redis) -> None:
    await write(CallStore(redis, "shop"), call(ending=None), call("c2", stage=Stage.TALKING))
    await write(CallStore(redis, "shop"), call("c3", ending=Ending.UNKNOWN))
    assert (await read(redis)).days == {}


async def test_a_line_may_be_called_anything(redis: Redis) -> None:
    await write(CallStore(redis, "shop"), call(external="a|b «Ромашка» \\"))
    assert (Direction.IN, By.LINE, "a|b «Ромашка» \\") in (await read(redis)).by


async def test_calls_from_before_there_were_statistics_are_counted_once(redis: Redis) -> None:
    store, keys = CallStore(redis, "shop", lambda: MOSCOW), Keys("shop")
    await write(store, call(), missed())
    for one in (call(), missed()):
        await redis.set(keys.call(one.id), orjson.dumps(one))
    await redis.delete(keys.statistics("2023-11-16"))
    assert not await StatisticsStore(redis, "shop").complete()
    await write(store, missed(told=("103",)))
    old = [one async for one in store.walk()]
    await asyncio.gather(store.count_old(old), store.count_old(old))
    assert (await read(redis)).by[Direction.IN, By.HOUR, "01"] == Figures(1, 1, 25, 60)
    assert await store.get("c1") == call()
    assert await StatisticsStore(redis, "shop").complete()


async def test_a_broken_counter_keeps_no_call_from_being_written(redis: Redis) -> None:
    store, keys = CallStore(redis, "shop", lambda: MOSCOW), Keys("shop")
    await redis.set(keys.statistics("2023-11-16"), "not a hash")
    await redis.set(keys.call("c2"), '{"counted":[')
    await write(store, call(), missed())
    assert [one.id for one in await store.ended(10)] == ["c2", "c1"]
    assert await store.get("c2") == missed()


async def test_seconds_are_summed_before_they_are_rounded(redis: Redis) -> None:
    store = CallStore(redis, "shop", lambda: MOSCOW)
    for ident in ("c1", "c2", "c3", "c4"):
        ended = call(ident)
        await write(store, replace(ended, talked=2.5, talk_began=None))
    found = await read(redis)
    assert whole_seconds(found.days[Direction.IN, date(2023, 11, 16)].talking) == 10


CALLS = st.builds(
    lambda call_id, kind, hours, code, external, direction, stage: kind(
        call_id,
        MIDNIGHT + hours * 3600,
        external=external,
        direction=direction,
        stage=stage,
        responsible=code,
    ),
    call_id=st.sampled_from(["c1", "c2", "c3"]),
    kind=st.sampled_from([call, missed, lambda *a, **b: call(*a, **b | {"ending": None})]),
    hours=st.integers(-30, 30),
    code=st.sampled_from([None, "101", "103"]),
    external=st.sampled_from([None, SHOP, "8|9"]),
    direction=st.sampled_from(Direction),
    stage=st.sampled_from([Stage.ENDED, Stage.ENDED, Stage.TALKING]),
)
WRITES = st.lists(st.tuples(st.lists(CALLS, min_size=1, max_size=3), st.sampled_from([MOSCOW, OMSK])))


def counted(states: Iterable[tuple[Call, ZoneInfo]]) -> dict[str, dict[str, list[float]]]:
    """Count calls, the plain way."""
    sums: defaultdict[tuple[str, str, int], float] = defaultdict(float)
    for one, zone in states:
        counts = counted_as(one, zone)
        if counts is not None:
            day, hour, direction, answered, waiting, talking, manager, line = counts
            for name in (f"hour|{hour}", f"manager|{manager}", f"line|{line}"):
                for index, number in enumerate((answered, 1 - int(answered), waiting, talking)):
                    sums[str(day), f"{name}|{direction}", index] += float(number)
    days: dict[str, dict[str, list[float]]] = {}
    for (day, name, index), total in sums.items():
        days.setdefault(day, {}).setdefault(name, [0.0] * 4)[index] = round(total, 1)
    return days


def test_whatever_is_written_and_again_the_counters_are_those_of_the_last_states(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        server = private_redis(tmp_path, own=False, temporary=True)
        redis = connect(runner.run(server.__aenter__()))

        @settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(WRITES)
        def whatever(writes: list[tuple[list[Call], ZoneInfo]]) -> None:
            runner.run(check(writes))

        async def check(writes: list[tuple[list[Call], ZoneInfo]]) -> None:
            await redis.flushdb()
            last: dict[str, tuple[Call, ZoneInfo]] = {}
            for calls, zone in writes:
                await CallStore(redis, "shop", partial(ZoneInfo, zone.key)).write(
                    [step(one) for one in calls]
                )
                last |= {one.id: (one, zone) for one in calls}
            found = {}
            async for key in redis.scan_iter(match=Keys("shop").statistics("*")):
                fields: dict[Any, Any] = await redis.hgetall(key)
                found[str(key, "ascii").rpartition(":")[2]] = {
                    name.decode(): [*map(float, sums.split())] for name, sums in fields.items()
                }
            assert found == counted(last.values())

        try:
            whatever()
        finally:
            runner.run(redis.aclose())
            runner.run(server.__aexit__(None, None, None))


async def test_many_days_add_up_to_what_their_calls_do(redis: Redis) -> None:
    store, chance, calls = CallStore(redis, "shop", lambda: MOSCOW), random.Random(1), list[Call]()
    for number in range(300):
        made = missed if number % 3 else call
        at = MIDNIGHT - 14 * 86_400 + chance.randrange(28 * 86_400)
        talker = chance.choice(("101", "102"))
        calls.append(made(f"c{number}", at, direction=chance.choice(tuple(Direction)), talker=talker))
    await write(store, *calls)
    days: dict[Any, Figures] = {}
    by: dict[Any, Figures] = {}
    for one in calls:
        counted = counted_as(one, MOSCOW)
        assert counted is not None
        day, hour, _, answered, waiting, talking, manager, line = counted
        figures = Figures(int(answered), 1 - int(answered), float(waiting), float(talking))
        of_day = (one.direction, date.fromisoformat(str(day)))
        days[of_day] = days.get(of_day, Figures()) + figures
        for kind, key in ((By.HOUR, hour), (By.MANAGER, manager), (By.LINE, line)):
            by[one.direction, kind, key] = by.get((one.direction, kind, key), Figures()) + figures
    assert await read(redis) == Statistics(days, by)
