"""Requests over the event socket: what the PBX answers there, in whatever order, or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from ari_app.asterisk.ari import AriTransport, Reply
from ari_app.asterisk.errors import PbxDenied, PbxRefused, PbxUnknown
from ari_app.asterisk.socket_requests import LONGEST_REQUEST, MOST_UNDER_WAY, SocketRequests

SOON, NEVER = 0.2, 60.0


class SlowPbx:
    """A PBX that takes requests over the event socket, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.by_http: list[str] = []
        self._socket = web.WebSocketResponse()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Take the event socket, or answer what is asked by HTTP."""
        if not request.path.endswith("/ari/events"):
            self.by_http.append(f"{request.method} {request.path_qs}")
            return web.json_response("by HTTP")
        await self._socket.prepare(request)
        async for message in self._socket:
            self.asked.put_nowait(json.loads(message.data))
        return self._socket

    async def requests(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many requests."""
        return [await self.asked.get() for _ in range(count)]

    async def answer(self, ident: object, status: object = 200, **said: object) -> None:
        """Answer one of them."""
        answer = {"type": "RESTResponse", "request_id": ident, "status_code": status}
        await self._socket.send_json({**answer, **said})

    async def cut(self) -> None:
        """Break the socket off."""
        await self._socket.close()


@asynccontextmanager
async def slow_pbx(seconds: float = NEVER) -> AsyncIterator[tuple[SlowPbx, AriTransport]]:
    """Have one, connected; so long it has for an answer."""
    pbx = SlowPbx()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pbx.serve)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        transport = AriTransport(session, str(server.make_url("/asterisk/")), "user", "password")
        async with connect(str(server.make_url("/asterisk/ari/events")).replace("http", "ws", 1)) as socket:
            requests = transport.socket = SocketRequests(socket, seconds)

            async def listen() -> None:
                try:
                    async for message in socket:
                        requests.answered(json.loads(message))
                except ConnectionClosed:
                    pass
                finally:
                    requests.lost()

            listening = asyncio.create_task(listen())
            yield pbx, transport
        await listening


def begin(transport: AriTransport, path: str, **params: object) -> asyncio.Task[Reply]:
    return asyncio.create_task(transport.request("POST", f"http://pbx/ari/{path}", params=params))


async def test_each_request_has_its_own_answer_in_whatever_order_they_come() -> None:
    async with slow_pbx() as (pbx, transport):
        tasks = [begin(transport, f"channels/{name}/ring") for name in "abc"]
        asked = await pbx.requests(3)
        for request in reversed(asked):
            await pbx.answer(request["request_id"], message_body=json.dumps(request["uri"]))
        assert [reply.read() for reply in await asyncio.gather(*tasks)] == [one["uri"] for one in asked]
        assert pbx.by_http == []


async def test_what_is_asked_arrives_as_it_would_by_http() -> None:
    async with slow_pbx() as (pbx, transport):
        body = b'{"variables": {"CONNECTEDLINE(all,i)": "\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0"}}'
        task = asyncio.create_task(
            transport.request("POST", "/ari/channels/create", {"endpoint": "PJSIP/1", "app": "a b&c"}, body)
        )
        (request,) = await pbx.requests(1)
        await pbx.answer(request["request_id"], 204)
        assert (await task).read() is None
    assert (request["type"], request["method"]) == ("RESTRequest", "POST")
    assert request["uri"] == "channels/create?endpoint=PJSIP%2F1&app=a+b%26c"
    assert (request["content_type"], request["message_body"]) == ("application/json", body.decode())


async def test_answers_to_requests_that_nobody_knows_are_nothing_to_us() -> None:
    async with slow_pbx() as (pbx, transport):
        task = begin(transport, "channels/a/ring")
        (request,) = await pbx.requests(1)
        for ident in ("", "nobody", 1, None, "1000000"):
            await pbx.answer(ident, 404)
        for _ in range(2):
            await pbx.answer(request["request_id"], 200, message_body="1")
        assert (await task).read() == 1


async def test_an_answer_that_never_comes_leaves_it_unknown_and_the_next_request_is_answered() -> None:
    async with slow_pbx(SOON) as (pbx, transport):
        first, second = begin(transport, "channels/a/answer"), begin(transport, "channels/b/answer")
        for task, path in ((first, "channels/a/answer"), (second, "channels/b/answer")):
            with pytest.raises(PbxUnknown, match=f"POST {path}: no answer"):
                await task
        late, _ = await pbx.requests(2)
        await pbx.answer(late["request_id"])
        third = begin(transport, "channels/c/answer")
        (request,) = await pbx.requests(1)
        await pbx.answer(request["request_id"])
        assert (await third).status == 200


async def test_a_socket_that_is_cut_leaves_unknown_what_was_asked_and_the_next_request_goes_by_http() -> None:
    async with slow_pbx() as (pbx, transport):
        task = begin(transport, "channels/a/answer")
        await pbx.requests(1)
        await pbx.cut()
        with pytest.raises(PbxUnknown, match="broken off"):
            await task
        assert (await begin(transport, "channels/a/ring")).read() == "by HTTP"


@pytest.mark.parametrize(
    "said",
    [{"status_code": "200"}, {"status_code": None}, {"status_code": True}, {"message_body": {"a": 1}}],
    ids=str,
)
async def test_an_answer_that_can_t_be_read_leaves_it_unknown(said: dict[str, object]) -> None:
    async with slow_pbx() as (pbx, transport):
        task = begin(transport, "channels/a/answer")
        (request,) = await pbx.requests(1)
        await pbx.answer(request["request_id"], **{"status": 200, **said})
        with pytest.raises(PbxUnknown, match="can't be read"):
            await task


@pytest.mark.parametrize(("status", "error"), [(404, PbxRefused), (401, PbxDenied), (503, PbxUnknown)])
async def test_a_refusal_means_what_it_means_by_http(status: int, error: type[Exception]) -> None:
    async with slow_pbx() as (pbx, transport):
        task = begin(transport, "channels/a/answer")
        (request,) = await pbx.requests(1)
        await pbx.answer(request["request_id"], status, message_body='{"message": "so it is"}')
        with pytest.raises(error) as raised:
            await task
    if isinstance(raised.value, PbxRefused):
        assert (raised.value.status, raised.value.said) == (404, "so it is")


async def test_what_may_be_long_goes_by_http() -> None:
    async with slow_pbx() as (pbx, transport):
        await transport.request("GET", "/ari/channels")
        await transport.request("GET", "/ari/recordings/stored")
        await transport.request("POST", "/ari/channels/create", data="x" * LONGEST_REQUEST)
        assert len(pbx.by_http) == 3


async def test_what_would_wait_behind_many_others_goes_by_http() -> None:
    async with slow_pbx() as (pbx, transport):
        tasks = [begin(transport, f"channels/{number}/answer") for number in range(MOST_UNDER_WAY + 1)]
        assert (await tasks[-1]).read() == "by HTTP"
        for request in await pbx.requests(MOST_UNDER_WAY):
            await pbx.answer(request["request_id"])
        await asyncio.gather(*tasks)
        assert len(pbx.by_http) == 1


async def test_who_stops_waiting_makes_room() -> None:
    async with slow_pbx() as (pbx, transport):
        tasks = [begin(transport, f"channels/{number}/answer") for number in range(MOST_UNDER_WAY)]
        await pbx.requests(MOST_UNDER_WAY)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        task = begin(transport, "channels/a/ring")
        (request,) = await pbx.requests(1)
        await pbx.answer(request["request_id"])
        await task
        assert pbx.by_http == []


async def test_while_the_pbx_says_more_than_it_may_it_is_asked_by_http() -> None:
    async with slow_pbx() as (pbx, transport):
        assert transport.socket is not None
        transport.socket.late = True
        assert (await begin(transport, "channels/a/ring")).read() == "by HTTP"
        assert pbx.asked.empty()
