"""Joins the parts: what a PBX says goes to the call that it concerns.

A `Line` is one account's telephone line: its PBX, the CRM that knows its customers, and its live calls. The
PBX's reader only puts happenings into mailboxes, so a slow call delays no other.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from ari_app.accounts.dialplan_names import ring_format
from ari_app.asterisk.errors import PbxError, PbxRefused, PbxUnavailable
from ari_app.asterisk.events import Heard, NewCaller
from ari_app.asterisk.pbx import Pbx
from ari_app.calls import (
    LONGEST_INTERNAL,
    Call,
    First,
    Order,
    Outside,
    Stage,
    Way,
    begin,
    taken_up,
    tellable,
)
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.control.admission import DIALLED, Admission
from ari_app.control.ajam_line import AjamLine
from ari_app.control.busy import Busy
from ari_app.control.channel_index import ChannelIndex
from ari_app.control.facts import Facts
from ari_app.control.live_call import Desk, LiveCall
from ari_app.control.reconciliation import Reconciliation
from ari_app.control.trials import Trials

log = structlog.get_logger(__name__)

APART_SECONDS = 10.0
"""How long after a transfer that has led nowhere the PBX may yet take who asked for it out of the bridge."""
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]{1,79}")
_MAY_RING = frozenset({Stage.ARRIVING, Stage.RINGING, Stage.TRANSFERRING, Stage.DIALPLAN})
"""The stages of a call in which it may come to ring somebody."""

MOST_CALLS = 2_000
"""So many calls at once are ours, by default; further callers go on in the dialplan."""


class Line:
    """One account's telephone line.

    `may_act` is asked before AJAM is: whether the account is ours still. ARI's requests ask by themselves.
    """

    def __init__(
        self,
        desk: Desk,
        pbx: Pbx,
        ajam: AjamLine | None,
        clock: Callable[[], float],
        most: int = MOST_CALLS,
        may_act: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.desk = desk
        self.clock = clock
        self.pbx = pbx
        self.ajam = ajam
        self.listening = False
        self.turned = asyncio.Event()
        """Set when it is heard what happens, and when it isn't any more; whoever waits for it clears it."""
        self.ours = True
        """Whether the calls are ours to run; what is heard of another copy's calls is nothing to us."""
        self.on_replaced: Callable[[], None] = lambda: None
        """Called when another process has taken the PBX over; it must not wait."""
        self._may_act = may_act
        self.most = most
        self.trials = Trials(self)
        self.channels = ChannelIndex()
        self.admission = Admission(self)
        self.live: dict[str, LiveCall] = {}
        """The live calls, by their ids."""
        self._busy = Busy()
        self.something = asyncio.Event()
        """Set while there is a call, or people talk in one that isn't ours."""
        self.led_nowhere: dict[str, float] = {}
        """Calls in which a transfer has led nowhere, and how long they are looked after."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.reconciliation = Reconciliation(self)
        self.facts = Facts(self)
        self._log = log.bind(account=desk.account)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The live calls."""
        return tuple(live.call for live in self.live.values())

    def resume(self, calls: list[Call], seen: tuple[float, str] | None) -> None:
        """Take calls up again that were live when the service ended."""
        if seen is not None:
            self.reconciliation.resume(*seen)
        for call in calls:
            self.take_up(call)

    def take_up(self, call: Call) -> None:
        """Take a call up that is live, and of which nothing was heard for a while."""
        if call.id in self.live:
            return
        elsewhere = call.caller.alive and call.caller.id in self.channels
        live = LiveCall(self, taken_up(call, self.clock()))
        live.deaf = True
        self._start(live, None, ())
        if elsewhere:  # who called has become another call's: of this one nothing is left
            self.channels.forget(call.caller.id, live)
            live.deaf = False
            live.put(h.LegEnded(self.clock(), call.caller.id, 0, known_up_at=call.known_at))
        elif self.listening:
            live.put(h.OutcomeUnknown(self.clock(), "the call was another copy's"))

    def put(self, call_id: str, happening: h.Happening) -> None:
        """Put what happened to a call into its mailbox, if it is live."""
        live = self.live.get(call_id)
        if live is not None:
            live.put(happening)

    def runs(self, channel: str) -> bool:
        """Tell whether a channel is of a live call, or of our making."""
        if self.pbx.ids.call_of(channel) is not None:
            return True
        return any(call.party(channel) is not None for call in self.calls)

    # -- what the PBX says --------------------------------------------------------------------------------

    def heard(self, heard: Heard) -> None:
        """Put what happened into the mailbox of its call; an unknown channel is nothing to us."""
        if not self.ours:
            return
        known = self.channels.calls_of(heard.key)
        live = known[-1] if known else self.live.get(self.pbx.ids.call_of(heard.key) or "")
        if live is None:
            return
        if isinstance(heard.happening, h.OutcomeUnknown):
            self.led_nowhere[live.call.id] = self.clock() + APART_SECONDS
            return
        happening = heard.happening
        if isinstance(happening, h.PartyReplaced):
            self.channels.know(happening.channel, live)
        if isinstance(happening, h.LegEnded):
            for other in known[:-1]:
                other.put(happening)
        live.put(self._whereto(happening) if isinstance(happening, h.LegForwarded) else happening)

    def _whereto(self, forwarded: h.LegForwarded) -> h.LegForwarded:
        """Say who it is to whom a telephone forwards: an extension, or a number and how it is dialled.

        What is short and no extension of the account is something of the PBX's own: a queue, a colleague.
        """
        target = forwarded.target
        if not DIALLED.fullmatch(target):
            return forwarded
        if self.desk.is_extension(target):
            return replace(forwarded, inside=True)
        if len(target) > LONGEST_INTERNAL:
            return replace(forwarded, way=self.desk.outside(target))
        context = forwarded.context
        way = Outside(target, context, 1, context) if _CONTEXT.fullmatch(context) else None
        return replace(forwarded, way=way)

    def arrived(self, caller: NewCaller, at: float) -> None:
        """Take a new caller."""
        if not self.ours:
            return  # who takes the account over finds them
        known = self.channels.calls_of(caller.channel)
        if known:
            known[-1].put(h.CallerReturned(at))
            return
        self.admission.arrived(caller, at)

    def replaced(self) -> None:
        """Another process has taken the PBX over."""
        self.on_replaced()

    def clock_was_set(self, by: float) -> None:
        """Let the calls know, before anything else happens to them by the new time."""
        self._log.warning("the clock was set", seconds=round(by, 3), calls_in_progress=len(self.live))
        self.reconciliation.clock_was_set(by)
        for live in self.live.values():
            live.put(h.ClockSet(self.clock(), by))

    @property
    def full(self) -> str | None:
        """Why no further call is taken; None when there is room."""
        if len(self.live) >= self.most:
            return f"{len(self.live)} calls go on at once"
        return self.desk.full

    @property
    def room_taken(self) -> float:
        """How much of the room for calls at once is taken, from 0 to 1."""
        return len(self.live) / self.most

    def lost(self, unnoticed: float = 0.0) -> None:
        """Nothing is heard any more, for at most so many seconds."""
        if self.listening:
            self.reconciliation.heard_until = self.clock() - unnoticed
        self.listening = False
        self.turned.set()
        for live in self.live.values():
            live.deaf = True  # it may ask what is true before the event stream is back
        if self.ajam is not None:
            self.ajam.look_again()

    async def connected(self, startup: str) -> None:
        """Make up for what was missed: each call asks what is true; whom none knows are taken."""
        if self.reconciliation.started(startup):
            self._log.warning("the PBX was restarted", calls_in_progress=len(self.live))
        missed = tuple(self.live.values())
        for live in missed:
            live.deaf = True
        await self.reconciliation.adopt()
        self.listening = True
        self.turned.set()
        self.beside(self.pbx.recordings.remove_unwanted())
        for live in missed:
            live.put(h.OutcomeUnknown(self.clock(), "the PBX is connected again"))

    async def follow_ajam(self) -> None:
        """Follow the calls that go by AJAM, for ever; return at once when there is none."""
        if self.ajam is not None:
            await self.ajam.run(self)

    # -- the end of the service ---------------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Send on the callers who still wait, and let people who talk go on; at most so many seconds."""
        with suppress(PbxError, TimeoutError):
            async with asyncio.timeout(seconds):
                await self.reconciliation.adopt()
        for live in self.live.values():
            live.put(h.ServiceStopping(self.clock()))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(live.settled() for live in self.live.values()))

    async def stand_still(self, seconds: float) -> None:
        """Take nothing more that happens; let what has happened be dealt with, at most so many seconds."""
        self.ours = False
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(live.settled() for live in self.live.values()))
        for live in self.live.values():
            live.task.cancel()

    def let_go(self) -> None:
        """Do nothing more, from this moment on: the calls stay as they were kept."""
        self.ours = False
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """End the tasks; the calls stay as they were kept."""
        self.let_go()
        await self.done()

    async def done(self) -> None:
        """Wait until all is done that was begun."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- calls --------------------------------------------------------------------------------------------

    @property
    def ringing_clicks(self) -> int:
        """How many click-to-calls wait for their customers to answer."""
        return sum(1 for _ in self._unanswered_clicks())

    def _unanswered_clicks(self) -> Iterator[Call]:
        return (call for call in self.calls if call.clicked and call.answered_at is None and not call.ending)

    def clicked(self, code: str, dialled: str) -> str | None:
        """Give the click-to-call of an extension to a number that the customer hasn't answered yet."""
        dialled = self.desk.for_a_line(dialled)
        for call in self._unanswered_clicks():
            if call.outside is not None and (call.caller.code, call.outside.number) == (code, dialled):
                return call.id
        return None

    def place_call(self, code: str, dialled: str, external: str | None, outgoing: str) -> str | None:
        """Let a manager's phone ring, and then the customer's; give the call's id.

        `dialled` is the number as it is dialled, but for the digit for an outside line; `external` is ours
        in E.164, `outgoing` the line ("context[,priority]"). None: as far as is known, neither way works, or
        there is no room for another call.
        """
        if not self.ours or self.full is not None:
            return None
        way = Way.ARI if self.listening else Way.AJAM if self.ajam is not None and self.ajam.usable else None
        if way is None:
            return None
        outside = self.desk.outside(self.desk.for_a_line(dialled), outgoing)
        number = tellable(self.desk.normal_form(dialled))
        return self.begin(h.CallClicked(self.clock(), code, number, external, outside, way))

    def busy(self, call: Call) -> frozenset[str]:
        """Give the extensions that can't be rung for a call: their managers are away, or talk in another."""
        if call.stage not in _MAY_RING or call.policy.ignore_manager_status:
            return frozenset()
        return self.desk.away | self._busy.but_for(call)

    def stepped(self, before: Call, call: Call) -> None:
        """Take note of what has become of a call."""
        self._busy.take(before, call)

    async def carry_out(self, call: Call, order: Order) -> None:
        """Let the PBX carry out an order, in the way that the call goes.

        Raises:
            PbxError: the order was refused, not carried out, or its answer was lost.
        """
        if call.way is Way.ARI:
            await self.pbx.carry_out(order)
        elif self.ajam is not None:
            if self._may_act is not None and not await self._may_act():
                raise PbxUnavailable(Way.AJAM, "another copy of the service holds the account")
            await self.ajam.carry_out(order)
        else:
            raise PbxUnavailable(Way.AJAM, "the account has no AJAM any more")

    def begin(self, first: First, call_id: str | None = None) -> str:
        """Begin a call, and give its id: a new one, unless it has one already."""
        call_id = call_id or f"{self.pbx.ids.prefix}{secrets.token_hex(8)}"
        desk, policy = self.desk, self.desk.policy
        if self.pbx.rings_people:
            policy = policy.through(ring_format(self.pbx.target.stasis_app))
        busy = self._busy_for_a_new_call()
        call, orders = begin(call_id, desk.account, policy, first, busy, self.clock())
        self._start(LiveCall(self, call), first, orders)
        return call_id

    def _busy_for_a_new_call(self) -> frozenset[str]:
        if self.desk.policy.ignore_manager_status:
            return frozenset()
        return self.desk.away | self._busy.but_for()

    def _start(self, live: LiveCall, first: First | None, orders: tuple[Order, ...]) -> None:
        call = live.call
        self.live[call.id] = live
        self.something.set()
        self._busy.take(None, call)
        self.channels.add(live)
        task = live.task = asyncio.create_task(live.run(first, orders), name=f"call {call.id}")
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self.live.pop(live.call.id, None)
            self._busy.take(live.call, None)
            self.channels.remove(live)
            if not task.cancelled() and task.exception() is not None:
                self._log.error("a call's task failed", call=live.call.id, exc_info=task.exception())

        task.add_done_callback(ended)

    def beside(self, request: Coroutine[Any, Any, Any]) -> None:
        """Let the PBX carry something out of no call of ours; what it refuses is left undone."""

        async def go() -> None:
            with suppress(PbxError):
                await request

        task = asyncio.create_task(go())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: request.close())  # it may be cancelled before it begins

    async def remove(self, order: o.HangUp | o.CloseBridge) -> None:
        """Remove what is of a call that is over."""
        self._log.info("something of a call that is over is removed", what=str(order))
        with suppress(PbxRefused):
            await self.pbx.carry_out(order)
