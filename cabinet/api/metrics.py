"""How the service is: whether it is ready, and what Prometheus is told.

What is counted and measured is in `ari_app.figures`; what is so at a moment is read off the service when
Prometheus asks. docs/operations.md explains each figure.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from ari_app.calls import Stage
from ari_app.check.public import SEEN_HEADER
from ari_app.figures import COUNTED
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from cabinet.frame.clients import SERVICE
from cabinet.frame.proxies import proxies_of

_OF_A_SHOP: dict[str, tuple[str, Callable[[Shop], float]]] = {
    "ari_app_pbx_connected": ("1 when the PBX's events are heard", lambda shop: shop.line.listening),
    "ari_app_crm_failing": (
        "1 when the CRM takes nothing of what it is told",
        lambda shop: shop.delivery.problem is not None,
    ),
    "ari_app_telephony_on": (
        "1 when telephony is switched on in the CRM: else it is told nothing",
        lambda shop: shop.activity.on,
    ),
    "ari_app_outbox_entries": ("What the CRM is still to be told", lambda shop: shop.delivery.backlog),
    "ari_app_outbox_age_seconds": (
        "How long the oldest of it has waited, of what is in memory",
        lambda shop: shop.delivery.age,
    ),
    "ari_app_outbox_set_aside": ("Messages for the CRM that are set aside", lambda shop: shop.counts.aside),
    "ari_app_unwritten_steps": (
        "Steps of calls that Redis has not taken yet",
        lambda shop: shop.ledger.backlog,
    ),
    "ari_app_unwritten_bytes": ("Memory that these steps take", lambda shop: shop.ledger.bytes),
    "ari_app_unreadable_calls": (
        "Live calls that this version can't read",
        lambda shop: len(shop.counts.unreadable),
    ),
}
"""Gauges with a label `account`: what each means, and where it is read."""
_ROOM: dict[str, Callable[[Shop], float]] = {
    "calls": lambda shop: shop.line.room_taken,
    "ledger": lambda shop: shop.ledger.room_taken,
    "written": lambda shop: shop.calls.written.used,
}


class _Figures(Collector):
    """What is so in the moment in which it is built, in the event loop; it is collected in any thread."""

    def __init__(self, service: Service, redis_answers: bool) -> None:
        self._service = service
        self._redis_answers = redis_answers
        self._read = [*self._of_the_service(), *self._of_the_accounts()]

    def collect(self) -> Iterable[Metric]:
        return self._read

    def _of_the_service(self) -> Iterator[Metric]:
        service = self._service
        build = GaugeMetricFamily("ari_app_build_info", "Which version this is", labels=["version"])
        build.add_metric([version("ari-app")], 1)
        yield build
        yield GaugeMetricFamily(
            "ari_app_ready", "1 when /readyz says yes", _ready(service, self._redis_answers)
        )
        yield GaugeMetricFamily("ari_app_redis_up", "1 when Redis answers", self._redis_answers)
        memory = GaugeMetricFamily("ari_app_redis_memory_ratio", "How full Redis is, from 0 to 1")
        if service.redis_room.taken is not None:
            memory.add_metric([], service.redis_room.taken)
        yield memory
        free = GaugeMetricFamily(
            "ari_app_disk_free_bytes", "What is free on the disk of the recordings, for us"
        )
        with suppress(OSError):
            free.add_metric([], shutil.disk_usage(service.settings.data_dir).free)
        yield free
        slow = CounterMetricFamily("ari_app_slow_steps", "Steps that have held up all accounts")
        slow.add_metric([], service.slow_steps.count)
        yield slow
        yield GaugeMetricFamily("ari_app_threads", "Threads of the process", threading.active_count())

    def _of_the_accounts(self) -> Iterator[Metric]:
        shops = self._service.shops
        held = GaugeMetricFamily(
            "ari_app_lease_held",
            "1 for an account that this copy of the service holds, 0 for one that it doesn't",
            labels=["account"],
        )
        for account in self._service.elsewhere:
            held.add_metric([account.id], 0)
        calls = GaugeMetricFamily("ari_app_calls", "Live calls by stage", labels=["account", "stage"])
        room = GaugeMetricFamily(
            "ari_app_room_taken_ratio",
            "How full what is bounded is, from 0 to 1: calls, unwritten steps, what is written in a day",
            labels=["account", "of"],
        )
        for name, shop in shops.items():
            held.add_metric([name], 1)
            stages = [call.stage for call in shop.line.calls]
            for stage in Stage:
                if stage is not Stage.ENDED:
                    calls.add_metric([name, stage.value], stages.count(stage))
            for what, taken in _ROOM.items():
                room.add_metric([name, what], taken(shop))
        yield from (held, calls, room)
        for figure, (meaning, read) in _OF_A_SHOP.items():
            gauge = GaugeMetricFamily(figure, meaning, labels=["account"])
            for name, shop in shops.items():
                gauge.add_metric([name], read(shop))
            yield gauge


def _render(figures: _Figures) -> bytes:
    """Render all figures in Prometheus' text format: with 500 accounts that takes half a second."""
    registry = CollectorRegistry()
    registry.register(COUNTED)
    registry.register(figures)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return generate_latest(registry)


def _ready(service: Service, redis_answers: bool) -> bool:
    return redis_answers and service.ready


async def alive(request: web.Request) -> web.Response:
    """Say that the process works, and by how many proxies the question came; nobody else is asked for it."""
    return web.Response(text="ok\n", headers={SEEN_HEADER: str(proxies_of(request))})


async def ready(request: web.Request) -> web.Response:
    """Say whether Redis answers, and every PBX is connected, or known to be unreachable."""
    service = request.app[SERVICE]
    redis = await service.pulse.beats()
    connected = sum(1 for shop in service.shops.values() if shop.line.listening)
    body = {
        "ready": _ready(service, redis),
        "redis": redis,
        "accounts": len(service.shops),
        "connected": connected,
    }
    return web.json_response(body, status=200 if body["ready"] else 503)


async def metrics(request: web.Request) -> web.Response:
    """Give Prometheus' figures; they name the shops, so they are given at a port of their own."""
    service = request.app[SERVICE]
    figures = _Figures(service, await service.pulse.beats())
    body = await asyncio.to_thread(_render, figures)  # calls go on meanwhile, however many accounts there are
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
