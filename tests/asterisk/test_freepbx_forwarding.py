"""Who does not want to be disturbed at FreePBX, and who has forwarded their calls there.

On Asterisk 16 with Macro and 22 with Gosub.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Rings
from tests.asterisk.freepbx_people import ANNA, ANNAS_NAME, OUR_NUMBER, dials, keeps
from tests.asterisk.pbx_files import freepbx_lab, prepared
from tests.support.golden import shown
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with freepbx_lab(installation) as lab:
        yield lab


async def test_who_is_not_to_be_disturbed_is_passed_over_and_the_fallback_rings(reached: Office) -> None:
    olga, boris = reached.managers(2)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await dials(reached, olga, "*78")
    await reached.open(fallback=f"group:{boris}")
    async with (
        reached.phone(olga, Rings()) as hers,
        reached.phone(boris, Answers(after=0.1)) as his,
        reached.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    report = await reached.report()
    assert (hers.calls, shown(his)) == ([], [(ANNAS_NAME, ANNA)])
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", boris)


async def test_everybody_not_to_be_disturbed_is_busy(reached: Office) -> None:
    (olga,) = reached.managers(1)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await keeps(reached, f"AMPUSER/{olga}/voicemail", "novm")
    await dials(reached, olga, "*78")
    await reached.open()
    async with reached.lab.call(ANNA, OUR_NUMBER) as customer:
        await customer.ended()
    report = await reached.report()
    assert report.told == []
    assert (report.upload.result, report.upload.code) == ("busy", olga)


async def test_a_call_that_is_forwarded_to_a_colleague_is_the_colleagues(reached: Office) -> None:
    olga, boris = reached.managers(2)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await dials(reached, olga, f"*72{boris}")
    await reached.open()
    async with (
        reached.phone(olga, Rings()) as hers,
        reached.phone(boris, Answers(after=0.3)) as his,
        reached.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        await customer.answered()
        await reached.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await reached.report()
    assert (hers.calls, shown(his)) == ([], [(ANNAS_NAME, ANNA)])
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert report.upload.code == boris


async def test_a_call_that_is_forwarded_outside_stays_the_managers(shop: Office) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await dials(shop, olga, "*7289031112233")
    await shop.open()
    async with (
        shop.lab.customer_phone(Answers(after=0.3)) as mobile,
        shop.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        await customer.answered()
        await shop.talks(olga)
        customer.hang_up()
        await mobile.is_free()
    report = await shop.report()
    assert [call.to for call in mobile.calls] == ["89031112233"]
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


async def test_forwarding_in_a_circle_ends_and_the_fallback_rings(shop: Office) -> None:
    olga, boris, vera = shop.managers(3)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await dials(shop, olga, f"*72{boris}")
    await dials(shop, boris, f"*72{olga}")
    await shop.open(fallback=f"group:{vera}")
    async with (
        shop.phone(vera, Answers(after=0.1)),
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    assert (await shop.report()).upload.code == vera


@pytest.mark.parametrize(("key", "behaviour"), [("CFB", Busy()), ("CFU", Rings())])
async def test_calls_of_who_is_busy_or_does_not_answer_are_forwarded(
    shop: Office, key: str, behaviour: Busy | Rings
) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await keeps(shop, f"{key}/{olga}", boris)
    await shop.open()
    async with (
        shop.phone(olga, behaviour),
        shop.phone(boris, Answers(after=0.1)) as his,
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
        await his.is_free()
    report = await shop.report()
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "answered")
    assert report.upload.code == boris


async def test_who_has_forwarded_calls_to_a_feature_code_has_not_answered(reached: Office) -> None:
    olga, boris = reached.managers(2)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await keeps(reached, f"CF/{olga}", "*97")
    await reached.open(fallback=f"group:{boris}")
    async with (
        reached.phone(boris, Answers(after=0.1)),
        reached.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    report = await reached.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert report.upload.code == boris
