"""One account at work: its telephone line, the CRM that knows its customers, its calls in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import structlog

from ari_app.accounts.account import Account
from ari_app.accounts.activity import Activity, CrmSettings
from ari_app.asterisk.ajam import Ajam, AjamTarget
from ari_app.asterisk.pbx import Pbx, PbxTarget
from ari_app.asterisk.recordings import NoRecording, RecordingStore, fetch_recording
from ari_app.asterisk.uploads import forget_drafts
from ari_app.calls import happenings as h
from ari_app.calls.call import Call
from ari_app.calls.journal import Line as JournalLine
from ari_app.calls.numbers import e164
from ari_app.calls.routing import Outside, Policy
from ari_app.control.ajam_line import AjamLine
from ari_app.control.switchboard import Line
from ari_app.errors import StoreUnavailable
from ari_app.reach import ANYWHERE, Way
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.delivery import Delivery
from ari_app.retailcrm.errors import CrmError
from ari_app.retailcrm.health import Health
from ari_app.retailcrm.pace import Pace
from ari_app.retailcrm.wording import Wording
from ari_app.service.click_to_call import Clicks
from ari_app.service.event_log import Notes, Watch
from ari_app.service.reported import ReportedCalls
from ari_app.service.statuses import Statuses
from ari_app.store.calls import CallStore, Step
from ari_app.store.connection import Redis
from ari_app.store.events import EventStore, What
from ari_app.store.ledger import Ledger
from ari_app.store.module import ModuleStore
from ari_app.store.statuses import StatusStore

log = structlog.get_logger(__name__)

LOOK_UP_SECONDS = 2.0
SEEN_SECONDS = 1.0
"""How often the moment is kept at which the PBX was last heard, while there are calls."""
ZONE_SECONDS = 3600.0
ZONE_RETRY_SECONDS = 60.0


class Shop:
    """One account at work. It is the desk of its line (`ari_app.control.live_call.Desk`)."""

    def __init__(
        self,
        account: Account,
        redis: Redis,
        session: aiohttp.ClientSession,
        recordings: RecordingStore,
        recordings_url: str,
        pace: Pace,
        clock: Callable[[], float],
        way: Way | None = None,
    ) -> None:
        """Build it; `session` reaches its CRM, `way` its PBX (by default as `session` does)."""
        way = way or Way(ANYWHERE, session)
        self.settings = account
        self.account = account.id
        self.policy: Policy = account.policy()
        self.calls = CallStore(redis, account.id, lambda: self.zone)
        self._log = log.bind(account=account.id)
        self._clock = clock
        self._recordings = recordings
        self._wording = Wording(
            ZoneInfo(account.timezone_name), lambda number: self.settings.site_of(number), recordings_url
        )
        self._crm = RetailCrm(session, account.crm.url, account.crm.api_key.get_secret_value(), pace)
        self.statuses = Statuses(lambda: self.settings, StatusStore(redis, account.id), self._crm, clock)
        self._module = ModuleStore(redis, account.id)
        self.activity = Activity()
        """Whether telephony is switched on in the CRM."""
        self.delivery = Delivery(
            self.calls, self._crm, self._wording, account.id, clock, lambda: self.activity
        )
        self.ledger = Ledger(self.calls, account.id, self.delivery.wake)
        self.line = Line(
            self,
            lambda line: Pbx(_target(account), way, line, account.id, clock, lambda: self.settings.owners),
            clock,
        )
        if account.pbx.ami_password is not None:
            target = AjamTarget(
                account.pbx.ari_url, account.pbx.ami_username, account.pbx.ami_password.get_secret_value()
            )
            self.line.ajam = AjamLine(
                Ajam(target, way.session, account.id, clock),
                self.line.pbx.extensions,
                lambda: self.line.calls,
                self.line.tell,
                clock,
            )
        self.clicks = Clicks(lambda: self.settings, self.line, time.monotonic)
        self.reported = ReportedCalls(
            account.id, self.calls, lambda: self.policy, self._runs, self.delivery.wake, clock
        )
        self.notes = Notes(EventStore(redis, account.id), clock)
        ajam = self.line.ajam.ajam if self.line.ajam is not None else None
        self._watch = Watch(self.notes, self.line.pbx, ajam, lambda: self.delivery.problem)
        self._tasks: list[asyncio.Task[None]] = []
        self._listening: asyncio.Task[None] | None = None

    # -- life ---------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take up the calls that were live, and begin to work.

        Raises:
            StoreUnavailable
        """
        live, seen = await self.calls.live(), await self.calls.last_seen()
        self.reported.resume(await self.calls.reported())
        await self.statuses.load()
        self.activity = await self._module.activity()
        self.take_crm_settings(await self._module.settings())
        if live:
            self._log.info("calls are taken up again", calls=len(live))
        await asyncio.to_thread(forget_drafts, self._recordings)
        self._work("ledger", self.ledger.run)
        self._work("delivery", self.delivery.run)
        self.line.resume(live, seen)
        self._listening = self._work("pbx", self.line.pbx.run)
        if self.line.ajam is not None:
            self._work("ajam", self.line.ajam.run)
        self._work("reported calls", self.reported.run)
        self._work("audit", self.line.audit)
        self._work("statuses", self.statuses.run)
        self._work("seen", self._note_when_seen)
        self._work("zone", self._follow_crm_zone)
        self._work("notes", self.notes.run)
        self._work("watch", self._watch.run)

    def change(self, account: Account) -> None:
        """Take changed settings that need no new connection; calls in progress keep what they began with."""
        self.notes.take_change(self.settings, account)
        self.settings, self.policy = account, account.policy()
        self.statuses.account_changed()

    def take_activity(self, activity: Activity) -> None:
        """Take note that the CRM switches telephony on or off; older news than what is known is none."""
        if (activity.since or 0.0) < (self.activity.since or 0.0):
            return
        if activity.on != self.activity.on:
            self._log.info(f"telephony is switched {'on' if activity.on else 'off'} in the CRM")
            self.notes.take(What.TELEPHONY_ON if activity.on else What.TELEPHONY_OFF)
        self.activity = activity
        self.delivery.wake()

    async def reread_activity(self) -> None:
        """Hear what the CRM said while the account was being opened, and nobody was there to be told."""
        with suppress(StoreUnavailable):
            self.take_activity(await self._module.activity())

    def take_crm_settings(self, settings: CrmSettings) -> None:
        """Take the settings that the CRM tells of itself."""
        self._wording.zone = settings.zone or self._wording.zone

    async def stop(self, drain_seconds: float | None) -> None:
        """End the work; with `drain_seconds` callers who wait are sent on first."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if drain_seconds is not None:
            await self.line.drain(drain_seconds)
        await self.line.close()
        if not await self.ledger.flush(2.0):
            self._log.error("steps of calls could not be written to Redis", steps=self.ledger.backlog)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _work(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        async def keep_working() -> None:
            while True:
                try:
                    await job()
                except Exception:
                    self._log.exception("a task of the account failed; it is started again", task=name)
                    await asyncio.sleep(1.0)
                else:
                    return

        task = asyncio.create_task(keep_working(), name=f"{self.account} {name}")
        self._tasks.append(task)
        return task

    @property
    def now(self) -> float:
        """The moment, by the clock that the calls go by."""
        return self._clock()

    @property
    def crm_health(self) -> Health:
        """How the CRM answers."""
        return self._crm.health

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return self._wording.zone

    # -- the line's desk ----------------------------------------------------------------------------------

    @property
    def away(self) -> frozenset[str]:
        """The extensions whose managers are busy, at dinner or on a break, as the CRM says."""
        return self.statuses.away

    @property
    def codes(self) -> frozenset[str]:
        """The extensions that the account has."""
        return self.settings.codes

    def note_status(self, code: str, status: str) -> None:
        """Take note of what the CRM says of a manager: free, busy, dinner or break."""
        self.statuses.set(code, status, self._clock())

    def outside(self, number: str, line: str | None = None) -> Outside:
        """Say how a number outside is dialled."""
        return self.settings.outside(number, line)

    def is_extension(self, code: str) -> bool:
        """Tell whether the account has an extension."""
        return code in self.settings.codes

    def normal_form(self, number: str | None) -> str | None:
        """Bring a number into E.164, the account's country first; None when it is withheld."""
        return e164(number, self.settings.crm.country)

    async def look_up(
        self,
        number: str,
        at: Callable[[], float],
        seconds: float = LOOK_UP_SECONDS,
        ignore_status: bool = True,
    ) -> h.CustomerFound | h.CustomerUnknown:
        """Ask the CRM who has a number, and who is responsible: without `ignore_status` only if free."""
        try:
            found = await self._crm.manager_for(number, timeout=seconds, ignore_status=ignore_status)
        except CrmError as error:
            return h.CustomerUnknown(at(), problem=str(error))
        code = found.manager_code
        if code is None and found.manager_id is not None:
            code = self.settings.code_of_user(found.manager_id)
        if found.customer_id is None and found.customer_name is None and code is None:
            return h.CustomerUnknown(at())
        return h.CustomerFound(at(), found.customer_name, code)

    async def fetch_recording(self, name: str, at: Callable[[], float]) -> h.Happening:
        """Bring a call's recording into our store."""
        try:
            stored = await fetch_recording(self.line.pbx, self._recordings, name)
        except NoRecording as error:
            return h.RecordingFailed(at(), str(error))
        except OSError as error:
            self._log.error("recordings cannot be stored", problem=str(error))
            return h.RecordingFailed(at(), f"the recording can't be stored: {error.strerror or error}")
        return h.RecordingStored(at(), stored.name, stored.seconds)

    async def write(self, call: Call, line: JournalLine) -> None:
        """Keep a step of a call."""
        if isinstance(line.event, h.RecordingFailed):
            self.notes.take(What.RECORDING_LOST, call=call.id, problem=line.event.problem)
        await self.ledger.write(Step(call, line))

    def _runs(self, channel: str) -> bool:
        """Tell whether a channel is of a live call of ours, or of our making."""
        if self.line.pbx.ids.call_of(channel) is not None:
            return True
        return any(call.party(channel) is not None for call in self.line.calls)

    # -- beside the calls ---------------------------------------------------------------------------------

    async def _note_when_seen(self) -> None:
        noted: str | None = None
        while True:
            startup = self.line.startup
            if startup is not None and self.line.listening and (self.line.calls or startup != noted):
                with suppress(StoreUnavailable):
                    await self.calls.seen(self._clock(), startup)
                    noted = startup
            await asyncio.sleep(SEEN_SECONDS)

    async def _follow_crm_zone(self) -> None:
        """The CRM's own time zone wins, when it can be read."""
        while True:
            try:
                name = await self._crm.timezone()
                if name:
                    self._wording.zone = ZoneInfo(name)
                pause = ZONE_SECONDS
            except CrmError:
                pause = ZONE_RETRY_SECONDS
            except (ValueError, LookupError, OSError):
                self._log.warning("the CRM names a time zone that is not known here", zone=name)
                pause = ZONE_SECONDS
            await asyncio.sleep(pause)


def _target(account: Account) -> PbxTarget:
    pbx = account.pbx
    return PbxTarget(
        url=pbx.ari_url,
        username=pbx.ari_username,
        password=pbx.ari_password.get_secret_value(),
        stasis_app=pbx.stasis_app,
        channel_format=pbx.channel_format,
    )
