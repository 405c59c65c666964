"""Pages for what goes wrong: not found, not allowed, Redis away, a mistake of ours."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from ari_app.errors import StoreUnavailable
from ari_app.steps import begin
from ari_app.store.accounts import WrongSecretKey
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit, find_visit

log = structlog.get_logger(__name__)

_FOR_MACHINES = frozenset({"api", "crm", "data", "recordings", "healthz", "readyz"})

_DOORS = frozenset({"account", "door"})


@web.middleware
async def named(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name what goes on by the request's route, for the log of slow steps."""
    name = f"{request.method} {_route(request)}"
    begin(name)
    task = asyncio.current_task()
    if task is not None:
        task.set_name(name)
    return await handler(request)


@web.middleware
async def error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer people with a page that says what to do next; machines get what they always got."""
    if not _for_people(request):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _page(request, error.status, await _reader(request))
    except (StoreUnavailable, WrongSecretKey) as error:
        log.warning("a page can't be shown", page=_route(request), problem=str(error))
        return _page(request, 503)
    except Exception:  # whoever reads gets a page of ours, with nothing of what went wrong
        log.exception("a page failed", page=_route(request))
        return _page(request, 500)


def _for_people(request: web.Request) -> bool:
    return request.path.split("/")[1] not in _FOR_MACHINES and "text/html" in request.headers.get(
        "Accept", ""
    )


def _route(request: web.Request) -> str:
    """Name a page for the log. What stands in its address may be a secret: it opens a cabinet."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none of ours"


async def _reader(request: web.Request) -> Visit | None:
    """Find who reads it, for whom the page keeps its navigation; not for a guess at what opens a cabinet,
    for which Redis isn't asked.
    """
    if request.path.split("/")[1] in _DOORS:
        return None
    try:
        return await find_visit(request)
    except (StoreUnavailable, WrongSecretKey):
        return None


def _page(request: web.Request, status: int, visit: Visit | None = None) -> web.Response:
    """Say what went wrong; the address, which may hold a secret, isn't repeated."""
    return page(request, "error.html", visit, status=status, error=status, path="/", here="/")
