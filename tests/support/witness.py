"""What holds for every call, whatever happens to it, in whatever order: `Witness` watches one call."""

from __future__ import annotations

import math
import typing
from collections import Counter
from collections.abc import Iterable
from random import Random

from pydantic import TypeAdapter

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import (
    Call,
    Direction,
    Leg,
    LegState,
    RecordingState,
    Role,
    Stage,
    TimerName,
    Way,
)
from ari_app.calls.flow import MOVES, First, advance, begin, known_as
from ari_app.calls.outcome import Ending, LegResult
from ari_app.calls.routing import Destination, Dialplan, Outside, People, Policy, Queue
from ari_app.calls.stored import dump_call, load_call

CALLER, NUMBER, START = "caller", "+79161234567", 1_700_000_000.0
OUTSIDE = Outside(NUMBER, "default", 1, "default")
CODES = ("101", "102", "103", "104")
HAPPENINGS: tuple[type, ...] = typing.get_args(h.Happening)
ORDERS: tuple[type, ...] = typing.get_args(o.Order)
TIMERS_OF = {
    Stage.ARRIVING: {TimerName.LOOK_UP},
    Stage.RINGING: {
        *(TimerName.RING, TimerName.ROUND, TimerName.VAIN, TimerName.TELEPHONES, TimerName.SILENT),
        TimerName.RECORDER,
    },
    Stage.CALLING: {TimerName.RING, TimerName.SILENT},
    Stage.TRANSFERRING: {TimerName.ROUND, TimerName.VAIN, TimerName.RECORDER, TimerName.PARKER},
    Stage.TALKING: {TimerName.KEYS, TimerName.RECORDER},
    Stage.DIALPLAN: {TimerName.ROUND, TimerName.RECORDER},
    Stage.ENDING: {TimerName.RECORDING},
}
BY_AJAM = (o.Originate, o.HangUp, o.AskPbx, o.TellRinging, o.TellHangup, o.TellResult)
"""All that may be ordered for a call that AJAM has placed."""
AS_JSON: dict[type, TypeAdapter[object]] = {kind: TypeAdapter(kind) for kind in (*HAPPENINGS, *ORDERS)}


class Witness:
    """One call, and what must hold of it."""

    def __init__(self, policy: Policy, first: First, busy: frozenset[str] = frozenset()) -> None:
        self._seen_nothing()
        self.call, orders = begin("c1", "shop", policy, first, busy)
        self.first_orders = orders
        self.changes.add((None, self.call.stage))
        self._orders(None, first, orders, busy)
        self._is_kept(self.call)
        self._state(self.call)

    @classmethod
    def of(cls, call: Call, orders: Iterable[o.Order]) -> Witness:
        """Watch a call from here on that has ordered this."""
        witness = cls.__new__(cls)
        witness._seen_nothing()
        witness.call = call
        for order in orders:
            match order:
                case o.TellRinging() | o.TellHangup() | o.TellResult() | o.TellCustomer():
                    witness._news(order)
                case o.PlayRinging() | o.StopPlaying() | o.CloseBridge():
                    witness.playing = isinstance(order, o.PlayRinging)
            witness._count(order)
        witness._state(call)
        return witness

    def _seen_nothing(self) -> None:
        self.playing = False
        self.told: list[str] = []
        self.acquainted = False
        self.hangups: list[o.TellHangup] = []
        self.results: list[o.TellResult] = []
        self.given: Counter[tuple[type, str]] = Counter()
        self.changes: set[tuple[Stage | None, Stage]] = set()

    def advance(self, happening: h.Happening, busy: frozenset[str] = frozenset()) -> tuple[o.Order, ...]:
        """Let something happen while these extensions are busy."""
        before = self.call
        assert as_json(happening) == happening
        happening = known_as(before, happening)
        self.call, orders = advance(before, happening, busy, frozenset(CODES))
        assert advance(before, happening, busy, frozenset(CODES)) == (self.call, orders)
        if self.call is not before:
            self._is_kept(self.call)
        self._step(before, happening, orders)
        self._orders(before, happening, orders, busy)
        self._state(self.call)
        return orders

    # -- a step -------------------------------------------------------------------------------------------

    def _step(self, before: Call, happening: h.Happening, orders: tuple[o.Order, ...]) -> None:
        after = self.call
        if isinstance(happening, h.ClockSet) and not before.over:
            before = before.moved(happening.by)
        late = isinstance(happening, h.TimerExpired) and not before.is_due(happening.timer, happening.at)
        if late or (before.stage, type(happening)) not in MOVES:
            assert (after, orders) == (before, ()), "what a stage doesn't know changes nothing"
        if isinstance(happening, h.TimerExpired):
            assert not after.is_due(happening.timer, happening.at), "the timer would expire for ever"
        if before.stage is not after.stage and not isinstance(happening, h.PbxSaid):
            self.changes.add((before.stage, after.stage))
        if isinstance(happening, h.PartyReplaced) and before.party(happening.old) and not before.over:
            followed = after.way is Way.AJAM or after.party(happening.channel) is not None
            assert followed or before.stage is Stage.ARRIVING, "a newcomer is not forgotten"
        running = before.recording.state is after.recording.state is RecordingState.RUNNING
        if running and before.ending is None:
            stopped = {o.StopRecording(after.recording_name), o.HangUp(after.recorder_id)} & set(orders)
            assert bool(stopped) == (after.ending is not None), "the recording runs until the call's end"
        if before.ending is not None:
            assert _verdict(after) == _verdict(before), "a call ends once"
        if before.answered_at is not None and before.talker_leg is not None:
            assert after.answered_at == before.answered_at, "a transfer is no second answer"
            assert (after.first_talker or before.first_talker) == after.first_talker

    # -- orders -------------------------------------------------------------------------------------------

    def _orders(
        self,
        before: Call | None,
        happening: h.Happening,
        orders: tuple[o.Order, ...],
        busy: frozenset[str],
    ) -> None:
        repair = isinstance(happening, h.PbxSaid)
        for order in orders:
            assert as_json(order) == order
            assert not self.results or not isinstance(order, o.Tell), "the result is the CRM's last news"
            assert self.call.way is Way.ARI or isinstance(order, BY_AJAM), "the dialplan runs this call"
            match order:
                case o.TellRinging() | o.TellHangup() | o.TellResult() | o.TellCustomer():
                    self._news(order)
                case o.Ring(leg) | o.Originate(leg):
                    self._rung(before, leg, repair, busy)
                case _:
                    self._order(before, happening, order, repair)
            self._count(order)

    def _count(self, order: o.Order) -> None:
        if isinstance(order, o.OpenBridge) and self._open("", o.OpenBridge, o.CloseBridge):
            return  # it is the same one, once more
        self.given[type(order), str(getattr(order, "channel", "") or getattr(order, "leg", ""))] += 1

    def _news(self, news: o.Tell) -> None:
        """What the CRM hears of the call."""
        match news:
            case o.TellRinging(codes=codes):
                assert news.direction is self.call.direction, "a call goes in or out, not both"
                assert codes
                assert not self.hangups
                assert len(set(codes)) == len(codes)
                assert not set(codes) & set(self.told), "each person is told once"
                self.told += codes
            case o.TellHangup(codes=codes):
                assert not self.hangups
                assert list(codes) == self.told != []
                self.hangups.append(news)
            case o.TellCustomer(code=code):
                assert not self.hangups
                assert self.call.direction is Direction.IN
                assert not self.call.known
                assert self.call.trial is None, "nobody has called"
                assert code == self.call.first_talker, "theirs is who has answered"
                assert not self.acquainted, "a customer is made once"
                self.acquainted = True
            case o.TellResult():
                assert self.call.trial is None, "a trial is in no history"
                assert news.direction is self.call.direction
                assert bool(self.hangups) == bool(self.told), "the hangup is told before the result"
                self.results.append(news)

    def _rung(self, before: Call | None, ident: str, repair: bool, busy: frozenset[str]) -> None:
        """Somebody is rung whom it is right to ring now."""
        call, leg = self.call, self.call.party(ident)
        assert leg is not None
        other_way = call.way is Way.AJAM and not self.given[o.Originate, ident]
        assert repair or other_way or not self.given[o.Ring, ident], "a leg's id is used once"
        assert repair or not self.given[o.Originate, ident], "a call is placed once"
        if leg.role is Role.CALLER:
            assert call.clicked
            return
        assert self._open("", o.OpenBridge, o.CloseBridge)
        if call.clicked and leg.role is Role.CUSTOMER:
            assert call.caller.answered_at is not None, "the manager is there before the customer is rung"
        known = before is not None and before.leg(ident) is not None
        calling = before is not None and before.stage is Stage.CALLING
        if leg.code in busy and not known and not calling and leg.role is not Role.FORWARDED:
            assert call.policy.ignore_manager_status, "who is busy is not rung"

    def _open(self, which: str, opening: type, closing: type) -> bool:
        return self.given[opening, which] == self.given[closing, which] + 1

    def _order(self, before: Call | None, happening: h.Happening, order: o.Order, repair: bool) -> None:
        match order:
            case o.HangUp(channel):
                gone = self.call.ending is not None or isinstance(happening, h.PbxSaid)
                customer = self.call.customer
                assert gone or not self.call.away or customer is None or channel != customer.id, "left alone"
                stray = isinstance(happening, h.LegReady | h.RecorderReady)
                assert repair or stray or not self.given[o.HangUp, channel], "hung up twice"
            case o.Dial(leg):
                assert self.given[o.Ring, leg]
                placed = before.party(leg) if before is not None else None
                assert placed is not None
                assert placed.state is LegState.PLACED, "a leg is dialled once"
            case o.OpenBridge():
                assert repair or not self._open("", o.OpenBridge, o.CloseBridge)
            case o.StopPlaying():
                assert repair or self.playing
                self.playing = False
            case o.CloseBridge():
                self.playing = False
                assert self._open("", o.OpenBridge, o.CloseBridge)
            case o.Join():
                assert not self.call.away, "who is parked is not joined with anybody"
                assert self._open("", o.OpenBridge, o.CloseBridge)
            case o.PlayRinging():
                assert repair or not self.playing, "ringing is played once"
                assert self._open("", o.OpenBridge, o.CloseBridge)
                self.playing = True
            case o.Listen(channel):
                again = isinstance(happening, h.TimerExpired)
                assert repair or again or not self.given[o.Listen, channel], "the recording is begun once"
                assert self.call.customer is not None
                assert channel == self.call.customer.id, "the customer is recorded"
            case o.Record(_, channel):
                assert repair or isinstance(happening, h.RecorderReady), "a channel that is there is recorded"
                assert channel == self.call.recorder_id
            case o.StopRecording():
                assert self.call.recorder is None, "the bridge was recorded"
                assert repair or not self.given[o.StopRecording, ""]
            case o.Answer():
                person = (Stage.RINGING, Stage.TALKING, Stage.TRANSFERRING)
                called = before is not None and before.stage in person
                assert repair or called, "only a person's answer answers the caller"

    # -- the call as it stands ----------------------------------------------------------------------------

    def _is_kept(self, call: Call) -> None:
        assert load_call(dump_call(call)) == call

    def _state(self, call: Call) -> None:
        timers = {timer.name for timer in call.timers}
        if call.trial is not None and call.answered_at is not None and call.ending is None:
            assert TimerName.TRIAL in timers, "a trial ends by itself"
            timers.remove(TimerName.TRIAL)
        assert timers <= TIMERS_OF.get(call.stage, set())
        assert len(call.timers) == len({timer.name for timer in call.timers})
        assert list(call.told) == self.told
        assert TimerName.RECORDER not in {timer.name for timer in call.timers} or call.recorder is not None
        over = call.stage in (Stage.ENDING, Stage.ENDED)
        assert over == (call.ending is not None) == (call.ended_at is not None)
        assert bool(self.hangups) == (over and bool(self.told))
        if call.number is None:
            assert not self.told
            assert not self.results
        assert call.talker is None or call.first_talker is not None
        assert {call.talker, call.first_talker} <= {*CODES, None}, "a talker is an extension of the account"
        if call.answered_at is None:
            assert call.talked is None, "nobody has talked"
        if call.plays_ringing:
            assert call.stage in (Stage.RINGING, Stage.TRANSFERRING)
            assert call.bridge_open
        if call.ended_at is not None:
            assert call.talking >= 0
            assert call.waiting + call.talking <= call.ended_at - call.started_at + 1e-6
        for local in (leg for leg in call.our_legs if not leg.alive):
            assert not [one.id for one in call.members(local) if one.alive], "nobody is behind what is gone"
        self._people(call)
        if call.over:
            self._end(call)

    def _people(self, call: Call) -> None:
        """Nobody is in the call but those who should be at its stage."""
        here = {leg.id for leg in (call.caller, *call.our_legs) if _here(leg)}
        answered = [leg.id for leg in call.our_legs if leg.result is LegResult.ANSWERED]
        match call.stage:
            case Stage.ARRIVING:
                assert here == {call.caller.id}
                assert not call.legs
            case Stage.CALLING:
                assert here, "the manager is rung"
                assert not [leg for leg in call.legs if leg.role is Role.CUSTOMER]
            case Stage.RINGING:
                assert call.waiter.id in here
                tried = [leg for leg in call.our_legs if leg.id in here - {call.waiter.id}]
                assert tried or call.sought, "somebody is tried"
                assert {leg.attempt for leg in tried} <= {call.attempt}
                assert not call.sought or call.is_due(TimerName.TELEPHONES, math.inf), "nobody waits for ever"
            case Stage.TALKING | Stage.TRANSFERRING if call.away:
                assert call.customer is not None
                assert call.talker_leg == call.customer.id, "what the PBX does with the customer is followed"
                alone = here - {call.customer.id}
                assert not alone or call.is_due(TimerName.PARKER, math.inf), "who has parked is not forgotten"
            case Stage.TALKING:
                assert call.customer is not None
                assert here == {call.customer.id, call.talker_leg}, "two talk"
                assert all(leg.state is LegState.UP for leg in call.our_legs if leg.id in here)
                assert answered
            case Stage.TRANSFERRING:
                assert call.customer is not None
                assert here == {call.customer.id, call.talker_leg}, "one waits for the other"
            case Stage.DIALPLAN:
                assert here == {call.waiter.id}
                assert call.direction is Direction.IN
            case Stage.ENDING | Stage.ENDED:
                assert here == set()
        if call.answered_at is None:
            assert answered == []

    def _end(self, call: Call) -> None:
        assert len(self.results) == (call.number is not None and call.trial is None)
        assert call.timers == ()
        assert not call.bridge_open
        assert not self._open("", o.OpenBridge, o.CloseBridge)
        assert not [leg.id for leg in (call.caller, *call.legs) if leg.alive]
        assert all(leg.waiting >= 0 and leg.talking >= 0 for leg in call.legs)
        assert call.recorder is None or not call.recorder.alive, "the recorder is hung up"
        if self.given[o.Listen, call.customer.id if call.customer else ""]:
            assert call.recording.state in (RecordingState.STORED, RecordingState.LOST)
        customers = {leg.id for leg in call.legs if leg.role is Role.CUSTOMER}
        if call.ending is Ending.NOT_PLACED:
            assert not customers, "the customer was never rung"
            assert call.clicked
            assert not self.told
        if call.number is not None:
            ours = (leg for leg in (call.caller, *call.our_legs) if leg.id.startswith(call.id))
            makers = {leg.id for leg in ours if leg.attempt < 0}
            untold = customers | makers  # of whom could have made a call, the CRM hears who did
            rung = {leg.code for leg in call.legs if leg.code and leg.id.split("/")[0] not in untold}
            assert rung <= set(self.told), "who was rung was told"
        for result in self.results:
            self._verdict(call, result)

    def _verdict(self, call: Call, result: o.TellResult) -> None:
        """The CRM names who talked last, or made the call, or else who should have talked."""
        if call.ending is Ending.ANSWERED and not call.handed_on:
            assert result.code == call.talker
            assert call.answered_at is not None
        elif call.ending is Ending.UNKNOWN:
            assert result.code is None, "who may have talked is not known"
        elif call.direction is Direction.OUT:
            assert result.code == call.caller.code
        elif call.responsible is not None and not call.handed_on:
            assert result.code == call.responsible


def _verdict(call: Call) -> tuple[object, ...]:
    return call.ending, call.talker_leg, call.talker, call.told


def _here(leg: Leg) -> bool:
    return leg.alive and leg.state is not LegState.LEAVING


def as_json(value: h.Happening | o.Order) -> object:
    """Write a value as JSON and read it again."""
    adapter = AS_JSON[type(value)]
    return adapter.validate_json(adapter.dump_json(value))


# -- random shops and beginnings --------------------------------------------------------------------------


def random_policy(random: Random) -> Policy:
    return Policy(
        "PJSIP/##",
        fallback=random_destinations(random),
        unknown=random_destinations(random),
        ring_manager_seconds=random.choice((5, 30)),
        record=random.random() < 0.7,
        ignore_manager_status=random.random() < 0.2,
        ajam=random.random() < 0.7,
        telephones=random.random() < 0.5,
        new_customer=True,
        missed_task=random.random() < 0.5,
        missed_notice=random.random() < 0.5,
    )


def random_destinations(random: Random) -> tuple[Destination, ...]:
    def one() -> Destination:
        match random.randrange(5):
            case 0:
                return Queue("sales")
            case 1:
                return Dialplan("ivr", "s", 1)
            case 2:
                return People((random.choice(CODES),), 20)
        return People(tuple(random.sample(CODES, random.randint(2, 3))), 30)

    return tuple(one() for _ in range(random.randrange(4)))


def random_first(random: Random, number: str | None, ajam: bool = True) -> First:
    """Begin a call in one of the three ways; `ajam` tells whether it may be placed by AJAM."""
    match random.randrange(5):
        case 0 | 1:
            trial = random.choice((*CODES, *[None] * 4 * len(CODES)))
            return h.CallArrived(START, CALLER, number, None, trial=trial)
        case 2:
            return h.CallDialled(START, CALLER, random.choice((*CODES, None)), number, None, OUTSIDE)
    way = Way.AJAM if ajam and random.random() < 0.3 else Way.ARI
    return h.CallClicked(START, random.choice(CODES), number, None, OUTSIDE, way)


def random_busy(random: Random) -> frozenset[str]:
    """Tell who is busy now: mostly nobody."""
    return frozenset(random.sample(CODES, random.randint(1, 3)) if random.random() < 0.3 else ())


def random_telephones(random: Random, code: str) -> tuple[str, ...] | None:
    """Say which telephones an extension has, mostly one."""
    many = random.choice((None, 0, 1, 1, 1, 2, 3))
    return None if many is None else tuple(f"PJSIP/{code}/sip:{code}@10.0.0.{one}" for one in range(many))
