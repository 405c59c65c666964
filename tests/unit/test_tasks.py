"""Tasks end when they are told to, even when a cancellation gets lost on the way."""

import asyncio

import pytest

from ari_app import tasks


async def loses_a_cancellation() -> None:
    """Do what `asyncio.wait_for` of Python 3.11 does when its work is done at that very moment."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


async def test_a_task_that_loses_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)

    async def works() -> None:
        await loses_a_cancellation()
        await asyncio.Event().wait()

    working = asyncio.create_task(works())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await tasks.end([working])
    assert working.cancelled()


async def test_a_loop_that_loses_its_cancellation_ends_all_the_same() -> None:
    async def works() -> None:
        while True:
            await loses_a_cancellation()
            tasks.go_on_unless_cancelled()

    working = asyncio.create_task(works())
    await asyncio.sleep(0)
    working.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([working])
    assert working.cancelled()


async def test_tasks_that_have_failed_or_ended_are_ended() -> None:
    async def fails() -> None:
        raise ValueError

    failed = asyncio.create_task(fails())
    await asyncio.wait([failed])
    await tasks.end([failed])
    await tasks.end([])
    assert isinstance(failed.exception(), ValueError)
