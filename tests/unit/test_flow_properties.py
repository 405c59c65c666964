"""What holds for every call, whatever happens to it, in whatever order.

`Witness` lets things happen to one call and holds the invariants at every step. Two worlds drive it: one in
which anything is said of anybody, and `SimulatedPbx`, which tells the truth but loses, repeats and refuses.
"""

from __future__ import annotations

import typing
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Call, LegState, RecordingState, Role, Stage, TimerName, Way
from ari_app.calls.flow import MOVES, advance, begin, known_as
from ari_app.calls.outcome import LegResult
from ari_app.calls.routing import Destination, Dialplan, Outside, People, Policy, Queue
from ari_app.calls.table import CHANGES

CALLER, NUMBER, START = "caller", "+79161234567", 1_700_000_000.0
OUTSIDE = Outside(NUMBER, "default", 1, "default")
CODES = ("101", "102", "103", "104")
HAPPENINGS: tuple[type, ...] = typing.get_args(h.Happening)
ORDERS: tuple[type, ...] = typing.get_args(o.Order)
TIMERS_OF = {
    Stage.ARRIVING: {TimerName.LOOK_UP},
    Stage.RINGING: {TimerName.RING, TimerName.ROUND},
    Stage.CALLING: {TimerName.RING},
    Stage.TRANSFERRING: {TimerName.ROUND},
    Stage.ENDING: {TimerName.RECORDING},
}
CALL_AS_JSON = TypeAdapter(Call)
AS_JSON: dict[type, TypeAdapter[object]] = {kind: TypeAdapter(kind) for kind in (*HAPPENINGS, *ORDERS)}

steady = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Witness:
    """One call, and what must hold of it."""

    def __init__(self, policy: Policy, number: str | None) -> None:
        self.told: list[str] = []
        self.hangups: list[o.TellHangup] = []
        self.results: list[o.TellResult] = []
        self.given: Counter[tuple[type, str]] = Counter()
        self.changes: set[tuple[Stage | None, Stage]] = set()
        arrived = h.CallArrived(START, CALLER, number, None)
        self.call, orders = begin("c1", "shop", policy, arrived)
        self.first_orders = orders
        self.changes.add((None, self.call.stage))
        self._orders(self.call, arrived, orders)
        self._state(self.call)

    def advance(self, happening: h.Happening) -> tuple[o.Order, ...]:
        """Let something happen."""
        before = self.call
        happening = known_as(before, happening)
        after, orders = advance(before, happening)
        assert advance(before, happening) == (after, orders)
        if (before.stage, type(happening)) not in MOVES:
            assert (after, orders) == (before, ())
        if isinstance(happening, h.TimerExpired) and not before.is_due(happening.timer, happening.at):
            assert (after, orders) == (before, ())
        if (
            before.recording.state is after.recording.state is RecordingState.RUNNING
            and before.ending is None
        ):
            assert (after.ending is None) == (o.StopRecording(after.recording_name) not in orders)
        if before.stage is not after.stage and not isinstance(happening, h.PbxSaid):
            self.changes.add((before.stage, after.stage))
        if before.ending is not None:
            assert (after.ending, after.talker_leg, after.told) == (
                before.ending,
                before.talker_leg,
                before.told,
            )
        if isinstance(happening, h.TimerExpired):
            assert not after.is_due(happening.timer, happening.at), "the timer would expire for ever"
        self.call = after
        self._orders(before, happening, orders)
        self._state(after)
        assert (
            AS_JSON[type(happening)].validate_json(AS_JSON[type(happening)].dump_json(happening)) == happening
        )
        return orders

    def _orders(self, before: Call, happening: h.Happening, orders: tuple[o.Order, ...]) -> None:
        repair = isinstance(happening, h.PbxSaid)
        for order in orders:
            assert AS_JSON[type(order)].validate_json(AS_JSON[type(order)].dump_json(order)) == order
            assert not self.results or not isinstance(order, o.Tell), "the result is the CRM's last news"
            match order:
                case o.TellRinging(codes=codes):
                    assert codes
                    assert not self.hangups
                    assert len(set(codes)) == len(codes)
                    assert not set(codes) & set(self.told), "each person is told once"
                    self.told += codes
                case o.TellHangup(codes=codes):
                    assert not self.hangups
                    assert list(codes) == self.told != []
                    self.hangups.append(order)
                case o.TellResult():
                    assert bool(self.hangups) == bool(self.told), "the hangup is told before the result"
                    self.results.append(order)
                case o.HangUp(channel):
                    stray = isinstance(happening, h.LegReady)
                    assert repair or stray or not self.given[o.HangUp, channel], "hung up twice"
                case o.Ring(leg):
                    assert repair or not self.given[o.Ring, leg], "a leg's id is used once"
                    assert self.given[o.OpenBridge, ""] == self.given[o.CloseBridge, ""] + 1
                case o.Dial(leg):
                    assert self.given[o.Ring, leg]
                    placed = before.leg(leg)
                    assert placed is not None
                    assert placed.state is LegState.PLACED, "a leg is dialled once"
                case o.OpenBridge() | o.Record():
                    closing = o.CloseBridge if isinstance(order, o.OpenBridge) else o.StopRecording
                    assert repair or self.given[type(order), ""] == self.given[closing, ""]
                case o.CloseBridge():
                    assert self.given[o.OpenBridge, ""] == self.given[o.CloseBridge, ""] + 1
                case o.StopRecording():
                    assert self.given[o.Record, ""]
                    assert not self.given[o.StopRecording, ""]
                case o.Answer():
                    person = before.stage in (Stage.RINGING, Stage.TALKING, Stage.TRANSFERRING)
                    assert repair or person, "only a person's answer answers the caller"
            if repair and isinstance(order, o.OpenBridge):
                continue  # it is the same bridge
            self.given[type(order), str(getattr(order, "channel", "") or getattr(order, "leg", ""))] += 1

    def _state(self, call: Call) -> None:
        assert CALL_AS_JSON.validate_json(CALL_AS_JSON.dump_json(call)) == call
        assert {timer.name for timer in call.timers} <= TIMERS_OF.get(call.stage, set())
        assert list(call.told) == self.told
        assert len(call.timers) == len({timer.name for timer in call.timers})
        over = call.stage in (Stage.ENDING, Stage.ENDED)
        assert over == (call.ending is not None) == (call.ended_at is not None)
        assert bool(self.hangups) == (over and bool(self.told))
        if call.number is None:
            assert not self.told
            assert not self.results
        if call.stage is Stage.RINGING:
            assert any(leg.pending or leg.state is LegState.UP for leg in call.our_legs), "somebody is tried"
        else:
            rung = [leg.id for leg in call.our_legs if leg.pending]
            assert rung == [] or (call.stage is Stage.TRANSFERRING and rung == [call.talker_leg])
        talkers = [leg.id for leg in call.our_legs if leg.result is LegResult.ANSWERED]
        if call.stage is Stage.TALKING:
            assert call.talker_leg in talkers
        elif call.answered_at is None:
            assert talkers == []
        if call.stage is Stage.TALKING:
            assert [leg.state for leg in call.our_legs if leg.id == call.talker_leg] == [LegState.UP]
        if call.ended_at is not None:
            assert call.waiting + call.talking <= call.ended_at - call.started_at + 1e-6
        if call.over:
            self._end(call)

    def _end(self, call: Call) -> None:
        assert len(self.results) == (call.number is not None)
        assert call.timers == ()
        if call.number is not None:
            assert {leg.code for leg in call.legs if leg.code} <= set(self.told), "who was rung was told"
        assert not call.bridge_open
        assert self.given[o.OpenBridge, ""] == self.given[o.CloseBridge, ""]
        assert not call.caller.alive
        assert not [leg.id for leg in call.legs if leg.alive]
        if self.given[o.Record, ""]:
            assert call.recording.state in (RecordingState.STORED, RecordingState.LOST)


def random_policy(random: Random) -> Policy:
    return Policy(
        "PJSIP/##",
        fallback=random_destinations(random),
        unknown=random_destinations(random),
        ring_manager_seconds=random.choice((5, 30)),
        record=random.random() < 0.7,
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


# -- anything is said of anybody --------------------------------------------------------------------------


def random_happening(random: Random, call: Call, at: float, about: type) -> h.Happening:
    """Say something that need not be true."""
    pick = random.choice
    leg = pick((*(leg.id for leg in call.our_legs), CALLER, "c1-9"))
    member = f"PJSIP/{pick(CODES)}-0000002{pick('ab')}"
    code = pick((*CODES, None))
    up_at = pick((None, at - 10, START - 10, at + 10))
    cause = pick((0, 16, 17, 19, 20, 21, 26, 38, 58, 999))
    match about:
        case h.CallArrived:
            return h.CallArrived(at, CALLER, NUMBER, None)
        case h.CallDialled:
            return h.CallDialled(at, CALLER, "101", NUMBER, None, OUTSIDE)
        case h.CallClicked:
            return h.CallClicked(at, "101", NUMBER, None, OUTSIDE, Way.ARI)
        case h.WayBlocked:
            return h.WayBlocked(at, leg, "away")
        case h.PartyReplaced:
            old = pick((*(one.id for one in call.legs), CALLER))
            return h.PartyReplaced(
                at, old, pick(("new1", "new2", leg)), pick((True, False)), pick(("102", None)), code
            )
        case h.FarHalfFound:
            return h.FarHalfFound(at, leg, pick(("far1", "far2")), pick((True, False)))
        case h.CustomerFound:
            return h.CustomerFound(at, pick(("Anna", None)), pick((code, "no extension", "")))
        case h.CallerEnded:
            return h.CallerEnded(at, cause, up_at)
        case h.LegReady | h.LegRinging | h.LegAnswered:
            return typing.cast(h.Happening, about(at, leg))
        case h.LegEnded:
            return h.LegEnded(at, leg, cause, pick((None, 603, 403)), up_at)
        case h.LegRefused:
            return h.LegRefused(at, leg, "no")
        case h.MemberRung | h.MemberAnswered:
            return typing.cast(h.Happening, about(at, leg, member, code))
        case h.MemberTransferred:
            return h.MemberTransferred(at, leg, member, "102")
        case h.MemberEnded:
            return h.MemberEnded(at, leg, member, pick(("ANSWER", "BUSY", "NOANSWER", "CANCEL", "WHAT")))
        case h.TimerExpired:
            return h.TimerExpired(at, pick(tuple(TimerName)))
        case h.RecordingFailed | h.OutcomeUnknown:
            return typing.cast(h.Happening, about(at, "why"))
        case h.RecordingStored:
            return h.RecordingStored(at, "file.wav", pick((0.0, 3.5, 500.0)))
        case h.PbxSaid:
            everyone = [CALLER, *(leg.id for leg in call.our_legs), "c1-9"]
            facts = tuple(
                h.ChannelFact(
                    ident, pick(("Down", "Ring", "Ringing", "Up")), pick((True, False)), talks_to, code
                )
                for ident in everyone
                for talks_to in (pick((None, None, member)),)
                if random.random() < 0.8
            )
            asked = tuple(ident for ident in everyone if random.random() < 0.8)
            return h.PbxSaid(at, asked, facts, pick((True, False)), at - 1, random.random() < 0.1)
    return typing.cast(h.Happening, about(at))


@settings(steady, max_examples=250)
@given(st.randoms(use_true_random=False), st.sampled_from((NUMBER, None)), st.integers(1, 60))
def test_a_call_keeps_its_word_whatever_is_said_of_it(random: Random, number: str | None, steps: int) -> None:
    witness, at = Witness(random_policy(random), number), START
    rare = {h.CallerEnded, h.PbxSaid, h.ServiceStopping}
    often = [kind for kind in HAPPENINGS if kind not in rare]
    for _ in range(steps):
        at += random.choice((0.0, 0.1, 1.0, 30.0, -5.0))
        about = random.choice(HAPPENINGS if random.random() < 0.2 else often)
        witness.advance(random_happening(random, witness.call, at, about))


@pytest.mark.parametrize("happening", HAPPENINGS, ids=lambda kind: str(kind.__name__))
def test_an_ended_call_is_deaf(happening: type) -> None:
    random = Random(1)
    witness = Witness(Policy("PJSIP/##", (People(("101",), 20),), ()), NUMBER)
    witness.advance(h.CallerEnded(START + 1, 16))
    assert witness.call.over
    assert witness.advance(random_happening(random, witness.call, START + 2, happening)) == ()


# -- a PBX that tells the truth ---------------------------------------------------------------------------


class SimulatedPbx:
    """Carries orders out and tells what comes of them; `faulty`, it loses and repeats orders and news."""

    def __init__(self, random: Random, faulty: bool) -> None:
        self.random, self.faulty, self.at = random, faulty, START
        self.channels = {CALLER: "Ring"}
        self.dialled: set[str] = set()
        self.members: dict[str, str] = {}
        self.bridge: set[str] | None = None
        self.recording = self.in_dialplan = self.restarted = False
        self.news: list[h.Happening] = []
        self.witness = Witness(random_policy(random), NUMBER if random.random() < 0.9 else None)
        self._do(self.witness.first_orders)

    @property
    def call(self) -> Call:
        return self.witness.call

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def happens(self, happening: h.Happening) -> None:
        self._do(self.witness.advance(happening))

    def doubt(self) -> None:
        self.news.append(h.OutcomeUnknown(self.at, "in doubt"))

    # -- orders -------------------------------------------------------------------------------------------

    def _do(self, orders: tuple[o.Order, ...]) -> None:
        for order in orders:
            if (
                self.faulty
                and not isinstance(order, o.Tell | o.LookUp | o.FetchRecording)
                and self.chance(0.1)
            ):
                self.doubt()  # the answer is lost, and perhaps the order too
                if self.chance(0.5):
                    continue
            self._carry_out(order)

    def _carry_out(self, order: o.Order) -> None:
        at = self.at
        match order:
            case o.LookUp():
                found = h.CustomerFound(at, "Anna", self.random.choice((*CODES, None)))
                self.news.append(h.CustomerUnknown(at) if self.chance(0.3) else found)
            case o.OpenBridge():
                self.bridge = self.bridge or set()
            case o.CloseBridge():
                self.bridge, self.recording = None, False
            case o.Ring(leg) if self.chance(0.1):
                self.news.append(h.LegRefused(at, leg, "no such endpoint"))
            case o.Ring(leg):
                self.channels[leg] = "Down"
                self.news.append(h.LegReady(at, leg))
            case o.Dial(leg) if leg not in self.channels or self.chance(0.05):
                self.news.append(h.LegRefused(at, leg, "cannot be dialled"))
            case o.Dial(leg):
                self.dialled.add(leg)
            case o.HangUp(channel):
                if channel in self.channels:
                    self.end(channel, 16)
                else:
                    self.doubt()
            case o.Answer(channel) if channel in self.channels:
                self.channels[channel] = "Up"
                self.news.append(h.CallerAnswered(at))
            case o.Join(_, channels):
                if self.bridge is None or not set(channels) <= set(self.channels):
                    self.doubt()
                else:
                    self.bridge |= set(channels)
            case o.Record() if not self.recording:
                if self.bridge is None or self.chance(0.1):
                    self.news.append(h.RecordingFailed(at, "no folder"))
                else:
                    self.recording = True
            case o.StopRecording():
                self.recording = False
                self.news.append(h.RecordingFinished(at))
            case o.FetchRecording():
                stored = h.RecordingStored(at, "file.wav", 3.0)
                self.news.append(h.RecordingFailed(at, "gone") if self.chance(0.2) else stored)
            case o.SendToDialplan(channel) if channel in self.channels:
                self.in_dialplan = True
                self.bridge = self.bridge and self.bridge - {channel}
            case o.AskPbx(channels):
                self.news.append(self._facts(channels))

    def _facts(self, asked: tuple[str, ...]) -> h.PbxSaid:
        bridged = self.bridge or set()
        facts = tuple(
            h.ChannelFact(ident, self.channels[ident], ident in bridged, self.members.get(ident), "101")
            for ident in asked
            if ident in self.channels
        )
        return h.PbxSaid(self.at, asked, facts, self.recording, self.at, self.restarted)

    # -- people -------------------------------------------------------------------------------------------

    def end(self, channel: str, cause: int) -> None:
        """A channel ends."""
        del self.channels[channel]
        self.bridge = self.bridge and self.bridge - {channel}
        ended = h.LegEnded(self.at, channel, cause)
        self.news.append(h.CallerEnded(self.at, cause) if channel == CALLER else ended)

    def restart(self) -> None:
        """The PBX is started anew: everything on it is gone, and nobody said so."""
        self.channels.clear()
        self.news.clear()
        self.bridge, self.recording, self.restarted = None, False, True
        self.doubt()

    def live(self) -> None:
        """Let somebody do something, or some news arrive."""
        self.at += self.random.choice((0.0, 0.05, 1.0, 5.0))
        deed = self.random.randrange(10)
        if deed < 4:
            self.hear()
        elif deed < 6:
            self.timer()
        elif deed < 9:
            self.person(self.random.choice((CALLER, *sorted(self.dialled))))
        elif self.chance(0.1):
            self.happens(h.ServiceStopping(self.at))
        elif self.faulty and self.chance(0.1):
            self.restart()
        elif self.faulty and self.chance(0.3):
            self.doubt()

    def person(self, channel: str) -> None:
        """Somebody at a telephone does something."""
        if channel not in self.channels:
            return
        if channel == CALLER:
            self.caller()
        elif self.call.leg(channel) in [leg for leg in self.call.legs if leg.role is Role.QUEUE]:
            self.queue(channel)
        elif self.channels[channel] == "Up" or self.chance(0.3):
            self.end(channel, self.random.choice((16, 17, 20, 21)))
        elif self.chance(0.5):
            self.channels[channel] = "Ringing"
            self.news.append(h.LegRinging(self.at, channel))
        else:
            self.channels[channel] = "Up"
            self.news.append(h.LegAnswered(self.at, channel))

    def caller(self) -> None:
        if self.in_dialplan and self.chance(0.3):
            self.channels[CALLER] = "Up"
            self.news.append(h.CallerAnswered(self.at))
        elif self.in_dialplan and self.chance(0.3):
            self.in_dialplan = False
            self.news.append(h.CallerReturned(self.at))
        elif self.chance(0.15):
            self.end(CALLER, self.random.choice((16, 16, 38)))

    def queue(self, channel: str) -> None:
        code = self.random.choice((*CODES, None))
        member = f"PJSIP/{code or 'anna'}-0000002a"
        if channel in self.members or self.chance(0.15):
            self.end(channel, 16)
        elif self.chance(0.6):
            self.news.append(h.MemberRung(self.at, channel, member, code))
        elif self.chance(0.4):
            self.news.append(h.MemberEnded(self.at, channel, member, self.random.choice(("BUSY", "CANCEL"))))
        else:
            self.members[channel], self.channels[channel] = member, "Up"
            self.news.append(h.LegAnswered(self.at, channel))
            self.news.append(h.MemberAnswered(self.at, channel, member, code))

    def hear(self) -> None:
        """The call hears the next news; of a faulty PBX in any order, repeated or not at all."""
        if not self.news:
            return
        if not self.faulty:
            self.happens(self.news.pop(0))
            return
        news = self.news.pop(self.random.randrange(len(self.news)))
        if isinstance(news, h.PbxSaid | h.RecordingStored | h.RecordingFailed | h.OutcomeUnknown):
            self.happens(news)  # these don't come through the event stream
        elif not self.chance(0.1):
            self.happens(news)
            if self.chance(0.1):
                self.happens(news)

    def _look_at_the_talk(self) -> None:
        """Who talks is up and together in the bridge, when all has been heard."""
        if self.call.stage is Stage.TALKING:
            assert self.channels[CALLER] == self.channels[self.call.talker_leg or ""] == "Up"
            assert self.bridge == {CALLER, self.call.talker_leg}
            assert self.recording or self.call.recording.state is not RecordingState.RUNNING

    def timer(self) -> None:
        timer = self.call.next_timer
        if timer is not None:
            self.at = max(self.at, timer.due)
            self.happens(h.TimerExpired(self.at, timer.name))

    def come_to_an_end(self) -> None:
        """The caller hangs up at last, everything else is heard and every deadline passes."""
        lost_news, self.faulty = self.faulty, False
        for _ in range(3):
            if lost_news:
                self.doubt()
            self.hear_all()
        self._look_at_the_talk()
        if CALLER in self.channels:
            self.end(CALLER, 16)
        for _ in range(12):
            if lost_news:
                self.doubt()
            self.hear_all()
            if self.call.over:
                return
            self.timer()

    def hear_all(self) -> None:
        """Hear all the news, and what comes of them; it must come to rest."""
        for _ in range(300):
            if not self.news or self.call.over:
                return
            self.hear()
        raise AssertionError("one doubt leads to another, for ever")


@settings(steady, max_examples=200)
@given(st.randoms(use_true_random=False), st.integers(0, 80))
def test_a_fair_pbx_always_brings_the_call_to_its_end_and_nothing_outlives_it(
    random: Random, steps: int
) -> None:
    pbx = SimulatedPbx(random, faulty=False)
    for _ in range(steps):
        pbx.live()
    pbx.come_to_an_end()
    assert pbx.call.over
    assert pbx.channels == {}
    assert pbx.bridge is None
    assert not pbx.recording


@settings(steady, max_examples=200)
@given(st.randoms(use_true_random=False), st.integers(0, 80))
def test_a_pbx_that_loses_orders_and_news_is_made_up_for_by_asking_it(random: Random, steps: int) -> None:
    pbx = SimulatedPbx(random, faulty=True)
    for _ in range(steps):
        pbx.live()
    pbx.come_to_an_end()
    assert pbx.call.over
    assert pbx.channels == {}


# -- the model as a whole ---------------------------------------------------------------------------------


def test_the_stages_change_as_the_diagram_shows() -> None:
    seen: set[tuple[Stage | None, Stage]] = set()
    for seed in range(600):
        pbx = SimulatedPbx(Random(seed), faulty=seed % 2 == 1)
        for _ in range(60):
            pbx.live()
        pbx.come_to_an_end()
        seen |= pbx.witness.changes
    assert seen == set(CHANGES)


@pytest.mark.parametrize("kinds", [HAPPENINGS, ORDERS], ids=["happenings", "orders"])
def test_every_happening_and_order_has_a_name_of_its_own(kinds: tuple[type, ...]) -> None:
    assert len({kind.__name__ for kind in kinds}) == len(kinds)


def test_every_move_is_about_a_happening_and_says_what_it_does() -> None:
    for (stage, happening), move in MOVES.items():
        assert happening in HAPPENINGS
        assert move.__doc__, (stage, happening)
    first = {h.CallArrived, h.CallDialled, h.CallClicked}
    assert set(HAPPENINGS) - {happening for _, happening in MOVES} == first
