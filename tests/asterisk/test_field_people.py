"""Who a person is on the dialplans that shops have: members of ring groups, mobiles, second telephones.

The dialplans are those of FreePBX and its like, made small: what plain `Dial()` and `Queue()` do with these
calls is expected of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Forwards, Rings
from tests.asterisk.pbx_files import prepared
from tests.asterisk.shops_dialplans import RINGS_EXTENSIONS, lab_with, let
from tests.asterisk.test_outgoing import dial
from tests.asterisk.test_transfers import ANNA, anna_talks_to_olga, handed_over
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRANGER = "+79037654321"
MOBILE = "+79035554433"
TWINS = ("99302",)
"""Second telephones: of extension 302."""

DIALPLAN = (
    RINGS_EXTENSIONS
    + """
; Follow Me that asks, at the telephone that has answered, whether the call is taken.
[fm-asks]
exten => _X.,1,Dial(Local/${EXTEN}@from-queue/n,20,U(accepts))
exten => _*X.,1,Dial(Local/${EXTEN:1}@from-queue/n,20,U(declines))
[accepts]
exten => s,1,Wait(1)
 same => n,Return()
[declines]
exten => s,1,Wait(1)
 same => n,Set(GOSUB_RESULT=CONTINUE)
 same => n,Return()

; A ring group, whose members are reached as a shop's own dialplan pleases.
[rg]
exten => _600.,1,Dial(Local/RG-600-${EXTEN:3:3}@rg2&Local/LC-${EXTEN:6:3}@rg2)
[rg2]
exten => _RG.,1,Dial(PJSIP/${EXTEN:7},20)
exten => _LC.,1,Goto(from-queue,${EXTEN:3},1)
"""
)


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with lab_with(DIALPLAN, installation, TWINS) as lab:
        yield lab


def has_a_mobile(office: Office, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the account say whose the mobile is."""
    toml, entry = office.toml, f'code = "{code}"'
    monkeypatch.setattr(
        office, "toml", lambda **calls: toml(**calls).replace(entry, f'{entry}\nmobile = "{MOBILE}"')
    )


async def test_a_ring_group_is_the_member_who_answers(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"queue:rg,600{olga}{boris}")
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Answers(after=0.5)) as his,
        office.call(STRANGER) as customer,
    ):
        await his.answers()
        await customer.answered()
        await office.talks(boris)
        customer.hang_up()
        await hers.is_free()
    report = await office.report()
    both = sorted([olga, boris])
    assert report.told == [("in", both), ("hangup", both, "answered")]
    assert report.upload.code == boris


async def test_a_second_telephone_is_its_owners(office: Office) -> None:
    office.hire("302")
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as customer,
        dial(office, "99302", talks=0.2) as manager,
    ):
        await manager.ended()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", ["302"]), ("hangup", ["302"], "answered")]
    assert report.upload.code == "302"


async def test_a_transfer_that_a_second_telephone_takes_is_its_owners(office: Office) -> None:
    office.hire("302")
    await let(office, "302", "Dial(PJSIP/302&PJSIP/99302)")
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone("302", Rings()),
        office.phone("99302", Answers(after=0.2)) as twin,
    ):
        await handed_over(office, talk.hers, "302")
        await twin.answers()
        await office.talks("302")
        talk.customer.hang_up()
        await twin.is_free()
    report = await office.report()
    assert report.told == [
        ("in", [talk.olga]),
        ("in", ["302"]),
        ("hangup", sorted([talk.olga, "302"]), "answered"),
    ]
    assert report.upload.code == "302"


async def test_a_mobile_in_a_queue_is_its_owners_and_never_an_extension(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (olga,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, "Local/89035554433@from-queue/n")
    has_a_mobile(office, monkeypatch, olga)
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(STRANGER) as customer,
    ):
        await mobile.answers()
        await customer.answered()
        await office.talks(olga)
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_mobile_that_is_nobodys_has_no_code(office: Office) -> None:
    office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, "Local/89035554433@from-queue/n")
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(STRANGER) as customer,
    ):
        await mobile.answers()
        await customer.answered()
        await office.talks(None)
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told == []
    assert (report.upload.result, report.upload.code) == ("answered", None)


async def test_a_transfer_to_a_ring_group_whose_mobile_answers_has_no_code(office: Office) -> None:
    await let(office, "600", "Dial(Local/89035554433@from-queue/n,20)")
    async with (
        anna_talks_to_olga(office) as talk,
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
    ):
        await handed_over(office, talk.hers, "600")
        await mobile.answers()
        await office.talks(None)
        talk.customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told == [("in", [talk.olga]), ("hangup", [talk.olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", None)


@pytest.mark.parametrize("to", ["600", "89035554433"], ids=["a group", "the mobile itself"])
async def test_a_transfer_to_a_mobile_behind_the_outside_lines_digit_is_its_owners(
    office: Office, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    (boris,) = office.managers(1)
    office.pbx["outside_prefix"] = "9"
    has_a_mobile(office, monkeypatch, boris)
    await let(office, "600", "Dial(Local/989035554433@from-queue/n,20)")
    async with (
        anna_talks_to_olga(office) as talk,
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
    ):
        await handed_over(office, talk.hers, to)
        await mobile.answers()
        await office.talks(boris)
        talk.customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told[-1] == ("hangup", sorted([talk.olga, boris]), "answered")
    assert (report.upload.result, report.upload.code) == ("answered", boris)


@pytest.mark.parametrize("way", ["a queue", "a transfer"])
async def test_a_call_that_a_members_telephone_forwards_outside_is_the_members(
    office: Office, way: str
) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await let(office, "89035554433", "Dial(PJSIP/89035554433@trunk,20)")
    await let(office, "602", "Wait(1)", f"Dial(PJSIP/{olga},20)")
    office.customer(ANNA, "Иванова Анна", manager=boris)
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.phone(olga, Forwards("89035554433")),
        office.phone(boris, Answers(after=0.1)) as his,
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(STRANGER if way == "a queue" else ANNA) as customer,
    ):
        if way == "a transfer":
            await customer.answered()
            await handed_over(office, his, "602")
        await mobile.answers()
        await office.talks(olga)
        await customer.answered()
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    codes = [olga] if way == "a queue" else sorted([olga, boris])
    assert report.told[-1] == ("hangup", codes, "answered")


async def test_follow_me_that_asks_is_answered_when_the_call_is_taken(office: Office) -> None:
    office.managers(1)
    await office.open(unknown="queue:fm-asks,89035554433")
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as mobile,
        office.call(STRANGER) as customer,
    ):
        await mobile.answers()
        await office.talks(None)
        await customer.answered()
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", None)
    assert report.call.waiting > 1


async def test_follow_me_whose_call_is_not_taken_is_no_answer(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"queue:fm-asks,*89035554433;group:{olga}")
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as mobile,
        office.phone(olga, Answers(after=0.1)),
        office.call(STRANGER, talks=0.3) as customer,
    ):
        await mobile.answers()
        await customer.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.call.waiting > 1
