"""Transfers into the dialplans that shops have: Follow Me, queues, menus, voicemail, a busy tone.

The dialplans are those of FreePBX and its like, made small: what plain `Dial()` and `Queue()` do with these
calls is expected of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.calls import whole_seconds
from ari_app.calls.call import Call, LegState, Role
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Rings
from tests.asterisk.pbx_files import prepared
from tests.asterisk.shops_dialplans import MENU_BEHIND, RINGS_EXTENSIONS, lab_with, let
from tests.asterisk.test_transfers import ANNA, anna_talks_to_olga, handed_over
from tests.support.office import Office, since_the_answer

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRANGER = "+79037654321"

DIALPLAN = (
    RINGS_EXTENSIONS
    + MENU_BEHIND
    + """
[internal](+)
exten => *97,1,Answer()
 same => n,Read(KEY,,1,,1,20)
 same => n,Log(NOTICE,${EXTEN} heard ${KEY})
 same => n,Wait(20)

; Follow Me: FMPR-304 is the desk phone, FMGL-304 whoever comes after.
[fm]
exten => _FMPR.,1,Dial(PJSIP/${EXTEN:5},20)
exten => _FMGL.,1,Wait(1)
 same => n,Dial(PJSIP/${EXTEN:5},20)
"""
)


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with lab_with(DIALPLAN, installation) as lab:
        yield lab


@pytest.mark.parametrize("who", ["desk phone", "colleague"])
async def test_a_transfer_by_follow_me_is_whoever_answers(office: Office, who: str) -> None:
    boris, vera = office.managers(2)
    await let(office, boris, f"Dial(Local/FMPR-{boris}@fm&Local/FMGL-{vera}@fm,22,tr)")
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Answers(after=0.3) if who == "desk phone" else Rings()) as his,
        office.phone(vera, Answers(after=0.1)) as veras,
    ):
        await handed_over(office, talk.hers, boris)
        await (his if who == "desk phone" else veras).answers()
        await office.talks(boris if who == "desk phone" else vera)
        talk.customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.upload.code == (boris if who == "desk phone" else vera)
    assert {code for told in report.told for code in told[1]} <= {talk.olga, boris, vera}


async def test_a_queue_that_a_customer_leaves_after_a_transfer_was_nobodys(office: Office) -> None:
    (boris,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{boris}")
    await let(office, "600", "Answer()", f"Queue({queue},tT)")
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Rings()) as his,
    ):
        await handed_over(office, talk.hers, "600")
        await his.rings()
        await office.stage("transferring")
        await office.until(
            lambda: any(boris in call.told for call in office.shop.line.calls), "boris is not told"
        )
        talk.customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told == [
        ("in", [talk.olga]),
        ("in", [boris]),
        ("hangup", sorted([talk.olga, boris]), "answered"),
    ]
    assert report.upload.code == talk.olga
    assert report.call.talking < 3


async def test_a_queue_that_rings_nobody_after_a_transfer_was_nobodys(office: Office) -> None:
    await let(office, "600", "Answer()", f"Queue({office.lab.queue()},tT)")
    async with anna_talks_to_olga(office) as talk:
        await handed_over(office, talk.hers, "600")
        await office.stage("transferring")
        await talk.hers.is_free()
        talk.customer.hang_up()
        await talk.customer.ended()
    report = await office.report()
    assert report.told == [("in", [talk.olga]), ("hangup", [talk.olga], "answered")]
    assert report.upload.code == talk.olga
    assert report.call.talking < 3


async def test_whom_a_queue_rings_in_vain_after_a_transfer_is_told_and_the_fallback_is_rung(
    office: Office,
) -> None:
    boris, vera = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{boris}")
    await let(office, "600", "Answer()", f"Queue({queue},tT,,,2)", "Hangup()")
    async with (
        anna_talks_to_olga(office, fallback=f"group:{vera}") as talk,
        office.phone(boris, Rings()),
        office.phone(vera, Answers(after=0.1)) as fallback,
    ):
        await handed_over(office, talk.hers, "600")
        await fallback.answers()
        await office.talks(vera)
        await office.lab.bridged(vera)
        talk.customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert report.told[:-1] == [("in", [talk.olga]), ("in", [boris]), ("in", [vera])]
    assert report.upload.code == vera


@pytest.mark.parametrize("to", ["*97", "600"], ids=["the voicemail service", "behind a Local channel"])
async def test_a_menu_after_a_transfer_is_nobody_and_takes_the_customers_keys(
    office: Office, to: str
) -> None:
    await let(office, "600", "Dial(Local/menu@menu-behind/n,20)")
    async with anna_talks_to_olga(office) as talk:
        before = len(office.lab.asterisk.log())
        await handed_over(office, talk.hers, to)
        await office.stage("transferring")
        await office.until(
            lambda: any(call.legs[-1].does == "speaks" for call in office.shop.line.calls), "no menu"
        )
        await talk.customer.press("7")
        await office.until(lambda: " heard 7" in office.lab.asterisk.log()[before:], "the key isn't heard")
        talk.customer.hang_up()
    report = await office.report()
    assert report.told == [("in", [talk.olga]), ("hangup", [talk.olga], "answered")]
    assert report.upload.code == talk.olga


async def test_a_colleagues_voicemail_after_a_transfer_is_no_talk(office: Office) -> None:
    (boris,) = office.managers(1)
    await let(office, boris, f"Dial(PJSIP/{boris},1)", "Answer()", "Wait(20)")
    async with (
        anna_talks_to_olga(office) as talk,
        office.phone(boris, Rings()) as his,
    ):
        await handed_over(office, talk.hers, boris)
        await his.rings()
        await his.is_free()
        await office.until(
            lambda: any(call.legs and _up_to_dialplan(call) for call in office.shop.line.calls),
            "no voicemail",
        )
        talk.customer.hang_up()
    report = await office.report()
    assert report.upload.code == talk.olga
    assert report.call.talking + 1 < since_the_answer(report.call)


def _up_to_dialplan(call: Call) -> bool:
    return any(leg.role is Role.TARGET and leg.state is LegState.UP for leg in call.legs)


async def test_a_busy_tone_after_a_transfer_brings_the_customer_to_the_fallback(office: Office) -> None:
    boris, vera = office.managers(2)
    await let(office, boris, f"Dial(PJSIP/{boris},20)", "Busy(20)")
    async with (
        anna_talks_to_olga(office, fallback=f"group:{vera}") as talk,
        office.phone(boris, Busy()),
        office.phone(vera, Answers(after=0.1)) as fallback,
    ):
        await handed_over(office, talk.hers, boris)
        await fallback.answers()
        await office.talks(vera)
        talk.customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert report.upload.code == vera
    assert since_the_answer(report.call) < 6


async def test_waiting_after_a_transfer_is_not_talk(office: Office) -> None:
    boris, vera = office.managers(2)
    async with (
        anna_talks_to_olga(office, fallback=f"group:{vera}") as talk,
        office.phone(boris, Declines(after=2)),
        office.phone(vera, Answers(after=1)) as fallback,
    ):
        await handed_over(office, talk.hers, boris)
        await fallback.answers()
        await office.talks(vera)
        talk.customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert report.call.talking + 2.9 < since_the_answer(report.call)
    assert report.upload.duration == whole_seconds(report.call.talking)


@pytest.mark.parametrize("way", ["Local/##@from-queue/n", "Local/##@twice-local/n", "a Local member"])
async def test_a_manager_behind_a_local_channel_hands_the_customer_over(office: Office, way: str) -> None:
    olga, boris = office.managers(2)
    if way == "a Local member":
        queue = office.lab.queue()
        await office.lab.asterisk.queue_add(queue, f"Local/{olga}@from-queue/n")
        await office.open(unknown=f"queue:queues,{queue}")
    else:
        office.customer(ANNA, "Иванова Анна", manager=olga)
        office.pbx["channel_format"] = way
        await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.3)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await his.answers()
        await office.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "answered")
    assert (report.upload.code, report.call.first_talker) == (boris, olga)
