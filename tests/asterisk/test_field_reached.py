"""Managers and queues that the shop's own dialplan rings: what it answers by itself is nobody's answer.

The dialplans are those of FreePBX and its like, made small: what plain `Dial()` and `Queue()` do with these
calls is expected of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Refuses, Rings
from tests.asterisk.pbx_files import prepared
from tests.asterisk.shops_dialplans import MENU_BEHIND, RINGS_EXTENSIONS, lab_with
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA, STRANGER = "+79161234567", "+79037654321"

DIALPLAN = (
    RINGS_EXTENSIONS
    + MENU_BEHIND
    + """
; A group of one, at whose end the dialplan says by itself what became of it.
[rg-ends]
exten => _600XXX,1,Dial(PJSIP/${EXTEN:3:3},20)

; A manager's telephone with voicemail; and one whose calls are announced first.
[fpbx]
exten => _XXX,1,Dial(PJSIP/${EXTEN},1)
 same => n,Answer()
 same => n,Wait(20)

[says-first]
exten => _XXX,1,Answer()
 same => n,Dial(PJSIP/${EXTEN},20)

[ext-queues]
exten => _[a-z].,1,Answer()
 same => n,Queue(${EXTEN},t,,,2)
 same => n,Goto(vm,s,1)
[vm]
exten => s,1,Answer()
 same => n,Wait(20)
exten => s,n,Hangup()
"""
)


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with lab_with(DIALPLAN, installation) as lab:
        yield lab


async def test_a_queues_failover_is_heard_and_is_nobodys_answer(office: Office) -> None:
    (olga,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:ext-queues,{queue}")
    async with office.phone(olga, Rings()) as phone, office.call(STRANGER) as customer:
        await phone.rings()
        assert customer.answered_after is None
        await customer.answered()
        call = await office.live()
        assert call.left_to_dialplan
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "no answered")]
    assert (report.upload.result, report.upload.code) == ("no answer", None)
    assert report.upload.record_url is None


async def test_a_failover_behind_a_local_channel_is_heard_takes_keys_and_is_nobodys_answer(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"queue:menu-behind,600{olga}")
    before = len(office.lab.asterisk.log())
    async with office.phone(olga, Rings()) as phone, office.call(STRANGER) as customer:
        await phone.rings()
        await customer.answered()
        await customer.press("7")
        await office.until(lambda: " heard 7" in office.lab.asterisk.log()[before:], "the key isn't heard")
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "no answered")]
    assert (report.upload.result, report.upload.code) == ("no answer", None)


async def test_a_managers_voicemail_is_no_answer(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.pbx["channel_format"] = "Local/##@fpbx/n"
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Answers(after=0.2)) as his,
        office.call(ANNA) as customer,
    ):
        await hers.rings()
        await his.answers()
        await customer.answered()
        await office.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told == [
        ("in", [olga]),
        ("in", [boris]),
        ("hangup", sorted([olga, boris]), "answered"),
    ]
    assert report.upload.code == boris


async def test_a_clicked_call_whose_manager_has_voicemail_is_not_placed(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["channel_format"] = "Local/##@fpbx/n"
    await office.open()
    async with (
        office.phone(olga, Rings()) as hers,
        office.lab.customer_phone(Rings()) as customer,
    ):
        assert office.shop.line.place_call(olga, ANNA, None, office.account.pbx.outgoing)
        await hers.rings()
        await hers.is_free()
        report = await office.report()
    assert report.upload.result == "failed"
    assert customer.calls == []


async def test_a_clicked_call_by_a_local_channel_goes_to_the_customer(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["channel_format"] = "Local/##@fpbx/n"
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)),
        office.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        assert office.shop.line.place_call(olga, ANNA, None, office.account.pbx.outgoing)
        await customer.answers()
        await office.talks(olga)
        customer.hang_up()
        report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_dialplan_that_answers_before_the_managers_telephone_is_no_answer(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.pbx["channel_format"] = "Local/##@says-first/n"
    await office.open()
    async with office.phone(olga, Answers(after=1)) as hers, office.call(ANNA) as customer:
        await hers.answers()
        await customer.answered()
        assert customer.answered_after is not None
        assert customer.answered_after > 0.9
        await office.talks(olga)
        customer.hang_up()
        await hers.is_free()
    report = await office.report()
    assert report.upload.code == olga
    assert 1 <= report.call.waiting < 2


@pytest.mark.parametrize("way", ["Local/##@from-queue/n", "queue"])
async def test_a_dialplan_that_ends_at_a_busy_telephone_sends_the_caller_on_at_once(
    office: Office, way: str
) -> None:
    olga, boris = office.managers(2)
    if way == "queue":
        await office.open(unknown=f"queue:rg-ends,600{olga};group:{boris}")
    else:
        office.customer(ANNA, "Иванова Анна", manager=olga)
        office.pbx["channel_format"] = way
        await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Busy()),
        office.phone(boris, Answers(after=0.2)) as his,
        office.call(ANNA) as customer,
    ):
        await his.answers()
        await office.talks(boris)
        await customer.answered()
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.upload.code == boris
    assert report.call.waiting < 8  # at its end the dialplan plays a busy tone for ten seconds


@pytest.mark.parametrize("place", ["from-queue", "twice-local", "internal"])
@pytest.mark.parametrize(
    ("behaviour", "became"),
    [
        (Busy(), "busy"),
        (Declines(after=0.2), "no answer"),
        (Refuses(404), "failed"),
        (Refuses(480), "no answer"),
        (Refuses(488), "failed"),
        (None, "failed"),
    ],
    ids=["busy", "declines", "404", "480", "488", "not registered"],
)
async def test_what_became_of_a_manager_is_told_alike_through_each_channel(
    office: Office,
    place: str,
    behaviour: Busy | Declines | Refuses | None,
    became: str,
) -> None:
    if behaviour is None:
        office.hire(olga := UNREACHABLE)
    else:
        (olga,) = office.managers(1)
    office.pbx["channel_format"] = f"Local/##@{place}/n"
    await office.open(unknown=f"group:{olga}")
    async with AsyncExitStack() as stack:
        if behaviour is not None:
            await stack.enter_async_context(office.phone(olga, behaviour))
        customer = await stack.enter_async_context(office.call(STRANGER))
        await customer.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == (became, olga)
