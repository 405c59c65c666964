"""Is the service found at its public address, as the CRM and the PBX look for it?

We ask from this machine: whether the way from the CRM's is open, too, only the CRM can tell.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp

from ari_app.check.findings import Finding, Findings, bad, good, unknown, warning
from ari_app.check.look import NothingThere, certificate_days, look

SOON_DAYS = 14
"""A certificate that ends within so many days should have been renewed."""
_SET = "set ARI_APP_PUBLIC_URL to the address that the CRM can reach, such as https://calls.shop.ru"
_STRANGER = "a-stranger"
SEEN_HEADER = "X-Ari-App-Proxies"
"""In what the service answers at ``/healthz``: how many proxies named a client on the way."""


async def address(
    session: aiohttp.ClientSession,
    url: str,
    service_runs: bool,
    trusted: ssl.SSLContext | None = None,
    proxies: int = 0,
) -> Findings:
    """Does the public address lead to us, safely, and is it shut for strangers?

    `proxies` are `Settings.proxies`, `trusted` are the certificates that are trusted, if not this machine's.
    """
    yield _kind(url)
    if not service_runs:
        yield unknown(
            "public address", f"whether {url} leads to us isn't known while no service runs", "ari-app serve"
        )
        return
    try:
        answer = await look(session, "GET", f"{url}/healthz")
    except NothingThere as problem:
        yield bad(
            "public address",
            f"{url} doesn't answer: {problem}",
            "check ARI_APP_PUBLIC_URL, its name in DNS, and the web server or firewall before us; it must "
            "lead to ARI_APP_HOST:ARI_APP_PORT",
        )
        return
    if answer.status != 200 or answer.body.strip() != b"ok":
        yield bad(
            "public address",
            f"what answers {answer.status} at {url}/healthz isn't the service",
            "let the web server before us pass everything below this address on to ARI_APP_HOST:ARI_APP_PORT",
        )
        return
    yield good("public address", f"{url} leads to us, as seen from this machine")
    if url.startswith("https:"):
        yield await _certificate(url, trusted)
    for finding in _proxies(url, answer.headers.get(SEEN_HEADER, ""), proxies):
        yield finding
    yield await _shut(session, url)


def _kind(url: str) -> Finding:
    parts = urlsplit(url)
    if _is_loopback(parts.hostname or ""):
        return warning("public address", f"{url} is reached from this machine only, not from the CRM", _SET)
    if parts.scheme != "https":
        return warning(
            "public address",
            f"{url} isn't encrypted: recordings and names pass the net for everybody to read",
            "get a certificate for the web server before us, and let the address begin with https://",
        )
    return good("public address", f"{url} is encrypted")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _proxies(url: str, seen: str, counted: int) -> Iterator[Finding]:
    """Compare the proxies that named us on the way with those that the settings count."""
    if not seen.isdecimal():  # another version of ours
        return
    found = int(seen)
    differ = f"a request from here comes through {found} that name who asks, ARI_APP_PROXIES counts {counted}"
    if found > counted:
        yield warning(
            "proxies",
            f"{differ}: what is noted of visitors is the proxy's address",
            f"set ARI_APP_PROXIES={found}, if these are all yours",
        )
    elif found < counted:
        yield warning(
            "proxies",
            f"{differ}: a visitor can pretend to come from anywhere",
            f"set ARI_APP_PROXIES={found}, or let each of your proxies add its client to X-Forwarded-For",
        )
    elif not found and url.startswith("https:"):
        yield warning(
            "proxies",
            "the web server before us doesn't name who asks: all visitors look like one",
            "let it add its client to X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For "
            "$proxy_add_x_forwarded_for), and set ARI_APP_PROXIES=1",
        )
    elif found:
        yield good("proxies", f"{found} before us, as ARI_APP_PROXIES says")


async def _certificate(url: str, trusted: ssl.SSLContext | None) -> Finding:
    try:
        days = await certificate_days(url, trusted)
    except NothingThere as problem:
        return unknown(
            "public address", f"how long its certificate is valid isn't known: {problem}", "look at it"
        )
    if days < SOON_DAYS:
        return warning("public address", f"its certificate ends in {days:.0f} days", "renew it")
    return good("public address", f"its certificate is valid for {days:.0f} days more")


async def _shut(session: aiohttp.ClientSession, url: str) -> Finding:
    """A stranger asks for a call, without a number: nobody would be rung whatever the answer."""
    try:
        answer = await look(session, "GET", f"{url}/crm/call", params={"clientId": _STRANGER})
    except NothingThere as problem:
        return bad("public address", f"{url}/crm/call doesn't answer: {problem}", "look at the service's log")
    if answer.status == 401:
        return good("public address", "the CRM's clicks come to us, and a stranger's are refused")
    return bad(
        "public address",
        f"{url}/crm/call answers a stranger {answer.status}, and we say 401: the CRM's clicks don't reach us",
        "let the web server before us pass /crm/ on, with its parameters and without a password of its own",
    )
