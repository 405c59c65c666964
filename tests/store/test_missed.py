"""Missed customers: an open record each, once, until somebody of the shop has talked with them."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from ari_app.calls import LOST_SECONDS, meaning_of
from ari_app.calls.call import Call, Direction, Leg, LegState, Role, Stage, Way
from ari_app.calls.missed import Tried
from ari_app.calls.outcome import Ending
from ari_app.store.calls import CallStore
from ari_app.store.keys import Keys
from ari_app.store.missed import How, MissedCustomer, Reason, Wanted
from tests.store.test_statistics import MIDNIGHT, SHOP, call, missed, write

ANNA, BORIS = "+79161234567", "+79035557788"
NOON = MIDNIGHT + 12 * 3600


@pytest.fixture
def store(redis: Redis) -> CallStore:
    return CallStore(redis, "shop")


def tried(call_id: str = "m1", at: float = NOON, **more: Any) -> Call:
    """Anna calls and nobody takes it."""
    return missed(call_id, at, **more)


def answered(call_id: str = "a1", at: float = NOON + 600, **more: Any) -> Call:
    """Anna calls, and 101 talks with her."""
    return call(call_id, at, **{"talked": 60.0} | more)


def called(call_id: str = "o1", at: float = NOON + 600, **more: Any) -> Call:
    """101 calls Anna, who answers."""
    caller = Leg("phone", Role.CALLER, LegState.GONE, at, code="101")
    return call(call_id, at, **{"direction": Direction.OUT, "caller": caller, "talked": 60.0} | more)


async def open_ones(store: CallStore) -> list[MissedCustomer]:
    return await store.missed.open(0, 1e12, 100)


async def closed_ones(store: CallStore) -> list[MissedCustomer]:
    return [one async for one in store.missed.closed(0, 1e12)]


async def test_a_customer_who_was_missed_has_one_record_however_often_they_try(store: CallStore) -> None:
    await write(store, tried(told=("102", "103")), tried("m2", NOON + 60, responsible="101"))
    await write(store, tried("m3", NOON + 30, number=BORIS))
    anna, boris = await open_ones(store)
    assert (anna.number, anna.times, anna.first, anna.last) == (ANNA, 2, NOON, NOON + 60)
    assert (anna.line, anna.opened, [one.call for one in anna.tries]) == (SHOP, "m1", ["m1", "m2"])
    assert anna.owners == ("101",)
    assert boris.owners == ("102",)
    assert await store.missed.waiting(NOON + 100) == 2


async def test_a_call_that_is_written_again_counts_once(store: CallStore) -> None:
    await write(store, tried(), tried(), tried())
    assert [one.times for one in await open_ones(store)] == [1]


@pytest.mark.parametrize(("back", "how"), [(called(), How.CALLED), (answered(), How.CAME)])
async def test_the_first_talk_with_them_closes_it(store: CallStore, back: Call, how: How) -> None:
    await write(store, tried(), tried("m2", NOON + 60), back)
    assert await open_ones(store) == []
    (done,) = await closed_ones(store)
    assert (done.how, done.by, done.by_call, done.times) == (how, "101", back.id, 2)
    assert done.seconds == 605
    assert await store.missed.waiting(NOON + 700) == 0


async def test_a_call_by_another_line_closes_it_too(store: CallStore) -> None:
    await write(store, tried(), called(external="+78125550000"))
    assert await open_ones(store) == []


async def test_a_call_of_ours_that_they_dont_answer_closes_nothing(store: CallStore) -> None:
    vain: dict[str, Any] = {
        "ending": Ending.NOT_ANSWERED,
        "answered_at": None,
        "talker": None,
        "talked": None,
    }
    await write(store, tried(), called(**vain))
    assert [one.times for one in await open_ones(store)] == [1]


async def test_a_talk_with_somebody_else_closes_nothing(store: CallStore) -> None:
    await write(store, tried(), called(number=BORIS))
    assert [one.number for one in await open_ones(store)] == [ANNA]


async def test_a_voicemail_or_a_menu_is_no_person(store: CallStore) -> None:
    heard: dict[str, Any] = {"talker": None, "talker_leg": None, "talked": None, "left_to_dialplan": True}
    await write(store, call("v1", NOON, **heard))
    assert [one.opened for one in await open_ones(store)] == ["v1"]


async def test_of_a_call_that_nobody_knows_the_end_of_nothing_follows(store: CallStore) -> None:
    await write(store, tried(ending=Ending.UNKNOWN), tried("m2", number=None), tried("m3", number="101"))
    await write(store, tried("m4", stage=Stage.ENDING), tried("m5", ending=None))
    assert await open_ones(store) == []


async def test_who_calls_again_after_the_talk_is_missed_anew(store: CallStore) -> None:
    await write(store, tried(), called(), tried("m2", NOON + 3600))
    assert [(one.times, one.first) for one in await open_ones(store)] == [(1, NOON + 3600)]
    assert len(await closed_ones(store)) == 1


async def test_a_call_that_is_told_late_of_who_was_called_back_opens_nothing(store: CallStore) -> None:
    await write(store, called(), tried())
    assert await open_ones(store) == []


async def test_a_talk_that_is_told_late_closes_what_was_before_it(store: CallStore) -> None:
    await write(store, tried(), tried("m2", NOON + 3600), called())
    (still,) = await open_ones(store)
    assert (still.times, still.first, still.opened) == (1, NOON + 3600, "m2")
    (done,) = await closed_ones(store)
    assert (done.times, done.last) == (1, NOON)


async def test_a_call_that_was_answered_after_all_was_never_missed(store: CallStore) -> None:
    await write(store, tried(way=Way.REPORTED), answered("m1", NOON, way=Way.REPORTED))
    assert await open_ones(store) == []
    assert await closed_ones(store) == []


async def test_a_note_is_kept_and_a_record_is_closed_by_hand_once(store: CallStore) -> None:
    await write(store, tried())
    assert await store.missed.note(ANNA, "m1", "позвонить <после> пяти")
    (one,) = await open_ones(store)
    assert one.note == "позвонить <после> пяти"
    closings = [store.missed.close(ANNA, "m1", NOON + 60, Reason.SPAM, "101", "") for _ in range(3)]
    assert sorted(await asyncio.gather(*closings)) == [False, False, True]
    assert not await store.missed.note(ANNA, "m1", "too late")
    (done,) = await closed_ones(store)
    assert (done.how, done.reason, done.note, done.seconds) == ("by hand", "spam", one.note, None)
    await write(store, tried())
    assert await open_ones(store) == []


async def test_what_was_seen_before_they_called_anew_closes_nothing_new(store: CallStore) -> None:
    await write(store, tried(), called(), tried("m2", NOON + 3600))
    assert not await store.missed.close(ANNA, "m1", NOON, Reason.OTHER, "", "")
    assert len(await open_ones(store)) == 1


async def test_who_is_open_after_a_day_is_lost_and_no_longer_waits(store: CallStore) -> None:
    await write(store, tried())
    (one,) = await open_ones(store)
    assert not one.is_lost(NOON + LOST_SECONDS - 1)
    assert one.is_lost(NOON + LOST_SECONDS)
    assert await store.missed.waiting(NOON + LOST_SECONDS - 1) == 1
    assert await store.missed.waiting(NOON + LOST_SECONDS) == 0


async def test_what_another_version_has_written_is_left_out_and_kept(redis: Redis, store: CallStore) -> None:
    await write(store, tried(), tried("m2", number=BORIS))
    keys = Keys("shop")
    await redis.hset(keys.missed, BORIS, b"{")
    later = orjson.loads((await redis.hget(keys.missed, ANNA)) or b"") | {"mood": "cross"}
    await redis.hset(keys.missed, ANNA, orjson.dumps(later))
    assert [one.number for one in await open_ones(store)] == [ANNA]
    await write(store, tried("m3", NOON + 5))
    assert orjson.loads((await redis.hget(keys.missed, ANNA)) or b"")["mood"] == "cross"
    await write(store, called("o2", number=BORIS))
    assert await store.get("o2") is not None


async def test_they_go_with_their_calls(store: CallStore) -> None:
    await write(store, tried(), called(), tried("m2", NOON, number=BORIS), tried("m3", NOON + 9000))
    await store.missed.forget(NOON + 5000)
    assert [one.opened for one in await open_ones(store)] == ["m3"]
    assert await closed_ones(store) == []


async def test_a_call_in_which_nobody_was_missed_costs_one_look(redis: Redis, store: CallStore) -> None:
    await write(store, answered("warm", number=BORIS))
    await redis.config_resetstat()
    await write(store, answered())
    stats = await redis.info("commandstats")
    asked = {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}
    counters = 3  # of the statistics
    assert asked["hget"] == counters + 1
    assert not {"zrevrangebyscore", "zremrangebyscore"} & set(asked)


def test_who_was_rung_is_named_once_and_the_responsible_apart() -> None:
    seen = meaning_of(replace(tried(told=("102", "103"), passed_over=("102", "104")), responsible="101"))
    assert isinstance(seen, Tried)
    assert (seen.responsible, seen.rung) == ("101", ("102", "103", "104"))


async def test_who_is_looked_for_is_found_among_others_and_how_many_were_looked_at_is_told(
    store: CallStore,
) -> None:
    numbers = [f"+7916000{number:04}" for number in range(450)]
    calls = [
        tried(f"n{index}", NOON + index, number=number, responsible="115" if index % 100 == 7 else "101")
        for index, number in enumerate(numbers)
    ]
    await write(store, *calls)
    look = partial(store.missed.find, is_open=True, since=0.0, until=1e12)
    found, gave_up = await look(wanted=Wanted("115"), most=3, look_at=2000)
    assert ([one.number for one in found], gave_up) == ([numbers[7], numbers[107], numbers[207]], False)
    found, gave_up = await look(wanted=Wanted("115"), most=30, look_at=200)
    assert ([one.number for one in found], gave_up) == ([numbers[7], numbers[107]], True)
    found, gave_up = await look(wanted=Wanted("115", "+7"), most=30, look_at=2000)
    assert (found, gave_up) == ([], False)
    for index in (7, 8):
        await store.missed.close(numbers[index], f"n{index}", NOON + 900, Reason.SPAM, "102", "")
    for manager, whose in (("115", [numbers[7]]), ("102", [numbers[8], numbers[7]]), ("103", [])):
        found, gave_up = await look(is_open=False, wanted=Wanted(manager), most=30, look_at=2000)
        assert ([one.number for one in found], gave_up) == (whose, False)
