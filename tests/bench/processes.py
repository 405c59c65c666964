"""Processes of the benchmark: started, ended by their id, and what they cost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 10.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class ProcessFailed(Exception):
    """A process did not start."""


@asynccontextmanager
async def process(*command: str, seconds: float = START_SECONDS) -> AsyncIterator[tuple[int, str]]:
    """Run a command; gives its id and the first line that it prints, within so many seconds.

    It is killed when our thread dies.
    """
    child = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", *command, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            line = await child.stdout.readline()
        if not line:
            raise ProcessFailed(f"{' '.join(command)} has ended with code {await child.wait()}")
        yield child.pid, line.decode().strip()
    finally:
        await _end(child)


async def _end(child: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await child.communicate()
                return


def cpu_seconds(pid: int) -> float:
    """Say how much CPU (user and system) a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def memory_mb(pid: int) -> float:
    """Say how much of the machine's memory a process has (RSS), in megabytes (10**6 bytes)."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024 / 1e6


def machine_seconds() -> float:
    """Say how much CPU everything on this machine has taken so far, the kernel included."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split()[1:9]
    )
    return (user + nice + system + irq + softirq) / _TICKS_A_SECOND


def costs(pids: Mapping[str, int]) -> dict[str, float]:
    """Say how much CPU each of some processes has taken so far, and ``machine``: everything together."""
    return {**{name: cpu_seconds(pid) for name, pid in pids.items()}, "machine": machine_seconds()}
