"""Where a call goes, as people choose it: steps, of which each rings some or leads somewhere.

Stored it is one text (`ari_app.calls.routing`); in a form each step has a kind, the extensions that are
ticked and in which order they were, and a place in the dialplan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ari_app.calls import BadDestination, parse_destinations
from cabinet.forms.form import Field
from cabinet.frame.visits import Form as Sent

MOST_STEPS = 8
SPARE_STEPS, FEW_EXTENSIONS = 3, 12
KINDS = {"together": "group", "in_turn": "group", "queue": "queue", "dialplan": "dialplan"}
"""The kinds of steps, and the word that each has in the stored text."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `kind` is one of `KINDS`, or empty when nothing was chosen."""

    kind: str = ""
    codes: tuple[str, ...] = ()
    """The extensions of a group, in their order."""
    place: str = ""
    """Where a queue or a place of the dialplan is: CONTEXT,EXTEN[,PRIORITY]."""

    @property
    def text(self) -> str:
        """Write it as it is stored."""
        match self.kind:
            case "":
                return ""
            case "together" | "in_turn":
                return f"group:{('>' if self.kind == 'in_turn' else ',').join(self.codes)}"
            case _:
                return f"{self.kind}:{self.place}"

    @property
    def wrong(self) -> str:
        """Say what is wrong with it, in a word: ``nobody`` is to be rung, or the ``place`` is none."""
        try:
            parse_destinations(self.text, 1)
        except BadDestination:
            return "place" if self.place or self.kind in ("queue", "dialplan") else "nobody"
        return ""


class Destinations(Field):
    """A field of a model that says where a call goes."""

    __slots__ = ()

    def sent(self, sent: Sent) -> str:
        """Give what was sent as it would be stored."""
        steps = (self._step(sent, f"{self.name}-{index}") for index in range(MOST_STEPS))
        return ";".join(text for step in steps if (text := step.text))

    def read(self, sent: Sent, stored: Any, optional: bool) -> Any:
        """Read what was sent."""
        text = self.sent(sent)
        if any(step.wrong for step in read_steps(text)):
            raise ValueError("bad")
        return text

    def _step(self, sent: Sent, name: str) -> Step:
        kind = sent.get(f"{name}-kind", "")
        if kind not in KINDS:
            return Step()
        if kind in ("together", "in_turn"):
            return Step(kind, _in_order(sent.getall(f"{name}-codes", []), sent.get(f"{name}-order", "")))
        place = sent.get(f"{name}-place", "")[:200]
        return Step(kind, place=",".join(word.strip() for word in place.replace(";", " ").split(",")))


def _in_order(ticked: list[str], order: str) -> tuple[str, ...]:
    """Put the extensions into the order in which they were ticked, as far as it is known."""
    codes = [code for code in dict.fromkeys(ticked) if not set(code) & set(",;>:")]
    known = {code: place for place, code in enumerate(order.split(","))}
    return tuple(sorted(codes, key=lambda code: known.get(code, len(known))))


def read_steps(text: str) -> list[Step]:
    """Read what is stored, or was sent and is wrong."""
    steps = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        kind, _, rest = part.partition(":")
        kind = kind.strip().lower()
        if kind == "group":
            in_turn = ">" in rest
            codes = tuple(code for word in rest.split(">" if in_turn else ",") if (code := word.strip()))
            steps.append(Step("in_turn" if in_turn else "together", codes))
        else:
            steps.append(Step(kind if kind in KINDS else "dialplan", place=rest.strip()))
    return steps


def shown_steps(text: str, extensions: int) -> list[Step]:
    """Give the steps that a form shows: those that there are, and some that are still to be chosen.

    Each lists all extensions, so there is but one more where there are many of them.
    """
    steps = read_steps(text)
    more = SPARE_STEPS if extensions <= FEW_EXTENSIONS else 1
    return [*steps, *[Step()] * max(0, min(more, MOST_STEPS - len(steps)))]
