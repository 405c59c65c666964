"""The shop's phones: each a SIPp process at the port where Asterisk looks for that extension."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from ari_app.demo.pbx import keys
from ari_app.demo.pbx.keys import Keys, Pressed, Talk
from ari_app.demo.pbx.sipp import HUM, Sipp


@dataclass(frozen=True, slots=True)
class Answers:
    """Rings for `after` seconds (183 with sound before the answer: `early_media`), then answers."""

    after: float = 0.2
    hangs_up_after: float | None = None
    """Seconds of talking after which the phone hangs up first; None: it waits for the other side."""
    early_media: bool = False


@dataclass(frozen=True, slots=True)
class Declines:
    """Rings for `after` seconds, then somebody presses "decline" (603)."""

    after: float = 0.2


@dataclass(frozen=True, slots=True)
class Busy:
    """Is busy at once (486)."""


@dataclass(frozen=True, slots=True)
class Refuses:
    """Is refused at once with a SIP status, as a line does: 404, 503."""

    status: int


@dataclass(frozen=True, slots=True)
class Forwards:
    """Forwards its calls at once (302) to a number."""

    to: str


@dataclass(frozen=True, slots=True)
class Rings:
    """Rings until the caller gives up, or until the phone is told what to do."""


Behaviour = Answers | Declines | Busy | Refuses | Forwards | Rings


class Fate(Enum):
    """What became of a call at a phone."""

    RINGING = "ringing"
    TALKING = "talking"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    LEFT = "left"
    """The other side hung up."""
    HUNG_UP = "hung up"
    """This phone hung up."""


@dataclass(slots=True)
class PhoneCall:
    """A call as the phone saw it."""

    id: str
    name: str
    """The displayed caller name, empty when there is none."""
    number: str
    """The displayed caller number: the user part of From."""
    to: str
    """The number that was dialled: the user part of the INVITE's address."""
    at: float
    """When the INVITE came, on the clock of `time.monotonic()`."""
    fate: Fate = Fate.RINGING
    reason: str = ""
    """The Reason header of the CANCEL or BYE that ended it."""
    answered_at: float | None = None
    ended_at: float | None = None
    """When one of the two left; `over` comes when that is confirmed."""
    leaves: bool = False
    """Whether the phone was told to hang up."""
    over: bool = False
    """Whether the phone is done with it."""
    pressed: Pressed = field(default_factory=Pressed)
    """What was done with the phone's keys."""

    @property
    def transferred(self) -> bool:
        """Whether this phone has handed the call over."""
        return self.pressed.transfer == 200

    @property
    def answered_elsewhere(self) -> bool:
        """Whether the phone was told that somebody else took the call, so that it isn't shown as missed."""
        return self.fate is Fate.CANCELLED and re.search(r"cause=(200|26)\b", self.reason) is not None


@dataclass
class Phone(Keys):
    """A phone that behaves in one way to every call; an async context manager."""

    extension: str
    port: int
    behaviour: Behaviour
    folder: Path
    """Where its files may be while it is on."""
    sound: bool = True
    """Whether it sends a hum while talking; without it a phone costs less."""
    calls: list[PhoneCall] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._sipp = Sipp(self.port, self.folder, self._happening)
        try:
            await self._sipp.start("phone", _scenario(self.behaviour, self.sound), [])
        except BaseException:
            await self._sipp.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._sipp.running:
                await self._leave_all()
        finally:
            await self._sipp.kill()

    @property
    def pid(self) -> int | None:
        """The id of its SIPp process; None before it is on."""
        return self._sipp.pid

    @property
    def ringing(self) -> list[PhoneCall]:
        """The calls that ring now."""
        return [call for call in self.calls if call.fate is Fate.RINGING]

    @property
    def talking(self) -> list[PhoneCall]:
        """The calls that are answered and not over."""
        return [call for call in self.calls if call.fate is Fate.TALKING]

    async def rings(self, calls: int = 1) -> PhoneCall:
        """Wait until `calls` calls have come, whatever became of them, and return the last one."""
        await self.until(lambda: len(self.calls) >= calls)
        return self.calls[calls - 1]

    async def answers(self) -> PhoneCall:
        """Wait until some call has been answered and return the first such call."""
        await self.until(lambda: any(call.answered_at for call in self.calls))
        return next(call for call in self.calls if call.answered_at)

    async def is_free(self) -> None:
        """Wait until a call has come and every call is over."""
        await self.until(lambda: bool(self.calls) and all(call.over for call in self.calls))

    async def until(self, predicate: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait until `predicate` holds; asked again after everything that happens at this phone."""
        await self._sipp.until(predicate, timeout)

    def answer(self, *calls: PhoneCall) -> None:
        """Answer these calls, or every one that rings now."""
        for call in calls or self.ringing:
            self._sipp.send("ANSWER", call.id)

    def decline(self, *calls: PhoneCall) -> None:
        """Decline these calls, or every one that rings now."""
        self._leave(calls or self.ringing)

    def hang_up(self, *calls: PhoneCall) -> None:
        """End these calls, or every one: decline those that ring, BYE to those that talk."""
        self._leave(calls or self.ringing + self.talking)

    def keys(self, call: PhoneCall) -> Keys:
        """Give the keys for one call of several that talk."""
        return _KeysOfOne(self._talk_of(call))

    async def vanish(self) -> None:
        """Go away without a word, as a phone whose power is cut."""
        await self._sipp.kill()

    def _talk(self) -> Talk:
        [call] = self.talking
        return self._talk_of(call)

    def _talk_of(self, call: PhoneCall) -> Talk:
        return Talk(self._sipp, call.id, call.pressed, partial(self._leave, [call]))

    def _leave(self, calls: Sequence[PhoneCall]) -> None:
        for call in calls:
            if not call.leaves:
                call.leaves = True
                self._sipp.send("HANGUP", call.id)

    async def _leave_all(self) -> None:
        self.hang_up()
        try:
            await self.until(lambda: all(call.over for call in self.calls), timeout=2.0)
        except TimeoutError:
            return

    def _happening(self, words: list[str]) -> None:
        what, call_id, rest = (*words, "", "", "")[:3]
        now = time.monotonic()
        if what == "invite":
            to, _, caller = rest.partition(" ")
            name, number = _caller(caller)
            self.calls.append(PhoneCall(call_id, name, number, to, now))
            return
        call = next((call for call in reversed(self.calls) if call.id == call_id), None)
        if call is None:
            return
        match what:
            case "ack" if call.fate is Fate.RINGING:  # not the one that confirms a refusal
                call.fate, call.answered_at = Fate.TALKING, now
            case "cancelled":
                call.fate, call.reason = Fate.CANCELLED, rest
            case "refused":
                call.fate = Fate.REFUSED
            case "left":
                call.fate, call.reason = Fate.LEFT, rest
            case "hungup":
                call.fate = Fate.HUNG_UP
            case "over":
                call.over = True
            case _:
                call.pressed.happened(what, rest)
        if call.ended_at is None and call.fate not in (Fate.RINGING, Fate.TALKING):
            call.ended_at = now


class _KeysOfOne(Keys):
    def __init__(self, talk: Talk) -> None:
        self._one = talk

    def _talk(self) -> Talk:
        return self._one


_RINGING = """\
  <send><![CDATA[

    SIP/2.0 {status}
    Via:[$via]
    From:[$from]
    To:[$to];tag=[pid]-[call_number]
    Call-ID: [call_id]
    CSeq:[$cseq]
    Contact: <sip:[local_ip]:[local_port]>
{body}
  ]]></send>
"""
_AT_ONCE = '  <nop next="4"/>\n'
_NO_BODY = "    Content-Length: 0\n"
_EARLY_MEDIA = """\
    Content-Type: application/sdp
    Content-Length: [len]

    v=0
    o=phone 1 1 IN IP4 [local_ip]
    s=-
    c=IN IP4 [media_ip]
    t=0 0
    m=audio [rtpstream_audio_port] RTP/AVP 0 8
    a=rtpmap:0 PCMU/8000
    a=rtpmap:8 PCMA/8000
"""


def _scenario(behaviour: Behaviour, sound: bool) -> dict[str, str]:
    progress, refusal = _RINGING.format(status="180 Ringing", body=_NO_BODY), "603 Decline"
    redirect = ring = talk = ""
    match behaviour:
        case Answers(after, hangs_up_after, early_media):
            if early_media:
                progress = _RINGING.format(status="183 Session Progress", body=_EARLY_MEDIA)
            ring, talk = _timeout(after, 3), "" if hangs_up_after is None else _timeout(hangs_up_after, 6)
        case Declines(after):
            ring = _timeout(after, 4)
        case Busy():
            progress, refusal = _AT_ONCE, "486 Busy Here"
        case Refuses(status):
            progress, refusal = _AT_ONCE, f"{status} Refused"
        case Forwards(to):
            progress, refusal = _AT_ONCE, "302 Moved Temporarily"
            redirect = f"\n    Contact: <sip:{to}@127.0.0.1>"
        case Rings():
            pass
    return {
        "redirect": redirect,
        "progress": progress,
        "refusal": refusal,
        "ring_timeout": ring,
        "talk_timeout": talk,
        "sound": HUM if sound else "",
        "keys": keys.scenario("[$contact]", "[$to];tag=[pid]-[call_number]", "[$from]"),
    }


def _timeout(seconds: float, then: int) -> str:
    return f'timeout="{max(1, round(seconds * 1000))}" ontimeout="{then}"'


def _caller(header: str) -> tuple[str, str]:
    """Split a From header: the displayed name, and the user part of the address."""
    quoted = re.match(r'\s*"((?:\\.|[^"\\])*)"', header)
    if quoted:
        name, address = re.sub(r"\\(.)", r"\1", quoted[1]), header[quoted.end() :]
    else:
        name, _, address = header.partition("<")
    number = re.search(r"sips?:([^@>;]*)@", address or header)
    return name.strip(), number[1] if number else ""
