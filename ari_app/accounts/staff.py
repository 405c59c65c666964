"""The CRM's users, as they were when it was asked last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ari_app.accounts.extensions import Conflict
from ari_app.accounts.sections import ExtensionOf
from ari_app.calls import is_internal, is_persons


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
    extension: str | None = None
    """What stands there as their telephone, if it is an extension."""

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

    @property
    def phone(self) -> str | None:
        """Their telephone, as it was typed."""
        ...


def compare(known: Mapping[int, Person], users: Iterable[User]) -> dict[int, Person]:
    """Mark the users who are new and who have left; none is new at the first time. None is forgotten."""
    people = {
        user.id: Person(
            user.id,
            user.name or (known[user.id].name if user.id in known else None),
            user.active,
            new=bool(known) and (user.id not in known or known[user.id].left),
            extension=user.phone
            if user.phone and is_internal(user.phone) and is_persons(user.phone)
            else None,
        )
        for user in users
    }
    gone = {
        ident: Person(ident, one.name, one.active, left=True)
        for ident, one in known.items()
        if ident not in people
    }
    return people | gone


def matched(people: Iterable[Person], ours: Iterable[ExtensionOf], there: Collection[str]) -> dict[int, str]:
    """Give employees without an extension the one that stands in the CRM as their telephone, by their ids.

    `ours` are the account's, `there` are those that the PBX has. What stands in the CRM for two employees,
    or is another telephone of somebody's, is nobody's.
    """
    have = tuple(ours)
    users, taken = {one.user_id for one in have}, {code for one in have for code in (one.code, *one.devices)}
    free = {
        one.id: one.extension
        for one in people
        if one.works and one.extension in there and one.id not in users and one.extension not in taken
    }
    times = Counter(free.values())
    return {user: code for user, code in free.items() if code is not None and times[code] == 1}
