"""What missed customers add up to: called back, how soon, lost; by manager, line and hour."""

from redis.asyncio import Redis

from ari_app.calls import LOST_SECONDS
from ari_app.store.calls import CallStore
from ari_app.store.missed import Reason
from ari_app.store.missed_figures import MissedStatistics, Remembered, missed_statistics
from ari_app.store.statistics import By
from tests.store.test_missed import ANNA, BORIS, NOON, called, tried
from tests.store.test_statistics import MOSCOW, SHOP, write

VERA, GLEB, DINA = "+79261112233", "+79261112244", "+79261112255"


async def read(store: CallStore, now: float = NOON + LOST_SECONDS / 2) -> MissedStatistics:
    return await missed_statistics(store.missed, NOON - 3600, NOON + LOST_SECONDS, MOSCOW, now)


async def test_each_customer_counts_once_and_as_one_thing(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    await write(store, *(tried(f"m{n}", NOON, number=one) for n, one in enumerate((ANNA, BORIS, VERA, GLEB))))
    await write(store, tried("again", NOON + 60), tried("m9", NOON + 7200, number=DINA))
    await write(store, called("o1", NOON + 95), called("o2", NOON + 295, number=BORIS))
    await write(store, called("o3", NOON + 595, number=VERA))
    await store.missed.close(GLEB, "m3", NOON + 60, Reason.SPAM, "", "")
    all_ = (await read(store)).all
    assert (all_.missed, all_.called_back, all_.by_hand, all_.lost, all_.waiting) == (5, 3, 1, 0, 1)
    assert all_.median == 300
    assert all_.share == 0.6
    late = (await read(store, NOON + 2 * LOST_SECONDS)).all
    assert (late.lost, late.waiting) == (1, 0)


async def test_who_was_called_back_after_a_day_was_lost(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    await write(store, tried(), called("o1", NOON + LOST_SECONDS))
    all_ = (await read(store)).all
    assert (all_.missed, all_.called_back, all_.lost, all_.median) == (1, 0, 1, None)


async def test_they_are_told_apart_by_whose_they_are_by_line_and_by_hour(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    await write(store, tried(responsible="101"), tried("m2", NOON + 3600, number=BORIS, told=()))
    found = (await read(store)).by
    assert {key: one.missed for key, one in found[By.MANAGER].items()} == {"101": 1, "": 1}
    assert {key: one.missed for key, one in found[By.LINE].items()} == {SHOP: 2}
    assert {key: one.missed for key, one in found[By.HOUR].items()} == {"12": 1, "13": 1}


async def test_those_of_other_days_do_not_count(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    await write(store, tried(at=NOON - LOST_SECONDS), tried("m2", NOON + LOST_SECONDS, number=BORIS))
    assert (await read(store)).all.missed == 0


async def test_what_is_remembered_of_days_adds_up_to_the_same(redis: Redis) -> None:
    store, remembered = CallStore(redis, "shop"), Remembered()
    end = NOON + 9 * LOST_SECONDS

    async def both() -> MissedStatistics:
        again = await missed_statistics(store.missed, NOON, end, MOSCOW, end, remembered)
        assert again == await missed_statistics(store.missed, NOON, end, MOSCOW, end)
        return again

    for day, number in enumerate((ANNA, BORIS, VERA)):
        at = NOON + day * LOST_SECONDS
        await write(store, tried(f"m{day}", at, number=number, responsible="101"))
        await write(store, called(f"o{day}", at + 60 * (day + 1), number=number))
    assert (await both()).all.median == 125
    assert (await both()).by[By.MANAGER]["101"].missed == 3
    await write(store, tried("m9", NOON + 7200, number=DINA), called("o9", NOON + 7500, number=DINA))
    assert sorted((await both()).all.seconds) == [65, 125, 185, 305]
    await write(store, tried("open", NOON + 9000, number=GLEB, responsible="101"))
    assert (await both()).all.missed == 5
    await write(store, tried("again", NOON + 6 * LOST_SECONDS, number=GLEB, responsible="102"))
    assert (await both()).by[By.MANAGER]["102"].lost == 1
    await store.missed.forget(NOON + LOST_SECONDS)
    assert (await both()).all.missed == 2


async def test_no_more_is_remembered_than_there_is_room_for(redis: Redis) -> None:
    store, remembered = CallStore(redis, "shop"), Remembered(most=2)
    for day, number in enumerate((ANNA, BORIS, VERA)):
        at = NOON + day * LOST_SECONDS
        await write(store, tried(f"m{day}", at, number=number), called(f"o{day}", at + 60, number=number))
    end = NOON + 9 * LOST_SECONDS
    for _ in range(2):
        found = await missed_statistics(store.missed, NOON, end, MOSCOW, end, remembered)
        assert found.all.called_back == 3
    assert len(remembered._known) == 2


async def test_what_is_remembered_holds_until_one_of_a_day_is_lost(redis: Redis) -> None:
    store, remembered = CallStore(redis, "shop"), Remembered()
    await write(store, tried())
    for now, lost in ((NOON + 60, 0), (NOON + LOST_SECONDS - 1, 0), (NOON + LOST_SECONDS, 1)):
        found = await missed_statistics(store.missed, NOON - 60, NOON + LOST_SECONDS, MOSCOW, now, remembered)
        assert (found.all.lost, found.all.missed) == (lost, 1)
