"""A call's journal, told in sentences that a person on duty reads at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ari_app.calls import (
    CRM_WORDS,
    Call,
    CrmTold,
    Direction,
    Ending,
    JournalLine,
    Stage,
    TimerName,
    Way,
    whose,
)
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls import reported as r
from ari_app.timeline.colours import Tone
from ari_app.timeline.legs import (
    RESULTS,
    leg_ended,
    leg_event,
    leg_forwards,
    leg_transfers,
    name_of_leg,
    name_of_member,
    party_replaced,
    telephones_found,
    whose_telephone,
)
from ari_app.timeline.saying import Saying, Value, say


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing that happened; `at` is seconds since the epoch (UTC)."""

    at: float
    said: Saying
    tone: Tone

    @property
    def text(self) -> str:
        """Say it in English."""
        return str(self.said)


def narrate(line: JournalLine, call: Call) -> list[Sentence]:
    """Tell one line of a call's journal; `call` is the call as it is now, for the names of its legs."""
    return [Sentence(line.at, said, tone) for said, tone in (*_event(line, call), *_orders(line, call))]


_ENDINGS = {
    Ending.ANSWERED: say("answered"),
    Ending.GAVE_UP: say("the caller gave up"),
    Ending.BUSY: say("everyone was busy"),
    Ending.NOT_ANSWERED: say("nobody answered"),
    Ending.FAILED: say("nobody could be reached"),
    Ending.NOT_PLACED: say("the manager could not be had"),
    Ending.UNKNOWN: say("whether anybody answered can't be known"),
}
_OUTGOING_ENDINGS = {
    **_ENDINGS,
    Ending.GAVE_UP: say("the manager gave up"),
    Ending.BUSY: say("the customer was busy"),
    Ending.NOT_ANSWERED: say("the customer did not answer"),
    Ending.FAILED: say("the customer could not be reached"),
}


_DIRECTIONS = {Direction.IN: say("in"), Direction.OUT: say("out")}


def summary(call: Call) -> str:
    """Say in half a line what the call was, or is."""
    if call.ending is None:
        return f"talking to {call.talker or 'somebody'}" if call.stage is Stage.TALKING else call.stage.value
    return str(_summary(call, call.ending))


def _summary(call: Call, ending: Ending) -> Saying:
    out = call.direction is Direction.OUT
    if ending is Ending.UNKNOWN:
        return _ENDINGS[ending]
    if ending is not Ending.ANSWERED:
        endings = _OUTGOING_ENDINGS if out else _ENDINGS
        return say("%(ending)s after %(waiting)s s", ending=endings[ending], waiting=call.waiting)
    if out:
        who = say("by the customer")
    else:
        first = call.first_talker or call.talker
        named = call.talker_leg is not None or call.way is Way.REPORTED
        who = say("by %(who)s", who=first or say("somebody")) if named else say("by the dialplan")
    values: dict[str, Value] = {"who": who, "waiting": call.waiting, "talking": call.talking}
    if call.talker is not None and call.first_talker not in (None, call.talker):
        return say(
            "answered %(who)s after %(waiting)s s, talked %(talking)s s, last by %(last)s",
            **values,
            last=call.talker,
        )
    return say("answered %(who)s after %(waiting)s s, talked %(talking)s s", **values)


def _event(line: JournalLine, call: Call) -> Iterator[tuple[Saying, Tone]]:
    match line.event:
        case h.CallArrived(number=number, trial=str(code)):
            who = number or say("withheld number")
            yield say("a trial by an administrator: %(who)s calls %(code)s", who=who, code=code), Tone.CALLER
        case h.CallArrived(_, _, number, external):
            who, whom = number or say("withheld number"), external or say("us")
            yield say("%(who)s calls %(whom)s", who=who, whom=whom), Tone.CALLER
        case h.CallDialled(code=code, number=number):
            who, whom = code or say("a phone"), number or say("a number")
            yield say("%(who)s calls %(whom)s", who=who, whom=whom), Tone.CALLER
        case h.CallClicked(external=external):
            text = say("the CRM asks %(code)s to call %(number)s, by %(way)s", **_click(line.event))
            if external:
                text = say(
                    "the CRM asks %(code)s to call %(number)s from %(external)s, by %(way)s",
                    **_click(line.event),
                    external=external,
                )
            yield text, Tone.CALLER
        case h.WayBlocked(problem=problem):
            yield say("ARI can't place the call: %(problem)s", problem=problem), Tone.BAD
        case h.PartyReplaced():
            yield party_replaced(line.event, call), Tone.PHONE
        case h.KeyPressed():
            pass
        case h.TelephonesFound(telephones=telephones):
            yield from telephones_found(telephones)
        case h.LegForwarded(target=target):
            yield leg_forwards(call.party(line.event.leg), target), Tone.PHONE
        case h.CustomerParked(member=member, target=target):
            parks = say("%(who)s parks the customer at %(target)s", who=name_of_member(member), target=target)
            yield parks if member else say("the customer was parked"), Tone.PHONE
        case h.CustomerStayed():
            yield say("there was no place in the parking lot"), Tone.BAD
        case h.MemberTransferred(member=member, target=target):
            yield leg_transfers(whose_telephone(call, name_of_member(member)), target), Tone.PHONE
        case h.CustomerFound(_, name, responsible):
            manager = say("manager %(code)s", code=responsible) if responsible else say("no manager")
            known = say("the CRM knows: %(name)s, %(manager)s", name=name or say("no name"), manager=manager)
            yield known, Tone.CRM
        case h.CustomerUnknown(_, problem):
            if problem:
                yield say("the CRM could not be asked: %(problem)s", problem=problem), Tone.BAD
            else:
                yield say("the CRM doesn't know the number"), Tone.CRM
        case h.CallerAnswered() if line.before is Stage.CALLING:
            yield say("%(who)s answered", who=name_of_leg(call.caller)), Tone.GOOD
        case h.CallerEnded(_, _, known_up_at):
            yield from _caller_ended(line, call, known_up_at)
        case h.CallerAnswered() if line.before is Stage.DIALPLAN:
            yield say("the dialplan answered"), Tone.GOOD
        case h.CallerReturned():
            yield say("the caller is back from the dialplan"), Tone.CALLER
        case h.TimerExpired(_, timer):
            yield from _timer(timer)
        case h.PbxSaid(at=at):
            yield from _missed(line, call, line.event)
            for leg in call.our_legs:
                if leg.ended_at == at:  # nobody had told us
                    yield from leg_ended(line, leg)
        case h.OutcomeUnknown(_, why):
            yield say("asking the PBX what is true: %(why)s", why=why), Tone.QUIET
        case h.HangUpAsked(_, by):
            by_whom = say("the call is ended from the cabinet, by %(by)s", by=by)
            yield by_whom if by else say("the call is ended from the cabinet"), Tone.BAD
        case h.ClockSet(by=by):
            yield say("the clock was set by %(seconds)s s", seconds=by), Tone.QUIET
        case h.ServiceStopping():
            yield say("the service is stopping"), Tone.BAD
        case CrmTold(_, told, problem):
            yield from _told(told, problem)
        case h.RecordingStored(_, file, seconds):
            yield say("recording stored: %(seconds)s s, %(file)s", seconds=seconds, file=file), Tone.GOOD
        case h.RecordingFailed(_, problem):
            yield say("no recording: %(problem)s", problem=problem), Tone.BAD
        case r.RingingReported() | r.EndReported() | r.FileReported() | r.CallTakenOver():
            yield from _report(line.event, line, call)
        case _:
            yield from leg_event(line, call)


def _missed(line: JournalLine, call: Call, said: h.PbxSaid) -> Iterator[tuple[Saying, Tone]]:
    """Tell what happened while nothing was heard, and how its moment is known."""
    over = (Stage.ENDING, Stage.ENDED)
    if not said.deaf or line.before is line.after or line.before in over:
        return
    if line.before is Stage.RINGING and call.answered_at is not None and call.answered_at <= said.at:
        if any(fact.answered_at is not None for fact in said.channels):
            yield say("somebody answered while nothing was heard: the PBX knows when"), Tone.GOOD
        else:
            yield say("somebody answered while nothing was heard: after the last moment known"), Tone.GOOD
    if line.after in over and call.in_doubt:
        yield say("it ended while nothing was heard: somebody may have answered before"), Tone.BAD
    elif line.after in over:
        how = say("when the PBX or the recording says, or else at the last moment known")
        yield say("it ended while nothing was heard: %(how)s", how=how), Tone.CALLER


def _report(report: r.Report, line: JournalLine, call: Call) -> Iterator[tuple[Saying, Tone]]:
    """Tell what the shop's own dialplan says; the reports' own numbers, not ours."""
    late = line.before in (Stage.ENDING, Stage.ENDED)
    match report:
        case r.RingingReported(direction=direction, number=number, codes=codes):
            values = {"direction": _DIRECTIONS[direction], "who": number or say("withheld number")}
            text = say("the dialplan says: %(direction)s, %(who)s, for %(codes)s", **values, codes=codes)
            yield say("%(what)s: too late, not told", what=text) if late else text, Tone.CALLER
        case r.EndReported() if late and not line.orders:
            yield say("the dialplan says once more that it is over: not told again"), Tone.QUIET
        case r.EndReported(ending=ending, code=code, waiting=waiting, talking=talking, by=by):
            text = say(
                "the dialplan says: over, %(how)s, waited %(waiting)s s, talked %(talking)s s",
                how=(_ENDINGS[ending], code) if code else _ENDINGS[ending],
                waiting=str(waiting),
                talking=str(talking),
            )
            yield text, Tone.GOOD if ending is Ending.ANSWERED else Tone.BAD
            if late:
                yield say("this is believed, and not what was said of the end before"), Tone.QUIET
            elif call.reporter and by is not None and by != call.reporter:
                yield (
                    say("it comes from %(address)s, and the beginning didn't: doubted", address=by),
                    Tone.QUIET,
                )
            elif line.after is Stage.ENDING:
                yield say("waiting for the recording's file"), Tone.QUIET
        case r.FileReported(file=file, seconds=seconds):
            text = say("recording received: %(file)s", file=file)
            if seconds is not None:
                text = say("recording received: %(seconds)s s, %(file)s", seconds=seconds, file=file)
            too_late = line.before is Stage.ENDED
            yield say("%(what)s: the CRM was told already", what=text) if too_late else text, Tone.GOOD
        case r.CallTakenOver():
            yield say("the call has come to us: it is told under another id"), Tone.QUIET


def _caller_ended(line: JournalLine, call: Call, known_up_at: float | None) -> Iterator[tuple[Saying, Tone]]:
    who = name_of_leg(call.caller)
    if line.before is Stage.ENDING:
        said, tone = say("%(who)s is gone", who=who), Tone.QUIET
    elif line.before is Stage.CALLING and call.caller.result is not None:
        said, tone = say("%(who)s: %(result)s", who=who, result=RESULTS[call.caller.result]), Tone.BAD
    elif call.way is Way.AJAM and call.answered_at is not None:  # the dialplan doesn't tell who hung up
        said, tone = say("one of the two hung up"), Tone.CALLER
    else:
        said, tone = say("%(who)s hung up", who=who), Tone.CALLER
    yield say("%(what)s (nobody saw it)", what=said) if known_up_at is not None else said, tone


def _click(clicked: h.CallClicked) -> dict[str, Value]:
    return {"code": clicked.code, "number": clicked.number or say("a number"), "way": clicked.way.value}


def _timer(timer: TimerName) -> Iterator[tuple[Saying, Tone]]:
    match timer:
        case TimerName.LOOK_UP:
            yield say("the CRM did not answer in time"), Tone.BAD
        case TimerName.RING:
            yield say("nobody answered in time"), Tone.BAD
        case TimerName.TELEPHONES:
            yield say("the PBX did not say in time which telephones there are"), Tone.BAD
        case TimerName.SILENT:
            yield say("of the other telephone nothing was heard"), Tone.QUIET
        case TimerName.RECORDING:
            yield say("the recording did not come in time"), Tone.BAD
        case TimerName.REPORT:
            yield say("the dialplan never said how it ended: the CRM is not told"), Tone.BAD
        case TimerName.KEYS:
            yield say("the manager hands the customer over by feature code"), Tone.PHONE
        case TimerName.PARKER:
            yield say("who parked the customer is hung up"), Tone.QUIET
        case TimerName.RECORDER:
            yield say("the recording had broken off: it goes on"), Tone.BAD
        case TimerName.TRIAL:
            yield say("the trial hangs up by itself"), Tone.QUIET
        case TimerName.ROUND | TimerName.VAIN:
            pass


def _told(told: o.Tell, problem: str | None) -> Iterator[tuple[Saying, Tone]]:
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
        case o.TellTask():
            text = "task to call back"
        case o.TellTaskDone():
            text = "task to call back is done"
        case o.TellNotice():
            text = "notice of the missed customer"
        case o.TellCustomer(code=code):
            text = f"new customer, {code}'s"
        case o.TellWebhook(event=event):
            text = event.replace("_", " ")
        case o.TellMail(event=event):
            text = event.replace("_", " ")
        case o.TellAlert(event=event, what=what):
            text = f"{event.replace('_', ' ')}, {what}"
    match told:
        case o.TellWebhook():
            who = "webhook"
        case o.TellMail(to=to):
            who = f"{to} by e-mail"
        case _:
            who = "CRM"
    if problem:
        yield Saying(f"{who} not told ({problem}): {text}"), Tone.BAD
    else:
        yield Saying(f"{who} told: {text}"), Tone.CRM


def _orders(line: JournalLine, call: Call) -> Iterator[tuple[Saying, Tone]]:
    for order in line.orders:
        if isinstance(order, o.PassOver):
            one = say("%(codes)s is busy: passed over", codes=order.codes)
            many = say("%(codes)s are busy: passed over", codes=order.codes)
            yield one if len(order.codes) == 1 else many, Tone.PHONE
    rung: list[str | Saying] = []
    for order in line.orders:
        who = name_of_leg(call.party(order.leg)) if isinstance(order, o.Ring) else None
        if who is not None and who not in rung:  # somebody may have several telephones
            rung.append(who)
    if rung:
        yield say("trying %(who)s", who=tuple(rung)), Tone.PHONE
    for order in line.orders:
        if isinstance(order, o.SendToDialplan):
            place = f"{order.context},{order.exten},{order.priority}"
            yield say("the caller goes on in the dialplan: %(place)s", place=place), Tone.CALLER
        elif isinstance(order, o.Originate):
            yield say("ringing %(who)s by AJAM", who=name_of_leg(call.caller)), Tone.PHONE
        elif isinstance(order, o.PlayRinging):
            talked = call.answered_at is not None and line.at >= call.answered_at
            hears = say("the customer") if talked else name_of_leg(call.caller)
            yield say("%(who)s hears ringing", who=hears), Tone.QUIET
    over = (Stage.ENDING, Stage.ENDED)
    if line.after in over and line.before not in over and call.way is not Way.REPORTED:
        said = _summary(call, call.ending) if call.ending is not None else Saying(summary(call))
        yield said, Tone.GOOD if call.ending is Ending.ANSWERED else Tone.BAD
        yield from _why(call)


def _why(call: Call) -> Iterator[tuple[Saying, Tone]]:
    """Tell why it isn't known whether anybody answered, or why no extension is told."""
    if call.ending is Ending.UNKNOWN and call.meets:
        yield say("the PBX doesn't say who talks in a conference, or with a parked customer"), Tone.QUIET
    elif call.ending is Ending.UNKNOWN and call.end_unseen:
        yield say("nobody heard the PBX before the end"), Tone.QUIET
    elif call.ending is Ending.ANSWERED and call.direction is Direction.IN and whose(call) is None:
        yield say("no extension is told: who talked last is nobody of the account"), Tone.QUIET
    elif call.ending is not Ending.ANSWERED and (call.handed_on or call.left_to_dialplan):
        yield say("no extension is told: the customer was last in the dialplan, with nobody"), Tone.QUIET
