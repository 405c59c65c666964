"""Parking lots, on the real Asterisk: a customer is parked, waits, is taken out of the lot by a colleague.

Whoever is in the lot is in the shop's own hands: what plain `Dial()` and `Park()` do is expected of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import EXTENSIONS, Asterisk
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Phone
from tests.asterisk.pbx_files import prepared
from tests.asterisk.test_outgoing import dial
from tests.support.office import Office, Report

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA, STRANGER = "+79161234567", "+79037654321"
LOT, PLACE = "700", "701"

DIALPLAN = """
; The lot, reached by its number at once; by another name; and behind something else, as FreePBX has it.
[internal](+)
exten => 700,1,Park()
exten => _70[1-9],1,ParkedCall(,${EXTEN})
exten => _75,1,Park(small)
exten => _76[1-9],1,ParkedCall(small,${EXTEN})
exten => _77,1,NoOp(to the lot)
 same => n,Park()
"""
PARKING = """
[general]
[default]
context = parkedcalls
parkext = 700
parkpos = 701-709
parkingtime = 300
comebacktoorigin = no
[small]
context = parkedcalls-small
parkpos = 761-761
parkingtime = 3
comebacktoorigin = yes
comebackdialtime = 20
"""


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    asterisk = Asterisk(installation, extensions=EXTENSIONS)
    asterisk.files = {"extensions_more.conf": DIALPLAN, "res_parking.conf": PARKING}
    async with asterisk:
        yield Lab(asterisk)


@asynccontextmanager
async def anna_talks_to(office: Office, code: str, **calls: object) -> AsyncIterator[tuple[Customer, Phone]]:
    """Open the shop and let Anna call, whose manager has this extension."""
    office.customer(ANNA, "Иванова Анна", manager=code)
    await office.open(**calls)
    async with office.phone(code, Answers(after=0.1)) as hers, office.call(ANNA) as anna:
        await anna.answered()
        await hers.answers()
        await office.stage("talking")
        await office.lab.bridged(code)
        yield anna, hers


async def parked(office: Office, phone: Phone | Customer, lot: str = LOT) -> None:
    """Somebody parks the customer, hears where, and hangs up."""
    assert await phone.transfer(lot) == 200
    await office.stage("transferring")
    if isinstance(phone, Phone):
        await phone.is_free()
    else:
        await phone.ended()


async def talks(office: Office, code: str | None) -> None:
    """Wait until somebody is known to talk."""
    await office.until(
        lambda: any(call.stage.value == "talking" and call.talker == code for call in office.shop.line.calls),
        f"{code} does not talk",
    )


def is_one_call(report: Report, code: str, *told: str, talked: float) -> None:
    """One call for the CRM: who talked last, everybody who was told, the seconds of talk."""
    assert report.told[-1] == ("hangup", sorted(told), "answered")
    assert (report.upload.result, report.upload.code) == ("answered", code)
    assert report.call.talking == pytest.approx(talked, abs=1.5)


@pytest.mark.parametrize("record", [False, True], ids=["not recorded", "recorded"])
async def test_who_is_parked_is_taken_out_of_the_lot_by_a_colleague(office: Office, record: bool) -> None:
    olga, boris = office.managers(2)
    async with anna_talks_to(office, olga, record=record) as (anna, hers):
        await parked(office, hers)
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await talks(office, boris)
            assert not anna.over
            anna.hang_up()
            await his.ended()
    report = await office.report()
    is_one_call(report, boris, olga, boris, talked=1)
    assert report.call.first_talker == olga
    assert (report.upload.record_url is not None) == record
    if record:
        assert report.call.ended_at is not None
        assert report.call.answered_at is not None
        lasted = report.call.ended_at - report.call.answered_at
        assert lasted > report.call.talking + 1, "she has waited in the lot"
        assert report.call.recording.seconds == pytest.approx(lasted, abs=0.4)
