"""One attempt at telling entries of the outbox: the request, and what follows from how it went."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog

from ari_app import figures
from ari_app.calls import (
    OutboxEntry,
    Tell,
    TellAlert,
    TellCustomer,
    TellHangup,
    TellMail,
    TellResult,
    TellRinging,
    TellWebhook,
)
from ari_app.retailcrm.errors import CrmError, CrmLimited, CrmRefused
from ari_app.retailcrm.popups import Popups
from ari_app.retailcrm.requests import NobodyToTellError, Requests
from ari_app.retailcrm.route import LAST_RETRY_SECONDS, Route, Routes
from ari_app.retailcrm.schedule import Schedule
from ari_app.retailcrm.settlement import Settlement
from ari_app.retailcrm.troubles import Troubles
from ari_app.retailcrm.waiting import Waiting, Way, way_of

T = TypeVar("T")

log = structlog.get_logger(__name__)

WEBHOOK_SECONDS = 3600.0
"""What the shop's program has not taken after so long is set aside."""


class Attempts:
    """At telling one account's CRM, its program and its people."""

    def __init__(
        self,
        requests: Requests,
        waiting: Waiting,
        routes: Routes,
        schedule: Schedule,
        popups: Popups,
        settlement: Settlement,
        troubles: Troubles,
        account: str,
        clock: Callable[[], float],
    ) -> None:
        self._requests = requests
        self._waiting = waiting
        self._routes = routes
        self._schedule = schedule
        self._popups = popups
        self._settlement = settlement
        self._troubles = troubles
        self._account = account
        self._clock = clock
        self._log = log.bind(account=account)

    async def send(self, entry: OutboxEntry) -> None:
        """Tell one entry that isn't a call's result; what there is nobody for is taken out."""
        tell = entry.tell
        if isinstance(tell, TellHangup):
            tell = replace(tell, codes=self._popups.codes(entry.call, tell))
        request = await self._worded(entry, lambda: self._requests.of(entry.call, tell))
        if request is not None:
            await self._ask(self._routes.of(entry), [entry], request())

    async def upload(self, entries: list[OutboxEntry]) -> None:
        """Tell the results of calls, together."""
        sent, calls = [], []
        for entry in entries:
            assert isinstance(entry.tell, TellResult)
            call = await self._worded(entry, partial(self._requests.result, entry.call, entry.tell))
            if call is not None:
                sent.append(entry)
                calls.append(call)
        if sent:
            await self._ask(self._routes.uploads, sent, self._requests.upload(calls))

    async def _worded(self, entry: OutboxEntry, put: Callable[[], T]) -> T | None:
        """Put an entry into the CRM's words; one for which there are none goes aside."""
        try:
            return put()
        except NobodyToTellError as nobody:
            await self._settlement.take_out([entry], str(nobody))
            return None
        except Exception as error:  # one entry that can't be said keeps no other waiting
            self._log.exception("there are no words of the CRM's for an entry", call=entry.call)
            await self._settlement.put_aside(
                entry, f"it can't be put into the CRM's words: {type(error).__name__}"
            )
            return None

    async def _ask(
        self, route: Route, entries: list[OutboxEntry], asking: Coroutine[Any, Any, object]
    ) -> None:
        """Send a request with some entries, and see what becomes of them."""
        try:
            await asking
        except CrmError as error:
            await self._failed(route, entries, error)
            return
        except Exception as error:  # a defect of ours: nobody waits for this entry either
            self._log.exception("an entry could not be sent", call=entries[0].call)
            await self._failed(route, entries, CrmError(f"it could not be sent: {type(error).__name__}"))
            return
        back = route.failing
        route.passed()
        for entry in entries:
            route.suspects.forget(entry)
            self._troubles.passed(entry.tell)
            self._popups.over(entry)
        self._routes.say_how_it_is(self._waiting.backlog)
        self._count(entries)
        await self._settlement.take_out(entries)
        for suspect in route.suspects.another_passed(back):
            await self._settlement.quarantine(suspect)

    def _count(self, entries: list[OutboxEntry]) -> None:
        """Count what the CRM has taken, and how late that was."""
        now = self._clock()
        for entry in entries:
            what = _what(entry.tell)
            figures.TOLD.labels(self._account, what).inc()
            figures.TOLD_LATE.labels(what).observe(max(0.0, now - entry.tell.at))

    async def _failed(self, route: Route, entries: list[OutboxEntry], error: CrmError) -> None:
        if len(entries) == 1:
            self._troubles.failed(entries[0].tell, error)
        if isinstance(error, CrmLimited) and error.retry_after is not None:
            route.rest(min(error.retry_after, LAST_RETRY_SECONDS))
        elif isinstance(error, CrmRefused):
            route.answered()
            if len(entries) == 1:
                await self._settlement.refused(entries[0], error)
            else:
                route.split(len(entries))  # one of them is wrong; the others must not suffer for it
        elif isinstance(error, CrmLimited):
            route.trouble(error)
        elif len(entries) > 1:  # perhaps one of them is bad, perhaps the CRM is away: fewer will show it
            route.split(len(entries))
            route.rest_shortly()
        else:
            bad_alone = not route.failing and route.suspects.get(entries[0]) is not None
            route.suspects.failed(entries[0], error)
            if not bad_alone:
                route.trouble(error)
        if route is self._routes.webhooks:
            await self._put_old_ones_aside(error)
        self._routes.say_how_it_is(self._waiting.backlog)

    async def _put_old_ones_aside(self, error: CrmError) -> None:
        """Set aside what the shop's program could have taken for long."""
        late = self._clock() - WEBHOOK_SECONDS
        waiting = [entry for entry in self._waiting.firsts() if way_of(entry.tell) is Way.WEBHOOK]
        for entry in waiting:
            if entry.tell.at < late and self._schedule.may_go(entry):
                await self._settlement.put_aside(entry, f"it was not taken within an hour: {error}")


def _what(tell: Tell) -> str:
    match tell:
        case TellRinging():
            return "popup"
        case TellHangup():
            return "hangup"
        case TellResult():
            return "result"
        case TellCustomer():
            return "customer"
        case TellWebhook():
            return "webhook"
        case TellMail():
            return "mail"
        case TellAlert():
            return "alert"
        case _:
            return "missed"
