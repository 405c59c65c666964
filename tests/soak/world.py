"""All that a soak runs: an Asterisk, its telephones, a CRM with several shops, a Redis, the service."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from ari_app.accounts.reading import read_account
from ari_app.demo.crm.account import CrmAccount
from ari_app.demo.crm.callbacks import CalledBack
from ari_app.demo.crm.people import Customer, Manager
from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.store.accounts import Accounts
from ari_app.store.connection import connect
from tests.faults.redis_server import RedisServer
from tests.soak.copies import Copy
from tests.soak.plan import MANAGERS, SHOPS
from tests.soak.telephones import Telephones
from tests.soak.wires import WireToPbx, WireToRedis
from tests.support.accounts import account_toml
from tests.support.office import SECRET_KEY

EACH = MANAGERS + 3
"""Extensions of a shop: its managers, the two of its group or queue, and one who is always busy."""
FIRST = 200
BACK_SECONDS = 60.0
STEADY_SECONDS = 1.0
"""A service that has heard every PBX for so long is taken to be back."""


class Shop:
    """One shop: an account of ours and of the CRM's, and its people."""

    number = "74951112233"

    def __init__(self, index: int, crm: CrmAccount) -> None:
        self.app = f"soak{index}"
        self.crm = crm
        codes = [str(FIRST + index * EACH + one) for one in range(EACH)]
        self.managers, self.together, self.busy = codes[:MANAGERS], codes[MANAGERS:-1], codes[-1]
        self.queue = f"q{index}" if index % 2 else None
        self.account = ""
        self.client_id = ""
        self._ids = {code: ident for ident, code in enumerate(codes, 1)}
        for code, ident in self._ids.items():
            crm.add_manager(Manager(id=ident, first_name=f"Менеджер {ident}", code=code))
        self._customers = 0
        self.newest: str | None = None
        """Whose number called last."""

    def know(self, number: str, manager: str) -> None:
        """Put a customer into the CRM, whose responsible manager has this extension."""
        self._customers += 1
        self.newest = number
        customer = Customer(
            id=self._customers, last_name="Иванова", phones=(number,), manager_id=self._ids[manager]
        )
        self.crm.add_customer(customer)

    async def click(self, address: str, manager: str, number: str) -> CalledBack:
        """Let a manager click a number in the CRM."""
        return await self.crm.click_to_call(
            address, self.client_id, code=manager, phone=number, user_id=self._ids[manager]
        )

    async def apply(self, accounts: Accounts, asterisk: Asterisk, pbx_port: int) -> None:
        """Store the account."""
        place = f"queue:{self.queue}" if self.queue else f"group:{','.join(self.together)}"
        account = read_account(
            account_toml(
                crm={"url": self.crm.url, "api_key": self.crm.key},
                pbx={
                    "http_port": pbx_port,
                    "stasis_app": self.app,
                    "ari_username": asterisk.ari_username,
                    "ari_password": asterisk.ari_password,
                    "ami_username": asterisk.ami_username,
                    "ami_password": asterisk.ami_password,
                },
                calls={
                    "fallback": place,
                    "unknown": place,
                    "ring_manager_seconds": 6,
                    "ring_group_seconds": 20,
                },
                extensions=self._ids,
            )
        )
        stored = await accounts.apply(account, keep_client_id=True)
        self.account, self.client_id = stored.id, stored.crm.client_id.get_secret_value()


class World:
    """An async context manager; all that it has started is ended with it, and only logs are left."""

    def __init__(self, installation: Installation, copies: int, *, small_disk: int = 0) -> None:
        """With a `small_disk`, in megabytes, recordings lie on one that can be filled; that takes root."""
        self.folder = Path(tempfile.mkdtemp(prefix="ari-app-"))  # short: a socket's path has a limit
        self.copies: list[Copy] = []
        self.shops: list[Shop] = []
        self.deaths: list[float] = []
        """When Asterisk ended, on the clock of `time.monotonic()`."""
        self.keep = False
        """Whether the folder stays, with the logs."""
        self.disk = self.folder / "recordings"
        self.small_disk = small_disk
        self._copies = copies
        self._next = 0
        extensions = [str(FIRST + one) for one in range(EACH * SHOPS)]
        self.asterisk = Asterisk(installation, extensions=extensions)
        busy = {str(FIRST + index * EACH + EACH - 1) for index in range(SHOPS)}
        ports = [self.asterisk.ports.phone(0), self.asterisk.ports.phone(1)]
        self.asterisk.phones = {code: ports[code in busy] for code in extensions}
        self.lab = Lab(self.asterisk)
        self.telephones = Telephones(self.lab, extensions[0], min(busy))
        self.crm = SimulatedCrm()
        self.redis = RedisServer(self.folder)
        self.wire = WireToPbx(self.asterisk.http_port, self._pid_of)
        self.redis_wires: list[WireToRedis] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            self.disk.mkdir()
            self._stack.callback(self._forget_folder)
            if self.small_disk:
                await _command(
                    "mount", "-t", "tmpfs", "-o", f"size={self.small_disk}m", "soak", str(self.disk)
                )
                self._stack.push_async_callback(_command, "umount", str(self.disk))
            for part in (self.asterisk, self.telephones, self.crm, self.redis, self.wire):
                await self._stack.enter_async_context(part)
            await self._open()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.shield(self._stack.aclose())

    def address(self) -> str:
        """Give the address of a copy that runs, each time of another one: what stands before them would."""
        running = [copy for copy in self.copies if copy.running] or self.copies
        self._next += 1
        return running[self._next % len(running)].url

    async def connected(self) -> bool:
        """Tell whether every shop's PBX is heard by some copy."""
        return sum(await asyncio.gather(*(copy.connected() for copy in self.copies))) >= len(self.shops)

    async def back(self) -> bool:
        """Wait until every shop's PBX has been heard for a while; False when that takes too long."""
        until, since = time.monotonic() + BACK_SECONDS, None
        while time.monotonic() < until:
            if not await self.connected():
                since = None
            else:
                since = since or time.monotonic()
                if time.monotonic() - since >= STEADY_SECONDS:
                    return True
            await asyncio.sleep(0.1)
        return False

    async def complete(self) -> None:
        """Wait until every copy answers, for a while."""
        until = time.monotonic() + BACK_SECONDS
        while time.monotonic() < until:
            if all(await asyncio.gather(*(copy.alive() for copy in self.copies))):
                return
            await asyncio.sleep(0.2)

    async def restart_asterisk(self, *, hard: bool, after: float = 0.0) -> None:
        """End the PBX and start it again."""
        self.deaths.append(time.monotonic())
        await self.asterisk.stop(hard=hard)
        await asyncio.sleep(after)
        await self.asterisk.start()
        await self._fill_queues()

    async def left_on_pbx(self) -> list[str]:
        """Name what is on the PBX: channels, bridges, recordings."""
        found: list[str] = []
        login = aiohttp.encode_basic_auth(self.asterisk.ari_username, self.asterisk.ari_password)
        async with aiohttp.ClientSession(headers={"Authorization": login}) as session:
            for kind, name in (("channels", "name"), ("bridges", "id"), ("recordings/stored", "name")):
                async with session.get(f"{self.asterisk.ari_url}/{kind}") as response:
                    found += [f"{kind}: {one[name]}" for one in await response.json()]
        return found

    async def _open(self) -> None:
        for index in range(SHOPS):
            self.shops.append(Shop(index, self.crm.account(key=f"{index}" * 32)))
            self.shops[-1].crm.repeats_allowed = True
        async with connect(self.redis.url) as redis:
            accounts = Accounts(redis, SECRET_KEY)
            for shop in self.shops:
                await shop.apply(accounts, self.asterisk, self.wire.port)
        await self._fill_queues()
        ports = [self.asterisk.ports.service() for _ in range(self._copies)]
        for number, port in enumerate(ports):
            url = f"http://127.0.0.1:{ports[0]}/recordings"
            wire = await self._stack.enter_async_context(WireToRedis(self.folder / "redis.sock"))
            self.redis_wires.append(wire)
            redis_url = wire.url if self._copies > 1 else self.redis.url
            self.copies.append(Copy(number, self.folder, port, redis_url, self.disk, url))
            self._stack.push_async_callback(self.copies[-1].kill)
            await self.copies[-1].start()
        if not await self.back():
            self.keep = True
            raise RuntimeError(f"the service doesn't take the PBX: see {self.folder}")

    async def _fill_queues(self) -> None:
        for shop in self.shops:
            for code in shop.together if shop.queue else ():
                await self.asterisk.queue_add(shop.queue or "", f"PJSIP/{code}")

    def _pid_of(self, copy: int) -> int | None:
        process = self.copies[copy].process if copy < len(self.copies) else None
        return process.pid if process is not None else None

    def _forget_folder(self) -> None:
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


async def _command(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words)
    if await process.wait():
        raise RuntimeError(f"{' '.join(words)} failed")


def fill(disk: Path) -> Path:
    """Fill a small disk to its last byte; give the file that does."""
    file = disk / "soak-fills-this-disk"
    with file.open("wb") as filler:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    os.write(filler.fileno(), bytes(size))
    return file
