"""A request that needs the copy of the service that holds an account is passed on to that copy, whole.

It arrives there as it came: method, address, headers and body; the answer goes back likewise. A pass is
signed by a key that only our copies know, for one copy, one request and a moment; it names the address that
asked, so that a visitor counts as the same one everywhere. What was passed on is not passed on again.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import aiohttp
import structlog
from aiohttp import StreamReader, web
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.typedefs import Handler
from multidict import CIMultiDict
from yarl import URL

from ari_app.errors import StoreUnavailable
from ari_app.service.service import Service
from ari_app.store.copies import Copy

log = structlog.get_logger(__name__)

HEADER = "X-Ari-App-Pass"
"""When (ms, by Redis' clock), a word that is used once, the address that asked, and the signature."""
FRESH_SECONDS = 30.0
RETRY_SECONDS = 2
"""When to come again if the copy can't be reached."""
CONNECT_SECONDS = 2.0
SILENT_SECONDS, SILENT_UPLOAD_SECONDS = 30.0, 660.0
"""How long the copy may say nothing: a live page's stream speaks every 15 s, an upload takes longer."""
MOST_READ = 1 << 20
"""Bytes of a body that may have been read before it is known whose the request is."""

_PURPOSE = "requests passed on"
_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te"),
    *("trailer", "transfer-encoding", "upgrade", "expect"),
}
_PASSED = web.RequestKey("passed on", bool)


class PassOn(Exception):
    """Another copy is to answer this request."""

    def __init__(self, copy: Copy) -> None:
        super().__init__(copy.address)
        self.copy = copy


async def leave_to_holder(request: web.Request, service: Service, account: str) -> None:
    """Pass the request on if another copy that is at work holds the account.

    Raises:
        PassOn: it does.
    """
    if _PASSED in request:
        return
    try:
        copy = await service.copies.holder_of(account)
    except StoreUnavailable:
        return
    if copy is not None:
        raise PassOn(copy)


class Passing:
    """Passes requests on, and takes those that were passed on."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._key = service.key_for(_PURPOSE)
        self._session: aiohttp.ClientSession | None = None
        self._used: dict[str, float] = {}
        self._open: set[aiohttp.ClientResponse] = set()

    async def at_work(self, app: web.Application) -> AsyncIterator[None]:
        """Keep the connections to other copies, as long as the application runs."""
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        ) as session:
            self._session = session
            yield

    async def close(self, app: web.Application) -> None:
        """End the streams that are passed on: the service ends."""
        for answer in self._open:
            answer.close()

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request here, or let another copy do so."""
        given = request.headers.get(HEADER)
        if given is not None:
            request = request.clone(remote=self._asker(request, given))
            request[_PASSED] = True
            return await handler(request)
        kept: _Kept | None = None
        if request.body_exists and len(self._service.copies.known) > 1:
            kept = _Kept(request.content)
            request._payload = cast(StreamReader, kept)  # aiohttp has no other way to read a body twice
        try:
            return await handler(request)
        except PassOn as elsewhere:
            return await self._pass_on(request, elsewhere.copy, kept)

    # -- the pass -------------------------------------------------------------------------------------------

    def sign(self, request: web.BaseRequest, to: str) -> str:
        """Make the pass with which a request goes to a copy."""
        at, word = str(int(self._service.copies.now * 1000)), secrets.token_urlsafe(16)
        remote = request.remote or ""
        signed = hmac.digest(self._key, self._signed(request, to, at, word, remote), "sha256")
        return f"{at} {word} {remote} {signed.hex()}"

    def _asker(self, request: web.Request, given: str) -> str:
        """Give the address that asked the copy from which a request comes; 403 if it comes from none."""
        at, word, remote, signature = (*given.split(" "), "", "", "", "")[:4]
        said = self._signed(request, self._service.copies.ident, at, word, remote)
        if not self._service.keys.is_signed(_PURPOSE, said, _unhex(signature)):
            log.warning("a request says wrongly that another copy passes it on", by=request.remote)
            raise web.HTTPForbidden
        now = self._service.copies.now
        self._used = {one: until for one, until in self._used.items() if until > now}
        if abs(now - int(at) / 1000) > FRESH_SECONDS or word in self._used:
            log.warning("a request was passed on too long ago, or twice", by=request.remote)
            raise web.HTTPForbidden
        self._used[word] = int(at) / 1000 + FRESH_SECONDS
        return remote

    def _signed(self, request: web.BaseRequest, to: str, at: str, word: str, remote: str) -> bytes:
        """Give what a pass is the signature of."""
        parts = (to, at, word, remote, request.method, request.host, request.rel_url.raw_path_qs)
        return "\n".join(parts).encode("utf-8", "replace")

    # -- the way there and back -----------------------------------------------------------------------------

    async def _pass_on(self, request: web.Request, copy: Copy, kept: _Kept | None) -> web.StreamResponse:
        assert self._session is not None
        if kept is None and request.body_exists:  # that copy was not known when the request came
            raise _come_again()
        if kept is not None and kept.too_much:
            raise web.HTTPRequestEntityTooLarge(MOST_READ, kept.size)
        headers = _end_to_end(request.headers)
        headers.popall(HEADER, None)
        if "Content-Encoding" in headers:  # it is unpacked already
            del headers["Content-Encoding"]
            headers.popall("Content-Length", None)
        headers[HEADER] = self.sign(request, copy.ident)
        silent = SILENT_SECONDS if kept is None else SILENT_UPLOAD_SECONDS
        try:
            answer = await self._session.request(
                request.method,
                URL(copy.address + request.rel_url.raw_path_qs, encoded=True),
                headers=headers,
                data=kept.whole() if kept is not None else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silent),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            log.warning("a request can't be passed on", to=copy.address, problem=type(problem).__name__)
            raise _come_again() from None
        self._open.add(answer)
        try:
            return await _give_back(request, answer)
        finally:
            self._open.discard(answer)
            answer.close()


async def _give_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(
        status=answer.status, reason=answer.reason, headers=_end_to_end(answer.headers)
    )
    await response.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            await response.write(piece)
    except ClientConnectionResetError:
        pass  # who asked is gone
    except (aiohttp.ClientError, TimeoutError, OSError):
        if request.transport is not None:
            request.transport.abort()  # what is cut off must not look whole
    return response


class _Kept:
    """A body that remembers what was read of it, so that it can be passed on whole."""

    def __init__(self, body: StreamReader) -> None:
        self._body = body
        self._read = bytearray()
        self.size = 0

    @property
    def too_much(self) -> bool:
        """Whether more was read than is remembered."""
        return self.size > MOST_READ

    async def whole(self) -> AsyncIterator[bytes]:
        """Give the body from its beginning."""
        if self._read:
            yield bytes(self._read)
        async for piece in self._body.iter_any():
            yield piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    async def read(self, n: int = -1) -> bytes:
        return self._note(await self._body.read(n))

    async def readany(self) -> bytes:
        return self._note(await self._body.readany())

    async def readline(self, **limits: Any) -> bytes:
        return self._note(await self._body.readline(**limits))

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        return self._noted(self._body.iter_chunked(n))

    def unread_data(self, data: bytes) -> None:
        self._body.unread_data(data)
        if data:
            self.size -= len(data)
            del self._read[-len(data) :]

    def _note(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self.too_much:
            self._read.clear()
        else:
            self._read += piece
        return piece

    async def _noted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            yield self._note(piece)


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Give the headers without those that are about one connection only."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP | named)


def _come_again() -> web.HTTPServiceUnavailable:
    said = '{"success": false, "errorMsg": "the account is just being taken over; try again in a moment"}'
    headers = {"Retry-After": str(RETRY_SECONDS), "Cache-Control": "no-store"}
    return web.HTTPServiceUnavailable(text=said, content_type="application/json", headers=headers)


PASSING = web.AppKey("passing", Passing)


@web.middleware
async def passing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the copy answer that holds the account, where that is needed."""
    return await request.config_dict[PASSING].answer(request, handler)
