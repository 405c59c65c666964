"""Calls to customers through FreePBX: clicks of who has forwarded calls or wants no calls, a second trunk.

On Asterisk 16 with Macro and 22 with Gosub.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Rings
from tests.asterisk.freepbx_people import ANNA, dials, keeps
from tests.asterisk.pbx_files import freepbx_lab, prepared
from tests.support.office import Office, Report

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with freepbx_lab(installation) as lab:
        yield lab


async def clicks(shop: Office, olga: str, boris: str) -> Report:
    """Click Anna's number as somebody whose calls are forwarded to a colleague."""
    async with (
        shop.phone(boris, Answers(after=0.1)) as his,
        shop.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        assert shop.shop.line.place_call(olga, ANNA, None, shop.account.pbx.outgoing)
        await customer.answers()
        await shop.stage("talking")
        customer.hang_up()
        await his.is_free()
    return await shop.report()


async def test_a_click_rings_where_the_manager_has_forwarded_calls_to(shop: Office) -> None:
    olga, boris = shop.managers(2)
    await dials(shop, olga, f"*72{boris}")
    await shop.open()
    report = await clicks(shop, olga, boris)
    assert (report.upload.result, report.upload.code) == ("answered", boris)


@pytest.mark.parametrize("installation", [22], indirect=True)  # 16 has no command that cuts ARI off
async def test_so_does_a_click_without_ari(shop: Office) -> None:
    olga, boris = shop.managers(2)
    await dials(shop, olga, f"*72{boris}")
    await shop.open()
    await shop.lab.asterisk.switch_ari(False)
    try:
        await shop.until(lambda: not shop.listening, "ARI is still heard")
        report = await clicks(shop, olga, boris)
    finally:
        await shop.lab.asterisk.switch_ari(True)
    assert report.upload.result == "answered"


async def test_a_click_of_who_is_not_to_be_disturbed_is_not_placed(shop: Office) -> None:
    (olga,) = shop.managers(1)
    await dials(shop, olga, "*78")
    await shop.open()
    async with shop.phone(olga, Rings()) as hers, shop.lab.customer_phone(Rings()) as customer:
        assert shop.shop.line.place_call(olga, ANNA, None, shop.account.pbx.outgoing)
        report = await shop.report()
    assert report.upload.result == "failed"
    assert (hers.calls, customer.calls) == ([], [])


async def test_a_second_trunk_rings_the_customer_after_a_busy_one(shop: Office) -> None:
    (olga,) = shop.managers(1)
    await keeps(shop, "TRUNK/1", "PJSIP/399")
    await shop.open()
    try:
        async with (
            shop.phone("399", Busy()),
            shop.lab.customer_phone(Answers(after=0.3)) as customer,
            shop.lab.dial(olga, "89161234567", talks=0.3) as manager,
        ):
            await manager.ended()
        report = await shop.report()
    finally:
        await shop.lab.asterisk.command("database del TRUNK 1")
    assert (manager.status, len(customer.calls)) == (200, 1)
    assert (report.upload.result, report.upload.code) == ("answered", olga)
