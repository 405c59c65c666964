"""The proof: `python -m tests.soak [--minutes 60] [--seed 1] [--copies 1]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import shutil
import sys

from rich.console import Console

from ari_app.asterisk.room import KEEP_FREE
from ari_app.demo.pbx.machine import CannotPrepare, Installation
from ari_app.demo.pbx.preparation import interrupt_when_told, prepare_visibly
from tests.bench.report import machine
from tests.soak.copies import faketime
from tests.soak.plan import What, draw
from tests.soak.report import tables
from tests.soak.run import Run
from tests.soak.world import World

_IN_ITS_OWN_MOUNTS = "SOAK_MOUNTS_ARE_ITS_OWN"
DISK_MEGABYTES, DISK_MEGABYTES_A_MINUTE = 32, 10
UNKNOWN_AT_MOST = 0.01
"""The share of calls, with two copies."""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _run(installation: Installation, args: argparse.Namespace, kinds: list[What]) -> bool:
    plan = draw(
        args.seed, args.minutes * 60, rate=args.rate, every=args.every, copies=args.copies, kinds=kinds
    )
    print(f"{machine(installation.version)}\n$ {shlex.join(sys.orig_argv)}")
    print(f"{len(plan.calls)} calls and {len(plan.faults)} faults are planned\n", flush=True)
    disk = round(KEEP_FREE / 2**20 + DISK_MEGABYTES + DISK_MEGABYTES_A_MINUTE * args.minutes * args.rate)
    async with World(installation, args.copies, small_disk=disk * (What.DISK in kinds)) as world:
        _say(f"logs are in {world.folder}")
        try:
            outcome = await Run(world, plan, _say).run()
        except Exception:
            world.keep = True
            raise
        world.keep = bool(outcome.wrong) or args.keep
    print(tables(outcome))
    fine = not outcome.wrong and (args.copies == 1 or outcome.unknown < UNKNOWN_AT_MOST)
    if world.keep:
        print(f"the logs stay in {world.folder}")
    return fine


def _kinds(named: str) -> list[What]:
    """Say which faults can be made here: some take root, one a package."""
    kinds = [what for what in What if not named or any(name in what.value for name in named.split(","))]
    if What.CLOCK in kinds and faketime() is None:
        _say("without Debian's package `faketime` no clock is stepped")
        kinds.remove(What.CLOCK)
    if What.DISK in kinds and _IN_ITS_OWN_MOUNTS not in os.environ:
        _say("only root can mount a small disk: none is filled")
        kinds.remove(What.DISK)
    return kinds


def main() -> None:
    """Run it, print tables, and end with code 1 when anything was told wrongly, or left."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="the same one gives the same plan")
    parser.add_argument("--copies", type=int, default=1, help="how many copies of the service")
    parser.add_argument("--rate", type=float, default=1.0, help="calls a second")
    parser.add_argument("--every", type=float, default=16.0, help="seconds between faults, about")
    parser.add_argument("--faults", default="", help="only those whose names contain one of these words")
    parser.add_argument("--keep", action="store_true", help="leave the logs, also when all was right")
    args = parser.parse_args()
    if os.geteuid() == 0 and shutil.which("unshare") and _IN_ITS_OWN_MOUNTS not in os.environ:
        # what is mounted vanishes with us, however we end
        words = ("unshare", "--mount", sys.executable, *sys.orig_argv[1:])
        os.execvpe(words[0], words, {**os.environ, _IN_ITS_OWN_MOUNTS: "1"})
    interrupt_when_told()
    try:
        installation = prepare_visibly(Console(stderr=True, highlight=False))
        fine = asyncio.run(_run(installation, args, _kinds(args.faults)))
    except CannotPrepare as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
