"""How the simulated retailCRM calls a telephony module back: by GET, with everything in the query."""

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


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
