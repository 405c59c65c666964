"""One call as a story, told in telephone words: what the tests of the call-state model speak."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Leg, LegState, Role, Way
from ari_app.calls.flow import First, advance, begin, known_as
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.calls.routing import Outside, Policy, parse_destinations

ANNA = "+79161234567"
SHOP = "+74951234567"
CALLER = "caller-channel"
RECORDER = "c1-recorder"
START = 1_700_000_000.0

BUSY, DECLINED, NORMAL, UNREGISTERED, LINE_BROKEN = 17, 21, 16, 20, 38

OUTSIDE = Outside("89161234567", "default", 1, "default")
"""How the line dials Anna."""

TRUNK = "PJSIP/trunk-0000002a"

Kind = TypeVar("Kind", bound=o.Order)


class Story:
    """One call on a PBX that makes and rings every leg at once; everything else the test tells."""

    def __init__(
        self,
        *,
        number: str | None = ANNA,
        fallback: str = "group:103,104",
        unknown: str = "group:103,104",
        prompt: bool = True,
        first: First | None = None,
        busy: frozenset[str] = frozenset(),
        **policy: object,
    ) -> None:
        self.now = START
        self.prompt = prompt
        self.busy = busy
        self.orders: list[o.Order] = []
        self.last: tuple[o.Order, ...] = ()
        rules = Policy("PJSIP/##", parse_destinations(fallback, 60), parse_destinations(unknown, 60))
        rules = replace(rules, **policy)  # type: ignore[arg-type]
        first = first or h.CallArrived(START, CALLER, number, SHOP)
        self.call, orders = begin("c1", "shop", rules, first, busy)
        self._given(orders)

    def happens(self, happening: h.Happening) -> Story:
        """Let something happen now."""
        self.call, orders = advance(self.call, known_as(self.call, happening), self.busy)
        self._given(orders)
        return self

    def _given(self, orders: tuple[o.Order, ...]) -> None:
        self.orders += orders
        self.last = orders
        if self.prompt:
            for ring in (order for order in orders if isinstance(order, o.Ring)):
                self.happens(h.LegReady(self.now, ring.leg)).happens(h.LegRinging(self.now, ring.leg))
            for listen in (order for order in orders if isinstance(order, o.Listen)):
                self.happens(h.LegReady(self.now, listen.recorder))
            self.last = orders

    # -- what people and machines do ----------------------------------------------------------------------

    def wait(self, seconds: float) -> Story:
        """Let time pass; what is due happens on the way."""
        until = self.now + seconds
        while (timer := self.call.next_timer) is not None and timer.due <= until:
            self.now = max(self.now, timer.due)
            self.happens(h.TimerExpired(self.now, timer.name))
        self.now = until
        return self

    def found(self, responsible: str | None = "101", name: str | None = "Anna") -> Story:
        return self.happens(h.CustomerFound(self.now, name, responsible))

    def unknown(self) -> Story:
        return self.happens(h.CustomerUnknown(self.now))

    def answers(self, code: str) -> Story:
        return self.happens(h.LegAnswered(self.now, self.phone(code).id))

    def ends(self, code: str, cause: int = NORMAL, sip: int | None = None) -> Story:
        return self.happens(h.LegEnded(self.now, self.phone(code).id, cause, sip))

    def refused(self, code: str) -> Story:
        return self.happens(h.LegRefused(self.now, self.phone(code).id, "no such endpoint"))

    def caller_hangs_up(self, cause: int = NORMAL) -> Story:
        return self.happens(h.CallerEnded(self.now, cause))

    def member_rings(self, *codes: str) -> Story:
        for code in codes:
            self.happens(h.MemberRung(self.now, self.queue.id, f"PJSIP/{code}-0000002a", code))
        return self

    def member_answers(self, code: str) -> Story:
        return self.happens(h.MemberAnswered(self.now, self.queue.id, f"PJSIP/{code}-0000002a", code))

    def member_ends(self, code: str, status: str) -> Story:
        return self.happens(h.MemberEnded(self.now, self.queue.id, f"PJSIP/{code}-0000002a", status))

    def queue_ends(self) -> Story:
        return self.happens(h.LegEnded(self.now, self.queue.id, NORMAL))

    # -- a call to a customer, and transfers --------------------------------------------------------------

    def manager_answers(self, code: str | None = None) -> Story:
        return self.happens(h.CallerAnswered(self.now, code))

    def line_dials(self, *, rings: bool = True) -> Story:
        return self.happens(h.MemberRung(self.now, self._line, TRUNK, None, rings))

    def line_answers(self) -> Story:
        return self.happens(h.MemberAnswered(self.now, self._line, TRUNK, None))

    def line_gives_up(self, status: str) -> Story:
        return self.happens(h.MemberEnded(self.now, self._line, TRUNK, status))

    @property
    def _line(self) -> str:
        return self.customer.far_id if self.call.way is Way.ARI else self.customer.id

    def customer_answers(self) -> Story:
        if self.call.way is Way.ARI:
            self.line_answers()
        return self.happens(h.LegAnswered(self.now, self.customer.id))

    def customer_ends(self, cause: int = NORMAL) -> Story:
        return self.happens(h.LegEnded(self.now, self.customer.id, cause))

    def replaced(
        self,
        old: str,
        channel: str,
        *,
        local: bool = True,
        target: str | None = None,
        code: str | None = None,
    ) -> Story:
        """Somebody takes another's place."""
        return self.happens(h.PartyReplaced(self.now, old, channel, local, target, code))

    def transferred(self, target: str, *, code: str | None = None, channel: str = "new-1") -> Story:
        """Who talks gives the customer away."""
        return self.replaced(self.call.talker_leg or "", channel, target=target, code=code)

    def stored(self, seconds: float = 30.0) -> Story:
        self.happens(h.RecordingFinished(self.now))
        return self.happens(h.RecordingStored(self.now, "c1.wav", seconds))

    def pbx_says(
        self,
        *facts: h.ChannelFact,
        recording: bool = False,
        restarted: bool = False,
        up_at: float | None = None,
        newcomers: tuple[h.PartyReplaced, ...] = (),
        deaf: bool = False,
        ends: tuple[h.LegEnded, ...] = (),
        recorded: bool = False,
    ) -> Story:
        """Ask the PBX; channels of the call that are not among the facts don't exist.

        `deaf` since `up_at`, else nothing can have been missed for long; `ends` are heard again by then.
        """
        self.happens(h.OutcomeUnknown(self.now, "connected again"))
        asked = self.given(o.AskPbx)[-1].channels
        known_up_at = self.now if up_at is None else up_at
        return self.happens(
            h.PbxSaid(
                self.now, asked, facts, recording, known_up_at, restarted, newcomers, deaf, ends, recorded
            )
        )

    def settle(self) -> Story:
        """Let the PBX end every channel whose hang-up was ordered."""
        for leg in self.call.legs:
            if leg.state is LegState.LEAVING:
                self.happens(h.LegEnded(self.now, leg.id, NORMAL))
        if self.call.caller.state is LegState.LEAVING:
            self.caller_hangs_up()
        return self

    # -- what can be seen ---------------------------------------------------------------------------------

    def phone(self, code: str) -> Leg:
        return next(leg for leg in reversed(self.call.legs) if leg.code == code and leg.role is Role.MANAGER)

    @property
    def customer(self) -> Leg:
        assert self.call.customer is not None
        return self.call.customer

    @property
    def queue(self) -> Leg:
        return next(leg for leg in reversed(self.call.legs) if leg.role is Role.QUEUE)

    def given(self, kind: type[Kind]) -> list[Kind]:
        return [order for order in self.orders if isinstance(order, kind)]

    @property
    def rung(self) -> list[str]:
        return [ring.endpoint for ring in self.given(o.Ring)]

    @property
    def told(self) -> list[tuple[str, ...]]:
        return [tell.codes for tell in self.given(o.TellRinging)]

    @property
    def hangup(self) -> tuple[tuple[str, ...], Ending]:
        (tell,) = self.given(o.TellHangup)
        return tell.codes, tell.ending

    @property
    def result(self) -> o.TellResult:
        (tell,) = self.given(o.TellResult)
        return tell

    def hung_up(self, channel: str) -> HangUpReason:
        (order,) = (order for order in self.given(o.HangUp) if order.channel == channel)
        return order.reason


def up(channel: str, bridged: bool = True) -> h.ChannelFact:
    return h.ChannelFact(channel, "Up", bridged)


def dialled(code: str | None = "101", number: str | None = ANNA, **story: object) -> Story:
    """Begin a call that a manager's phone has dialled."""
    first = h.CallDialled(START, CALLER, code, number, None, OUTSIDE)
    return Story(first=first, **story)  # type: ignore[arg-type]


def clicked(way: Way = Way.ARI, number: str | None = ANNA, **story: object) -> Story:
    """Begin a call for which manager 101 has asked in the CRM."""
    return Story(first=h.CallClicked(START, "101", number, None, OUTSIDE, way), **story)  # type: ignore[arg-type]
