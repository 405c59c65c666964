"""What pages say of something that the CRM is told of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ari_app.calls import (
    Tell,
    TellAlert,
    TellCustomer,
    TellHangup,
    TellMail,
    TellNotice,
    TellRinging,
    TellTask,
    TellTaskDone,
    TellWebhook,
)
from ari_app.timeline.saying import Saying, Value


def with_names(said: Saying, names: Mapping[str, str]) -> Saying:
    """Give what a timeline says with the names of employees where it has their extensions."""
    return replace(said, values={key: _named(value, names) for key, value in said.values.items()})


def named(code: str, names: Mapping[str, str]) -> str:
    """Give an employee's name with the extension, or the extension alone."""
    return f"{names[code]} ({code})" if code in names else code


def _part(part: str | Saying, names: Mapping[str, str]) -> str | Saying:
    return with_names(part, names) if isinstance(part, Saying) else named(part, names)


def _named(value: Value, names: Mapping[str, str]) -> Value:
    match value:
        case Saying():
            return with_names(value, names)
        case tuple():
            return tuple(_part(one, names) for one in value)
        case str():
            return named(value, names)
        case _:
            return value


@dataclass(frozen=True, slots=True)
class Told:
    """Something that the CRM was told, refused to hear, or is still to be told; `at` is when, in seconds."""

    tell: Tell
    at: float | None = None
    problem: str | None = None

    @property
    def kind(self) -> str:
        """Say what it is in a word: ``ringing``, ``hangup``, ``result``, ``task``, ``notice`` and so on."""
        match self.tell:
            case TellRinging():
                return "ringing"
            case TellHangup():
                return "hangup"
            case TellTask():
                return "task"
            case TellTaskDone():
                return "task done"
            case TellNotice():
                return "notice"
            case TellCustomer():
                return "customer"
            case TellWebhook():
                return "webhook"
            case TellMail():
                return "mail"
            case TellAlert():
                return "alert"
            case _:
                return "result"
