"""`ari-app demo`: real calls on a real Asterisk, with a simulated retailCRM, on this machine."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ari_app.commands import EXPECTED, fail
from ari_app.commands.logs import set_up_logging
from ari_app.demo.pbx.asterisk import AsteriskFailed
from ari_app.demo.pbx.machine import CannotPrepare, Installation
from ari_app.demo.pbx.ports import NoFreePorts
from ari_app.demo.pbx.preparation import interrupt_when_told, prepare_visibly
from ari_app.demo.pbx.sipp import SippFailed
from ari_app.demo.show.plans import PLANS
from ari_app.demo.show.run import run
from ari_app.demo.show.story import Json, Narrator, NobodyListens, Performance, Story, Terminal
from ari_app.demo.show.theatre import DemoFailed

INTERRUPTED = 130
_TROUBLE = (*EXPECTED, AsteriskFailed, SippFailed, NoFreePorts, DemoFailed, NobodyListens, OSError)


def demo(
    calls: Annotated[
        int | None, typer.Option(help="Place so many calls; without it they go on until Ctrl-C.", min=1)
    ] = None,
    leave: Annotated[
        bool, typer.Option("--exit", help="End after the last call, or after one of each kind.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a call, one for all.")] = False,
) -> None:
    """Show the product: real calls on a real Asterisk, with a simulated retailCRM."""
    interrupt_when_told()
    try:
        installation = prepare_visibly(Console(highlight=False, stderr=as_json))
    except CannotPrepare as problem:
        fail(str(problem))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if leave and calls is None:
        calls = len(PLANS)
    raise typer.Exit(_Demo(installation, as_json).run(calls, leave))


class _Demo:
    """One run: its folder and log, its signals, its exit code."""

    def __init__(self, installation: Installation, as_json: bool) -> None:
        self._installation = installation
        self._folder = Path(tempfile.mkdtemp(prefix="ari-app-demo-"))
        self._log = self._folder.with_suffix(".log")
        story = Story(Terminal(highlight=False), str(self._log))
        self._narrator: Narrator = Json() if as_json else story
        self._performances: list[Performance] = []
        self._interrupted = False

    def run(self, calls: int | None, leave: bool) -> int:
        """Show it; give the exit code."""
        trouble: str | None = None
        try:
            with self._log.open("w") as file, set_up_logging(file):
                asyncio.run(self._until_interrupted(calls, leave))
        except _TROUBLE as problem:
            trouble = str(problem)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            good = trouble is None and not any(one.problems for one in self._performances)
            if good:
                self._log.unlink(missing_ok=True)
        with suppress(NobodyListens):
            self._narrator.closes(self._performances, None if good else str(self._log))
        if trouble is not None:
            print(f"The demo can't go on: {trouble}", file=sys.stderr)
        if not good:
            return 1
        return INTERRUPTED if self._interrupted and leave else 0

    async def _until_interrupted(self, calls: int | None, leave: bool) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        show = asyncio.create_task(
            run(
                self._installation,
                self._narrator,
                self._folder,
                self._performances,
                stop=stop,
                calls=calls,
                stay=not leave,
            )
        )

        def interrupt() -> None:
            if not stop.is_set():
                self._interrupted = True
                stop.set()
                show.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, interrupt)
        await asyncio.wait([show])
        if not self._interrupted:
            show.result()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)
