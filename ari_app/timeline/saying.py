"""Texts that can be said in another language: a text with places, and what belongs there, kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, Union

Value: TypeAlias = Union[str, float, "Saying", tuple[Union[str, "Saying"], ...]]
"""A text, seconds (shown with one decimal), another saying, or a list."""


class Tongue(Protocol):
    """A language."""

    def gettext(self, text: str) -> str:
        """Say a text, with its places."""

    def tenths(self, value: float) -> str:
        """Write a number with one decimal."""


class English:
    """The language in which texts are written."""

    def gettext(self, text: str) -> str:
        """Say a text as it is."""
        return text

    def tenths(self, value: float) -> str:
        """Write a number with one decimal."""
        return f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Saying:
    """An English text with places such as ``%(who)s``, as a catalogue of translations has it."""

    text: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def within(self, tongue: Tongue) -> str:
        """Say it in a language."""
        text = tongue.gettext(self.text)
        if not self.values:
            return text
        return text % {name: _within(value, tongue) for name, value in self.values.items()}

    def __str__(self) -> str:
        return self.within(English())


def say(text: str, /, **values: Value) -> Saying:
    """Put a text together; the catalogue's texts are found by this name."""
    return Saying(text, values)


def _within(value: Value, tongue: Tongue) -> str:
    match value:
        case Saying():
            return value.within(tongue)
        case tuple():
            return ", ".join(_within(one, tongue) for one in value)
        case int() | float():
            return tongue.tenths(value)
    return str(value)
