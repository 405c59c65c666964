"""From which address of ours a PBX sees us: what its firewall and its files have to let in.

Nobody tells us. Where our own address on the way there is one of the internet, or the PBX is in a network of
ours, it is that one; else something between us gives us another, most likely the one at which we are reached.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import closing
from urllib.parse import urlsplit

LOOK_SECONDS = 1.0
_ANY_PORT = 9
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


async def seen_from(pbx_host: str, public_url: str) -> str | None:
    """Give the address, as well as it can be known; None when it can't. Nothing is sent to the PBX."""
    there = await _resolved(pbx_host)
    ours = _way_to(there) if there is not None else None
    if there is not None and ours is not None and (_is_global(ours) or not _is_global(there)):
        return ours
    public = await _resolved(urlsplit(public_url).hostname or "")
    return public if public is not None and _is_global(public) else None


async def _resolved(host: str) -> str | None:
    if not host:
        return None
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, _ANY_PORT, type=socket.SOCK_DGRAM)
    except (OSError, ValueError):  # a time that is over is an OSError
        return None
    addresses = {family: str(at[0]) for family, _, _, _, at in reversed(found)}
    return next((addresses[family] for family in _FAMILIES if family in addresses), None)


def _way_to(address: str) -> str | None:
    """Give our own address on the way to another: the kernel knows it before anything is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as asking:
        try:
            asking.connect((address, _ANY_PORT))
        except OSError:
            return None
        return str(asking.getsockname()[0])


def _is_global(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_global
