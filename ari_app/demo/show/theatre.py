"""What the demo plays on: a whole shop on this machine, with its Asterisk, its CRM and the service."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import aiohttp
import structlog
from aiohttp import web

from ari_app.accounts.reading import read_account
from ari_app.accounts.staff import Person
from ari_app.demo.crm.account import CrmAccount
from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.show.people import CUSTOMERS, MANAGERS, QUEUE, QUEUE_MEMBERS, SHOP
from ari_app.network.reach import read_networks
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from ari_app.settings import Settings, holder_id, load_secret_key
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from ari_app.store.staff import StaffStore
from cabinet.app import make_app

log = structlog.get_logger(__name__)

API_KEY = "demo-api-key"
PORT = 8080
LOOK_SECONDS = 0.02
START_SECONDS = 15.0
END_SECONDS = 8.0
"""How long a task may take to end; the service sends its callers on first."""

CallFields: TypeAlias = Mapping[str, str | int]
"""The fields of an account's section `calls` that matter."""


class DemoFailed(Exception):
    """The demo can't go on; the text says why."""


@dataclass(frozen=True)
class Theatre:
    """Everything that runs."""

    lab: Lab
    crm: SimulatedCrm
    crm_account: CrmAccount
    service: Service
    accounts: Accounts
    calls: CallStore
    http: aiohttp.ClientSession
    settings: Settings

    @property
    def shop(self) -> Shop | None:
        """The account at work, as soon as the service has it."""
        return next(iter(self.service.shops.values()), None)

    @property
    def listening(self) -> bool:
        """Whether the service hears Asterisk."""
        return self.shop is not None and self.shop.line.listening

    @property
    def client_id(self) -> str:
        """What the CRM must name to be let in."""
        assert self.shop is not None
        return self.shop.settings.crm.client_id.get_secret_value()

    @property
    def cabinet(self) -> str:
        """The address that opens the shop's cabinet without a question."""
        assert self.shop is not None
        secret = self.shop.settings.crm.cabinet_secret
        assert secret is not None
        return f"{self.settings.public_url}/account/{secret.get_secret_value()}"

    async def take_settings(self, calls: CallFields) -> None:
        """Let the running service take other settings of the account."""
        account = read_account(_toml(self.lab.asterisk, self.crm_account, calls))
        applied = await self.accounts.apply(account, keep_client_id=True)
        await self.until(
            lambda: self.shop is not None and self.shop.settings == applied,
            "the service did not take the account's new settings",
        )

    async def until_listening(self) -> None:
        """Wait until the service hears Asterisk."""
        await self.until(lambda: self.listening, "the service did not reach Asterisk")

    async def until(self, holds: Callable[[], bool], complaint: str) -> None:
        """Wait until something holds.

        Raises:
            DemoFailed: it did not hold in time.
        """
        for _ in range(round(START_SECONDS / LOOK_SECONDS)):
            if holds():
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise DemoFailed(f"{complaint} within {START_SECONDS:.0f} s")


@asynccontextmanager
async def set_up(installation: Installation, folder: Path, calls: CallFields) -> AsyncIterator[Theatre]:
    """Start everything; `folder` is the service's data folder, `calls` the account's first settings."""
    async with AsyncExitStack() as stack:
        extensions = [manager.code for manager in MANAGERS if manager.code]
        asterisk = await stack.enter_async_context(
            Asterisk(installation, extensions=extensions, queues=[QUEUE])
        )
        stack.callback(_log_complaints, asterisk)
        for member in QUEUE_MEMBERS:
            await asterisk.queue_add(QUEUE, f"PJSIP/{member}")
        crm = await stack.enter_async_context(SimulatedCrm())
        crm_account = crm.account(key=API_KEY, customers=CUSTOMERS, managers=MANAGERS)
        redis = connect(await stack.enter_async_context(private_redis(folder, own=True, temporary=True)))
        stack.push_async_callback(redis.aclose)
        listener = _listener()
        stack.callback(listener.close)
        settings = _settings(folder, listener.getsockname()[1])
        key, _ = load_secret_key(settings)
        service = Service(settings, redis, key, holder_id(folder))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        lab, accounts = Lab(asterisk), Accounts(redis, key)
        account = await accounts.apply(read_account(_toml(asterisk, crm_account, calls)), keep_client_id=True)
        await StaffStore(redis, account.id).keep(
            Person(manager.id, f"{manager.last_name} {manager.first_name}") for manager in MANAGERS
        )
        store = CallStore(redis, account.id)
        theatre = Theatre(lab, crm, crm_account, service, accounts, store, http, settings)
        await stack.enter_async_context(_at_work(service))
        await stack.enter_async_context(_served(service, listener))
        await theatre.until_listening()
        await service.informing.inform(account.id)  # as signing in to the cabinet would
        yield theatre


def _log_complaints(asterisk: Asterisk) -> None:
    for line in asterisk.warnings():
        log.info("Asterisk complains", line=line)


@asynccontextmanager
async def _at_work(service: Service) -> AsyncIterator[None]:
    work = asyncio.create_task(service.run(), name="service")
    try:
        yield
    finally:
        await end(work)


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task, again if it goes on all the same."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=END_SECONDS)


@asynccontextmanager
async def _served(service: Service, listener: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(make_app(service), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


def _listener() -> socket.socket:
    """Listen at the usual port, or at a free one when it is taken."""
    try:
        return socket.create_server(("127.0.0.1", PORT))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))


def _settings(folder: Path, port: int) -> Settings:
    """The demo's own settings, whatever the environment says."""
    address = f"http://localhost:{port}"
    return Settings(
        _env_file=None,
        redis_url=None,
        host="127.0.0.1",
        port=port,
        public_url=address,
        data_dir=folder,
        secret_key=None,
        recordings_url=f"{address}/recordings",
        crm_domains=("loopback",),
        pbx_networks=read_networks(["127.0.0.0/8"]),  # the demo's Asterisk can be set up in the cabinet
    )


def _toml(asterisk: Asterisk, crm: CrmAccount, calls: CallFields) -> str:
    fields = "\n".join(
        f"{name} = {value}" if isinstance(value, int) else f'{name} = "{value}"'
        for name, value in calls.items()
    )
    extensions = "\n".join(
        f'[[extensions]]\nuser_id = {manager.id}\ncode = "{manager.code}"' for manager in MANAGERS
    )
    return f"""
[crm]
url = "{crm.url}"
api_key = "{API_KEY}"
[pbx]
host = "{asterisk.host}"
http_port = {asterisk.http_port}
http_prefix = "{asterisk.http_prefix}"
ari_username = "{asterisk.ari_username}"
ari_password = "{asterisk.ari_password}"
ami_username = "{asterisk.ami_username}"
ami_password = "{asterisk.ami_password}"
[calls]
{fields}
{extensions}
[[external_phones]]
number = "{SHOP}"
site = "shop"
"""
