"""Copies of the service share the accounts, and a call goes on whoever holds its account."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ari_app.accounts.reading import read_account
from ari_app.demo.pbx.phones import Answers
from ari_app.service.service import Service
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts
from tests.support.accounts import account_toml
from tests.support.office import SECRET_KEY, Office
from tests.support.pace import at_this_pace

ANNA = "+79161234567"
HANDED_OVER_SECONDS = 2.0
LOOKS_SECONDS = 0.1
"""How often these copies look whether accounts are to move."""
ACCOUNTS = 4


class Copy:
    """A copy of the service in this process."""

    def __init__(self, shop: Office, name: str) -> None:
        folder = Path(shop.folder)
        address = f"http://{name}.invalid"
        settings = Settings(data_dir=folder, copy_url=address, _env_file=None)
        self.service = Service(settings, shop.redis, SECRET_KEY, name, share_seconds=LOOKS_SECONDS)
        self._work = asyncio.create_task(self.service.run())

    def hears(self, accounts: int) -> bool:
        """Whether it holds so many accounts, and hears all their PBXs."""
        assert not self._work.done(), self._work
        shops = self.service.shops.values()
        return len(shops) == accounts and all(shop.line.listening for shop in shops)

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)


@asynccontextmanager
async def copy_of(shop: Office, name: str) -> AsyncIterator[Copy]:
    copy = Copy(shop, name)
    try:
        yield copy
    finally:
        await copy.stop()


async def open_accounts(shop: Office, olga: str) -> None:
    """Store the shop's account, and others on the same PBX."""
    await shop.apply()
    for number in range(1, ACCOUNTS):
        crm = shop.crm.account(key=f"key {number}")
        asterisk = shop.lab.asterisk
        pbx = {
            "http_port": shop.pbx_port,
            "stasis_app": f"{shop.app}x{number}",
            "ari_username": asterisk.ari_username,
            "ari_password": asterisk.ari_password,
        }
        text = account_toml(crm={"url": crm.url, "api_key": f"key {number}"}, pbx=pbx, extensions=(olga,))
        await Accounts(shop.redis, SECRET_KEY).apply(read_account(text), keep_client_id=True)


async def test_a_new_copy_gets_its_share_idle_accounts_first_and_all_come_back_when_it_stops(
    shop: Office,
) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await open_accounts(shop, olga)
    async with copy_of(shop, "one") as one:
        await shop.until(lambda: one.hears(ACCOUNTS), "the accounts were not opened")
        async with shop.phone(olga, Answers(after=0.1)) as phone, shop.call(ANNA) as caller:
            await shop.recorded()
            async with copy_of(shop, "other") as other:
                await shop.until(lambda: one.hears(2) and other.hears(2), "they don't share", 30)
                assert shop.account.id in one.service.shops  # it has a call
                shares = set(one.service.shops), set(other.service.shops)
                looked = time.monotonic()
                await shop.until(lambda: time.monotonic() - looked > 20 * LOOKS_SECONDS, "time stands still")
                assert (set(one.service.shops), set(other.service.shops)) == shares  # nothing goes back
                began = time.monotonic()
                await one.stop()
                await shop.until(lambda: other.hears(ACCOUNTS), "it did not take all")
                assert time.monotonic() - began < at_this_pace(HANDED_OVER_SECONDS)
                assert phone.talking
                assert not caller.over
                caller.hang_up()
                await caller.ended()
                report = await shop.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert len(phone.calls) == 1
