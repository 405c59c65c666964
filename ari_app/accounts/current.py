"""What holds for an account at this moment; whoever is given it sees each change at once."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from ari_app.accounts.account import Account
from ari_app.accounts.activity import Activity
from ari_app.accounts.owners import Owners
from ari_app.calls import Policy


class Current:
    """The settings of one account at work, and what its CRM says of itself."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.policy: Policy = account.policy()
        self.activity = Activity()
        """Whether telephony is switched on in the CRM."""
        self._zone = ZoneInfo(account.timezone_name)

    def change(self, account: Account) -> None:
        """Take changed settings; the time zone stays the one that the CRM told."""
        self.account, self.policy = account, account.policy()

    def owners(self) -> Owners:
        """Say whose the shop's telephones are."""
        return self.account.owners

    def zone(self) -> ZoneInfo:
        """Give the shop's time zone."""
        return self._zone

    def take_zone(self, zone: ZoneInfo | None) -> None:
        """Take the time zone that the CRM tells; the one that is known stays when it tells none."""
        self._zone = zone or self._zone
