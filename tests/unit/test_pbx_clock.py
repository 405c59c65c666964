"""When something happened at a PBX: its clock may be another's, and what it says may be read late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ari_app.asterisk.pbx_clock import PbxClock, read_stamp

NOON = 1_700_000_000.0
HOUR = 3600.0


class Machines:
    """Two machines: ours, with a clock that may be set, and the PBX's, which is off by some seconds."""

    def __init__(self, off: float = 0.0, zone: timezone = UTC) -> None:
        self.passed = 0.0
        self.off = off
        self.set_by = 0.0
        self.zone = zone
        self.clock = PbxClock(lambda: NOON + self.passed + self.set_by, lambda: 77.0 + self.passed)
        self.clock.connected()
        self.asks()

    def stamp(self) -> str:
        """What the PBX writes on an event that happens now."""
        at = datetime.fromtimestamp(NOON + self.passed + self.off, self.zone)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}{at:%z}"

    def asks(self, *, late: float = 0.0) -> None:
        """Ask the PBX the time; its answer takes a hundredth of a second, and is read late."""
        asked, stamp = self.clock.asking(), self.stamp()
        self.passed += 0.01 + late
        self.clock.answered(asked, stamp)

    def dated(self, stamp: str) -> float:
        """When what is read now has happened, in seconds since noon."""
        return self.clock.moment(stamp) - NOON


@pytest.mark.parametrize("off", [0.0, 0.4, -0.4, HOUR, -HOUR, 365 * 24 * HOUR])
@pytest.mark.parametrize("hours", [-9.5, 0, 3])
def test_what_is_read_late_is_dated_when_it_happened_whatever_the_pbxs_clock_shows(
    off: float, hours: float
) -> None:
    machines = Machines(off, timezone(timedelta(hours=hours)))
    machines.passed = 5
    stamp = machines.stamp()
    machines.passed = 14
    assert machines.dated(stamp) == pytest.approx(5, abs=0.02)


def test_what_is_read_at_once_is_dated_now() -> None:
    machines = Machines(HOUR)
    machines.passed = 5
    assert machines.dated(machines.stamp()) == pytest.approx(5, abs=0.02)


def test_a_first_event_that_is_read_late_is_dated_rightly_because_the_time_was_asked() -> None:
    machines = Machines(-HOUR)
    stamp = machines.stamp()
    machines.passed += 9
    assert machines.dated(stamp) == pytest.approx(0.01, abs=0.02)


def test_a_pbx_that_cant_be_asked_the_time_is_known_by_its_quickest_event() -> None:
    machines = Machines(HOUR)
    machines.clock.connected()
    for late in (0.5, 0.002, 9.0):
        stamp, at = machines.stamp(), machines.passed
        machines.passed += late
        dated = machines.dated(stamp)
    assert dated == pytest.approx(at, abs=0.02)


def test_our_own_clock_that_is_set_doesnt_make_events_older_or_younger() -> None:
    for by in (HOUR, -HOUR):
        machines = Machines()
        machines.set_by = by
        machines.passed = 5
        stamp = machines.stamp()
        machines.passed = 8
        assert machines.dated(stamp) == pytest.approx(5 + by, abs=0.02)


def test_a_pbxs_clock_that_is_set_forward_is_followed_at_once() -> None:
    machines = Machines()
    machines.passed = 5
    machines.off = HOUR
    assert machines.dated(machines.stamp()) == pytest.approx(5, abs=0.02)
    stamp = machines.stamp()
    machines.passed = 14
    assert machines.dated(stamp) == pytest.approx(5, abs=0.02)


def test_a_pbxs_clock_that_is_set_back_is_no_delay_of_an_hour() -> None:
    machines = Machines()
    machines.passed = 5
    machines.off = -HOUR
    assert machines.dated(machines.stamp()) == pytest.approx(5, abs=0.02)


def test_a_pbxs_clock_that_is_set_back_by_a_little_is_noticed_when_the_time_is_asked() -> None:
    machines = Machines()
    machines.passed = 12
    machines.off = -10
    machines.asks()
    assert machines.dated(machines.stamp()) == pytest.approx(12, abs=0.02)


def test_a_late_answer_to_the_time_teaches_nothing_wrong() -> None:
    machines = Machines()
    machines.passed = 5
    stamp = machines.stamp()
    machines.asks(late=9)
    assert machines.dated(stamp) == pytest.approx(5, abs=0.02)


@pytest.mark.parametrize(
    "stamp", [None, 7, "", "yesterday", "2026-11-25T21:00:00", [], "2026-13-25T21:00:00Z"]
)
def test_a_stamp_that_cant_be_read_is_now(stamp: object) -> None:
    machines = Machines(HOUR)
    machines.passed = 5
    assert machines.clock.moment(stamp) == NOON + 5


def test_a_stamp_names_its_zone() -> None:
    assert read_stamp("2026-11-25T21:00:00.123+0300") == read_stamp("2026-11-25T18:00:00.123+0000")
