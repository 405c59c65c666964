"""Calls to customers by the dialplans that shops have: a PIN, an announcement, a second trunk, a busy tone.

The dialplans are those of FreePBX and its like, made small: what plain `Dial()` and `Queue()` do with these
calls is expected of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Refuses
from tests.asterisk.pbx_files import prepared
from tests.asterisk.shops_dialplans import lab_with
from tests.asterisk.test_outgoing import dial
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

DIALPLAN = """
; Lines: a PIN, an announcement, a second trunk, a busy tone.
[pin]
exten => _X.,1,Answer()
 same => n,Playback(silence/1)
 same => n,Dial(PJSIP/${EXTEN}@trunk,20)
[pin-asked]
exten => _X.,1,Authenticate(1234)
 same => n,Dial(PJSIP/${EXTEN}@trunk,20)
[two-lines]
exten => _X.,1,Dial(PJSIP/399,20)
 same => n,Dial(PJSIP/${EXTEN}@trunk,20)
[only-dial]
exten => _X.,1,Dial(PJSIP/${EXTEN}@trunk,20)
[busy-tone]
exten => _X.,1,Dial(PJSIP/${EXTEN}@trunk,20)
 same => n,Busy(20)
"""


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with lab_with(DIALPLAN, installation) as lab:
        yield lab


@pytest.mark.parametrize(
    ("behaviour", "result"), [(Busy(), "busy"), (Declines(after=0.2), "no answer"), (Answers(), "answered")]
)
async def test_a_dialplan_that_answers_before_it_dials_is_not_the_customers_answer(
    office: Office, behaviour: Busy | Declines | Answers, result: str
) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "pin,1"
    await office.open()
    async with office.lab.customer_phone(behaviour) as customer, dial(office, olga) as manager:
        await manager.answered()
        await customer.rings() if result != "busy" else None
        if result == "answered":
            await customer.answers()
            await office.recorded()
            manager.hang_up()
        else:
            await manager.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == (result, olga)
    assert (report.upload.record_url is not None) == (result == "answered")


@pytest.mark.parametrize(("behaviour", "result"), [(Busy(), "busy"), (Answers(), "answered")])
async def test_a_dialplan_that_asks_the_manager_for_a_pin_is_not_the_customers_answer(
    office: Office, behaviour: Busy | Answers, result: str
) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "pin-asked,1"
    await office.open()
    async with office.lab.customer_phone(behaviour) as customer, dial(office, olga) as manager:
        await manager.answered()
        await manager.press("1234#")
        if result == "answered":
            await customer.answers()
            await office.recorded()
            manager.hang_up()
        await manager.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == (result, olga)
    assert (report.upload.record_url is not None) == (result == "answered")


async def test_a_second_line_rings_the_customer_after_a_busy_one(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "two-lines,1"
    await office.open()
    async with (
        office.phone("399", Busy()),
        office.lab.customer_phone(Answers(after=0.3)) as customer,
        dial(office, olga, talks=0.3) as manager,
    ):
        await manager.ended()
    report = await office.report()
    assert len(customer.calls) == 1
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_busy_tone_that_is_played_to_the_manager_ends_the_call(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "busy-tone,1"
    await office.open()
    async with office.lab.customer_phone(Busy()), dial(office, olga) as manager:
        await manager.ended(timeout=5)
    report = await office.report()
    assert manager.status == 486
    assert report.upload.result == "busy"


@pytest.mark.parametrize(
    ("behaviour", "result"),
    [
        (Busy(), "busy"),
        (Declines(after=0.2), "no answer"),
        (Refuses(404), "failed"),
        (Refuses(503), "failed"),
    ],
)
async def test_a_line_whose_dialplan_ends_tells_what_became_of_the_customer(
    office: Office, behaviour: Busy | Declines | Refuses, result: str
) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "only-dial,1"
    await office.open()
    async with office.lab.customer_phone(behaviour), dial(office, olga) as manager:
        await manager.ended(timeout=5)
    report = await office.report()
    assert manager.status in ((486,) if result == "busy" else (480, 503))  # whoever is first, we or the PBX
    assert (report.upload.result, report.upload.code) == (result, olga)
