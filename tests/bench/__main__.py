"""The benchmark: `python -m tests.bench [--rates 20,60,120] [--seconds 20]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from contextlib import AsyncExitStack

from rich.console import Console

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import CannotPrepare, Installation
from ari_app.demo.pbx.phones import Answers
from ari_app.demo.pbx.preparation import interrupt_when_told, prepare_visibly
from tests.bench.phase import Measured, Through, measure
from tests.bench.report import machine, shares, table

PHONE_SECONDS = 0.2
EXTENSIONS = [str(101 + number) for number in range(10)]
PHONES = 2
"""SIPp processes that serve the extensions, each several of them."""


async def _run(installation: Installation, rates: list[int], seconds: float) -> bool:
    """Measure, and print; tell whether all went as it must."""
    results: list[Measured] = []
    broken: list[str] = []
    async with AsyncExitStack() as stack:
        asterisk = Asterisk(installation, extensions=EXTENSIONS, queues=[])
        ports = [asterisk.ports.phone(index) for index in range(PHONES)]
        asterisk.phones = {code: ports[index % PHONES] for index, code in enumerate(EXTENSIONS)}
        lab = Lab(await stack.enter_async_context(asterisk))
        phones = [
            await stack.enter_async_context(lab.phone(code, Answers(PHONE_SECONDS)))
            for code in EXTENSIONS[:PHONES]
        ]
        pids = {f"phones {index + 1}": phone.pid or 0 for index, phone in enumerate(phones)}
        pids |= {"Asterisk": asterisk.pid or 0, "benchmark": os.getpid()}
        for rate in rates:
            for way in Through:
                try:
                    results.append(await measure(lab, pids, way, rate, seconds))
                except Exception as error:
                    broken.append(f"{rate} calls a second, {way.value}: not measured, {error!r}")
                for phone in phones:
                    phone.calls.clear()
    print(f"{machine(installation.version)}\n$ {shlex.join(sys.orig_argv)}\n")
    print(f"{table(results, PHONE_SECONDS)}\n\n{shares(results)}")
    wrong = [
        f"{one.rate} calls a second, {one.way.value}: {text}" for one in results for text in one.problems
    ]
    print(*wrong, *broken, sep="\n")
    return not wrong and not broken and not any(one.load.failed for one in results)


def main() -> None:
    """Measure, print a table, and end with code 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rates", default="20,60,120", help="calls a second, one measurement each")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    args = parser.parse_args()
    interrupt_when_told()
    try:
        installation = prepare_visibly(Console(stderr=True, highlight=False))
        fine = asyncio.run(_run(installation, [int(rate) for rate in args.rates.split(",")], args.seconds))
    except CannotPrepare as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
