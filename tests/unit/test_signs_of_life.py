"""A PBX that says nothing any more is noticed; one that answers, or says anything, is left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.protocol import Event

from ari_app.asterisk.signs_of_life import EventSocket, SignsOfLife

SECONDS, PATIENCE = 0.1, 0.2


class Pbx(ServerConnection):
    """A PBX's end of an event stream, and how often it was asked for a sign of life."""

    asked = 0
    speaks = False
    silent_after = 10**9

    def data_received(self, data: bytes) -> None:
        if data == b"\x89\x80\0\0\0\0":
            self.asked += 1
            if self.asked > self.silent_after:
                return
            if self.speaks:
                self.protocol.send_text(b"an event")
                self.send_data()
                return
        super().data_received(data)


@asynccontextmanager
async def stream(
    kind: type[Pbx], ours: type[EventSocket] = EventSocket
) -> AsyncIterator[tuple[EventSocket, Pbx]]:
    ends: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def stay(connection: ServerConnection) -> None:
        ends.put_nowait(connection)
        await connection.wait_closed()

    async with serve(stay, "127.0.0.1", 0, create_connection=kind, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(
            f"ws://127.0.0.1:{port}", create_connection=ours, ping_interval=None, proxy=None
        ) as socket:
            pbx = await ends.get()
            assert isinstance(socket, EventSocket)
            assert isinstance(pbx, Pbx)
            yield socket, pbx


async def asked(pbx: Pbx, times: int) -> None:
    async with asyncio.timeout(20):
        while pbx.asked < times:  # noqa: ASYNC110
            await asyncio.sleep(SECONDS / 10)


async def test_a_pbx_that_falls_silent_is_given_up_after_its_time_and_others_are_not() -> None:
    class Silent(Pbx):
        silent_after = 3

    life, loop = SignsOfLife(SECONDS), asyncio.get_running_loop()
    async with stream(Silent) as (socket, pbx), stream(Pbx) as (other, well):
        with life.watching(socket, PATIENCE), life.watching(other, PATIENCE):
            await asked(pbx, 4)
            began = loop.time()
            async with asyncio.timeout(20):
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
            assert loop.time() - began > PATIENCE * 0.8
            assert socket.silent
            assert pbx.asked == 4
            await asked(well, well.asked + 2)
            assert not other.silent


async def test_a_pbx_that_is_heard_is_there_though_it_answers_no_question() -> None:
    class Speaking(Pbx):
        speaks = True

    life = SignsOfLife(SECONDS)
    async with stream(Speaking) as (socket, pbx):
        with life.watching(socket, PATIENCE):
            for _ in range(8):
                assert await socket.recv() == "an event"
            assert pbx.asked >= 8
            assert not socket.silent


async def test_an_answer_alone_is_not_read_and_bytes_like_it_within_an_event_are() -> None:
    class Watched(EventSocket):
        heard = asyncio.Event()
        frames: ClassVar[list[object]] = []

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.heard.set()

        def process_event(self, event: Event) -> None:
            self.frames.append(event)
            super().process_event(event)

    life = SignsOfLife(SECONDS)
    async with stream(Pbx, Watched) as (socket, pbx):
        assert isinstance(socket, Watched)
        socket.frames.clear()
        with life.watching(socket, PATIENCE):
            await asked(pbx, 4)
        await pbx.send("an event")
        assert await socket.recv() == "an event"
        assert len(socket.frames) <= 2  # the last answer may have come together with the event
        for piece in (b"\x82\x06ab", b"\x8a\x00", b"cd"):
            socket.heard.clear()
            pbx.transport.write(piece)
            await asyncio.wait_for(socket.heard.wait(), 20)
        assert await socket.recv() == b"ab\x8a\x00cd"


async def test_nobody_is_asked_when_nobody_listens_and_again_when_somebody_does() -> None:
    life = SignsOfLife(SECONDS)
    for _ in range(2):
        async with stream(Pbx) as (socket, pbx):
            with life.watching(socket, PATIENCE):
                await asked(pbx, 2)
            assert life._sweeping is not None
            await life._sweeping
