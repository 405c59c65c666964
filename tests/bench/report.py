"""What the benchmark prints."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from tests.bench.phase import Measured, Through

_COLUMNS = "{:>7}  {:<14} {:>6} {:>7} {:>8} {:>8} {:>9} {:>10} {:>9} {:>11}"
_FULL = 0.95
"""A process that takes more than this share of a core is a bottleneck; so is a machine this full."""


def machine(asterisk_version: str) -> str:
    """Say what this was measured on."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return (
        f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, Asterisk {asterisk_version}; "
        "callers, phones, Asterisk, Redis, the simulated CRM and we share them"
    )


def table(results: Sequence[Measured], phone_seconds: float) -> str:
    """Put the figures side by side. Times are from INVITE to 200."""
    lines = [
        f"Times in ms from the customer's INVITE to their 200, the phone's own {phone_seconds * 1000:.0f} ms "
        "included; CPU in ms a call, user and system, of our process without what it takes when idle, and of "
        "Asterisk. Both sides send sound; with MixMonitor the dialplan dials and records without us.",
        "",
        _COLUMNS.format(
            *("calls/s", "way", "calls", "failed", "p50", "p99", "p99 more", "CPU a call", "Asterisk"),
            "problems",
        ),
    ]
    plain = {one.rate: one for one in results if one.way is Through.PLAIN}
    return "\n".join([*lines, *(_row(one, plain.get(one.rate)) for one in results)])


def _row(one: Measured, plain: Measured | None) -> str:
    more = cpu = problems = ""
    asterisk = f"{one.cpu['Asterisk'] / max(1, one.load.placed) * 1000:.2f}"
    if one.way not in (Through.PLAIN, Through.MIXED):
        cpu = f"{one.cpu['us'] / max(1, one.load.placed) * 1000:.2f}"
        problems = str(len(one.problems)) if one.problems else "none"
        if plain is not None:
            more = f"{(one.load.percentile(99) - plain.load.percentile(99)) * 1000:+.0f}"
    times = (f"{one.load.percentile(percent) * 1000:.0f}" for percent in (50, 99))
    return _COLUMNS.format(
        one.rate, one.way.value, one.load.placed, one.load.failed, *times, more, cpu, asterisk, problems
    )


def shares(results: Sequence[Measured]) -> str:
    """Say who took how much of a core, and who took all there was."""
    lines = ["Share of one core, in %:"]
    for one in results:
        known = {name: spent / one.seconds for name, spent in one.cpu.items() if name != "machine"}
        machine = one.cpu["machine"] / one.seconds
        rest = machine - sum(known.values())
        parts = ", ".join(f"{name} {share * 100:.0f}" for name, share in {**known, "others": rest}.items())
        lines.append(f"{one.rate:>7}  {one.way.value:<14} {parts}")
        full = [name for name, share in known.items() if share > _FULL and name != "Asterisk"]
        if machine > _FULL * (os.cpu_count() or 1):
            full.append("the whole machine")
        if full:
            lines.append(f"{'':>24} at the limit: {', '.join(full)}; the times are theirs too")
    return "\n".join(lines)


def percentile(figures: Sequence[float], percent: float) -> float:
    """Give the figure that `percent` of some don't exceed; NaN without any."""
    return sorted(figures)[max(0, math.ceil(len(figures) * percent / 100) - 1)] if figures else math.nan


class Goals:
    """Figures beside their goals; `met` tells whether all were reached."""

    def __init__(self) -> None:
        self.met = True

    def print(self, what: str, figure: float, goal: float, unit: str) -> None:
        """Print one that must not be greater than its goal."""
        reached = figure <= goal
        self.met = self.met and reached
        print(f"{what}: {figure:.1f} {unit} (goal: {goal:g}{'' if reached else ', not reached'})", flush=True)
