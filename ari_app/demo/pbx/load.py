"""Many calls at a steady rate, for the benchmark: one SIPp process places them and measures."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from ari_app.demo.pbx.sipp import HUM, Sipp


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What became of the calls of one load."""

    placed: int
    failed: int
    """Calls that got no answer, or ended in another way than the customer's hanging up."""
    answer_times: Sequence[float]
    """Seconds from INVITE to 200 of each answered call, in ascending order."""

    def percentile(self, percent: float) -> float:
        """Return the seconds that `percent` of the answer times don't exceed; NaN without any."""
        if not self.answer_times:
            return math.nan
        return self.answer_times[max(0, math.ceil(len(self.answer_times) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` calls a second for `seconds` seconds, to the numbers `called` in turn."""

    rate: int
    seconds: float
    called: Sequence[str]
    talks: float = 2.0
    app: str | None = None
    sound: bool = False
    """Whether the customers send a hum while they talk."""

    async def run(self, port: int, asterisk_port: int, folder: Path) -> LoadResult:
        """Place the calls from `port` and wait until the last one is over."""
        calls = round(self.rate * self.seconds)
        sipp = Sipp(port, folder, lambda words: None)
        numbers = sipp.folder / "numbers.csv"
        numbers.write_text("SEQUENTIAL\n" + "".join(f"{line}\n" for line in self._numbers(calls)))
        values = {
            "talks": round(self.talks * 1000),
            "sound": HUM if self.sound else "",
            "headers": f"X-Stasis-App: {self.app}" if self.app else "Subject: load",
        }
        arguments = f"-r {self.rate} -m {calls} -l {calls} -inf numbers.csv -trace_rtt -rtt_freq 1".split()
        arguments += f"-trace_stat -stf stat.csv -fd 1 -recv_timeout 60000 127.0.0.1:{asterisk_port}".split()
        try:
            await sipp.start("load", values, arguments, fails=True)
            await sipp.ended(timeout=self.seconds + self.talks + 90)
            with (sipp.folder / "stat.csv").open() as file:
                last = list(csv.DictReader(file, delimiter=";"))[-1]
            times = [
                float(line.split(";")[1]) / 1000
                for file_ in sipp.folder.glob("*_rtt.csv")
                for line in file_.read_text().splitlines()[1:]
            ]
            return LoadResult(int(last["TotalCallCreated"]), int(last["FailedCall(C)"]), sorted(times))
        finally:
            await sipp.kill()

    def _numbers(self, calls: int) -> list[str]:
        return [
            f"+7916{number:07};{called}" for number, called in enumerate(islice(cycle(self.called), calls))
        ]
