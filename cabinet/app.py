"""The aiohttp application: the administrator's pages, recordings, health and metrics."""

from __future__ import annotations

import re

from aiohttp import web

from ari_app.service import Service
from cabinet import callbacks, connection, data, module_callbacks
from cabinet.api import make_api
from cabinet.clients import SERVICE
from cabinet.metrics import render_metrics
from cabinet.pages import add_pages
from cabinet.security import asks_directly

_RECORDING = re.compile(r"[0-9a-f]{40}\.(wav|mp3)")
_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg"}


def make_app(service: Service) -> web.Application:
    """Build the web application of a running service."""
    app = web.Application()
    app[SERVICE] = service
    app.router.add_get("/recordings/{name}", recording)
    for part in (callbacks, module_callbacks, connection):
        part.add_routes(app)
    app.add_subapp("/api", make_api(service))
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)
    app.router.add_routes(data.routes(service.public_url))
    add_pages(app)
    return app


async def recording(request: web.Request) -> web.StreamResponse:
    """Give a recording to whoever knows its name; range requests are answered."""
    name = request.match_info["name"]
    path = request.app[SERVICE].recordings.path_of(name)
    if _RECORDING.fullmatch(name) is None or not path.is_file():
        raise web.HTTPNotFound(text="There is no such recording.\n")
    kind = _TYPES[path.suffix]
    return web.FileResponse(path, headers={"Content-Type": kind, "Cache-Control": "private"})


async def alive(_: web.Request) -> web.Response:
    """Say that the process runs."""
    return web.Response(text="ok\n")


async def ready(request: web.Request) -> web.Response:
    """Say whether every PBX is connected, or known to be unreachable."""
    service = request.app[SERVICE]
    connected = sum(1 for shop in service.shops.values() if shop.line.listening)
    body = {"ready": service.ready, "accounts": len(service.shops), "connected": connected}
    return web.json_response(body, status=200 if service.ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Give Prometheus' figures; they name the shops, so they are nothing for strangers."""
    if not asks_directly(request):
        raise web.HTTPNotFound
    return web.Response(body=render_metrics(request.app[SERVICE]), content_type="text/plain", charset="utf-8")
