"""How soon a step of a call must be written: nothing may be lost by a crash that can't be found out again."""

from __future__ import annotations

from enum import Enum, auto

from ari_app.calls import happenings as h
from ari_app.calls.call import Stage
from ari_app.calls.journal import JournalLine
from ari_app.calls.orders import REPEATABLE, TellCustomer, TellHangup, TellResult, TellRinging


class Haste(Enum):
    """When a step is written, in relation to what it orders."""

    FIRST = auto()
    """Before its orders: by them something comes to be, which must be known when it is there."""
    AT_ONCE = auto()
    """Beside its orders, which may be given again."""
    SHORTLY = auto()
    """With the next one, or in a moment: a call has begun, of which nobody was told anything yet."""
    SOMETIME = auto()
    """With the next one, or a little later: a note, which the PBX, or the CRM, would say again."""


_NOTES = (
    *(h.LegRinging, h.CallerAnswered, h.CustomerFound, h.CustomerUnknown),
    *(h.RecorderEnded, h.RecordingFinished),
)


def haste_of(line: JournalLine) -> Haste:
    """Say how soon a step must be written."""
    if not all(isinstance(order, REPEATABLE) for order in line.orders):
        return Haste.FIRST
    if line.after is Stage.ENDED or any(
        isinstance(order, TellRinging | TellHangup | TellResult | TellCustomer) for order in line.orders
    ):
        return Haste.AT_ONCE
    if line.before is None:
        return Haste.SHORTLY
    if isinstance(line.event, _NOTES) or line.before is line.after is Stage.ENDING:
        return Haste.SOMETIME
    if isinstance(line.event, h.TelephonesFound) and not line.orders:  # there are no more: it is asked again
        return Haste.SOMETIME
    return Haste.AT_ONCE
