"""The moves of a call at its end. One small function for each thing that can happen; the first line of its
docstring is its line in the state table.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.call import Direction, LegState, Stage
from ari_app.calls.orders import AskPbx
from ari_app.calls.outcome import Ending
from ari_app.calls.turn import Turn


def late_leg_ended(turn: Turn, ended: h.LegEnded) -> None:
    """Noted; after the last channel the bridge is removed, and the call ends when all is reported."""
    leg = turn.call.leg(ended.leg)
    if leg is not None and leg.alive:
        turn.change(leg, LegState.GONE)
    turn.tidy()


def caller_gone(turn: Turn, _: h.CallerEnded) -> None:
    """Noted; after the last channel the bridge is removed, and the call ends when all is reported."""
    turn.change(turn.call.caller, LegState.GONE)
    turn.tidy()


# -- at any stage --------------------------------------------------------------------------------------------


def hang_up_asked(turn: Turn, _: h.HangUpAsked) -> None:
    """A person wants the call to end: everyone is hung up and the CRM is told."""
    call = turn.call
    if call.answered_at is not None:
        turn.finish(Ending.ANSWERED)
    elif call.stage is Stage.CALLING:
        turn.finish(Ending.NOT_PLACED)
    else:
        turn.finish(Ending.GAVE_UP if call.direction is Direction.OUT else Ending.NOT_ANSWERED)


def clock_set(turn: Turn, clock: h.ClockSet) -> None:
    """Its moments and deadlines go with the clock: it is as old as before, and nothing is due sooner."""
    turn.call = turn.call.moved(clock.by)


def ask(turn: Turn, unknown: h.OutcomeUnknown) -> None:
    """The PBX is asked what is true; a leg whose dialling is in doubt is dialled if it doesn't ring."""
    leg = turn.call.party(unknown.dialling) if unknown.dialling is not None else None
    if leg is not None and leg.state is LegState.DIALLED:
        turn.change(leg, LegState.PLACED)
    legs = [turn.call.caller, *turn.call.our_legs]
    if turn.call.recorder is not None:
        legs.append(turn.call.recorder)
    turn.order(AskPbx(tuple(leg.id for leg in legs if leg.alive)))
