"""Where a request comes from, behind the operator's proxies or behind one of which nobody has told us.

A proxy that we know (`Settings.proxies`) names its client in X-Forwarded-For. Without that word of the
operator's all visitors have the proxy's own address, and what it says of them may be a visitor's invention:
then nobody is shut out by an address that others share.
"""

from __future__ import annotations

import hashlib
import ipaddress

import structlog
from aiohttp import web

from cabinet.frame.clients import SERVICE

log = structlog.get_logger(__name__)

_FORWARDED = "X-Forwarded-For"
_NAMING = (_FORWARDED, "Forwarded", "X-Real-IP")
"""The headers in which proxies name the address that asked them."""
FOUND_OUT = web.AppKey("proxies that were found out", set[int])
"""By how many proxies requests came that the settings don't know: each is told in the log once."""


def proxies_of(request: web.Request) -> int:
    """Count the proxies that named a client on a request's way, or, by another header, that there was one."""
    return len(_forwarded(request)) or int(any(name in request.headers for name in _NAMING))


def address_of(request: web.Request) -> str:
    """Give the address that a request comes from, behind the operator's own proxies."""
    return _known_client(request) or request.remote or "unknown"


def counted_as(request: web.Request) -> str | None:
    """Name the asking client where attempts are counted; None where all visitors would share the name.

    It is named by its address, or in IPv6 by the network of 64 bits in which anybody has as many addresses as
    they like; behind a proxy that the settings don't know, by the proxy and all that was said to it. An
    address of our own machine or network is such a proxy's that names nobody.
    """
    client = _known_client(request)
    if client is not None:
        return _network(client)
    if proxies_of(request):
        _tell(request)
        said = "\n".join(value for name in _NAMING for value in request.headers.getall(name, ()))
        return f"{request.remote} {hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()[:32]}"
    return _network(request.remote) if request.remote and _is_global(request.remote) else None


def _forwarded(request: web.Request) -> list[str]:
    parts = ",".join(request.headers.getall(_FORWARDED, ())).split(",")
    return [part.strip() for part in parts if part.strip()]


def _known_client(request: web.Request) -> str | None:
    """Give the client that the outermost of the operator's proxies has named."""
    proxies, heard = request.config_dict[SERVICE].settings.proxies, _forwarded(request)
    return heard[-proxies] if len(heard) >= proxies > 0 else None


def _tell(request: web.Request) -> None:
    """Tell the operator, once, that the settings don't know a proxy."""
    count, told = proxies_of(request), request.config_dict[FOUND_OUT]
    if count not in told and len(told) < 3:
        told.add(count)
        known = request.config_dict[SERVICE].settings.proxies
        log.warning("visitors come by proxies that ARI_APP_PROXIES doesn't count", seen=count, counted=known)


def _network(address: str) -> str:
    try:
        ip = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))


def _is_global(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_global
