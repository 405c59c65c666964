"""Style, script and pictures of the pages: read once, served from memory, kept by browsers for ever.

A file's address holds a digest of its content, so a changed file is another one to a browser.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)

_HERE = Path(__file__).parents[1]
_FOLDERS = (_HERE / "static", _HERE / "vendor")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"
_FOR_AN_HOUR = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    packed: bytes
    kind: str
    caching: str


class Assets:
    """The files, by the last part of their address: with the digest, and without it for those who were told
    of a file long ago, as the CRM was of the logo.
    """

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._names: dict[str, str] = {}
        for path in sorted(path for folder in _FOLDERS for path in folder.glob("*") if path.suffix in _TYPES):
            content, kind = path.read_bytes(), _TYPES[path.suffix]
            packed = gzip.compress(content, mtime=0)
            name = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
            self._names[path.name] = name
            self._files[name] = _File(content, packed, kind, _FOR_EVER)
            self._files[path.name] = _File(content, packed, kind, _FOR_AN_HOUR)
        if "pico.classless.min.css" not in self._names:
            log.warning("the pages have no style: run `make pages`, which fetches it")

    def url(self, name: str) -> str | None:
        """Give a file's address; None when it was not fetched."""
        found = self._names.get(name)
        return f"/static/{found}" if found else None

    async def give(self, request: web.Request) -> web.Response:
        """Answer with a file."""
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": file.caching, "Vary": "Accept-Encoding"}
        body = file.content
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = file.packed, "gzip"
        return web.Response(body=body, content_type=file.kind, charset="utf-8", headers=headers)


ASSETS = web.AppKey("assets", Assets)


async def give(request: web.Request) -> web.Response:
    """Give a file."""
    return await request.app[ASSETS].give(request)
