"""Tells a program of the shop's of missed customers and of what fails for long, by signed requests.

What it is told is described in docs/setting-up.md.

The address was typed by somebody: the session that is used reaches none in our own network (`reach.py`), and
redirects are followed nowhere. Whoever is told answers with any 2xx within 10 s; all else is a failure.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any

import aiohttp
import orjson

from ari_app.accounts.current import Current
from ari_app.calls import TellAlert, TellWebhook
from ari_app.failures import in_words
from ari_app.retailcrm.errors import CrmUnavailable

ANSWER_SECONDS = 10.0
TIMESTAMP, SIGNATURE = "X-Ari-App-Timestamp", "X-Ari-App-Signature"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Sign a request: HMAC-SHA256 over the timestamp, a dot and the body, in hexadecimal digits."""
    return "sha256=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()


class Webhook:
    """The shop's program. `session` reaches only addresses outside."""

    def __init__(self, session: aiohttp.ClientSession, current: Current) -> None:
        self._session = session
        self._current = current

    @property
    def wanted(self) -> bool:
        """Whether there is a program to be told."""
        return self._current.account.webhook.url is not None

    def body(self, call: str, tell: TellWebhook) -> bytes:
        """Put what became of a missed customer, whose first call is `call`, into JSON."""
        said: dict[str, Any] = {
            "event": tell.event,
            "id": call,
            "at": self._moment(tell.at),
            "phone": tell.phone,
            "name": tell.name or None,
            "line": tell.external or None,
            "manager": tell.responsible or None,
            "rung": tell.rung.split(),
            "times": tell.times,
            "missed_at": self._moment(tell.missed_at),
            "by": tell.by or None,
            "how": tell.how or None,
        }
        return orjson.dumps(said)

    def alert(self, ident: str, tell: TellAlert) -> bytes:
        """Put into JSON that something fails for long, or is back."""
        said = {
            "event": tell.event,
            "id": ident,
            "at": self._moment(tell.at),
            "what": tell.what,
            "since": self._moment(tell.since),
            "problem": tell.problem or None,
        }
        return orjson.dumps(said)

    async def send(self, body: bytes, now: float) -> None:
        """Send a body, signed at a moment.

        Raises:
            CrmUnavailable: it was not taken, or nobody knows whether it was.
        """
        settings = self._current.account.webhook
        if settings.url is None or settings.secret is None:
            return
        timestamp = str(int(now))
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: timestamp,
            SIGNATURE: signature(settings.secret.get_secret_value(), timestamp, body),
        }
        try:
            async with self._session.post(
                settings.url,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                allow_redirects=False,
            ) as response:
                status = response.status
        except TimeoutError:
            raise CrmUnavailable(f"webhook: no answer within {ANSWER_SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise CrmUnavailable(f"webhook: {in_words(problem)}") from None
        if not 200 <= status < 300:
            raise CrmUnavailable(f"webhook: {status}")

    def _moment(self, at: float) -> str:
        return datetime.fromtimestamp(at, self._current.zone()).isoformat(timespec="seconds")
