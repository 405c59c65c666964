"""A PBX whose answers are no answers: without an end, or without a meaning. It may be anybody's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ari_app.asterisk import ari as ari_module
from ari_app.asterisk import recordings
from ari_app.asterisk.ari import Ari, AriTransport
from ari_app.asterisk.errors import PbxUnavailable, PbxUnknown
from ari_app.asterisk.recordings import NoRecording, RecordingStore
from ari_app.calls.call import Way

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

LIMIT = 100_000


async def endless(request: web.Request) -> web.StreamResponse:
    """Send for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"[" * 10_000)


def saying(text: str) -> Answer:
    """Say a text, whatever is asked."""

    async def said(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    return said


@asynccontextmanager
async def pbx(answer: Answer) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Serve a PBX; give what reaches it, and its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield session, str(server.make_url("/asterisk/"))


async def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ari_module, "LONGEST_ANSWER", LIMIT)
    async with pbx(endless) as (session, url):
        transport = AriTransport(session, url, "user", "password")
        with pytest.raises(PbxUnknown, match="no end"):
            await transport.request("GET", "/ari/channels")


@pytest.mark.parametrize(
    "said",
    [
        *("", "nonsense", "null", "[]", "{}"),
        *('{"apis":null}', '{"apis":[{}]}', '{"apis":[{"path":5}]}'),
        '{"swaggerVersion":"1.1","basePath":"x","apis":[{"path":"/x.{format}","description":"x"}]}',
    ],
)
async def test_a_description_that_is_none_is_no_pbx(said: str) -> None:
    async with pbx(saying(said)) as (session, url):
        with pytest.raises(PbxUnavailable) as error:
            await Ari.open(session, url, "user", "password")
    assert error.value.way is Way.ARI


async def test_a_pbx_that_is_too_slow_to_describe_itself_is_not_taken_for_another_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ari_module, "DESCRIPTION_SECONDS", 0.05)

    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with pbx(silent) as (session, url):
        with pytest.raises(PbxUnavailable, match="no answer came in time"):
            await Ari.open(session, url, "user", "password")


async def test_a_recording_without_an_end_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "LONGEST_RECORDING", LIMIT)
    store = RecordingStore(tmp_path, "key")
    async with pbx(endless) as (session, url), session.get(url) as response:
        with pytest.raises(NoRecording, match="longer"):
            await store.save("shop", "call", response)
    assert _files(tmp_path) == []


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
