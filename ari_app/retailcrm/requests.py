"""What is asked of the CRM, a program of the shop's or a server for e-mail, to tell one thing of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, assert_never

from ari_app.accounts.current import Current
from ari_app.calls import (
    AlertWay,
    Tell,
    TellAlert,
    TellCustomer,
    TellHangup,
    TellMail,
    TellNotice,
    TellResult,
    TellRinging,
    TellTask,
    TellTaskDone,
    TellWebhook,
)
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import RetailCrm, UploadedCall
from ari_app.retailcrm.errors import CrmLimited, CrmRefused
from ari_app.retailcrm.intake import REDIS_RETRY_SECONDS
from ari_app.retailcrm.letters import Letters
from ari_app.retailcrm.messages import NewCustomer, NewTask, Notification
from ari_app.retailcrm.pace import Urgency
from ari_app.retailcrm.webhook import Webhook
from ari_app.retailcrm.wording import Wording

T = TypeVar("T")
Request: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
"""Asks when it is called; raises `CrmError` when it isn't known to have been taken."""

CUSTOMER_SECONDS = 10.0
"""How long the CRM may look for a customer before one is made."""


class NobodyToTellError(Exception):
    """There is nobody to be told; the words say why."""


class Tasks(Protocol):
    """Knows the tasks that missed calls have made; its methods raise `StoreUnavailable`."""

    async def keep_task(self, call: str, task: int) -> None:
        """Remember the CRM's id of the task that a missed call has made."""

    async def task_of(self, call: str) -> int | None:
        """Give the id of the task that a missed call has made; None when there is none."""


class Requests:
    """One account's requests. Whatever is told twice by them comes to the same."""

    def __init__(
        self,
        tasks: Tasks,
        crm: RetailCrm,
        wording: Wording,
        current: Current,
        clock: Callable[[], float],
        webhook: Webhook | None,
        letters: Letters | None,
    ) -> None:
        self._tasks = tasks
        self._crm = crm
        self._wording = wording
        self._current = current
        self._clock = clock
        self._webhook = webhook
        self._letters = letters
        self._one_customer = asyncio.Lock()

    def of(self, call: str, tell: Tell) -> Request:
        """Put something into words, and give the request that tells it.

        Raises:
            NobodyToTellError: there is nobody who could be told.
            Exception: whatever comes of words that can't be found for it.
        """
        crm, wording = self._crm, self._wording
        match tell:
            case TellRinging() | TellHangup():
                return partial(crm.call_event, wording.event(call, tell))
            case TellResult():
                return partial(self.upload, [self.result(call, tell)])
            case TellTask():
                task = _somebody(wording.task(call, tell), "to have the task")
                return partial(self._give_task, call, task)
            case TellTaskDone():
                return partial(self._close_task, call)
            case TellNotice():
                return partial(crm.notify, _somebody(wording.notification(tell), "to see the notice"))
            case TellCustomer():
                site = self._current.account.site_of(tell.external)
                return partial(self._make_customer, wording.customer(tell), site)
            case TellAlert(way=AlertWay.CRM):
                return partial(crm.notify, _somebody(wording.alert(tell), "to see the alert"))
            case TellMail() | TellAlert(way=AlertWay.MAIL):
                return self._by_mail(call, tell)
            case TellAlert() | TellWebhook():
                return self._to_program(call, tell)
            case _:
                assert_never(tell)

    def result(self, call: str, tell: TellResult) -> UploadedCall:
        """Put a call's result into words, for `upload`."""
        return self._wording.uploaded_call(call, tell)

    async def upload(self, calls: Sequence[UploadedCall]) -> None:
        """Tell the results of several calls at once."""
        await self._crm.upload_calls(list(calls))

    def _to_program(self, call: str, tell: TellWebhook | TellAlert) -> Request:
        webhook = self._webhook
        if webhook is None:
            raise NobodyToTellError("the shop has no program to be told")
        body = webhook.alert(call, tell) if isinstance(tell, TellAlert) else webhook.body(call, tell)
        return lambda: webhook.send(body, self._clock())

    def _by_mail(self, call: str, tell: TellMail | TellAlert) -> Request:
        letters = self._letters
        if letters is None:
            raise NobodyToTellError("the service's operator has named no server for e-mail")
        letter = letters.letter(call, tell, self._clock())
        return lambda: letters.send(letter, tell.to)

    async def _give_task(self, call: str, task: NewTask) -> None:
        """Give a task, once: one that was given before, though nobody heard of it, is found by its text."""
        known = await self._crm.tasks_with(call)
        ident = known[0] if known else await self._crm.create_task(task, task.phone_site)
        if ident is not None:
            await _kept(self._tasks.keep_task(call, ident))

    async def _close_task(self, call: str) -> None:
        """Close the task that a missed call has made; when there is none, nothing is to be done."""
        ident = await _kept(self._tasks.task_of(call))
        if ident is not None:
            await self._crm.complete_task(ident)

    async def _make_customer(self, customer: NewCustomer, site: str | None) -> None:
        """Make a customer, once; where there is one with the number, or made of it, nothing is to be done."""
        crm, (phone,) = self._crm, customer.phones
        async with self._one_customer:  # two calls of one caller may have been answered at once
            found = await crm.manager_for(phone.number, timeout=CUSTOMER_SECONDS, urgency=Urgency.REPORT)
            if found.customer_id is not None or await crm.has_customer(customer.external_id, site):
                return
            try:
                await crm.create_customer(customer, site)
            except CrmRefused:  # perhaps somebody has made one in this moment
                if not await crm.has_customer(customer.external_id, site):
                    raise


Addressed = TypeVar("Addressed", NewTask, Notification)


def _somebody(addressed: Addressed | None, what: str) -> Addressed:
    if addressed is None:
        raise NobodyToTellError(f"nobody of the CRM is there {what}")
    return addressed


async def _kept(asking: Coroutine[Any, Any, T]) -> T:
    """Ask Redis in the middle of something that the CRM is told; while it is away that waits, too."""
    try:
        return await asking
    except StoreUnavailable as problem:
        raise CrmLimited(f"Redis is away: {problem}", REDIS_RETRY_SECONDS) from None
