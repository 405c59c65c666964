"""A caller who was sent on into the shop's own dialplan (`dialplan:`): who talked there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Rings
from tests.asterisk import test_customer_keys as keys
from tests.asterisk.pbx_files import prepared
from tests.asterisk.test_outgoing import dial
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRANGER = "+79037654321"
Way = Callable[[Office, AsyncExitStack, str, str], Awaitable[Customer]]

DIALPLAN = """
; A menu that leads to an extension, a ring group of Local channels, or a queue with voicemail after it.
[sent]
exten => _1XX,1,Answer()
 same => n,Playback(silence/1)
 same => n,Dial(PJSIP/${EXTEN},20)
exten => _6XXX,1,Dial(Local/${EXTEN:1}@sent-inner/n,20)
exten => _8XXX,1,Dial(Local/${EXTEN:1}@internal/n,20,tTkK)
exten => _88XXX,1,Dial(Local/${EXTEN:1}@sent/n,20,tTkK)
exten => _5XXX,1,Dial(Local/${EXTEN:1}@internal,20,tTkK)
exten => _[a-z].,1,Answer()
 same => n,Queue(${EXTEN},t,,,2)
 same => n,Wait(20)
exten => *9,1,Answer()
 same => n,Playback(silence/1)
 same => n,Wait(20)
exten => *7,1,Answer()
 same => n,Park()
exten => _*2X.,1,Dial(PJSIP/${EXTEN:2}@trunk,20)

[sent-inner]
exten => _XXX,1,Dial(PJSIP/${EXTEN},20)
"""

PARKING = """
[default]
context = parkedcalls
parkext = 700
parkpos = 701-720
parkingtime = 300
parkedcalltransfers = both
"""


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    asterisk = Asterisk(installation)
    asterisk.files = {
        "extensions_more.conf": DIALPLAN.replace("_1XX", "_XXX"),
        "res_parking.conf": PARKING,
    }
    async with asterisk:
        yield Lab(asterisk)


@pytest.mark.parametrize("way", ["", "6"], ids=["directly", "behind a Local channel"])
async def test_who_answers_behind_a_menu_talks_and_is_told(office: Office, way: str) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"dialplan:sent,{way}{olga},1")
    async with office.phone(olga, Rings()) as phone, office.call(STRANGER) as customer:
        await phone.rings()
        assert (await office.stage("dialplan")).talker is None
        phone.answer()
        await until_talked(office, olga)
        await office.eventually(lambda: records(office), "the talk is not recorded")
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url
    assert report.call.handed_on


async def records(office: Office) -> bool | None:
    """Tell whether the PBX writes what is said."""
    (call,) = office.shop.line.calls
    file = office.lab.asterisk.recordings / f"{call.recording_name}.wav"
    return (file.exists() and file.stat().st_size > 44) or None


async def until_talked(office: Office, code: str) -> None:
    """Wait until the call knows that somebody talks in the dialplan."""
    await office.until(
        lambda: any(call.talk_began is not None and call.talker == code for call in office.shop.line.calls),
        f"{code} does not talk",
    )


async def test_a_menu_that_leads_to_nobody_is_no_answer(office: Office) -> None:
    await office.open(unknown="dialplan:sent,*9,1")
    async with office.call(STRANGER) as customer:
        await customer.answered()
        await office.stage("dialplan")
        customer.hang_up()
        await customer.ended()
    report = await office.report()
    assert report.told == []
    assert (report.upload.result, report.upload.code, report.upload.duration) == ("no answer", None, 0)


@pytest.mark.parametrize("answers", [True, False])
async def test_a_queue_there_is_whoever_answers_and_its_voicemail_is_nobody(
    office: Office, answers: bool
) -> None:
    (olga,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"dialplan:sent,{queue},1")
    async with office.phone(olga, Answers(after=0.3) if answers else Rings()) as phone:
        async with office.call(STRANGER) as customer:
            await phone.rings()
            await customer.answered()
            if answers:
                await until_talked(office, olga)
            else:
                await phone.is_free()
            customer.hang_up()
            await customer.ended()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered" if answers else "no answered")]
    assert report.upload.result == ("answered" if answers else "no answer")
    assert report.upload.code == (olga if answers else None)


async def test_who_talks_there_hands_the_customer_over(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"dialplan:sent,{olga},1")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.1)) as his,
        office.call(STRANGER) as customer,
    ):
        await until_talked(office, olga)
        await office.lab.bridged(olga)
        assert await hers.transfer(boris) == 200
        await his.answers()
        await until_talked(office, boris)
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert report.call.first_talker == olga
    assert ("in", [boris]) in report.told


async def test_a_number_outside_that_answers_there_has_no_code(office: Office) -> None:
    await office.open(unknown="dialplan:sent,*289035554433,1")
    async with office.lab.customer_phone(Answers(after=0.2)) as mobile, office.call(STRANGER) as customer:
        await mobile.answers()
        await office.until(
            lambda: any(call.talk_began is not None for call in office.shop.line.calls), "nobody talks"
        )
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told == []
    assert (report.upload.result, report.upload.code) == ("answered", None)


async def test_who_talks_with_a_parked_customer_cannot_be_known(office: Office) -> None:
    await office.open(unknown="dialplan:sent,*7,1")
    async with office.call(STRANGER) as customer:
        await customer.answered()
        await office.until(
            lambda: any(call.meets for call in office.shop.line.calls), "the customer is not parked"
        )
        customer.hang_up()
        await customer.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code, report.upload.duration) == ("unknown", None, None)


# -- the customer's keys there ----------------------------------------------------------------------------


def sent_to(place: str, member: str = "PJSIP/{olga}") -> Way:
    """Olga talks to a customer who was sent on to a place, which may be a queue with a member."""

    async def way(office: Office, stack: AsyncExitStack, olga: str, boris: str) -> Customer:
        queue = office.lab.queue() if "{queue}" in place else ""
        if queue:
            await office.lab.asterisk.queue_add(queue, member.format(olga=olga))
        await office.open(unknown=f"dialplan:{place.format(olga=olga, queue=queue)},1")
        return await olga_talks(office, stack, olga)

    return way


async def olga_talks(office: Office, stack: AsyncExitStack, olga: str) -> Customer:
    await stack.enter_async_context(office.phone(olga, Answers(after=0.5)))
    customer = await stack.enter_async_context(office.call(STRANGER))
    await until_talked(office, olga)
    await office.lab.bridged(olga)
    return customer


async def rung_there_after_us(office: Office, stack: AsyncExitStack, olga: str, boris: str) -> Customer:
    await office.open(unknown=f"group:{boris};dialplan:internal,{olga},1")
    await stack.enter_async_context(office.phone(boris, Busy()))
    return await olga_talks(office, stack, olga)


async def handed_over_there(office: Office, stack: AsyncExitStack, olga: str, boris: str) -> Customer:
    await office.open(unknown=f"dialplan:sent,{olga},1")
    hers = await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    his = await stack.enter_async_context(office.phone(boris, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(STRANGER))
    await until_talked(office, olga)
    await office.lab.bridged(olga)
    assert await hers.transfer(boris) == 200
    await his.answers()
    await until_talked(office, boris)
    await office.lab.bridged(boris)
    return customer


async def taken_out_of_the_lot(office: Office, stack: AsyncExitStack, olga: str, boris: str) -> Customer:
    await office.open(unknown=f"dialplan:sent,{olga},1")
    hers = await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(STRANGER))
    await until_talked(office, olga)
    await office.lab.bridged(olga)
    assert await hers.transfer("700") == 200
    await office.until(lambda: all(call.talk_began is None for call in office.shop.line.calls), "not parked")
    his = await stack.enter_async_context(dial(office, boris, "701"))
    await his.answered()
    await office.lab.bridged(boris)
    return customer


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(sent_to("internal,{olga}"), id="rung there"),
        pytest.param(sent_to("queues,{queue}"), id="queued there"),
        pytest.param(sent_to("sent,8{olga}"), id="behind a Local channel"),
        pytest.param(sent_to("sent,88{olga}"), id="behind two Local channels"),
        pytest.param(sent_to("sent,5{olga}"), id="behind one that goes when it is answered"),
        pytest.param(sent_to("queues,{queue}", "Local/{olga}@internal/n"), id="a Local member"),
        pytest.param(rung_there_after_us, id="after us"),
        pytest.param(handed_over_there, id="handed over there"),
        pytest.param(taken_out_of_the_lot, id="taken out of the lot"),
    ],
)
async def test_a_customer_who_was_sent_on_transfers_and_parks_nobody_by_keys(
    office: Office, way: Way
) -> None:
    olga, boris = office.managers(2)
    async with keys.listening(office.lab) as heard, AsyncExitStack() as stack:
        outside = await stack.enter_async_context(office.lab.customer_phone(Answers()))
        customer = await way(office, stack, olga, boris)
        before = keys.transfers(heard())  # a manager may have parked them
        await customer.press(keys.KEYS)
        await office.until(lambda: keys.keys_ended(heard()) >= len(keys.KEYS), "the PBX does not note them")
        assert keys.transfers(heard()) == before
        assert outside.calls == []
        customer.hang_up()
        await office.ended()


@pytest.mark.parametrize("place", ["internal,", "sent,8"], ids=["directly", "behind a Local channel"])
async def test_a_manager_whose_telephone_the_shops_dialplan_rings_keeps_its_feature_codes(
    office: Office, place: str
) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"dialplan:{place}{olga},1")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.1)) as his,
        office.call(STRANGER) as customer,
    ):
        await until_talked(office, olga)
        await office.lab.bridged(olga)
        await hers.press(f"##{boris}")
        await his.answers()
        await until_talked(office, boris)
        customer.hang_up()
        await his.is_free()
    assert (await office.report()).upload.code == boris
