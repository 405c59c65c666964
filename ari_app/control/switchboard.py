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

from ari_app import figures
from ari_app.accounts.dialplan_names import AWAY_LABEL, ring_format, without_us_context
from ari_app.asterisk.errors import PbxError, PbxRefused, PbxUnavailable
from ari_app.asterisk.events import Heard, NewCaller, Trial, new_caller
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
    is_withheld,
    taken_up,
    tellable,
)
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.control.ajam_line import AjamLine
from ari_app.control.busy import Busy
from ari_app.control.facts import Facts, they_talk
from ari_app.control.live_call import Desk, LiveCall
from ari_app.control.trials import Trials

log = structlog.get_logger(__name__)

APART_SECONDS = 10.0
"""How long after a transfer that has led nowhere the PBX may yet take who asked for it out of the bridge."""
_DIALLED = re.compile(r"\+?[0-9*#]{1,32}")
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]{1,79}")
_MAY_RING = frozenset({Stage.ARRIVING, Stage.RINGING, Stage.TRANSFERRING, Stage.DIALPLAN})
"""The stages of a call in which it may come to ring somebody."""

MOST_CALLS = 2_000
"""So many calls at once are ours, by default; further callers go on in the dialplan."""
FULL_SAID_SECONDS = 60.0


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
        self.turned_away = 0
        """How many callers went on in the dialplan because there was no room for their calls."""
        self._full_said_at = float("-inf")
        self.live: dict[str, LiveCall] = {}
        """The live calls, by their ids."""
        self._busy = Busy()
        self.something = asyncio.Event()
        """Set while there is a call, or people talk in one that isn't ours."""
        self._strangers: dict[str, tuple[LiveCall, ...]] = {}
        self.unknown_talks: set[str] = set()
        """Bridges of ours in which people talk, of whose calls we have not heard."""
        self.led_nowhere: dict[str, float] = {}
        """Calls in which a transfer has led nowhere, and how long they are looked after."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._startup: str | None = None
        self.restart_seen_at = 0.0
        self.heard_until = 0.0
        """The last moment that is known to be heard, of a time when nothing is heard."""
        self.facts = Facts(self)
        self._log = log.bind(account=desk.account)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The live calls."""
        return tuple(live.call for live in self.live.values())

    @property
    def startup(self) -> str | None:
        """When the PBX was started, in its own words; none before the first connection."""
        return self._startup

    def resume(self, calls: list[Call], seen: tuple[float, str] | None) -> None:
        """Take calls up again that were live when the service ended."""
        if seen is not None:
            self.heard_until, self._startup = min(seen[0], self.clock()), seen[1]
        for call in calls:
            self.take_up(call)

    def take_up(self, call: Call) -> None:
        """Take a call up that is live, and of which nothing was heard for a while."""
        if call.id in self.live:
            return
        elsewhere = call.caller.alive and call.caller.id in self._strangers
        live = LiveCall(self, taken_up(call, self.clock()))
        live.deaf = True
        self._start(live, None, ())
        if elsewhere:  # who called has become another call's: of this one nothing is left
            self._forget(call.caller.id, live)
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
        known = self._strangers.get(heard.key, ())
        live = known[-1] if known else self.live.get(self.pbx.ids.call_of(heard.key) or "")
        if live is None:
            return
        if isinstance(heard.happening, h.OutcomeUnknown):
            self.led_nowhere[live.call.id] = self.clock() + APART_SECONDS
            return
        happening = heard.happening
        if isinstance(happening, h.PartyReplaced):
            self.know(happening.channel, live)
        if isinstance(happening, h.LegEnded):
            for other in known[:-1]:
                other.put(happening)
        live.put(self._whereto(happening) if isinstance(happening, h.LegForwarded) else happening)

    def _whereto(self, forwarded: h.LegForwarded) -> h.LegForwarded:
        """Say who it is to whom a telephone forwards: an extension, or a number and how it is dialled.

        What is short and no extension of the account is something of the PBX's own: a queue, a colleague.
        """
        target = forwarded.target
        if not _DIALLED.fullmatch(target):
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
        known = self._strangers.get(caller.channel)
        if known is not None:
            known[-1].put(h.CallerReturned(at))
            return
        trial = self.pbx.ids.trial_of(caller.channel)
        if trial is not None:
            self._try_out(trial, caller, at)
            return
        if (
            self.full is not None
            and caller.arguments[0:1] in (("incoming",), ("outgoing",))
            and len(caller.arguments) > 1
        ):
            self._turn_away(caller)
            return
        match caller.arguments:
            case ("incoming", *rest):
                called, presentation = (*rest, "", "")[:2]
                shown = "" if is_withheld(presentation) else caller.number
                number, external = tellable(self.desk.normal_form(shown)), self.desk.normal_form(called)
                self._begin(h.CallArrived(at, caller.channel, number, external))
            case ("outgoing", exten, *_):
                self._let_out(caller, exten, at)
            case _:
                self._log.warning(
                    "a call came with arguments that are not known: expected Stasis(APP,incoming,NUMBER) or "
                    "Stasis(APP,outgoing,NUMBER)",
                    arguments=caller.arguments,
                )
                self._send_on(caller.channel)

    def _try_out(self, trial: Trial, caller: NewCaller, at: float) -> None:
        """Take a trial's call, or the half of it that stands for the customer: that one was answered."""
        if not trial.code:
            self._beside(self.trials.let_hear(trial.customer))
        elif trial.call in self.live or not self.desk.is_extension(trial.code) or self.full is not None:
            self._beside(self.remove(o.HangUp(caller.channel)))
        else:
            number, name = self.desk.normal_form(caller.number), caller.shown or None
            first = h.CallArrived(at, caller.channel, number, None, trial=trial.code, name=name)
            self._begin(first, trial.call)
            self.trials.came(trial.call)

    def replaced(self) -> None:
        """Another process has taken the PBX over."""
        self.on_replaced()

    def clock_was_set(self, by: float) -> None:
        """Let the calls know, before anything else happens to them by the new time."""
        self._log.warning("the clock was set", seconds=round(by, 3), calls_in_progress=len(self.live))
        self.heard_until += by
        self.restart_seen_at += by
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

    def _turn_away(self, caller: NewCaller) -> None:
        """Let a caller go on in the dialplan, as if we weren't there."""
        self.turned_away += 1
        figures.TURNED_AWAY.labels(self.desk.account).inc()
        if self.clock() - self._full_said_at >= FULL_SAID_SECONDS:
            self._full_said_at = self.clock()
            self._log.error(
                "callers go on in the dialplan: there is no room for more calls",
                why=self.full,
                turned_away=self.turned_away,
            )
        self._let_pass(caller)

    def _let_pass(self, caller: NewCaller) -> None:
        if caller.arguments[0] == "outgoing":
            self._send_on(caller.channel, self.desk.outside(caller.arguments[1]))
        else:
            self._beside(self._send_on_without_us(caller.channel))

    async def _send_on_without_us(self, channel: str) -> None:
        """Send a caller where the dialplan sends them while we are away: after Stasis() it would hang up."""
        app = self.pbx.target.stasis_app
        ways: tuple[dict[str, str | int], ...] = (
            {"label": AWAY_LABEL},
            {"context": without_us_context(app), "extension": "s", "priority": 1},
            {},
        )
        with suppress(PbxError):
            for way in ways:
                if "context" in way and not await self._dialplan_has(channel, f"{way['context']},s,1"):
                    continue
                with suppress(PbxRefused):
                    await self.pbx.ari("channels", "continueInDialplan", channelId=channel, **way)
                    return

    async def _dialplan_has(self, channel: str, place: str) -> bool:
        try:
            variable = f"DIALPLAN_EXISTS({place})"
            said = await self.pbx.ari("channels", "getChannelVar", channelId=channel, variable=variable)
        except PbxRefused:
            return False
        return bool(said) and said.get("value") == "1"

    def lost(self, unnoticed: float = 0.0) -> None:
        """Nothing is heard any more, for at most so many seconds."""
        if self.listening:
            self.heard_until = self.clock() - unnoticed
        self.listening = False
        self.turned.set()
        for live in self.live.values():
            live.deaf = True  # it may ask what is true before the event stream is back
        if self.ajam is not None:
            self.ajam.look_again()

    async def connected(self, startup: str) -> None:
        """Make up for what was missed: every live call asks what is true; see `adopt` for the rest."""
        if self._startup is not None and startup != self._startup:
            self.restart_seen_at = self.clock()
            self._log.warning("the PBX was restarted", calls_in_progress=len(self.live))
        self._startup = startup
        missed = tuple(self.live.values())
        for live in missed:
            live.deaf = True
        await self.adopt()
        self.listening = True
        self.turned.set()
        self._beside(self.pbx.recordings.remove_unwanted())
        for live in missed:
            live.put(h.OutcomeUnknown(self.clock(), "the PBX is connected again"))

    async def adopt(self) -> None:
        """Take callers that no call of ours knows, and remove legs and bridges that belong to no call.

        A caller has come when the channel began, or since we last heard, whichever is later. Two who talk in
        a bridge of ours go on: who had the account before us may yet hand in their call.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        snapshot = await self.pbx.snapshot()
        ids, at = self.pbx.ids, self.clock()
        in_calls = {channel for call in self.live for channel in snapshot.bridges.get(call, ())}
        self.unknown_talks = {
            bridge
            for bridge, inside in snapshot.bridges.items()
            if ids.call_of(bridge) == bridge and bridge not in self.live and they_talk(inside, snapshot)
        }
        if self.unknown_talks:
            self.something.set()
        talk = {channel for bridge in self.unknown_talks for channel in snapshot.bridges[bridge]}
        for ident, channel in snapshot.channels.items():
            if ident in talk or ids.call_of(ident) in self.unknown_talks:
                continue
            leg = ids.leg_of(ident)
            if leg is not None and not self._is_known(leg, leg in in_calls):
                await self.remove(o.HangUp(ident))
            elif leg is None and ident not in self._strangers:
                arguments = _stasis_arguments(channel, self.pbx.target.stasis_app)
                if arguments:
                    began = max(self.pbx.began(channel), self.heard_until)
                    self.arrived(new_caller(channel, arguments), min(at, began))
                elif arguments is not None and ident not in in_calls:
                    await self.remove(o.HangUp(ident))  # it took the place of one whose call is over
        for bridge in snapshot.bridges:
            if ids.call_of(bridge) == bridge and bridge not in self.live.keys() | self.unknown_talks:
                await self.remove(o.CloseBridge(bridge))

    def _is_known(self, leg: str, bridged: bool) -> bool:
        """Tell whether a leg is of a call of ours; who held the account before us may have made more."""
        live = self.live.get(self.pbx.ids.call_of(leg) or "")
        if live is None:
            return False
        return bridged or live.call.party(leg) is not None or leg == live.call.recorder_id

    async def follow_ajam(self) -> None:
        """Follow the calls that go by AJAM, for ever; return at once when there is none."""
        if self.ajam is not None:
            await self.ajam.run(self)

    # -- the end of the service ---------------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Send on the callers who still wait, and let people who talk go on; at most so many seconds."""
        with suppress(PbxError, TimeoutError):
            async with asyncio.timeout(seconds):
                await self.adopt()
        for live in self.live.values():
            live.put(h.ServiceStopping(self.clock()))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(live.settled() for live in self.live.values()))

    async def see_off(self, seconds: float) -> None:
        """Send all on who wait in our application, in at most so many seconds; who talks is left alone.

        For an account that is no more, when nothing of its PBX is heard any more: nobody would find them.
        """
        with suppress(PbxError, TimeoutError):
            async with asyncio.timeout(seconds):
                snapshot = await self.pbx.snapshot()
                talks = {
                    one: inside for one, inside in snapshot.bridges.items() if they_talk(inside, snapshot)
                }
                talk = {channel for inside in talks.values() for channel in inside}
                for ident, channel in snapshot.channels.items():
                    arguments = _stasis_arguments(channel, self.pbx.target.stasis_app)
                    if ident in talk:
                        continue
                    if self.pbx.ids.leg_of(ident) is not None:
                        await self.remove(o.HangUp(ident))
                    elif arguments is not None and len(arguments) > 1:
                        self._let_pass(new_caller(channel, arguments))
                for bridge in snapshot.bridges.keys() - talks.keys():
                    if self.pbx.ids.call_of(bridge) == bridge:
                        await self.remove(o.CloseBridge(bridge))
                await asyncio.gather(*self._tasks, return_exceptions=True)

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
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- calls --------------------------------------------------------------------------------------------

    def _let_out(self, caller: NewCaller, exten: str, at: float) -> None:
        """Take a call that a manager's phone makes. All else that goes out passes untouched."""
        outside = self.desk.outside(exten)
        code = self.pbx.extensions.direct_code_of(caller.name, caller.number)
        short = len(exten) <= LONGEST_INTERNAL or self.desk.is_extension(exten)
        if short or caller.name.startswith("Local/") or not _DIALLED.fullmatch(exten):
            self._send_on(caller.channel, outside)
            return
        number = tellable(self.desk.number_of(exten))
        self._begin(h.CallDialled(at, caller.channel, code, number, None, outside))

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
        return self._begin(h.CallClicked(self.clock(), code, number, external, outside, way))

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

    def _begin(self, first: First, call_id: str | None = None) -> str:
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
        for ident in _channels(call):
            self.know(ident, live)
        task = live.task = asyncio.create_task(live.run(first, orders), name=f"call {call.id}")
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self.live.pop(live.call.id, None)
            self._busy.take(live.call, None)
            for ident in live.strangers:
                self._forget(ident, live)
            if not task.cancelled() and task.exception() is not None:
                self._log.error("a call's task failed", call=live.call.id, exc_info=task.exception())

        task.add_done_callback(ended)

    def know(self, channel: str, live: LiveCall) -> None:
        """A channel is of two calls where a customer was handed over to the other party of a second one.

        Who knew it last hears what happens to it, both that it ends.
        """
        self._forget(channel, live)
        self._strangers[channel] = (*self._strangers.get(channel, ()), live)
        live.strangers += (channel,)

    def _forget(self, channel: str, live: LiveCall) -> None:
        """A channel isn't of a call any more."""
        live.strangers = tuple(one for one in live.strangers if one != channel)
        left = tuple(one for one in self._strangers.get(channel, ()) if one is not live)
        if left:
            self._strangers[channel] = left
        else:
            self._strangers.pop(channel, None)

    def _send_on(self, channel: str, place: Outside | None = None) -> None:
        """Let a channel that is nothing to us go on in the dialplan, where it was or at another place."""
        where: dict[str, str | int] = {}
        if place is not None:
            where = {"context": place.context, "extension": place.number, "priority": place.priority}

        self._beside(self.pbx.ari("channels", "continueInDialplan", channelId=channel, **where))

    def _beside(self, request: Coroutine[Any, Any, Any]) -> None:
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


def _stasis_arguments(channel: dict[str, Any], stasis_app: str) -> tuple[str, ...] | None:
    """Read the arguments of ``Stasis(APP,...)`` off a channel that is in it.

    A channel that took another's place has none.
    """
    dialplan = channel["dialplan"]
    if dialplan.get("app_name") != "Stasis":
        return None
    app, *arguments = str(dialplan.get("app_data", "")).split(",")
    return tuple(arguments) if app == stasis_app else None


def _channels(call: Call) -> Iterator[str]:
    """List the channels of a call with ids that aren't of our making."""
    yield call.caller.id
    for leg in call.our_legs:
        yield leg.id
        if leg.far is not None:
            yield leg.far
