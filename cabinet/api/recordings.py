"""Recordings, for anybody who knows their names."""

from __future__ import annotations

import re

from aiohttp import web

from cabinet.frame.clients import SERVICE
from cabinet.frame.visits import find_visit

_RECORDING = re.compile(r"[0-9a-f]{40}\.(wav|mp3)")
_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg"}


async def recording(request: web.Request) -> web.StreamResponse:
    """Give a recording to anybody who knows its name; range requests are answered.

    One whose link was revoked is given to those alone who are signed in to its account.

    Raises:
        StoreUnavailable: it can't be known whose a revoked one is.
    """
    name, recordings = request.match_info["name"], request.app[SERVICE].recordings
    path = recordings.path_of(name)
    if _RECORDING.fullmatch(name) is None or not path.is_file():
        raise web.HTTPNotFound(text="There is no such recording.\n")
    if recordings.is_revoked(name):
        visit = await find_visit(request)
        if visit is None or not recordings.is_of(visit.account.id, name):
            raise web.HTTPGone(text="This link was revoked.\n")
    kind = _TYPES[path.suffix]
    return web.FileResponse(path, headers={"Content-Type": kind, "Cache-Control": "private"})
