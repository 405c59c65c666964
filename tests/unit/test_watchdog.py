"""The watchdog sees from outside that the loop stands still, and says so when it turns again."""

import asyncio
import threading

from ari_app.service.watchdog import BEAT_SECONDS, Watchdog

STALL = 0.5


async def test_a_loop_that_hangs_is_noticed_from_outside_and_resumes_once() -> None:
    shut, resumed = threading.Event(), asyncio.Event()
    times: list[str] = []

    def bark() -> None:
        times.append("shut")
        shut.set()

    def wake() -> None:
        times.append("resumed")
        resumed.set()

    with Watchdog(bark, wake, STALL).at_work():
        assert shut.wait(30)  # the loop stands still until the thread has noticed
        async with asyncio.timeout(30):
            await resumed.wait()
    assert times == ["shut", "resumed"]


async def test_a_loop_that_turns_is_left_alone() -> None:
    times: list[str] = []
    turned = asyncio.Event()
    with Watchdog(lambda: times.append("shut"), lambda: times.append("resumed"), 30).at_work():
        asyncio.get_running_loop().call_later(3 * BEAT_SECONDS, turned.set)
        await turned.wait()
    assert times == []
