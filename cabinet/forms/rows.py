"""A row of a list that an account has: an employee's extension, a number of the shop's.

A row is added, changed or taken away by a form of its own, on the account as it is stored at that moment. Its
form carries what it was filled from (``was``), so that somebody else's change meanwhile is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.sections import ExtensionOf, ExternalPhone
from cabinet.forms.typed import Typed, texts_in
from cabinet.frame.clients import SERVICE
from cabinet.frame.visits import Form as Sent

WAS, REMOVE = "was", "remove"


@dataclass(frozen=True, slots=True)
class Row(Typed):
    """What was typed for a row."""

    key: str = ""
    """Which row it is; empty for one that is added."""
    was: str = ""
    """What its form was filled from."""
    remove: bool = False
    """It is to be taken away."""
    holder: ExtensionOf | ExternalPhone | None = None
    """The other row that has the same already."""


class NotTaken(Exception):
    """A row isn't stored; `row` says what is wrong with it."""

    def __init__(self, row: Row) -> None:
        super().__init__(row.problem or str(dict(row.wrong)))
        self.row = row


def read_row(sent: Sent, key: str, *names: str) -> Row:
    """Read the form of a row: its fields by their names, and whether it is to go."""
    was = texts_in(sent, WAS)[WAS]
    return Row(texts_in(sent, *names), key=key, was=was, remove=bool(key) and REMOVE in sent)


async def put(
    request: web.Request, account_id: str, alter: Callable[[RegisteredAccount], RegisteredAccount]
) -> None:
    """Store an account with a row altered, and tell the CRM of it; one that is given back changes nothing.

    Raises:
        NotTaken: by `alter`, which may be called again when somebody else was faster.
        StoreUnavailable
        HTTPNotFound: the account was removed while its page was open.
    """
    changed = False

    def altered(now: RegisteredAccount) -> RegisteredAccount:
        nonlocal changed
        then = alter(now)
        changed = then is not now
        return then

    service = request.app[SERVICE]
    if await service.accounts.change(account_id, altered) is None:
        raise web.HTTPNotFound
    if changed:
        await service.informing.inform_soon(account_id)
