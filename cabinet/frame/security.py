"""What keeps strangers out: the reader's cookie, tokens in forms, and the headers of every answer."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import zlib
from urllib.parse import urlsplit

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDict, MultiMapping

from ari_app.service.service import Service
from cabinet.frame.clients import SERVICE

TOKEN_FIELD = "token"

FORM_SECONDS = 10.0
"""How long a form may be on its way."""

UNREADABLE = (
    *(ValueError, LookupError, AssertionError, RuntimeError, zlib.error),
    *(web.RequestPayloadError, HttpProcessingError),
)
"""How aiohttp says that a form's text, parts, headers or packing are not what they are said to be."""

ATTEMPTS, ATTEMPTS_SECONDS = 10, 600
"""So often an address may try, and so often an account may be tried, in so many seconds. Who shows the key
that is known here is let through all the same: no stranger's attempts lock an administrator out."""

_PURPOSE = "cabinet forms"
_IDENT = re.compile(r"[A-Za-z0-9_-]{20,80}")
_FRESH = web.RequestKey("fresh reader", str)


class BadToken(Exception):
    """A form does not come from a page of ours, or its page is too old."""


def reader_id(request: web.Request) -> str:
    """Give the id in the reader's cookie; a new one for a new reader, who gets it with the answer."""
    given = request.cookies.get(_cookie_name(request.config_dict[SERVICE]), "")
    if _IDENT.fullmatch(given):
        return given
    if _FRESH not in request:
        request[_FRESH] = secrets.token_urlsafe(32)
    return request[_FRESH]


def set_reader(request: web.Request, response: web.StreamResponse, ident: str) -> None:
    """Give the reader an id, which stays as long as their browser is open."""
    secure = _tls(request.config_dict[SERVICE])
    name = _cookie_name(request.config_dict[SERVICE])
    response.set_cookie(name, ident, path="/", httponly=True, samesite="Lax", secure=secure)


def welcome(request: web.Request, response: web.StreamResponse) -> None:
    """Give a new reader their id with a page that has a form."""
    if _FRESH in request:
        set_reader(request, response, request[_FRESH])


async def expected(request: web.Request) -> None:
    """Let what was announced be sent.

    Raises:
        HTTPExpectationFailed: something else is expected.
    """
    if request.version >= HttpVersion11:
        if request.headers.get("Expect", "").lower() != "100-continue":
            raise web.HTTPExpectationFailed
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself hasn't begun


def form_token(request: web.Request) -> str:
    """Give the token of a form on this page: another text each time, so that it can't be read off its length
    when answers are packed.
    """
    mask = secrets.token_bytes(32)
    hidden = bytes(a ^ b for a, b in zip(mask, _token(request, reader_id(request)), strict=True))
    return (mask + hidden).hex()


async def read_form(request: web.Request) -> MultiMapping[str]:
    """Read a form that was sent from a page of ours.

    Raises:
        BadToken: it comes from no page of ours, or from one that is too old.
        HTTPBadRequest: it can't be read.
        HTTPRequestTimeout: it did not come in time.
    """
    form = await sent_form(request)
    given = form.get(TOKEN_FIELD)
    try:
        raw = bytes.fromhex(given) if isinstance(given, str) else b""
    except ValueError:
        raw = b""
    said = bytes(a ^ b for a, b in zip(raw[:32], raw[32:], strict=False))
    known = request.config_dict[SERVICE].keys.is_signed(_PURPOSE, reader_id(request).encode(), said)
    if len(raw) != 64 or not known or _FRESH in request:
        raise BadToken
    return texts_of(form)


async def sent_form(request: web.Request) -> MultiMapping[object]:
    """Read a form, from a page of ours or not.

    Raises:
        HTTPBadRequest: it can't be read.
        HTTPRequestTimeout: it did not come in time.
    """
    try:
        async with asyncio.timeout(FORM_SECONDS):
            return await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except UNREADABLE:
        raise web.HTTPBadRequest from None


def own_path(text: object) -> str:
    """Give a path on this site as it is, and the first page instead of anything else."""
    if isinstance(text, str) and re.fullmatch(r"/(?![/\\])[!-\[\]-~]{0,1000}", text):
        return text
    return "/"


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Tell browsers what a page of ours may do; called for each answer before it is sent."""
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.content_type != "text/html":
        return
    headers.setdefault("Cache-Control", "no-store")
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["X-Frame-Options"] = "DENY"
    headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _token(request: web.Request, ident: str) -> bytes:
    return hmac.digest(request.config_dict[SERVICE].key_for(_PURPOSE), ident.encode(), "sha256")


def texts_of(form: MultiMapping[object]) -> MultiMapping[str]:
    """Give a form's texts; files are left out."""
    return MultiDict((name, value) for name, value in form.items() if isinstance(value, str))


def _tls(service: Service) -> bool:
    return urlsplit(service.public_url).scheme == "https"


def _cookie_name(service: Service) -> str:
    return "__Host-cabinet" if _tls(service) else "cabinet"
