"""Who has switched something on sees that it fails, since when, why and what to do; and that it is back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from redis.asyncio import Redis

from ari_app.accounts.sections import MailSettings, MissedSettings, Notify, WebhookSettings
from ari_app.calls import Call
from ari_app.demo.crm.simulator import Refusal, Status
from ari_app.network.reach import read_networks
from ari_app.store.accounts import Accounts
from tests.cabinet.cabinet_shop import CabinetShop, Reader, cabinet_shop
from tests.cabinet.kept_calls import BORIS
from tests.cabinet.shop import SECRET_KEY
from tests.store.test_missed_told import vain
from tests.store.test_statistics import write
from tests.support.postman import SENDER, Postman

SALES, CHIEF = "sales@shop.example", "chief@shop.example"


@pytest.fixture
async def postman() -> AsyncIterator[Postman]:
    async with Postman() as postman:
        yield postman


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path, postman: Postman) -> AsyncIterator[CabinetShop]:
    settings: dict[str, Any] = {
        "pbx_networks": read_networks(["127.0.0.0/8"]),
        "smtp_host": "127.0.0.1",
        "smtp_port": postman.port,
        "smtp_tls": "none",
        "smtp_sender": SENDER,
    }
    async with cabinet_shop(redis, tmp_path, **settings) as cabinet:
        yield cabinet
        cabinet.crm.violations.clear()  # what it was told to refuse


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader("ru") as reader:
        await reader.enter(cabinet)
        yield reader


async def switch_on(cabinet: CabinetShop, **sections: Any) -> None:
    shop = cabinet.shop
    account = shop.account.model_copy(update=sections)
    shop.account = await Accounts(shop.redis, SECRET_KEY).apply(account, keep_client_id=True)
    await shop.changed(lambda here: all(getattr(here, name) == one for name, one in sections.items()))


async def miss(cabinet: CabinetShop, *calls: Call) -> None:
    """Let calls be missed, as the service notes them."""
    shop = cabinet.shop.shop
    for call in calls:
        await write(shop.calls, replace(call, policy=shop.current.policy))
    shop.delivery.wake()


async def part(reader: Reader, name: str) -> str:
    """Give what the first page says of a part; nothing when it says nothing."""
    found = re.search(rf'<li data-state="bad" data-part="{name}">.*?</li>', await reader.text("/"), re.DOTALL)
    return " ".join(unescape(re.sub("<[^>]+>", " ", found[0])).split()) if found else ""


async def setting(reader: Reader, name: str) -> str:
    """Give what stands beside the setting itself."""
    text = await reader.text("/telephony")
    found = re.search(rf'<div class="alert" data-trouble="{name}">.*?</div>', text, re.DOTALL)
    return " ".join(unescape(re.sub("<[^>]+>", " ", found[0])).split()) if found else ""


async def comes(reader: Reader, name: str) -> str:
    async with asyncio.timeout(30):
        while not (said := await part(reader, name)):  # noqa: ASYNC110 - the timeout decides
            await asyncio.sleep(0.05)
    return said


async def goes(reader: Reader, name: str) -> None:
    async with asyncio.timeout(30):
        while await part(reader, name):  # noqa: ASYNC110 - the timeout decides
            await asyncio.sleep(0.05)
    assert await setting(reader, name) == ""


async def test_a_key_that_may_not_give_tasks_is_seen_until_it_may(
    cabinet: CabinetShop, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ari_app.retailcrm.route.DENIED_RETRY_SECONDS", 0.5)
    crm = cabinet.shop.crm_account
    await switch_on(cabinet, missed=MissedSettings(task=True))
    crm.fault(Status(403), route="tasks")
    await miss(cabinet, vain())
    said = await comes(reader, "tasks")
    assert "Задачи в CRM" in said
    assert "не работает , с " in said
    assert "Разрешите это ключу API в retailCRM" in said
    assert "Не работает" in await setting(reader, "tasks")
    crm.heal()
    await goes(reader, "tasks")
    assert len(crm.desk.tasks) == 1


async def test_a_notice_to_a_group_that_the_crm_refuses_is_seen_until_one_is_taken(
    cabinet: CabinetShop, reader: Reader
) -> None:
    crm = cabinet.shop.crm_account
    await switch_on(cabinet, missed=MissedSettings(notify=Notify.GROUP, notify_group="nobody"))
    crm.fault(Refusal("There is no such group"), route="notify")
    await miss(cabinet, vain())
    said = await comes(reader, "notices")
    assert "Уведомления в CRM" in said
    assert "There is no such group" in said
    assert "отправьте ещё раз" in said
    crm.heal()
    await miss(cabinet, vain("m2", 50, BORIS))
    await goes(reader, "notices")


async def test_a_program_that_fails_is_seen_until_it_takes_what_it_is_told(
    cabinet: CabinetShop, reader: Reader
) -> None:
    status, app = 500, web.Application()

    async def take(request: web.Request) -> web.Response:
        return web.Response(status=status)

    app.router.add_post("/missed", take)
    server = TestServer(app)
    await server.start_server()
    url = str(server.make_url("/missed"))
    await switch_on(cabinet, webhook=WebhookSettings(url=url, secret=SecretStr("hunter2-hunter2-hunter2")))
    await miss(cabinet, vain())
    said = await comes(reader, "webhook")
    assert "статус" in said
    assert "500" in said
    assert "500" in await setting(reader, "webhook")
    status = 204
    await goes(reader, "webhook")
    await server.close()


async def test_a_mailbox_that_is_nobodys_is_seen_until_it_is_not_written_to_any_more(
    cabinet: CabinetShop, reader: Reader, postman: Postman
) -> None:
    postman.answers[SALES] = "550 5.1.1 no such user"
    await switch_on(cabinet, mail=MailSettings(missed=(SALES, CHIEF)))
    await miss(cabinet, vain())
    said = await comes(reader, "mail")
    assert SALES in said
    assert CHIEF not in said
    assert "no such user" in said
    assert SALES in await setting(reader, "mail")
    await switch_on(cabinet, mail=MailSettings(missed=(CHIEF,)))
    await goes(reader, "mail")


async def test_a_mail_server_that_is_away_is_seen_until_it_is_back(
    cabinet: CabinetShop, reader: Reader, postman: Postman
) -> None:
    await postman.go()
    await switch_on(cabinet, mail=MailSettings(missed=(SALES, CHIEF)))
    await miss(cabinet, vain())
    said = await comes(reader, "mail")
    assert "соединени" in said
    await postman.come()
    await goes(reader, "mail")
    assert len(postman.taken) == 2
