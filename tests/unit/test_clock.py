"""Somebody sets the clock: who goes by it is told, and by how much. Rests end together."""

from __future__ import annotations

import asyncio

import pytest

from ari_app.clock import WatchedClock, rest, rest_until


class Machine:
    """A machine whose clock may be set."""

    def __init__(self) -> None:
        self.passed = self.set_by = 0.0
        self.told: list[float] = []
        self.clock = WatchedClock(
            lambda: 1_700_000_000 + self.passed + self.set_by, lambda: self.passed, self.told.append
        )


def test_time_that_passes_is_no_clock_that_is_set() -> None:
    machine = Machine()
    for _ in range(5):
        machine.passed += 3600
        assert machine.clock() == 1_700_000_000 + machine.passed
    assert machine.told == []


@pytest.mark.parametrize("by", [3600, -3600, 2, -2])
def test_a_clock_that_is_set_is_told_once(by: float) -> None:
    machine = Machine()
    machine.passed, machine.set_by = 60, by
    assert machine.clock() == 1_700_000_060 + by
    machine.passed = 90
    machine.clock()
    assert machine.told == [by]


def test_a_clock_that_is_put_right_little_by_little_was_not_set() -> None:
    machine = Machine()
    for _ in range(100):
        machine.passed += 10
        machine.set_by += 0.5
        machine.clock()
    assert machine.told == []


async def test_who_rests_until_the_same_second_goes_on_at_the_same_moment_each_time() -> None:
    loop, moments = asyncio.get_running_loop(), []

    async def work() -> None:
        for _ in range(2):
            await rest(1)
            moments.append(loop.time())

    await asyncio.gather(work(), work())
    one, other, *next_second = moments
    assert other - one < 0.5 < min(next_second) - other


async def test_one_who_is_cancelled_while_they_rest_keeps_no_other_from_going_on() -> None:
    one, other = asyncio.create_task(rest(1)), asyncio.create_task(rest(1))
    await asyncio.sleep(0)
    one.cancel()
    await other
    assert one.cancelled()


async def test_who_rests_until_something_is_due_goes_on_then() -> None:
    due = iter((False, False, True))
    await rest_until(lambda: next(due))
    assert next(due, None) is None


async def test_what_goes_wrong_at_a_look_is_told_to_who_rests_and_to_nobody_else() -> None:
    divisors, due = iter((1, 0)), iter((False, False, True))
    failing = asyncio.create_task(rest_until(lambda: bool(1 // next(divisors) - 1)))
    await rest_until(lambda: next(due))
    with pytest.raises(ZeroDivisionError):
        await failing
