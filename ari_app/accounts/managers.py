"""The extension that the CRM means when it names a manager, by extension or by user."""

from __future__ import annotations

from collections.abc import Mapping

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.accounts.staff import Person

_MOST_DIGITS = 18


class NoExtension(ValueError):
    """The CRM names nobody whose phone we know; the text says why and names the parameter."""


def names(account: RegisteredAccount, people: Mapping[int, Person]) -> dict[str, str]:
    """Give the name of each extension whose manager's name is known; `people` are the CRM's users, by id."""
    named = {one.code: people[one.user_id].name for one in account.extensions if one.user_id in people}
    return {code: name for code, name in named.items() if name}


def extension_of(account: Account, code: str, user_id: str) -> str:
    """Give the extension that the CRM means: `code` wins over `user_id`; what is empty wasn't given.

    Raises:
        NoExtension: neither leads to an extension of the account.
    """
    code, user_id = code.strip(" "), user_id.strip(" ")
    if code:
        if code not in account.codes:
            raise NoExtension("code is not an extension of this account")
        return code
    if not user_id:
        raise NoExtension("code and userId are missing")
    if not (user_id.isascii() and user_id.isdecimal() and len(user_id) <= _MOST_DIGITS):
        raise NoExtension("userId is not a number")
    found = account.code_of_user(int(user_id))
    if found is None:
        raise NoExtension("userId has no extension in this account")
    return found
