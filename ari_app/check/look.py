"""One HTTP request as a person would try it: what came back, in words when nothing did, and at what time."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from ari_app.check.findings import Finding, good, unknown, warning
from ari_app.failures import in_words

LOOK_SECONDS = 4.0
LONGEST_ANSWER = 8 * 1024 * 1024
"""Bytes; a PBX with a thousand telephones names them in a tenth of it."""
DAY = 86_400


class NothingThere(Exception):
    """Nobody answers; the text says what happened instead."""


@dataclass(frozen=True, slots=True)
class Look:
    """An answer. `skew` is by how many seconds the other clock is ahead of ours, to half a second."""

    status: int
    body: bytes
    skew: float | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Give the body as JSON, None when it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


async def look(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Look:
    """Ask once.

    Raises:
        NothingThere: no answer came.
    """
    sent = clock()
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            async with session.request(
                method, url, headers=headers, params=params, allow_redirects=False
            ) as response:
                skew = _skew(response.headers.get("Date"), (sent + clock()) / 2)
                body = await response.content.read(LONGEST_ANSWER)
                while not response.content.at_eof() and len(body) < LONGEST_ANSWER:
                    body += await response.content.read(LONGEST_ANSWER - len(body))
                return Look(response.status, body, skew, response.headers)
    except TimeoutError as error:
        raise NothingThere(f"no answer within {LOOK_SECONDS:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NothingThere(in_words(error)) from error


def _skew(date: str | None, now: float) -> float | None:
    """Compare clocks by the header ``Date``, which has whole seconds."""
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5 - now
    except ValueError:
        return None


async def certificate_days(url: str, trusted: ssl.SSLContext | None = None) -> float:
    """Say for how many days the certificate of an https address is still valid.

    Raises:
        NothingThere: nobody answers with TLS, or the certificate is not trusted.
    """
    parts = urlsplit(url)
    context = trusted or ssl.create_default_context()
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
    except (OSError, TimeoutError) as error:
        raise NothingThere(str(error) or type(error).__name__) from None
    try:
        certificate = writer.get_extra_info("peercert")
        return (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / DAY
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await writer.wait_closed()


def clock_finding(
    subject: str, whose: str, skew: float | None, tolerated: float, consequence: str
) -> Finding:
    """Compare a clock with ours; times in seconds."""
    if skew is None:
        return unknown(
            subject, f"{whose} clock can't be seen: it names no date", "compare the clocks yourself"
        )
    if abs(skew) <= tolerated:
        return good(subject, f"{whose} clock and ours agree")
    return warning(
        subject,
        f"{whose} clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours: {consequence}",
        "let both machines keep their time by NTP",
    )
