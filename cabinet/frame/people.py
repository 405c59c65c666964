"""What the account's managers are called, by their extensions."""

from __future__ import annotations

from ari_app.accounts.managers import names
from cabinet.frame.visits import Visit


async def names_of(visit: Visit) -> dict[str, str]:
    """Give the name of each extension whose manager's name is known.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    return names(visit.account, await visit.staff.people())
