"""An unknown caller becomes a customer of the CRM, by setting, and never twice."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from ari_app.calls.call import Call, Stage
from ari_app.calls.happenings import CallArrived
from ari_app.calls.journal import JournalLine
from ari_app.calls.orders import Order, TellCustomer, TellRinging
from ari_app.demo.crm.simulator import AnswerLost, CrmAccount, Customer, Status
from ari_app.retailcrm.client import RetailCrm
from ari_app.store.calls import Step
from tests.cabinet.kept_calls import ANNA, BORIS, over
from tests.store.test_missed_told import Shop

LINE = "+74951112233"


@pytest.fixture
def shop(redis: Redis, account: CrmAccount) -> Shop:
    return Shop(redis, account)


async def answered(shop: Shop, ident: str, number: str = ANNA, code: str = "101") -> None:
    """Let an unknown caller's call be answered; it is over at once."""
    call = over(ident, time.time(), number, talker=code)
    await tell(shop, call, TellCustomer(call.started_at + 5, number, LINE, code))


async def rings(shop: Shop, ident: str, number: str, code: str) -> None:
    call = over(ident, time.time(), number, talker=code)
    await tell(shop, call, TellRinging(call.started_at, number, LINE, (code,)))


async def tell(shop: Shop, call: Call, order: Order) -> None:
    happened = CallArrived(call.started_at, call.caller.id, call.number, call.external)
    line = JournalLine(call.started_at, call.id, Stage.RINGING, Stage.TALKING, happened, (order,))
    await shop.calls.write([Step(call, line)])


async def test_who_has_answered_has_a_new_customer_whose_card_opens_from_then_on(shop: Shop) -> None:
    await rings(shop, "c0", ANNA, "102")
    await answered(shop, "c1", code="102")
    await shop.told()
    await rings(shop, "c2", ANNA, "101")
    await shop.told()
    (made,) = shop.account.customers.made
    assert (made.first_name, made.phones, made.manager_id) == (ANNA, (ANNA,), 2)
    assert (made.external_id, made.site) == (f"tel-{ANNA[1:]}", "shop")
    assert [told.customer for told in shop.account.events] == [None, made]


async def test_two_calls_of_one_caller_at_once_make_one_customer(shop: Shop) -> None:
    await answered(shop, "c1")
    await answered(shop, "c2", code="102")
    await answered(shop, "c3", BORIS)
    await shop.told()
    assert [made.phones for made in shop.account.customers.made] == [(ANNA,), (BORIS,)]


async def test_a_customer_whose_answer_was_lost_is_not_made_twice(shop: Shop) -> None:
    shop.account.fault(AnswerLost(), route="new customer", times=1)
    await answered(shop, "c1")
    await shop.told()
    assert len(shop.account.customers.made) == 1


async def test_nothing_is_done_where_somebody_was_quicker(shop: Shop) -> None:
    await answered(shop, "c1")
    shop.account.add_customer(Customer(9, "Анна", phones=("8 916 123-45-67",)))
    await shop.told()
    assert shop.account.customers.made == []


async def test_a_customer_made_before_is_left_alone_though_their_number_was_changed(shop: Shop) -> None:
    shop.account.add_customer(Customer(9, "Анна", external_id=f"tel-{ANNA[1:]}", site="shop"))
    await answered(shop, "c1")
    await shop.told()
    assert shop.account.customers.made == []


async def test_the_crms_refusal_of_one_who_was_made_in_this_moment_is_no_failure(shop: Shop) -> None:
    """The CRM's search by number may be behind: then its own check of the external id decides."""

    class Behind(RetailCrm):
        """Somebody makes the customer while we are asking."""

        async def create_customer(self, *args: object, **more: object) -> int | None:
            shop.account.add_customer(Customer(9, "Анна", external_id=f"tel-{ANNA[1:]}", site="shop"))
            return await super().create_customer(*args, **more)  # type: ignore[arg-type]

    await answered(shop, "c1")
    async with shop.telling(Behind), asyncio.timeout(30):
        while await shop.calls.outbox.read():  # noqa: ASYNC110 - the timeout decides
            await asyncio.sleep(0.01)
    assert await shop.calls.outbox.refusals() == []
    assert shop.account.customers.made == []
    (refused,) = shop.account.violations
    assert "already exists" in refused
    shop.account.violations.clear()


async def test_a_key_that_may_make_no_customers_holds_up_nothing_of_the_call(shop: Shop) -> None:
    shop.account.fault(Status(403), route="new customer")
    await answered(shop, "c1")
    await rings(shop, "c1", ANNA, "101")
    async with shop.telling() as delivery:
        async with asyncio.timeout(30):
            while len(await shop.calls.outbox.read()) > 1:  # noqa: ASYNC110 - the timeout decides
                await asyncio.sleep(0.01)
        assert delivery.problem is None
    assert [type(entry.tell) for entry in await shop.calls.outbox.read()] == [TellCustomer]
    shop.account.heal()
    await shop.told()
    assert len(shop.account.customers.made) == 1
