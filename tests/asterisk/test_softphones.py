"""Calls of a manager whose telephone is linphone, which nobody here wrote."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.phones import Answers, Rings
from tests.asterisk.test_transfers import is_one_call
from tests.support.office import Office
from tests.support.softphone import SoftCall, Softphone

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("linphone")]

ANNA, VERA, FRIEND = "+79161234567", "+79161234568", "79037654321"


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
        await (office.recorded() if calls.get("record", True) else office.stage("talking"))
        await office.lab.bridged(olga)
        yield Talk(customer, olga, hers, call)


@dataclass(frozen=True)
class TwoTalks(Talk):
    """The same with a second customer, with whom she talks while the first one is on hold."""

    second: Customer
    second_call: SoftCall


@asynccontextmanager
async def olga_talks_to_two(office: Office) -> AsyncIterator[TwoTalks]:
    """Let a second customer call whom Olga answers, too."""
    async with anna_talks_to_olga(office, ignore_manager_status=True) as talk:
        office.customer(VERA, "Петрова Вера", manager=talk.olga)
        async with office.call(VERA) as second:
            knocks = await talk.hers.rings(2)
            assert (knocks.name, knocks.number) == ("Петрова Вера", VERA)
            await talk.hers.answer(knocks)
            await second.answered()
            await talk.hers.holds(talk.call)
            await office.until(
                lambda: [call.talker for call in office.shop.line.calls] == [talk.olga] * 2,
                "the second customer does not talk",
            )
            await office.recorded(2)
            yield TwoTalks(talk.customer, talk.olga, talk.hers, talk.call, second, knocks)


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
    async with olga_talks_to_two(office) as talk:
        await talk.hers.hang_up(talk.second_call)
        await talk.second.ended()
        await talk.hers.resume(talk.call)
        assert not talk.customer.over
        talk.customer.hang_up()
        await talk.hers.is_over(talk.call)
    for number in (1, 2):
        report = await office.report(number)
        is_one_call(report, talk.olga)
        assert report.upload.code == talk.olga


@pytest.mark.parametrize(
    "dials", ["*8{}", "**{}", "*8"], ids=["a channel", "as FreePBX does", "of the group"]
)
async def test_a_colleague_picks_the_ringing_call_up(office: Office, dials: str) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        softphone(office, olga) as hers,
        softphone(office, boris) as his,
        office.call(ANNA) as customer,
    ):
        rings = await hers.rings()
        picked = await his.dial(dials.format(olga))
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


async def test_a_colleague_who_still_rang_declines_and_the_fallback_is_rung(office: Office) -> None:
    boris, vera = office.managers(2)
    async with (
        anna_talks_to_olga(office, fallback=f"group:{vera}") as talk,
        softphone(office, boris) as his,
        softphone(office, vera) as third,
    ):
        asks = await talk.hers.dial(boris)
        asked = await his.rings()
        await talk.hers.hears_ringing(asks)
        await talk.hers.transfer_to(talk.call, asks)
        await office.crm_account.wait_until(
            lambda account: any(boris in (told.event.codes or ()) for told in account.events)
        )
        await his.hang_up(asked)
        call = await third.rings()
        assert (call.name, call.number) == ("Иванова Анна", ANNA)
        await third.answer(call)
        await office.stage("talking")
        talk.customer.hang_up()
        await third.is_over(call)
    report = await office.report()
    is_one_call(report, talk.olga, boris, vera)
    assert (report.upload.code, report.call.first_talker) == (vera, talk.olga)


async def test_the_first_customer_is_handed_over_while_the_manager_talks_to_the_second(
    office: Office,
) -> None:
    (boris,) = office.managers(1)
    async with (
        olga_talks_to_two(office) as talk,
        softphone(office, boris) as his,
    ):
        await talk.hers.transfer(talk.call, boris)
        call = await his.rings()
        assert (call.name, call.number) == ("Иванова Анна", ANNA)
        await his.answer(call)
        await office.until(
            lambda: {call.talker for call in office.shop.line.calls} == {talk.olga, boris},
            "boris does not talk",
        )
        assert talk.second_call.talking
        talk.customer.hang_up()
        await his.is_over(call)
        talk.second.hang_up()
        await talk.hers.is_over(talk.second_call)
    reports = [await office.report(number) for number in (1, 2)]
    is_one_call(reports[0], talk.olga, boris)
    is_one_call(reports[1], talk.olga)
    assert [report.upload.code for report in reports] == [boris, talk.olga]


@pytest.mark.parametrize("first_leaves", [True, False], ids=["the first leaves", "the second leaves"])
async def test_two_customers_who_are_joined_are_free_as_soon_as_one_leaves(
    office: Office, first_leaves: bool
) -> None:
    async with olga_talks_to_two(office) as talk:
        await talk.hers.transfer_to(talk.call, talk.second_call)
        await talk.hers.is_over(talk.call)
        leaves, stays = talk.customer, talk.second
        if not first_leaves:
            leaves, stays = stays, leaves
        leaves.hang_up()
        await stays.ended(timeout=10)
    for number in (1, 2):
        report = await office.report(number)
        is_one_call(report, talk.olga)
        assert report.upload.code == talk.olga


@pytest.mark.parametrize("answers_before", [True, False], ids=["who has answered", "who still rings"])
async def test_a_customer_is_handed_over_to_somebody_outside_who_was_called_first(
    office: Office, answers_before: bool
) -> None:
    office.app = "retailcrm"  # the lab's dialplan gives it the calls of telephones that name none
    async with (
        anna_talks_to_olga(office) as talk,
        office.lab.customer_phone(Rings()) as friend,
    ):
        asks = await talk.hers.dial(FRIEND)
        await friend.rings()
        await talk.hers.hears_ringing(asks)
        if answers_before:
            friend.answer()
            await talk.hers.talks(asks)
        await talk.hers.holds(talk.call)
        await talk.hers.transfer_to(talk.call, asks)
        if not answers_before:
            friend.answer()
        await office.until(
            lambda: all(call.answered_at for call in office.shop.line.calls),
            "the friend has not answered",
        )
        await friend.answers()
        assert not talk.customer.over
        talk.customer.hang_up()
        await friend.until(lambda: friend.calls[0].over, timeout=10)
    incoming, outgoing = sorted(
        [await office.report(1), await office.report(2)], key=lambda report: report.upload.type
    )
    assert incoming.told == [("in", [talk.olga]), ("hangup", [talk.olga], "answered")]
    assert outgoing.told == [("out", [talk.olga]), ("hangup", [talk.olga], "answered")]
    for report in (incoming, outgoing):
        assert (report.upload.result, report.upload.code) == ("answered", talk.olga)


async def test_a_manager_who_dialled_hands_the_customer_over_to_whom_she_asked_first(office: Office) -> None:
    olga, boris = office.managers(2)
    office.app = "retailcrm"
    await office.open()
    async with (
        softphone(office, olga) as hers,
        softphone(office, boris) as his,
        office.lab.customer_phone(Answers(after=0.2)) as customer,
    ):
        call = await hers.dial(ANNA)
        await hers.talks(call)
        await office.recorded()
        asks = await hers.dial(boris)
        asked = await his.rings()
        await his.answer(asked)
        await hers.talks(asks)
        await office.lab.bridged(boris)
        await hers.transfer_to(call, asks)
        await office.until(
            lambda: any(call.talker == boris for call in office.shop.line.calls), "boris does not talk"
        )
        await is_shown(office, boris, ANNA, ANNA)
        await his.hang_up(asked)
        await customer.is_free()
    report = await office.report()
    is_one_call(report, olga, boris)
    assert (report.upload.type, report.upload.code, report.call.first_talker) == ("out", boris, olga)


async def test_a_customer_is_parked_and_a_colleague_takes_them_out_of_the_lot(office: Office) -> None:
    (boris,) = office.managers(1)
    async with anna_talks_to_olga(office) as talk, softphone(office, boris) as his:
        await talk.hers.transfer(talk.call, "700")
        await office.stage("transferring")
        taken_out = await his.dial("701")
        await office.until(
            lambda: [call.talker for call in office.shop.line.calls] == [boris], f"{boris} does not talk"
        )
        talk.customer.hang_up()
        await his.is_over(taken_out)
    report = await office.report()
    is_one_call(report, talk.olga, boris)
    assert (report.upload.code, report.call.first_talker) == (boris, talk.olga)


ON_THE_OLDEST = (
    test_a_customer_is_handed_over_blindly_and_the_colleague_sees_them,
    test_who_was_asked_first_hands_the_customer_on_by_name,
    test_a_colleague_who_still_rings_takes_the_customer_over,
    test_a_second_customer_knocks_is_answered_and_the_first_one_taken_back,
    test_who_has_picked_a_call_up_hands_the_customer_on_by_name,
)
"""What is tried on Asterisk 16 as well."""
