"""Prepares the machine before a person's eyes; also `python -m ari_app.demo.pbx.preparation`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ari_app.demo.pbx.machine import (
    BROWSERS,
    NEWEST,
    CannotPrepare,
    Installation,
    prepare,
    prepare_browser,
)
from ari_app.demo.pbx.machine import Progress as Told

T = TypeVar("T")


def interrupt_when_told() -> None:
    """Let SIGTERM, and the terminal's end, unwind what is under way as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def prepare_visibly(console: Console, version: int = NEWEST) -> Installation:
    """Prepare the machine and show what is done; nothing is shown when nothing is missing.

    Raises:
        CannotPrepare: something that is needed is not there and can't be installed.
    """
    return _visibly(console, lambda show: prepare(show, version))


def _visibly(console: Console, work: Callable[[Told], T]) -> T:
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
        return work(show)
    finally:
        bar.stop()


def main(named: list[str]) -> None:
    """Prepare the machine with the Asterisks named (the newest, when none is), and say what came of it.

    The first one is needed; without another one, the tests that run on it are left out. The name `chromium`
    prepares a browser too, without which the tests of the pages are left out.
    """
    interrupt_when_told()
    console = Console(highlight=False)
    if BROWSERS[0] in named:
        _prepare_browser(console)
    versions = [int(name) for name in named if name != BROWSERS[0]]
    for number, version in enumerate(versions or [NEWEST]):
        try:
            installation = prepare_visibly(console, version)
        except CannotPrepare as problem:
            if number == 0:
                sys.exit(str(problem))
            print(f"Without Asterisk {version} its tests are left out. {problem}", file=sys.stderr)
            continue
        except KeyboardInterrupt:
            sys.exit(130)
        where = f"in {installation.root}" if installation.root else "of this machine"
        print(f"This machine is ready: Asterisk {installation.version} {where}, redis-server and SIPp.")


def _prepare_browser(console: Console) -> None:
    try:
        program = _visibly(console, prepare_browser)
    except CannotPrepare as problem:
        print(f"Without a browser the tests of the pages are left out. {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        sys.exit(130)
    else:
        print(f"The browser for the tests of the pages: {program}.")


def _sentence(doing: str) -> str:
    return doing[:1].upper() + doing[1:]


if __name__ == "__main__":
    main(sys.argv[1:])
