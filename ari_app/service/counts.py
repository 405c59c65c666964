"""What has come into Redis without us: calls that are handed in, what is set aside, missed customers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import structlog

from ari_app.accounts.current import Current
from ari_app.clock import rest
from ari_app.control.switchboard import Line
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.delivery import Delivery
from ari_app.store.calls import CallStore

log = structlog.get_logger(__name__)

LATE_SECONDS, LATE_FOR_SECONDS = 1.0, 90.0
"""How often, and how long after we have taken the account, it is looked whether calls are handed in."""
ASIDE_SECONDS = 10.0
"""How often that is looked at later, and what is set aside."""


class Counts:
    """Of one account, as they were when it was looked last; `clock` is Unix time."""

    def __init__(
        self, current: Current, calls: CallStore, line: Line, delivery: Delivery, clock: Callable[[], float]
    ) -> None:
        self._current = current
        self._calls = calls
        self._line = line
        self._delivery = delivery
        self._clock = clock
        self._log = log.bind(account=current.account.id)
        self.aside = 0
        """How many messages for the CRM are set aside, for a person to look at."""
        self.led_here = False
        """Whether the dialplan leads here: a customer's call has come by this PBX, or a check has seen it."""
        self.unreadable: tuple[str, ...] = ()
        """The live calls that another version has stored and this one can't read: they are left alone."""

    async def follow(self) -> None:
        """Look for ever, at first often."""
        looks, ended = 0, -1
        while True:
            with suppress(StoreUnavailable):
                counts = await self._calls.counts()
                self.aside = counts.aside
                if counts.late:
                    await self._take_late()
                known = self._line.live.keys()
                self.unreadable = tuple(await self._calls.unreadable_live(known)) if counts.live else ()
                if not self.led_here and counts.ended != ended:
                    self.led_here = await self._calls.led_here()
                ended = counts.ended
            often = looks * LATE_SECONDS < LATE_FOR_SECONDS or self._line.reconciliation.unknown_talks
            if not often or looks % max(1, round(ASIDE_SECONDS / LATE_SECONDS)) == 0:
                await self._look_for_missed()
            looks += 1
            await rest(LATE_SECONDS if often else ASIDE_SECONDS)

    async def _look_for_missed(self) -> None:
        policy, mail = self._current.policy, self._current.mail
        if policy.missed_webhook or mail.lost:
            with suppress(StoreUnavailable):
                await self._calls.missed.tell_lost(self._clock(), mail)
        in_the_crm = policy.missed_task or policy.missed_notice
        if in_the_crm or policy.missed_webhook or mail.missed or mail.lost:
            self._delivery.wake()  # what is to be told of missed customers is written without a word to it

    async def _take_late(self) -> None:
        """Take up the calls that a copy has handed in which was cut off from Redis and lost the account."""
        for call in await self._calls.take_late():
            self._log.info("a call is taken up that another copy has handed in", call=call.id)
            if not call.over:
                self._line.take_up(call)
            self._delivery.wake()
