"""Calls that we don't run: a dialplan of the shop's own runs them, and reports what happens.

What it reports may come late, twice or out of order. Such a call is a `Call` like any other, so that the CRM
is told of it, it is listed and its journal is read in the same way; but its moves are these, not those of
`ari_app.calls.flow`, and it orders nothing of the PBX. Whoever knows the clientId may report an end that
isn't true: one from another address than the call's beginning is believed only after a while, and a better
witness corrects it. It rings (``ringing``) from its first report to that
of its end, then waits for its recording's file if it was told to (``ending``), and is over (``ended``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ari_app.calls.call import (
    AsGiven,
    Call,
    Direction,
    Leg,
    LegState,
    Recording,
    RecordingState,
    Role,
    Stage,
    TimerName,
    Way,
)
from ari_app.calls.happenings import TimerExpired
from ari_app.calls.orders import Order, TellHangup, TellResult, TellRinging, WebAnalytics
from ari_app.calls.outcome import Ending, whole_seconds
from ari_app.calls.routing import Policy
from ari_app.calls.values import replace

FILE_SECONDS = 600.0
"""How long the report of a call waits for its recording's file."""
HEARSAY_SECONDS = 600.0
"""How long an end is not believed that somebody else reports than who reported the beginning."""
CLOCKS_SECONDS = 60.0
"""By so much a call may be longer than we know of it."""
SILENCE_SECONDS = 12 * 3600.0
"""How long after its last report a call is taken to go on. Then nobody is told how it ended: nobody knows."""


@dataclass(frozen=True, slots=True)
class RingingReported:
    """A call has begun (``in``), or a manager has begun one (``out``). `channel` is its unique id, `by` the
    address from which it was reported.
    """

    at: float
    channel: str
    direction: Direction
    number: str | None
    external: str | None
    codes: tuple[str, ...]
    analytics: WebAnalytics | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class EndReported:
    """A call is over. `waiting` and `talking` are whole seconds.

    `code` is none where nobody is named, `direction` where it wasn't said. `awaits_file`: the recording's
    file will be sent.
    """

    at: float
    channel: str
    direction: Direction | None
    number: str | None
    external: str | None
    code: str | None
    ending: Ending
    waiting: int
    talking: int
    given: AsGiven
    awaits_file: bool = False
    by: str | None = None


@dataclass(frozen=True, slots=True)
class FileReported:
    """The recording's file has come. `file` is its name in our store; `seconds` none where unknown."""

    at: float
    channel: str
    file: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CallTakenOver:
    """The call has come into our own application: what becomes of it is told under that call's id."""

    at: float
    channel: str


Report: TypeAlias = RingingReported | EndReported | FileReported | CallTakenOver

ENDINGS: dict[str, Ending] = {
    "ANSWER": Ending.ANSWERED,
    "ANSWERED": Ending.ANSWERED,
    "COMPLETEAGENT": Ending.ANSWERED,
    "COMPLETECALLER": Ending.ANSWERED,
    "BLINDTRANSFER": Ending.ANSWERED,
    "ATTENDEDTRANSFER": Ending.ANSWERED,
    "TRANSFER": Ending.ANSWERED,
    "CANCEL": Ending.GAVE_UP,
    "ABANDON": Ending.GAVE_UP,
    "BUSY": Ending.BUSY,
    "NOANSWER": Ending.NOT_ANSWERED,
    "NOANSWERED": Ending.NOT_ANSWERED,
    "TIMEOUT": Ending.NOT_ANSWERED,
    "EXITWITHTIMEOUT": Ending.NOT_ANSWERED,
    "EXITWITHKEY": Ending.NOT_ANSWERED,
    "EXITEMPTY": Ending.NOT_ANSWERED,
    "JOINEMPTY": Ending.NOT_ANSWERED,
    "JOINUNAVAIL": Ending.NOT_ANSWERED,
    "LEAVEEMPTY": Ending.NOT_ANSWERED,
    "LEAVEUNAVAIL": Ending.NOT_ANSWERED,
    "FULL": Ending.NOT_ANSWERED,
    "WITHDRAW": Ending.NOT_ANSWERED,
    "DONTCALL": Ending.NOT_ANSWERED,
    "TORTURE": Ending.NOT_ANSWERED,
    "CONGESTION": Ending.FAILED,
    "CHANUNAVAIL": Ending.FAILED,
    "INVALIDARGS": Ending.FAILED,
    "FAILED": Ending.FAILED,
    "UNKNOWN": Ending.UNKNOWN,
}
"""The words of DIALSTATUS, QUEUESTATUS, CDR(disposition), queue_log and the CRM itself, without blanks."""
BY_TALK = frozenset({"", "CONTINUE"})
"""No word; and that of a queue whose caller goes on in the dialplan, as after the member's hang-up."""


def ending_of(word: str, talking: int) -> tuple[Ending, bool]:
    """Read how a call ended, and tell whether the word is known.

    Without a word, or by one that nobody foresaw, a call in which somebody talked was answered; nor is it
    unknown whether it was.
    """
    plain = re.sub(r"[\s_-]", "", word).upper()
    by_talk = Ending.ANSWERED if talking else Ending.NOT_ANSWERED
    ending = ENDINGS.get(plain, by_talk)
    known = plain in ENDINGS or plain in BY_TALK
    return by_talk if talking and ending is Ending.UNKNOWN else ending, known


def begin(call_id: str, account: str, policy: Policy, report: Report) -> Call:
    """Take a call of which this is the first report. `advance` then says what it means."""
    return Call(
        id=call_id,
        account=account,
        stage=Stage.RINGING,
        direction=getattr(report, "direction", None) or Direction.IN,
        started_at=_began(report),
        caller=Leg(report.channel, Role.CALLER, LegState.RINGING, report.at, began_at=report.at),
        number=getattr(report, "number", None),
        external=getattr(report, "external", None),
        policy=policy,
        way=Way.REPORTED,
    ).with_timer(TimerName.REPORT, report.at + SILENCE_SECONDS)


def _began(report: Report) -> float:
    past = report.waiting + report.talking if isinstance(report, EndReported) else 0
    return report.at - past


def advance(call: Call, report: Report | TimerExpired) -> tuple[Call, tuple[Order, ...]]:
    """Let something be reported of a call; pure and total. What comes late or twice changes nothing."""
    move = MOVES.get((call.stage, type(report)))
    if move is None or (isinstance(report, TimerExpired) and not call.is_due(report.timer, report.at)):
        return call, ()
    return move(call, report)


# -- the moves --------------------------------------------------------------------------------------------


def _rings(call: Call, ringing: RingingReported) -> tuple[Call, tuple[Order, ...]]:
    """The CRM is told, once for each extension."""
    call = _reported_by(_known(call, ringing.number, ringing.external, ringing.direction), ringing.by)
    call = call.with_timer(TimerName.REPORT, ringing.at + SILENCE_SECONDS)
    new = tuple(dict.fromkeys(code for code in ringing.codes if code not in call.told))
    if not new or call.number is None:
        return call, ()
    tell = TellRinging(ringing.at, call.number, call.external, new, call.direction, ringing.analytics)
    return replace(call, told=call.told + new), (tell,)


def _ends(call: Call, ended: EndReported) -> tuple[Call, tuple[Order, ...]]:
    """The CRM is told that it is over, and, unless the recording's file is still to come, what it was. If
    somebody else says so than who said that it began, it is told after a while only.
    """
    call = _over(_known(call, ended.number, ended.external, ended.direction), ended)
    if _is_hearsay(call):
        return call.with_timer(TimerName.REPORT, ended.at + HEARSAY_SECONDS), ()
    return _tell_end(call, ended.at)


def _over(call: Call, ended: EndReported) -> Call:
    """Take an end for what it was."""
    answered, given = ended.ending is Ending.ANSWERED, ended.given
    if call.recording.file is not None and ended.awaits_file:
        given = replace(given, link=None)
    kept = call.recording if call.recording.file is not None else Recording()
    waits = answered and ended.awaits_file and call.recording.file is None and call.number is not None
    return replace(
        call,
        stage=Stage.ENDING,
        ending=ended.ending,
        answered_at=call.started_at + ended.waiting if answered else None,
        ended_at=call.started_at + ended.waiting + (ended.talking if answered else 0),
        talker=ended.code if answered else None,
        first_talker=ended.code if answered else None,
        responsible=ended.code,
        caller=replace(call.caller, state=LegState.GONE, ended_at=ended.at),
        as_given=given,
        recording=Recording(RecordingState.FINISHED) if waits else kept,
        ended_by=ended.by,
        timers=(),
    )


def _is_hearsay(call: Call) -> bool:
    """Tell whether somebody else has reported the end than who reported the beginning."""
    return bool(call.reporter) and call.ended_by is not None and call.ended_by != call.reporter


def _tell_end(call: Call, at: float) -> tuple[Call, tuple[Order, ...]]:
    """Tell the CRM, of a call whose end is believed, what there is to tell by now."""
    codes = call.told or ((call.responsible,) if call.responsible else ())
    orders: tuple[Order, ...] = ()
    if codes and call.number is not None and call.ending is not None and not call.hangup_told:
        orders = (TellHangup(at, call.number, call.external, codes, call.ending),)
        call = replace(call, hangup_told=True)
    if call.recording.state is RecordingState.FINISHED:
        return call.with_timer(TimerName.RECORDING, at + FILE_SECONDS), orders
    call, result = _report(call, at)
    return call, orders + result


def _corrected(call: Call, ended: EndReported) -> tuple[Call, tuple[Order, ...]]:
    """An end that a better witness reports, or that knows of more talk, takes the place of the first."""
    if call.ending is None or not _is_better(call, ended):
        return call, ()
    told = call.reported and call.number is not None
    before = replace(
        call,
        reported=False,
        retold=call.retold + told,
        hangup_told=call.hangup_told or told,
    )
    return _tell_end(_over(_known(before, ended.number, ended.external, ended.direction), ended), ended.at)


def _is_better(call: Call, ended: EndReported) -> bool:
    """Tell whether an end is to be believed more than the one that was reported before."""
    began = call.caller.began_at or call.started_at
    if ended.at - began > SILENCE_SECONDS:
        return False
    if call.reporter and ended.by != call.reporter:
        return False
    if _is_hearsay(call):
        return True
    longer = ended.ending is Ending.ANSWERED and ended.talking > whole_seconds(call.talking)
    return longer and ended.waiting + ended.talking <= ended.at - began + CLOCKS_SECONDS


def _began_before(call: Call, ringing: RingingReported) -> tuple[Call, tuple[Order, ...]]:
    """Too late to be told; but who reports it is the witness of the call's end, too."""
    return _reported_by(call, ringing.by), ()


def _reported_by(call: Call, by: str | None) -> Call:
    if by is None or by == call.reporter:
        return call
    return replace(call, reporter=by if call.reporter is None else "")


def _file_kept(call: Call, came: FileReported) -> tuple[Call, tuple[Order, ...]]:
    """Kept; the CRM hears of it with the call's end, if that was not told yet."""
    if call.recording.file is not None:
        return call, ()
    stored = Recording(RecordingState.STORED, file=came.file, seconds=came.seconds)
    return replace(call, recording=stored), ()


def _file_awaited(call: Call, came: FileReported) -> tuple[Call, tuple[Order, ...]]:
    """The CRM is told what the call was, with the link of the file; if its end is believed."""
    call, _ = _file_kept(call, came)
    if any(timer.name is TimerName.REPORT for timer in call.timers):
        return call, ()
    if call.as_given is not None:
        call = replace(call, as_given=replace(call.as_given, link=None))
    return _report(call, came.at)


def _overdue(call: Call, expired: TimerExpired) -> tuple[Call, tuple[Order, ...]]:
    """10 min after the end the CRM is told without the file; or told at all, if nobody else knows better."""
    if expired.timer is TimerName.REPORT:
        return _tell_end(replace(call, timers=()), expired.at)
    lost = Recording(RecordingState.LOST, problem="the file did not come")
    return _report(replace(call, recording=lost), expired.at)


def _silent(call: Call, _: TimerExpired) -> tuple[Call, tuple[Order, ...]]:
    """12 h after the last report the call is taken to be over; nobody is told what it was."""
    return replace(call, stage=Stage.ENDED, reported=True, timers=()), ()


def _taken_over(call: Call, taken: CallTakenOver) -> tuple[Call, tuple[Order, ...]]:
    """What the CRM shows of it ends; the rest is told of the call that has taken its place."""
    over = replace(call, stage=Stage.ENDED, reported=True, timers=(), ended_at=taken.at)
    if not call.told or call.number is None:
        return over, ()
    return over, (TellHangup(taken.at, call.number, call.external, call.told, Ending.GAVE_UP),)


Move: TypeAlias = Callable[[Call, Any], tuple[Call, tuple[Order, ...]]]

MOVES: dict[tuple[Stage, type], Move] = {
    (Stage.RINGING, RingingReported): _rings,
    (Stage.RINGING, EndReported): _ends,
    (Stage.RINGING, FileReported): _file_kept,
    (Stage.RINGING, TimerExpired): _silent,
    (Stage.RINGING, CallTakenOver): _taken_over,
    (Stage.ENDING, FileReported): _file_awaited,
    (Stage.ENDING, EndReported): _corrected,
    (Stage.ENDING, RingingReported): _began_before,
    (Stage.ENDING, TimerExpired): _overdue,
    (Stage.ENDED, EndReported): _corrected,
    (Stage.ENDED, RingingReported): _began_before,
    (Stage.ENDED, FileReported): _file_kept,
}


def _known(call: Call, number: str | None, external: str | None, direction: Direction | None) -> Call:
    """Learn what an earlier report, such as the file's, didn't say."""
    fresh = not call.told and direction is not None
    return replace(
        call,
        number=call.number or number,
        external=call.external or external,
        direction=direction if fresh and direction else call.direction,
    )


def _report(call: Call, at: float) -> tuple[Call, tuple[Order, ...]]:
    """Say what the call was. Who talked is not guessed; an unanswered call has no recording."""
    over = replace(call, stage=Stage.ENDED, reported=True, timers=())
    if call.number is None or call.ending is None or call.reported:
        return over, ()
    answered, given = call.ending is Ending.ANSWERED, call.as_given or AsGiven()
    result = TellResult(
        at=at,
        started_at=call.started_at,
        phone=call.number,
        external=call.external,
        code=whose(call),
        ending=call.ending,
        waiting=whole_seconds(call.waiting),
        talking=whole_seconds(call.talking),
        recording=call.recording.file if answered and given.link is None else None,
        direction=call.direction,
        date=given.date,
        link=given.link if answered else None,
        source=given.source,
        again=call.retold,
    )
    return over, (result,)


def whose(call: Call) -> str | None:
    """Name the manager whose call it was: named at its end, or the only one rung if nobody answered."""
    if call.responsible is not None or call.ending is Ending.ANSWERED or len(call.told) != 1:
        return call.responsible
    return call.told[0]
