"""The demo: everything that a shop has, on this machine, and real calls that show the product."""

from __future__ import annotations

import asyncio
import io
import itertools
import socket
import sys
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog
from aiohttp import web

from ari_app.accounts import Account, read_account
from ari_app.calls.call import Call
from ari_app.demo.asterisk import Asterisk
from ari_app.demo.lab import Lab
from ari_app.demo.machine import Installation
from ari_app.demo.phones import Phone
from ari_app.demo.plans import CUSTOMERS, MANAGERS, PLANS, QUEUE, QUEUE_MEMBERS, SHOP, Plan
from ari_app.demo.retailcrm import SimulatedCrm
from ari_app.demo.retailcrm_account import CrmAccount
from ari_app.demo.story import Narrator, Opening, Performance
from ari_app.demo.verdict import Observed, problems
from ari_app.service import Service
from ari_app.settings import Settings, holder_id, load_secret_key
from ari_app.shop import Shop
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from cabinet.app import make_app

log = structlog.get_logger(__name__)

API_KEY = "demo-api-key"
PORT = 8080
PAUSE_SECONDS = 1.5
LOOK_SECONDS = 0.02
START_SECONDS = 15.0
CALL_SECONDS = 45.0
"""How long a call may last."""
TELL_SECONDS = 20.0
"""How long after its end the CRM may still be told of it."""
END_SECONDS = 8.0
"""How long a task may take to end; the service sends its callers on first."""


class DemoFailed(Exception):
    """The demo can't go on; the text says why."""


@dataclass(frozen=True)
class Stage:
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
        return self.service.shops.get(_account(self, PLANS[0]).id)

    @property
    def opening(self) -> Opening:
        """What there is to be said before the first call."""
        settings = self.settings
        return Opening(
            self.lab.asterisk.installation.version,
            settings.public_url,
            settings.recordings_url,
            usual_port=PORT if settings.port != PORT else None,
        )

    @property
    def try_this(self) -> str:
        """A command for another terminal."""
        program = Path(sys.executable).with_name("ari-app")
        with suppress(ValueError):
            program = program.relative_to(Path.cwd())
        return f"ARI_APP_DATA_DIR={self.settings.data_dir} {program} calls list"


async def run(
    installation: Installation,
    narrator: Narrator,
    folder: Path,
    performances: list[Performance],
    *,
    stop: asyncio.Event,
    calls: int | None,
    stay: bool,
) -> None:
    """Set the stage and place `calls` calls (None: for ever); with `stay` go on running until `stop` is set.

    What became of each call is added to `performances`. Whoever sets `stop` cancels too, so that it is at
    once; but a cancellation may get lost in `asyncio.wait_for` of Python 3.11, which redis-py uses.
    """
    async with set_up(installation, folder) as stage:
        narrator.opens(stage.opening, stage.try_this)
        for index in itertools.count(1) if calls is None else range(1, calls + 1):
            if stop.is_set():
                return
            plan = PLANS[(index - 1) % len(PLANS)]
            await _take_settings(stage, plan)
            narrator.begins(index, plan)
            performances.append(await _perform(stage, index, plan, narrator))
            narrator.ends(performances[-1])
            if index != calls:
                await asyncio.sleep(PAUSE_SECONDS)
        if stay:
            narrator.waits(performances, stage.try_this)
            await stop.wait()


@asynccontextmanager
async def set_up(installation: Installation, folder: Path) -> AsyncIterator[Stage]:
    """Start everything; `folder` is the service's data folder."""
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
        redis = connect(await stack.enter_async_context(private_redis(folder, own=True)))
        stack.push_async_callback(redis.aclose)
        listener = _listener()
        stack.callback(listener.close)
        settings = _settings(folder, listener.getsockname()[1])
        key, _ = load_secret_key(settings)
        service = Service(settings, redis, key, holder_id(folder))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        lab, accounts = Lab(asterisk), Accounts(redis, key)
        calls = CallStore(redis, read_account(_toml(asterisk, crm_account, PLANS[0])).id)
        stage = Stage(lab, crm, crm_account, service, accounts, calls, http, settings)
        await accounts.apply(_account(stage, PLANS[0]), keep_client_id=True)
        await stack.enter_async_context(_at_work(service))
        await stack.enter_async_context(_served(service, listener))
        await _until_listening(stage)
        yield stage


def _log_complaints(asterisk: Asterisk) -> None:
    for line in asterisk.warnings():
        log.info("Asterisk complains", line=line)


@asynccontextmanager
async def _at_work(service: Service) -> AsyncIterator[None]:
    work = asyncio.create_task(service.run(), name="service")
    try:
        yield
    finally:
        await _end(work)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task, again if it goes on all the same."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=END_SECONDS)


@asynccontextmanager
async def _served(service: Service, listener: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(make_app(service), access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, shutdown_timeout=1.0).start()
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
    )


def _toml(asterisk: Asterisk, crm: CrmAccount, plan: Plan) -> str:
    calls = "\n".join(
        f"{name} = {value}" if isinstance(value, int) else f'{name} = "{value}"'
        for name, value in plan.calls.items()
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
{calls}
{extensions}
[[external_phones]]
number = "{SHOP}"
site = "shop"
"""


def _account(stage: Stage, plan: Plan) -> Account:
    return read_account(_toml(stage.lab.asterisk, stage.crm_account, plan))


async def _until_listening(stage: Stage) -> None:
    await _until(
        lambda: stage.shop is not None and stage.shop.line.listening, "the service did not reach Asterisk"
    )


async def _take_settings(stage: Stage, plan: Plan) -> None:
    """Let the running service take the account's settings for this plan."""
    account = await stage.accounts.apply(_account(stage, plan), keep_client_id=True)
    await _until(
        lambda: stage.shop is not None and stage.shop.settings == account,
        "the service did not take the account's new settings",
    )


async def _until(holds: Callable[[], bool], complaint: str) -> None:
    for _ in range(round(START_SECONDS / LOOK_SECONDS)):
        if holds():
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise DemoFailed(f"{complaint} within {START_SECONDS:.0f} s")


# -- one call ---------------------------------------------------------------------------------------------


async def _perform(stage: Stage, index: int, plan: Plan, narrator: Narrator) -> Performance:
    crm, violations = stage.crm_account, len(stage.crm.violations)
    events, uploads = len(crm.events), len(crm.uploads)
    trouble: list[str] = []
    if plan.crm_fault is not None:
        crm.fault(plan.crm_fault, route="manager")
    async with AsyncExitStack() as stack:
        phones = {
            code: await stack.enter_async_context(stage.lab.phone(code, behaviour))
            for code, behaviour in plan.phones.items()
        }
        follower = _Follower(stage.calls, phones, narrator, await stage.calls.watched_until())
        following = asyncio.create_task(follower.run())
        stack.push_async_callback(_end, following)
        customer = await stack.enter_async_context(
            stage.lab.call(
                plan.number, SHOP.lstrip("+"), talks=plan.talks, gives_up_after=plan.gives_up_after
            )
        )
        try:
            await customer.ended(CALL_SECONDS)
        except TimeoutError:
            trouble.append(f"the customer's call did not end within {CALL_SECONDS:.0f} s")
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await asyncio.shield(following)
        except TimeoutError:
            trouble.append(f"the call was not over {TELL_SECONDS:.0f} s after its end, or the CRM not told")
    crm.heal()
    told = tuple(one.event for one in crm.events[events:])
    results = tuple(one.call for one in crm.uploads[uploads:])
    url = results[0].record_url if results else None
    if url is None and follower.call is not None and follower.call.recording.file:
        url = f"{stage.settings.recordings_url}/{follower.call.recording.file}"
    answered, ended = customer.answered_after, customer.ended_after or 0.0
    observed = Observed(
        sip_status=customer.status,
        waited=ended if answered is None else answered,
        talked=None if answered is None else ended - answered,
        talkers=tuple(code for code, phone in phones.items() if any(c.answered_at for c in phone.calls)),
        shown=tuple(sorted({c.name for phone in phones.values() for c in phone.calls if c.name})),
        events=told,
        uploads=results,
        recording=await _recording_length(stage.http, url) if url else None,
        violations=tuple(stage.crm.violations[violations:]),
    )
    found = problems(plan.expected, observed, plan.number, SHOP)
    return Performance(index, plan, follower.call, observed, [*trouble, *found], url)


class _Follower:
    """Tells a call's journal as it is written, until the call is over and the CRM has heard of it."""

    def __init__(self, calls: CallStore, phones: dict[str, Phone], narrator: Narrator, since: str) -> None:
        self.call: Call | None = None
        self._calls = calls
        self._phones = phones
        self._narrator = narrator
        self._since = since

    async def run(self) -> None:
        told = 0
        async for line in self._calls.watch(self._since):
            self.call = await self._calls.get(line.call)
            if self.call is None:
                continue
            self._narrator.step(line, self.call, self._phones)
            told += 1
            if not self.call.over or any(one.call == line.call for one in await self._calls.outbox()):
                continue
            if told >= len(await self._calls.journal(line.call)):
                return


async def _recording_length(http: aiohttp.ClientSession, url: str) -> float | None:
    """Download a recording; give its seconds, None when it is not a WAV file as promised."""
    try:
        async with http.get(url) as answer:
            if answer.status != 200:
                return None
            with wave.open(io.BytesIO(await answer.read())) as file:
                if (file.getnchannels(), file.getframerate(), file.getsampwidth()) != (1, 8000, 2):
                    return None
                return float(file.getnframes()) / 8000
    except (aiohttp.ClientError, wave.Error, EOFError):
        return None
