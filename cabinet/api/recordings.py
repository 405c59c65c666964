"""Recordings, for anybody who knows their names."""

from __future__ import annotations

import re

from aiohttp import web

from cabinet.frame.clients import SERVICE

_RECORDING = re.compile(r"[0-9a-f]{40}\.(wav|mp3)")
_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg"}


async def recording(request: web.Request) -> web.StreamResponse:
    """Give a recording to anybody who knows its name; range requests are answered."""
    name = request.match_info["name"]
    path = request.app[SERVICE].recordings.path_of(name)
    if _RECORDING.fullmatch(name) is None or not path.is_file():
        raise web.HTTPNotFound(text="There is no such recording.\n")
    kind = _TYPES[path.suffix]
    return web.FileResponse(path, headers={"Content-Type": kind, "Cache-Control": "private"})
