"""Transfers by telephone and call pickup, on the real Asterisk: one call, one recording, a new talker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Phone, Rings
from tests.asterisk.test_outgoing import dial
from tests.support.office import Office, Report, since_the_answer
from tests.support.pace import at_this_pace

ANNA, FRIEND = "+79161234567", "79037654321"


async def handed_over(office: Office, phone: Phone, to: str) -> None:
    """The manager who talks hands the customer over blindly."""
    await phone.answers()
    await office.recorded()
    await office.lab.bridged(phone.extension)
    assert await phone.transfer(to) == 200


@dataclass(frozen=True)
class Talk:
    """A customer who talks to Olga, and her extension and phone."""

    customer: Customer
    olga: str
    hers: Phone


@asynccontextmanager
async def anna_talks_to_olga(office: Office, **calls: str) -> AsyncIterator[Talk]:
    """Hire Olga as the last of the managers, open the shop, and let Anna call, whose manager she is."""
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(**calls)
    async with office.phone(olga, Answers(after=0.1)) as hers, office.call(ANNA) as customer:
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        yield Talk(customer, olga, hers)


def is_one_call(report: Report, *codes: str) -> None:
    """One call for the CRM, told to everybody who was rung, with one recording from the first answer on."""
    assert report.told[-1] == ("hangup", sorted(codes), "answered")
    assert {code for told in report.told[:-1] for code in told[1]} == set(codes)
    assert report.upload.result == "answered"
    assert report.upload.record_url is not None
    assert report.call.recording.seconds == pytest.approx(
        since_the_answer(report.call), abs=at_this_pace(0.4)
    )


async def test_the_colleague_hangs_up(office: Office) -> None:
    (boris,) = office.managers(1)
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Answers(after=0.1)) as his,
    ):
        await handed_over(office, talk.hers, boris)
        await his.answers()
        await office.stage("talking")
        his.hang_up()
        await talk.customer.ended()
    report = await office.report()
    assert talk.customer.ended_by == "other side"
    is_one_call(report, talk.olga, boris)


@pytest.mark.parametrize("behaviour", [Busy(), Declines(after=0.2)], ids=["busy", "declines"])
async def test_a_transfer_that_nobody_takes_returns_the_customer_to_the_fallback(
    office: Office, behaviour: Busy | Declines
) -> None:
    boris, vera = office.managers(2)
    async with (
        anna_talks_to_olga(office, fallback=f"group:{vera}") as talk,
        office.phone(boris, behaviour),
        office.phone(vera, Answers(after=0.2)) as fallback,
    ):
        await handed_over(office, talk.hers, boris)
        await fallback.answers()
        await office.stage("talking")
        talk.customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert report.upload.code == vera
    assert report.upload.result == "answered"


async def test_a_transfer_to_a_phone_that_is_not_there_returns_the_customer_to_the_fallback(
    office: Office,
) -> None:
    (vera,) = office.managers(1)
    async with (
        anna_talks_to_olga(office, fallback=f"group:{vera}") as talk,
        office.phone(vera, Answers(after=0.2)) as fallback,
    ):
        await handed_over(office, talk.hers, UNREACHABLE)
        await fallback.answers()
        await office.stage("talking")
        talk.customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", vera)


async def test_a_transfer_to_a_number_that_the_pbx_doesnt_have_leaves_the_two_talking(
    office: Office,
) -> None:
    async with anna_talks_to_olga(office) as talk:
        assert await talk.hers.transfer("77") == 404
        await office.lab.bridged(talk.olga)
        talk.customer.hang_up()
        await talk.hers.is_free()
    report = await office.report()
    is_one_call(report, talk.olga)
    assert report.upload.code == talk.olga


async def test_a_transfer_to_nobody_and_no_fallback_ends_the_call_as_answered(office: Office) -> None:
    (boris,) = office.managers(1)
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Busy()),
    ):
        await handed_over(office, talk.hers, boris)
        await talk.customer.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", talk.olga)


async def test_a_customer_who_hangs_up_while_the_colleague_rings_leaves_nobody_ringing(
    office: Office,
) -> None:
    (boris,) = office.managers(1)
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Rings()) as his,
    ):
        await handed_over(office, talk.hers, boris)
        await his.rings()
        talk.customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", talk.olga)


async def test_a_customer_is_handed_over_to_a_queue(office: Office) -> None:
    boris, vera = office.managers(2)
    queue = office.lab.queue()
    for code in (boris, vera):
        await office.lab.asterisk.queue_add(queue, f"PJSIP/{code}")
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Rings()) as his,
        office.phone(vera, Answers(after=0.5)) as member,
    ):
        await handed_over(office, talk.hers, queue)
        await member.answers()
        await office.stage("talking")
        talk.customer.hang_up()
        await member.is_free()
        await his.is_free()
    assert {(one.calls[0].name, one.calls[0].number) for one in (his, member)} == {("Иванова Анна", ANNA)}
    report = await office.report()
    is_one_call(report, *report.told[-1][1])
    assert {talk.olga, vera} <= set(report.told[-1][1]) <= {talk.olga, boris, vera}
    assert report.upload.code == vera


async def test_a_customer_is_handed_over_to_a_number_outside(office: Office) -> None:
    async with (
        anna_talks_to_olga(office) as talk,
        office.lab.customer_phone(Answers(after=0.3)) as friend,
    ):
        await handed_over(office, talk.hers, FRIEND)
        await friend.answers()
        await office.stage("talking")
        talk.customer.hang_up()
        await friend.is_free()
    report = await office.report()
    is_one_call(report, talk.olga)
    assert report.upload.code == talk.olga
    assert len(await office.calls.ended(10)) == 1


async def test_a_colleague_who_was_asked_first_takes_the_customer_over(office: Office) -> None:
    (boris,) = office.managers(1)
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Answers(after=0.1)) as his,
    ):
        await talk.hers.hold()
        async with dial(office, talk.olga, boris) as consultation:
            await consultation.answered()
            await office.lab.bridged(boris)
            assert await talk.hers.transfer_to(consultation) == 200
            await consultation.ended()
        await talk.hers.is_free()
        await office.until(
            lambda: any(call.talker == boris for call in office.shop.line.calls), "boris does not talk"
        )
        talk.customer.hang_up()
        await his.is_free()
    report = await office.report()
    is_one_call(report, talk.olga, boris)
    assert (report.upload.code, report.call.first_talker) == (boris, talk.olga)


async def test_a_colleague_who_still_rings_takes_the_customer_over(office: Office) -> None:
    (boris,) = office.managers(1)
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Rings()) as his,
    ):
        async with dial(office, talk.olga, boris) as consultation:
            await consultation.ringing()
            assert await talk.hers.transfer_to(consultation) == 200
            await office.stage("transferring")
            his.answer()
            await his.answers()
            await office.stage("talking")
        talk.customer.hang_up()
        await his.is_free()
    report = await office.report()
    is_one_call(report, talk.olga, boris)
    assert report.upload.code == boris


async def test_a_member_of_a_queue_hands_the_customer_over_by_feature_code(office: Office) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.3)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        await hers.press(f"##{boris}")
        await his.answers()
        await hers.is_free()
        await office.stage("talking")
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    is_one_call(report, olga, boris)
    assert report.upload.code == boris


async def test_a_member_of_a_queue_hands_the_customer_over_to_whom_she_asked_first(office: Office) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.1)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        await hers.hold()
        async with dial(office, olga, boris) as consultation:
            await consultation.answered()
            await office.lab.bridged(boris)
            assert await hers.transfer_to(consultation) == 200
            await consultation.ended()
        await office.until(
            lambda: any(call.talker == boris for call in office.shop.line.calls), "boris does not talk"
        )
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    is_one_call(report, olga, boris)
    assert report.upload.code == boris


async def test_a_member_of_a_queue_hands_the_customer_over_to_nobody(office: Office) -> None:
    olga, boris, vera = office.managers(3)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:queues,{queue}", fallback=f"group:{vera}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Busy()),
        office.phone(vera, Answers(after=0.1)) as fallback,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        assert await hers.transfer(boris) == 503  # what her phone hears of it, too late to take it back
        await fallback.answers()
        await office.stage("talking")
        customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert report.upload.code == vera


async def test_a_customer_whom_a_manager_has_called_is_handed_over(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as customer,
        office.phone(boris, Answers(after=0.3)) as his,
        dial(office, olga, ANNA) as hers,
    ):
        await hers.answered()
        await office.recorded()
        await office.lab.bridged(olga)
        assert await hers.transfer(boris) == 200
        await his.answers()
        await hers.ended()
        await office.stage("talking")
        his.hang_up()
        await customer.is_free()
    report = await office.report()
    is_one_call(report, olga, boris)
    assert (report.upload.type, report.upload.code) == ("out", boris)


async def test_a_ringing_call_that_a_colleague_picks_up_is_the_colleagues(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as hers, office.call(ANNA) as customer:
        await hers.rings()
        async with dial(office, boris, f"*8{olga}") as his:
            await his.answered()
            await customer.answered()
            await hers.is_free()
            await office.recorded()
            customer.hang_up()
            await his.ended()
    report = await office.report()
    is_one_call(report, olga, boris)
    assert (report.upload.code, report.call.first_talker) == (boris, boris)


async def test_a_customer_is_handed_over_twice(office: Office) -> None:
    boris, vera = office.managers(2)
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Answers(after=0.1)) as his,
        office.phone(vera, Answers(after=0.1)) as last,
    ):
        await handed_over(office, talk.hers, boris)
        await his.answers()
        await office.until(
            lambda: any(call.talker == boris for call in office.shop.line.calls), "boris does not talk"
        )
        await office.lab.bridged(boris)
        assert await his.transfer(vera) == 200
        await last.answers()
        await office.until(
            lambda: any(call.talker == vera for call in office.shop.line.calls), "vera does not talk"
        )
        talk.customer.hang_up()
        await last.is_free()
    report = await office.report()
    is_one_call(report, talk.olga, boris, vera)
    assert (report.upload.code, report.call.first_talker) == (vera, talk.olga)


async def test_a_queues_ringing_call_that_a_colleague_picks_up_is_the_colleagues(office: Office) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:queues,{queue}")
    async with office.phone(olga, Rings()) as hers, office.call(ANNA) as customer:
        await hers.rings()
        async with dial(office, boris, f"*8{olga}") as his:
            await his.answered()
            await customer.answered()
            await hers.is_free()
            await office.recorded()
            customer.hang_up()
            await his.ended()
    report = await office.report()
    is_one_call(report, olga, boris)
    assert report.upload.code == boris


async def test_a_manager_hands_the_customer_over_by_feature_code(office: Office) -> None:
    (boris,) = office.managers(1)
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Answers(after=0.3)) as his,
    ):
        await talk.hers.press(f"##{boris}#")
        await his.answers()
        await talk.hers.is_free()
        await office.stage("talking")
        talk.customer.hang_up()
        await his.is_free()
    report = await office.report()
    is_one_call(report, talk.olga, boris)
    assert report.upload.code == boris
    assert his.calls[0].name == "Иванова Анна"
