"""The harness of the tests on a real Asterisk: one shop with its phones, customers, CRM and service.

A test reads as a story: who has which extension, how their phones behave, who calls, and what the
CRM was told.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from redis.asyncio import Redis

from ari_app.accounts.account import Account
from ari_app.accounts.dialplan_names import incoming_context
from ari_app.accounts.reading import read_account
from ari_app.calls.call import Call
from ari_app.calls.journal import JournalLine
from ari_app.demo.crm.account import CallUploaded, CrmAccount, EventTold
from ari_app.demo.crm.people import Customer as CrmCustomer
from ari_app.demo.crm.people import Manager as CrmManager
from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.phones import Behaviour, Phone
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.keys import Keys
from ari_app.timeline.timeline import narrate
from cabinet.app import make_app
from tests.support.accounts import account_toml

API_KEY = "k" * 32
SECRET_KEY = "s" * 32
OUR_NUMBER = "+74951112233"

T = TypeVar("T")

_apps = itertools.count(1)


@dataclass(frozen=True)
class Report:
    """What the CRM was told of one call, and the call as we know it."""

    call: Call
    told: list[tuple[Any, ...]]
    """``("in", codes)`` and ``("hangup", codes, status)``, in order."""
    upload: Any


def since_the_answer(call: Call) -> float:
    """Seconds from the first answer to the end: talk, and waiting after a transfer."""
    assert call.ended_at is not None
    assert call.answered_at is not None
    return call.ended_at - call.answered_at


class Office:
    """One shop. Its extensions, CRM account and Stasis application are its own."""

    def __init__(self, lab: Lab, crm: SimulatedCrm, account: CrmAccount, redis: Redis, folder: Path) -> None:
        self.lab = lab
        self.crm = crm
        self.crm_account = account
        self.redis = redis
        self.folder = folder
        self.app = f"shop{next(_apps)}"
        self.pbx_port = lab.asterisk.http_port
        self.ami_username = lab.asterisk.ami_username
        self.service: Service | None = None
        self.calls: CallStore
        self.account: Account
        self.settings = Settings(data_dir=folder, _env_file=None)
        self._work: asyncio.Task[None] | None = None
        self.clock_set_by = 0.0
        """Seconds by which somebody has set our clock."""
        self.pbx: dict[str, Any] = {}
        """More fields of the account's section ``pbx``."""
        self._managers: dict[str, int] = {}
        self._customers = 0

    # -- setting the scene --------------------------------------------------------------------------------

    def managers(self, count: int) -> list[str]:
        """Hire managers; the CRM knows them by their extensions."""
        codes = self.lab.extensions(count)
        for code in codes:
            self.hire(code)
        return codes

    def hire(self, code: str) -> None:
        """Let the CRM know a manager by an extension."""
        ident = self._managers[code] = len(self._managers) + 1
        self.crm_account.add_manager(CrmManager(id=ident, first_name=f"Менеджер {ident}", code=code))

    def customer(self, number: str, name: str, manager: str | None = None) -> None:
        """Put a customer ("last first") into the CRM; `manager` is the responsible one's extension."""
        last, _, first = name.partition(" ")
        self._customers += 1
        self.crm_account.add_customer(
            CrmCustomer(
                id=self._customers,
                last_name=last,
                first_name=first,
                phones=(number,),
                manager_id=self._managers[manager] if manager else None,
            )
        )

    def toml(self, **calls: Any) -> str:
        """Write the account's file; keyword arguments are the fields of its section ``calls``."""
        asterisk = self.lab.asterisk
        return account_toml(
            crm={"url": self.crm_account.url, "api_key": API_KEY},
            pbx={
                "http_port": self.pbx_port,
                "http_prefix": asterisk.http_prefix,
                "stasis_app": self.app,
                "ari_username": asterisk.ari_username,
                "ari_password": asterisk.ari_password,
                "ami_username": self.ami_username,
                "ami_password": asterisk.ami_password,
                **self.pbx,
            },
            calls=calls,
            extensions=self._managers,
        )

    async def apply(self, **calls: Any) -> None:
        """Store the account, as `ari-app account apply` does."""
        account = read_account(self.toml(**calls))
        self.account = await Accounts(self.redis, SECRET_KEY).apply(account, keep_client_id=True)
        self.calls = CallStore(self.redis, account.id)

    async def open(self, **calls: Any) -> None:
        """Apply the account and start the service; return when the PBX is connected."""
        await self.apply(**calls)
        await self.start()

    async def start_without_account(self) -> None:
        """Start the service; return when it has looked for accounts."""
        clock = self._clock
        self.service = Service(self.settings, self.redis, SECRET_KEY, "office", clock=clock)
        self._work = asyncio.create_task(self.service.run())
        await self.service.loaded.wait()

    def _clock(self) -> float:
        return time.time() + self.clock_set_by

    async def start(self) -> None:
        """Start the service; return when the PBX is connected."""
        await self.start_without_account()
        await self.until(lambda: self.listening, "the PBX was not connected")

    async def stop(self) -> None:
        """Stop the service as SIGTERM does."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._work = self.service = None

    @property
    def shop(self) -> Shop:
        """The account at work."""
        assert self.service is not None
        return self.service.shops[self.account.id]

    def hears(self, account: str) -> bool:
        """Whether an account is at work and its PBX heard; one that is opened anew is in nobody's hands."""
        assert self.service is not None
        shop = self.service.shops.get(account)
        return shop is not None and shop.line.listening

    def opened_after(self, before: Shop) -> bool:
        """Whether the account is opened anew, and its PBX heard."""
        return self.hears(self.account.id) and self.shop is not before

    @property
    def listening(self) -> bool:
        """Whether the service hears the PBX."""
        shops = self.service.shops.values() if self.service else ()
        return any(shop.line.listening for shop in shops)

    @asynccontextmanager
    async def web(self) -> AsyncIterator[str]:
        """Serve the web application; give its address."""
        assert self.service is not None
        runner = web.AppRunner(make_app(self.service), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def lead_here(self) -> None:
        """Put the context into the PBX's dialplan that our files have for customers' calls."""
        context = incoming_context(self.app)
        for number, step in enumerate((f"Stasis({self.app},incoming,)", "Hangup()"), start=1):
            command = f"dialplan add extension s,{number},{step} into {context}"
            said = await self.lab.asterisk.command(command)
            assert "added" in said, said

    # -- people -------------------------------------------------------------------------------------------

    def phone(self, code: str, behaviour: Behaviour, which: int = 0) -> Phone:
        """A manager's phone; `which` of a twin's two."""
        return self.lab.phone(code, behaviour, which=which)

    def twin(self) -> str:
        """Hire a manager with two telephones."""
        code = self.lab.twin()
        self.hire(code)
        return code

    @asynccontextmanager
    async def phones(self, **behaviours: Behaviour) -> AsyncIterator[dict[str, Phone]]:
        """Several phones: the keyword is the extension with an underscore before it."""
        async with AsyncExitStack() as stack:
            yield {
                code[1:]: await stack.enter_async_context(self.phone(code[1:], behaviour))
                for code, behaviour in behaviours.items()
            }

    def call(self, number: str, **how: Any) -> Customer:
        """A customer's call, placed when the context is entered."""
        return self.lab.call(number, OUR_NUMBER.lstrip("+"), app=self.app, **how)

    # -- what came of it ----------------------------------------------------------------------------------

    async def report(self, calls: int = 1) -> Report:
        """Wait until the newest of so many calls was uploaded, and give what the CRM was told of it."""
        await self.crm_account.wait_until(lambda account: len(account.uploads) >= calls, timeout=60)
        upload: CallUploaded = self.crm_account.uploads[calls - 1]
        ident = upload.call.external_id
        events: list[EventTold] = [e for e in self.crm_account.events if e.event.call_external_id == ident]
        told = [
            (event.event.type, sorted(event.event.codes or ()))
            + ((event.event.hangup_status,) if event.event.type == "hangup" else ())
            for event in events
        ]
        return Report(await self.ended(ident), told, upload.call)

    async def ended(self, call_id: str | None = None) -> Call:
        """Wait until a call (or, without an id, one call) is over for good."""

        async def over() -> Call | None:
            found = [await self.calls.get(call_id)] if call_id else await self.calls.ended(1)
            return next((call for call in found if call is not None and call.over), None)

        return await self.eventually(over, "the call did not end")

    async def live(self) -> Call:
        """Wait until there is a live call."""

        async def first() -> Call | None:
            return next(iter(await self.calls.live()), None)

        return await self.eventually(first, "no call came")

    async def stage(self, stage: str) -> Call:
        """Wait until the live call is kept at a stage."""

        async def there() -> Call | None:
            return next((call for call in await self.calls.live() if call.stage.value == stage), None)

        return await self.eventually(there, f"no call is {stage}")

    async def talks(self, code: str | None) -> None:
        """Wait until somebody is known to talk; None is somebody without a code."""
        await self.until(
            lambda: any(
                call.stage.value == "talking" and call.talker == code for call in self.shop.line.calls
            ),
            f"{code} does not talk",
        )

    async def recorded(self, calls: int = 1) -> None:
        """Wait until so many live calls talk and the PBX records each."""

        def recorded(call: Call) -> bool:
            file = self.lab.asterisk.recordings / f"{call.recording_name}.wav"
            return call.stage.value == "talking" and file.exists() and file.stat().st_size > 44

        async def all_are() -> bool | None:
            return sum(map(recorded, await self.calls.live())) >= calls or None

        await self.eventually(all_are, "the PBX does not record")

    async def story(self, call: Call) -> list[str]:
        """Tell a call's journal."""
        lines: list[JournalLine] = await self.calls.journal(call.id)
        return [sentence.text for line in lines for sentence in narrate(line, call)]

    async def until(self, predicate: Callable[[], bool], complaint: str, seconds: float = 60) -> None:
        """Wait until something holds."""

        async def holds() -> bool | None:
            return predicate() or None

        await self.eventually(holds, complaint, seconds)

    async def eventually(
        self, ask: Callable[[], Awaitable[T | None]], complaint: str, seconds: float = 60
    ) -> T:
        """Ask until there is an answer."""
        deadline = asyncio.get_running_loop().time() + seconds
        while (answer := await ask()) is None:
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(complaint)
            await asyncio.sleep(0.02)  # looking again, not waiting for luck: the deadline decides
        return answer

    async def told_all(self) -> None:
        """Wait until nothing is left that the CRM is to be told."""

        async def told() -> bool | None:
            return not await self.redis.xlen(Keys(self.account.id).outbox) or None

        await self.eventually(told, "the CRM was not told all")

    async def left_on_pbx(self) -> list[str]:
        """Name the channels, bridges and recordings of ours that exist on the PBX."""
        found: list[str] = []
        async with self._asking() as (session, url):
            for kind, name in (("channels", "id"), ("bridges", "id"), ("recordings/stored", "name")):
                async with session.get(f"{url}/{kind}") as response:
                    found += [f"{kind} {one[name]}" for one in await response.json()]
        return [name for name in found if f"{self.app}-" in name]

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
        """Give a client for the PBX's REST interface, and its address."""
        asterisk = self.lab.asterisk
        login = aiohttp.encode_basic_auth(asterisk.ari_username, asterisk.ari_password)
        async with aiohttp.ClientSession(headers={"Authorization": login}) as session:
            yield session, asterisk.ari_url

    async def _only_remembered(self, left: list[str]) -> bool:
        """Tell whether all that is left are bridges that the PBX lists and no longer has.

        Asterisk 16 lists what was told of bridges last. What waits to be done in a bridge is done as it is
        destroyed, and may tell of it once more: then it is listed for ever. To remove it is a conflict.
        """
        async with self._asking() as (session, url):
            for name in left:
                kind, _, ident = name.partition(" ")
                if kind != "bridges":
                    return False
                async with session.delete(f"{url}/bridges/{ident}") as response:
                    if response.status != 409:
                        return False
        return True

    async def is_clean(self) -> None:
        """Make sure that nothing is left: no channel, bridge or recording, no live call, nothing untold."""

        async def clean() -> bool | None:
            left = await self.left_on_pbx() or await self.calls.live() or await self.calls.outbox.read()
            return not left or None

        try:
            await self.eventually(clean, "something is left")
        except AssertionError:
            left = (await self.left_on_pbx(), await self.calls.live(), await self.calls.outbox.read())
            if not (left[1] or left[2]) and await self._only_remembered(left[0]):
                return
            raise AssertionError(f"something is left: {left}") from None
