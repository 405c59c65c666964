"""What is counted and measured while the service works, for Prometheus.

Whatever names an account is a counter; how long things take is measured over all accounts together, so that a
hundred shops don't make a hundred times the buckets. What can be read off the service when Prometheus asks is
not here (`cabinet/api/metrics.py`). docs/operations.md explains each figure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]

COUNTED = CollectorRegistry()
"""All of them."""

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_WAIT = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_TALK = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_LATE = (0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)

CALLS = Counter(
    "ari_app_calls_ended",
    "Calls that are over, by direction and by how they ended",
    ("account", "direction", "result"),
    registry=COUNTED,
)
RING = Histogram(
    "ari_app_call_ring_seconds",
    "From a call's beginning until somebody is rung",
    ("direction",),
    buckets=_WAIT,
    registry=COUNTED,
)
ANSWER = Histogram(
    "ari_app_call_answer_seconds",
    "From a call's beginning until a person answers, of calls that are answered",
    ("direction",),
    buckets=_WAIT,
    registry=COUNTED,
)
TALK = Histogram(
    "ari_app_call_talk_seconds",
    "How long is talked, of calls that are answered",
    ("direction",),
    buckets=_TALK,
    registry=COUNTED,
)
TURNED_AWAY = Counter(
    "ari_app_callers_turned_away",
    "Callers for whose calls there was no room: they went on in the dialplan",
    ("account",),
    registry=COUNTED,
)
EVENT_TO_ORDER = Histogram(
    "ari_app_event_to_order_seconds",
    "From an event of a call until it is kept and the PBX is asked for what follows",
    buckets=_QUICK,
    registry=COUNTED,
)
PBX_CONNECTIONS = Counter(
    "ari_app_pbx_connections",
    "How often the PBX's event stream was opened: once, and again after each loss",
    ("account",),
    registry=COUNTED,
)
PBX_REQUESTS = Histogram(
    "ari_app_pbx_request_seconds",
    "How long the PBX takes to answer, over the event socket or by HTTP",
    ("way",),
    buckets=_QUICK,
    registry=COUNTED,
)
PBX_ERRORS = Counter(
    "ari_app_pbx_errors",
    "Requests that the PBX did not carry out, by kind",
    ("account", "kind"),
    registry=COUNTED,
)
CRM_REQUESTS = Histogram(
    "ari_app_crm_request_seconds",
    "How long the CRM takes to answer, without the wait for the account's pace",
    ("method",),
    buckets=_REQUEST,
    registry=COUNTED,
)
CRM_ERRORS = Counter(
    "ari_app_crm_errors",
    "Questions to the CRM without the answer that was asked for, by kind",
    ("account", "kind"),
    registry=COUNTED,
)
TOLD = Counter(
    "ari_app_crm_told",
    "Messages that the CRM has taken",
    ("account", "what"),
    registry=COUNTED,
)
TOLD_LATE = Histogram(
    "ari_app_outbox_wait_seconds",
    "From what happened in a call until the CRM has taken word of it",
    ("what",),
    buckets=_LATE,
    registry=COUNTED,
)
LEASES_TAKEN = Counter(
    "ari_app_lease_takeovers",
    "How often this copy has taken an account",
    ("account",),
    registry=COUNTED,
)
LEASES_LOST = Counter(
    "ari_app_lease_losses",
    "How often this copy has lost an account to another, or let it go because it stood still",
    ("account",),
    registry=COUNTED,
)
RECORDINGS_STORED = Counter(
    "ari_app_recordings_stored",
    "Recordings that were stored",
    ("account",),
    registry=COUNTED,
)
RECORDINGS_LOST = Counter(
    "ari_app_recordings_lost",
    "Recordings of calls that could not be had, or not be stored",
    ("account",),
    registry=COUNTED,
)

PBX_KINDS = ("refused", "unknown", "unavailable", "denied")
CRM_KINDS = ("unavailable", "limited", "denied", "refused")
TOLD_OF = ("popup", "hangup", "result", "missed")
for _direction in ("in", "out"):
    for _times in (RING, ANSWER, TALK):
        _times.labels(_direction)
for _way in ("socket", "http"):
    PBX_REQUESTS.labels(_way)
for _what in TOLD_OF:
    TOLD_LATE.labels(_what)
_BY_ACCOUNT = (TURNED_AWAY, PBX_CONNECTIONS, LEASES_TAKEN, LEASES_LOST, RECORDINGS_STORED, RECORDINGS_LOST)


def know(account: str) -> None:
    """Show an account's counters from nought on: what counts up from nothing is no increase to Prometheus."""
    for counter in _BY_ACCOUNT:
        counter.labels(account)
    for kind in PBX_KINDS:
        PBX_ERRORS.labels(account, kind)
    for kind in CRM_KINDS:
        CRM_ERRORS.labels(account, kind)
    for what in TOLD_OF:
        TOLD.labels(account, what)


def forget(account: str) -> None:
    """Show an account's counters no more: it is removed."""
    for counter in (*_BY_ACCOUNT, CALLS, PBX_ERRORS, CRM_ERRORS, TOLD):
        with suppress(KeyError):
            counter.remove_by_labels({"account": account})


def call_over(account: str, direction: str, result: str, waiting: float, talking: float | None) -> None:
    """Count a call that is over; `talking` is None when nobody has answered. Both are seconds."""
    CALLS.labels(account, direction, result).inc()
    if talking is not None:
        ANSWER.labels(direction).observe(waiting)
        TALK.labels(direction).observe(talking)


@contextmanager
def measuring(histogram: Histogram, label: str) -> Iterator[None]:
    """Measure how long something takes, however it ends."""
    began = time.monotonic()
    try:
        yield
    finally:
        measured(histogram, label, time.monotonic() - began)


def measured(histogram: Histogram, label: str, seconds: float) -> None:
    """Note how long something took."""
    _labelled(histogram, label).observe(seconds)


@cache  # there are few labels, and they are looked for under a lock
def _labelled(histogram: Histogram, label: str) -> Histogram:
    return histogram.labels(label)
