"""A customer is handed over within FreePBX: who then sees whom, in queues and groups too.

On Asterisk 16 with Macro and 22 with Gosub.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from ari_app.calls import e164
from ari_app.demo.pbx.keys import Keys
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers
from tests.asterisk.freepbx_people import ANNA, ANNAS_NAME, OUR_NUMBER, in_queues
from tests.asterisk.pbx_files import freepbx_lab, prepared
from tests.asterisk.test_transfers import handed_over
from tests.support.freepbx import RING_GROUP
from tests.support.golden import shown
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG_NAME = "Константинопольская Александра"
"""FreePBX shows 40 bytes of it, and would halve a letter."""


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with freepbx_lab(installation) as lab:
        yield lab


async def test_a_manager_who_is_rung_by_freepbx_hands_the_customer_over(shop: Office) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await shop.open()
    async with (
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.3)) as his,
        shop.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        await customer.answered()
        await handed_over(shop, hers, boris)
        await his.answers()
        await shop.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await shop.report()
    assert (report.upload.code, report.call.first_talker) == (boris, olga)
    assert shown(his) == [(ANNAS_NAME, ANNA)]


async def test_the_voicemail_service_behind_freepbx_is_nobody_and_takes_the_customers_keys(
    reached: Office,
) -> None:
    (olga,) = reached.managers(1)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await reached.open()
    async with (
        reached.phone(olga, Answers(after=0.1)) as hers,
        reached.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await reached.recorded()
        await reached.lab.bridged(olga)
        transfer = asyncio.create_task(hers.transfer("*97"))  # the PBX says at the end how it went
        await reached.until(
            lambda: any(leg.does == "speaks" for call in reached.shop.line.calls for leg in call.our_legs),
            "no menu",
        )
        await customer.press("7")
        await reached.until(lambda: "*97 heard 7" in reached.lab.asterisk.log(), "the key isn't heard")
        customer.hang_up()
        await transfer
    report = await reached.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


@pytest.mark.parametrize("how", ["dialled", "clicked"])
@pytest.mark.parametrize("place", ["602", "colleague"])
async def test_who_is_handed_a_customer_whom_we_called_sees_the_number(
    shop: Office, how: str, place: str
) -> None:
    olga, boris = shop.managers(2)
    if place == "602":
        shop.hire(boris := RING_GROUP[1])
    await shop.open()
    async with (
        shop.lab.customer_phone(Answers(after=0.2)) as customer,
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.2)) as his,
        AsyncExitStack() as stack,
    ):
        phone: Keys = hers
        if how == "dialled":
            phone = await stack.enter_async_context(shop.lab.dial(olga, "89161234567"))
        else:
            assert shop.shop.line.place_call(olga, ANNA, None, shop.account.pbx.outgoing)
        await customer.answers()
        await shop.talks(olga)
        await shop.recorded()
        await shop.lab.bridged(olga)
        assert await phone.transfer(boris if place == "colleague" else place) == 200
        await his.answers()
        await shop.talks(boris)
        customer.hang_up()
        await his.is_free()
    assert (await shop.report()).upload.code == boris
    ((name, number),) = shown(his)
    assert (name, e164(number, "RU")) == ("", ANNA)  # or as it was dialled


@pytest.mark.parametrize("directly", [True, False])
@pytest.mark.parametrize("place", ["600", "601", "602", "colleague"])
async def test_who_is_handed_a_customer_sees_them_in_queues_and_groups_too(
    shop: Office, place: str, directly: bool
) -> None:
    (olga, boris), name = shop.managers(2), ANNAS_NAME if directly else LONG_NAME
    if place == "602":
        shop.hire(boris := RING_GROUP[1])
    shop.customer(ANNA, name, manager=olga)
    if directly:
        shop.pbx["channel_format"] = "pjsip/##"  # what is not the default is taken as it is written
    async with in_queues(shop, boris):
        await shop.open()
        async with (
            shop.phone(olga, Answers(after=0.1)) as hers,
            shop.phone(boris, Answers(after=0.3)) as his,
            shop.lab.call(ANNA, OUR_NUMBER) as customer,
        ):
            await customer.answered()
            await handed_over(shop, hers, boris if place == "colleague" else place)
            await his.answers()
            await shop.talks(boris)
            customer.hang_up()
            await his.is_free()
        report = await shop.report()
    assert (report.upload.code, report.call.first_talker) == (boris, olga)
    assert shown(his) == [(ANNAS_NAME if directly else LONG_NAME[:20].strip(), ANNA)], his.calls


async def test_a_long_name_reaches_a_queues_members_in_whole_letters(shop: Office) -> None:
    (boris,) = shop.managers(1)
    shop.customer(ANNA, LONG_NAME)
    async with in_queues(shop, boris):
        await shop.open(fallback="queue:ext-queues,600")
        async with (
            shop.phone(boris, Answers(after=0.1)) as his,
            shop.lab.call(ANNA, OUR_NUMBER) as customer,
        ):
            await customer.answered()
            await shop.talks(boris)
            customer.hang_up()
            await his.is_free()
        report = await shop.report()
    assert report.upload.code == boris
    assert shown(his) == [(LONG_NAME[:20].strip(), ANNA)]
