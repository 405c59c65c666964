"""The aiohttp application: the administrator's pages, the CRM's callbacks, the API."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from ari_app.service.service import Service
from ari_app.store.sessions import Sessions
from cabinet.api import reference
from cabinet.api.answers import as_json
from cabinet.frame.assets import ASSETS, Assets
from cabinet.frame.clients import SERVICE, asking
from cabinet.frame.errors import error_pages, named
from cabinet.frame.passing import PASSING, Passing, passing
from cabinet.frame.proxies import FOUND_OUT
from cabinet.frame.rendering import set_up_templates
from cabinet.frame.security import add_headers, expected
from cabinet.frame.visits import SESSIONS
from cabinet.pages import asterisk, check, findings, live, statistics
from cabinet.routes import API, FIGURES, ROUTES


def make_app(service: Service) -> web.Application:
    """Build the web application of a running service."""
    app = web.Application(middlewares=[named, error_pages, passing])
    app[SERVICE] = service
    app[PASSING] = Passing(service)
    app[ASSETS] = Assets()
    app[FOUND_OUT] = set()
    app[SESSIONS] = Sessions(service.redis)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(asking)
    app.cleanup_ctx.append(app[PASSING].at_work)
    app.on_shutdown.append(app[PASSING].close)
    set_up_templates(app)
    for page in (asterisk, check, findings, live, reference, statistics):
        page.set_up(app)
    app.add_routes(_expecting(ROUTES))
    app.add_subapp("/api", _make_api(service))
    return app


def make_metrics_app(service: Service) -> web.Application:
    """Build what Prometheus asks, at a port that no proxy passes on: the figures name the shops."""
    app = web.Application()
    app[SERVICE] = service
    app.add_routes(_expecting(FIGURES))
    return app


def _make_api(service: Service) -> web.Application:
    """Build what is found below ``/api``: it answers in JSON, whatever goes wrong."""
    api = web.Application(middlewares=[as_json])
    api[SERVICE] = service
    api.add_routes(_expecting(API))
    return api


def _expecting(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """Let each route say whether what is announced may be sent: aiohttp's own way fails at some letters."""
    return [
        web.RouteDef(one.method, one.path, one.handler, {**one.kwargs, "expect_handler": expected})
        for one in routes
    ]
