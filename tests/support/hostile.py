"""A PBX whose owner means harm: it speaks ARI, and says whatever a test wants it to.

And a watch over the loop, which notes how long each of its steps has worked.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ari_app.steps import newest

_OPERATIONS: dict[str, list[tuple[str, str, str, list[str]]]] = {
    "asterisk": [("/asterisk/info", "GET", "getInfo", ["only"]), ("/asterisk/ping", "GET", "ping", [])],
    "bridges": [("/bridges", "GET", "list", [])],
    "channels": [
        ("/channels", "GET", "list", []),
        ("/channels/create", "POST", "create", ["endpoint", "app", "channelId"]),
        ("/channels/{channelId}", "DELETE", "hangup", ["channelId"]),
        ("/channels/{channelId}/variable", "GET", "getChannelVar", ["channelId", "variable"]),
        ("/channels/{channelId}/continue", "POST", "continueInDialplan", ["channelId"]),
    ],
    "recordings": [("/recordings/stored", "GET", "listStored", [])],
}


class HostilePbx:
    """A PBX; `files` is its API description, `answers` what it says to ``GET`` requests, by their paths."""

    def __init__(self) -> None:
        self.files = {f"/ari/api-docs/{name}.json": _declared(name) for name in _OPERATIONS}
        self.files["/ari/api-docs/resources.json"] = _json(
            swaggerVersion="1.1",
            basePath="http://pbx/ari",
            apis=[{"path": f"/api-docs/{name}.{{format}}", "description": name} for name in _OPERATIONS],
        )
        self.answers: dict[str, bytes] = {
            "/ari/asterisk/info": _json(status={"startup_time": "today"}),
            "/ari/asterisk/ping": _json(timestamp="2026-01-01T00:00:00.000+0000"),
            "/ari/channels": b"[]",
            "/ari/bridges": b"[]",
            "/ari/recordings/stored": b"[]",
        }
        self.url = ""
        self.port = 0
        self.listener: web.WebSocketResponse | None = None
        self._listens = asyncio.Event()

    async def says(self, *events: bytes) -> None:
        """Send events to whoever listens, as soon as somebody does."""
        await self._listens.wait()
        assert self.listener is not None
        for event in events:
            await self.listener.send_bytes(event) if b"\xff" in event else await self.listener.send_str(
                event.decode()
            )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/ari/events":
            self.listener = web.WebSocketResponse()
            await self.listener.prepare(request)
            self._listens.set()
            async for _ in self.listener:
                pass
            return self.listener
        if request.method != "GET":
            return web.json_response({})
        body = self.files.get(request.path) or self.answers.get(request.path)
        if body is None:
            return web.json_response({"message": "no"}, status=404)
        return web.Response(body=body, content_type="application/json")


@asynccontextmanager
async def hostile_pbx() -> AsyncIterator[HostilePbx]:
    """Let one listen on this machine."""
    pbx = HostilePbx()
    app = web.Application(client_max_size=10**9)
    app.router.add_route("*", "/{path:.*}", pbx._answer)
    async with TestServer(app) as server:
        pbx.url, pbx.port = str(server.make_url("/")), server.port or 0
        yield pbx


def _declared(resource: str) -> bytes:
    def parameter(path: str, name: str) -> dict[str, Any]:
        kind = "path" if f"{{{name}}}" in path else "query"
        return {"name": name, "paramType": kind, "dataType": "string", "required": False}

    apis = [
        {
            "path": path,
            "operations": [
                {
                    "httpMethod": method,
                    "nickname": name,
                    "parameters": [parameter(path, one) for one in given],
                }
            ],
        }
        for path, method, name, given in _OPERATIONS[resource]
    ]
    return _json(basePath="http://pbx/ari", resourcePath="x", apis=apis, models={})


def _json(**fields: Any) -> bytes:
    return orjson.dumps(fields)


class Steps:
    """What the loop was busy with longest."""

    def __init__(self) -> None:
        self.longest, self.what = 0.0, ""


@contextmanager
def watched_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    """Note the longest step of the loop, in seconds that it had a processor: others here don't count."""
    steps, run = Steps(), asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        took = time.thread_time() - began
        if took > steps.longest:
            steps.longest, steps.what = took, newest()

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", measured)
        gc.freeze()  # as `serve` does; here there are the tests' own libraries, too
        try:
            yield steps
        finally:
            gc.unfreeze()
