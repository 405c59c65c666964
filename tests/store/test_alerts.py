"""The administrator is told what fails for long, and that it is back: once each, also after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from ari_app.accounts.activity import Activity
from ari_app.calls import TellAlert
from ari_app.demo.crm.simulator import CrmAccount
from ari_app.network.reach import read_networks
from ari_app.retailcrm import attempts
from ari_app.service.alerts import Alerts, State
from ari_app.service.service import Service
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts
from ari_app.store.alerts import AlertStore, Failing, Part
from tests.store.test_missed_told import Shop, vain
from tests.support.postman import PASSWORD, USER, Postman
from tests.support.shop_program import LOOPBACK, SECRET, Program

ADDRESSES = ("admin@shop.example", "chief@shop.example")
MAIL = f'[mail]\nalerts = ["{ADDRESSES[0]}", "{ADDRESSES[1]}"]'
BACK = "Связь с CRM восстановлена"
WELL, UNKNOWN = State(True), State(None)
DEAD = State(False, "nobody listens at that port")


class Watched:
    """A shop whose administrator wants to know within 10 minutes, and what is wrong there."""

    def __init__(self, redis: Redis, account: CrmAccount, program: Program, alerts: str) -> None:
        address = str(program.server.make_url("/missed"))
        self.shop = Shop(redis, account, webhook=(address, SECRET), more=f"[alerts]\n{alerts}")
        self.shop.reach = LOOPBACK
        self.redis = redis
        self.now = time.time()
        self.states = dict.fromkeys(Part, WELL)
        self.start()

    def start(self) -> None:
        """Start the service, again."""
        current = self.shop.current
        store = AlertStore(self.redis, current.account.id)
        self.alerts = Alerts(current, store, lambda: self.states, lambda: None, lambda: self.now)

    async def after(self, minutes: float, **states: State) -> list[tuple[str, str, str]]:
        """Let time pass while this is so; give what waits to be told then."""
        self.states |= {Part(name): state for name, state in states.items()}
        await self.alerts.look()
        self.now += 60 * minutes
        await self.alerts.look()
        await self.alerts.look()
        tells = [entry.tell for entry in await self.shop.calls.outbox.read()]
        return [(tell.event, tell.what, tell.way) for tell in tells if isinstance(tell, TellAlert)]


@pytest.fixture
def watched(redis: Redis, account: CrmAccount, program: Program) -> Watched:
    return Watched(redis, account, program, 'minutes = 10\ngroup = "superadmins"')


async def test_what_fails_for_long_and_is_back_is_told_once_by_each_way(
    watched: Watched, program: Program
) -> None:
    assert await watched.after(9, pbx=DEAD) == []
    assert len(await watched.after(2)) == 2
    assert len(await watched.after(100)) == 2
    await watched.shop.told()
    assert len(await watched.after(0, pbx=WELL)) == 2
    assert len(await watched.after(60)) == 2
    await watched.shop.told()
    fails, back = program.said
    assert (fails["event"], fails["what"], fails["problem"]) == ("alert", "pbx", DEAD.problem)
    assert (back["event"], back["what"], back["id"]) == ("alert_over", "pbx", fails["id"])
    assert back["since"] == fails["since"]
    notices = watched.shop.account.desk.notices
    assert [notice.user_groups for notice in notices] == [["superadmins"]] * 2
    assert "Не работает" in notices[0].message
    assert "Снова в порядке: связь с АТС" in notices[1].message


async def test_a_short_failure_is_told_nobody(watched: Watched) -> None:
    assert await watched.after(5, disk=DEAD) == []
    assert await watched.after(60, disk=WELL) == []


async def test_a_restart_tells_nothing_again_and_forgets_no_failure(watched: Watched) -> None:
    assert len(await watched.after(11, recording=DEAD)) == 2
    await watched.shop.told()
    watched.start()
    assert await watched.after(30, recording=UNKNOWN) == []
    assert await watched.after(30, recording=DEAD) == []
    watched.start()
    assert {told[0] for told in await watched.after(0, recording=WELL)} == {"alert_over"}


async def test_a_failure_goes_on_through_a_restart_though_nobody_knows_of_it_yet(watched: Watched) -> None:
    assert await watched.after(6, pbx=DEAD) == []
    watched.start()
    assert await watched.after(3, pbx=UNKNOWN) == []
    assert len(await watched.after(2, pbx=DEAD)) == 2


async def test_the_crm_is_not_told_that_it_is_dead(watched: Watched) -> None:
    assert await watched.after(11, crm=DEAD) == [("alert", "crm", "webhook")]


async def test_each_address_is_written_to_once_also_of_the_crm(
    redis: Redis, account: CrmAccount, program: Program
) -> None:
    watched = Watched(redis, account, program, f"minutes = 10\n{MAIL}")
    watched.shop.current.writes = True
    async with Postman() as postman:
        watched.shop.mail_server = postman.known()
        assert [told[2] for told in await watched.after(11, crm=DEAD)] == ["mail", "mail", "webhook"]
        await watched.after(100)
        await watched.shop.told()
        await watched.after(0, crm=WELL)
        await watched.shop.told()
        subjects = [(to, subject) for to in ADDRESSES for subject in ("Нет связи с CRM", BACK)]
        assert sorted(postman.subjects) == sorted(subjects)
    watched.shop.current.writes = False
    assert [told[2] for told in await watched.after(11, crm=DEAD)] == ["webhook"]


async def test_while_telephony_is_off_in_the_crm_the_program_hears_of_it_and_the_crm_does_not(
    watched: Watched, program: Program
) -> None:
    watched.shop.current.activity = Activity(off_at=time.time() - 60)
    assert len(await watched.after(11, pbx=DEAD)) == 2
    async with watched.shop.telling(), asyncio.timeout(30):
        while await watched.shop.calls.outbox.read():  # noqa: ASYNC110 - the timeout decides
            await asyncio.sleep(0.01)
    assert [said["event"] for said in program.said] == ["alert"]
    assert watched.shop.account.desk.notices == []


async def test_what_waits_for_telephony_is_not_set_aside_because_an_alert_fails(
    watched: Watched, program: Program
) -> None:
    await watched.shop.write(vain(ago=attempts.WEBHOOK_SECONDS + 200))
    watched.shop.current.activity = Activity(off_at=time.time() - 60)
    await watched.after(11, pbx=DEAD)
    program.status = 500
    async with watched.shop.telling() as telling, asyncio.timeout(30):
        while not telling.troubles:  # noqa: ASYNC110 - the timeout decides
            await asyncio.sleep(0.01)
    assert await watched.shop.calls.outbox.refusals() == []
    assert program.said == []


async def test_without_minutes_nobody_is_told(redis: Redis, account: CrmAccount, program: Program) -> None:
    watched = Watched(redis, account, program, "")
    assert await watched.after(1000, pbx=DEAD, crm=DEAD) == []


async def test_no_journal_has_a_line_of_an_alert(watched: Watched, redis: Redis) -> None:
    await watched.after(11, pbx=DEAD)
    await watched.shop.told()
    assert [key async for key in redis.scan_iter(match="*journal*")] == []


@asynccontextmanager
async def served(shop: Watched, networks: str, tmp_path: Path, **more: Any) -> AsyncIterator[Service]:
    """Let a service that has just been started have the shop; its PBX doesn't answer, as for long."""
    account = shop.shop.current.account
    dead = account.pbx.model_copy(update={"host": "127.0.0.1", "http_port": 1})
    crm = account.crm.model_copy(update={"api_key": SecretStr(shop.shop.account.key)})
    account = account.model_copy(update={"pbx": dead, "crm": crm})
    await Accounts(shop.redis, "s" * 32).apply(account, keep_client_id=False)
    await AlertStore(shop.redis, account.id).fails(Part.PBX, Failing(time.time() - 700))
    settings = Settings(data_dir=tmp_path, pbx_networks=read_networks([networks]), _env_file=None, **more)
    service = Service(settings, shop.redis, "s" * 32, "test")
    work = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_a_service_tells_of_a_pbx_that_does_not_answer(
    watched: Watched, program: Program, tmp_path: Path
) -> None:
    async with served(watched, "127.0.0.0/8", tmp_path), asyncio.timeout(60):
        while not (program.said and watched.shop.account.desk.notices):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [(said["event"], said["what"]) for said in program.said] == [("alert", "pbx")]


async def test_a_service_writes_by_the_server_that_its_operator_has_named(
    redis: Redis, account: CrmAccount, program: Program, tmp_path: Path
) -> None:
    watched = Watched(redis, account, program, f"minutes = 10\n{MAIL}")
    async with Postman(asks_for_password=True) as postman:
        more = {"smtp_host": "127.0.0.1", "smtp_port": postman.port, "smtp_tls": "none", "smtp_user": USER}
        more |= {"smtp_password": PASSWORD, "smtp_sender": "calls@service.example"}
        more |= {"public_url": "https://calls.example.com"}
        async with served(watched, "127.0.0.0/8", tmp_path, **more), asyncio.timeout(60):
            while len(postman.taken) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert sorted(postman.subjects) == sorted((to, "Нет связи с АТС") for to in ADDRESSES)
    assert "https://calls.example.com/" in postman.taken[0][1].get_content()


async def test_a_service_reaches_no_program_in_its_own_network_unless_the_operator_lets_it(
    watched: Watched, program: Program, tmp_path: Path
) -> None:
    ident = watched.shop.current.account.id
    async with served(watched, "203.0.113.0/24", tmp_path) as service, asyncio.timeout(60):
        while not (shop := service.shops.get(ident)) or not shop.delivery.troubles:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (trouble,) = shop.delivery.troubles
        assert "own network" in trouble.problem
    assert program.tried == 0
