"""How the service is: whether it is ready, and what Prometheus is told, read off it when it asks."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ari_app.calls import Stage
from ari_app.check.public import SEEN_HEADER
from ari_app.service.service import Service
from cabinet.frame.clients import SERVICE
from cabinet.frame.proxies import proxies_of


class _Figures(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily(
            "ari_app_pbx_connected", "1 when the PBX's events are heard", labels=["account"]
        )
        calls = GaugeMetricFamily("ari_app_calls", "Live calls by stage", labels=["account", "stage"])
        outbox = GaugeMetricFamily(
            "ari_app_outbox_entries", "What the CRM is still to be told", labels=["account"]
        )
        failing = GaugeMetricFamily("ari_app_crm_failing", "1 when the CRM takes nothing", labels=["account"])
        unwritten = GaugeMetricFamily(
            "ari_app_unwritten_steps", "Steps of calls that Redis has not taken yet", labels=["account"]
        )
        aside = GaugeMetricFamily(
            "ari_app_outbox_set_aside", "Messages for the CRM that are set aside", labels=["account"]
        )
        unreadable = GaugeMetricFamily(
            "ari_app_unreadable_calls", "Live calls that this version can't read", labels=["account"]
        )
        unwritten_bytes = GaugeMetricFamily(
            "ari_app_unwritten_bytes", "Memory that these steps take", labels=["account"]
        )
        full = GaugeMetricFamily(
            "ari_app_room_taken",
            "How full what is bounded is, from 0 to 1: calls, unwritten steps, what is written in a day",
            labels=["account", "of"],
        )
        away = GaugeMetricFamily(
            "ari_app_turned_away", "Callers for whose calls there was no room", labels=["account"]
        )
        redis = GaugeMetricFamily("ari_app_redis_memory_taken", "How full Redis is, from 0 to 1")
        if self._service.redis_room.taken is not None:
            redis.add_metric([], self._service.redis_room.taken)
        slow = GaugeMetricFamily("ari_app_slow_steps", "Steps that have held up all accounts")
        slow.add_metric([], self._service.slow_steps.count)
        for name, shop in self._service.shops.items():
            connected.add_metric([name], float(shop.line.listening))
            stages = [call.stage for call in shop.line.calls]
            for stage in Stage:
                if stage is not Stage.ENDED:
                    calls.add_metric([name, stage.value], stages.count(stage))
            outbox.add_metric([name], shop.delivery.backlog)
            failing.add_metric([name], float(shop.delivery.problem is not None))
            unwritten.add_metric([name], shop.ledger.backlog)
            aside.add_metric([name], shop.aside)
            unreadable.add_metric([name], len(shop.unreadable))
            unwritten_bytes.add_metric([name], shop.ledger.bytes)
            full.add_metric([name, "calls"], shop.line.room_taken)
            full.add_metric([name, "ledger"], shop.ledger.room_taken)
            full.add_metric([name, "written"], shop.calls.written.used)
            away.add_metric([name], shop.line.turned_away)
        return iter(
            (
                connected,
                calls,
                outbox,
                failing,
                unwritten,
                aside,
                unreadable,
                unwritten_bytes,
                full,
                away,
                redis,
                slow,
            )
        )


def render_metrics(service: Service) -> bytes:
    """Render the service's figures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Figures(service))
    return generate_latest(registry)


async def alive(request: web.Request) -> web.Response:
    """Say that the process runs, and by how many proxies the question came."""
    return web.Response(text="ok\n", headers={SEEN_HEADER: str(proxies_of(request))})


async def ready(request: web.Request) -> web.Response:
    """Say whether every PBX is connected, or known to be unreachable."""
    service = request.app[SERVICE]
    connected = sum(1 for shop in service.shops.values() if shop.line.listening)
    body = {"ready": service.ready, "accounts": len(service.shops), "connected": connected}
    return web.json_response(body, status=200 if service.ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Give Prometheus' figures; they name the shops, so they are given at a port of their own."""
    return web.Response(body=render_metrics(request.app[SERVICE]), content_type="text/plain", charset="utf-8")
