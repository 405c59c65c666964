"""One HTTP request as a person would try it: what came back, in words when nothing did, and at what time."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from ari_app.check.findings import Finding, good, unknown, warning

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
    certificate_days: float | None
    """How long the server's certificate is still valid; None without TLS."""

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
        NothingThere
    """
    sent = clock()
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            async with session.request(
                method, url, headers=headers, params=params, allow_redirects=False
            ) as response:
                days = _certificate_days(response, sent)
                skew = _skew(response.headers.get("Date"), (sent + clock()) / 2)
                body = await response.content.read(LONGEST_ANSWER)
                while not response.content.at_eof() and len(body) < LONGEST_ANSWER:
                    body += await response.content.read(LONGEST_ANSWER - len(body))
                return Look(response.status, body, skew, days)
    except TimeoutError:
        raise NothingThere(f"no answer within {LOOK_SECONDS:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NothingThere(in_words(error)) from None


def in_words(error: Exception) -> str:
    """Say what became of a request without an answer; no address with a secret is shown."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted ({_reason(error.certificate_error)})"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known to this machine"
        case aiohttp.ClientConnectorSSLError():
            return "it does not speak TLS as we do"
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or type(error.os_error).__name__
        case aiohttp.ServerDisconnectedError():
            return "it breaks off without an answer"
        case aiohttp.InvalidURL():
            return "it is no address"
        case _:
            return type(error).__name__


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return type(error).__name__


def _skew(date: str | None, now: float) -> float | None:
    """Compare clocks by the header ``Date``, which has whole seconds."""
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5 - now
    except ValueError:
        return None


def _certificate_days(response: aiohttp.ClientResponse, now: float) -> float | None:
    transport = response.connection.transport if response.connection else None
    certificate = transport.get_extra_info("peercert") if transport else None
    if not certificate:
        return None
    return (ssl.cert_time_to_seconds(certificate["notAfter"]) - now) / DAY


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
