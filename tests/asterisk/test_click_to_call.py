"""Click-to-call on the real Asterisk: the CRM asks, the manager's phone rings first."""

from __future__ import annotations

import re

import pytest

from ari_app.calls import whole_seconds
from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.phones import Answers, Declines, Rings
from tests.support.office import OUR_NUMBER, Office

ANNA, ANNA_DIALLED = "+79161234567", "+79161234567"
TWO_NUMBERS = f"""
[[external_phones]]
number = "{OUR_NUMBER}"
outgoing = "second-line"
[[external_phones]]
number = "+74954445566"
"""


def click(office: Office, code: str, number: str = ANNA_DIALLED) -> str:
    """Ask for a call as the CRM's button does."""
    call_id = office.shop.line.place_call(code, number, None, office.account.pbx.outgoing)
    assert call_id is not None
    return call_id


@pytest.mark.parametrize(
    ("chosen", "dialled", "seen"),
    [
        ("8 (495) 111-22-33", f"77{ANNA}", OUR_NUMBER),
        ("+74954445566", ANNA, "+74954445566"),
        ("+79990000000", ANNA, None),
        ("", ANNA, None),
    ],
    ids=["with a line of its own", "with the ordinary line", "not ours", "none"],
)
async def test_the_number_that_the_crm_chooses_is_the_line_and_what_the_customer_sees(
    office: Office, monkeypatch: pytest.MonkeyPatch, chosen: str, dialled: str, seen: str | None
) -> None:
    (olga,) = office.managers(1)
    shop = office.toml
    monkeypatch.setattr(office, "toml", lambda **calls: shop(**calls) + TWO_NUMBERS)
    await office.open()
    async with (
        office.web() as address,
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Answers(after=0.1, hangs_up_after=0.2)) as customer,
    ):
        client_id = office.account.crm.client_id.get_secret_value()
        answer = await office.crm_account.click_to_call(
            address, client_id, code=olga, phone=ANNA, external_phone=chosen
        )
        assert answer.status == 200
        await customer.is_free()
        await phone.is_free()
    report = await office.report()
    assert [(call.to, call.number) for call in customer.calls] == [(dialled, seen or olga)]
    assert (report.upload.result, report.upload.external_phone) == ("answered", seen)


async def test_a_clicked_number_is_dialled_with_the_outside_lines_digit_and_told_without(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    office.pbx["outside_prefix"] = "9"
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Answers(after=0.1, hangs_up_after=0.2)) as customer,
    ):
        call_id = click(office, olga)
        assert office.shop.line.clicked(olga, ANNA_DIALLED) == call_id
        await customer.is_free()
        await phone.is_free()
    report = await office.report()
    assert [call.to for call in customer.calls] == ["989161234567"]
    assert {told.event.phone for told in office.crm_account.events} == {report.upload.phone} == {ANNA}


async def test_a_manager_who_doesnt_answer_is_left_alone_and_the_customer_is_never_rung(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    await office.open(ring_manager_seconds=1)
    async with office.phone(olga, Rings()) as phone, office.lab.customer_phone(Answers()) as customer:
        click(office, olga)
        await phone.is_free()
        report = await office.report()
    assert customer.calls == []
    assert report.told == []
    assert (report.upload.type, report.upload.result, report.upload.code) == ("out", "failed", olga)


async def test_a_manager_who_declines_isnt_rung_again(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.phone(olga, Declines(after=0.1)) as phone,
        office.lab.customer_phone(Answers()) as customer,
    ):
        click(office, olga)
        report = await office.report()
    assert len(phone.calls) == 1
    assert customer.calls == []
    assert (report.told, report.upload.result) == ([], "failed")
    assert any("declined" in line for line in await office.story(report.call))


async def test_a_manager_who_hangs_up_while_the_customer_rings_cancels_the_call(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Rings()) as customer,
    ):
        click(office, olga)
        await customer.rings()
        await phone.answers()
        phone.hang_up()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "cancel")]
    assert (report.upload.result, report.upload.duration, report.upload.record_url) == ("no answer", 0, None)


async def test_a_customer_who_declines_is_no_answer(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Declines(after=0.3)),
    ):
        click(office, olga)
        await phone.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "no answered")]
    assert report.upload.result == "no answer"


async def test_the_customer_hangs_up_first(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Answers(after=0.1, hangs_up_after=1.1)),
    ):
        click(office, olga)
        await phone.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.duration) == ("answered", whole_seconds(report.call.talking))
    assert 1 <= report.call.talking < 2


async def test_the_managers_phone_that_is_unreachable_fails_the_call(office: Office) -> None:
    office.hire(UNREACHABLE)
    await office.open()
    click(office, UNREACHABLE)
    report = await office.report()
    assert (report.told, report.upload.result) == ([], "failed")


async def test_a_manager_who_has_answered_hears_what_the_customers_line_says(office: Office) -> None:
    """Nothing else is played to them then: the two are in one bridge, and nobody announces anything there."""
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Answers(after=1.0, early_media=True)) as customer,
    ):
        click(office, olga)
        await customer.rings()
        await office.lab.bridged(olga)
        await office.until(lambda: bool(office.shop.line.calls[0].told), "the CRM was not told")
        channels = [line.split("!") for line in await office.lab.asterisk.channels()]
        assert customer.ringing
        ours = [fields for fields in channels if not re.search(";2|^PJSIP/trunk", fields[0])]
        joined = {fields[0].partition("/")[0]: fields[-2] for fields in ours}
        assert joined["Local"] == joined["PJSIP"] != ""
        assert "Announcer" not in joined
        await customer.answers()
        await office.stage("talking")
        phone.hang_up()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
