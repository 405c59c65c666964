"""The service under measurement, a process of its own: `python -m tests.bench.service DATA_DIR REDIS_URL`.

As `ari-app serve`, but without the CRM's limit of requests a second (the benchmark's simulated CRM has none
either), without limits of the PBX's events and of click-to-calls; it logs warnings only. It prints a line
with its address when it hears every PBX.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path

import structlog
import uvloop
from aiohttp import web

from ari_app.commands.logs import set_up_logging
from ari_app.retailcrm.pace import Pace
from ari_app.service.service import Service
from ari_app.settings import Settings
from ari_app.store.connection import connect
from cabinet.app import make_app

SECRET_KEY = "a key for the benchmark's account"


async def _serve(data_dir: Path, redis_url: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    redis = connect(redis_url)
    settings = Settings(
        data_dir=data_dir,
        recordings_url="http://localhost/recordings",
        events_a_second=1_000_000,
        clicks_extension_a_minute=1_000_000,
        clicks_a_minute=1_000_000,
        clicks_a_day=1_000_000,
        clicks_ringing=1_000_000,
        _env_file=None,
    )
    service = Service(settings, redis, SECRET_KEY, "bench", pace=Pace.unlimited)
    runner = web.AppRunner(make_app(service), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    work = asyncio.create_task(service.run())
    try:
        await service.loaded.wait()
        while not all(shop.line.listening for shop in service.shops.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        gc.freeze()  # as `serve` does: the collector doesn't look at what is loaded
        print(f"listening at http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await stop.wait()
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await runner.cleanup()
        await redis.aclose()


def main() -> None:
    """Serve until SIGTERM."""
    set_up_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(_serve(Path(sys.argv[1]), sys.argv[2]))


if __name__ == "__main__":
    main()
