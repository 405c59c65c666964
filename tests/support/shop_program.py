"""A program of the shop's, at the address of its webhook."""

from __future__ import annotations

import hmac
import time
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from ari_app.network.reach import Reach, read_networks

SECRET = "hunter2-hunter2-hunter2"
LOOPBACK = Reach(read_networks(["127.0.0.0/8"]))


class Program:
    """What the shop has at the webhook's address."""

    def __init__(self) -> None:
        self.status = 204
        self.tried = 0
        self.said: list[dict[str, Any]] = []
        self.moved: str | None = None
        app = web.Application()
        app.router.add_post("/missed", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.tried += 1
        timestamp = request.headers["X-Ari-App-Timestamp"]
        digest = hmac.digest(SECRET.encode(), timestamp.encode() + b"." + body, "sha256").hex()
        assert hmac.compare_digest(request.headers["X-Ari-App-Signature"], f"sha256={digest}")
        assert abs(time.time() - int(timestamp)) < 60
        if self.status == 204:
            self.said.append(orjson.loads(body))
        return web.Response(status=self.status, headers={"Location": "http://127.0.0.1:1/"})

    @property
    def events(self) -> list[str]:
        return [one["event"] for one in self.said]
