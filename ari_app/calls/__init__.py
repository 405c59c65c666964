"""The call-state model: what a call is, what can happen to it, and what it asks for in return.

Pure Python over frozen values. No input or output, no asyncio, no clock: time enters as a value in the
happening (``at``, seconds since the epoch, UTC). The same `advance` serves a live call, a call resumed after
a crash, and a test.

Others take all that they use from here; how a call moves from stage to stage is this room's own business.
What can happen to a call and what it can ask for are many, and are taken as the modules `happenings` and
`orders`. A call that a dialplan of the shop's own runs begins and advances in `reported`.
"""

from ari_app.calls import happenings, orders, reported
from ari_app.calls.behind import NESTING, member_id
from ari_app.calls.call import (
    AsGiven,
    Call,
    Direction,
    Doing,
    Leg,
    LegState,
    RecordingState,
    Role,
    Source,
    Stage,
    Timer,
    TimerName,
    Way,
)
from ari_app.calls.flow import First, advance, begin, known_as
from ari_app.calls.happenings import ChannelFact, CustomerFound, HangUpAsked, TimerExpired
from ari_app.calls.haste import Haste, haste_of
from ari_app.calls.journal import (
    NOT_KNOWN,
    CrmTold,
    JournalLine,
    OutboxEntry,
    UnreadableEntry,
    brief_line,
    brief_tagged,
    dump_line,
    kind_of,
    line_at,
    order_from,
    read_lines,
    tagged,
)
from ari_app.calls.missed import LOST_SECONDS, Talked, meaning_of, tells_of
from ari_app.calls.names import clean_name, fitting, with_prefix
from ari_app.calls.numbers import (
    LONGEST_INTERNAL,
    NotDialled,
    dialled,
    e164,
    for_an_outside_line,
    is_withheld,
    masked,
    tellable,
    written,
)
from ari_app.calls.orders import (
    MissedEvent,
    Order,
    Tell,
    TellCustomer,
    TellHangup,
    TellNotice,
    TellResult,
    TellRinging,
    TellTask,
    TellTaskDone,
    TellWebhook,
    WebAnalytics,
)
from ari_app.calls.outcome import CRM_WORDS, Ending, LegResult, whole_seconds
from ari_app.calls.parking import has_stayed
from ari_app.calls.recovery import taken_up
from ari_app.calls.reported import (
    CallTakenOver,
    EndReported,
    FileReported,
    Report,
    RingingReported,
    ending_of,
)
from ari_app.calls.routing import (
    DIRECTLY,
    BadDestination,
    Destination,
    Dialplan,
    Outside,
    People,
    Policy,
    Queue,
    is_extension,
    is_persons,
    parse_destinations,
)
from ari_app.calls.stored import brief_call, dump_call, load_call
from ari_app.calls.transfer import ATTENDED
from ari_app.calls.turn import whose
from ari_app.calls.waiting import LOOK_UP_SECONDS

__all__ = [
    "ATTENDED",
    "CRM_WORDS",
    "DIRECTLY",
    "LONGEST_INTERNAL",
    "LOOK_UP_SECONDS",
    "LOST_SECONDS",
    "NESTING",
    "NOT_KNOWN",
    "AsGiven",
    "BadDestination",
    "Call",
    "CallTakenOver",
    "ChannelFact",
    "CrmTold",
    "CustomerFound",
    "Destination",
    "Dialplan",
    "Direction",
    "Doing",
    "EndReported",
    "Ending",
    "FileReported",
    "First",
    "HangUpAsked",
    "Haste",
    "JournalLine",
    "Leg",
    "LegResult",
    "LegState",
    "MissedEvent",
    "NotDialled",
    "Order",
    "OutboxEntry",
    "Outside",
    "People",
    "Policy",
    "Queue",
    "RecordingState",
    "Report",
    "RingingReported",
    "Role",
    "Source",
    "Stage",
    "Talked",
    "Tell",
    "TellCustomer",
    "TellHangup",
    "TellNotice",
    "TellResult",
    "TellRinging",
    "TellTask",
    "TellTaskDone",
    "TellWebhook",
    "Timer",
    "TimerExpired",
    "TimerName",
    "UnreadableEntry",
    "Way",
    "WebAnalytics",
    "advance",
    "begin",
    "brief_call",
    "brief_line",
    "brief_tagged",
    "clean_name",
    "dialled",
    "dump_call",
    "dump_line",
    "e164",
    "ending_of",
    "fitting",
    "for_an_outside_line",
    "happenings",
    "has_stayed",
    "haste_of",
    "is_extension",
    "is_persons",
    "is_withheld",
    "kind_of",
    "known_as",
    "line_at",
    "load_call",
    "masked",
    "meaning_of",
    "member_id",
    "order_from",
    "orders",
    "parse_destinations",
    "read_lines",
    "reported",
    "tagged",
    "taken_up",
    "tellable",
    "tells_of",
    "whole_seconds",
    "whose",
    "with_prefix",
    "written",
]
