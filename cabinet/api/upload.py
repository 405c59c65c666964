"""Reads a report's body: a form, an object, or a recording's file, which goes to disk as it comes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from ari_app.asterisk.uploads import CHUNK_BYTES, BadFile, Draft, FileTooBig, draft
from ari_app.bounded import read_json
from ari_app.service.service import Service
from cabinet.api.answers import Wrong
from cabinet.api.fields import Fields

LONGEST_FIELD = 65_536
LONGEST_FORM = 65_536
"""Bytes; of an object, too. The time to read it goes by its length."""
MOST_VALUES = 5_000
"""Of an object."""
MOST_PARTS = 100
UPLOAD_SECONDS = 600.0
"""How long a file may take to come."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,40}(\[[0-9]{0,4}\])?")

Check: TypeAlias = Callable[[], Awaitable[str]]


class Body:
    """The body of one request.

    `allowed` is called before a file is taken in; it names the account, or raises `Wrong`.
    """

    def __init__(
        self, request: web.Request, fields: Fields, service: Service, stack: AsyncExitStack, allowed: Check
    ) -> None:
        self._request = request
        self._fields = fields
        self._service = service
        self._stack = stack
        self._allowed = allowed

    async def read(self) -> Draft | None:
        """Add the body's fields to the others, and give the file if there is one.

        Raises:
            Wrong: a field is wrong, or no file is wanted here.
            web.HTTPException: it is no body of its kind, or too long.
        """
        request = self._request
        if not request.can_read_body:
            return None
        if request.content_type.startswith("multipart/"):
            return await self._multipart()
        if self._fields.text("type").lower() == "upload":
            return await self._take_file(request.content.iter_chunked(CHUNK_BYTES))
        if request.content_type == "application/x-www-form-urlencoded":
            try:
                form = await request.clone(client_max_size=LONGEST_FORM).post()
            except (ValueError, LookupError, HttpProcessingError):  # also an unknown character set
                raise Wrong("a parameter", "expected UTF-8") from None
            self._fields.add(form.items())
        elif request.content_type == "application/json":
            body = await request.clone(client_max_size=LONGEST_FORM).read()
            self._fields.add(_object(body).items())
        else:
            raise web.HTTPUnsupportedMediaType
        return None

    async def _multipart(self) -> Draft | None:
        found: Draft | None = None
        try:
            parts = await self._request.multipart()
            for _ in range(MOST_PARTS):
                part = await parts.next()
                if part is None:
                    return found
                if not isinstance(part, BodyPartReader):
                    raise Wrong("file", "expected a form")
                if part.filename is not None:
                    if found is not None:
                        raise Wrong("file", "expected one file")
                    found = await self._take_file(_pieces(part))
                elif _NAME.fullmatch(part.name or "") is None:
                    raise Wrong("a parameter", "expected a name of letters")
                else:
                    self._fields.add([(part.name or "", await _short_text(part))])
        except (ValueError, AssertionError, HttpProcessingError):
            raise Wrong("file", "expected a form") from None
        raise Wrong("file", f"expected at most {MOST_PARTS} fields")

    async def _take_file(self, pieces: AsyncIterator[bytes]) -> Draft:
        account = await self._allowed()
        limit = self._service.upload_limit
        if (self._request.content_length or 0) > limit + LONGEST_FIELD:
            raise Wrong("file", f"expected at most {limit} bytes", 413)
        length = self._request.content_length
        coming = draft(self._service.recordings, account, limit, length)
        file = await self._stack.enter_async_context(coming)
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                async for piece in pieces:
                    await file.write(piece)
        except FileTooBig:
            raise Wrong("file", f"expected at most {limit} bytes", 413) from None
        except BadFile:
            raise Wrong("file", "expected a WAV or MP3 file") from None
        except TimeoutError:
            raise Wrong("file", f"expected within {UPLOAD_SECONDS:g} s", 408) from None
        return file


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while not part.at_eof():
        piece = await part.read_chunk(CHUNK_BYTES)
        if piece:
            yield bytes(piece)


async def _short_text(part: BodyPartReader) -> str:
    text = bytearray()
    async for piece in _pieces(part):
        text += piece
        if len(text) > LONGEST_FIELD:
            raise Wrong("a parameter", f"expected at most {LONGEST_FIELD} bytes", 413)
    return text.decode("utf-8", "replace")


def _object(body: bytes) -> dict[str, object]:
    try:
        found = read_json(body, MOST_VALUES)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Wrong("a parameter", "expected a JSON object")
    return found
