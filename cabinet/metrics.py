"""What Prometheus is told, read off the running service when it asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ari_app.calls.call import Stage
from ari_app.service import Service


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
        for name, shop in self._service.shops.items():
            connected.add_metric([name], float(shop.line.listening))
            stages = [call.stage for call in shop.line.calls]
            for stage in Stage:
                if stage is not Stage.ENDED:
                    calls.add_metric([name, stage.value], stages.count(stage))
            outbox.add_metric([name], shop.delivery.backlog)
            failing.add_metric([name], float(shop.delivery.problem is not None))
            unwritten.add_metric([name], shop.ledger.backlog)
        return iter((connected, calls, outbox, failing, unwritten))


def render_metrics(service: Service) -> bytes:
    """Render the service's figures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Figures(service))
    return generate_latest(registry)
