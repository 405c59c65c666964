"""The kinds of fields that forms have: how each is written, and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from cabinet.frame.visits import Form as Sent

LONGEST = 4000
"""Characters that are read of what is typed into a field."""
FORGET = "-forget"
"""What the box's name ends with that takes a stored password away."""

_ON = "yes"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a model; `path` leads to it, such as ``pbx.host``."""

    path: str

    @property
    def name(self) -> str:
        """What it is called in the form."""
        return self.path.rpartition(".")[2]

    def text(self, value: Any) -> str:
        """Write the stored value as the form shows it."""
        return "" if value is None else str(value)

    def read(self, sent: Sent, stored: Any, optional: bool) -> Any:
        """Read what was sent.

        Raises:
            ValueError: with the word for what is wrong.
        """
        raise NotImplementedError

    def sent(self, sent: Sent) -> str:
        """Give the text that was sent."""
        return sent.get(self.name, "").strip()[:LONGEST]


class Text(Field):
    """A line of text, or a choice from a list: the model knows which are right."""

    __slots__ = ()

    def read(self, sent: Sent, stored: Any, optional: bool) -> Any:
        """Read what was sent; telephones and dialplans can do nothing with a control character."""
        text = self.sent(sent)
        if not text.isprintable():
            raise ValueError("bad")
        return None if optional and not text else text


class Words(Field):
    """Words with blanks or commas between them."""

    __slots__ = ()

    def text(self, value: Any) -> str:
        """Write the stored value as the form shows it."""
        return " ".join(value or ())

    def read(self, sent: Sent, stored: Any, optional: bool) -> Any:
        """Read what was sent."""
        words = tuple(dict.fromkeys(self.sent(sent).replace(",", " ").split()))
        return None if optional and not words else words


class Number(Field):
    """A whole number."""

    __slots__ = ()

    def read(self, sent: Sent, stored: Any, optional: bool) -> Any:
        """Read what was sent."""
        text = self.sent(sent)
        if not text and optional:
            return None
        if not text:
            raise ValueError("empty")
        if not (text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 16):
            raise ValueError("number")
        return int(text)


class Flag(Field):
    """Yes or no."""

    __slots__ = ()

    def text(self, value: Any) -> str:
        """Write the stored value as the form shows it."""
        return _ON if value else ""

    def sent(self, sent: Sent) -> str:
        """Give the text that was sent: a box that isn't ticked isn't sent at all."""
        return _ON if self.name in sent else ""

    def read(self, sent: Sent, stored: Any, optional: bool) -> Any:
        """Read what was sent."""
        return bool(self.sent(sent))


class Secret(Field):
    """A password: never shown; nothing typed keeps the one that is stored."""

    __slots__ = ()

    def text(self, value: Any) -> str:
        """Show nothing."""
        return ""

    def sent(self, sent: Sent) -> str:
        """Give the text that was sent, as it is: a blank may belong to a password."""
        return sent.get(self.name, "")[:LONGEST]

    def read(self, sent: Sent, stored: Any, optional: bool) -> Any:
        """Read what was sent."""
        if typed := self.sent(sent):
            return SecretStr(typed)
        return None if optional and f"{self.name}{FORGET}" in sent else stored
