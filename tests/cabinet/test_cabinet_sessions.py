"""Who is signed in, and who tries too often to be."""

import pytest
from redis.asyncio import Redis

from ari_app.store.sessions import IDLE_SECONDS, LONGEST_SECONDS, Attempts, Sessions

SHOP = "shop.retailcrm.ru"


@pytest.fixture
def now() -> list[float]:
    return [1_800_000_000.0]


@pytest.fixture
def sessions(redis: Redis, now: list[float]) -> Sessions:
    return Sessions(redis, lambda: now[0])


async def test_a_session_is_found_until_it_is_ended(sessions: Sessions) -> None:
    ident = await sessions.open(SHOP)
    found = await sessions.find(ident)
    assert found is not None
    assert found.account == SHOP
    await sessions.end(ident)
    assert await sessions.find(ident) is None


async def test_redis_does_not_know_what_opens_a_session(sessions: Sessions, redis: Redis) -> None:
    ident = await sessions.open(SHOP)
    (key,) = await redis.keys("*")
    assert ident not in str(key)
    assert await sessions.find(str(key)[len("b'session:") : -1]) is None


async def test_a_session_that_is_used_stays_and_an_idle_one_ends(sessions: Sessions, redis: Redis) -> None:
    ident = await sessions.open(SHOP)
    (key,) = await redis.keys("*")
    await redis.expire(key, 5)
    await sessions.find(ident)
    assert IDLE_SECONDS - 5 < await redis.ttl(key) <= IDLE_SECONDS


async def test_even_a_session_in_use_ends_one_day(sessions: Sessions, now: list[float]) -> None:
    ident = await sessions.open(SHOP)
    now[0] += LONGEST_SECONDS - 1
    assert await sessions.find(ident) is not None
    now[0] += 1
    assert await sessions.find(ident) is None


async def test_too_many_attempts_have_to_wait(redis: Redis) -> None:
    attempts = Attempts(redis, most=2, seconds=60)
    assert [await attempts.take("192.0.2.1") for _ in range(2)] == [None, None]
    left = await attempts.take("192.0.2.1")
    assert left is not None
    assert 0 < left <= 60
    assert await attempts.take("192.0.2.2") is None
    await attempts.forget("192.0.2.1")
    assert await attempts.take("192.0.2.1") is None
