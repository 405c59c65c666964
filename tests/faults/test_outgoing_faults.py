"""Calls that begin with us, while the PBX is cut off, loses requests or is restarted between the two legs."""

from __future__ import annotations

import pytest

from ari_app.demo.pbx.phones import Answers, Rings
from tests.asterisk.test_click_to_call import ANNA, click
from tests.faults.wire import Fault, Wire
from tests.support.office import Office


async def test_a_manager_who_answers_while_the_wire_is_cut_gets_the_customer_when_it_is_back(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.phone(olga, Rings()) as phone,
        office.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        click(office, olga)
        await phone.rings()
        wire.refuse()
        phone.answer()
        await phone.answers()
        assert customer.calls == []
        await wire.mend()
        await customer.answers()
        await office.recorded()
        phone.hang_up()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.record_url is not None


async def test_a_customer_who_answers_while_the_wire_is_cut_talks_and_is_reported(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Rings()) as customer,
    ):
        click(office, olga)
        await customer.rings()
        await office.stage("ringing")
        wire.refuse()
        customer.answer()
        await customer.answers()
        await wire.mend()
        await office.recorded()
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]


async def test_the_managers_answer_and_the_customers_hang_up_at_one_moment_leave_nobody(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Rings()) as customer,
    ):
        click(office, olga)
        await customer.rings()
        phone.hang_up()
        customer.answer()
        await phone.is_free()
        await customer.is_free()
    report = await office.report()
    assert report.upload.result in ("answered", "no answer")
    assert report.told[-1][0] == "hangup"


async def test_a_pbx_restarted_between_the_two_legs_ends_the_call(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)), office.lab.customer_phone(Rings()) as customer:
        click(office, olga)
        await customer.rings()
        await office.stage("ringing")
        await office.lab.asterisk.restart(hard=True)
        await office.until(lambda: office.listening, "the PBX was not taken again")
        report = await office.report()
    assert report.upload.result == "failed"


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ANSWER_LOST], ids=["lost", "answer lost"])
@pytest.mark.parametrize(
    "request_",
    [
        r"POST /asterisk/ari/channels/create",
        r"POST .*/dial",
        r"POST .*/addChannel",
        r"POST .*/record",
        r"POST .*/subscription",
        r"POST /asterisk/ari/bridges",
        r"DELETE .*/channels/",
    ],
)
async def test_a_request_of_a_click_to_call_that_is_lost_is_made_up_for(
    office: Office, wire: Wire, request_: str, fault: Fault
) -> None:
    (olga,) = office.managers(1)
    await office.open()
    wire.spoil(request_, fault)
    async with (
        office.phone(olga, Answers(after=0.2, hangs_up_after=3.0)) as phone,
        office.lab.customer_phone(Answers(after=0.2)) as customer,
    ):
        click(office, olga)
        await customer.answers()
        await phone.is_free()
        await customer.is_free()
    report = await office.report()
    assert wire.hits == 1
    assert len(phone.calls) == len(customer.calls) == 1
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.phone, report.upload.result) == (ANNA, "answered")
