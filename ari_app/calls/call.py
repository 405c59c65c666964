"""What a call is: frozen, serialisable values.

Times are seconds since the epoch (UTC, float); durations are seconds; customers' numbers are E.164 where they
could be read as such; ``code`` is a manager's extension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from ari_app.calls.outcome import Ending, LegResult
from ari_app.calls.routing import Destination, Dialplan, Outside, People, Policy
from ari_app.calls.values import replace


class Stage(StrEnum):
    """Where a call stands.

    ``calling``: the manager's own phone is rung first (click-to-call). ``transferring``: the customer waits
    for the person to whom a manager has transferred them. ``dialplan``: handed on, followed to its end.
    ``ending``: nobody talks now.
    """

    ARRIVING = "arriving"
    CALLING = "calling"
    RINGING = "ringing"
    TALKING = "talking"
    TRANSFERRING = "transferring"
    DIALPLAN = "dialplan"
    ENDING = "ending"
    ENDED = "ended"


class Direction(StrEnum):
    """Who began the call, as the CRM names it."""

    IN = "in"
    OUT = "out"


class Way(StrEnum):
    """Who runs the call: we by ARI; the dialplan, where AJAM placed a call of ours because ARI couldn't; or a
    dialplan of the shop's own, which only reports what happens (`ari_app.calls.reported`).
    """

    ARI = "ARI"
    AJAM = "AJAM"
    REPORTED = "reported"


class Role(StrEnum):
    """Which party a leg leads to.

    ``caller`` is the channel with which the call began: the customer's, or the manager's in an outgoing call.
    ``customer`` (to a number outside), ``queue``, ``target`` (to whom somebody was transferred) and
    ``forwarded`` (to where a manager's telephone forwards its calls) are Local channels into the dialplan;
    each party that it dials there hangs behind them as ``member``. ``recorder`` is no party: a channel that
    listens to the customer's.
    """

    CALLER = "caller"
    CUSTOMER = "customer"
    MANAGER = "manager"
    QUEUE = "queue"
    TARGET = "target"
    FORWARDED = "forwarded"
    MEMBER = "member"
    RECORDER = "recorder"


LOCAL_ROLES = frozenset({Role.CUSTOMER, Role.QUEUE, Role.TARGET, Role.FORWARDED})
"""Legs behind which the dialplan dials."""


class Doing(StrEnum):
    """What the dialplan does behind a Local channel, as far as it lasts."""

    DIALS = "dials"
    QUEUES = "queues"
    """It dials again and again."""
    SPEAKS = "speaks"
    """It plays something, records, or asks for keys: voicemail, an announcement, a menu."""
    WAITS = "waits"
    MEETS = "meets"
    """It brings together who are there already: a conference, a parking lot."""
    BUSY = "busy"
    """It plays a busy tone until the other side hangs up."""
    REFUSES = "refuses"
    """It plays the tone of a network that has no way there."""


class LegState(StrEnum):
    """How far a leg has come; ``leaving`` means that we asked for its hang-up."""

    PLACED = "placed"
    DIALLED = "dialled"
    RINGING = "ringing"
    UP = "up"
    LEAVING = "leaving"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Leg:
    """One channel of the call. `attempt` is the index of the destination that it serves."""

    id: str
    role: Role
    state: LegState
    at: float
    """When the leg came to its state."""
    code: str | None = None
    attempt: int = -1
    result: LegResult | None = None
    joined: bool = False
    rang: bool = False
    began_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    target: str | None = None
    """What was dialled to reach it: a number outside, or whatever a manager transferred the customer to."""
    far: str | None = None
    """The channel of a Local channel's other half: what the dialplan dials behind it, it dials."""
    local: str | None = None
    """Of a member that is no telephone but a Local channel: its channel, as it was dialled last."""
    does: Doing | None = None
    """What the dialplan does behind it, as far as it is known."""
    refusal: LegResult | None = None
    """Why the dialplan behind it has ended the call, where the leg itself may not tell."""
    endpoint: str | None = None
    """What is rung, where that is more than the extension says: one of its telephones, or a way outside."""
    via: tuple[str, ...] = ()
    """The extensions whose telephones have forwarded the call to this leg, one after another."""

    def moved(self, by: float) -> Leg:
        """Put all its moments so many seconds later."""
        moments = (self.began_at, self.answered_at, self.ended_at)
        began_at, answered_at, ended_at = (None if one is None else one + by for one in moments)
        return replace(self, at=self.at + by, began_at=began_at, answered_at=answered_at, ended_at=ended_at)

    @property
    def alive(self) -> bool:
        """Whether the channel may still exist."""
        return self.state is not LegState.GONE

    @property
    def pending(self) -> bool:
        """Whether the leg may still be answered."""
        return self.state in (LegState.PLACED, LegState.DIALLED, LegState.RINGING)

    @property
    def leads_on(self) -> bool:
        """Whether it is a Local channel, behind which the dialplan may dial."""
        return self.role in LOCAL_ROLES or self.far is not None or self.local is not None

    @property
    def far_id(self) -> str:
        """The other half of a Local channel, the one that runs the dialplan."""
        return self.far or f"{self.id}-2"

    @property
    def waiting(self) -> float:
        """Seconds from the leg's beginning until it was answered, or ended; 0 while neither is so."""
        until = self.answered_at if self.answered_at is not None else self.ended_at
        return max(0.0, until - self.began_at) if until is not None and self.began_at is not None else 0.0

    @property
    def talking(self) -> float:
        """Seconds from the leg's answer to its end; 0 without either."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, self.ended_at - self.answered_at)


class RecordingState(StrEnum):
    """How far the recording has come."""

    NONE = "none"
    RUNNING = "running"
    FINISHED = "finished"
    STORED = "stored"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Recording:
    """The one recording of the call: what the customer says and hears, from the first answer to the end.

    `file` is its name in our store, `seconds` its length.
    """

    state: RecordingState = RecordingState.NONE
    started_at: float | None = None
    file: str | None = None
    seconds: float | None = None
    problem: str | None = None

    @property
    def awaited(self) -> bool:
        """Whether a file may still come."""
        return self.state in (RecordingState.RUNNING, RecordingState.FINISHED)


class TimerName(StrEnum):
    """What a call may be waiting for."""

    LOOK_UP = "look-up"
    RING = "ring"
    ROUND = "round"
    TELEPHONES = "telephones"
    SILENT = "silent"
    RECORDING = "recording"
    RECORDER = "recorder"
    REPORT = "report"
    KEYS = "keys"
    VAIN = "vain"
    PARKER = "parker"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Timer:
    """A deadline. It is part of the call, so it survives a restart."""

    name: TimerName
    due: float


@dataclass(frozen=True, slots=True)
class Sought:
    """An extension whose telephones the PBX was asked for, by a channel; `via` is as a leg's."""

    code: str
    channel: str
    via: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Where a call came from, as the shop's own advertising knows it."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    keyword: str | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True)
class AsGiven:
    """What a dialplan of the shop's own said of a call's end that is passed on as it was given.

    `date` is ``YYYY-MM-DD HH:MM:SS`` without a zone, `link` where the shop keeps the recording itself.
    """

    date: str | None = None
    link: str | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call between a customer and the shop, from its first ring to its last report."""

    id: str
    account: str
    stage: Stage
    direction: Direction
    started_at: float
    caller: Leg
    number: str | None
    """The customer's number; none when it is withheld."""
    external: str | None
    """The shop's number that was called, or from which the customer is called."""
    policy: Policy
    way: Way = Way.ARI
    clicked: bool = False
    """The call was begun in the CRM: the manager's phone is rung first."""
    known: bool = False
    """Whether the CRM knows the number."""
    name: str | None = None
    """The customer's name as the CRM knows it."""
    responsible: str | None = None
    destinations: tuple[Destination, ...] = ()
    attempt: int = -1
    """Index of the destination that is being tried."""
    legs: tuple[Leg, ...] = ()
    told: tuple[str, ...] = ()
    """Extensions that the CRM was told of: that they are rung, or that they call."""
    passed_over: tuple[str, ...] = ()
    """Extensions that were not rung because their managers were busy."""
    absent: tuple[str, ...] = ()
    """Extensions that were not rung because no telephone of theirs is registered."""
    sought: tuple[Sought, ...] = ()
    """Whose telephones the PBX was asked for; they are rung when it has answered."""
    round: tuple[str, ...] = ()
    """Queue members rung in this round; the CRM will be told of them in a moment."""
    bridge_open: bool = False
    plays_ringing: bool = False
    """Ringing is played into the bridge."""
    played_ringing: bool = False
    """Ringing was played into the bridge at some time."""
    keys: str = ""
    """The keys that the manager has pressed, as far as they may become a transfer."""
    keys_kept: bool = False
    """What the customer presses reaches nobody in the bridge."""
    handed_on: bool = False
    """The caller was sent on into the shop's dialplan."""
    sent_to: Dialplan | None = None
    """The place in the dialplan to which the caller was sent."""
    meets: bool = False
    """The caller who was sent on came to where people may talk without our hearing of it."""
    left_to_dialplan: bool = False
    """The customer hears what the dialplan says behind a leg: voicemail, an announcement, a menu."""
    talker_leg: str | None = None
    """The channel of the manager who talks or talked with the customer."""
    talker: str | None = None
    """Extension of the manager who talks, or who talked last."""
    first_talker: str | None = None
    """Extension of the manager who answered first; differs from `talker` after a transfer."""
    answered_at: float | None = None
    """When the first person answered, or the dialplan to which the caller was sent on."""
    talked: float | None = None
    """Seconds of talk with people before `talk_began`; none where only the call's begin and end are known."""
    talk_began: float | None = None
    """When the present talk, or the last one, began; none while the customer waits for the next one."""
    ended_at: float | None = None
    ending: Ending | None = None
    in_doubt: bool = False
    """Somebody may have answered while nothing was heard: unless somebody does, it is never known."""
    end_unseen: bool = False
    """Nobody saw the end; `ended_at` is an estimate until the recording's length is known."""
    reported: bool = False
    """The CRM was told the result, or there was nobody to tell it of."""
    recording: Recording = field(default_factory=Recording)
    recorder: Leg | None = None
    """The channel that listens to the customer's; none in a call of before, whose bridge was recorded."""
    as_given: AsGiven | None = None
    """Only of a call that a dialplan of the shop's own reports."""
    reporter: str | None = None
    """The address from which that was reported which begins the call; empty if it came from several."""
    ended_by: str | None = None
    """The address from which the end was reported that counts."""
    hangup_told: bool = False
    """The CRM was told that a reported call is over."""
    retold: int = 0
    """How often a reported call's result was told and then corrected."""
    timers: tuple[Timer, ...] = ()
    trial: str | None = None
    """The extension that an administrator tries out: no customer calls, and nothing of it counts."""

    @property
    def over(self) -> bool:
        """Whether everything about the call is done."""
        return self.stage is Stage.ENDED

    @property
    def destination(self) -> Destination | None:
        """The destination that is being tried."""
        return self.destinations[self.attempt] if 0 <= self.attempt < len(self.destinations) else None

    def moved(self, by: float) -> Call:
        """Put all its moments so many seconds later, because the clock was set: it is as old as before."""

        def later(moment: float | None) -> float | None:
            return None if moment is None else moment + by

        return replace(
            self,
            started_at=self.started_at + by,
            answered_at=later(self.answered_at),
            talk_began=later(self.talk_began),
            ended_at=later(self.ended_at),
            caller=self.caller.moved(by),
            legs=tuple(leg.moved(by) for leg in self.legs),
            recording=replace(self.recording, started_at=later(self.recording.started_at)),
            recorder=None if self.recorder is None else self.recorder.moved(by),
            timers=tuple(replace(timer, due=timer.due + by) for timer in self.timers),
        )

    @property
    def known_at(self) -> float:
        """The last moment of which the call itself tells: it was alive then."""
        moments = (self.started_at, self.answered_at, self.talk_began, self.caller.at)
        return max((*(one for one in moments if one is not None), *(leg.at for leg in self.legs)))

    @property
    def next_timer(self) -> Timer | None:
        """The timer that is due first."""
        return min(self.timers, key=lambda timer: timer.due, default=None)

    @property
    def bridge_id(self) -> str:
        """The bridge's id is the call's."""
        return self.id

    @property
    def recording_name(self) -> str:
        """The recording's name on the PBX is the call's id."""
        return self.id

    @property
    def recorder_id(self) -> str:
        """The channel that is made to record the customer's."""
        return f"{self.id}-recorder"

    @property
    def customer(self) -> Leg | None:
        """The customer's leg: the caller's, or the one to the customer in an outgoing call."""
        if self.direction is Direction.IN:
            return self.caller
        legs = (leg for leg in reversed(self.legs) if leg.role is Role.CUSTOMER)
        return next(legs, None)

    @property
    def away(self) -> bool:
        """Whether the PBX has taken the customer's own channel out of our bridge: it was parked.

        What the dialplan does with it, it does itself: it is its own far half.
        """
        customer = self.customer
        there = self.stage in (Stage.TALKING, Stage.TRANSFERRING)
        return there and customer is not None and customer.far == customer.id

    @property
    def waiter(self) -> Leg:
        """The party that waits while others are rung: the caller, but the customer after a transfer."""
        customer = self.customer
        return customer if self.answered_at is not None and customer is not None else self.caller

    @property
    def outside(self) -> Outside | None:
        """The number that an outgoing call calls, and the line through which it goes out."""
        return next((place for place in self.destinations if isinstance(place, Outside)), None)

    @property
    def ringing_name(self) -> str:
        """The name of the ringing that is played into the bridge."""
        return f"{self.id}-ringing"

    @property
    def waiting(self) -> float:
        """Seconds from the first moment until somebody answered, or until the end."""
        until = self.answered_at if self.answered_at is not None else self.ended_at
        return max(0.0, until - self.started_at) if until is not None else 0.0

    @property
    def talking(self) -> float:
        """Seconds of talk with people; 0 for a call that nobody answered or that still goes on."""
        if self.talked is None or self.ended_at is None:
            return self.since_the_answer
        last = max(0.0, self.ended_at - self.talk_began) if self.talk_began is not None else 0.0
        return min(self.since_the_answer, self.talked + last)

    @property
    def since_the_answer(self) -> float:
        """Seconds from the first answer to the end: talk, and waiting after a transfer; 0 without either."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, self.ended_at - self.answered_at)

    @property
    def our_legs(self) -> Iterator[Leg]:
        """The legs beside the caller's that are ours to hang up: all but members behind Local channels."""
        return (leg for leg in self.legs if leg.role is not Role.MEMBER)

    def leads_outside(self, leg: Leg) -> bool:
        """Tell whether whom the dialplan dials behind a leg is the customer, not the shop."""
        return leg.role is Role.CUSTOMER and leg.far != leg.id

    def leg(self, leg_id: str) -> Leg | None:
        """Find a leg by its channel's id; the caller's is not among them."""
        return next((leg for leg in self.legs if leg.id == leg_id), None)

    def party(self, channel: str) -> Leg | None:
        """Find a leg by its channel's id, the caller's too."""
        return self.caller if channel == self.caller.id else self.leg(channel)

    def members(self, leg: Leg) -> tuple[Leg, ...]:
        """List those who were rung behind a Local leg, at any depth."""
        return tuple(one for one in self.legs if one.role is Role.MEMBER and one.id.startswith(f"{leg.id}/"))

    def with_leg(self, leg: Leg) -> Call:
        """Put a leg in place of the one with the same id, or behind the others."""
        if self.leg(leg.id) is None:
            return replace(self, legs=(*self.legs, leg))
        return replace(self, legs=tuple(leg if old.id == leg.id else old for old in self.legs))

    def with_timer(self, name: TimerName, due: float) -> Call:
        """Set a timer, or move it."""
        return replace(self, timers=(*self._timers_but(name), Timer(name, due)))

    def without_timer(self, name: TimerName) -> Call:
        """Clear a timer, set or not."""
        left = self._timers_but(name)
        return self if len(left) == len(self.timers) else replace(self, timers=left)

    def _timers_but(self, name: TimerName) -> tuple[Timer, ...]:
        return tuple(timer for timer in self.timers if timer.name is not name)

    @property
    def lasting_timers(self) -> tuple[Timer, ...]:
        """The timers that go on when the call comes to another stage before its end."""
        return tuple(timer for timer in self.timers if timer.name in (TimerName.RECORDER, TimerName.TRIAL))

    def is_due(self, name: TimerName, at: float) -> bool:
        """Tell whether a deadline is set and has passed."""
        return any(timer.name is name and timer.due <= at for timer in self.timers)

    def rings_alone(self, leg: Leg) -> bool:
        """Tell whether a phone is rung alone, so that the caller may hear its early media.

        One behind a Local channel is not: its dialplan may answer before a person does, and a bridge would
        pass that on. Nor is a phone of `chan_sip`: it passes on that it is busy or declines, and the caller
        would be hung up.
        """
        destination = self.destinations[leg.attempt]
        if leg.role is Role.MANAGER and self.policy.channel_format.upper().startswith("SIP/"):
            return False
        if isinstance(destination, People) and len(destination.codes) == 1 and not leg.leads_on:
            together = (one for one in self.our_legs if one.attempt == leg.attempt and one.alive)
            return all(one.id == leg.id for one in together)
        return isinstance(destination, Outside)
