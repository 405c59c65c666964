"""The cabinet's pages, a file each tab."""

from __future__ import annotations

from aiohttp import web

from ari_app.store.sessions import Sessions
from cabinet.assets import Assets
from cabinet.clients import SERVICE
from cabinet.errors import error_pages
from cabinet.pages import (
    api_access,
    asterisk,
    call_log,
    check,
    door,
    events,
    extensions,
    information,
    live,
    numbers,
    reader,
    statistics,
    telephony,
)
from cabinet.rendering import ASSETS, set_up_templates
from cabinet.security import add_headers
from cabinet.visits import SESSIONS


def add_pages(app: web.Application) -> None:
    """Let the pages be reached."""
    app[ASSETS] = Assets()
    app[SESSIONS] = Sessions(app[SERVICE].redis)
    app.middlewares.append(error_pages)
    app.on_response_prepare.append(add_headers)
    set_up_templates(app)
    app.router.add_get("/static/{name}", app[ASSETS].give)
    for tab in (
        reader,
        door,
        information,
        check,
        extensions,
        numbers,
        asterisk,
        telephony,
        api_access,
        statistics,
        live,
        call_log,
        events,
    ):
        tab.add_routes(app)
