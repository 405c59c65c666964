"""Whether a demo call went as planned: what was expected, what was observed, the difference in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ari_app.demo.crm.rules import ToldCall, ToldEvent

LENGTH_TOLERANCE = 0.5
"""Seconds by which a recording may be longer or shorter than the talk that the customer measured."""
REPORT_TOLERANCE = 1.0
"""Seconds by which the CRM's whole numbers may differ from what the customer measured."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event that the CRM must hear: `in` with the codes that ring, `out` with the one that calls, or
    `hangup` with the call's end.
    """

    type: str
    codes: tuple[str, ...]
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The upload that the CRM must get."""

    result: str
    code: str | None
    type: Literal["in", "out"] = "in"


@dataclass(frozen=True, slots=True)
class Expected:
    """How a call must go."""

    sip_status: int
    """The final status that the customer gets or, called by us, gives; 487 after giving up."""
    events: tuple[Told, ...]
    """What the CRM hears while it happens: exactly this, in this order."""
    upload: Result | None
    """What the CRM hears at the end; None when it must not hear of the call at all."""
    talkers: tuple[str, ...] = ()
    """The extensions that talk."""
    recorded: bool = False
    """Whether there is a recording, and the CRM (if it is told) gets its link."""
    shown: str | None = None
    """The caller's name on the displays of all phones that ring; None when they show none."""
    left_alone: tuple[str, ...] = ()
    """The extensions that could ring and must not."""
    dialled: tuple[str, ...] = ()
    """The numbers at which customers are rung, as they are dialled."""

    @property
    def answers_a_call(self) -> bool:
        """Whether it is the customer who calls."""
        return self.upload is None or self.upload.type == "in"


@dataclass(frozen=True, slots=True)
class Observed:
    """How a call went: the SIP side as the customer and the phones saw it, the CRM as it received it."""

    sip_status: int | None
    waited: float
    """Seconds until the answer, or until the end."""
    talked: float | None
    """Seconds from the answer to the end; None without an answer."""
    talkers: tuple[str, ...]
    """The extensions whose phones answered, or dialled and were answered."""
    shown: tuple[str, ...]
    """The caller's names on the phones that rang, each once; a phone that shows none is left out."""
    events: tuple[ToldEvent, ...]
    uploads: tuple[ToldCall, ...]
    rang: tuple[str, ...] = ()
    """The extensions whose phones were rung."""
    dialled: tuple[str, ...] = ()
    """The numbers at which customers were rung."""
    between: float = 0.0
    """Seconds after the answer in which the customer waited for a colleague: recorded, but no talk."""
    recording: float | None = None
    """Seconds of the recording that was downloaded; None when there is none."""
    violations: tuple[str, ...] = ()
    """What the CRM was sent and must not be."""


def problems(expected: Expected, observed: Observed, number: str, called: str) -> list[str]:
    """Say what was not as planned; `number` (the customer's) and `called` (the shop's) are E.164.

    Of a call that begins with us the CRM isn't told a number of the shop's.
    """
    return [
        *_sip(expected, observed),
        *_events(expected.events, observed.events),
        *_uploads(expected, observed),
        *_recording(expected, observed),
        *_numbers(observed, number, called if expected.answers_a_call else None),
        *(f"the CRM was sent what it must not be: {violation}" for violation in observed.violations),
    ]


def _sip(expected: Expected, observed: Observed) -> Iterator[str]:
    if observed.sip_status != expected.sip_status:
        yield f"the customer got SIP {observed.sip_status or 'nothing'} instead of {expected.sip_status}"
    if observed.talkers != expected.talkers:
        yield f"{_list(observed.talkers)} talked instead of {_list(expected.talkers)}"
    disturbed = tuple(code for code in observed.rang if code in expected.left_alone)
    if disturbed:
        yield f"{_list(disturbed)} rang and should have been left alone"
    if observed.dialled != expected.dialled:
        yield f"{_list(observed.dialled)} was dialled instead of {_list(expected.dialled)}"
    shown = (expected.shown,) if expected.shown else ()
    if observed.shown != shown:
        yield f"the phones showed {_list(observed.shown)} instead of {_list(shown)}"


def _events(expected: tuple[Told, ...], observed: tuple[ToldEvent, ...]) -> Iterator[str]:
    heard = tuple(Told(event.type, tuple(sorted(event.codes)), event.hangup_status) for event in observed)
    if heard != expected:
        yield f"the CRM heard {_words(heard)} instead of {_words(expected)}"


def _uploads(expected: Expected, observed: Observed) -> Iterator[str]:
    heard = tuple(Result(one.result, one.code, one.type) for one in observed.uploads)
    wanted = (expected.upload,) if expected.upload else ()
    if heard != wanted:
        yield f"the CRM got {_results(heard)} instead of {_results(wanted)}"
    for upload in observed.uploads:
        yield from _times(upload, observed)
        if (upload.record_url is not None) != expected.recorded:
            yield f"the CRM was given {'a' if upload.record_url else 'no'} recording's link"


def _times(upload: ToldCall, observed: Observed) -> Iterator[str]:
    for told, seen, what in (
        (upload.duration, (observed.talked or 0.0) - observed.between, "talking"),
        (upload.duration_waiting, observed.waited, "waiting"),
    ):
        if told is None or abs(told - seen) > REPORT_TOLERANCE:
            yield f"the CRM was told {told} s of {what}, the customer saw {seen:.1f} s"
    if (upload.duration or 0) > 0 and upload.result != "answered":
        yield "the CRM was told of a talk that was none"


def _recording(expected: Expected, observed: Observed) -> Iterator[str]:
    if not expected.recorded:
        if observed.recording is not None:
            yield "there is a recording"
    elif observed.recording is None:
        yield "no recording can be downloaded as a WAV file of 8 kHz, 16 bit"
    elif abs(observed.recording - (observed.talked or 0.0)) > LENGTH_TOLERANCE:
        yield f"the recording is {observed.recording:.1f} s long, the talk was {observed.talked or 0:.1f} s"


def _numbers(observed: Observed, number: str, called: str | None) -> Iterator[str]:
    messages: list[ToldEvent | ToldCall] = [*observed.events, *observed.uploads]
    for message in messages:
        if (message.phone, message.external_phone) != (number, called):
            ours = message.external_phone or "no number of ours"
            yield f"the CRM was told of {message.phone} and {ours}"


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(words) or "nobody"


def _words(events: tuple[Told, ...]) -> str:
    told = (" ".join(filter(None, (one.type, "+".join(one.codes), one.status))) for one in events)
    return "; ".join(told) or "nothing"


def _results(results: tuple[Result, ...]) -> str:
    told = (f"{one.type}, {one.result}, {one.code or 'no code'}" for one in results)
    return "; ".join(told) or "no result"
