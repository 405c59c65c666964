"""How the PBX sees telephones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ari_app.asterisk.ari import Ari
from ari_app.asterisk.errors import PbxRefused, PbxUnknown
from ari_app.calls import Way

LIST_SECONDS = 2.0
MOST_TELEPHONES = 10
"""Of one extension; more are not rung."""
_ENDPOINT = re.compile(r"(PJSIP|SIP|IAX2)/([A-Za-z0-9_.*#+-]{1,80})")
_NONE = {"PJSIP": ("UNAVAILABLE", "INVALID")}
"""The states of a device that can't be rung. What the older drivers call invalid may be in a database."""
_CONTACT = re.compile(r"sips?:[!#-;=?-~]{1,250}")

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


async def telephones(ari: Ari, channel: str, endpoint: str) -> tuple[str, ...] | None:
    """Ask, by a channel that exists, for the telephones behind ``PJSIP/101``, as channels that can be made.

    They are those that are registered (or written down) and not known to be away; empty when there are none,
    and None when the PBX can't say. Those of other drivers than PJSIP it can't list, but it says when there
    are none.

    Raises:
        PbxError
    """
    named = _ENDPOINT.fullmatch(endpoint)
    if named is None:
        return None
    technology, name = named.groups()
    if technology == "PJSIP":
        listed = await _value(ari, channel, f"PJSIP_DIAL_CONTACTS({name})")
        found = read_contacts(listed, endpoint) if listed is not None else None
        if found is not None:
            return found
    state = await _value(ari, channel, f"DEVICE_STATE({endpoint})")
    return () if state in _NONE.get(technology, ("UNAVAILABLE",)) else None


async def _value(ari: Ari, channel: str, function: str) -> str | None:
    try:
        said = await ari("channels", "getChannelVar", channelId=channel, variable=function)
        return str(said["value"])
    except (PbxRefused, LookupError, TypeError):  # no such function, or no such endpoint
        return None


def read_contacts(listed: str, endpoint: str) -> tuple[str, ...] | None:
    """Read what ``PJSIP_DIAL_CONTACTS`` says: ``PJSIP/101/sip:101@10.0.0.5&PJSIP/101/sip:...``.

    A contact is what a telephone says of itself, so it becomes a channel's name only if it looks like one.
    """
    if not listed:
        return ()
    _others, *addresses = f"&{listed}".split(f"&{endpoint}/")
    found = tuple(f"{endpoint}/{one}" for one in dict.fromkeys(filter(_CONTACT.fullmatch, addresses)))
    return found[:MOST_TELEPHONES] or None


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
