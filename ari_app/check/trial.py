"""What a trial has shown (`ari_app.calls.trial`): of each step of a customer's call, whether it went right.

All is read off the call and its journal, so the page and the command say the same, also of one that is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from ari_app.calls import (
    LOOK_UP_SECONDS,
    TRIAL_RING_SECONDS,
    Call,
    CrmTold,
    JournalLine,
    LegResult,
    RecordingState,
    Role,
    TellRinging,
    TimerName,
    whole_seconds,
)
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.check.findings import Finding, bad, good, unknown, warning
from ari_app.control.trials import NotTried, WhyNot

POPUP_SECONDS = 45.0
"""So long after its end a trial may wait for the CRM's word; later popups aren't told."""


class Part(StrEnum):
    """What a trial shows, in the order in which it happens."""

    ASKED = "asked"
    RANG = "rang"
    NAME = "name"
    ANSWERED = "answered"
    RECORDED = "recorded"
    POPUP = "popup"


def judge(call: Call, lines: Sequence[JournalLine]) -> tuple[Finding, ...]:
    """Say of each part how it went so far; `unknown` with a remedy is what didn't come to pass."""
    asked = good("PBX", "Asterisk has taken the order, and its dialplan has brought the call to the service")
    found = (
        asked,
        _rang(call, lines),
        _name(call, lines),
        _answered(call),
        _recorded(call),
        _popup(call, lines),
    )
    return tuple(replace(one, step=part.value) for part, one in zip(Part, found, strict=True))


def goes_on(call: Call, lines: Sequence[JournalLine], now: float) -> bool:
    """Tell whether more is still to come of a trial; `now` is in seconds since the epoch."""
    if not call.over:
        return True
    waits = bool(call.told) and not any(_popups(lines))
    return waits and call.ended_at is not None and now < call.ended_at + POPUP_SECONDS


def not_begun(problem: NotTried) -> Finding:
    """Say why nobody is rung."""
    return replace(_not_begun(problem), step=Part.ASKED.value)


def _not_begun(problem: NotTried) -> Finding:
    detail = problem.detail
    match problem.why:
        case WhyNot.GOES_ON:
            return bad("PBX", "another trial call goes on", "wait until it is over: half a minute at most")
        case WhyNot.FULL:
            return bad(
                "PBX",
                "so many calls go on that there is no room for another",
                "try again when fewer people talk",
            )
        case WhyNot.NO_DIALPLAN:
            return bad(
                "dialplan",
                f"Asterisk has no context {detail}, which hands customers' calls over to the service",
                "put our files onto Asterisk (“Asterisk settings”), and reload its dialplan",
            )
        case WhyNot.REFUSED:
            return bad(
                "PBX",
                f"Asterisk refuses to place the call: {detail}",
                "look at the user's rights in ari.conf (read_only = no), and into Asterisk's log",
            )
        case WhyNot.NEVER_CAME:
            return bad(
                "dialplan",
                "Asterisk has taken the order, but no call came to the service",
                "see that the context of our files on Asterisk is unchanged, and check the whole set-up",
            )
    return bad(
        "PBX",
        f"Asterisk is not connected: {detail}" if detail else "Asterisk is not connected",
        "see on the page “Information” what is wrong with the connection to Asterisk",
    )


def _never(subject: str) -> Finding:
    return unknown(subject, "it didn't come to that", "mend first what stands above")


def _rang(call: Call, lines: Sequence[JournalLine]) -> Finding:
    code = call.trial or ""
    if _has_rung(call):
        return good("phones", f"the telephone of extension {code} has rung")
    if code in call.passed_over:
        return bad(
            "phones",
            f"extension {code} was passed over: its employee talks, or is away or busy in retailCRM",
            "try again when they are free, or let “Telephony” ring managers who are busy, too",
        )
    if code in call.absent:
        return bad(
            "phones",
            f"no telephone of extension {code} is registered at Asterisk",
            "switch the telephone on, and see that it is registered (asterisk -rx 'pjsip show contacts')",
        )
    refused = [line.event for line in lines if isinstance(line.event, h.LegRefused)]
    if refused:
        return bad(
            "phones",
            f"Asterisk could not ring extension {code}: {refused[-1].problem}",
            "see that Asterisk has an endpoint of that name, and how people are rung in “Asterisk settings”",
        )
    if call.ending is None:
        return unknown("phones", f"the telephone of extension {code} is being called", "wait a moment")
    results = {leg.result for leg in call.legs}
    if LegResult.BUSY in results or LegResult.DECLINED in results:
        return bad(
            "phones",
            f"the telephone of extension {code} says at once that it is busy",
            "hang it up, and switch “do not disturb” off",
        )
    return bad(
        "phones",
        f"the telephone of extension {code} can't be reached",
        "see that it is switched on and in the network, and registered (asterisk -rx 'pjsip show contacts')",
    )


def _has_rung(call: Call) -> bool:
    rung = (leg for leg in call.legs if leg.role in (Role.MANAGER, Role.MEMBER, Role.FORWARDED))
    return call.answered_at is not None or any(leg.rang for leg in rung)


def _name(call: Call, lines: Sequence[JournalLine]) -> Finding:
    subject = "name on the telephone"
    shown = [one for line in lines for one in line.orders if isinstance(one, o.Ring)]
    for line in lines:
        event = line.event
        if isinstance(event, h.CustomerUnknown) and event.problem is not None:
            return bad(
                subject,
                f"retailCRM could not be asked who calls: {event.problem}",
                "see on the page “Information” how retailCRM is; until then telephones show the number alone",
            )
        if isinstance(event, h.TimerExpired) and event.timer is TimerName.LOOK_UP:
            return bad(
                subject,
                f"retailCRM did not say within {LOOK_UP_SECONDS:g} s who calls",
                "see on the page “Information” how retailCRM is; until then telephones show the number alone",
            )
    if not shown:
        if call.ending is None:
            return unknown(subject, "it is being asked who calls", "wait a moment")
        return _never(subject)
    name = shown[-1].name
    if call.known:
        return good(subject, f"the telephone is shown “{name}”, as retailCRM knows {call.number}")
    if call.number is None:
        return warning(
            subject,
            f"the telephone is shown “{name}”; retailCRM wasn't asked, for the call had no number",
            "name a number from which the trial call is to come",
        )
    return good(
        subject,
        f"the telephone is shown “{name}”: retailCRM was asked, and knows no customer with {call.number}",
    )


def _answered(call: Call) -> Finding:
    subject = "answer"
    if call.answered_at is not None:
        return good(subject, f"it was answered after {whole_seconds(call.waiting)} s")
    if call.ending is None:
        return unknown(subject, "nobody has answered yet", "answer the telephone")
    if not _has_rung(call):
        return _never(subject)
    results = {leg.result for leg in call.legs}
    if LegResult.DECLINED in results or LegResult.BUSY in results:
        return bad(subject, "the call was declined at the telephone", "try again, and answer it")
    if whole_seconds(call.waiting) < TRIAL_RING_SECONDS - 1:
        return bad(subject, "the call ended before anybody answered", "try again, and answer it")
    return bad(
        subject,
        f"nobody answered within {TRIAL_RING_SECONDS:g} s",
        "try again and answer; if no telephone rings near you, see at which one the extension is registered",
    )


def _recorded(call: Call) -> Finding:
    subject = "recordings"
    if not call.policy.record:
        return warning(subject, "recording is switched off", "switch it on under “Telephony” if you want it")
    state, recording = call.recording.state, call.recording
    if state is RecordingState.STORED:
        return good(subject, f"the talk is recorded and stored: {whole_seconds(recording.seconds or 0.0)} s")
    if state is RecordingState.LOST:
        return bad(
            subject,
            f"the talk could not be recorded: {recording.problem or 'the file did not come in time'}",
            "see that the folder /var/spool/asterisk/recording exists and belongs to Asterisk's user",
        )
    if call.answered_at is None and call.ending is not None:
        return _never(subject)
    if call.answered_at is None:
        return unknown(subject, "it begins with the answer", "wait a moment")
    return unknown(subject, "the talk is being recorded, then the file is fetched", "wait a moment")


def _popups(lines: Sequence[JournalLine]) -> Iterator[CrmTold]:
    """Give what became of the popups of which the CRM was to be told."""
    for line in lines:
        if isinstance(line.event, CrmTold) and isinstance(line.event.tell, TellRinging):
            yield line.event


def _popup(call: Call, lines: Sequence[JournalLine]) -> Finding:
    subject = "popup in retailCRM"
    told = list(_popups(lines))
    if any(one.problem is None for one in told):
        return good(subject, f"retailCRM has taken the popup for extension {call.trial}")
    if told:
        return bad(
            subject,
            f"retailCRM did not take the popup: {told[-1].problem}",
            "see that telephony is switched on in retailCRM, and that the key has telephony's rights",
        )
    if call.number is None:
        return warning(
            subject,
            "retailCRM isn't told, for the call had no number",
            "name a number from which the trial call is to come",
        )
    if call.told:
        return unknown(subject, "retailCRM is being told", "see on the page “Information” how retailCRM is")
    if call.ending is None:
        return unknown(subject, "retailCRM is told when the telephone rings", "wait a moment")
    return _never(subject)
