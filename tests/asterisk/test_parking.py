"""Parking lots, on the real Asterisk: a customer is parked, waits, is taken out of the lot by a colleague.

Whoever is in the lot is in the shop's own hands: what plain `Dial()` and `Park()` do is expected of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import EXTENSIONS, Asterisk
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Phone
from tests.asterisk import test_customer_keys as keys
from tests.asterisk.pbx_files import prepared
from tests.asterisk.test_outgoing import dial
from tests.support.office import Office, Report, since_the_answer
from tests.support.pace import at_this_pace

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA, STRANGER = "+79161234567", "+79037654321"
LOT, PLACE = "700", "701"

DIALPLAN = """
; Beside the lot that the lab has: others with one place, and the lab's behind something else.
[internal](+)
exten => 75,1,Park(small)
exten => 78,1,Park(full)
exten => 77,1,NoOp(to the lot)
 same => n,Park()
"""
PARKING = """
[general]
[default]
context = parkedcalls
parkext = 700
parkpos = 701-720
parkingtime = 300
comebacktoorigin = no
parkedcalltransfers = both
parkedcallreparking = both
[small]
context = parkedcalls-small
parkpos = 761-761
parkingtime = 4
comebacktoorigin = yes
comebackdialtime = 20
[full]
context = parkedcalls-full
parkpos = 781-781
parkingtime = 300
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
            await office.talks(boris)
            assert not anna.over
            anna.hang_up()
            await his.ended()
    report = await office.report()
    is_one_call(report, boris, olga, boris, talked=1)
    assert report.call.first_talker == olga
    assert (report.upload.record_url is not None) == record
    if record:
        lasted = since_the_answer(report.call)
        assert lasted > report.call.talking + 1, "she has waited in the lot"
        assert report.call.recording.seconds == pytest.approx(lasted, abs=at_this_pace(0.4))


async def test_a_customer_who_is_taken_out_of_the_lot_transfers_nobody_by_keys(office: Office) -> None:
    olga, boris = office.managers(2)
    async with (
        office.lab.customer_phone(Answers()) as outside,
        anna_talks_to(office, olga) as (anna, hers),
    ):
        await parked(office, hers)
        async with keys.listening(office.lab) as heard, dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            await anna.press(keys.KEYS)
            await office.until(
                lambda: keys.keys_ended(heard()) >= len(keys.KEYS), "the PBX does not note the keys"
            )
            assert (keys.transfers(heard()), outside.calls) == ([], [])
            anna.hang_up()
            await his.ended()
    assert (await office.report()).upload.code == boris


async def test_who_parks_the_customer_again_by_a_feature_code_leaves_them_to_the_next_colleague(
    office: Office,
) -> None:
    olga, boris, vera = office.managers(3)
    async with anna_talks_to(office, olga) as (anna, hers):
        await parked(office, hers)
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            await office.lab.bridged(boris)
            await his.press("*3")
            await office.stage("transferring")
            his.hang_up()
            await his.ended()
        async with dial(office, vera, PLACE) as veras:
            await veras.answered()
            await office.talks(vera)
            anna.hang_up()
            await veras.ended()
    report = await office.report()
    assert report.told[-1] == ("hangup", sorted((olga, boris, vera)), "answered")
    assert report.upload.code == vera


async def test_who_hangs_up_in_the_lot_has_talked_to_who_parked_them(office: Office) -> None:
    (olga,) = office.managers(1)
    async with anna_talks_to(office, olga) as (anna, hers):
        await parked(office, hers)
        anna.hang_up()
        await anna.ended()
    is_one_call(await office.report(), olga, olga, talked=1)


async def test_when_the_lots_time_is_over_the_parker_is_rung_and_talks_again(office: Office) -> None:
    (olga,) = office.managers(1)
    async with anna_talks_to(office, olga) as (anna, hers):
        await parked(office, hers, "75")
        await hers.rings(2)
        await office.talks(olga)
        assert not anna.over
        hers.hang_up()
        await anna.ended()
    report = await office.report()
    is_one_call(report, olga, olga, talked=1)
    assert report.call.recording.seconds == pytest.approx(
        since_the_answer(report.call), abs=at_this_pace(0.4)
    )


async def test_a_lot_behind_something_else_in_the_dialplan(office: Office) -> None:
    olga, boris = office.managers(2)
    async with anna_talks_to(office, olga) as (anna, hers):
        await parked(office, hers, "77")
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            his.hang_up()
            await anna.ended()
    report = await office.report()
    is_one_call(report, boris, olga, boris, talked=1)


async def test_who_asks_for_a_place_first_and_then_hands_the_customer_over_to_it(office: Office) -> None:
    olga, boris = office.managers(2)
    async with anna_talks_to(office, olga) as (anna, hers):
        await hers.hold()
        async with dial(office, olga, LOT) as asked:
            await asked.answered()
            assert await hers.transfer_to(asked) == 200
            await asked.ended()
        await hers.is_free()
        await office.stage("transferring")
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            his.hang_up()
            await anna.ended()
    report = await office.report()
    is_one_call(report, boris, olga, boris, talked=2)


async def test_a_member_of_a_queue_parks_the_customer(office: Office) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:queues,{queue}")
    async with office.phone(olga, Answers(after=0.1)) as hers, office.call(STRANGER) as customer:
        await customer.answered()
        await office.stage("talking")
        await office.lab.bridged(olga)
        await parked(office, hers)
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            customer.hang_up()
            await his.ended()
    is_one_call(await office.report(), boris, olga, boris, talked=1)


async def test_a_customer_who_was_called_is_parked(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open()
    async with office.lab.customer_phone(Answers(after=0.1)) as anna, dial(office, olga, ANNA) as hers:
        await hers.answered()
        await office.stage("talking")
        await office.lab.bridged(olga)
        await parked(office, hers)
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            assert anna.talking
            his.hang_up()
            await anna.is_free()
    report = await office.report()
    is_one_call(report, boris, olga, boris, talked=1)
    assert report.upload.type == "out"


async def test_a_customer_of_a_clicked_call_is_parked(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as anna,
        office.phone(olga, Answers(after=0.1)) as hers,
    ):
        outgoing = office.account.pbx.outgoing
        assert office.shop.line.place_call(olga, ANNA, None, outgoing) is not None
        await office.stage("talking")
        await office.lab.bridged(olga)
        await parked(office, hers)
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            assert anna.talking
            anna.hang_up()
            await his.ended()
    is_one_call(await office.report(), boris, olga, boris, talked=1)


async def test_a_full_lot_brings_the_customer_to_the_fallback(office: Office) -> None:
    olga, vera = office.managers(2)
    async with (
        office.lab.call(STRANGER, "0278") as other,
        office.phone(vera, Answers(after=0.1)) as fallback,
        anna_talks_to(office, olga, fallback=f"group:{vera}") as (anna, hers),
    ):
        await other.answered()
        assert await hers.transfer("78") == 200  # the PBX says so whatever came of it
        await hers.is_free()
        await fallback.answers()
        await office.talks(vera)
        anna.hang_up()
        await fallback.is_free()
    is_one_call(await office.report(), vera, olga, vera, talked=1)


async def test_a_parked_customer_is_not_lost_when_the_service_starts_anew(office: Office) -> None:
    olga, boris = office.managers(2)
    async with anna_talks_to(office, olga) as (anna, hers):
        await parked(office, hers)
        await office.stop()
        await office.start()
        assert (await office.live()).stage.value == "transferring"
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            await office.stop()
            his.hang_up()
            await anna.ended()
            await office.start()
    is_one_call(await office.report(), boris, olga, boris, talked=1)


async def test_a_customer_who_is_parked_while_nobody_listens_is_found_in_the_lot(office: Office) -> None:
    olga, boris = office.managers(2)
    async with anna_talks_to(office, olga) as (anna, hers):
        await office.stop()
        assert await hers.transfer(LOT) == 200
        await hers.is_free()
        await office.start()
        await office.stage("transferring")
        async with dial(office, boris, PLACE) as his:
            await his.answered()
            await office.talks(boris)
            anna.hang_up()
            await his.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert report.told[-1] == ("hangup", sorted((olga, boris)), "answered")


async def test_a_recording_whose_channel_is_hung_up_goes_on(office: Office) -> None:
    (olga,) = office.managers(1)
    async with anna_talks_to(office, olga) as (anna, _):
        await office.recorded()
        recorded = (await office.live()).recorder
        assert recorded is not None
        for line in await office.lab.asterisk.channels():
            if line.startswith("Snoop/") and recorded.id in line:
                await office.lab.asterisk.command(f"channel request hangup {line.split('!')[0]}")

        async def again() -> bool | None:
            return (await office.live()).recorder != recorded or None

        await office.eventually(again, "nobody listens again")
        anna.hang_up()
        await anna.ended()
    report = await office.report()
    assert report.upload.record_url is not None
    assert report.call.recording.seconds is not None
    assert report.call.recording.seconds > since_the_answer(report.call) - at_this_pace(1.5)


async def test_where_the_pbx_cant_park_the_two_talk_on(office: Office) -> None:
    (olga,) = office.managers(1)
    async with anna_talks_to(office, olga, record=False) as (anna, hers):
        bridge, asterisk = (await office.live()).bridge_id, office.lab.asterisk
        login = aiohttp.encode_basic_auth(asterisk.ari_username, asterisk.ari_password)
        async with aiohttp.ClientSession(headers={"Authorization": login}) as session:

            async def channels() -> int:
                async with session.get(f"{asterisk.ari_url}/bridges/{bridge}") as found:
                    return len((await found.json())["channels"])

            async def apart() -> bool | None:
                return await channels() < 2 or None

            async def together() -> bool | None:
                return await channels() == 2 or None

            record = f"{asterisk.ari_url}/bridges/{bridge}/record?name={bridge}-third&format=wav"
            async with session.post(record):
                pass
            assert await hers.transfer(LOT) == 503
            await office.eventually(apart, "nobody was taken out of the bridge")
            await office.eventually(together, "the two don't hear each other")
            async with session.delete(f"{asterisk.ari_url}/recordings/live/{bridge}-third"):
                pass
        hers.hang_up()
        await anna.ended()
    is_one_call(await office.report(), olga, olga, talked=4)
