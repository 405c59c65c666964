"""Calls of a manager whose telephone is linphone, which nobody here wrote."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from ari_app.demo.pbx.customers import Customer
from tests.asterisk.test_transfers import is_one_call
from tests.support.office import Office
from tests.support.softphone import SoftCall, Softphone

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("linphone")]

ANNA = "+79161234567"


def softphone(office: Office, code: str) -> Softphone:
    """Give the linphone of an extension."""
    asterisk = office.lab.asterisk
    return Softphone(code, asterisk.phones[code], asterisk.sip_port, asterisk.folder)


async def whom_it_shows(office: Office, code: str) -> list[str]:
    """Give the number and the name of who the PBX says is at the other end of an extension's call."""
    asterisk = office.lab.asterisk
    [line] = [line for line in await asterisk.channels() if line.startswith(f"PJSIP/{code}-")]
    said = await asterisk.command(f"core show channel {line.split('!')[0]}")
    return re.findall(r"(?m)^ *Connected Line ID(?: Name)?: (.*)$", said)


async def is_shown(office: Office, code: str, number: str, name: str) -> None:
    """Wait until the telephone of an extension is told with whom it talks."""

    async def shown() -> bool | None:
        return await whom_it_shows(office, code) == [number, name] or None

    await office.eventually(shown, f"{code} is not shown {name}", seconds=10)


@dataclass(frozen=True)
class Talk:
    """A customer who talks to Olga, her extension, her telephone, and the call there."""

    customer: Customer
    olga: str
    hers: Softphone
    call: SoftCall


@asynccontextmanager
async def anna_talks_to_olga(office: Office, **calls: object) -> AsyncIterator[Talk]:
    """Let Anna call, whose manager Olga is; she answers."""
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(**calls)
    async with softphone(office, olga) as hers, office.call(ANNA) as customer:
        call = await hers.rings()
        assert (call.name, call.number) == ("Иванова Анна", ANNA)
        await hers.answer(call)
        await customer.answered()
        await office.recorded()
        await office.lab.bridged(olga)
        yield Talk(customer, olga, hers, call)


async def test_a_customer_is_handed_over_blindly_and_the_colleague_sees_them(office: Office) -> None:
    (boris,) = office.managers(1)
    async with anna_talks_to_olga(office) as talk, softphone(office, boris) as his:
        await talk.hers.transfer(talk.call, boris)
        call = await his.rings()
        assert (call.name, call.number) == ("Иванова Анна", ANNA)
        await his.answer(call)
        await office.stage("talking")
        talk.customer.hang_up()
        await his.is_over(call)
    report = await office.report()
    is_one_call(report, talk.olga, boris)
    assert (report.upload.code, report.call.first_talker) == (boris, talk.olga)


async def test_a_colleague_who_was_asked_first_takes_the_customer_over(office: Office) -> None:
    (boris,) = office.managers(1)
    async with anna_talks_to_olga(office) as talk, softphone(office, boris) as his:
        asks = await talk.hers.dial(boris)
        asked = await his.rings()
        assert asked.number == talk.olga
        await talk.hers.holds(talk.call)
        await his.answer(asked)
        await talk.hers.talks(asks)
        await office.lab.bridged(boris)
        await talk.hers.transfer_to(talk.call, asks)
        await office.until(
            lambda: any(call.talker == boris for call in office.shop.line.calls), "boris does not talk"
        )
        assert asked.talking
        await is_shown(office, boris, ANNA, "Иванова Анна")
        talk.customer.hang_up()
        await his.is_over(asked)
    report = await office.report()
    is_one_call(report, talk.olga, boris)
    assert (report.upload.code, report.call.first_talker) == (boris, talk.olga)


async def test_a_colleague_who_still_rings_takes_the_customer_over(office: Office) -> None:
    (boris,) = office.managers(1)
    async with anna_talks_to_olga(office) as talk, softphone(office, boris) as his:
        asks = await talk.hers.dial(boris)
        asked = await his.rings()
        await talk.hers.hears_ringing(asks)
        await talk.hers.transfer_to(talk.call, asks)
        await office.stage("transferring")
        await his.answer(asked)
        await office.stage("talking")
        await is_shown(office, boris, ANNA, "Иванова Анна")
        talk.customer.hang_up()
        await his.is_over(asked)
    report = await office.report()
    is_one_call(report, talk.olga, boris)
    assert (report.upload.code, report.call.first_talker) == (boris, talk.olga)


async def test_a_manager_asks_a_colleague_and_goes_back_to_the_customer(office: Office) -> None:
    (boris,) = office.managers(1)
    async with anna_talks_to_olga(office) as talk, softphone(office, boris) as his:
        asks = await talk.hers.dial(boris)
        asked = await his.rings()
        await his.answer(asked)
        await talk.hers.talks(asks)
        await talk.hers.hang_up(asks)
        await his.is_over(asked)
        await talk.hers.resume(talk.call)
        assert not talk.customer.over
        await talk.hers.hang_up(talk.call)
        await talk.customer.ended()
    report = await office.report()
    is_one_call(report, talk.olga)
    assert report.upload.code == talk.olga


async def test_a_customer_on_hold_is_still_in_the_call(office: Office) -> None:
    async with anna_talks_to_olga(office) as talk:
        await talk.hers.hold(talk.call)
        assert not talk.customer.over
        await talk.hers.resume(talk.call)
        await talk.hers.hold(talk.call)
        talk.customer.hang_up()
        await talk.hers.is_over(talk.call)
    report = await office.report()
    is_one_call(report, talk.olga)
    assert report.upload.code == talk.olga


async def test_a_second_customer_knocks_is_answered_and_the_first_one_taken_back(office: Office) -> None:
    vera_calls = "+79161234568"
    async with anna_talks_to_olga(office, ignore_manager_status=True) as talk:
        office.customer(vera_calls, "Петрова Вера", manager=talk.olga)
        async with office.call(vera_calls) as second:
            knocks = await talk.hers.rings(2)
            assert (knocks.name, knocks.number) == ("Петрова Вера", vera_calls)
            await talk.hers.answer(knocks)
            await second.answered()
            await talk.hers.holds(talk.call)
            await office.until(
                lambda: [call.talker for call in office.shop.line.calls] == [talk.olga] * 2,
                "the second customer does not talk",
            )
            await talk.hers.hang_up(knocks)
            await second.ended()
        await talk.hers.resume(talk.call)
        assert not talk.customer.over
        talk.customer.hang_up()
        await talk.hers.is_over(talk.call)
    for number in (1, 2):
        report = await office.report(number)
        is_one_call(report, talk.olga)
        assert report.upload.code == talk.olga


async def test_a_colleague_picks_the_ringing_call_up(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        softphone(office, olga) as hers,
        softphone(office, boris) as his,
        office.call(ANNA) as customer,
    ):
        rings = await hers.rings()
        picked = await his.dial(f"*8{olga}")
        await his.talks(picked)
        await customer.answered()
        await hers.is_over(rings)
        await office.recorded()
        await is_shown(office, boris, ANNA, "Иванова Анна")
        customer.hang_up()
        await his.is_over(picked)
    report = await office.report()
    is_one_call(report, olga, boris)
    assert report.upload.code == boris


async def test_who_was_asked_first_hands_the_customer_on_by_name(office: Office) -> None:
    boris, vera = office.managers(2)
    async with (
        anna_talks_to_olga(office) as talk,
        softphone(office, boris) as his,
        softphone(office, vera) as third,
    ):
        asks = await talk.hers.dial(boris)
        asked = await his.rings()
        await his.answer(asked)
        await talk.hers.talks(asks)
        await office.lab.bridged(boris)
        await talk.hers.transfer_to(talk.call, asks)
        await is_shown(office, boris, ANNA, "Иванова Анна")
        await his.transfer(asked, vera)
        call = await third.rings()
        assert (call.name, call.number) == ("Иванова Анна", ANNA)
        await third.answer(call)
        await office.until(
            lambda: any(call.talker == vera for call in office.shop.line.calls), "vera does not talk"
        )
        await third.hang_up(call)
        await talk.customer.ended()
    report = await office.report()
    is_one_call(report, talk.olga, boris, vera)
    assert (report.upload.code, report.call.first_talker) == (vera, talk.olga)


async def test_who_has_picked_a_call_up_hands_the_customer_on_by_name(office: Office) -> None:
    olga, boris, vera = office.managers(3)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        softphone(office, olga) as hers,
        softphone(office, boris) as his,
        softphone(office, vera) as third,
        office.call(ANNA) as customer,
    ):
        await hers.rings()
        picked = await his.dial(f"*8{olga}")
        await his.talks(picked)
        await office.recorded()
        await is_shown(office, boris, ANNA, "Иванова Анна")
        await his.transfer(picked, vera)
        call = await third.rings()
        assert (call.name, call.number) == ("Иванова Анна", ANNA)
        await third.answer(call)
        await office.stage("talking")
        customer.hang_up()
        await third.is_over(call)
    report = await office.report()
    is_one_call(report, olga, boris, vera)
    assert (report.upload.code, report.call.first_talker) == (vera, boris)


ON_THE_OLDEST = (
    test_a_customer_is_handed_over_blindly_and_the_colleague_sees_them,
    test_who_was_asked_first_hands_the_customer_on_by_name,
    test_a_colleague_who_still_rings_takes_the_customer_over,
    test_a_second_customer_knocks_is_answered_and_the_first_one_taken_back,
    test_who_has_picked_a_call_up_hands_the_customer_on_by_name,
)
"""What is tried on Asterisk 16 as well."""
