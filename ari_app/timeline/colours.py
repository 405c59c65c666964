"""In which colours a terminal shows a timeline."""

from __future__ import annotations

from ari_app.timeline.timeline import Tone

COLOURS = {
    Tone.CALLER: "bold",
    Tone.PHONE: "cyan",
    Tone.GOOD: "green",
    Tone.BAD: "yellow",
    Tone.CRM: "magenta",
    Tone.QUIET: "dim",
}
