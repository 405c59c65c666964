"""A shop that can't be opened at first."""

import asyncio
from pathlib import Path

from redis.asyncio import Redis

from ari_app.accounts.reading import read_account
from ari_app.asterisk.pbx_state import PbxState
from ari_app.demo.crm.simulator import Manager, SimulatedCrm
from ari_app.service.service import Service
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts
from ari_app.store.keys import Keys
from tests.support.accounts import account_toml
from tests.unit.test_clicks import ACCOUNT

SECRET_KEY = "s" * 32


async def refusals(redis: Redis) -> int:
    """How often Redis refused to give a hash."""
    asked = (await redis.info("commandstats")).get("cmdstat_hgetall", {})
    return int(asked.get("failed_calls", 0))


async def test_a_shop_that_redis_kept_from_being_opened_is_opened_later(redis: Redis, tmp_path: Path) -> None:
    async with SimulatedCrm() as crm:
        url = crm.account(key="key", managers=[Manager(1, code="101", status="dinner")]).url
        account = read_account(ACCOUNT.replace("https://shop.retailcrm.ru", url))
        await Accounts(redis, SECRET_KEY).apply(account, keep_client_id=False)
        statuses = Keys(account.id).statuses
        await redis.set(statuses, "what Redis can't give as a hash")
        service = Service(Settings(data_dir=tmp_path, _env_file=None), redis, SECRET_KEY, "test")
        work = asyncio.create_task(service.run())
        try:
            async with asyncio.timeout(60):
                while True:
                    if await refusals(redis) >= 2:
                        break
                    await asyncio.sleep(0.05)
            assert service.shops == {}
            assert not service.ready
            await redis.delete(statuses)
            async with asyncio.timeout(60):
                await service.loaded.wait()
                while True:
                    shop = service.shops[account.id]
                    if shop.line.pbx.state is not PbxState.CONNECTING and shop.away == {"101"}:
                        break
                    await asyncio.sleep(0.01)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        assert crm.violations == []


async def test_a_shop_that_cannot_be_opened_keeps_no_other_closed(redis: Redis, tmp_path: Path) -> None:
    async with SimulatedCrm() as crm:
        ids = []
        for name in ("one", "other"):
            url = crm.account(key=name, managers=[]).url
            text = account_toml(crm={"url": url}, pbx={"stasis_app": name})
            ids.append((await Accounts(redis, SECRET_KEY).apply(read_account(text), keep_client_id=False)).id)
        first, last = sorted(ids)
        await redis.set(Keys(first).statuses, "what Redis can't give as a hash")
        service = Service(Settings(data_dir=tmp_path, _env_file=None), redis, SECRET_KEY, "test")
        work = asyncio.create_task(service.run())
        try:
            async with asyncio.timeout(60):
                while last not in service.shops:
                    assert not work.done(), work
                    await asyncio.sleep(0.01)
            assert first not in service.shops
            assert not service.ready
            await redis.delete(Keys(first).statuses)
            async with asyncio.timeout(10):
                await service.loaded.wait()
            assert first in service.shops
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
