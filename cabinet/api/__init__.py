"""The module's HTTP API: PBXs that keep a dialplan of their own ask who calls, and report calls; a shop's own
programs read the call log.
"""

from __future__ import annotations

from aiohttp import web

from ari_app.service import Service
from cabinet.api import calls, event, manager, openapi
from cabinet.api.answers import as_json
from cabinet.clients import SERVICE


def make_api(service: Service) -> web.Application:
    """Build what is found below ``/api``."""
    api = web.Application(middlewares=[as_json])
    api[SERVICE] = service
    api.router.add_get("/manager", manager.answer, allow_head=False)
    api.router.add_get("/event", event.answer, allow_head=False)
    api.router.add_post("/event", event.answer)
    api.router.add_get("/calls", calls.answer, allow_head=False)
    api.router.add_get("/openapi.json", openapi.answer, allow_head=False)
    return api
