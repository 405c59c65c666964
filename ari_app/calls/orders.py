"""What a call can ask for. What comes of an order is reported back as a happening."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, assert_never

from ari_app.calls.call import Direction, Source
from ari_app.calls.outcome import Ending


class HangUpReason(StrEnum):
    """Why a channel is hung up, in ARI's words; they become the SIP answer that a phone or trunk sees."""

    NORMAL = "normal"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    ANSWERED_ELSEWHERE = "answered_elsewhere"


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the CRM which customer has this number (E.164)."""

    number: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow a channel to its end, also when it leaves our application."""

    channel: str


@dataclass(frozen=True, slots=True)
class Ringback:
    """Let the caller hear ringing."""

    channel: str


@dataclass(frozen=True, slots=True)
class PassOver:
    """Don't ring these extensions: their managers are busy. For the journal; nobody has to do anything."""

    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindTelephones:
    """Ask the PBX, by one of the call's channels, for the telephones of these extensions.

    `attempt` is the index of the destination for which they are rung; -1: the manager who asked for a call.
    """

    channel: str
    attempt: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlayRinging:
    """Let the bridge hear ringing, until told to stop: the PBX makes none for a channel that is up."""

    bridge: str
    name: str


@dataclass(frozen=True, slots=True)
class StopPlaying:
    """Let the ringing end."""

    name: str


@dataclass(frozen=True, slots=True)
class OpenBridge:
    """Make the call's bridge."""

    bridge: str


@dataclass(frozen=True, slots=True)
class Ring:
    """Make a leg; once it is ready it is dialled. `far_id` names the other half of a Local channel.

    `name` and `number` are what the phone shows of the caller.
    """

    leg: str
    endpoint: str
    name: str
    number: str
    originator: str | None = None
    far_id: str | None = None
    inbound: bool = False
    """Whether a customer who calls is led to it."""
    code: str | None = None
    """The extension under which a colleague may pick it up."""


@dataclass(frozen=True, slots=True)
class Originate:
    """Let AJAM place the call: ring the manager's phone, and send it into the dialplan when it answers.

    `name` and `number` are what the phone shows; it rings for at most so many seconds.
    """

    leg: str
    endpoint: str
    name: str
    number: str
    context: str
    exten: str
    priority: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FindFarHalf:
    """Find and watch the channel that is the other half of a Local channel that isn't of our making.

    `channel` is the near half, where it is a member's and so isn't named as the leg is.
    """

    leg: str
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Dial:
    """Let a leg ring for at most so many seconds (none: as long as the dialplan behind it wants)."""

    leg: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Join:
    """Put channels into the call's bridge."""

    bridge: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowCustomer:
    """Let a channel show the customer, as those do which we ring (`Ring`)."""

    leg: str
    name: str
    number: str


@dataclass(frozen=True, slots=True)
class PassKeys:
    """Let what a party presses through to the others in the bridge, or keep it from them."""

    bridge: str
    channel: str
    through: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the caller."""

    channel: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Hang a channel up; one that is gone already counts as hung up."""

    channel: str
    reason: HangUpReason = HangUpReason.NORMAL


@dataclass(frozen=True, slots=True)
class Listen:
    """Make a channel that hears what another says and hears; it can record once it is ready."""

    channel: str
    recorder: str


@dataclass(frozen=True, slots=True)
class Record:
    """Record a channel from now on, behind what was recorded before."""

    name: str
    channel: str = ""
    """Empty only in journals of an earlier version, which recorded the bridge."""


@dataclass(frozen=True, slots=True)
class StopRecording:
    """Close the recording's file and keep it."""

    name: str


@dataclass(frozen=True, slots=True)
class FetchRecording:
    """Bring the finished recording into our store and remove it from the PBX.

    `closed` is what the PBX is known to write no more; else it is asked before.
    """

    name: str
    closed: bool = False


@dataclass(frozen=True, slots=True)
class CloseBridge:
    """Remove the call's bridge."""

    bridge: str


@dataclass(frozen=True, slots=True)
class SendToDialplan:
    """Let the caller go on in the shop's own dialplan."""

    channel: str
    context: str
    exten: str
    priority: int


@dataclass(frozen=True, slots=True)
class AskPbx:
    """Ask the PBX which of these channels exist, and in which state."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WebAnalytics:
    """What the popup shows of the campaign that made the customer call."""

    campaign_name: str | None = None
    campaign_code: str | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class TellRinging:
    """Tell the CRM that these extensions are being rung (its ``in`` event), or call (``out``)."""

    at: float
    phone: str
    external: str | None
    codes: tuple[str, ...]
    direction: Direction = Direction.IN
    analytics: WebAnalytics | None = None


@dataclass(frozen=True, slots=True)
class TellHangup:
    """Tell the CRM that the call is over for the extensions that it was told of (its ``hangup`` event)."""

    at: float
    phone: str
    external: str | None
    codes: tuple[str, ...]
    ending: Ending


@dataclass(frozen=True, slots=True)
class TellResult:
    """Tell the CRM what the call was (its call history). Durations in whole seconds.

    `recording` is the name of a file of ours, `link` another address of the recording; `date` is the call's
    moment as the CRM shall show it, where that isn't `started_at`.
    """

    at: float
    started_at: float
    phone: str
    external: str | None
    code: str | None
    ending: Ending
    waiting: int
    talking: int
    recording: str | None
    direction: Direction = Direction.IN
    date: str | None = None
    link: str | None = None
    source: Source | None = None
    again: int = 0
    """How often the result was told before, and was wrong: the CRM takes another only as another call."""


@dataclass(frozen=True, slots=True)
class TellTask:
    """Give somebody of the CRM the task to call a missed customer back.

    `codes` are whose the customer is: the first who is a user of the CRM gets it. `missed_at` is when the
    customer called.
    """

    at: float
    phone: str
    external: str | None
    codes: tuple[str, ...]
    missed_at: float
    name: str | None = None


@dataclass(frozen=True, slots=True)
class TellTaskDone:
    """The customer was called back, or needn't be: the task that this call's customer has made is done."""

    at: float
    phone: str


@dataclass(frozen=True, slots=True)
class TellNotice:
    """Let people of the CRM see there that a customer was missed. The fields are those of `TellTask`."""

    at: float
    phone: str
    external: str | None
    codes: tuple[str, ...]
    missed_at: float
    name: str | None = None


@dataclass(frozen=True, slots=True)
class TellCustomer:
    """Let the CRM have a customer with a number that it didn't know, whose manager is who has answered.

    `code` is that manager's extension.
    """

    at: float
    phone: str
    external: str | None
    code: str


@dataclass(frozen=True, slots=True)
class TellWebhook:
    """Tell a program of the shop's what became of a missed customer: a word of `MissedEvent`.

    `at` is when that was, `missed_at` when they called in vain for the first time; `rung` are extensions with
    blanks between them; `by` is who called back, and `how` a word for that. What isn't known is empty.
    """

    at: float
    phone: str
    event: str
    missed_at: float = 0.0
    times: int = 0
    external: str = ""
    name: str = ""
    responsible: str = ""
    rung: str = ""
    by: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True)
class TellMail:
    """Write to somebody, at the address `to`, what became of a missed customer.

    The other fields are those of `TellWebhook`; of its events only `missed` and `lost` are written.
    """

    at: float
    phone: str
    event: str
    to: str
    missed_at: float = 0.0
    times: int = 0
    external: str = ""
    name: str = ""
    responsible: str = ""
    rung: str = ""


@dataclass(frozen=True, slots=True)
class TellAlert:
    """Tell the administrator that something fails for long, or that it is back.

    `event` is a word of `AlertEvent`, `way` one of `AlertWay`; `what` names what fails, `since` is when it
    began to. By e-mail it goes to one address, `to`.
    """

    at: float
    event: str
    what: str
    way: str
    since: float
    problem: str = ""
    to: str = ""


class AlertEvent(StrEnum):
    """What the administrator is told."""

    FAILS = "alert"
    BACK = "alert_over"


class AlertWay(StrEnum):
    """How the administrator is told."""

    CRM = "crm"
    WEBHOOK = "webhook"
    MAIL = "mail"


class MissedEvent(StrEnum):
    """What a program of the shop's is told of a missed customer."""

    MISSED = "missed"
    CALLED_BACK = "called_back"
    CLOSED = "closed"
    """Somebody has closed it in the cabinet, without a call."""
    LOST = "lost"


Tell: TypeAlias = (
    TellRinging
    | TellHangup
    | TellResult
    | TellTask
    | TellTaskDone
    | TellNotice
    | TellCustomer
    | TellWebhook
    | TellMail
    | TellAlert
)

Order: TypeAlias = (
    LookUp
    | Watch
    | Ringback
    | PassOver
    | FindTelephones
    | PlayRinging
    | StopPlaying
    | OpenBridge
    | Ring
    | Originate
    | FindFarHalf
    | Dial
    | Join
    | ShowCustomer
    | PassKeys
    | Answer
    | HangUp
    | Listen
    | Record
    | StopRecording
    | FetchRecording
    | CloseBridge
    | SendToDialplan
    | AskPbx
    | Tell
)

REPEATABLE = (
    *(LookUp, Watch, Ringback, PassOver, FindTelephones, FindFarHalf, AskPbx),
    *(HangUp, StopRecording, FetchRecording, CloseBridge, TellRinging, TellHangup, TellResult, TellCustomer),
)
"""Orders by which nothing comes to be on the PBX: they do no harm when they are given twice."""


def targets(order: Order) -> frozenset[str]:
    """Name all that an order is about: channels, a bridge, a recording or other sound, a number, extensions.

    An order has been given if one of its kind was given for each of its targets.
    """
    match order:
        case Watch() | Ringback() | PassKeys() | Answer() | HangUp() | SendToDialplan():
            return frozenset({order.channel})
        case Join() | AskPbx():
            return frozenset(order.channels)
        case Listen():
            return frozenset({order.recorder})
        case Ring() | Originate() | FindFarHalf() | Dial() | ShowCustomer():
            return frozenset({order.leg})
        case OpenBridge() | CloseBridge():
            return frozenset({order.bridge})
        case PlayRinging() | StopPlaying() | Record() | StopRecording() | FetchRecording():
            return frozenset({order.name})
        case LookUp():
            return frozenset({order.number})
        case PassOver() | FindTelephones() | TellRinging() | TellHangup():
            return frozenset(order.codes)
        case TellResult() | TellTask() | TellTaskDone() | TellNotice() | TellCustomer() | TellWebhook():
            return frozenset({order.phone})
        case TellMail():
            return frozenset({order.to})
        case TellAlert():
            return frozenset({order.what})
        case _:
            assert_never(order)
