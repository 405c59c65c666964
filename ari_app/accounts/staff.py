"""The CRM's users, as they were when it was asked last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ari_app.accounts.extensions import Conflict


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the CRM; `id` is the CRM's."""

    id: int
    name: str | None
    active: bool = True
    """Whether they may sign in to the CRM; else they are blocked there."""
    new: bool = False
    """Whether they weren't there the time before."""
    left: bool = False
    """Whether they are there no longer."""

    @property
    def works(self) -> bool:
        """Whether they are there, and not blocked."""
        return self.active and not self.left


@dataclass(frozen=True, slots=True)
class Synchronisation:
    """How it goes, or went. Moments are seconds since the epoch."""

    began_at: float
    ended_at: float | None = None
    page: int = 0
    """The page that came last."""
    pages: int = 0
    problem: str = ""
    """Why it failed, in a word: empty, many, denied, silent, refused, stopped, store, mistake."""
    detail: str = ""
    users: int = 0
    new: int = 0
    left: int = 0
    blocked: int = 0
    taken: int = 0
    """Extensions that were entered in the CRM, and are taken."""
    conflicts: tuple[Conflict, ...] = field(default=())
    untold: str = ""
    """Why the CRM could not be asked for extensions, or told ours."""


class User(Protocol):
    """A user as the CRM names them."""

    @property
    def id(self) -> int:
        """The CRM's id."""
        ...

    @property
    def name(self) -> str | None:
        """First and last name."""
        ...

    @property
    def active(self) -> bool:
        """Whether they aren't blocked."""
        ...


def compare(known: Mapping[int, Person], users: Iterable[User]) -> dict[int, Person]:
    """Mark the users who are new and who have left; none is new at the first time. None is forgotten."""
    people = {
        user.id: Person(
            user.id,
            user.name or (known[user.id].name if user.id in known else None),
            user.active,
            new=bool(known) and (user.id not in known or known[user.id].left),
        )
        for user in users
    }
    gone = {
        ident: Person(ident, one.name, one.active, left=True)
        for ident, one in known.items()
        if ident not in people
    }
    return people | gone
