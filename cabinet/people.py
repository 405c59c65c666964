"""What the account's managers are called, by their extensions."""

from __future__ import annotations

from ari_app.managers import names
from cabinet.visits import Visit


async def names_of(visit: Visit) -> dict[str, str]:
    """Give the name of each extension whose manager's name is known.

    Raises:
        StoreUnavailable
    """
    return names(visit.account, await visit.staff.people())
