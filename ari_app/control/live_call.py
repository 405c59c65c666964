"""One live call: its state, its mailbox, and the task that advances it.

Happenings in, orders out: what happens waits in the mailbox, one step is taken and kept after the other, and
its orders are carried out before the next.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import structlog

from ari_app import figures
from ari_app.asterisk.errors import PbxError, PbxRefused, PbxUnavailable
from ari_app.backoff import BackOff
from ari_app.calls import (
    Call,
    First,
    JournalLine,
    Order,
    Outside,
    Policy,
    RecordingState,
    Stage,
    Timer,
    TimerName,
    Way,
    advance,
    known_as,
    masked,
)
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.control.mailbox import Mailbox
from ari_app.steps import begin

log = structlog.get_logger(__name__)

DOUBT_FIRST_SECONDS, DOUBT_LAST_SECONDS = 0.1, 10.0
DIAL_SECONDS = 1.0
"""A phone that was dialled rings by then. One that is dialled twice before it rings is lost to Asterisk."""
LATE_SECONDS = 1.0
"""A deadline that is noticed so much later has waited for us, and what happened meanwhile may wait, too."""
_KEPT_IF_IT_MATTERS = (
    *(h.OutcomeUnknown, h.PbxSaid, h.KeyPressed, h.DialplanDoes),
    *(h.RecorderEnded, h.RecordingFinished),
)
_BESIDE_THE_PBX = (o.LookUp, o.TellRinging, o.TellHangup, o.TellResult, o.PassOver)
_FACTS, _FAR_HALF = "facts", "far half"
_questions = itertools.count()
"""The numbers of what PBXs are asked about calls: several questions may be under way."""
BREATH_SECONDS = 0.5
"""A pause after a step that failed, so that a defect can't keep the process busy."""
MOST_WAITING = 1_000
"""So much may have happened to one call that it has yet to deal with."""
_AT_ONCE: dict[type[Order], str] = {
    **dict.fromkeys((o.LookUp, o.Watch, o.Ringback, o.OpenBridge, o.Ring), "begin"),
    **dict.fromkeys((o.Answer, o.Listen), "answer"),
    o.HangUp: "end",
}
"""Neighbouring orders that need not wait for one another: what begins a call, or a talk, or ends its legs."""


class Desk(Protocol):
    """What a line needs of the rest of the application."""

    account: str

    @property
    def policy(self) -> Policy:
        """How calls are handled that begin now."""

    @property
    def full(self) -> str | None:
        """Whether the steps of no further call can be kept."""

    @property
    def away(self) -> frozenset[str]:
        """The extensions whose managers are busy, at dinner or on a break, as the CRM says."""

    @property
    def codes(self) -> frozenset[str]:
        """The extensions that the account has."""

    def outside(self, number: str, line: str | None = None) -> Outside:
        """Say how a number outside is dialled: by the account's line, or another ("context[,priority]")."""

    def is_extension(self, code: str) -> bool:
        """Tell whether the account has an extension."""

    def normal_form(self, number: str | None) -> str | None:
        """Bring a number into the form in which numbers are compared; None when it is withheld."""

    def for_a_line(self, number: str) -> str:
        """Put the digit for an outside line before a number, where the shop has one."""

    def number_of(self, dialled: str) -> str | None:
        """Give the number, in that form, that a manager's phone has dialled."""

    async def look_up(self, number: str, at: Callable[[], float]) -> h.CustomerFound | h.CustomerUnknown:
        """Ask the CRM which customer has a number; never raises."""

    def has_recording(self, call_id: str) -> bool:
        """Tell whether the recording of a call is in our store."""

    async def fetch_recording(self, name: str, closed: bool, at: Callable[[], float]) -> h.Happening:
        """Bring a recording into our store, `closed` or maybe still written; never raises."""

    async def write(self, call: Call, line: JournalLine) -> None:
        """Keep a step of a call."""


class Asker(Protocol):
    """Asks the PBX about calls."""

    async def of(self, call: Call, channels: tuple[str, ...]) -> h.PbxSaid:
        """Say what is true of some channels of a call; raises `PbxError`."""

    async def far_half(self, call: Call, leg_id: str, channel: str | None) -> h.FarHalfFound | None:
        """Find and watch the half of a Local channel that runs the dialplan; raises `PbxError`."""

    async def telephones(self, call: Call, order: o.FindTelephones) -> h.TelephonesFound:
        """Ask the PBX which telephones some extensions have; never raises."""


class Around(Protocol):
    """What a call needs around it: its line."""

    desk: Desk
    clock: Callable[[], float]
    listening: bool

    @property
    def facts(self) -> Asker:
        """What the PBX is asked by."""

    async def carry_out(self, call: Call, order: Order) -> None:
        """Let the PBX carry out an order, in the way that the call goes; raises `PbxError`."""

    def busy(self, call: Call) -> frozenset[str]:
        """Give the extensions that can't be rung now for this call."""

    def stepped(self, before: Call, call: Call) -> None:
        """Take note of what has become of a call."""


def _tells_who_talks(errand: str) -> bool:
    return errand.startswith((_FACTS, _FAR_HALF))


def _measure(here: float, orders: tuple[Order, ...]) -> None:
    """Measure from when something was here until the PBX is asked for what follows."""
    if not all(isinstance(order, _BESIDE_THE_PBX) for order in orders):
        figures.EVENT_TO_ORDER.observe(time.monotonic() - here)


def _count(call: Call, before: Stage, at: float) -> None:
    """Count a call that has come to another stage; a trial is none."""
    direction = call.direction.value
    if call.trial is not None:
        return
    if call.stage is Stage.RINGING and before is Stage.ARRIVING:
        figures.RING.labels(direction).observe(max(0.0, at - call.started_at))
    if call.over and call.ending is not None:
        talking = call.talking if call.answered_at is not None else None
        figures.call_over(call.account, direction, call.ending.value, call.waiting, talking)


class LiveCall:
    """One call: its state, its mailbox, and the task that advances it."""

    def __init__(self, line: Around, call: Call) -> None:
        self.call = call
        self.strangers: tuple[str, ...] = ()
        """Its channels with ids that aren't of our making; the line finds the call by them."""
        self.deaf = False
        """Something may have happened to it of which nothing was heard, and the PBX wasn't asked since."""
        self._ends: tuple[h.LegEnded, ...] = ()
        """What has ended while it was deaf: that means something only with what the PBX says is true."""
        self._line = line
        self._mailbox = Mailbox()
        self._begun = time.monotonic()
        self._errands: dict[str, asyncio.Task[None]] = {}
        self.task: asyncio.Task[None]
        self._overflown = False
        """Something was left out of the mailbox, and the PBX is yet to be asked."""
        self._asking = 0
        self._set_by = 0.0
        """The seconds by which the clock was set, of which the call doesn't know yet."""
        self._late: Timer | None = None
        """The deadline that was noticed late, before which the PBX was asked what is true."""
        self._doubts = BackOff(DOUBT_FIRST_SECONDS, DOUBT_LAST_SECONDS)
        self._unwatched: tuple[o.Watch, ...] = () if call.clicked else (o.Watch(call.caller.id),)
        """Channels that may not be followed to their end."""

    @property
    def _log(self) -> Any:
        """Made when there is something to say: of a call that is quiet it would be a tenth."""
        return log.bind(account=self.call.account, call=self.call.id)

    def put(self, happening: h.Happening) -> None:
        """Let something happen to the call, when its turn comes."""
        if isinstance(happening, h.ClockSet):
            self._set_by += happening.by
        elif len(self._mailbox) + len(self._ends) >= MOST_WAITING:
            if self._overflown:
                return
            self._overflown = True
            self._log.error("more happens to the call than it can have: the PBX is asked what is true of it")
            happening = h.OutcomeUnknown(self._line.clock(), "more happened than can be told")
        if isinstance(happening, h.LegEnded) and self._waits_for_the_pbx:
            self._ends += (happening,)
        else:
            self._mailbox.put((time.monotonic(), happening))

    @property
    def _waits_for_the_pbx(self) -> bool:
        """Whether the PBX is to say who talks before it means something that a channel has ended.

        While it is asked who has taken a transfer, that channel is not hung up: so it still can.
        """
        asked = self.call.stage is Stage.TRANSFERRING and any(map(_tells_who_talks, self._errands))
        return (self.deaf or asked) and self.call.way is Way.ARI

    async def settled(self) -> None:
        """Wait until all that has happened so far is dealt with, or the call is over."""
        dealt_with = asyncio.create_task(self._mailbox.settled())
        await asyncio.wait([dealt_with, self.task], return_when=asyncio.FIRST_COMPLETED)
        dealt_with.cancel()

    async def run(self, first: First | None, orders: tuple[Order, ...]) -> None:
        """Live: take what happens, keep it, carry out what it asks for; until the call is over."""
        try:
            if first is not None:
                await self._keep(None, first, orders)
                _measure(self._begun, orders)
            await self._carry_out(orders)
            del first, orders  # they were for the beginning
            while not self.call.over:
                await self._live_on()
        finally:
            for errand in self._errands.values():
                errand.cancel()

    async def _live_on(self) -> None:
        here, happening = await self._next()
        try:
            if isinstance(happening, h.LegEnded) and self._waits_for_the_pbx:
                self._ends += (happening,)
            else:
                await self._step(happening, here)
        except Exception:  # two people talk: they go on, whatever is wrong with us
            self._log.exception("a step of the call failed; the call goes on")
            await asyncio.sleep(BREATH_SECONDS)
        finally:
            if here is not None:
                self._mailbox.dealt_with()

    async def _next(self) -> tuple[float | None, h.Happening]:
        """Wait for what happens next: a letter in the mailbox, with the moment since which it is there, or a
        timer, without one.
        """
        while not self._mailbox:
            timer = self.call.next_timer
            if timer is None or not self._may_expire(timer.name):
                await self._mailbox.comes()
                continue
            now = self._line.clock()
            if self._mailbox:
                break  # the clock was set
            remaining = timer.due - now
            if remaining <= 0:
                if remaining > -LATE_SECONDS or timer == self._late:
                    return None, h.TimerExpired(now, timer.name)
                self._late = timer
                self.put(h.OutcomeUnknown(now, f"the deadline {timer.name} was noticed late"))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await self._mailbox.comes()
        return self._mailbox.take()

    def _may_expire(self, timer: TimerName) -> bool:
        """Nobody is given up while we don't hear the PBX, or have yet to learn what we missed."""
        return not self._asking and (timer is TimerName.RECORDING or self._heard)

    @property
    def _heard(self) -> bool:
        """Whether we hear what happens to the call; AJAM is asked again and again."""
        return self._line.listening or self.call.way is Way.AJAM

    async def _step(self, happening: h.Happening, here: float | None) -> None:
        before = self.call
        begin(type(happening).__name__, before.account)
        if isinstance(happening, h.OutcomeUnknown):
            self._overflown = False
        happening = known_as(before, happening)
        now = self._line.clock() - self._set_by
        self.call, orders = advance(before, happening, self._line.busy(before), self._line.desk.codes, now)
        self._line.stepped(before, self.call)
        if isinstance(happening, h.ClockSet):
            self._set_by -= happening.by
        if isinstance(happening, h.RecorderReady):  # nothing waits; a repair finds a recording by its name
            await self._carry_out(orders)
            await self._keep(before.stage, happening, orders)
            return
        idle = self.call is before and all(isinstance(order, o.AskPbx | o.HangUp) for order in orders)
        if not (idle and isinstance(happening, _KEPT_IF_IT_MATTERS)):
            await self._keep(before.stage, happening, orders)
        if here is not None:
            _measure(here, orders)
        await self._carry_out(orders)

    async def _keep(self, before: Stage | None, happening: h.Happening, orders: tuple[Order, ...]) -> None:
        call = self.call
        await self._line.desk.write(
            call, JournalLine(happening.at, call.id, before, call.stage, happening, orders)
        )
        if call.stage is not before:
            if before is not None:
                _count(call, before, happening.at)
            self._log.info(
                call.stage.value,
                number=masked(call.number) if call.number else "withheld",
                **({"talker": call.talker} if call.talker else {}),
                **({"ending": call.ending.value} if call.ending else {}),
            )

    # -- orders -------------------------------------------------------------------------------------------

    async def _carry_out(self, orders: tuple[Order, ...]) -> None:
        """Carry orders out one after the other, but at once those that don't depend on one another."""
        for at_once, some in itertools.groupby(orders, lambda order: _AT_ONCE.get(type(order))):
            first, *others = some
            if at_once is not None and others:
                await asyncio.gather(*map(self._carry_out_one, (first, *others)))
                continue
            for order in (first, *others):
                await self._carry_out_one(order)

    async def _carry_out_one(self, order: Order) -> None:
        desk, clock = self._line.desk, self._line.clock
        match order:
            case o.LookUp(number):
                self._send("look-up", desk.look_up(number, clock))
            case o.FetchRecording(name, closed):
                self._send("recording", desk.fetch_recording(name, closed, clock))
            case o.FindFarHalf(leg, channel):
                self._send(f"{_FAR_HALF} of {channel or leg}", self._find_far_half(leg, channel))
            case o.FindTelephones():
                self._send(f"telephones for {order}", self._line.facts.telephones(self.call, order))
            case o.AskPbx(channels):
                self._asking += 1
                self._send(f"{_FACTS} {next(_questions)}", self._ask(channels))
            case o.PassOver():
                pass  # it is in the journal since the step was kept
            case _ if isinstance(order, o.Tell):
                pass  # it is in the outbox since then
            case _:
                await self._at_the_pbx(order)

    def _send(self, errand: str, going: Coroutine[Any, Any, h.Happening | None]) -> None:
        """Run an errand beside the call; one of each kind at a time."""
        if errand in self._errands:
            going.close()
            return

        async def run() -> None:
            try:
                happening = await going
                if happening is not None:
                    self.put(happening)
            except Exception:  # the call goes on, and asks the PBX what is true
                self._log.exception("an errand failed", errand=errand)
                self._doubt(f"the errand {errand} failed")
            finally:
                self._errands.pop(errand, None)
                if not self._errands:
                    self._errands.clear()  # an emptied dict keeps its room
                self._let_end()

        task = self._errands[errand] = asyncio.create_task(run())
        task.add_done_callback(lambda _: going.close())  # it may be cancelled before it begins

    def _let_end(self) -> None:
        """Let happen what waited for what the PBX says."""
        if not self._waits_for_the_pbx:
            ends, self._ends = self._ends, ()
            for end in ends:
                self._mailbox.put((time.monotonic(), end))

    async def _find_far_half(self, leg: str, channel: str | None) -> h.Happening | None:
        try:
            return await self._line.facts.far_half(self.call, leg, channel)
        except PbxRefused:
            return None  # it is gone
        except PbxError as error:
            self._doubt(f"the other half of {leg} could not be found: {error}")
            return None

    async def _ask(self, channels: tuple[str, ...]) -> h.Happening | None:
        try:
            await self._watch_again()
            said = await self._line.facts.of(self.call, channels)
        except PbxError as error:
            self._doubt(f"the PBX could not be asked: {error}")
            return None
        finally:
            self._asking -= 1
        if self.deaf:
            if self._line.listening and self.call.way is Way.ARI:
                self.put(h.OutcomeUnknown(self._line.clock(), "the PBX was asked about some of the call"))
            return said
        return replace(said, ends=self._ends)

    async def _watch_again(self) -> None:
        """Watch the channels that could not be watched at first; only then ask whether they still exist."""
        while self._unwatched:
            *left, order = self._unwatched
            self._unwatched = tuple(left)  # another question may be under way
            try:
                with suppress(PbxRefused):  # it is gone
                    await self._line.carry_out(self.call, order)
            except PbxError:
                self._unwatched += (order,)
                raise

    async def _at_the_pbx(self, order: Order) -> None:
        try:
            await self._line.carry_out(self.call, order)
            if isinstance(order, o.HangUp) and order.channel == self.call.recorder_id:
                self._recorder_hung_up()
        except PbxRefused as refusal:
            self._refused(order, refusal)
        except PbxError as error:
            if isinstance(error, PbxUnavailable) and self.call.stage is Stage.CALLING:
                self.put(h.WayBlocked(self._line.clock(), self.call.caller.id, str(error)))
                return
            if isinstance(order, o.Watch):
                self._unwatched += (order,)
            dialling = order.leg if isinstance(order, o.Dial) else None
            self._doubt(f"{type(order).__name__}: {error}", dialling)

    def _recorder_hung_up(self) -> None:
        """While it records, the end of the recording tells of its end; else nothing does."""
        if self.call.recording.state is not RecordingState.RUNNING:
            self.put(h.RecorderEnded(self._line.clock()))

    def _refused(self, order: Order, refusal: PbxRefused) -> None:
        at = self._line.clock()
        match order:
            case o.Ring(leg) | o.Originate(leg) | o.Dial(leg):
                self.put(h.LegRefused(at, leg, str(refusal)))
            case o.Listen() if (refusal.status or 0) >= 500:  # one of this id may be there: another copy's
                self._doubt(f"Listen: {refusal}")
            case o.Record() | o.Listen() if refusal.status != 404:  # 404: the channel is gone
                self.put(h.RecordingFailed(at, str(refusal)))
            case o.HangUp(channel) if channel == self.call.recorder_id and refusal.status == 404:
                self.put(h.RecorderEnded(at))  # it goes with the channel to which it listens
                self.put(h.RecordingFinished(at))
            case o.StopRecording() if refusal.status == 404:
                self.put(h.RecordingFinished(at))
            case _:
                self._doubt(f"{type(order).__name__}: {refusal}")

    def _doubt(self, why: str, dialling: str | None = None) -> None:
        """Ask the PBX what is true: soon at first, later if the answer leads to the same doubt again.

        While the PBX is away this is not needed: it is asked as soon as it is back.
        """
        if dialling is None and not self._heard:
            return
        delay = self._doubts.pause()
        if dialling is not None:
            delay = max(delay, DIAL_SECONDS)
        self._log.debug("in doubt", why=why)
        loop = asyncio.get_running_loop()
        loop.call_later(delay, lambda: self.put(h.OutcomeUnknown(self._line.clock(), why, dialling)))
