"""Which destinations a call tries, in order.

Destinations are written ``group:101,102`` (all at once), ``group:101>102`` (in turn),
``queue:CONTEXT[,EXTEN]`` and ``dialplan:CONTEXT,EXTEN,PRIORITY``; one after another with ``;``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ari_app.calls.numbers import LONGEST_INTERNAL

IN_TURN_SECONDS = 20.0
"""How long each phone of a group rings when they ring in turn."""

DIRECTLY = "PJSIP/##"
"""The channel format by which telephones are rung where nothing else is said."""

_CODE = re.compile(r"[0-9*#]{1,20}")
_PERSONS = re.compile(r"(?!0+$)[0-9]{1,20}")
_DIALPLAN_WORD = re.compile(r"[A-Za-z0-9_.+*#-]{1,79}")
_PRIORITY = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class People:
    """Extensions that we ring ourselves, all at once, for so many seconds."""

    codes: tuple[str, ...]
    seconds: float
    kind: Literal["people"] = "people"


@dataclass(frozen=True, slots=True)
class Queue:
    """An Asterisk ``Queue()``, reached through a Local channel so that the call stays ours."""

    context: str
    exten: str = "s"
    kind: Literal["queue"] = "queue"


@dataclass(frozen=True, slots=True)
class Dialplan:
    """A place in the shop's own dialplan (voice menu, voicemail); the caller leaves us for it."""

    context: str
    exten: str
    priority: int
    kind: Literal["dialplan"] = "dialplan"


@dataclass(frozen=True, slots=True)
class Outside:
    """A number outside, as it is dialled, and the line: the place in the shop's dialplan that lets it out.

    `local` is the context from which a Local channel, which always starts at priority 1, gets to that place.
    """

    number: str
    context: str
    priority: int
    local: str
    kind: Literal["outside"] = "outside"


Destination: TypeAlias = People | Queue | Dialplan | Outside


class BadDestination(ValueError):
    """A destination is written wrongly; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How an account wants its calls handled, as it was when the call came in; times in seconds."""

    channel_format: str
    fallback: tuple[Destination, ...]
    unknown: tuple[Destination, ...]
    ring_manager_seconds: float = 60.0
    caller_name_prefix: str = ""
    blank_unknown_caller: bool = False
    record: bool = True
    manager_caller_name: str = "CRM"
    """What a manager's phone shows when the CRM places a call."""
    ignore_manager_status: bool = False
    """Ring managers also when the CRM says that they are away, or when they talk."""
    ajam: bool = False
    """Whether there is a second way to place a call."""
    telephones: bool = False
    """Whether the PBX can say which telephones an extension has, or that it has none."""

    missed_task: bool = False
    """Give whose a missed customer is the task, in the CRM, to call them back."""
    missed_notice: bool = False
    """Let people of the CRM see there that a customer was missed."""

    missed_webhook: bool = False
    """Tell a program of the shop's of missed customers."""
    new_customer: bool = False
    """Let a caller whom the CRM doesn't know become its customer when somebody answers."""

    @property
    def through_dialplan(self) -> bool:
        """Whether people are rung by the shop's dialplan, which decides whose telephone rings."""
        return self.channel_format.startswith("Local/")

    def through(self, channel_format: str) -> Policy:
        """Give the same with people who are rung by a dialplan, where the account has chosen nothing else."""
        if self.channel_format != DIRECTLY:
            return self
        return replace(self, channel_format=channel_format, telephones=False)

    def endpoint(self, code: str) -> str:
        """Name the channel that reaches an extension, such as ``PJSIP/101``."""
        return self.channel_format.replace("##", code)


def is_extension(code: str) -> bool:
    """Tell whether a text may become a part of an endpoint's name: digits, ``*`` and ``#`` only."""
    return _CODE.fullmatch(code) is not None


def is_persons(code: str) -> bool:
    """Tell whether an extension may be a person's: digits only; ``*97`` and ``0`` are nobody's telephone."""
    return _PERSONS.fullmatch(code) is not None


def is_internal(code: str) -> bool:
    """Tell whether a text is an extension, and too short for a number outside."""
    return len(code) <= LONGEST_INTERNAL and is_extension(code)


def parse_destinations(text: str, together_seconds: float) -> tuple[Destination, ...]:
    """Read a list of destinations.

    `together_seconds` is how long a group rings when all its phones ring at once.

    Raises:
        BadDestination: with a sentence that names the part and what was expected.
    """
    found: list[Destination] = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        kind, colon, rest = part.partition(":")
        reader = _READERS.get(kind.strip().lower())
        if reader is None or not colon:
            raise BadDestination(
                f"{part!r}: a destination is group:101,102, group:101>102, queue:CONTEXT[,EXTEN] "
                "or dialplan:CONTEXT,EXTEN,PRIORITY"
            )
        found += reader(part, rest, together_seconds)
    return tuple(found)


def _read_group(part: str, rest: str, together_seconds: float) -> list[Destination]:
    in_turn = ">" in rest
    codes = tuple(code.strip() for code in rest.split(">" if in_turn else ","))
    if not all(map(is_extension, codes)):
        raise BadDestination(
            f"{part!r}: a group is extensions of digits, either 101,102 (all at once) or 101>102 (in turn)"
        )
    if len(set(codes)) != len(codes):
        raise BadDestination(f"{part!r}: an extension stands in the group twice")
    if in_turn:
        return [People((code,), IN_TURN_SECONDS) for code in codes]
    return [People(codes, together_seconds)]


def _read_queue(part: str, rest: str, _: float) -> list[Destination]:
    words = [word.strip() for word in rest.split(",")]
    if len(words) > 2 or not all(map(_DIALPLAN_WORD.fullmatch, words)):
        raise BadDestination(f"{part!r}: a queue is queue:CONTEXT or queue:CONTEXT,EXTEN")
    return [Queue(words[0], words[1] if len(words) == 2 else "s")]


def _read_dialplan(part: str, rest: str, _: float) -> list[Destination]:
    words = [word.strip() for word in rest.split(",")]
    if len(words) != 3 or not all(map(_DIALPLAN_WORD.fullmatch, words)) or not _PRIORITY.fullmatch(words[2]):
        raise BadDestination(f"{part!r}: a dialplan destination is dialplan:CONTEXT,EXTEN,PRIORITY")
    return [Dialplan(words[0], words[1], int(words[2]))]


_READERS = {"group": _read_group, "queue": _read_queue, "dialplan": _read_dialplan}


def plan(policy: Policy, known: bool, responsible: str | None) -> tuple[Destination, ...]:
    """List what a call tries: the responsible manager, then the fallback; unknown customers have theirs."""
    if not known:
        return policy.unknown or policy.fallback
    if responsible is None:
        return policy.fallback
    return (People((responsible,), policy.ring_manager_seconds), *policy.fallback)


def way_out(destinations: tuple[Destination, ...]) -> Dialplan | None:
    """Find where a waiting caller can go without us: the first queue or dialplan destination, if any."""
    for destination in destinations:
        match destination:
            case Queue(context, exten):
                return Dialplan(context, exten, 1)
            case Dialplan():
                return destination
            case People() | Outside():
                pass
    return None
