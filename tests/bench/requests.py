"""What an HTTP request costs us: `python -m tests.bench.requests [--requests 5000]`.

A server that answers the same to everything, in a process of its own; requests one after the other, in
several rounds, each way in turn. It prints the CPU of a request in microseconds, as the process' own time
counts it, so it doesn't matter what else the machine does: as `AriTransport` and `RetailCrm` ask, as
aiohttp's client asks with less asked of it, and as plain text over a stream, which is the least that a client
in Python can cost.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

import aiohttp
import structlog
import uvloop
from yarl import URL

from ari_app.asterisk.ari import AriTransport
from ari_app.network.reach import ANYWHERE, KEEP_ALIVE_SECONDS, passage
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.pace import Pace
from tests.bench.processes import process

ROUNDS = 50
_ANSWER = b'{"success":true,"manager":null,"customer":null,"value":"1"}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_ANSWER)
_AUTHORIZATION = {"Authorization": "Basic YTpi"}

Way = Callable[[], Awaitable[Any]]


class _Server(asyncio.Protocol):
    """Answers each request, as soon as its head, and the body that it promises, are there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._read = cast(asyncio.Transport, transport), b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            whole = end + 4 + int(length or 0)
            if len(self._read) < whole:
                return
            self._read = self._read[whole:]
            self._transport.write(_HEAD + _ANSWER)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _ask(session: aiohttp.ClientSession, url: str | URL, whole: bool = False, **more: Any) -> bytes:
    body = bytearray()
    async with session.request("POST", url, allow_redirects=False, **more) as response:
        if whole:
            return await response.read()
        async for chunk in response.content.iter_any():
            body += chunk
    return bytes(body)


async def _limited(going: Awaitable[bytes]) -> bytes:
    async with asyncio.timeout(5.0):
        return await going


async def _plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length))


async def _ways(stack: AsyncExitStack, port: int) -> dict[str, Way]:
    base = f"http://127.0.0.1:{port}/"
    session = (await stack.enter_async_context(passage(ANYWHERE))).session
    bare = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            auto_decompress=False,
        )
    )
    ari = AriTransport(session, base, "a", "b")
    crm = RetailCrm(session, base, "key", Pace.unlimited())
    five, none = aiohttp.ClientTimeout(total=5.0), aiohttp.ClientTimeout(total=None)
    idents = map("retailcrm-{:016x}-1".format, itertools.count())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    def path() -> str:
        return f"ari/channels/{next(idents)}/dial"

    def ask(
        session: aiohttp.ClientSession,
        timeout: aiohttp.ClientTimeout,
        *,
        built: bool = False,
        whole: bool = False,
    ) -> Awaitable[bytes]:
        url = URL(f"{base}{path()}?timeout=60", encoded=True) if built else f"{base}{path()}"
        params = None if built else {"timeout": "60"}
        return _ask(session, url, whole, params=params, headers=_AUTHORIZATION, timeout=timeout)

    def plainly() -> Awaitable[bytes]:
        headers = f"Host: 127.0.0.1:{port}\r\nAuthorization: {_AUTHORIZATION['Authorization']}"
        request = f"POST /{path()}?timeout=60 HTTP/1.1\r\n{headers}\r\n\r\n"
        return _plainly(reader, writer, request.encode())

    return {
        "AriTransport.request": lambda: ari.request("POST", f"/{path()}", {"timeout": "60"}),
        "RetailCrm.manager_for": lambda: crm.manager_for("+79160000001"),
        "aiohttp, limiting the whole time": lambda: ask(session, five),
        "  its address made whole": lambda: ask(session, five, built=True),
        "  limited by us": lambda: _limited(ask(session, none)),
        "  no headers of aiohttp's own": lambda: ask(bare, five),
        "  its answer read whole": lambda: ask(session, five, whole=True),
        "  all of these": lambda: _limited(ask(bare, none, built=True, whole=True)),
        "plain text over a stream": plainly,
    }


async def _measure(requests: int) -> None:
    async with AsyncExitStack() as stack:
        server = process(sys.executable, "-m", "tests.bench.requests", "--serve")
        _, port = await stack.enter_async_context(server)
        ways = await _ways(stack, int(port))
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                began = time.process_time()
                for _ in range(requests // ROUNDS):
                    await way()
                took[name].append((time.process_time() - began) / (requests // ROUNDS) * 1e6)
        asked = min(took["aiohttp, limiting the whole time"])
        for name, each in took.items():
            median = statistics.median(each)
            print(f"{name:<32} {min(each):4.0f} us at least, {median:4.0f} median, {min(each) / asked:4.0%}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--requests", type=int, default=5_000, help="so many of each kind")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(_serve() if args.serve else _measure(args.requests))


if __name__ == "__main__":
    main()
