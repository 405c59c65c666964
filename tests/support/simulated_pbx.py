"""A PBX that tells the truth: `SimulatedPbx` carries a call's orders out and says what comes of them.

What people do at their telephones is in `tests.support.people`. `faulty`, it loses, repeats and reorders
orders and news, and is started anew now and then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Call, RecordingState, Role, Stage, TimerName, Way
from tests.support.witness import (
    CALLER,
    CODES,
    NUMBER,
    START,
    Witness,
    random_busy,
    random_first,
    random_policy,
    random_telephones,
)

CLICKED, CLICKED_CUSTOMER = "c1-1", "c1-2"
_ERRANDS = (
    *(o.TellRinging, o.TellHangup, o.TellResult, o.LookUp, o.FetchRecording, o.FindFarHalf),
    o.FindTelephones,
)
_OWN_WORD = (
    *(h.PbxSaid, h.RecordingStored, h.RecordingFailed, h.OutcomeUnknown, h.FarHalfFound),
    h.TelephonesFound,
)
"""What doesn't come through the event stream, and so is never lost."""


@dataclass
class Channel:
    """A channel on the PBX; `role` is whose it is. Of a Local channel it is the near half."""

    role: Role
    state: str
    code: str | None = None
    """The extension of a telephone, or of the one who talks behind a Local channel, as we are told."""
    target: str | None = None
    dialled: bool = True
    """Whether anything goes on there by itself."""
    created: bool = False
    """We made it, so we hear of its end; somebody who takes its place takes that from us."""
    far: str | None = None
    member: str | None = None
    """Who talks behind a Local channel."""
    behind: str | None = None
    """That one's extension."""
    rung: dict[str, str | None] = field(default_factory=dict)
    """Who is rung behind it."""


class SimulatedPbx:
    """One call on a PBX."""

    def __init__(self, random: Random, faulty: bool) -> None:
        self.random, self.faulty, self.at = random, faulty, START
        self.channels: dict[str, Channel] = {}
        self.watched: set[str] = set()
        self.unwatched: list[str] = []
        self.bridge: set[str] | None = None
        self.lot: str | None = None
        """The customer's channel, if it was parked: there, or wherever it went from there."""
        self.listener: str | None = None
        """Whose channel is listened to by the one that is recorded."""
        self.recording = self.playing = self.in_dialplan = self.restarted = False
        self.news: list[h.Happening] = []
        self.newcomers = 0
        self.refused: dict[str, bool] = {}
        self.can_record = self.chance(0.9)
        self.busy = random_busy(random)
        policy = random_policy(random)
        first = random_first(random, NUMBER if self.chance(0.8) else None, policy.ajam)
        self.ari_is_away = isinstance(first, h.CallClicked) and self.chance(0.2)
        if isinstance(first, h.CallArrived):
            self.channels[CALLER] = Channel(Role.CALLER, "Ring")
        elif isinstance(first, h.CallDialled):
            self.channels[CALLER] = Channel(Role.MANAGER, "Ring", first.code)
        self.witness = Witness(policy, first, self.busy)
        self._do(self.witness.first_orders)

    @property
    def call(self) -> Call:
        return self.witness.call

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def happens(self, happening: h.Happening) -> None:
        if self.chance(0.1):
            self.busy = random_busy(self.random)
        self._do(self.witness.advance(happening, self.busy))

    def doubt(self) -> None:
        self.news.append(h.OutcomeUnknown(self.at, "in doubt"))

    # -- orders -------------------------------------------------------------------------------------------

    def _do(self, orders: tuple[o.Order, ...]) -> None:
        for order in orders:
            if self.faulty and not isinstance(order, _ERRANDS) and self.chance(0.1):
                self.doubt()  # the answer is lost, and perhaps the order too
                if self.chance(0.5):
                    self.unwatched += [order.channel] if isinstance(order, o.Watch) else []
                    continue
            self._carry_out(order)

    def _carry_out(self, order: o.Order) -> None:
        match order:
            case o.Ring() | o.Originate() | o.Dial() | o.HangUp() | o.Answer() | o.SendToDialplan():
                self._about_a_channel(order)
            case o.OpenBridge() | o.CloseBridge() | o.Join() | o.PlayRinging() | o.StopPlaying():
                self._about_the_bridge(order)
            case o.LookUp() if self.chance(0.7):
                found = h.CustomerFound(self.at, "Anna", self.random.choice((*CODES, None)))
                self.news.append(h.CustomerUnknown(self.at) if self.chance(0.3) else found)
            case o.Watch(channel):
                self._watch(channel)
            case o.FindTelephones(channel, attempt, codes) if self.chance(0.9):
                there = channel in self.channels
                telephones = tuple(
                    h.Telephones(code, random_telephones(self.random, code) if there else None)
                    for code in codes
                )
                self.news.append(h.TelephonesFound(self.at, attempt, telephones))
            case o.FindFarHalf(leg) if leg in self.channels:
                self._find(leg, self.channels[leg])
            case o.Listen(channel):
                if channel not in self.channels:
                    self.doubt()
                elif self.listener is None:
                    self.listener = channel
                    self.news.append(h.LegReady(self.at, self.call.recorder_id))
            case o.Record() if not self.recording:
                if self.listener is None:
                    self.doubt()
                elif not self.can_record:
                    self.news.append(h.RecordingFailed(self.at, "no folder"))
                else:
                    self.recording = True
            case o.FetchRecording():
                stored = h.RecordingStored(self.at, "file.wav", 3.0)
                self.news.append(h.RecordingFailed(self.at, "gone") if self.chance(0.2) else stored)
            case o.AskPbx(channels):
                again, self.unwatched = self.unwatched, []
                for channel in again:
                    if self._near(channel) is not None:
                        self.watched.add(channel)
                self.news.append(self._facts(channels))

    def _find(self, leg: str, near: Channel) -> None:
        """The other half of a Local channel is found, and watched from now on."""
        far = near.far or ""
        self.watched.add(far)
        near.code = near.behind if near.member else near.code
        found = h.FarHalfFound(self.at, leg, far, near.state == "Up", near.member, near.behind)
        self.news.append(found)

    def _about_a_channel(self, order: o.Order) -> None:
        at = self.at
        match order:
            case o.Ring(leg) if self.ari_is_away:
                self.ari_is_away = False
                self.news.append(h.WayBlocked(at, leg, "ARI is away"))
            case o.Ring(leg) | o.Originate(leg) if self.refused.setdefault(leg, self.chance(0.1)):
                self.news.append(h.LegRefused(at, leg, "no such endpoint"))
            case o.Ring(leg) if leg not in self.channels:
                self._make(leg, order.far_id)
                self.news.append(h.LegReady(at, leg))
            case o.Originate(leg) if leg not in self.channels:
                self.channels[leg] = Channel(Role.MANAGER, "Down", self.call.caller.code)
                self.watched.add(leg)
            case o.Dial(leg) if leg not in self.channels or self.chance(0.05):
                self.news.append(h.LegRefused(at, leg, "cannot be dialled"))
            case o.Dial(leg):
                self.channels[leg].dialled = True
            case o.HangUp(channel) if channel == self.call.recorder_id:
                self._hang_up_the_listener()
            case o.HangUp(channel) if channel in self.channels:
                self.end(channel, 16)
            case o.HangUp():
                self.doubt()
            case o.Answer(channel) if channel in self.channels:
                self.channels[channel].state = "Up"
                self.news.append(h.LegAnswered(at, channel))
            case o.SendToDialplan(channel) if channel in self.channels:
                self.in_dialplan = True
                self.bridge = self.bridge and self.bridge - {channel}

    def _hang_up_the_listener(self) -> None:
        there, self.listener = self.listener is not None, None
        if not there or self.call.recording.state is not RecordingState.RUNNING:
            self.news.append(h.RecorderEnded(self.at))
        if self.recording or not there:
            self.news.append(h.RecordingFinished(self.at))
        self.recording = False

    def break_off(self) -> None:
        """The channel that is recorded ends."""
        if self.recording:
            self.news.append(h.RecordingFinished(self.at))
        self.listener, self.recording = None, False

    def _make(self, ident: str, far: str | None) -> None:
        leg = self.call.party(ident)
        assert leg is not None
        role = Role.MANAGER if leg.role is Role.CALLER else leg.role
        self.channels[ident] = Channel(role, "Down", leg.code, dialled=False, created=True, far=far)

    def _about_the_bridge(self, order: o.Order) -> None:
        match order:
            case o.OpenBridge():
                self.bridge = self.bridge or set()
            case o.CloseBridge():
                self.bridge, self.playing = None, False
            case o.Join(_, channels):
                if self.bridge is None or not set(channels) <= set(self.channels) - {self.lot}:
                    self.doubt()  # nor can anybody be joined whom the PBX has taken out of our application
                else:
                    self.bridge |= set(channels)
            case o.PlayRinging():
                if self.bridge is None:
                    self.doubt()
                self.playing = self.bridge is not None
            case o.StopPlaying():
                self.playing = False

    def _watch(self, channel: str) -> None:
        if self._near(channel) is None:
            self.doubt()
        else:
            self.watched.add(channel)

    def _near(self, ident: str) -> Channel | None:
        """Find a channel by its id, or by that of its other half."""
        found = (one for near, one in self.channels.items() if ident in (near, one.far))
        return next(found, None)

    # -- what is true -------------------------------------------------------------------------------------

    def _facts(self, asked: tuple[str, ...]) -> h.PbxSaid:
        known = {self.call.caller.id, *(leg.id for leg in self.call.legs)}
        newcomers = () if self.by_ajam else sorted((self.bridge or set()) - known)
        return h.PbxSaid(
            self.at,
            asked,
            tuple(self._fact(ident) for ident in asked if self._exists(ident)),
            self.recording,
            self.at,
            self.restarted,
            tuple(self.newcomer(ident, "") for ident in newcomers),
        )

    def _exists(self, ident: str) -> bool:
        """By AJAM the customer's leg is there as long as the manager's channel."""
        if ident == self.call.recorder_id:
            return self.listener is not None
        return (CLICKED if self.by_ajam else ident) in self.channels

    def _fact(self, ident: str) -> h.ChannelFact:
        if ident == self.call.recorder_id:
            return h.ChannelFact(ident, "Up", bridged=False, in_stasis=True)
        if ident not in self.channels:
            return h.ChannelFact(ident, "Down", bridged=False)
        one = self.channels[ident]
        local = one.role in (Role.QUEUE, Role.TARGET, Role.CUSTOMER, Role.FORWARDED)
        asked = local and self.call.stage in (Stage.CALLING, Stage.RINGING, Stage.TRANSFERRING)
        parked = ident == self.lot
        asked = asked or (parked and self.call.away and self.call.stage is Stage.TRANSFERRING)
        return h.ChannelFact(
            ident,
            one.state,
            parked or ident in (self.bridge or set()),
            one.member if asked else None,
            one.behind if asked and one.member else one.code,
            in_stasis=not self.in_dialplan,
            away=parked and self.call.stage in (Stage.TALKING, Stage.TRANSFERRING),
        )

    def newcomer(self, ident: str, old: str) -> h.PartyReplaced:
        """Describe a channel that has taken another's place."""
        one = self.channels[ident]
        local = one.role is Role.TARGET
        return h.PartyReplaced(self.at, old, ident, local, one.target, None if one.member else one.code)

    @property
    def by_ajam(self) -> bool:
        return self.call.way is Way.AJAM

    @property
    def customer(self) -> str | None:
        """The customer's channel, if there is one."""
        if CALLER in self.channels and self.channels[CALLER].role is Role.CALLER:
            return CALLER
        lines = (ident for ident, one in self.channels.items() if one.role is Role.CUSTOMER)
        return next(lines, None)

    # -- ends ---------------------------------------------------------------------------------------------

    def end(self, ident: str, cause: int) -> None:
        """A channel ends."""
        gone = self.channels.pop(ident)
        self.bridge = self.bridge and self.bridge - {ident}
        if ident == self.listener:
            self.break_off()
        if ident == self.lot:
            self.lot = None
        if gone.created or ident in self.watched:
            self.news.append(h.LegEnded(self.at, ident, cause))
        if self.by_ajam and ident == CLICKED and CLICKED_CUSTOMER in self.channels:
            del self.channels[CLICKED_CUSTOMER]
            self.news.append(h.LegEnded(self.at, CLICKED_CUSTOMER, cause))

    def restart(self) -> None:
        """The PBX is started anew: everything on it is gone, and nobody said so."""
        self.channels.clear()
        self.news.clear()
        self.bridge, self.recording, self.playing, self.restarted = None, False, False, True
        self.listener = self.lot = None
        self.doubt()

    # -- what the call hears ------------------------------------------------------------------------------

    def hear(self) -> None:
        """The call hears the next news; of a faulty PBX in any order, repeated or not at all."""
        if not self.news:
            return
        if not self.faulty:
            self.happens(self.news.pop(0))
            return
        news = self.news.pop(self._next())
        if isinstance(news, _OWN_WORD):
            self.happens(news)
        elif isinstance(news, h.PartyReplaced):
            if self.chance(0.6) or news.channel not in (self.bridge or ()):
                self.happens(news)
                return
            legs = (self.call.caller, *self.call.our_legs)
            self.happens(self._facts(tuple(leg.id for leg in legs if leg.alive)))  # connected again
        elif not self.chance(0.1):
            self.happens(news)
            if self.chance(0.1):
                self.happens(news)

    def _next(self) -> int:
        """Any of the news; but nobody is known to be gone before their place was known to be taken."""
        chosen = self.random.randrange(len(self.news))
        if not isinstance(self.news[chosen], h.LegEnded | h.PbxSaid):
            return chosen
        replaced = (index for index, news in enumerate(self.news) if isinstance(news, h.PartyReplaced))
        return next(replaced, chosen)

    def hear_all(self) -> None:
        """Hear all the news, and what comes of them; it must come to rest."""
        for _ in range(300):
            if not self.news or self.call.over:
                return
            self.hear()
        raise AssertionError("one doubt leads to another, for ever")

    def timer(self) -> None:
        timer = self.call.next_timer
        if timer is not None:
            self.at = max(self.at, timer.due)
            self.happens(h.TimerExpired(self.at, timer.name))

    # -- what must be true when all is heard --------------------------------------------------------------

    def look(self) -> None:
        """Nobody is forgotten, nobody sits alone in silence, and who talks is the one who is named."""
        call = self.call
        alive = {leg.id for leg in (call.caller, *call.our_legs) if leg.alive}
        assert set(self.channels) <= alive, "a channel of which the call knows nothing"
        if self.by_ajam:
            return
        bridge = self.bridge or set()
        match call.stage:
            case Stage.TALKING | Stage.TRANSFERRING if call.away:
                assert self.lot == self.customer
                assert self.customer not in bridge
                talks = self.channels[self.customer or ""].member is not None
                assert talks == (call.stage is Stage.TALKING)
                if talks and not self.lost_news:
                    assert call.talker == self.channels[self.customer or ""].behind
            case Stage.TALKING:
                assert bridge == {self.customer, call.talker_leg}
                assert {self.channels[one].state for one in bridge} == {"Up"}
                assert not self.playing
                self._look_at_the_talker()
            case Stage.TRANSFERRING:
                assert bridge == {self.customer, call.talker_leg}
                assert self.channels[self.customer or ""].state == "Up"
                assert self.channels[call.talker_leg or ""].member is None, "they talk already"
            case Stage.RINGING if len(bridge) == 1:
                assert bridge == {call.waiter.id}
                assert self.playing or call.answered_at is None, "the customer waits in silence"
            case Stage.ENDING:
                assert not bridge
        if call.stage in (Stage.TALKING, Stage.TRANSFERRING):
            broken_off = call.is_due(TimerName.RECORDER, math.inf)
            assert self.recording == (call.recording.state is RecordingState.RUNNING and not broken_off)

    def _look_at_the_talker(self) -> None:
        talker = self.channels[self.call.talker_leg or ""]
        if not self.restarted and talker.code is not None and not self.lost_news:
            assert self.call.talker == talker.code, "who talks is named"

    lost_news = False
    """Whether something may have been missed."""
