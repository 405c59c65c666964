"""Somebody sets the clock: who goes by it is told, and by how much."""

from __future__ import annotations

import pytest

from ari_app.clock import WatchedClock


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
