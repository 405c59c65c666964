"""Who talks, or is away as the CRM says, is passed over; on the real Asterisk."""

from __future__ import annotations

import pytest

from ari_app.demo.pbx.phones import Answers, Busy, Rings
from tests.support.office import Office

ANNA, PYOTR = "+79161234567", "+79265550134"


async def test_a_manager_who_talks_is_passed_over_at_once(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.customer(PYOTR, "Волков Пётр", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.phone(boris, Answers(after=0.1)),
        office.call(ANNA) as first,
    ):
        await first.answered()
        await office.stage("talking")
        async with office.call(PYOTR, talks=0.3) as second:
            await second.ended()
        report = await office.report()
        first.hang_up()
        await first.ended()
    await office.report(calls=2)
    assert len(phone.calls) == 1
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert (report.upload.phone, report.upload.code) == (PYOTR, boris)
    assert any(f"{olga} is busy" in line for line in await office.story(report.call))


async def test_of_a_group_only_those_who_are_free_are_rung(office: Office) -> None:
    olga, boris, vera = office.managers(3)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(unknown=f"group:{olga},{boris},{vera}")
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.phone(boris, Rings()),
        office.phone(vera, Answers(after=0.3)),
        office.call(ANNA) as first,
    ):
        await first.answered()
        await office.stage("talking")
        async with office.call(PYOTR, talks=0.3) as second:
            await second.ended()
        report = await office.report()
        first.hang_up()
        await first.ended()
    await office.report(calls=2)
    assert len(phone.calls) == 1
    assert report.told[0] == ("in", sorted([boris, vera]))
    assert report.upload.code == vera


async def test_when_everyone_talks_the_caller_hears_busy_and_the_responsible_one_has_missed_it(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.customer(PYOTR, "Волков Пётр", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA) as first:
        await first.answered()
        await office.stage("talking")
        async with office.call(PYOTR) as second:
            await second.ended()
        report = await office.report()
        first.hang_up()
        await first.ended()
    await office.report(calls=2)
    assert second.status == 486
    assert report.told == []
    assert (report.upload.result, report.upload.code) == ("busy", olga)


async def test_a_shop_that_ignores_the_status_rings_a_manager_who_talks(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.customer(PYOTR, "Волков Пётр", manager=olga)
    await office.open(ignore_manager_status=True)
    async with office.phone(olga, Answers(after=0.1)) as phone, office.call(ANNA) as first:
        await first.answered()
        await office.stage("talking")
        async with office.call(PYOTR, talks=0.3) as second:
            await second.ended()
        first.hang_up()
        await first.ended()
        await phone.is_free()
    report = await office.report(calls=2)
    assert len(phone.calls) == 2
    assert report.upload.result == "answered"


async def test_where_the_status_is_ignored_the_phone_itself_may_still_be_busy(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(ignore_manager_status=True, fallback=f"group:{boris}")
    async with (
        office.phone(olga, Busy()) as hers,
        office.phone(boris, Answers(after=0.1)),
        office.call(ANNA, talks=0.2) as customer,
    ):
        await customer.ended()
    report = await office.report()
    assert len(hers.calls) == 1
    assert report.upload.code == boris


@pytest.mark.parametrize("status", ["busy", "dinner", "break"])
async def test_of_a_group_who_is_away_as_the_crm_says_is_not_rung(office: Office, status: str) -> None:
    olga, boris = office.managers(2)
    office.crm_account.set_status(1, status)
    await office.open(unknown=f"group:{olga},{boris}")
    await office.until(lambda: olga in office.shop.away, "the users were not read")
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Answers(after=0.3)),
        office.call(PYOTR, talks=0.2) as customer,
    ):
        await customer.ended()
    report = await office.report()
    assert hers.calls == []
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]


async def test_a_missed_call_names_the_responsible_manager_who_was_away_and_is_told_once(
    office: Office,
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.crm_account.set_status(1, "dinner")
    await office.open(fallback=f"group:{boris}")
    await office.until(lambda: olga in office.shop.away, "the users were not read")
    async with office.phone(boris, Rings()) as his, office.call(ANNA) as customer:
        await his.rings()
        await office.until(lambda: bool(office.crm_account.events), "the CRM was not told")
        customer.hang_up()
        await customer.ended()
        await his.is_free()
    report = await office.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "cancel")]
    assert (report.upload.result, report.upload.code) == ("no answer", olga)
    assert len(office.crm_account.uploads) == 1
