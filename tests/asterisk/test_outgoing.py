"""Calls that a manager's phone makes, on the real Asterisk."""

from __future__ import annotations

from typing import Any

import pytest

from ari_app.calls import whole_seconds
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Refuses, Rings
from tests.support.office import Office

ANNA, ANNA_DIALLED = "+79161234567", "89161234567"


def dial(office: Office, code: str, number: str = ANNA_DIALLED, **how: Any) -> Customer:
    """A manager dials a number on the telephone of an extension."""
    return office.lab.dial(code, number, app=office.app, **how)


async def test_the_outside_lines_digit_is_dialled_and_not_told(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["outside_prefix"] = "9"
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as customer,
        dial(office, olga, f"9{ANNA_DIALLED}", talks=0.3) as manager,
    ):
        await manager.ended()
        await customer.is_free()
    report = await office.report()
    assert [call.to for call in customer.calls] == [f"9{ANNA_DIALLED}"]
    assert {told.event.phone for told in office.crm_account.events} == {report.upload.phone} == {ANNA}


async def test_the_manager_hears_what_the_line_says_before_the_answer(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.3, early_media=True)),
        dial(office, olga, talks=0.2) as manager,
    ):
        await manager.ended()
    report = await office.report()
    assert manager.provisional[0][0] == 183
    assert report.told[0] == ("out", [olga])


@pytest.mark.parametrize(
    ("behaviour", "status", "result", "told"),
    [
        (Busy(), 486, "busy", []),
        (Declines(after=0.2), 480, "no answer", ["out", "hangup"]),
        (Refuses(404), 480, "failed", []),
        (Refuses(503), 480, "failed", []),
    ],
    ids=["busy", "declines", "wrong number", "line down"],
)
async def test_a_customer_who_cant_be_had(
    office: Office, behaviour: Any, status: int, result: str, told: list[str]
) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with office.lab.customer_phone(behaviour), dial(office, olga) as manager:
        await manager.ended()
    report = await office.report()
    assert manager.status == status
    assert [event[0] for event in report.told] == told
    assert (report.upload.result, report.upload.code, report.upload.record_url) == (result, olga, None)


async def test_a_manager_who_gives_up_stops_the_customers_phone(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with office.lab.customer_phone(Rings()) as customer, dial(office, olga) as manager:
        await customer.rings()
        await office.stage("ringing")
        manager.hang_up()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "cancel")]
    assert report.upload.result == "no answer"


async def test_the_customer_hangs_up(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.1, hangs_up_after=1.1)),
        dial(office, olga) as manager,
    ):
        await manager.ended()
    report = await office.report()
    assert manager.ended_by == "other side"
    assert (report.upload.result, report.upload.duration) == ("answered", whole_seconds(report.call.talking))
    assert 1 <= report.call.talking < 2


async def test_a_phone_whose_channel_doesnt_say_whose_it_is_is_known_by_its_number(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (olga,) = office.managers(1)
    toml, other_names = office.toml, 'channel_format = "Local/##@internal"'
    monkeypatch.setattr(
        office, "toml", lambda **calls: toml(**calls).replace("[calls]", f"{other_names}\n[calls]")
    )
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.1)),
        dial(office, olga, talks=0.2) as manager,
    ):
        await manager.ended()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


@pytest.mark.parametrize("number", ["112", "0911"])
async def test_an_emergency_or_short_number_passes_untouched(office: Office, number: str) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as customer,
        dial(office, olga, number, talks=0.2) as manager,
    ):
        await manager.ended()
        await customer.is_free()
    assert [call.to for call in customer.calls] == [number]
    assert await office.calls.ended(10) == []


async def test_a_colleague_is_called_without_us(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open()
    async with office.phone(boris, Answers(after=0.1)), dial(office, olga, boris, talks=0.2) as manager:
        await manager.ended()
    assert await office.calls.ended(10) == []


async def test_a_manager_who_calls_out_is_passed_over_by_a_customers_call(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer("+79265550134", "Волков Пётр", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Rings()) as phone,
        office.phone(boris, Answers(after=0.1)),
        office.lab.customer_phone(Answers(after=0.1)),
        dial(office, olga) as manager,
    ):
        await manager.answered()
        await office.stage("talking")
        async with office.call("+79265550134", talks=0.2) as caller:
            await caller.ended()
        report = await office.report()
        manager.hang_up()
        await manager.ended()
    await office.report(calls=2)
    assert phone.calls == []
    assert report.upload.code == boris
