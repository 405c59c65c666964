"""The server of imitated PBXs: any number of them at one port, each below a path of its own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import orjson
from aiohttp import web

from tests.bench.ari_description import Description, NotAsked
from tests.bench.imitated import APP, Answer, ImitatedPbx

PASSWORD = "the password of an imitated PBX"
USERNAME = "ari-app"
_AUTHORIZATION = aiohttp.encode_basic_auth(USERNAME, PASSWORD, encoding="utf-8")


class ImitatedServer:
    """PBXs by their paths; `opened` are the moments (monotonic seconds) at which streams were opened."""

    def __init__(self, description: Description, pbxs: int) -> None:
        self.pbxs = {f"pbx{number}": ImitatedPbx(f"pbx{number}") for number in range(1, pbxs + 1)}
        self.opened: list[float] = []
        self.introduced: dict[str, float] = {}
        """When each PBX was asked the last thing of those with which a connection begins."""
        self.requests: Counter[str] = Counter()
        self.away = False
        """Whether whoever comes is cut off at once."""
        self.port = 0
        self._description = description
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._changed = asyncio.Event()
        app = web.Application(client_max_size=10**7)
        app.router.add_route("*", "/{pbx}/ari/{path:.*}", self._receive)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    @property
    def wrong(self) -> list[str]:
        """What was asked and must not be."""
        return [sentence for pbx in self.pbxs.values() for sentence in pbx.wrong]

    @property
    def listening(self) -> int:
        """How many PBXs have somebody who listens."""
        return len(self._sockets)

    def fields(self, pbx: str) -> dict[str, object]:
        """Give the section ``pbx`` of an account."""
        return {
            "host": "127.0.0.1",
            "http_port": self.port,
            "http_prefix": pbx,
            "stasis_app": APP,
            "ari_username": USERNAME,
            "ari_password": PASSWORD,
        }

    def cut(self) -> None:
        """Cut all connections off, without a word."""
        self.introduced.clear()
        self.opened.clear()
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def all_introduced(self, seconds: float) -> None:
        """Wait until every PBX was asked all that a connection begins with.

        Raises:
            TimeoutError: after so many seconds some weren't.
        """
        async with asyncio.timeout(seconds):
            while len(self.introduced) < len(self.pbxs):
                self._changed.clear()
                await self._changed.wait()

    # -- the wire -----------------------------------------------------------------------------------------

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        name, path = request.match_info["pbx"], request.match_info["path"]
        if self.away:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        pbx = self.pbxs.get(name)
        if pbx is None or request.headers.get("Authorization") != _AUTHORIZATION:
            return web.json_response({"message": "Authentication required"}, status=401)
        if path == "events":
            return await self._listen(pbx, request)
        if path.startswith("api-docs/"):
            file = self._description.files.get(path.removeprefix("api-docs/"), b"")
            return web.Response(body=file, status=200 if file else 404, content_type="application/json")
        body = await request.read() if request.can_read_body else b""
        status, said = self._answer(pbx, request.method, path, dict(request.query), body)
        if said is None:
            return web.Response(status=status)
        return web.Response(status=status, body=orjson.dumps(said), content_type="application/json")

    def _answer(self, pbx: ImitatedPbx, method: str, path: str, query: dict[str, str], body: bytes) -> Answer:
        try:
            asked = self._description.read(method, path, query)
        except NotAsked as wrong:
            pbx.wrong.append(f"{pbx.name}: {wrong}")
            return wrong.status, {"message": str(wrong)}
        self.requests[asked.operation] += 1
        if asked.operation == "recordings.listStored":
            self.introduced.setdefault(pbx.name, time.monotonic())
            self._changed.set()
        return pbx.answer(asked, body)

    async def _listen(self, pbx: ImitatedPbx, request: web.Request) -> web.StreamResponse:
        if request.query.get("app") != APP:
            return web.json_response({"message": "No such application"}, status=400)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.opened.append(time.monotonic())
        before, self._sockets[pbx.name] = self._sockets.get(pbx.name), socket
        if before is not None:
            pbx.wrong.append(f"{pbx.name}: a second event stream")
        sending: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        pbx.tell = sending.put_nowait
        sender = asyncio.create_task(self._send(socket, sending))
        try:
            async for message in socket:
                sending.put_nowait(self._answered(pbx, orjson.loads(message.data)))
        finally:
            sender.cancel()
            if self._sockets.get(pbx.name) is socket:
                del self._sockets[pbx.name]
                pbx.tell = None
        return socket

    async def _send(self, socket: web.WebSocketResponse, sending: asyncio.Queue[dict[str, Any]]) -> None:
        while True:
            await socket.send_str(orjson.dumps(await sending.get()).decode())

    def _answered(self, pbx: ImitatedPbx, asked: dict[str, Any]) -> dict[str, Any]:
        uri = urlsplit(asked["uri"])
        body = asked.get("message_body", "").encode()
        query = dict(parse_qsl(uri.query, keep_blank_values=True))
        status, said = self._answer(pbx, asked["method"], uri.path, query, body)
        return {
            "type": "RESTResponse",
            "application": APP,
            "request_id": asked["request_id"],
            "status_code": status,
            "reason_phrase": "",
            "uri": asked["uri"],
            "content_type": "application/json",
            "message_body": orjson.dumps(said).decode() if said is not None else "",
        }


@asynccontextmanager
async def imitated(description: Description, pbxs: int = 1) -> AsyncIterator[ImitatedServer]:
    """Let PBXs listen on this machine."""
    server = ImitatedServer(description, pbxs)
    await server._runner.setup()
    try:
        site = web.TCPSite(server._runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        server.port = server._runner.addresses[0][1]
        yield server
    finally:
        server.cut()
        await server._runner.cleanup()
