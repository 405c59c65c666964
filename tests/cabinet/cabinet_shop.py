"""A shop's cabinet and those who open it: served whole, with a simulated CRM and a Redis, no Asterisk."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import create_server

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from ari_app.demo.crm.account import CrmAccount
from ari_app.demo.crm.simulator import Manager, SimulatedCrm
from cabinet.app import make_app
from tests.cabinet.shop import Client, ReportingShop

NEW_KEY = "n" * 32
_TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


class CabinetShop:
    """The cabinet of one shop, and another CRM account that nobody has signed in with yet."""

    def __init__(self, shop: ReportingShop, crm: SimulatedCrm, server: TestServer) -> None:
        self.shop = shop
        self.crm = crm
        self.newcomer: CrmAccount = crm.account(
            key=NEW_KEY, managers=[Manager(id=7, last_name="Седов", first_name="Семён")]
        )
        self.server = server

    @property
    def address(self) -> str:
        """Where it is served."""
        return str(self.server.make_url("/")).rstrip("/")

    @property
    def secret(self) -> str:
        """What the CRM knows, and opens the cabinet with."""
        known = self.shop.account.crm.cabinet_secret
        assert known is not None
        return known.get_secret_value()

    @asynccontextmanager
    async def reader(self, language: str = "en") -> AsyncIterator[Reader]:
        """Somebody with a browser."""
        client: Client = TestClient(self.server)
        try:
            yield Reader(client, language)
        finally:
            await client.session.close()  # the server is everybody's

    async def call(self, channel: str = "1700000000.42", sound: bytes | None = None) -> str:
        """Let Anna call 101 and talk for 12 s; give the call's id."""
        length = len(sound) if sound else 0
        await self.shop.reports("in", uniqueid=channel)
        await self.shop.reports(
            "hangup", uniqueid=channel, hangupStatus="ANSWER", billsec="12", duration="17", wait="5"
        )
        if length:
            await self.shop.uploads(sound or b"", uniqueid=channel)
        return self.shop.shop.reported.id_of(channel)


class Reader:
    """A browser, as far as a test of pages needs one."""

    def __init__(self, client: Client, language: str) -> None:
        self.client = client
        self.headers = {"Accept": "text/html", "Accept-Language": language}

    async def get(self, path: str, **headers: str) -> ClientResponse:
        """Open a page; redirects are not followed."""
        return await self.client.get(path, headers=self.headers | headers, allow_redirects=False)

    async def text(self, path: str) -> str:
        """Read a page."""
        answer = await self.get(path)
        assert answer.status == 200, f"{path}: {answer.status} {answer.headers.get('Location')}"
        return await answer.text()

    async def token(self, path: str = "/sign-in") -> str:
        """Give the token of the forms of a page."""
        found = _TOKEN.search(await self.text(path))
        assert found is not None
        return found[1]

    async def post(self, path: str, **fields: str) -> ClientResponse:
        """Send a form as it is."""
        return await self.client.post(path, data=fields, headers=self.headers, allow_redirects=False)

    async def sign_in(self, crm: str, key: str, then: str = "/") -> ClientResponse:
        """Fill in the form at the door, and send it."""
        return await self.post("/sign-in", token=await self.token(), crm=crm, key=key, next=then)

    async def enter(self, shop: CabinetShop) -> None:
        """Come from the CRM."""
        assert (await self.get(f"/account/{shop.secret}")).status == 303


@asynccontextmanager
async def cabinet_shop(redis: Redis, folder: Path, **settings: str) -> AsyncIterator[CabinetShop]:
    """Open a shop with its cabinet; `settings` are the service's.

    What its CRM was told wrong is in `crm.violations`.
    """
    async with SimulatedCrm() as crm:
        shop = ReportingShop(crm, redis, folder, time.time)
        await shop.apply()
        with create_server(("127.0.0.1", 0)) as ours:  # held from the first: others look for a port too
            port = ours.getsockname()[1]
            public_url = f"http://127.0.0.1:{port}"
            await shop.start(crm_domains=("retailcrm.ru", "loopback"), public_url=public_url, **settings)
            try:
                server = TestServer(make_app(shop.service), port=port, socket_factory=lambda *_: ours)
                async with server:
                    yield CabinetShop(shop, crm, server)
            finally:
                await shop.stop()
