"""Transfers while the PBX is cut off, loses requests or is restarted: nobody is left in silence."""

from __future__ import annotations

import pytest

from ari_app.demo.pbx.phones import Answers, Busy, Rings
from tests.asterisk.test_transfers import ANNA, handed_over
from tests.faults.wire import Fault, Wire
from tests.support.office import Office


async def talks(office: Office, talker: str) -> None:
    """Wait until the service hears the PBX and knows who talks."""
    await office.until(lambda: office.listening, "the PBX was not taken again")
    await office.until(
        lambda: any(call.talker == talker for call in office.shop.line.calls), f"{talker} does not talk"
    )


async def test_a_transfer_that_we_dont_hear_of_is_found_out_when_the_wire_is_mended(
    office: Office, wire: Wire
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.1)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        wire.refuse(unnoticed=True)
        assert await hers.transfer(boris) == 200
        await his.answers()
        await wire.mend()
        await talks(office, boris)
        assert his.talking
        assert not customer.over
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert report.upload.record_url is not None


async def test_a_transfer_that_the_pbx_refuses_while_we_are_away_leaves_the_customer_with_the_manager(
    office: Office, wire: Wire
) -> None:
    """Once Asterisk has noticed that the application is away, it takes nobody out of its bridges.

    It had taken the REFER by then, and gives the phone that sent it 60 s in which to hang up by itself: so
    the manager does, when the customer has left.
    """
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.5)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        wire.refuse()
        noticed = f"Deactivating Stasis app '{office.app}'"
        await office.until(lambda: noticed in office.lab.asterisk.log(), "the PBX hasn't noticed")
        assert await hers.transfer(boris) == 503
        await wire.mend()
        await talks(office, olga)
        assert hers.talking
        assert not his.talking  # whether his phone has rung for a moment is chance
        assert not customer.over
        customer.hang_up()
        await office.ended()
        hers.hang_up()
        await hers.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url is not None


async def test_a_short_talk_after_a_transfer_is_whose_it_was_though_the_pbx_is_slow(
    office: Office, wire: Wire
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.1)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        wire.delay = 0.4
        assert await hers.transfer(boris) == 200
        talk = await his.answers()
        await office.stage("transferring")
        customer.hang_up()
        await customer.ended()
        await his.is_free()
        assert talk.answered_at is not None
        assert talk.ended_at is not None
        wire.delay = 0.0
        report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert report.call.talker == boris


async def test_a_talk_after_a_transfer_is_as_long_as_it_was_though_the_pbx_says_late_whose_it_is(
    office: Office, wire: Wire
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.1)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        wire.delay = 0.4
        assert await hers.transfer(boris) == 200
        talk = await his.answers()
        call = await office.stage("talking")
        while call.talker != boris:
            call = await office.stage("talking")
        customer.hang_up()
        await customer.ended()
        await his.is_free()
        wire.delay = 0.0
        report = await office.report()
    assert talk.answered_at is not None
    assert talk.ended_at is not None
    assert report.call.talking > talk.ended_at - talk.answered_at - 0.5


async def test_a_transfer_to_nobody_while_the_wire_is_cut_ends_at_the_fallback(
    office: Office, wire: Wire
) -> None:
    olga, boris, vera = office.managers(3)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{vera}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Rings()) as his,
        office.phone(vera, Answers(after=0.1)) as fallback,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await his.rings()
        await office.stage("transferring")
        wire.refuse()
        his.decline()
        await his.is_free()
        await wire.mend()
        await fallback.answers()
        await office.stage("talking")
        customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", vera)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ANSWER_LOST], ids=["lost", "answer lost"])
@pytest.mark.parametrize(
    "request_", [r"POST .*/subscription", r"DELETE .*/channels/", r"GET .*/channels ", r"POST .*/play/"]
)
async def test_a_request_of_a_transfer_that_is_lost_is_made_up_for(
    office: Office, wire: Wire, request_: str, fault: Fault
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.5)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        wire.spoil(request_, fault)
        assert await hers.transfer(boris) == 200
        await his.answers()
        await talks(office, boris)
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert wire.hits == 1
    assert (report.upload.result, report.upload.code) == ("answered", boris)


async def test_a_pbx_restarted_in_a_transfer_ends_the_call_as_answered(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Rings()) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await his.rings()
        await office.stage("transferring")
        await office.lab.asterisk.restart(hard=True)
        await office.until(lambda: office.listening, "the PBX was not taken again")
        report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_the_customers_hang_up_and_the_refusal_of_a_transfer_at_one_moment(office: Office) -> None:
    olga, boris, vera = office.managers(3)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{vera}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Rings()) as his,
        office.phone(vera, Busy()),
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await his.rings()
        customer.hang_up()
        his.decline()
        await customer.ended()
        await his.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
