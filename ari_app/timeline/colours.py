"""What a sentence of a timeline is about, and in which colour a terminal shows that."""

from __future__ import annotations

from enum import StrEnum


class Tone(StrEnum):
    """What a sentence is about, so that it can be coloured."""

    CALLER = "caller"
    PHONE = "phone"
    GOOD = "good"
    BAD = "bad"
    CRM = "crm"
    QUIET = "quiet"


COLOURS = {
    Tone.CALLER: "bold",
    Tone.PHONE: "cyan",
    Tone.GOOD: "green",
    Tone.BAD: "yellow",
    Tone.CRM: "magenta",
    Tone.QUIET: "dim",
}
