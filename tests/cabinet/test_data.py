"""What is downloaded for the PBX."""

from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from ari_app.accounts.reading import read_account
from ari_app.service.service import Service
from ari_app.settings import Settings
from cabinet.api.data import event2_script
from cabinet.app import make_app
from tests.cabinet.cabinet_shop import cabinet_shop
from tests.cabinet.shop import CLIENT_ID
from tests.support.accounts import account_toml


async def test_event2_is_downloaded_with_our_address_and_without_anybodys_clientid(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, public_url="https://telephony.example.com", _env_file=None)
    service = Service(settings, Redis(), "s" * 32, "web")
    async with TestClient(TestServer(make_app(service))) as client:
        answer = await client.get("/data/event2.sh")
        script = await answer.text()
    assert answer.status == 200
    assert answer.content_type == "text/x-shellscript"
    assert script.startswith("#!/bin/sh\n")
    assert 'SERVICE="https://telephony.example.com"' in script
    assert '\nCLIENTID=""\n' in script


async def test_who_is_signed_in_gets_it_with_the_accounts_clientid(redis: Redis, tmp_path: Path) -> None:
    async with cabinet_shop(redis, tmp_path) as cabinet, cabinet.reader() as reader:
        await reader.enter(cabinet)
        own = await (await reader.get("/data/event2.sh")).text()
        async with cabinet.reader() as stranger:
            anybodys = await (await stranger.get("/data/event2.sh")).text()
    assert f'\nCLIENTID="{CLIENT_ID}"\n' in own
    assert '\nCLIENTID=""\n' in anybodys
    assert own.replace(CLIENT_ID, "") == anybodys


def test_an_accounts_own_script_holds_its_clientid_and_is_kept_by_no_cache() -> None:
    toml = account_toml(crm={"client_id": "5494143d6ad0b09976b"})
    answer = event2_script("https://telephony.example.com", read_account(toml))
    assert isinstance(answer.body, bytes)
    assert b'\nCLIENTID="5494143d6ad0b09976b"\n' in answer.body
    assert answer.headers["Cache-Control"] == "no-store"
