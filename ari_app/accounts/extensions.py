"""The extensions of the CRM's users: ours, and those that people entered in the CRM, brought together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.sections import ExtensionOf
from ari_app.calls import is_persons


@dataclass(frozen=True, slots=True)
class Conflict:
    """An extension that was entered in the CRM and isn't taken."""

    user_id: int
    theirs: str
    ours: str | None = None
    """What the user has here, if it is that which is kept."""
    holder: int | None = None
    """The user who has it here already."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The extensions that hold from now on."""

    extensions: tuple[ExtensionOf, ...]
    taken: tuple[ExtensionOf, ...] = ()
    """Those that were entered in the CRM, and are taken."""
    conflicts: tuple[Conflict, ...] = ()


def merge(ours: tuple[ExtensionOf, ...], theirs: Mapping[int, str], told: Mapping[int, str]) -> Merged:
    """Take over what was entered in the CRM since it was `told` ours; where both were changed, ours stays.

    What is as it was told wasn't touched there, so a change of ours (a removal, too) isn't undone by it. An
    extension that the CRM lost is not removed here: it is told again.
    """
    codes = {one.user_id: one.code for one in ours}
    known = {one.user_id: one for one in ours}
    taken: list[ExtensionOf] = []
    conflicts: list[Conflict] = []
    for user, code in theirs.items():
        mine = codes.get(user)
        if code in (mine, told.get(user)):
            continue
        holder = next((other for other, its in codes.items() if its == code and other != user), None)
        entered = _read(user, code)
        if holder is not None:
            conflicts.append(Conflict(user, code, mine, holder))
        elif entered is None or (mine is not None and mine != told.get(user)):
            conflicts.append(Conflict(user, code, mine))
        else:
            codes[user] = code
            taken.append(entered)
    whole = tuple(recoded(known.get(user), user, code) for user, code in codes.items())
    return Merged(whole, tuple(taken), tuple(conflicts))


def recoded(known: ExtensionOf | None, user: int, code: str) -> ExtensionOf:
    """Give a user an extension; devices and mobile stay theirs."""
    return ExtensionOf(user_id=user, code=code) if known is None else known.model_copy(update={"code": code})


def _read(user: int, code: str) -> ExtensionOf | None:
    try:
        return ExtensionOf(user_id=user, code=code) if is_persons(code) else None
    except ValidationError:
        return None


MOST_TOGETHER = 20
"""So many telephones are rung together by themselves at most; more have to be chosen."""


def with_everybody(before: RegisteredAccount, after: RegisteredAccount) -> RegisteredAccount:
    """Give an account whose extensions have changed, so that no caller is dropped who was not before.

    Until somebody chooses otherwise a call that nobody takes goes to all extensions together: the group
    begins with the first of them, and follows them as long as it is all of them.
    """
    codes = tuple(one.code for one in before.extensions)
    then = tuple(one.code for one in after.extensions)
    whole = _is_all_of(before.calls.fallback, codes)
    if codes == then or not whole or len(then) > MOST_TOGETHER or after.calls != before.calls:
        return after
    fallback = f"group:{','.join(then)}" if then else ""
    return after.altered(calls={**after.calls.model_dump(), "fallback": fallback})


def _is_all_of(text: str, codes: tuple[str, ...]) -> bool:
    kind, _, rest = text.partition(":")
    return (kind == "group" and set(rest.split(",")) == set(codes)) if codes else not text
