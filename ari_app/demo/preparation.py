"""Prepares the machine before a person's eyes; also `python -m ari_app.demo.machine`."""

from __future__ import annotations

import signal
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ari_app.demo.machine import CannotPrepare, Installation, prepare


def interrupt_when_told() -> None:
    """Let SIGTERM, and the terminal's end, unwind what is under way as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def prepare_visibly(console: Console) -> Installation:
    """Prepare the machine and show what is done; nothing is shown when nothing is missing.

    Raises:
        CannotPrepare
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    bar = Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def show(doing: str, done: float) -> None:
        if doing not in tasks:
            bar.start()
            tasks[doing] = bar.add_task(_sentence(doing), total=1.0)
            if bar.disable:
                console.print(f"{_sentence(doing)} ...")
        bar.update(tasks[doing], completed=done)

    try:
        return prepare(show)
    finally:
        bar.stop()


def main() -> None:
    """Prepare the machine, and say in one sentence what came of it."""
    interrupt_when_told()
    try:
        installation = prepare_visibly(Console(highlight=False))
    except CannotPrepare as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
    where = f"in {installation.root}" if installation.root else "of this machine"
    print(f"This machine is ready: Asterisk {installation.version} {where}, redis-server and SIPp.")


def _sentence(doing: str) -> str:
    return doing[:1].upper() + doing[1:]
