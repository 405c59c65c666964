"""How the calls of the demo are placed and what the people in them do, and what the customers see of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.phones import Answers, Phone, PhoneCall
from ari_app.demo.show.people import SHOP, USER_IDS
from ari_app.demo.show.theatre import Theatre

TALK_SECONDS = 2.5


class NotPlayed(Exception):
    """The people could not do what they had to; the text says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A call as the customer's telephone saw it, or the manager's that dialled it."""

    sip_status: int | None = None
    """The final status; 487 after giving up, none when nobody answered a phone that was rung."""
    waited: float = 0.0
    """Seconds until the answer, or until the end."""
    talked: float | None = None
    """Seconds from the answer to the end; None without an answer."""
    between: float = 0.0
    """Seconds of these in which the customer waited for the colleague they were handed over to."""
    talkers: tuple[str, ...] = ()
    """The extensions that dialled and were answered; those whose phones were rung are seen by the phones."""
    dialled: tuple[str, ...] = ()
    """The numbers at which customers were rung."""


class Act(Protocol):
    """A way to place a call and to lead it to its end."""

    @property
    def number(self) -> str:
        """The customer's number, E.164; `anonymous` when it is withheld."""
        ...

    async def play(self, theatre: Theatre, phones: Mapping[str, Phone]) -> Seen:
        """Place the call and return when it is over; `phones` are the shop's that are on.

        Raises:
            NotPlayed, TimeoutError: somebody could not do their part, or not in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallsUs:
    """A customer calls the shop."""

    number: str
    talks: float | None = TALK_SECONDS
    """Seconds after the answer until the customer hangs up; None: waits for the other side."""
    gives_up_after: float | None = None

    async def play(self, theatre: Theatre, phones: Mapping[str, Phone]) -> Seen:
        """See `Act`."""
        async with theatre.lab.call(
            self.number, SHOP.lstrip("+"), talks=self.talks, gives_up_after=self.gives_up_after
        ) as customer:
            await customer.ended()
        return _seen_by(customer)


@dataclass(frozen=True, slots=True)
class IsHandedOver:
    """A customer calls; `giver` talks to them, then hands them over to `taker` with the phone's own key."""

    number: str
    giver: str
    taker: str
    after: float = 1.5
    """Seconds of talking before."""

    async def play(self, theatre: Theatre, phones: Mapping[str, Phone]) -> Seen:
        """See `Act`."""
        giver, taker = phones[self.giver], phones[self.taker]
        async with theatre.lab.call(self.number, SHOP.lstrip("+")) as customer:
            await giver.answers()
            await theatre.lab.bridged(self.giver)
            await asyncio.sleep(self.after)
            status = await giver.transfer(self.taker)
            if status != 200:
                raise NotPlayed(f"Asterisk refused the transfer with {status}")
            given = time.monotonic()
            taken = (await taker.answers()).answered_at
            await asyncio.sleep(TALK_SECONDS)
            customer.hang_up()
            await customer.ended()
        return replace(_seen_by(customer), between=(taken or given) - given)


@dataclass(frozen=True, slots=True)
class IsClicked:
    """A manager clicks a customer's number in the CRM, where it is written as `written`."""

    number: str
    written: str
    code: str
    customer: Answers

    async def play(self, theatre: Theatre, phones: Mapping[str, Phone]) -> Seen:
        """See `Act`."""
        async with theatre.lab.customer_phone(self.customer) as telephone:
            began = time.monotonic()
            answer = await theatre.crm_account.click_to_call(
                theatre.settings.public_url,
                theatre.client_id,
                code=self.code,
                phone=self.written,
                user_id=USER_IDS[self.code],
            )
            if answer.status != 200:
                raise NotPlayed(f"the service answered {answer.status} to the CRM: {answer.body}")
            await telephone.is_free()
            ended = time.monotonic()
        [call] = telephone.calls
        return _seen_at(call, began, ended)


@dataclass(frozen=True, slots=True)
class Dials:
    """A manager dials a customer's number, as `dialled`, on the phone of `code`."""

    number: str
    dialled: str
    code: str
    customer: Answers

    async def play(self, theatre: Theatre, phones: Mapping[str, Phone]) -> Seen:
        """See `Act`."""
        async with (
            theatre.lab.customer_phone(self.customer) as telephone,
            theatre.lab.dial(self.code, self.dialled, talks=TALK_SECONDS) as manager,
        ):
            await manager.ended()
            await telephone.is_free()
        seen = _seen_by(manager)
        talkers = () if seen.talked is None else (self.code,)
        dialled = tuple(call.to for call in telephone.calls)
        return replace(seen, talkers=talkers, dialled=dialled)


def _seen_by(caller: Customer) -> Seen:
    answered, ended = caller.answered_after, caller.ended_after or 0.0
    if answered is None:
        return Seen(caller.status, ended)
    return Seen(caller.status, answered, ended - answered)


def _seen_at(call: PhoneCall, began: float, ended: float) -> Seen:
    if call.answered_at is None:
        return Seen(None, ended - began, dialled=(call.to,))
    return Seen(200, call.answered_at - began, ended - call.answered_at, dialled=(call.to,))
