"""Prepares the machine before a person's eyes; also `python -m ari_app.demo.pbx.preparation`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ari_app.demo.pbx.machine import (
    BROWSERS,
    NEWEST,
    SOFTPHONE,
    CannotPrepare,
    Installation,
    prepare,
    prepare_browser,
    prepare_program,
)
from ari_app.demo.pbx.machine import Progress as Told

T = TypeVar("T")

_FOR_TESTS: dict[str, tuple[Callable[[Told], Path], str, str]] = {
    BROWSERS[0]: (prepare_browser, "a browser", "of the pages"),
    "linphone": (partial(prepare_program, SOFTPHONE), "linphone", "with a telephone of others"),
    "promtool": (partial(prepare_program, "promtool"), "promtool", "of the figures and the alerts"),
    "nginx": (partial(prepare_program, "nginx"), "nginx", "behind nginx"),
    "caddy": (partial(prepare_program, "caddy"), "Caddy", "behind Caddy"),
    "systemd": (partial(prepare_program, "systemd-analyze"), "systemd-analyze", "of the unit"),
}
"""What only tests need, by the name that asks for it: how it is prepared, what it is, which tests need it."""


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

    The first one is needed; without another one, the tests that run on it are left out. The names `chromium`,
    `linphone`, `promtool`, `nginx`, `caddy` and `systemd` prepare these too; without one its tests are left
    out.
    """
    interrupt_when_told()
    console = Console(highlight=False)
    for name in filter(_FOR_TESTS.__contains__, named):
        _prepare_for_tests(console, name)
    versions = [int(name) for name in named if name not in _FOR_TESTS]
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


def _prepare_for_tests(console: Console, name: str) -> None:
    prepared, what, tests = _FOR_TESTS[name]
    try:
        program = _visibly(console, prepared)
    except CannotPrepare as problem:
        print(f"Without {what} the tests {tests} are left out. {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        sys.exit(130)
    else:
        print(f"For the tests {tests}: {program}.")


def _sentence(doing: str) -> str:
    return doing[:1].upper() + doing[1:]


if __name__ == "__main__":
    main(sys.argv[1:])
