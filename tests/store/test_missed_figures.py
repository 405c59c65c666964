"""What missed customers add up to: called back, how soon, lost; by manager, line and hour."""

from redis.asyncio import Redis

from ari_app.calls import LOST_SECONDS
from ari_app.store.calls import CallStore
from ari_app.store.missed import Reason
from ari_app.store.missed_figures import MissedStatistics, missed_statistics
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
