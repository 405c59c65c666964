"""The pace of the requests to a CRM, on a clock that jumps to the next timer when nothing else is to do."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine

import pytest

from ari_app.retailcrm.pace import Pace, Urgency


class _JumpingSelector(selectors.SelectSelector):
    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.skipped += timeout + 1e-9
        assert ready or timeout is not None, "everyone waits for nothing"
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.skipped


def jump(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        runner.run(scenario())


class Crowd:
    """Requests that are started together; each notes when it was let in, then takes `lasts` seconds."""

    def __init__(self, pace: Pace, lasts: float = 0.0) -> None:
        self.pace = pace
        self.lasts = lasts
        self.let_in: list[tuple[float, str]] = []

    async def request(self, urgency: Urgency, name: str = "") -> None:
        async with self.pace.place(urgency):
            self.let_in.append((round(asyncio.get_running_loop().time(), 3), name or urgency.name))
            await asyncio.sleep(self.lasts)

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.let_in]


@pytest.mark.parametrize("lasts", [0.0, 0.07, 0.4, 3.0])
def test_no_second_sees_more_requests_than_the_limit_whatever_the_network_does(lasts: float) -> None:
    async def scenario() -> None:
        crowd = Crowd(Pace(telephony=38), lasts)
        await asyncio.gather(*(crowd.request(Urgency.LOOK_UP) for _ in range(200)))
        starts = [start for start, _ in crowd.let_in]
        latest_arrivals = [start + min(lasts, 0.5) for start in starts]
        for number, arrival in enumerate(latest_arrivals):
            later = [start for start in starts[number + 1 :] if start < arrival + 1 - 1e-6]
            assert len(later) < 38

    jump(scenario)


def test_look_ups_go_first_then_popups_then_reports_each_in_the_order_they_came() -> None:
    async def scenario() -> None:
        crowd = Crowd(Pace(telephony=1))
        await crowd.request(Urgency.REPORT, "first")
        await asyncio.gather(
            *(
                crowd.request(urgency, f"{urgency.name} {n}")
                for n in (1, 2)
                for urgency in (Urgency.REPORT, Urgency.POPUP, Urgency.LOOK_UP)
            )
        )
        assert crowd.names == [
            "first", "LOOK_UP 1", "LOOK_UP 2", "POPUP 1", "POPUP 2", "REPORT 1", "REPORT 2",
        ]  # fmt: skip

    jump(scenario)


def test_a_burst_of_reports_leaves_room_for_a_look_up() -> None:
    async def scenario() -> None:
        crowd = Crowd(Pace(telephony=40))
        reports = [asyncio.create_task(crowd.request(Urgency.REPORT)) for _ in range(100)]
        await asyncio.sleep(0)
        await crowd.request(Urgency.LOOK_UP)
        assert crowd.let_in[-1] == (0, "LOOK_UP")
        assert crowd.names.count("REPORT") == 30
        await asyncio.gather(*reports)

    jump(scenario)


def test_look_ups_for_others_hold_up_neither_calls_nor_popups_nor_reports() -> None:
    async def scenario() -> None:
        crowd = Crowd(Pace())
        foreign = [asyncio.create_task(crowd.request(Urgency.ASKED)) for _ in range(300)]
        await asyncio.sleep(0.5)
        real = [asyncio.create_task(crowd.request(Urgency.LOOK_UP)) for _ in range(20)]
        others = [asyncio.create_task(crowd.request(kind)) for kind in (Urgency.POPUP, Urgency.REPORT)]
        await asyncio.gather(*real, *others)
        assert crowd.names.count("ASKED") == 9
        assert {at for at, name in crowd.let_in if name != "ASKED"} == {0.5}
        for task in foreign:
            task.cancel()
        await asyncio.gather(*foreign, return_exceptions=True)

    jump(scenario)


def test_popups_reports_and_look_ups_for_others_have_their_share_beside_endless_look_ups() -> None:
    async def scenario() -> None:
        crowd = Crowd(Pace())
        kinds = (Urgency.POPUP, Urgency.ASKED, Urgency.REPORT)
        waiting = [asyncio.create_task(crowd.request(Urgency.LOOK_UP)) for _ in range(400)]
        waiting += [asyncio.create_task(crowd.request(kind)) for kind in kinds for _ in range(10)]
        await asyncio.sleep(4.5)
        assert [crowd.names.count(kind.name) for kind in (Urgency.POPUP, Urgency.REPORT)] == [10, 10]
        assert crowd.names.count("ASKED") >= 4
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    jump(scenario)


def test_one_who_gives_up_takes_no_place() -> None:
    async def scenario() -> None:
        crowd = Crowd(Pace(telephony=1))
        await crowd.request(Urgency.LOOK_UP, "first")
        impatient = asyncio.create_task(crowd.request(Urgency.LOOK_UP, "impatient"))
        patient = asyncio.create_task(crowd.request(Urgency.REPORT, "patient"))
        await asyncio.sleep(0.5)
        impatient.cancel()
        await patient
        assert impatient.cancelled()
        assert crowd.let_in == [(0, "first"), (1, "patient")]

    jump(scenario)


def test_one_who_is_cancelled_in_the_moment_of_being_let_in_gives_the_place_back() -> None:
    async def scenario() -> None:
        crowd = Crowd(Pace(telephony=1))
        await crowd.request(Urgency.LOOK_UP, "first")
        unlucky = asyncio.create_task(crowd.request(Urgency.LOOK_UP, "unlucky"))
        next_one = asyncio.create_task(crowd.request(Urgency.REPORT, "next"))
        await asyncio.sleep(0)
        # in the loop's same round as the alarm that lets it in, and just after it
        asyncio.get_running_loop().call_at(1 + 5e-10, unlucky.cancel)
        await next_one
        assert unlucky.cancelled()
        assert crowd.let_in == [(0, "first"), (1, "next")]

    jump(scenario)


def test_a_pause_keeps_back_all_but_look_ups_and_a_shorter_one_does_not_end_it() -> None:
    async def scenario() -> None:
        pace = Pace()
        crowd = Crowd(pace)
        pace.pause(5)
        pace.pause(1)
        await asyncio.gather(
            *(crowd.request(urgency) for urgency in (Urgency.POPUP, Urgency.OTHER, Urgency.LOOK_UP))
        )
        assert sorted(crowd.let_in) == [(0, "LOOK_UP"), (5, "OTHER"), (5, "POPUP")]

    jump(scenario)


def test_a_pause_also_stops_those_who_wait_already() -> None:
    async def scenario() -> None:
        pace = Pace(telephony=1)
        crowd = Crowd(pace)
        await crowd.request(Urgency.POPUP, "first")
        waiting = asyncio.create_task(crowd.request(Urgency.POPUP, "waiting"))
        await asyncio.sleep(0.5)
        pace.pause(3)
        await waiting
        assert crowd.let_in == [(0, "first"), (3.5, "waiting")]

    jump(scenario)


def test_other_routes_are_counted_apart() -> None:
    async def scenario() -> None:
        crowd = Crowd(Pace(telephony=1, others=1))
        await asyncio.gather(crowd.request(Urgency.LOOK_UP), crowd.request(Urgency.OTHER))
        assert [at for at, _ in crowd.let_in] == [0, 0]

    jump(scenario)


def test_without_a_limit_nobody_waits_but_for_a_pause() -> None:
    async def scenario() -> None:
        pace = Pace.unlimited()
        crowd = Crowd(pace)
        await asyncio.gather(*(crowd.request(Urgency.REPORT) for _ in range(1000)))
        pace.pause(2)
        await crowd.request(Urgency.REPORT, "last")
        assert {at for at, name in crowd.let_in if name == "REPORT"} == {0}
        assert crowd.let_in[-1] == (2, "last")

    jump(scenario)
