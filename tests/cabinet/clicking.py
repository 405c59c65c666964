"""The CRM's side of its callbacks: two shops whose service is reached by HTTP, and what stands behind it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient

from ari_app.accounts.reading import read_account
from ari_app.retailcrm.pace import Pace
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from ari_app.settings import Settings
from ari_app.store.connection import connect
from ari_app.store.leases import Lease
from tests.support.accounts import account_toml

Client: TypeAlias = TestClient[web.Request, web.Application]

ANNA = "+79161234567"
ID, OTHER_ID = "hunter2-one", "hunter2-two"
PROMISED_SECONDS = 0.2


class Line:
    """A line whose calls ring until the test is over, each under a number."""

    def __init__(self) -> None:
        self.placed: dict[tuple[str, str], tuple[str, str | None, str]] = {}

    @property
    def ringing_clicks(self) -> int:
        return 0

    def clicked(self, code: str, dialled: str) -> str | None:
        found = self.placed.get((code, dialled))
        return found[0] if found else None

    def place_call(self, code: str, dialled: str, external: str | None, outgoing: str) -> str | None:
        call = f"call-{len(self.placed) + 1}"
        self.placed[code, dialled] = (call, external, outgoing)
        return call


def account_of(name: str, client_id: str) -> str:
    return account_toml(
        crm={"url": f"https://{name}.retailcrm.ru", "client_id": client_id},
        pbx={"http_port": 9},
        extensions=("101", "102"),
        phones=[{"number": "+74951112233", "outgoing": "moscow"}],
    )


@asynccontextmanager
async def two_shops(folder: Path) -> AsyncIterator[Service]:
    """Two shops that aren't opened: no PBX, no Redis, no CRM is there to be waited for."""
    redis = connect("redis://127.0.0.1:1")
    service = Service(Settings(data_dir=folder, _env_file=None), redis, "s" * 32, "web")
    async with aiohttp.ClientSession() as session:
        for name, client_id in (("one", ID), ("two", OTHER_ID)):
            account = read_account(account_of(name, client_id))
            lease = Lease(redis, account.id, "web")
            service.shops[account.id] = Shop(
                account, redis, lease, session, service.recordings, "http://localhost", Pace(), time.time
            )
        service.loaded.set()
        yield service
    await redis.aclose()


async def ask(client: Client, path: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
    async with client.request(method, path, **options) as answer:
        body = await answer.json()
    assert body["success"] is (answer.status == 200)
    assert ("errorMsg" in body) is (answer.status != 200)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "hunter2" not in str(body)
    return answer.status, body


def asking(**fields: str) -> dict[str, str]:
    return {"clientId": ID, "code": "101", "phone": ANNA} | fields
