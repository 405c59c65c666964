"""`ari-app serve`: the service."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
import typer
import uvloop
from aiohttp import web

from ari_app.commands import EXPECTED, fail, store
from ari_app.commands.logs import set_up_logging
from ari_app.service.service import Service
from ari_app.settings import Settings, claim, holder_id, load_secret_key, read_settings, unknown_settings
from cabinet.api.fields import LONGEST_LINE
from cabinet.app import make_app, make_metrics_app
from cabinet.frame.rendering import compile_templates

log = structlog.get_logger(__name__)

TEMPLATES_SECONDS, TEMPLATES_PAUSE = 10.0, 1.0
"""How long after the start the templates are compiled, one each second."""
SWITCH_SECONDS = 0.0005
"""How long a thread that computes may keep the loop waiting each time that it wants to go on."""


def serve() -> None:
    """Run the service until it is told to stop (SIGTERM or Ctrl-C)."""
    set_up_logging()
    try:
        settings = read_settings()
        with claim(settings.data_dir):
            sys.setswitchinterval(SWITCH_SECONDS)
            uvloop.run(_serve(settings))
    except EXPECTED as error:
        fail(str(error))
    except OSError as error:
        fail(f"The service can't start: {error.strerror or error}")


async def _serve(settings: Settings) -> None:
    for warning in unknown_settings():
        log.warning(warning)
    key, made = load_secret_key(settings)
    if made is not None:
        log.info("a secret key was made; keep a copy of it", file=str(made))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with store(settings, own=True) as redis:
        service = Service(settings, redis, key, holder_id(settings.data_dir))
        app = make_app(service)
        runner = web.AppRunner(app, access_log=None, max_line_size=LONGEST_LINE)
        await runner.setup()
        compiling = asyncio.create_task(_compile_templates(app, settings), name="templates")
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
            log.info("serving", address=settings.public_url)
            _spare_what_stays()
            async with _giving_metrics(settings, service):
                await _work_until(stop, service)
        finally:
            compiling.cancel()
            await runner.cleanup()
    log.info("stopped")


def _spare_what_stays() -> None:
    """Let the garbage collector pass over what is loaded: each look at it would hold up calls for 0.1 s."""
    gc.freeze()


async def _compile_templates(app: web.Application, settings: Settings) -> None:
    """Compile the pages' templates when the calls are taken up, so that no first visitor holds them up."""
    await asyncio.sleep(TEMPLATES_SECONDS)
    try:
        await compile_templates(app, settings.data_dir / "templates", TEMPLATES_PAUSE)
    except OSError as error:
        log.warning("compiled templates can't be kept", problem=error.strerror or str(error))
    _spare_what_stays()


@asynccontextmanager
async def _giving_metrics(settings: Settings, service: Service) -> AsyncIterator[None]:
    """Let Prometheus ask. Calls don't depend on it, so neither does the service when the port is taken."""
    runner = web.AppRunner(make_metrics_app(service), access_log=None)
    await runner.setup()
    try:
        if settings.metrics_at is not None:
            await web.TCPSite(runner, settings.metrics_host, settings.metrics_at).start()
    except OSError as error:
        log.warning("no metrics are given: set ARI_APP_METRICS_PORT", problem=error.strerror or str(error))
    try:
        yield
    finally:
        await runner.cleanup()


async def _work_until(stop: asyncio.Event, service: Service) -> None:
    work = asyncio.create_task(service.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        log.info("stopping: callers who wait are sent on, talking calls go on without us")
        work.cancel()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await work


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)
