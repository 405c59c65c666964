"""What the tests of the generated dialplans share: a PBX configured by them, and a played HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web

from ari_app.accounts.reading import read_account
from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import CannotPrepare, Installation, prepare
from stasis_dialplan import Kind, Settings, render
from tests.support import freepbx
from tests.support.accounts import account_toml

APP = "retailcrm"
T = TypeVar("T")


def prepared(version: int) -> Installation:
    """Give an Asterisk of this version; where it can't be had, the test fails."""
    try:
        return prepare(version=version)
    except CannotPrepare as problem:
        pytest.fail(str(problem))


@dataclass
class Api:
    """The service's `/api/...` as a dialplan sees it: what it answers, and what it was asked."""

    url: str = ""
    answer: str = ","
    status: int = 200
    silent: bool = False
    """It takes requests and never answers."""
    asked: list[dict[str, str]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def _reply(self, request: web.Request) -> web.Response:
        self.asked.append({"path": request.path, **request.query})
        if self.silent:
            await self.over.wait()
        return web.Response(text=self.answer, status=self.status)

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Api]:
        """Serve on a free port of loopback."""
        api = cls()
        app = web.Application()
        app.router.add_route("*", "/api/{what}", api._reply)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield api
        finally:
            api.over.set()
            await runner.cleanup()


def configure(
    asterisk: Asterisk,
    kind: Kind,
    api: Api,
    extensions: str,
    outgoing: str,
    managers: Sequence[str] = (),
    **calls: str,
) -> None:
    """Let the PBX be configured by the rendered files and the shop's own dialplan, `extensions`."""
    toml = account(asterisk, outgoing, **calls)
    for ident, code in enumerate(managers, start=1):
        toml += f'\n[[extensions]]\nuser_id = {ident}\ncode = "{code}"\n'
    files = render(kind, Settings.of(read_account(toml), api.url))
    own_port = f"port = {asterisk.ports.ami}"
    files = {name: text.replace("port = 5038", own_port) for name, text in files.items()}
    asterisk.files = {**files, "extensions.conf": extensions}


@asynccontextmanager
async def freepbx_lab(installation: Installation) -> AsyncIterator[Lab]:
    """Run a PBX with FreePBX's dialplan and database, and the files that are written for it."""
    asterisk = Asterisk(installation)
    asterisk.http_prefix = ""
    configure(
        asterisk,
        "freepbx",
        Api(url="http://127.0.0.1:9"),
        freepbx.dialplan(installation.major),
        "from-internal",
        managers=("101", "102"),
        fallback="group:101",
    )
    asterisk.files = {**asterisk.files, **freepbx.files(asterisk)}
    async with asterisk:
        await freepbx.fill_database(asterisk)
        yield Lab(asterisk, named=freepbx.RING_GROUP)


def account(asterisk: Asterisk, outgoing: str, **calls: str) -> str:
    """Write the account's file of a shop with this PBX."""
    return account_toml(
        crm={"client_id": "the;client"},
        pbx={
            "http_port": asterisk.http_port,
            "http_prefix": asterisk.http_prefix,
            "stasis_app": APP,
            "ari_username": asterisk.ari_username,
            "ari_password": asterisk.ari_password,
            "ami_username": asterisk.ami_username,
            "ami_password": asterisk.ami_password,
            "outgoing": outgoing,
        },
        calls=calls,
    )


@asynccontextmanager
async def application(asterisk: Asterisk, app: str = APP) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Be the Stasis application, and hear its events."""
    login = aiohttp.encode_basic_auth(asterisk.ari_username, asterisk.ari_password)
    url = f"{asterisk.ari_url}/events?app={app}".replace("http", "ws", 1)
    async with (
        aiohttp.ClientSession(headers={"Authorization": login}) as session,
        session.ws_connect(url) as socket,
    ):
        yield socket


async def until(predicate: Callable[[], T | None], complaint: str, seconds: float = 60) -> T:
    """Ask until there is an answer."""
    deadline = asyncio.get_running_loop().time() + seconds
    while (answer := predicate()) is None:
        assert asyncio.get_running_loop().time() < deadline, complaint
        await asyncio.sleep(0.02)  # looking again, not waiting for luck: the deadline decides
    return answer


async def nobody_listens(asterisk: Asterisk) -> None:
    """Wait until the PBX knows, too, that the service of the test before is gone."""
    async with asyncio.timeout(60):
        while APP in await asterisk.command("ari show apps"):  # noqa: ASYNC110 - looking again: the timeout decides
            await asyncio.sleep(0.02)


async def started(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """Wait until a channel enters the application."""
    async with asyncio.timeout(60):
        while (event := await socket.receive_json())["type"] != "StasisStart":
            pass
    return dict(event)


async def send_on(asterisk: Asterisk, channel: str, context: str, exten: str, priority: int) -> None:
    """Let a channel in the application go on in the dialplan."""
    login = aiohttp.encode_basic_auth(asterisk.ari_username, asterisk.ari_password)
    place = {"context": context, "extension": exten, "priority": str(priority)}
    url = f"{asterisk.ari_url}/channels/{channel}/continue"
    async with (
        aiohttp.ClientSession(headers={"Authorization": login}) as session,
        session.post(url, params=place) as answer,
    ):
        assert answer.status == 204


Ajam = Callable[..., Awaitable[str]]


@asynccontextmanager
async def ajam(asterisk: Asterisk) -> AsyncIterator[Ajam]:
    """Log in at AJAM; what is entered carries actions out."""
    url = f"{asterisk.http_url}/rawman"
    jar = aiohttp.CookieJar(unsafe=True)  # the PBX is an address, not a name
    async with aiohttp.ClientSession(cookie_jar=jar) as session:

        async def act(**fields: str) -> str:
            async with session.get(url, params=fields) as answer:
                return await answer.text()

        said = await act(action="login", username=asterisk.ami_username, secret=asterisk.ami_password)
        assert "Response: Success" in said
        yield act
