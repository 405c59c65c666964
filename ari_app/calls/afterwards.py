"""The moves of a call at its end, and what its recording does before. One small
function for each thing that can happen; the first line of its docstring is its line in the state table.
"""

from __future__ import annotations

from dataclasses import replace

from ari_app.calls import happenings as h
from ari_app.calls.call import Direction, LegState, RecordingState, Stage, TimerName
from ari_app.calls.orders import AskPbx, FetchRecording
from ari_app.calls.outcome import Ending
from ari_app.calls.turn import Turn

NOTED_SECONDS = 2.0
"""By so much the last moment at which a call is said to be up may be late."""

# -- the recording, before the end ---------------------------------------------------------------------------


def recording_noted(turn: Turn, stored: h.RecordingStored) -> None:
    """Noted; the CRM is told of it at the call's end."""
    if turn.call.recording.awaited:
        turn.recording(RecordingState.STORED, file=stored.file, seconds=stored.seconds)


def recording_failed(turn: Turn, failed: h.RecordingFailed) -> None:
    """Noted; the call goes on without a recording."""
    if turn.call.recording.awaited:
        turn.recording(RecordingState.LOST, problem=failed.problem)


def recording_finished(turn: Turn, _: h.RecordingFinished) -> None:
    """The file is fetched from the PBX."""
    if turn.call.recording.state is RecordingState.RUNNING:
        turn.recording(RecordingState.FINISHED)
        turn.order(FetchRecording(turn.call.recording_name))


# -- ending --------------------------------------------------------------------------------------------------


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


def recording_stored(turn: Turn, stored: h.RecordingStored) -> None:
    """The CRM is told the result with the recording; an end that nobody saw is dated by its length.

    But not if the call is known to have gone on longer.
    """
    call = turn.call
    recording_noted(turn, stored)
    if call.end_unseen and call.recording.started_at is not None and not call.reported:
        ended_at = min(turn.moment, call.recording.started_at + stored.seconds)
        if call.ended_at is None or ended_at > call.ended_at - NOTED_SECONDS:
            turn.call = replace(turn.call, ended_at=ended_at)
    turn.report()
    turn.tidy()


def recording_lost(turn: Turn, failed: h.RecordingFailed) -> None:
    """The CRM is told the result without a recording."""
    if turn.call.recording.awaited:
        turn.recording(RecordingState.LOST, problem=failed.problem)
    turn.report()
    turn.tidy()


def recording_overdue(turn: Turn, expired: h.TimerExpired) -> None:
    """8 s after the end the CRM is told the result without the recording, which is still fetched."""
    if expired.timer is not TimerName.RECORDING:
        return
    if turn.call.recording.state is RecordingState.RUNNING:
        turn.recording(RecordingState.FINISHED)
        turn.order(FetchRecording(turn.call.recording_name))
    turn.report()
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
    turn.order(AskPbx(tuple(leg.id for leg in legs if leg.alive)))
