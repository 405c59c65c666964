"""A shop whose PBX keeps a dialplan of its own: the service with a CRM and a Redis, and no Asterisk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from ari_app import figures
from ari_app.accounts.account import Account
from ari_app.accounts.reading import read_account
from ari_app.calls.call import Call
from ari_app.demo.crm.account import CrmAccount
from ari_app.demo.crm.simulator import Customer, Manager, SimulatedCrm
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.timeline.timeline import narrate
from cabinet.api.fields import LONGEST_LINE
from cabinet.app import make_app
from tests.support.accounts import account_toml

Client: TypeAlias = TestClient[web.Request, web.Application]

SECRET_KEY = "s" * 32
CLIENT_ID = "5494143d6ad0b09976b"
API_KEY = "k" * 32
ANNA = "+79161234567"
UNKNOWN = "+79167654321"
CHANNEL = "1700000000.42"


class ReportingShop:
    """One shop, its service, and its CRM."""

    def __init__(self, crm: SimulatedCrm, redis: Redis, folder: Path, clock: Any) -> None:
        self.crm = crm
        self.crm_account: CrmAccount = crm.account(
            key=API_KEY,
            managers=[
                Manager(id=1, last_name="Ольгина", code="101"),
                Manager(id=2, last_name="Борисов", code="102"),
                Manager(id=3, last_name="Верин", code="103"),
            ],
            customers=[
                Customer(id=1, last_name="Иванова", first_name="Анна", phones=(ANNA,), manager_id=1),
            ],
        )
        self.redis = redis
        self.folder = folder
        self.clock = clock
        self.account: Account
        self.service: Service
        self.client: Client
        self._work: asyncio.Task[None] | None = None

    async def apply(self, pbx: Mapping[str, Any] | None = None, **calls: Any) -> None:
        """Store the account, as `ari-app account apply` does; `pbx` are more fields of that section."""
        toml = account_toml(
            crm={"url": self.crm_account.url, "api_key": API_KEY, "client_id": CLIENT_ID},
            pbx={"http_port": 9, **(pbx or {})},
            calls=calls,
            extensions=("101", "102", "103"),
            phones=[{"number": "+74951112233", "site": "shop"}],
        )
        accounts = Accounts(self.redis, SECRET_KEY)
        self.account = await accounts.apply(read_account(toml), keep_client_id=False)
        self.calls = CallStore(self.redis, self.account.id)

    async def start(self, **settings: Any) -> None:
        """Start the service."""
        self.service = Service(
            Settings(data_dir=self.folder, _env_file=None, **settings),
            self.redis,
            SECRET_KEY,
            "test",
            clock=self.clock,
        )
        self._work = asyncio.create_task(self.service.run())
        await self.service.loaded.wait()
        server = TestServer(make_app(self.service))
        await server.start_server(max_line_size=LONGEST_LINE)
        self.client = TestClient(server)
        await self.client.start_server()

    async def stop(self) -> None:
        """Stop it as SIGTERM does."""
        await self.client.close()
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None

    async def changed(self, here: Callable[[Account], bool]) -> None:
        """Wait until the service works with the account as it was applied last."""
        async with asyncio.timeout(10):
            while True:
                shop = self.service.shops.get(self.account.id)
                if shop is not None and here(shop.settings):
                    return
                await asyncio.sleep(0.01)

    @property
    def shop(self) -> Shop:
        """The account at work."""
        return self.service.shops[self.account.id]

    # -- what the dialplan does ---------------------------------------------------------------------------

    async def manager(self, phone: str = ANNA, **more: str) -> ClientResponse:
        """Ask who calls."""
        return await self.client.get("/api/manager", params={"clientId": CLIENT_ID, "phone": phone, **more})

    async def send(self, kind: str, **more: str) -> ClientResponse:
        """Report something of a call of Anna's to 101."""
        given = {
            "clientId": CLIENT_ID,
            "type": kind,
            "uniqueid": CHANNEL,
            "phone": ANNA,
            "code": "101",
        } | more
        return await self.client.get("/api/event", params=given)

    async def reports(self, kind: str, **more: str) -> str:
        """Report something; give what became of it."""
        answer = await self.send(kind, **more)
        body = await answer.json()
        assert answer.status == 200, body
        taken: str = body["taken"]
        return taken

    async def uploads(self, content: bytes, **more: str) -> str:
        """Send the recording's file; give what became of it."""
        given = {"clientId": CLIENT_ID, "type": "upload", "uniqueid": CHANNEL} | more
        answer = await self.client.post("/api/event", params=given, data=content)
        body = await answer.json()
        assert answer.status == 200, body
        taken: str = body["taken"]
        return taken

    # -- what came of it ----------------------------------------------------------------------------------

    async def told(self) -> list[tuple[Any, ...]]:
        """Wait until the outbox is empty, and give what the CRM was told: events, then uploads."""

        async with asyncio.timeout(60):
            while True:
                if not await self.calls.outbox.read():
                    break
                await asyncio.sleep(0.01)
        events = [
            (told.event.type, *sorted(told.event.codes))
            + ((told.event.hangup_status,) if told.event.hangup_status else ())
            for told in self.crm_account.events
        ]
        uploads = [("upload", upload.call.result, upload.call.code) for upload in self.crm_account.uploads]
        return [*events, *uploads]

    async def call(self, channel: str = CHANNEL) -> Call:
        """The call as it is kept."""
        found = await self.calls.get(self.shop.reported.id_of(channel))
        assert found is not None
        return found

    async def story(self) -> list[str]:
        """Tell the call's journal."""
        call = await self.call()
        return [
            sentence.text for line in await self.calls.journal(call.id) for sentence in narrate(line, call)
        ]


@asynccontextmanager
async def reporting_shop(
    redis: Redis, folder: Path, clock: Any, **settings: Any
) -> AsyncIterator[ReportingShop]:
    """Open a shop; a test in which its CRM was told something wrong fails. `settings` are the service's."""
    async with SimulatedCrm() as crm:
        shop = ReportingShop(crm, redis, folder, clock)
        await shop.apply()
        figures.forget(shop.account.id)  # a shop of an earlier test may have had its port
        await shop.start(**settings)
        try:
            yield shop
        finally:
            await shop.stop()
        assert crm.violations == []
