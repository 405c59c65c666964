"""What somebody typed into a form of something else than settings: the door, a token's name, a row of a list.

When it is refused, it is shown again as it was typed; what `Filled` of `cabinet.forms.form` is to settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cabinet.frame.visits import Form as Sent

Some = TypeVar("Some", bound="Typed")

LONGEST = 1000
"""Characters that are read of what is typed into a field: more than any takes, so that none is cut unsaid."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A form with the texts that were typed into it; none yet, when it is only shown."""

    texts: Mapping[str, str]
    wrong: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with a field, in a word of its page."""
    problem: str = ""
    """What is wrong with the whole, in a word: ``old`` and ``gone`` when somebody else was faster."""

    @property
    def bad(self) -> bool:
        """Whether it can't be taken."""
        return bool(self.wrong or self.problem)

    @property
    def status(self) -> int:
        """The status of an answer that shows it."""
        return 409 if self.problem in ("old", "gone") else 422 if self.bad else 200

    def with_texts(self: Some, **texts: str) -> Some:
        """Give it with other texts."""
        return replace(self, texts={**self.texts, **texts})

    def refused(self: Some, problem: str = "", **wrong: str) -> Some:
        """Give it with what is wrong: words for fields, and for the whole."""
        return replace(self, problem=problem or self.problem, wrong={**self.wrong, **wrong})


def texts_in(sent: Sent, *names: str, longest: int = LONGEST) -> dict[str, str]:
    """Give what was typed into fields, without blanks around it; nothing for a field that wasn't sent."""
    return {name: sent.get(name, "").strip()[:longest] for name in names}
