"""A call's journal, told in sentences that a person on duty reads at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Call, Leg, Role, Stage, TimerName
from ari_app.calls.outcome import CRM_WORDS, Ending, LegResult
from ari_app.journal import CrmTold, Line


class Tone(StrEnum):
    """What a sentence is about, so that it can be coloured."""

    CALLER = "caller"
    PHONE = "phone"
    GOOD = "good"
    BAD = "bad"
    CRM = "crm"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing that happened; `at` is seconds since the epoch (UTC)."""

    at: float
    text: str
    tone: Tone


def tell(line: Line, call: Call) -> list[Sentence]:
    """Tell one line of a call's journal; `call` is the call as it is now, for the names of its legs."""
    return [Sentence(line.at, text, tone) for text, tone in (*_event(line, call), *_orders(line, call))]


_ENDINGS = {
    Ending.ANSWERED: "answered",
    Ending.GAVE_UP: "the caller gave up",
    Ending.BUSY: "everyone was busy",
    Ending.NOT_ANSWERED: "nobody answered",
    Ending.FAILED: "nobody could be reached",
}


def summary(call: Call) -> str:
    """Say in half a line what the call was, or is."""
    if call.ending is None:
        return f"talking to {call.talker or 'somebody'}" if call.stage is Stage.TALKING else call.stage.value
    if call.ending is not Ending.ANSWERED:
        return f"{_ENDINGS[call.ending]} after {call.waiting:.1f} s"
    who = "by the dialplan" if call.handed_on else f"by {call.talker or 'somebody'}"
    return f"answered {who} after {call.waiting:.1f} s, talked {call.talking:.1f} s"


def _event(line: Line, call: Call) -> Iterator[tuple[str, Tone]]:
    match line.event:
        case h.CallArrived(_, _, number, external):
            yield f"{number or 'withheld number'} calls {external or 'us'}", Tone.CALLER
        case h.CustomerFound(_, name, responsible):
            manager = f"manager {responsible}" if responsible else "no manager"
            yield f"the CRM knows: {name or 'no name'}, {manager}", Tone.CRM
        case h.CustomerUnknown(_, problem):
            text = f"the CRM could not be asked: {problem}" if problem else "the CRM doesn't know the number"
            yield text, Tone.BAD if problem else Tone.CRM
        case h.CallerEnded(_, _, known_up_at):
            unseen = " (nobody saw it)" if known_up_at is not None else ""
            yield (
                f"the caller is gone{unseen}"
                if line.before is Stage.ENDING
                else (f"the caller hung up{unseen}"),
                Tone.QUIET if line.before is Stage.ENDING else Tone.CALLER,
            )
        case h.CallerAnswered() if line.before is Stage.DIALPLAN:
            yield "the dialplan answered", Tone.GOOD
        case h.CallerReturned():
            yield "the caller is back from the dialplan", Tone.CALLER
        case h.TimerExpired(_, timer):
            yield from _timer(timer)
        case h.OutcomeUnknown(_, why):
            yield f"asking the PBX what is true: {why}", Tone.QUIET
        case h.ServiceStopping():
            yield "the service is stopping", Tone.BAD
        case CrmTold(_, told, problem):
            yield from _told(told, problem)
        case h.RecordingStored(_, file, seconds):
            yield f"recording stored: {seconds:.1f} s, {file}", Tone.GOOD
        case h.RecordingFailed(_, problem):
            yield f"no recording: {problem}", Tone.BAD
        case _:
            yield from _leg_event(line, call)


def _leg_event(line: Line, call: Call) -> Iterator[tuple[str, Tone]]:
    match line.event:
        case h.LegRinging(_, leg):
            yield f"{_who(call.leg(leg))} rings", Tone.PHONE
        case h.LegAnswered(_, leg) if _is_person(call.leg(leg)):
            late = "" if line.after is Stage.TALKING and line.before is Stage.RINGING else ", too late"
            yield f"{_who(call.leg(leg))} answered{late}", Tone.GOOD
        case h.LegRefused(_, leg, problem):
            yield f"{_who(call.leg(leg))} can't be rung: {problem}", Tone.BAD
        case h.LegEnded(_, leg):
            yield from _leg_ended(line, call.leg(leg))
        case h.MemberRung(_, _, member, code):
            yield f"the queue rings {code or member}", Tone.PHONE
        case h.MemberAnswered(_, _, member, code):
            yield f"{code or member} answered the queue", Tone.GOOD
        case h.MemberEnded(_, _, member, status) if line.before is Stage.RINGING:
            yield f"the queue stopped ringing {member.rsplit('-', 1)[0]}: {status.lower()}", Tone.QUIET


def _leg_ended(line: Line, leg: Leg | None) -> Iterator[tuple[str, Tone]]:
    if leg is None or leg.result is None:
        return
    if leg.result is LegResult.ANSWERED:
        gone = "is gone" if line.before is Stage.ENDING else "hung up"
        yield f"{_who(leg)} {gone}", Tone.QUIET if line.before is Stage.ENDING else Tone.PHONE
    elif line.before is Stage.RINGING and leg.role is Role.MANAGER:
        yield f"{_who(leg)}: {leg.result.value}", Tone.BAD
    else:
        yield f"{_who(leg)} is gone ({leg.result.value})", Tone.QUIET


def _timer(timer: TimerName) -> Iterator[tuple[str, Tone]]:
    match timer:
        case TimerName.LOOK_UP:
            yield "the CRM did not answer in time", Tone.BAD
        case TimerName.RING:
            yield "nobody answered in time", Tone.BAD
        case TimerName.RECORDING:
            yield "the recording did not come in time", Tone.BAD
        case TimerName.ROUND:
            pass


def _told(told: o.Tell, problem: str | None) -> Iterator[tuple[str, Tone]]:
    match told:
        case o.TellRinging(codes=codes):
            text = f"in, for {', '.join(codes)}"
        case o.TellHangup(codes=codes, ending=ending):
            text = f"hangup, {CRM_WORDS[ending].hangup_status}, for {', '.join(codes)}"
        case o.TellResult():
            result = CRM_WORDS[told.ending].upload_result
            who = f", {told.code}" if told.code else ""
            link = ", with the recording" if told.recording else ""
            text = f"result, {result}{who}, waiting {told.waiting} s, talking {told.talking} s{link}"
    if problem:
        yield f"CRM not told ({problem}): {text}", Tone.BAD
    else:
        yield f"CRM told: {text}", Tone.CRM


def _orders(line: Line, call: Call) -> Iterator[tuple[str, Tone]]:
    rung = [_who(call.leg(order.leg)) for order in line.orders if isinstance(order, o.Ring)]
    if rung:
        yield f"trying {', '.join(rung)}", Tone.PHONE
    for order in line.orders:
        if isinstance(order, o.SendToDialplan):
            place = f"{order.context},{order.exten},{order.priority}"
            yield f"the caller goes on in the dialplan: {place}", Tone.CALLER
    if line.after is Stage.ENDING and line.before is not Stage.ENDING:
        yield summary(call), Tone.GOOD if call.ending is Ending.ANSWERED else Tone.BAD


def _who(leg: Leg | None) -> str:
    if leg is None:
        return "a phone"
    return "the queue" if leg.role is Role.QUEUE else leg.code or "a phone"


def _is_person(leg: Leg | None) -> bool:
    return leg is None or leg.role is Role.MANAGER
