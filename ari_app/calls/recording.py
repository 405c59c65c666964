"""The moves of a call's recording: what the customer says and hears, from the first answer to the end.

A channel of ours listens to the customer's and is recorded, not the bridge: so the recording goes on wherever
the customer's channel goes, into a parking lot too, and the bridge is one of two channels. It records only
once it has entered our application: what is ordered sooner may be lost.

Earlier versions recorded the bridge: a call of theirs has no recorder. Its recording is stopped at its end,
and goes on as any other when it breaks off.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.call import Leg, LegState, Recording, RecordingState, Role, TimerName
from ari_app.calls.orders import AskPbx, FetchRecording, HangUp, HangUpReason, Listen, Record
from ari_app.calls.turn import FETCH_SECONDS, Turn
from ari_app.calls.values import replace

NOTED_SECONDS = 2.0
"""By so much the last moment at which a call is said to be up may be late."""
AGAIN_SECONDS = 0.5
"""A recording that breaks off begins again so much later: mostly it is the customer's end that comes next."""


def record(turn: Turn) -> None:
    """Record the customer from now on."""
    began = max(turn.moment, turn.now)
    turn.call = replace(turn.call, recording=Recording(RecordingState.RUNNING, started_at=began))
    record_again(turn)


def recorder_ready(turn: Turn, _: h.RecorderReady) -> None:
    """What the customer says and hears is recorded."""
    recorder = turn.call.recorder
    if recorder is None or recorder.state is not LegState.PLACED:
        return
    turn.change(recorder, LegState.UP)
    turn.order(Record(turn.call.recording_name, recorder.id))


def recorder_late(turn: Turn, _: h.RecorderReady) -> None:
    """The channel that was to record comes too late: it is hung up."""
    if turn.call.recorder is not None:
        turn.order(HangUp(turn.call.recorder.id))


def recorder_ended(turn: Turn, _: h.RecorderEnded | h.RecordingFinished) -> None:
    """If the customer is still there in 0.5 s, the recording goes on behind what there is."""
    recorder = turn.call.recorder
    if recorder is None:  # an earlier version has recorded the bridge
        if turn.call.recording.state is RecordingState.RUNNING:
            _recorder(turn, LegState.GONE)
    elif recorder.alive:
        turn.change(recorder, LegState.GONE)
    else:
        return
    if turn.call.recording.state is RecordingState.RUNNING:
        turn.set_timer(TimerName.RECORDER, AGAIN_SECONDS)


def record_again(turn: Turn) -> None:
    """Make another channel that listens to the customer's."""
    customer = turn.call.customer
    turn.clear_timer(TimerName.RECORDER)
    if turn.call.recording.state is RecordingState.RUNNING and customer is not None:
        _recorder(turn, LegState.PLACED)
        turn.order(Listen(customer.id, turn.call.recorder_id))


def late_recorder_ended(turn: Turn, _: h.RecorderEnded) -> None:
    """Noted; after the last channel the bridge is removed, and the call ends when all is reported."""
    _gone(turn)
    turn.tidy()


def _recorder(turn: Turn, state: LegState) -> None:
    ident = turn.call.recorder_id
    turn.call = replace(turn.call, recorder=Leg(ident, Role.RECORDER, state, turn.at, began_at=turn.at))


# -- before the end ------------------------------------------------------------------------------------------


def recording_noted(turn: Turn, stored: h.RecordingStored) -> None:
    """Noted; the CRM is told of it at the call's end."""
    if turn.call.recording.awaited:
        turn.recording(RecordingState.STORED, file=stored.file, seconds=stored.seconds)


def recording_failed(turn: Turn, failed: h.RecordingFailed) -> None:
    """Noted; the call goes on without a recording."""
    if turn.call.recording.awaited:
        turn.recording(RecordingState.LOST, problem=failed.problem)
        if turn.call.recorder is not None:
            turn.hang_up(turn.call.recorder, HangUpReason.NORMAL)


# -- ending --------------------------------------------------------------------------------------------------


def recording_finished(turn: Turn, _: h.RecordingFinished) -> None:
    """The file is fetched from the PBX."""
    _gone(turn)
    _fetch(turn, closed=True)
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
    """8 s after the end the file is fetched; after 60 s more the CRM is told the result without it."""
    if expired.timer is not TimerName.RECORDING:
        return
    if turn.call.recording.state is RecordingState.RUNNING:
        recorder = turn.call.recorder
        if recorder is not None and recorder.alive:
            turn.order(AskPbx((recorder.id,)))
        _fetch(turn, closed=False)
    else:
        turn.report()
    turn.tidy()


def _fetch(turn: Turn, *, closed: bool) -> None:
    if turn.call.recording.state is RecordingState.RUNNING:
        turn.recording(RecordingState.FINISHED)
        turn.order(FetchRecording(turn.call.recording_name, closed))
        turn.set_timer(TimerName.RECORDING, FETCH_SECONDS)


def _gone(turn: Turn) -> None:
    recorder = turn.call.recorder
    if recorder is not None and recorder.alive:
        turn.change(recorder, LegState.GONE)
