"""The CRM's callbacks, from the CRM's request to the telephones of a real Asterisk."""

from __future__ import annotations

import pytest

from ari_app.demo.pbx.phones import Answers, Rings
from tests.support.office import Office
from tests.support.pace import at_this_pace

ANNA = "+79161234567"


def client_id(office: Office) -> str:
    """The secret by which the CRM names the account."""
    return office.account.crm.client_id.get_secret_value()


async def test_a_click_in_the_crm_rings_the_manager_and_then_the_customer(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.web() as address,
        office.phone(olga, Answers(after=0.1, hangs_up_after=0.5)) as phone,
        office.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        answer = await office.crm_account.click_to_call(
            address, client_id(office), phone="+7 (916) 123-45-67", user_id=1
        )
        assert (answer.status, answer.body["success"]) == (200, True)
        assert answer.seconds < at_this_pace(0.2)
        await customer.answers()
        await phone.is_free()
    report = await office.report()
    assert report.call.id == answer.body["call"]
    assert [call.to for call in customer.calls] == [ANNA]
    assert report.upload.phone == ANNA


async def test_a_second_click_while_it_rings_rings_nobody_twice(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with office.web() as address, office.phone(olga, Rings()) as phone:
        first = await office.crm_account.click_to_call(address, client_id(office), code=olga, phone=ANNA)
        await phone.rings()
        second = await office.crm_account.click_to_call(address, client_id(office), code=olga, phone=ANNA)
        assert (second.status, second.body) == (200, first.body)
        phone.decline()
        await office.report()
    assert len(phone.calls) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"code": "999", "phone": ANNA}, 400),
        ({"code": "", "phone": ANNA}, 400),
        ({"user_id": 1, "phone": "8916123456&Local"}, 400),
        ({"user_id": 1, "phone": ""}, 400),
    ],
    ids=["strange extension", "nobody's", "bad number", "no number"],
)
async def test_what_cant_be_placed_is_refused_with_a_sentence(
    office: Office, fields: dict[str, str], status: int
) -> None:
    office.managers(1)
    await office.open()
    async with office.web() as address:
        answer = await office.crm_account.click_to_call(address, client_id(office), **fields)  # type: ignore[arg-type]
        stranger = await office.crm_account.click_to_call(address, "nobody", code="101", phone=ANNA)
    assert (answer.status, answer.body["success"]) == (status, False)
    assert answer.body["errorMsg"]
    assert stranger.status == 401
    assert await office.calls.live() == []


async def test_when_neither_way_to_the_pbx_works_the_crm_is_told_so_at_once(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    await office.lab.asterisk.stop(hard=True)
    try:
        ajam = office.shop.line.ajam
        assert ajam is not None
        await office.until(lambda: not (office.listening or ajam.usable), "the end was not noticed", 45)
        async with office.web() as address:
            answer = await office.crm_account.click_to_call(address, client_id(office), code=olga, phone=ANNA)
        assert (answer.status, answer.body["success"]) == (503, False)
        assert answer.seconds < at_this_pace(0.2)
    finally:
        await office.lab.asterisk.start()


async def test_a_manager_at_dinner_is_passed_over_until_they_are_free_again(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.web() as address,
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.1)) as his,
    ):
        answer = await office.crm_account.change_status(address, client_id(office), "dinner", user_id=1)
        assert answer.status == 200
        assert answer.seconds < at_this_pace(0.2)
        async with office.call(ANNA, talks=0.2) as customer:
            await customer.ended()
        report = await office.report()
        assert (hers.calls, len(his.calls), report.upload.code) == ([], 1, boris)
        await office.crm_account.change_status(address, client_id(office), "free", user_id=1)
        async with office.call(ANNA, talks=0.2) as customer:
            await customer.ended()
        report = await office.report(calls=2)
    assert report.upload.code == olga


async def test_a_manager_who_is_away_when_the_service_starts_is_passed_over(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.crm_account.set_status(1, "break")
    await office.open(fallback=f"group:{boris}")
    await office.until(lambda: olga in office.shop.away, "the users were not read")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.1)),
        office.call(ANNA, talks=0.2) as customer,
    ):
        await customer.ended()
    report = await office.report()
    assert hers.calls == []
    assert report.upload.code == boris


async def test_a_shop_that_ignores_the_status_rings_who_is_at_dinner(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(ignore_manager_status=True)
    async with (
        office.web() as address,
        office.phone(olga, Answers(after=0.1)),
        office.call(ANNA, talks=0.2) as customer,
    ):
        await office.crm_account.change_status(address, client_id(office), "dinner", user_id=1)
        await customer.ended()
    assert (await office.report()).upload.code == olga
