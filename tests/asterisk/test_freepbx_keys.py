"""A customer's keys transfer nobody, wherever FreePBX's dialplan has led them.

On Asterisk 16 with Macro and 22 with Gosub.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers
from tests.asterisk import test_customer_keys as keys
from tests.asterisk.freepbx_people import ANNA, OUR_NUMBER, dials, in_queues, keeps
from tests.asterisk.pbx_files import freepbx_lab, prepared
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with freepbx_lab(installation) as lab:
        yield lab


async def anna_talks(shop: Office, stack: AsyncExitStack, rung: str, *, answers: str) -> keys.Scene:
    """Let Anna talk with who answers when somebody is rung."""
    await shop.open(unknown=f"group:{rung}")
    await stack.enter_async_context(shop.phone(answers, Answers(after=0.1)))
    customer = await stack.enter_async_context(shop.lab.call(ANNA, OUR_NUMBER))
    await customer.answered()
    return keys.Scene(customer, customer.hang_up)


@asynccontextmanager
async def rung_by_freepbx(
    shop: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[keys.Scene]:
    yield await anna_talks(shop, stack, olga, answers=olga)


@asynccontextmanager
async def rung_where_calls_are_forwarded_to(
    shop: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[keys.Scene]:
    await dials(shop, olga, "*72602")
    shop.hire("104")
    yield await anna_talks(shop, stack, olga, answers="104")


@asynccontextmanager
async def rung_by_follow_me(
    shop: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[keys.Scene]:
    await keeps(shop, f"AMPUSER/{olga}/followme/ddial", "DIRECT")
    await keeps(shop, f"AMPUSER/{olga}/followme/grplist", boris)
    yield await anna_talks(shop, stack, olga, answers=boris)


@pytest.mark.parametrize(
    "way",
    [rung_by_freepbx, rung_where_calls_are_forwarded_to, rung_by_follow_me],
    ids=lambda way: str(way.__name__),
)
async def test_a_customer_transfers_nobody_by_keys(shop: Office, way: keys.Scenery) -> None:
    async with keys.listening(shop.lab) as heard:
        await keys.presses_in_vain(shop, heard, way)


def sent_on_to(place: str) -> keys.Scenery:
    """Be sent on into FreePBX's own dialplan, after coming in by a route that doesn't say it is one."""

    @asynccontextmanager
    async def sent_on(
        shop: Office, stack: AsyncExitStack, olga: str, boris: str
    ) -> AsyncIterator[keys.Scene]:
        shop.hire("104")
        await dials(shop, olga, "*72602")
        await stack.enter_async_context(in_queues(shop, olga))
        await shop.lab.asterisk.command(
            "dialplan add extension 749511155,1,Goto(retailcrm-incoming,s,1) into from-pstn-custom replace"
        )
        await shop.open(unknown=f"dialplan:{place.format(olga=olga)},1")
        await stack.enter_async_context(shop.phone("104", Answers(after=0.1)))
        customer = await stack.enter_async_context(shop.lab.call(ANNA, "749511155"))
        await customer.answered()
        await shop.lab.bridged("104")
        yield keys.Scene(customer, customer.hang_up)

    return sent_on


@pytest.mark.parametrize("place", ["ext-group,602", "from-did-direct,{olga}", "ext-queues,600"])
async def test_a_customer_who_is_sent_on_into_freepbxs_dialplan_transfers_nobody_by_keys(
    shop: Office, place: str
) -> None:
    async with keys.listening(shop.lab) as heard:
        await keys.presses_in_vain(shop, heard, sent_on_to(place), stage="dialplan")
