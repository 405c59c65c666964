"""One account at work: its telephone line, the CRM that knows its customers, its calls in Redis."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

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
from ari_app.asterisk.phones import Endpoints, endpoints
from ari_app.asterisk.places import Places
from ari_app.asterisk.recordings import RecordingStore
from ari_app.asterisk.uploads import forget_drafts
from ari_app.bounded import Allowance
from ari_app.calls import Call, Policy, Stage
from ari_app.clock import WatchedClock, rest, rest_until
from ari_app.control.ajam_line import AjamLine
from ari_app.control.rounds import Rounds
from ari_app.control.switchboard import MOST_CALLS, Line
from ari_app.errors import StoreUnavailable
from ari_app.network.reach import ANYWHERE, Passage
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.delivery import Delivery
from ari_app.retailcrm.errors import CrmError
from ari_app.retailcrm.health import Health
from ari_app.retailcrm.letters import Letters
from ari_app.retailcrm.mail import MailServer
from ari_app.retailcrm.pace import GOES_ON, Pace, Urgency
from ari_app.retailcrm.webhook import Webhook
from ari_app.retailcrm.wording import Wording
from ari_app.service.alerts import Alerts, State
from ari_app.service.changes import Changes
from ari_app.service.click_to_call import LIMITS, MINUTE, ClickLimits, Clicks, NotPlaced
from ari_app.service.desk import ShopDesk
from ari_app.service.event_log import Notes, TroubleWatch, is_up
from ari_app.service.human_pace import Strangers
from ari_app.service.reported import ReportedCalls
from ari_app.service.statuses import Statuses
from ari_app.store.alerts import AlertStore, Part
from ari_app.store.calls import CallStore, Step
from ari_app.store.clicks import AcceptedClick, ClickStore
from ari_app.store.connection import Redis
from ari_app.store.events import EventStore, What
from ari_app.store.leases import Lease
from ari_app.store.ledger import LIMIT_BYTES, Ledger
from ari_app.store.module import ModuleStore
from ari_app.store.statuses import StatusStore

log = structlog.get_logger(__name__)

SEEN_SECONDS = 1.0
"""How often the moment is kept at which the PBX was last heard, while there are calls."""
DEAF_SECONDS = 0.4
"""After so long without the PBX, a copy that reaches it may have the account."""
FIRST_SECONDS = 3.0
"""The same while we have just taken the account: on a busy machine two would else pass it to and fro."""
STILL_SECONDS = 1.0
"""How long what has begun may take to end when another copy takes the account over."""
OVER_SECONDS = 2.0
"""How long the other copy may take for that; until then the PBX is kept from taking us for gone."""
FOUND_SECONDS = 3.0
"""How long the other copy may take to hear the PBX and to take the callers who are not talking."""
REPORTS_SECONDS = 60.0
"""So long a dialplan may report more than it may on an average: a queue rings everybody."""
DAY_SECONDS = 86_400.0
LATE_SECONDS, LATE_FOR_SECONDS = 1.0, 90.0
"""How often, and how long after we have taken the account, it is looked whether calls are handed in."""
ASIDE_SECONDS = 10.0
"""How often that is looked at later, and what is set aside."""
CRM_SILENT_SECONDS, CRM_FIRST_SECONDS = 40.0, 5.0
"""After how long without a question the CRM is asked whether it answers, and how long after we have begun."""
TELEPHONES_SECONDS = 20.0
"""How long it is believed which telephones are registered."""
PLACES_SECONDS, PLACES_LATE_SECONDS = 20.0, 2.0
"""How long it is believed which queues there are, and how long a page waits for that."""
ZONE_SECONDS = 3600.0
ZONE_RETRY_SECONDS = 60.0
_LONGEST_WORD, _MOST_WORDS = 40, 100


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
        self._click_store = ClickStore(redis, account.id)
        self._new_clicks: list[AcceptedClick] = []
        self._clicked = asyncio.Event()
        self.clicks = Clicks(current, self.line, time.monotonic, click_limits, self._note_click)
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
        self.aside = 0
        """How many messages for the CRM are set aside, for a person to look at."""
        self.led_here = False
        """Whether the dialplan leads here: a customer's call has come by this PBX, or a check has seen it."""
        self._telephones: Endpoints | None = None
        self._telephones_at = -math.inf
        self._places: Places | None = None
        self._places_at = -math.inf
        self.unreadable: tuple[str, ...] = ()
        """The live calls that another version has stored and this one can't read: they are left alone."""
        self._unknown_words: set[str] = set()
        self.strangers = Strangers(time.monotonic)
        self._noted: dict[What, float] = {}
        self._refused_clicks: dict[str, float] = {}
        """When it was last noted, by reason."""
        self._tasks: list[asyncio.Task[None]] = []
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
        now = self._clock()
        self.clicks.take_up(
            (now - one.at, one.extension, one.known) for one in await self._click_store.load()
        )
        self.current.activity = await self._module.activity()
        self.take_crm_settings(await self._module.settings())
        if live:
            self._log.info("calls are taken up again", calls=len(live))
        await asyncio.to_thread(forget_drafts, self._recordings)
        self._work("ledger", self.ledger.run)
        self._work("delivery", self.delivery.run)
        self.line.resume(live, seen)
        self._listening = self._work("pbx", lambda: self.events.run(self.line))
        self._work("offer", self._offer_when_deaf)
        self._work("ajam", self.line.follow_ajam)
        self._work("reported calls", self.reported.run)
        rounds = Rounds(self.line)
        self._work("audit", rounds.audit)
        self._work("lots", rounds.watch_the_lots)
        self._work("recordings", rounds.sweep)
        self._work("statuses", self.statuses.run)
        self._work("seen", self._note_when_seen)
        self._work("packing", self.calls.packing.run)
        self._work("counts", self._look_at_counts)
        self._work("zone", self._follow_crm_zone)
        self._work("clicks", self._keep_clicks)
        self._work("CRM", self._ask_a_silent_crm)
        self._work("notes", self.notes.run)
        self._work("alerts", self._alerts.run)

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
        await self._end_tasks()

    async def end(self) -> None:
        """Leave the PBX of an account that is no more: who waits goes on in the dialplan."""
        await self._hear_no_more()
        await self.line.stand_still(STILL_SECONDS)
        await self.line.reconciliation.see_off(OVER_SECONDS)
        await self.line.close()
        await self._end_tasks()

    async def _hear_no_more(self) -> None:
        """Leave the PBX, and wait until it knows: who calls after that doesn't come to us."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def let_go(self) -> None:
        """Do nothing more, from this moment on: another copy of the service has the account."""
        self.line.let_go()
        for task in self._tasks:
            if task is not self._listening:
                task.cancel()

    async def close(self) -> None:
        """End what `let_go` has stopped.

        The PBX is left when the other copy has taken it: until then it keeps new callers, and that copy finds
        them.
        """
        if self._listening is not None and self.line.listening:
            await asyncio.wait([self._listening], timeout=OVER_SECONDS)
        await self.line.close()
        await self._end_tasks()

    async def hand_in(self) -> None:
        """Give the calls to whoever has the account now of which Redis has never heard.

        Who isn't talking, that copy takes as a new caller, who isn't handed in. But it may not have found
        them: they have gone meanwhile, or wait in the dialplan, or somebody has just answered.

        Raises:
            StoreUnavailable: some are not handed in yet.
        """
        calls: dict[str, list[Step]] = {}
        for step in self.ledger.unwritten:
            calls.setdefault(step.call.id, []).append(step)
        unheard_of = [steps for steps in calls.values() if steps[0].line.before is None]
        talking_or_over = [steps for steps in unheard_of if not _may_be_found(steps[-1].call)]
        others = [steps for steps in unheard_of if _may_be_found(steps[-1].call)]
        for steps in talking_or_over:
            await self.calls.hand_in(steps, unless_found=steps[-1].call.ending is None)
        if others:
            await asyncio.sleep(FOUND_SECONDS)  # that copy finds its callers, and writes them down
        for steps in others:
            await self.calls.hand_in(steps, unless_found=True)
        if unheard_of:
            self._log.info("calls are handed in of which the next holder can't know", calls=len(unheard_of))

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

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _work(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        async def keep_working() -> None:
            while True:
                try:
                    await job()
                except Exception:  # nothing of an account stands still for good
                    self._log.exception("a task of the account failed; it is started again", task=name)
                    await asyncio.sleep(1.0)  # a defect that comes at once each time keeps nobody busy
                else:
                    return

        task = asyncio.create_task(keep_working(), name=f"{self.account} {name}")
        self._tasks.append(task)
        return task

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

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return self.current.zone()

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

    def note_unknown_status(self, word: str, call: str) -> None:
        """Take note, once a word, that a dialplan said how a call ended by a word that is not known."""
        word = word[:_LONGEST_WORD].upper()
        if word not in self._unknown_words and len(self._unknown_words) < _MOST_WORDS:
            self._unknown_words.add(word)
            self.notes.take(What.UNKNOWN_STATUS, word=word, call=call)

    def shown_to(self, codes: tuple[str, ...], *, everybody: bool) -> tuple[str, ...]:
        """Give those of some extensions to whom one more reported call is shown; `everybody`: none named."""
        shown = self.strangers.shown_to(codes, everybody=everybody)
        if len(shown) < len(codes):
            self._note_sometimes(What.TOO_MANY_POPUPS)
        return shown

    def may_look_up(self, number: str) -> bool:
        """Tell whether a caller's name is given to who asks with the clientId; one who is in a call of ours
        doesn't count.
        """
        if self.strangers.may_look_up(number, (call.number for call in self.line.calls)):
            return True
        self._note_sometimes(What.TOO_MANY_LOOK_UPS)
        return False

    def is_admitted(self, address: str) -> bool:
        """Tell whether who has the clientId may ask and report from an address."""
        if self.settings.api.admits(address):
            return True
        self._note_sometimes(What.ADDRESS_REFUSED, address=address)
        return False

    def note_inside_link(self, call: str) -> None:
        """Take note that the CRM isn't told a recording's address, for it leads into a network."""
        self._note_sometimes(What.LINK_INSIDE, call=call)

    def _note_sometimes(self, what: What, **values: str) -> None:
        """Take note of what may happen often: at most once a minute."""
        now = self._clock()
        if now - self._noted.get(what, 0.0) >= MINUTE:
            self._noted[what] = now
            self._log.warning(what.value, **values)
            self.notes.take(what, **values)

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
        now = self._clock()
        if refused.reason and now - self._refused_clicks.get(refused.reason, 0.0) >= MINUTE:
            self._refused_clicks[refused.reason] = now
            self.notes.take(What.CLICK_REFUSED, code=code[:_LONGEST_WORD], reason=refused.reason)

    def _note_click(self, extension: str, known: bool) -> None:
        self._new_clicks.append(AcceptedClick(self._clock(), extension, known))
        self._clicked.set()

    # -- beside the calls ---------------------------------------------------------------------------------

    async def _keep_clicks(self) -> None:
        """Keep what was accepted, for whoever has the account next. Who clicks waits for none of it."""
        while True:
            await self._clicked.wait()
            self._clicked.clear()
            try:
                await self._click_store.keep(batch := self._new_clicks[:])
                del self._new_clicks[: len(batch)]
            except StoreUnavailable:
                await asyncio.sleep(SEEN_SECONDS)
                self._clicked.set()

    async def _note_when_seen(self) -> None:
        """Keep the moment at which the PBX was last heard; and note what is lost or found."""
        line = self.line
        noted: str | None = None

        def is_news() -> bool:
            self._watch.look()
            return (
                bool(line.live or line.reconciliation.startup != noted)
                and line.reconciliation.startup is not None
                and line.listening
            )

        while True:
            await rest_until(is_news)
            startup = line.reconciliation.startup
            if startup is not None:
                with suppress(StoreUnavailable):
                    await self.calls.seen(self._clock(), startup)
                    noted = startup
            await rest(SEEN_SECONDS)

    async def _offer_when_deaf(self) -> None:
        """Offer the account to a copy that reaches the PBX, while we don't."""
        deaf, patience = 0.0, FIRST_SECONDS
        listened = self.line.listening
        while True:
            if self.line.listening is not listened:
                listened = self.line.listening
                self.changes.note()  # whoever is shown the calls is shown that they are known, or aren't
            if self.line.listening:
                deaf, patience = 0.0, DEAF_SECONDS
                self.lease.offer(False)
                await self.line.turned.wait()
                self.line.turned.clear()
            else:
                self.lease.offer(deaf > patience)
                await asyncio.sleep(DEAF_SECONDS / 2)
                deaf += DEAF_SECONDS / 2

    async def _look_at_counts(self) -> None:
        """Look what has come without us: calls that are handed in, what is set aside, missed customers."""
        looks, ended = 0, -1
        while True:
            with suppress(StoreUnavailable):
                counts = await self.calls.counts()
                self.aside = counts.aside
                if counts.late:
                    await self._take_late()
                known = self.line.live.keys()
                self.unreadable = tuple(await self.calls.unreadable_live(known)) if counts.live else ()
                if not self.led_here and counts.ended != ended:
                    self.led_here = await self.calls.led_here()
                ended = counts.ended
            often = looks * LATE_SECONDS < LATE_FOR_SECONDS or self.line.reconciliation.unknown_talks
            if not often or looks % max(1, round(ASIDE_SECONDS / LATE_SECONDS)) == 0:
                await self._look_for_missed()
            looks += 1
            await rest(LATE_SECONDS if often else ASIDE_SECONDS)

    async def _look_for_missed(self) -> None:
        policy, mail = self.current.policy, self.current.mail
        if policy.missed_webhook or mail.lost:
            with suppress(StoreUnavailable):
                await self.calls.missed.tell_lost(self._clock(), mail)
        in_the_crm = policy.missed_task or policy.missed_notice
        if in_the_crm or policy.missed_webhook or mail.missed or mail.lost:
            self.delivery.wake()  # what is to be told of missed customers is written without a word to it

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

    async def telephones(self) -> Endpoints | None:
        """Give the state of the PBX's telephones, asked some seconds ago at most; None when it is away."""
        pbx = self.line.pbx
        if not pbx.connected:
            self._telephones = None
            return None
        if self._telephones is None or time.monotonic() - self._telephones_at > TELEPHONES_SECONDS:
            try:
                self._telephones = await endpoints(pbx.ari)
            except PbxError:
                self._telephones = None
            self._telephones_at = time.monotonic()
        return self._telephones

    async def places(self) -> Places | None:
        """Give the queues, menus and lines of the PBX's dialplan, asked some seconds ago at most.

        None where the PBX doesn't show it, which it does by AJAM alone.
        """
        if self.ajam is None or not self.ajam.usable:
            return None
        if time.monotonic() - self._places_at > PLACES_SECONDS:
            try:
                async with asyncio.timeout(PLACES_LATE_SECONDS):
                    self._places = await self.ajam.places(self.settings.pbx.stasis_app)
            except (PbxError, TimeoutError):
                self._places = None
            self._places_at = time.monotonic()
        return self._places

    async def _ask_a_silent_crm(self) -> None:
        """Find out within a minute whether the CRM answers, while nobody asks it anything."""
        asked = -math.inf

        def is_silent() -> bool:  # one that is asked too much says nothing, and is asked no more often
            rested = time.monotonic() - asked >= CRM_SILENT_SECONDS
            return rested and self.crm_health.silent_for(CRM_SILENT_SECONDS)

        await rest(CRM_FIRST_SECONDS)
        while True:
            await rest_until(is_silent)
            asked = time.monotonic()
            with suppress(CrmError):
                await self._crm.credentials()

    async def _take_late(self) -> None:
        """Take up the calls that a copy has handed in which was cut off from Redis and lost the account."""
        for call in await self.calls.take_late():
            self._log.info("a call is taken up that another copy has handed in", call=call.id)
            if not call.over:
                self.line.take_up(call)
            self.delivery.wake()

    async def _follow_crm_zone(self) -> None:
        """The CRM's own time zone wins, when it can be read."""
        while True:
            try:
                name = await self._crm.timezone()
                if name:
                    self.current.take_zone(ZoneInfo(name))
                    with suppress(StoreUnavailable):
                        await self._module.keep_zone(name)
                pause = ZONE_SECONDS
            except CrmError:
                pause = ZONE_RETRY_SECONDS
            except (ValueError, LookupError, OSError):
                self._log.warning("the CRM names a time zone that is not known here", zone=name)
                pause = ZONE_SECONDS
            await asyncio.sleep(pause)


def _may_be_found(call: Call) -> bool:
    """Tell whether the next holder may have found who calls as a new caller."""
    return call.ending is None and call.stage is not Stage.TALKING


def _ajam(account: Account, passage: Passage, clock: Callable[[], float]) -> Ajam | None:
    password = account.pbx.ami_password
    if password is None:
        return None
    target = AjamTarget(account.pbx.ari_url, account.pbx.ami_username, password.get_secret_value())
    return Ajam(target, passage.session, account.id, clock)
