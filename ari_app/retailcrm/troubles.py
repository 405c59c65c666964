"""What fails of what a shop has switched on beside telephony: since when, and why, until it works again.

Each kind of message by itself, and each address: that one mailbox is full says nothing of another, and that
the key may not give tasks nothing of notices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from ari_app.accounts.current import Current
from ari_app.accounts.sections import Notify
from ari_app.calls import Tell, TellCustomer, TellTask, TellTaskDone
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmLimited, CrmRefused
from ari_app.retailcrm.waiting import Way, way_of

SURE = 2
"""One failure without a word of what is wrong is no trouble yet."""


class What(StrEnum):
    """What is switched on."""

    TASKS = "tasks"
    NOTICES = "notices"
    CUSTOMERS = "customers"
    WEBHOOK = "webhook"
    MAIL = "mail"


class Kind(StrEnum):
    """What can be done about it."""

    REFUSED = "refused"
    """Such a message is never taken; it is set aside."""
    DENIED = "denied"
    """Nothing is taken before a person has mended something there."""
    AWAY = "away"
    """It is tried again and again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something does not work."""

    what: What
    to: str
    """The address of a webhook or a mailbox; else empty."""
    kind: Kind
    since: float
    """When what failed first was to be told; seconds since the epoch."""
    problem: str
    failures: int = 1

    @property
    def sure(self) -> bool:
        """Whether it is more than an accident."""
        return self.kind is not Kind.AWAY or self.failures >= SURE


_Key: TypeAlias = tuple[What, str, str]
"""What, to which address, and what of it."""


class Troubles:
    """Those of one account. They are known until the same works, or is switched off, or the service ends."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._known: dict[_Key, Trouble] = {}

    @property
    def all(self) -> list[Trouble]:
        """What doesn't work now, each kind and address once."""
        known: dict[tuple[What, str], Trouble] = {}
        for trouble in sorted(self._known.values(), key=lambda one: one.since):
            if trouble.sure and self._wanted(trouble):
                known.setdefault((trouble.what, trouble.to), trouble)
        return sorted(known.values(), key=lambda one: (list(What).index(one.what), one.to))

    def failed(self, tell: Tell, error: CrmError) -> None:
        """Note that something could not be told; that it is to be told more slowly is no failure.

        It may wait since before this service was started, and then the trouble is older than the service.
        """
        key = self._key(tell)
        if key is None or isinstance(error, CrmLimited):
            return
        kinds = {CrmRefused: Kind.REFUSED, CrmDenied: Kind.DENIED}
        kind = kinds.get(type(error), Kind.AWAY)
        before = self._known.get(key) or Trouble(*key[:2], kind, tell.at, "", 0)
        self._known[key] = replace(before, kind=kind, problem=str(error), failures=before.failures + 1)
        self._known = {one: trouble for one, trouble in self._known.items() if self._wanted(trouble)}

    def passed(self, tell: Tell) -> None:
        """Note that something was told."""
        key = self._key(tell)
        if key is not None:
            self._known.pop(key, None)

    def _key(self, tell: Tell) -> _Key | None:
        match way_of(tell):
            case Way.CALLS:
                return None
            case Way.WEBHOOK:
                return What.WEBHOOK, self._current.account.webhook.url or "", ""
            case Way.MAIL:
                return What.MAIL, getattr(tell, "to", ""), ""
        match tell:
            case TellTask():
                return What.TASKS, "", ""
            case TellTaskDone():
                return What.TASKS, "", "done"
            case TellCustomer():
                return What.CUSTOMERS, "", ""
            case _:
                return What.NOTICES, "", ""

    def _wanted(self, trouble: Trouble) -> bool:
        """Tell whether it is still switched on."""
        account = self._current.account
        match trouble.what:
            case What.TASKS:
                return account.missed.task
            case What.NOTICES:
                return account.missed.notify is not Notify.NOBODY or bool(account.alerts.group)
            case What.CUSTOMERS:
                return account.calls.new_customers
            case What.WEBHOOK:
                return account.webhook.url == trouble.to
            case What.MAIL:
                return trouble.to in self._current.mail.everybody
