"""How long FreePBX lets a manager ring, and where: call waiting, Follow Me, devices, no voicemail.

On Asterisk 16 with Macro and 22 with Gosub.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Rings
from tests.asterisk.freepbx_people import ANNA, ANNAS_NAME, OUR_NUMBER, STRANGER, keeps
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


def voicemail(shop: Office, code: str) -> bool:
    """Tell whether FreePBX has let somebody's voicemail answer."""
    return f"voicemail of {code}" in shop.lab.asterisk.log()


async def test_a_manager_rings_as_long_as_the_account_says(shop: Office) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await shop.open(ring_manager_seconds=20)
    async with (
        shop.phone(olga, Answers(after=3.5)) as hers,  # FreePBX's own 2 s are over
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    report = await shop.report()
    assert (customer.status, len(hers.calls)) == (200, 1)
    assert report.upload.code == olga
    assert 3 <= report.call.waiting < 4
    assert not voicemail(shop, olga)


async def test_a_silent_manager_is_followed_by_the_fallback_and_not_by_voicemail(reached: Office) -> None:
    olga, boris = reached.managers(2)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await reached.open(fallback=f"group:{boris}", ring_manager_seconds=4)
    async with (
        reached.phone(olga, Rings()) as hers,
        reached.phone(boris, Answers(after=0.1)) as his,
        reached.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await his.answers()
        await customer.ended()
        await hers.is_free()
    report = await reached.report()
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", sorted([olga, boris]), "answered")]
    assert report.upload.code == boris
    assert voicemail(reached, olga) == ("channel_format" in reached.pbx)


@pytest.mark.parametrize("waiting", [True, False])
async def test_who_talks_is_rung_only_with_call_waiting(shop: Office, waiting: bool) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    if waiting:
        await keeps(shop, f"CW/{olga}", "ENABLED")
    await shop.open(fallback=f"group:{boris}", ignore_manager_status=True, unknown=f"group:{olga}")
    async with (
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.1)) as his,
        shop.lab.call(STRANGER, OUR_NUMBER) as first,
    ):
        await first.answered()
        await shop.talks(olga)
        await shop.lab.bridged(olga)
        async with shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as second:
            await second.ended()
        first.hang_up()
        await hers.is_free()
    assert (len(hers.calls), len(his.calls)) == ((2, 0) if waiting else (1, 1))
    await shop.report(2)


@pytest.mark.parametrize("who", ["desk phone", "colleague", "nobody"])
async def test_follow_me_is_whoever_answers(shop: Office, who: str) -> None:
    olga, boris, vera = shop.managers(3)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await keeps(shop, f"AMPUSER/{olga}/followme/ddial", "DIRECT")
    await keeps(shop, f"AMPUSER/{olga}/followme/grplist", boris)
    await shop.open(fallback=f"group:{vera}")
    async with (
        shop.phone(olga, Answers(after=0.3) if who == "desk phone" else Rings()) as hers,
        shop.phone(boris, Answers(after=0.1) if who == "colleague" else Rings()) as his,
        shop.phone(vera, Answers(after=0.1)) as veras,
        shop.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        phone, code = {"desk phone": (hers, olga), "colleague": (his, boris), "nobody": (veras, vera)}[who]
        await phone.answers()
        await customer.answered()
        await shop.talks(code)
        customer.hang_up()
        await phone.is_free()
    report = await shop.report()
    assert (report.upload.result, report.upload.code) == ("answered", code)
    assert shown(phone) == [(ANNAS_NAME, ANNA)]
    assert not voicemail(shop, olga)


async def test_all_devices_and_all_their_contacts_ring(shop: Office) -> None:
    twin = shop.twin()
    (desk,) = shop.lab.extensions(1)
    shop.customer(ANNA, ANNAS_NAME, manager=twin)
    await keeps(shop, f"AMPUSER/{twin}/device", f"{twin}&{desk}")
    await shop.open()
    async with (
        shop.phone(twin, Rings()) as first,
        shop.phone(twin, Answers(after=0.5), 1) as second,
        shop.phone(desk, Rings()) as third,
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
        await third.is_free()
    report = await shop.report()
    assert [len(phone.calls) for phone in (first, second, third)] == [1, 1, 1]
    assert report.told == [("in", [twin]), ("hangup", [twin], "answered")]
    assert report.upload.code == twin


async def test_who_has_no_telephone_is_passed_over_and_not_told(shop: Office) -> None:
    (boris,) = shop.managers(1)
    shop.hire(UNREACHABLE)
    shop.customer(ANNA, ANNAS_NAME, manager=UNREACHABLE)
    await keeps(shop, f"AMPUSER/{UNREACHABLE}/device", UNREACHABLE)
    await keeps(shop, f"DEVICE/{UNREACHABLE}/dial", f"PJSIP/{UNREACHABLE}")
    await shop.open(fallback=f"group:{boris}")
    async with (
        shop.phone(boris, Answers(after=0.1)),
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    report = await shop.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert customer.answered_after is not None
    assert customer.answered_after < 3
