"""What holds for an account at this moment; whoever is given it sees each change at once."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from ari_app.accounts.account import Account
from ari_app.accounts.activity import Activity
from ari_app.accounts.owners import Owners
from ari_app.accounts.sections import MailSettings
from ari_app.calls import Policy

DEFAULT_LANGUAGE = "ru"
NO_MAIL = MailSettings()


class Current:
    """The settings of one account at work, and what its CRM says of itself."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.policy: Policy = account.policy()
        self.activity = Activity()
        """Whether telephony is switched on in the CRM."""
        self.writes = False
        """Whether e-mail can be sent: the service's operator has said by which server."""
        self.language = DEFAULT_LANGUAGE
        """The CRM's, as an ISO 639-1 code."""
        self._zone = ZoneInfo(account.timezone_name)

    @property
    def mail(self) -> MailSettings:
        """Who is written to; nobody when no e-mail can be sent."""
        return self.account.mail if self.writes else NO_MAIL

    def change(self, account: Account) -> None:
        """Take changed settings; the time zone stays the one that the CRM told."""
        self.account, self.policy = account, account.policy()

    def owners(self) -> Owners:
        """Say whose the shop's telephones are."""
        return self.account.owners

    def zone(self) -> ZoneInfo:
        """Give the shop's time zone."""
        return self._zone

    def take_language(self, code: str | None) -> None:
        """Take the language that the CRM tells, such as ``ru`` or ``en_GB``; none changes nothing."""
        self.language = code[:2].lower() if code else self.language

    def take_zone(self, zone: ZoneInfo | None) -> None:
        """Take the time zone that the CRM tells; the one that is known stays when it tells none."""
        self._zone = zone or self._zone
