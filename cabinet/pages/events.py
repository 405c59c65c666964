"""EventLog: what happened in the account beside its calls, and what the CRM refused, with «send again»."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from ari_app.store.events import Event, EventStore, Kind, Severity, Wanted, What
from cabinet.forms.call_filter import PERIODS, CallFilter
from cabinet.frame.clients import SERVICE
from cabinet.frame.noting import note
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit, form_of
from cabinet.pages.telling import Told

ON_A_PAGE = 50
REFUSALS = 100
"""So many refusals are shown, the newest; the others come when these are sent again."""

_KINDS = {kind.value: kind for kind in Kind}
_SEVERITIES = {severity.value: severity for severity in Severity if severity is not Severity.INFO}
_ALL = "all"


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show what the CRM refused, and a page of the log."""
    query = request.query
    period = CallFilter.read(
        {name: query[name] for name in ("period", "from", "to") if name in query}  # as in the call log
    )
    kind, severity = query.get("kind", ""), query.get("severity", "")
    behind = query.get("behind", "")
    found: list[Event] = []
    then: str | None = None
    if not period.unreadable:
        since, until = period.span(visit.zone, time.time())
        wanted = Wanted(_KINDS.get(kind), _SEVERITIES.get(severity, Severity.INFO), since, until)
        found, then = await _store(request, visit).newest(ON_A_PAGE, wanted, behind)
    chosen = {name: value for name, value in (("kind", kind), ("severity", severity)) if value}
    part = request.headers.get("HX-Request") == "true" and "HX-History-Restore-Request" not in request.headers
    answer = page(
        request,
        "parts/events.html" if part else "events.html",
        visit,
        events=found,
        then=then,
        later=bool(behind),
        period=period,
        periods=PERIODS,
        kind=kind if kind in _KINDS else "",
        kinds=("", *_KINDS),
        severity=severity if severity in _SEVERITIES else "",
        severities=("", *_SEVERITIES),
        query=period.query(**chosen),
        filtered=period.anything or bool(chosen),
        **(await _refused(visit, query.get("sent", "")) if not part else {}),
    )
    if part:
        address = period.query(**chosen)
        answer.headers["HX-Push-Url"] = f"/events?{address}" if address else "/events"
    return answer


async def _refused(visit: Visit, sent: str) -> dict[str, Any]:
    refusals = list(reversed(await visit.calls.outbox.refusals()))
    return {
        "refusals": [
            (refusal, Told(refusal.tell) if refusal.tell is not None else None)
            for refusal in refusals[:REFUSALS]
        ],
        "refused": len(refusals),
        "sent": int(sent) if sent.isascii() and sent.isdecimal() and len(sent) < 6 else None,
    }


async def send_again(request: web.Request, visit: Visit) -> web.Response:
    """Let the CRM be told again what it refused: one entry, or all; what was pressed twice is sent once."""
    form = await form_of(request)
    wanted = form.get("refusal", "")
    outbox = visit.calls.outbox
    idents = [refusal.id for refusal in await outbox.refusals()] if wanted == _ALL else [wanted[:40]]
    calls = [call for ident in idents if (call := await outbox.send_again(ident)) is not None]
    if visit.shop is not None and calls:
        visit.shop.delivery.wake()
    for call in calls:
        await note(request, visit.account.id, What.SENT_AGAIN, call=call)
    raise web.HTTPSeeOther(f"/events?sent={len(calls)}")


def _store(request: web.Request, visit: Visit) -> EventStore:
    return EventStore(request.app[SERVICE].redis, visit.account.id)
