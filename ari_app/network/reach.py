"""Where a PBX may be whose address somebody typed into the cabinet: not in our own machine or network.

A service that fetches what a stranger types would else open every door behind the firewall that it stands
behind. The operator names the networks that are allowed nevertheless (`Settings.pbx_networks`), and what the
operator applies from the command line may be anywhere.

It is the address that is looked at, at the moment of connecting: names are resolved first, so one that meant
something else when it was saved doesn't help. Redirects are followed nowhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import aiohttp

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""As ``getaddrinfo`` gives it."""

CONNECTED_A_SECOND = 100
"""So many PBXs are connected to in a second: each costs some milliseconds, for which calls of others wait."""
KEEP_ALIVE_SECONDS = 10.0
"""Idle connections are closed before Asterisk does (15 s), so that no request meets a closed one."""
CRM_KEEP_ALIVE_SECONDS = 45.0
"""The same of CRMs: one that nobody asks anything is asked each 40 s, by a connection that is there already.

So a customer who is looked up doesn't wait until another is made, either.
"""

_TUNNELS = tuple(map(ipaddress.IPv6Network, ("::/8", "2001::/32", "fec0::/10")))
"""IPv6 addresses that lead to an IPv4 address somewhere (NAT64, Teredo ...), or are a site's own."""


class NotOutside(OSError):
    """The address is in our own machine or network, and the operator hasn't allowed it."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} is in the service's own network: its operator has to allow it")
        self.address = address


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses may be connected to: those outside, and those in `networks`; or all, `anywhere`."""

    networks: tuple[IPNetwork, ...] = ()
    anywhere: bool = False

    def allows(self, address: str) -> bool:
        """Tell whether an address, not a name, may be connected to."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        meant = _meant(ip)
        if self.anywhere or any(one in network for one in (ip, meant) for network in self.networks):
            return True
        return _is_outside(ip) and _is_outside(meant) and not _is_ours(meant)

    def check(self, address: str) -> None:
        """Let no other address through.

        Raises:
            NotOutside: it is in our own network, and not allowed.
        """
        if not self.allows(address):
            raise NotOutside(address)

    def socket_to(self, info: AddressInfo) -> socket.socket:
        """Make the socket for a connection (`aiohttp.TCPConnector`'s `socket_factory`).

        Raises:
            NotOutside: the address is in our own network, and not allowed.
        """
        family, kind, protocol, _, address = info
        self.check(str(address[0]))
        return socket.socket(family, kind, protocol)

    async def connect(self, host: str, port: int) -> socket.socket:
        """Connect to a host, by the first of its addresses that may be and answers.

        Raises:
            OSError: the name is not known, or none of its addresses answers; `NotOutside` if none may be.
        """
        loop = asyncio.get_running_loop()
        problem: OSError = OSError(f"{host} has no address")
        for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                made = self.socket_to(info)
            except OSError as error:
                problem = error
                continue
            try:
                made.setblocking(False)
                await loop.sock_connect(made, info[4])
            except OSError as error:
                made.close()
                problem = error
            except BaseException:
                made.close()
                raise
            else:
                return made
        raise problem


ANYWHERE = Reach(anywhere=True)


class Turnstile:
    """Lets so many a second through, each in the turn of its coming: who comes alone doesn't wait."""

    def __init__(self, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._apart = 1 / a_second
        self._clock = clock
        self._next = clock()

    def wait(self) -> float:
        """Take the next turn; give how many seconds away it is."""
        now = self._clock()
        turn = max(now, self._next)
        self._next = turn + self._apart
        return turn - now


@dataclass(frozen=True, slots=True)
class Passage:
    """How PBXs are reached: which of their addresses, and by which HTTP session, which keeps no cookies."""

    reach: Reach
    session: aiohttp.ClientSession
    door: Turnstile = field(default_factory=lambda: Turnstile(CONNECTED_A_SECOND))
    """When many connections are lost at one moment, they are made again one after the other."""


@dataclass(frozen=True, slots=True)
class Passages:
    """The passages to PBXs that the operator named, to those that somebody else did, and to CRMs."""

    operators: Passage
    others: Passage
    crms: Passage

    def to(self, guarded: bool) -> Passage:
        """Give the passage to a PBX (`PbxSettings.guarded`)."""
        return self.others if guarded else self.operators


@asynccontextmanager
async def passage(reach: Reach, keep_alive: float = KEEP_ALIVE_SECONDS) -> AsyncIterator[Passage]:
    """Make a passage; `keep_alive` is how long its idle connections are kept, in seconds."""
    connector = aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=keep_alive,
        socket_factory=None if reach.anywhere else reach.socket_to,
    )
    no_cookies = aiohttp.DummyCookieJar()  # AJAM's tell its sessions apart itself; nobody else has any
    async with aiohttp.ClientSession(connector=connector, cookie_jar=no_cookies) as session:
        yield Passage(reach, session)


_ONE_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_OWN_NAMES = ("localhost", "local", "internal", "lan", "home", "intranet", "corp", "private")
"""What the names of hosts end with that are only found inside a network."""


def leads_inside(url: str) -> bool:
    """Tell whether a link leads into the network of whoever opens it: to a loopback, private or other special
    address, to one of this machine's, or to a name that is only found inside. No name is looked up.

    An address that browsers read and we don't, such as ``127.1`` or ``0x7f000001``, counts as inside.
    """
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return True
    labels = host.split(".")
    if ":" in host or _ONE_NUMBER.fullmatch(labels[-1]):
        return not Reach().allows(host)
    return len(labels) < 2 or labels[-1] in _OWN_NAMES


def read_networks(texts: Sequence[str]) -> tuple[IPNetwork, ...]:
    """Read networks such as ``10.0.0.0/8``, or single addresses.

    Raises:
        ValueError: one of them is neither.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


def _meant(ip: IPAddress) -> IPAddress:
    """Give the IPv4 address that an IPv6 address leads to, or else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip.sixtofour or ip


def _is_outside(ip: IPAddress) -> bool:
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:  # the address that is meant counts
            return True
        if any(ip in network for network in _TUNNELS):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def _is_ours(ip: IPAddress) -> bool:
    """Tell whether this machine itself has an address: only then can a socket be bound to it."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True
