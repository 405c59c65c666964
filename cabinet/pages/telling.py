"""What pages say of something that the CRM is told of a call."""

from __future__ import annotations

from dataclasses import dataclass

from ari_app.calls import Tell, TellHangup, TellRinging


@dataclass(frozen=True, slots=True)
class Told:
    """Something that the CRM was told, refused to hear, or is still to be told; `at` is when, in seconds."""

    tell: Tell
    at: float | None = None
    problem: str | None = None

    @property
    def kind(self) -> str:
        """``ringing``, ``hangup`` or ``result``."""
        if isinstance(self.tell, TellRinging):
            return "ringing"
        return "hangup" if isinstance(self.tell, TellHangup) else "result"
