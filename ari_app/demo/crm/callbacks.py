"""How the simulated retailCRM calls a telephony module back, and connects one.

A manager's clicks come by GET, with everything in the query; what concerns the module itself by POST, as a
form whose objects are JSON.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

PATIENCE_SECONDS = 10.0


class CalledBack(NamedTuple):
    """What the module answered: JSON as objects, anything else as text; how long it took, in seconds."""

    status: int
    body: Any
    seconds: float


async def call_back(url: str, fields: Mapping[str, str | int | None]) -> CalledBack:
    """Ask a module for something; a field that is None is left out, one that is empty isn't."""
    query = {name: str(value) for name, value in fields.items() if value is not None}
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        began = time.monotonic()
        async with session.get(URL(url).with_query(query), allow_redirects=False) as response:
            text = await response.text()
            seconds = time.monotonic() - began
    return CalledBack(response.status, _read(text), seconds)


async def post_form(url: str, fields: Mapping[str, object]) -> CalledBack:
    """Tell a module something; what is no text is sent as JSON."""
    form = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in fields.items()
    }
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        began = time.monotonic()
        async with session.post(url, data=form, allow_redirects=False) as response:
            text = await response.text()
            seconds = time.monotonic() - began
    return CalledBack(response.status, _read(text), seconds)


class NotConnected(Exception):
    """A module doesn't keep to the rules of the simple connection; the text says what it did."""


async def ask_config(url: str) -> tuple[set[str], str]:
    """Ask a module which scopes it needs, and where it takes the key.

    Raises:
        NotConnected: the module's answer is none, or not what the rules say.
    """
    status, body, _ = await call_back(url, {})
    said = body if isinstance(body, dict) else {}
    scopes, register_url = said.get("scopes"), said.get("registerUrl")
    if (
        status != 200
        or said.get("success") is not True
        or not isinstance(scopes, list)
        or not scopes
        or not all(isinstance(scope, str) for scope in scopes)
        or not isinstance(register_url, str)
    ):
        raise NotConnected(f"config: {status} {body}")
    return set(scopes), register_url


async def bring_key(url: str, secret: str, system_url: str, key: str) -> CalledBack:
    """Bring a module the key that was made for it.

    Raises:
        NotConnected: its answer is none; a refusal is one.
    """
    token = hmac.new(secret.encode(), key.encode(), hashlib.sha256).hexdigest()
    answer = await post_form(url, {"register": {"systemUrl": system_url, "apiKey": key, "token": token}})
    said = answer.body if isinstance(answer.body, dict) else {}
    taken = answer.status == 200 and said.get("success") is True and isinstance(said.get("accountUrl"), str)
    refused = answer.status != 200 and said.get("success") is False and bool(said.get("errorMsg"))
    if not taken and not refused:
        raise NotConnected(f"register: {answer.status} {answer.body}")
    return answer


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
