"""A call's journal, told in sentences that a person on duty reads at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls import reported as r
from ari_app.calls.call import Call, Direction, Leg, Role, Stage, TimerName, Way
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
    Ending.NOT_PLACED: "the manager could not be had",
}
_OUTGOING_ENDINGS = {
    **_ENDINGS,
    Ending.GAVE_UP: "the manager gave up",
    Ending.BUSY: "the customer was busy",
    Ending.NOT_ANSWERED: "the customer did not answer",
    Ending.FAILED: "the customer could not be reached",
}


def summary(call: Call) -> str:
    """Say in half a line what the call was, or is."""
    if call.ending is None:
        return f"talking to {call.talker or 'somebody'}" if call.stage is Stage.TALKING else call.stage.value
    out = call.direction is Direction.OUT
    if call.ending is not Ending.ANSWERED:
        endings = _OUTGOING_ENDINGS if out else _ENDINGS
        return f"{endings[call.ending]} after {call.waiting:.1f} s"
    if out:
        who = "by the customer"
    else:
        first = call.first_talker or call.talker
        named = call.talker_leg is not None or call.way is Way.REPORTED
        who = f"by {first or 'somebody'}" if named else "by the dialplan"
    last = f", last by {call.talker}" if call.first_talker not in (None, call.talker) else ""
    return f"answered {who} after {call.waiting:.1f} s, talked {call.talking:.1f} s{last}"


def _event(line: Line, call: Call) -> Iterator[tuple[str, Tone]]:
    match line.event:
        case h.CallArrived(_, _, number, external):
            yield f"{number or 'withheld number'} calls {external or 'us'}", Tone.CALLER
        case h.CallDialled(code=code, number=number):
            yield f"{code or 'a phone'} calls {number or 'a number'}", Tone.CALLER
        case h.CallClicked(code=code, number=number, external=external, way=way):
            line_ = f" from {external}" if external else ""
            yield f"the CRM asks {code} to call {number}{line_}, by {way}", Tone.CALLER
        case h.WayBlocked(problem=problem):
            yield f"ARI can't place the call: {problem}", Tone.BAD
        case h.PartyReplaced():
            yield _replaced(line.event, call), Tone.PHONE
        case h.KeyPressed():
            pass
        case h.MemberTransferred(member=member, target=target):
            yield f"{_member(member)} transfers the customer to {target}", Tone.PHONE
        case h.CustomerFound(_, name, responsible):
            manager = f"manager {responsible}" if responsible else "no manager"
            yield f"the CRM knows: {name or 'no name'}, {manager}", Tone.CRM
        case h.CustomerUnknown(_, problem):
            text = f"the CRM could not be asked: {problem}" if problem else "the CRM doesn't know the number"
            yield text, Tone.BAD if problem else Tone.CRM
        case h.CallerAnswered() if line.before is Stage.CALLING:
            yield f"{_who(call.caller)} answered", Tone.GOOD
        case h.CallerEnded(_, _, known_up_at):
            yield from _caller_ended(line, call, known_up_at)
        case h.CallerAnswered() if line.before is Stage.DIALPLAN:
            yield "the dialplan answered", Tone.GOOD
        case h.CallerReturned():
            yield "the caller is back from the dialplan", Tone.CALLER
        case h.TimerExpired(_, timer):
            yield from _timer(timer)
        case h.PbxSaid(at=at):
            for leg in call.our_legs:
                if leg.ended_at == at:  # nobody had told us
                    yield from _leg_ended(line, leg)
        case h.OutcomeUnknown(_, why):
            yield f"asking the PBX what is true: {why}", Tone.QUIET
        case h.HangUpAsked(_, by):
            yield f"the call is ended from the cabinet{f', by {by}' if by else ''}", Tone.BAD
        case h.ServiceStopping():
            yield "the service is stopping", Tone.BAD
        case CrmTold(_, told, problem):
            yield from _told(told, problem)
        case h.RecordingStored(_, file, seconds):
            yield f"recording stored: {seconds:.1f} s, {file}", Tone.GOOD
        case h.RecordingFailed(_, problem):
            yield f"no recording: {problem}", Tone.BAD
        case r.RingingReported() | r.EndReported() | r.FileReported() | r.CallTakenOver():
            yield from _report(line.event, line, call)
        case _:
            yield from _leg_event(line, call)


def _report(report: r.Report, line: Line, call: Call) -> Iterator[tuple[str, Tone]]:
    """Tell what the shop's own dialplan says; the reports' own numbers, not ours."""
    late = line.before in (Stage.ENDING, Stage.ENDED)
    match report:
        case r.RingingReported(direction=direction, number=number, codes=codes):
            who = f"{number or 'withheld number'}, for {', '.join(codes)}"
            too_late = ": too late, not told" if late else ""
            yield f"the dialplan says: {direction}, {who}{too_late}", Tone.CALLER
        case r.EndReported() if late:
            yield "the dialplan says once more that it is over: not told again", Tone.QUIET
        case r.EndReported(ending=ending, code=code, waiting=waiting, talking=talking):
            text = f"{_ENDINGS[ending]}{f', {code}' if code else ''}, waited {waiting} s, talked {talking} s"
            yield f"the dialplan says: over, {text}", Tone.GOOD if ending is Ending.ANSWERED else Tone.BAD
            if line.after is Stage.ENDING:
                yield "waiting for the recording's file", Tone.QUIET
        case r.FileReported(file=file, seconds=seconds):
            length = f"{seconds:.1f} s, " if seconds is not None else ""
            too_late = ": the CRM was told already" if line.before is Stage.ENDED else ""
            yield f"recording received: {length}{file}{too_late}", Tone.GOOD
        case r.CallTakenOver():
            yield "the call has come to us: it is told under another id", Tone.QUIET


def _caller_ended(line: Line, call: Call, known_up_at: float | None) -> Iterator[tuple[str, Tone]]:
    who, unseen = _who(call.caller), " (nobody saw it)" if known_up_at is not None else ""
    if line.before is Stage.ENDING:
        yield f"{who} is gone{unseen}", Tone.QUIET
    elif line.before is Stage.CALLING and call.caller.result is not None:
        yield f"{who}: {call.caller.result.value}{unseen}", Tone.BAD
    elif call.way is Way.AJAM and call.answered_at is not None:  # it doesn't tell who
        yield f"one of the two hung up{unseen}", Tone.CALLER
    else:
        yield f"{who} hung up{unseen}", Tone.CALLER


def _replaced(replaced: h.PartyReplaced, call: Call) -> str:
    old, new = _who(call.party(replaced.old)), _who(call.party(replaced.channel))
    if replaced.local:
        return f"{old} transfers the customer to {replaced.code or replaced.target}"
    return f"{new} takes the call of {old}"


def _leg_event(line: Line, call: Call) -> Iterator[tuple[str, Tone]]:
    match line.event:
        case h.LegRinging(_, leg):
            yield f"{_who(call.party(leg))} rings", Tone.PHONE
        case h.LegAnswered(_, leg):
            yield from _answered(line, call.leg(leg))
        case h.LegRefused(_, leg, problem):
            yield f"{_who(call.party(leg))} can't be rung: {problem}", Tone.BAD
        case h.LegEnded(_, leg):
            yield from _leg_ended(line, call.leg(leg))
        case h.MemberRung(leg=leg, member=member, code=code, rings=True):
            yield from _member_rings(call, call.leg(leg), code or _member(member))
        case h.MemberAnswered(leg=leg, member=member, code=code):
            yield from _member_answered(line, call.leg(leg), code or _member(member))
        case h.MemberEnded(leg=leg, member=member, status=status) if line.before is Stage.RINGING:
            yield f"{_who(call.leg(leg))} stopped ringing {_member(member)}: {status.lower()}", Tone.QUIET


def _answered(line: Line, leg: Leg | None) -> Iterator[tuple[str, Tone]]:
    """Tell that a leg is up; one into the dialplan only if the talk begins so, else its member is told."""
    if leg is None or leg.role not in (Role.MANAGER, Role.CUSTOMER, Role.TARGET):
        return
    if line.after is Stage.TALKING and line.before in (Stage.RINGING, Stage.TRANSFERRING):
        yield f"{_who(leg)} answered", Tone.GOOD
    elif leg.role is Role.MANAGER:
        yield f"{_who(leg)} answered, too late", Tone.GOOD


def _member_rings(call: Call, leg: Leg | None, member: str) -> Iterator[tuple[str, Tone]]:
    """Tell whom the dialplan rings, where the leg that leads there doesn't ring by itself."""
    if leg is not None and leg.role is Role.CUSTOMER:
        if call.way is Way.AJAM:
            yield "the customer rings", Tone.PHONE
    elif leg is None or leg.target != member:
        yield f"{_who(leg)} rings {member}", Tone.PHONE


def _member_answered(line: Line, leg: Leg | None, member: str) -> Iterator[tuple[str, Tone]]:
    """Tell who answered behind a leg into the dialplan; not again, if the leg itself has told it."""
    if leg is None or (leg.role is not Role.CUSTOMER and leg.target != member):
        yield f"{member} answered {_who(leg)}", Tone.GOOD
    elif line.before is not Stage.TALKING:
        yield f"{_who(leg)} answered", Tone.GOOD


def _leg_ended(line: Line, leg: Leg | None) -> Iterator[tuple[str, Tone]]:
    if leg is None or leg.result is None:
        return
    if leg.result is LegResult.ANSWERED:
        gone = "hung up" if line.before is Stage.TALKING and line.after is Stage.ENDING else "is gone"
        share = f" (waited {leg.waiting:.1f} s, talked {leg.talking:.1f} s)" if leg.began_at else ""
        yield f"{_who(leg)} {gone}{share}", Tone.QUIET if gone == "is gone" else Tone.PHONE
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
        case TimerName.REPORT:
            yield "the dialplan never said how it ended: the CRM is not told", Tone.BAD
        case TimerName.KEYS:
            yield "the manager hands the customer over by feature code", Tone.PHONE
        case TimerName.ROUND:
            pass


def _told(told: o.Tell, problem: str | None) -> Iterator[tuple[str, Tone]]:
    match told:
        case o.TellRinging(codes=codes, direction=direction):
            text = f"{direction}, for {', '.join(codes)}"
        case o.TellHangup(codes=codes, ending=ending):
            text = f"hangup, {CRM_WORDS[ending].hangup_status}, for {', '.join(codes)}"
        case o.TellResult():
            result = CRM_WORDS[told.ending].upload_result
            who = f", {told.code}" if told.code else ""
            link = ", with the recording" if told.recording or told.link else ""
            text = f"result, {result}{who}, waiting {told.waiting} s, talking {told.talking} s{link}"
    if problem:
        yield f"CRM not told ({problem}): {text}", Tone.BAD
    else:
        yield f"CRM told: {text}", Tone.CRM


def _orders(line: Line, call: Call) -> Iterator[tuple[str, Tone]]:
    for order in line.orders:
        if isinstance(order, o.PassOver):
            are = "is" if len(order.codes) == 1 else "are"
            yield f"{', '.join(order.codes)} {are} busy: passed over", Tone.PHONE
    rung = [_who(call.party(order.leg)) for order in line.orders if isinstance(order, o.Ring)]
    if rung:
        yield f"trying {', '.join(rung)}", Tone.PHONE
    for order in line.orders:
        if isinstance(order, o.SendToDialplan):
            place = f"{order.context},{order.exten},{order.priority}"
            yield f"the caller goes on in the dialplan: {place}", Tone.CALLER
        elif isinstance(order, o.Originate):
            yield f"ringing {_who(call.caller)} by AJAM", Tone.PHONE
        elif isinstance(order, o.PlayRinging):
            talked = call.answered_at is not None and line.at >= call.answered_at
            yield f"{'the customer' if talked else _who(call.caller)} hears ringing", Tone.QUIET
    over = (Stage.ENDING, Stage.ENDED)
    if line.after in over and line.before not in over and call.way is not Way.REPORTED:
        yield summary(call), Tone.GOOD if call.ending is Ending.ANSWERED else Tone.BAD


def _who(leg: Leg | None) -> str:
    match leg:
        case None:
            return "a phone"
        case Leg(role=Role.QUEUE):
            return "the queue"
        case Leg(role=Role.CALLER, code=None):
            return "the caller"
        case Leg(role=Role.CUSTOMER):
            return "the customer"
    return leg.code or leg.target or "a phone"


def _member(channel: str) -> str:
    """Name a telephone by its channel: ``PJSIP/101-0000002a`` is PJSIP/101."""
    return channel.rsplit("-", 1)[0]
