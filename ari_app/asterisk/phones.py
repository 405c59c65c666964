"""How the PBX sees telephones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from ari_app.asterisk.ari import Ari
from ari_app.asterisk.errors import PbxUnknown
from ari_app.calls import Way

LIST_SECONDS = 2.0

Endpoints = Mapping[str, Mapping[str, str]]
"""The state of each endpoint (``online``, ``offline``, ``unknown``), by technology and name."""


async def endpoints(ari: Ari) -> Endpoints:
    """Ask for the state of all endpoints.

    Raises:
        PbxError: the PBX does not answer, or says no.
    """
    try:
        async with asyncio.timeout(LIST_SECONDS):
            return by_name(await ari("endpoints", "list"))
    except TimeoutError:
        raise PbxUnknown(Way.ARI, f"endpoints: no answer within {LIST_SECONDS:g} s") from None


def by_name(listed: Iterable[Mapping[str, Any]]) -> Endpoints:
    """Read ARI's list of endpoints."""
    found: dict[str, dict[str, str]] = {}
    for one in listed:
        found.setdefault(str(one["technology"]), {})[str(one["resource"])] = str(one.get("state"))
    return found


def state_of(channel: str, known: Endpoints) -> str:
    """Say how the phone of a channel such as ``PJSIP/101`` stands: as ARI says, ``missing``, or ``unseen``
    where the PBX can't know.
    """
    technology, _, name = channel.partition("/")
    if technology not in known and technology not in ("PJSIP", "SIP", "IAX2"):
        return "unseen"
    name = name.partition("/")[0]
    return known.get(technology, {}).get(name.rpartition("@")[2], "missing")
