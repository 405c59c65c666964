"""The connection to Redis does what is expected of it when it matters."""

import asyncio

from redis.asyncio import Redis


async def test_a_task_that_speaks_to_redis_ends_when_it_is_cancelled_at_whatever_moment(redis: Redis) -> None:
    async def speak() -> None:
        while True:
            await redis.ping()

    for turns in range(300):
        speaking = asyncio.create_task(speak())
        for _ in range(turns % 60):
            await asyncio.sleep(0)
        speaking.cancel()
        done, _ = await asyncio.wait([speaking], timeout=5)
        assert done, f"the cancellation was lost after {turns % 60} turns of the loop"
