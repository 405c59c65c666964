"""What can happen to a call. Each carries the moment (``at``, seconds since the epoch, UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ari_app.calls.call import Doing, TimerName, Way
from ari_app.calls.routing import Outside


@dataclass(frozen=True, slots=True)
class CallArrived:
    """A customer's channel entered our Stasis application."""

    at: float
    channel: str
    number: str | None
    external: str | None
    trial: str | None = None
    """The extension that an administrator tries out by a channel of ours; none when a customer calls."""
    name: str | None = None
    """What a trial shows as the caller's name, unless the CRM knows a better one."""


@dataclass(frozen=True, slots=True)
class CallDialled:
    """A manager's phone has dialled a number outside; its channel entered our Stasis application.

    `code` is none when the channel names no extension; `number` is the customer's in normal form.
    """

    at: float
    channel: str
    code: str | None
    number: str | None
    external: str | None
    outside: Outside


@dataclass(frozen=True, slots=True)
class CallClicked:
    """A manager has asked the CRM for a call (click-to-call). `way` is the one that is there."""

    at: float
    code: str
    number: str | None
    external: str | None
    outside: Outside
    way: Way


@dataclass(frozen=True, slots=True)
class WayBlocked:
    """The PBX can't be reached in the way that was chosen; nothing was done about this leg."""

    at: float
    leg: str
    problem: str


@dataclass(frozen=True, slots=True)
class CallerReturned:
    """The caller's channel entered our application again, out of the dialplan to which we had sent it."""

    at: float


@dataclass(frozen=True, slots=True)
class CustomerFound:
    """The CRM knows the number. `responsible` is the extension of the customer's manager, if there is one."""

    at: float
    name: str | None
    responsible: str | None


@dataclass(frozen=True, slots=True)
class CustomerUnknown:
    """The CRM doesn't know the number, or could not be asked (`problem` says why)."""

    at: float
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CallerAnswered:
    """The caller's channel is up: we answered it, or the dialplan did to which we sent it.

    When it is a manager's telephone that we rang, `code` is the extension that the channel names.
    """

    at: float
    code: str | None = None


@dataclass(frozen=True, slots=True)
class CallerEnded:
    """The caller's channel is gone. `cause` is Q.931, `sip` the SIP code where Asterisk tells it.

    `known_up_at` is set when nobody saw the end: the last moment at which the call was known to be up.
    """

    at: float
    cause: int
    known_up_at: float | None = None
    sip: int | None = None


@dataclass(frozen=True, slots=True)
class Telephones:
    """The telephones of an extension, as channels to make; none is registered when they are empty.

    They are none where the PBX can't say: then it is asked to ring the extension, and chooses one.
    """

    code: str
    endpoints: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class TelephonesFound:
    """The PBX has said which telephones some extensions have. `attempt` is as in the order."""

    at: float
    attempt: int
    telephones: tuple[Telephones, ...]


@dataclass(frozen=True, slots=True)
class LegForwarded:
    """A telephone forwards its calls (SIP 302) to `target`, which it doesn't ring: its leg ends.

    `inside` tells that the target is an extension of the account; `way` is how another one is dialled, none
    when it can't be.
    """

    at: float
    leg: str
    target: str
    context: str = ""
    """Where in the dialplan the telephone itself would dial."""
    inside: bool = False
    way: Outside | None = None


@dataclass(frozen=True, slots=True)
class LegReady:
    """A leg that we made has entered our application and can be bridged and dialled."""

    at: float
    leg: str


@dataclass(frozen=True, slots=True)
class LegRinging:
    """A phone rings."""

    at: float
    leg: str


@dataclass(frozen=True, slots=True)
class LegAnswered:
    """A leg is up. `code` is the extension that its channel names: another one's after a call pickup."""

    at: float
    leg: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class LegEnded:
    """A leg is gone. `cause` is Q.931, `sip` the SIP code where Asterisk tells it.

    `known_up_at` is set when nobody saw the end: the last moment at which the leg was known to be up.
    `up` tells that it had been answered, as the PBX shows it at its end.
    """

    at: float
    leg: str
    cause: int
    sip: int | None = None
    known_up_at: float | None = None
    up: bool = False


@dataclass(frozen=True, slots=True)
class LegRefused:
    """The PBX would not make or dial a leg: no such extension, or no way to it."""

    at: float
    leg: str
    problem: str


@dataclass(frozen=True, slots=True)
class PartyReplaced:
    """A channel has taken the place of a party of the call: a transfer, or a call pickup.

    `local` tells a channel into the dialplan, behind which somebody is rung (`target` is what it dials), from
    a telephone's own, which talks. `code` is the extension of the colleague who talks there already: after a
    call pickup, and when the manager had asked them before transferring.
    """

    at: float
    old: str
    channel: str
    local: bool
    target: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class FarHalfFound:
    """The other half of a Local channel that isn't of our making; it is watched from now on.

    `up` tells whether the near one is up, `member` the telephone with which the other half talks already, and
    `code` that one's extension; `does` what its dialplan does.
    """

    at: float
    leg: str
    channel: str
    up: bool = False
    member: str | None = None
    code: str | None = None
    does: Doing | None = None


@dataclass(frozen=True, slots=True)
class MemberRung:
    """Behind a Local leg the dialplan has dialled somebody: a queue's member, or the customer.

    `code` is none when the member is nobody of the account; `rings` tells whether the telephone is known to
    ring already. A member that is no telephone but a Local channel has its channel's id in `local`: whom the
    dialplan dials there hangs behind it.
    """

    at: float
    leg: str
    member: str
    code: str | None
    rings: bool = True
    local: str | None = None


@dataclass(frozen=True, slots=True)
class MemberAnswered:
    """Somebody behind a Local leg has answered: a telephone, or (`local`) the dialplan or one behind it."""

    at: float
    leg: str
    member: str
    code: str | None
    local: str | None = None


@dataclass(frozen=True, slots=True)
class MemberTransferred:
    """The member who talked behind a Local leg has transferred the customer blindly, to `target`."""

    at: float
    leg: str
    member: str
    target: str


@dataclass(frozen=True, slots=True)
class CustomerParked:
    """The PBX has taken the customer's own channel out of our bridge, into a parking lot.

    `member` is the telephone that sent it to `target`; both are empty when nobody saw it.
    """

    at: float
    leg: str
    member: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class CustomerStayed:
    """The customer is in our bridge still, or again: there was no place in the parking lot."""

    at: float


@dataclass(frozen=True, slots=True)
class MemberEnded:
    """Somebody behind a Local leg is no longer rung. `status` is the ``Dial`` status, such as BUSY.

    `forwarded` is the channel that the PBX rings in their place, because their telephone forwards its calls;
    `code` and `local` are that channel's.
    """

    at: float
    leg: str
    member: str
    status: str
    forwarded: str = ""
    code: str | None = None
    local: str | None = None


@dataclass(frozen=True, slots=True)
class DialplanDoes:
    """The dialplan behind a Local leg has come to something that lasts."""

    at: float
    leg: str
    does: Doing


@dataclass(frozen=True, slots=True)
class FarHalfEnded:
    """The half of a Local leg that runs the dialplan is gone, with a cause that tells more than that.

    The near half has the same cause, unless Asterisk 16 loses it: where the dialplan refuses at once, the
    near half may be gone before it has read the cause, and says 16 (normal clearing).
    """

    at: float
    leg: str
    cause: int
    sip: int | None = None


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """Somebody has pressed a key (``0`` to ``9``, ``*``, ``#``) of a telephone that talks."""

    at: float
    channel: str
    key: str


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """A deadline has passed."""

    at: float
    timer: TimerName


@dataclass(frozen=True, slots=True)
class RecorderReady:
    """The channel that listens to the customer's has entered our application and can record."""

    at: float


@dataclass(frozen=True, slots=True)
class RecorderEnded:
    """The channel that listened to the customer's is gone."""

    at: float


@dataclass(frozen=True, slots=True)
class RecordingFinished:
    """The PBX has closed the recording's file, or no longer records."""

    at: float


@dataclass(frozen=True, slots=True)
class RecordingFailed:
    """The PBX could not record, or the file could not be had; `problem` says why."""

    at: float
    problem: str


@dataclass(frozen=True, slots=True)
class RecordingStored:
    """The recording is in our store under `file`; `seconds` is its length."""

    at: float
    file: str
    seconds: float


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """We don't know what became of a request, or missed events: the PBX has to be asked what is true."""

    at: float
    why: str
    dialling: str | None = None
    """The leg of which we don't know whether it was dialled."""


@dataclass(frozen=True, slots=True)
class ChannelFact:
    """A channel that exists. `state` is Asterisk's word: Down, Ring, Ringing, Up ..."""

    id: str
    state: str
    bridged: bool
    member: str | None = None
    """For a leg into the dialplan: the channel of the telephone that it talks to."""
    code: str | None = None
    """The extension of that member."""
    in_stasis: bool = False
    """Whether it is in a Stasis application, not in the dialplan."""
    answered_at: float | None = None
    """When it was answered (or the member's telephone), where the PBX was asked and knows."""
    left_at: float | None = None
    """When the other one of the two who talked left it, where the PBX was asked and knows."""
    away: bool = False
    """Of a customer who has talked: whether it is in a bridge that isn't the call's, or in the dialplan."""


@dataclass(frozen=True, slots=True)
class PbxSaid:
    """What the PBX says is true of the channels that we asked about; those not listed don't exist.

    `known_up_at` is the last moment at which we saw the call up; `restarted` tells that the PBX was started
    anew since, so that every channel of before is gone; `recording` whether it still records the call.
    `deaf` tells that nothing was heard since `known_up_at`: who isn't there any more may have talked before.
    """

    at: float
    asked: tuple[str, ...]
    channels: tuple[ChannelFact, ...]
    recording: bool
    known_up_at: float
    restarted: bool = False
    newcomers: tuple[PartyReplaced, ...] = ()
    """Channels in the call's bridge of which we had not heard; `old` is empty."""
    deaf: bool = False
    ends: tuple[LegEnded, ...] = ()
    """After a time when nothing was heard: what has ended since, before the PBX could say what is true."""
    recorded: bool = False
    """Whether there is a recording of a call of which we don't know that it was answered: it was, unheard."""


@dataclass(frozen=True, slots=True)
class HangUpAsked:
    """A person who watches the calls wants this one to end. `by` says who, as far as it is known."""

    at: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class ClockSet:
    """Somebody has set our clock, forward `by` so many seconds, or back; `at` is what it shows since."""

    at: float
    by: float


@dataclass(frozen=True, slots=True)
class ServiceStopping:
    """The service was told to stop; callers who still wait should not depend on its next start."""

    at: float


Happening: TypeAlias = (
    CallArrived
    | CallDialled
    | CallClicked
    | WayBlocked
    | CallerReturned
    | CustomerFound
    | CustomerUnknown
    | CallerAnswered
    | CallerEnded
    | TelephonesFound
    | LegForwarded
    | LegReady
    | LegRinging
    | LegAnswered
    | LegEnded
    | LegRefused
    | PartyReplaced
    | FarHalfFound
    | MemberRung
    | MemberAnswered
    | MemberTransferred
    | CustomerParked
    | CustomerStayed
    | MemberEnded
    | DialplanDoes
    | FarHalfEnded
    | KeyPressed
    | TimerExpired
    | RecorderReady
    | RecorderEnded
    | RecordingFinished
    | RecordingFailed
    | RecordingStored
    | OutcomeUnknown
    | PbxSaid
    | HangUpAsked
    | ClockSet
    | ServiceStopping
)
