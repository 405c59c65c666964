"""One account at work: its telephone line, the CRM that knows its customers, its calls in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import structlog

from ari_app.accounts.account import Account
from ari_app.accounts.activity import Activity, CrmSettings
from ari_app.accounts.current import Current
from ari_app.asterisk.ajam import Ajam, AjamTarget
from ari_app.asterisk.errors import PbxError
from ari_app.asterisk.event_stream import EVENTS_A_SECOND, EventStream
from ari_app.asterisk.installations import Mark
from ari_app.asterisk.pbx import Pbx, PbxTarget
from ari_app.asterisk.recordings import RecordingStore
from ari_app.asterisk.uploads import forget_drafts
from ari_app.bounded import Allowance
from ari_app.calls import Policy
from ari_app.clock import WatchedClock, rest, rest_until
from ari_app.control.ajam_line import AjamLine
from ari_app.control.rounds import Rounds
from ari_app.control.switchboard import MOST_CALLS, Line
from ari_app.errors import StoreUnavailable
from ari_app.network.reach import ANYWHERE, Passage
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.delivery import Delivery
from ari_app.retailcrm.health import Health
from ari_app.retailcrm.letters import Letters
from ari_app.retailcrm.mail import MailServer
from ari_app.retailcrm.pace import GOES_ON, Pace, Urgency
from ari_app.retailcrm.webhook import Webhook
from ari_app.retailcrm.wording import Wording
from ari_app.service.alerts import Alerts, State
from ari_app.service.changes import Changes
from ari_app.service.click_to_call import LIMITS, AcceptedClicks, ClickLimits, Clicks, NotPlaced
from ari_app.service.counts import Counts
from ari_app.service.crm_watch import CrmWatch
from ari_app.service.desk import ShopDesk
from ari_app.service.dialplan_access import DialplanAccess
from ari_app.service.directory import Directory
from ari_app.service.event_log import Notes, TroubleWatch, is_up
from ari_app.service.handover import offer_when_deaf
from ari_app.service.reported import ReportedCalls
from ari_app.service.statuses import Statuses
from ari_app.service.work import Work
from ari_app.store.alerts import AlertStore, Part
from ari_app.store.calls import CallStore
from ari_app.store.clicks import ClickStore
from ari_app.store.connection import Redis
from ari_app.store.events import EventStore, What
from ari_app.store.leases import Lease
from ari_app.store.ledger import LIMIT_BYTES, Ledger
from ari_app.store.module import ModuleStore
from ari_app.store.statuses import StatusStore

log = structlog.get_logger(__name__)

SEEN_SECONDS = 1.0
"""How often the moment is kept at which the PBX was last heard, while there are calls."""
STILL_SECONDS = 1.0
"""How long what has begun may take to end when another copy takes the account over."""
OVER_SECONDS = 2.0
"""How long the other copy may take for that; until then the PBX is kept from taking us for gone."""
REPORTS_SECONDS = 60.0
"""So long a dialplan may report more than it may on an average: a queue rings everybody."""
DAY_SECONDS = 86_400.0
_LONGEST_CODE = 40


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one account may take: of memory while Redis is away, calls at once, events of its PBX ..."""

    ledger_bytes: int = LIMIT_BYTES
    live_calls: int = MOST_CALLS
    events_a_second: int = EVENTS_A_SECOND
    reports_a_second: int = 20
    written_bytes: int = 2 * 10**9
    """In a day."""


class Shop:
    """One account at work, as long as its lease is ours."""

    def __init__(
        self,
        account: Account,
        redis: Redis,
        lease: Lease,
        session: aiohttp.ClientSession,
        recordings: RecordingStore,
        recordings_url: str,
        pace: Pace,
        clock: Callable[[], float],
        passage: Passage | None = None,
        changes: Changes | None = None,
        mark: Mark | None = None,
        click_limits: ClickLimits = LIMITS,
        bounds: Bounds | None = None,
        outside: Passage | None = None,
        mail_server: MailServer | None = None,
        cabinet_url: str = "",
    ) -> None:
        """Build it; `session` reaches its CRM, `passage` its PBX, `outside` a program that the shop names.

        Without them all are reached as the CRM is. Its people are written to by `mail_server`, with links to
        the cabinet at `cabinet_url`.

        `mark` keeps other installations away from the PBX.
        """
        bounds = bounds or Bounds()
        passage = passage or Passage(ANYWHERE, session)
        self.account = account.id
        self.current = current = Current(account)
        current.writes = mail_server is not None
        self.changes = changes or Changes()
        """What wakes those who show its calls."""
        self._log = log.bind(account=account.id)
        self._clock = clock = WatchedClock(clock)
        self._recordings = recordings
        self._module = ModuleStore(redis, account.id)
        self.lease = lease
        self._mark = mark
        written = Allowance(bounds.written_bytes / DAY_SECONDS, DAY_SECONDS)
        self.calls = CallStore(redis, account.id, current.zone, lease, written, lambda: current.mail)
        self.notes = Notes(EventStore(redis, account.id), clock)
        key = account.crm.api_key.get_secret_value()
        self._crm = RetailCrm(session, account.crm.url, key, pace, self._may_ask_crm, account.id)
        self.statuses = Statuses(current, StatusStore(redis, account.id), self._crm, clock)
        webhook = Webhook(outside.session if outside is not None else session, current)
        wording = Wording(current, recordings_url)
        letters = Letters(current, cabinet_url, mail_server) if mail_server is not None else None
        outbox, missed = self.calls.outbox, self.calls.missed
        self.delivery = Delivery(
            outbox, missed, self._crm, wording, current, clock, webhook=webhook, letters=letters
        )
        self.ledger = Ledger(self.calls, account.id, self.delivery.take, bounds.ledger_bytes)
        target, ours = PbxTarget.of(account.pbx), lease.still_ours
        pbx = Pbx(target, passage, account.id, clock, current.owners, ours)
        self.events = EventStream(pbx, mark, lease.ask_first, bounds.events_a_second)
        self.ajam = _ajam(account, passage, clock)
        self.desk = ShopDesk(
            current,
            self._crm,
            self.statuses,
            pbx.recordings,
            recordings,
            self.ledger,
            self.notes,
            self.changes,
        )
        ajam_line = AjamLine(self.ajam, pbx.extensions, clock) if self.ajam is not None else None
        self.line = Line(self.desk, pbx, ajam_line, clock, bounds.live_calls, may_act=ours)
        self.line.on_replaced = lambda: lease.lose("another process has taken the PBX over")
        self._accepted = AcceptedClicks(ClickStore(redis, account.id), clock)
        self.clicks = Clicks(current, self.line, time.monotonic, click_limits, self._accepted.note)
        self.reported = ReportedCalls(
            current,
            self.calls,
            self.line.runs,
            self.delivery.take,
            self.changes,
            clock,
            Allowance(bounds.reports_a_second, REPORTS_SECONDS),
        )
        clock.tell = self._clock_was_set
        self._watch = TroubleWatch(self.notes, pbx, self.ajam, self.delivery)
        store = AlertStore(redis, account.id, lease)
        self._alerts = Alerts(current, store, self._how_it_is, self.delivery.wake, clock)
        self.counts = Counts(current, self.calls, self.line, self.delivery, clock)
        self.directory = Directory(current, pbx, self.ajam)
        self._crm_watch = CrmWatch(self._crm, current, self._module)
        self.dialplan_access = DialplanAccess(current, self.line, self.notes)
        self._work = Work(account.id)
        self._listening: asyncio.Task[None] | None = None

    # -- life ---------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take up the calls that were live, and begin to work.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        self._recordings.room.forget(self.account)  # another copy may have stored some since we counted
        await self.calls.mend(self._clock())
        await self.calls.has_pbx_since(repr(self.settings.pbx.identity), self._clock())
        live, seen = await self.calls.live(), await self.calls.last_seen()
        await self.reported.resume()
        await self.statuses.load()
        self.clicks.take_up(await self._accepted.load())
        self.current.activity = await self._module.activity()
        self.take_crm_settings(await self._module.settings())
        if live:
            self._log.info("calls are taken up again", calls=len(live))
        await asyncio.to_thread(forget_drafts, self._recordings)
        self._work.begin("ledger", self.ledger.run)
        self._work.begin("delivery", self.delivery.run)
        self.line.resume(live, seen)
        self._listening = self._work.begin("pbx", lambda: self.events.run(self.line))
        self._work.begin("offer", lambda: offer_when_deaf(self.line, self.lease, self.changes))
        self._work.begin("ajam", self.line.follow_ajam)
        self._work.begin("reported calls", self.reported.run)
        rounds = Rounds(self.line)
        self._work.begin("audit", rounds.audit)
        self._work.begin("lots", rounds.watch_the_lots)
        self._work.begin("recordings", rounds.sweep)
        self._work.begin("statuses", self.statuses.run)
        self._work.begin("seen", self._note_when_seen)
        self._work.begin("packing", self.calls.packing.run)
        self._work.begin("counts", self.counts.follow)
        self._work.begin("zone", self._crm_watch.follow_zone)
        self._work.begin("clicks", self._accepted.run)
        self._work.begin("CRM", self._crm_watch.ask_when_silent)
        self._work.begin("notes", self.notes.run)
        self._work.begin("alerts", self._alerts.run)

    def change(self, account: Account) -> None:
        """Take changed settings that need no new connection; calls in progress keep what they began with."""
        self.notes.take_change(self.settings, account)
        self.current.change(account)
        self.statuses.account_changed()
        self.changes.note()

    def take_activity(self, activity: Activity) -> None:
        """Take note that the CRM switches telephony on or off; older news than what is known is none."""
        if (activity.since or 0.0) < (self.activity.since or 0.0):
            return
        if activity.on != self.activity.on:
            self._log.info(f"telephony is switched {'on' if activity.on else 'off'} in the CRM")
            self.notes.take(What.TELEPHONY_ON if activity.on else What.TELEPHONY_OFF)
        self.current.activity = activity
        self.delivery.wake()

    async def reread_activity(self) -> None:
        """Hear what the CRM said while the account was being opened, and nobody was there to be told."""
        with suppress(StoreUnavailable):
            self.take_activity(await self._module.activity())

    def take_crm_settings(self, settings: CrmSettings) -> None:
        """Take the settings that the CRM tells of itself."""
        self.current.take_zone(settings.zone)
        self.current.take_language(settings.language)

    async def stop(self, drain_seconds: float | None) -> None:
        """End the work; with `drain_seconds` callers who wait are sent on first."""
        await self._hear_no_more()
        if drain_seconds is not None:
            await self.line.drain(drain_seconds)
        await self.line.close()
        if not await self.ledger.flush(2.0):
            self._log.error("steps of calls could not be written to Redis", steps=self.ledger.backlog)
        await self._work.end()

    async def end(self) -> None:
        """Leave the PBX of an account that is no more: who waits goes on in the dialplan."""
        await self._hear_no_more()
        await self.line.stand_still(STILL_SECONDS)
        await self.line.reconciliation.see_off(OVER_SECONDS)
        await self.line.close()
        await self._work.end()

    async def _hear_no_more(self) -> None:
        """Leave the PBX, and wait until it knows: who calls after that doesn't come to us."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def let_go(self) -> None:
        """Do nothing more, from this moment on: another copy of the service has the account."""
        self.line.let_go()
        self._work.stop(but=self._listening)

    async def close(self) -> None:
        """End what `let_go` has stopped.

        The PBX is left when the other copy has taken it: until then it keeps new callers, and that copy finds
        them.
        """
        if self._listening is not None and self.line.listening:
            await asyncio.wait([self._listening], timeout=OVER_SECONDS)
        await self.line.close()
        await self._work.end()

    async def hand_over(self, heir: str = "") -> None:
        """Let another copy, which waits for it, take the account; calls go on as they are.

        For a moment only the `heir` may take it, if one is named.

        What was begun is ended and written first.
        """
        await self.line.stand_still(STILL_SECONDS)
        await self.delivery.finish(STILL_SECONDS)
        if not await self.ledger.flush(STILL_SECONDS):
            self._log.error("steps of calls could not be written to Redis", steps=self.ledger.backlog)
        with suppress(StoreUnavailable):
            await self.lease.leave(heir)
            self.events.handed_over = True
        self.let_go()
        await self.close()

    async def unmark(self) -> None:
        """Let another installation have the PBX."""
        if self._mark is not None:
            with suppress(PbxError, TimeoutError):
                async with asyncio.timeout(STILL_SECONDS):
                    await self._mark.remove(self.line.pbx.ari.transport)

    def _clock_was_set(self, by: float) -> None:
        self.line.clock_was_set(by)
        self.reported.clock_was_set(by)
        self.changes.note()

    @property
    def now(self) -> float:
        """The moment, by the clock that the calls go by."""
        return self._clock()

    @property
    def crm_health(self) -> Health:
        """How the CRM answers."""
        return self._crm.health

    # -- what others ask ------------------------------------------------------------------------------------

    @property
    def settings(self) -> Account:
        """The account's settings at this moment."""
        return self.current.account

    @property
    def policy(self) -> Policy:
        """How calls are handled that begin now."""
        return self.current.policy

    @property
    def activity(self) -> Activity:
        """Whether telephony is switched on in the CRM."""
        return self.current.activity

    @property
    def away(self) -> frozenset[str]:
        """The extensions whose managers are busy, at dinner or on a break, as the CRM says."""
        return self.statuses.away

    def note_status(self, code: str, status: str) -> None:
        """Take note of what the CRM says of a manager: free, busy, dinner or break."""
        self.statuses.set(code, status, self._clock())

    async def _may_ask_crm(self, urgency: Urgency) -> bool:
        """A call doesn't wait for Redis; what is told of calls can."""
        return await (self.lease.still_ours() if urgency in GOES_ON else self.lease.certain())

    async def try_out(self, code: str, number: str | None, name: str) -> str:
        """Have an extension rung as a customer's call would ring it; give the call's id when it is here.

        `number` is in E.164, `name` what the telephone shows unless the CRM knows the number.

        Raises:
            TooMany: so many calls were asked for lately.
            NotTried: nobody is rung.
        """
        self.clicks.admit(code)
        return await self.line.trials.begin(code, number, name)

    def note_refused_click(self, code: str, refused: NotPlaced) -> None:
        """Take note that a click isn't placed: of the same reason at most once a minute."""
        self._log.info("a click-to-call isn't placed", why=refused.sentence)
        if refused.reason:
            about = refused.reason
            self.notes.take_sometimes(What.CLICK_REFUSED, about, code=code[:_LONGEST_CODE], reason=about)

    # -- beside the calls ---------------------------------------------------------------------------------

    async def _note_when_seen(self) -> None:
        """Keep the moment at which the PBX was last heard; and note what is lost or found."""
        line, gap = self.line, self.line.reconciliation
        noted: str | None = None

        def is_news() -> bool:
            self._watch.look()
            return bool(line.live or gap.startup != noted) and gap.startup is not None and line.listening

        while True:
            await rest_until(is_news)
            startup = gap.startup
            if startup is not None:
                with suppress(StoreUnavailable):
                    await self.calls.seen(self._clock(), startup)
                    noted = startup
            await rest(SEEN_SECONDS)

    def _how_it_is(self) -> dict[Part, State]:
        """Say how what the account needs is, for its administrator."""
        pbx, crm = self.line.pbx, self.crm_health
        answers = None if crm.since is None else crm.problem is None
        return {
            Part.PBX: State(is_up(pbx), pbx.problem or ""),
            Part.CRM: State(answers, crm.problem or ""),
            Part.RECORDING: State(self.desk.recorded, "the last recording was lost"),
            Part.DISK: State(not self._recordings.room.full, "there is no room for recordings"),
        }


def _ajam(account: Account, passage: Passage, clock: Callable[[], float]) -> Ajam | None:
    password = account.pbx.ami_password
    if password is None:
        return None
    target = AjamTarget(account.pbx.ari_url, account.pbx.ami_username, password.get_secret_value())
    return Ajam(target, passage.session, account.id, clock)
