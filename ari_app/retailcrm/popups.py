"""Which popups of a call the CRM was sent: for extensions that had none it isn't told the end either."""

from __future__ import annotations

from typing import Protocol

from ari_app.calls import OutboxEntry, TellHangup, TellRinging


class NotSent(Protocol):
    """Remembers popups over restarts; its methods raise `StoreUnavailable`."""

    async def popups_not_sent(self, call: str) -> frozenset[str]:
        """Give the extensions whose popups of a call were taken out without the CRM's being told."""


class Popups:
    """Those of one account's calls, from the first popup until the end is told."""

    def __init__(self, outbox: NotSent) -> None:
        self._outbox = outbox
        self._never_told: dict[str, set[str]] = {}
        self._rang: dict[str, None] = {}
        """The calls whose popups went through our hands, and whose end didn't yet."""

    async def take_in(self, entry: OutboxEntry) -> None:
        """Know of a call that ends which popups were never sent, also those from before we were started.

        Raises:
            StoreUnavailable: that can't be known now; the entry is to be taken in again.
        """
        if isinstance(entry.tell, TellRinging):
            self._rang[entry.call] = None
        elif isinstance(entry.tell, TellHangup):
            if entry.call not in self._rang:
                never = await self._outbox.popups_not_sent(entry.call)
                self._never_told.setdefault(entry.call, set()).update(never)
            self._rang.pop(entry.call, None)

    def not_told(self, entry: OutboxEntry) -> None:
        """Note the extensions that the CRM isn't told of, so that it isn't told of their end either."""
        if isinstance(entry.tell, TellRinging):
            self._never_told.setdefault(entry.call, set()).update(entry.tell.codes)

    def codes(self, call: str, tell: TellHangup) -> tuple[str, ...]:
        """Give the extensions for which a call's end is told: those of which the CRM knows that they rang."""
        never = self._never_told.get(call, ())
        return tuple(code for code in tell.codes if code not in never)

    def over(self, entry: OutboxEntry) -> None:
        """Forget a call whose end is told, or need not be."""
        if isinstance(entry.tell, TellHangup):
            self._never_told.pop(entry.call, None)
