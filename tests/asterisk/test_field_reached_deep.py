"""Managers and customers reached behind one Local channel more, by other queues, lines, forwards and names.

What plain `Dial()` and `Queue()` do with these calls is expected of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Forwards, Rings
from tests.asterisk.pbx_files import prepared
from tests.asterisk.shops_dialplans import BEHIND_THREE, lab_with, let
from tests.asterisk.test_outgoing import dial
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA, STRANGER = "+79161234567", "+79037654321"
TWIN = "99302"
"""A second telephone of extension 302."""

DIALPLAN = (
    BEHIND_THREE
    + """
; A telephone with voicemail; a mobile.
[with-voicemail]
exten => _XXX,1,Dial(PJSIP/${EXTEN},1)
 same => n,Answer()
 same => n,Wait(20)
[behind-voicemail]
exten => _XXX,1,Dial(Local/${EXTEN}@with-voicemail,20)
[mobiles]
exten => _X.,1,Dial(PJSIP/${EXTEN}@trunk,20)
[mobiles-plus]
exten => _+X.,1,Dial(PJSIP/${EXTEN}@trunk,20)
; Rings one after the other.
[in-turn]
exten => _XXXXXX,1,Dial(PJSIP/${EXTEN:0:3},1)
 same => n,Dial(PJSIP/${EXTEN:3:3},20)
; Lines: a menu before the number, a first line that is not there, early sound, a third line.
[beeps]
exten => _X.,1,Progress()
 same => n,Playback(silence/1,noanswer)
 same => n,Answer()
 same => n,Dial(PJSIP/${EXTEN}@trunk,20)
[third-line]
exten => _X.,1,Dial(PJSIP/499,20)
 same => n,Dial(PJSIP/498,20)
 same => n,Dial(Local/${EXTEN}@third-line-at-last,20)
[third-line-at-last]
exten => _X.,1,Dial(PJSIP/${EXTEN}@trunk,20)
[congested]
exten => _X.,1,Dial(PJSIP/${EXTEN}@trunk,20)
 same => n,Playtones(congestion)
 same => n,Congestion(20)
"""
)


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with lab_with(DIALPLAN, installation, [TWIN]) as lab:
        yield lab


async def test_a_queue_of_penalties_rings_the_second_after_the_first(office: Office) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.command(f"queue add member Local/{olga}@deep to {queue} penalty 1")
    await office.lab.asterisk.command(f"queue add member Local/{boris}@deep/n to {queue} penalty 5")
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.phone(olga, Busy()),
        office.phone(boris, Answers(after=0.2)) as his,
        office.call(STRANGER) as customer,
    ):
        await his.answers()
        await office.talks(boris)
        await customer.answered()
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told[-1][0] == "hangup"
    assert (report.upload.result, report.upload.code) == ("answered", boris)


async def test_a_group_in_the_dialplan_that_rings_in_turn_is_the_second(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"queue:in-turn,{olga}{boris}")
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Answers(after=0.2)) as his,
        office.call(STRANGER) as customer,
    ):
        await his.answers()
        await office.talks(boris)
        await customer.answered()
        customer.hang_up()
        await hers.is_free()
    report = await office.report()
    assert report.told == [
        ("in", [olga]),
        ("in", [boris]),
        ("hangup", sorted([olga, boris]), "answered"),
    ]
    assert report.upload.code == boris


async def test_a_manager_behind_three_local_channels_declines_and_the_fallback_rings(
    office: Office,
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.pbx["channel_format"] = "Local/##@deep"
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Declines(after=0.2)),
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
    assert report.call.waiting < 5


async def test_a_telephone_behind_a_local_channel_that_forwards_to_a_colleague_is_followed(
    office: Office,
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.pbx["channel_format"] = "Local/##@deep/n"
    await let(office, boris, f"Dial(PJSIP/{boris},20)")
    await office.open()
    async with (
        office.phone(olga, Forwards(boris)),
        office.phone(boris, Answers(after=0.2)) as his,
        office.call(ANNA) as customer,
    ):
        await his.answers()
        await office.talks(boris)
        await customer.answered()
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", boris)


@pytest.mark.parametrize(
    ("line", "result"), [("beeps", "busy"), ("congested", "busy"), ("third-line", "busy")]
)
async def test_a_busy_customer_is_busy_however_the_line_says_it(
    office: Office, line: str, result: str
) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = f"{line},1"
    await office.open()
    async with office.lab.customer_phone(Busy()), dial(office, olga) as manager:
        await manager.ended(timeout=8)
    report = await office.report()
    assert (report.upload.result, report.upload.code) == (result, olga)
    assert report.upload.record_url is None


async def test_a_third_line_rings_the_customer_after_two_that_are_not_there(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "third-line,1"
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.3)) as customer,
        dial(office, olga, talks=0.3) as manager,
    ):
        await manager.ended()
    report = await office.report()
    assert len(customer.calls) == 1
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]


@pytest.mark.parametrize(
    "name", ["\udcc8\udce2\udce0\udced\udcee\udce2", "Анна\udcd0", "Ann\udced\udce0 \U0001f600", "D’Arc|;,&"]
)
async def test_a_callers_own_name_in_no_encoding_leaves_the_call_its_sound(office: Office, name: str) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    async with office.phone(olga, Answers(after=0.2)), office.call(STRANGER, name=name, talks=1.2) as caller:
        await caller.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.phone) == ("answered", STRANGER)
    assert office.service is not None
    stored = office.service.recordings.path_of(report.upload.record_url.rsplit("/", 1)[1])
    assert stored.stat().st_size > 16000


@pytest.mark.parametrize("member", ["Local/89035554433@mobiles", "Local/+79035554433@mobiles-plus/n"])
async def test_a_mobile_in_a_queue_is_no_extension_however_it_is_reached(office: Office, member: str) -> None:
    office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, member)
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


async def test_a_second_telephone_in_a_queue_is_its_owners(office: Office) -> None:
    office.hire("302")
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{TWIN}")
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.phone(TWIN, Answers(after=0.3)) as twin,
        office.call(STRANGER) as customer,
    ):
        await twin.answers()
        await office.talks("302")
        await customer.answered()
        customer.hang_up()
        await twin.is_free()
    report = await office.report()
    assert report.told == [("in", ["302"]), ("hangup", ["302"], "answered")]
    assert report.upload.code == "302"


@pytest.mark.parametrize("way", ["Local/##@with-voicemail", "Local/##@behind-voicemail/n"])
async def test_a_managers_voicemail_is_no_answer_behind_any_local_channel(office: Office, way: str) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.pbx["channel_format"] = way
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Rings()),
        office.phone(boris, Answers(after=0.2)) as his,
        office.call(ANNA) as customer,
    ):
        await his.answers()
        await customer.answered()
        await office.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "answered")
    assert report.upload.code == boris


@pytest.mark.parametrize("to", ["+79035554433", "989035554433"])
async def test_a_telephone_forwards_outside_as_its_owner_has_typed_it(office: Office, to: str) -> None:
    (olga,) = office.managers(1)
    if to.startswith("9"):
        office.pbx["outside_prefix"] = "9"
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Forwards(to)),
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(ANNA) as customer,
    ):
        await mobile.answers()
        await office.talks(olga)
        await customer.answered()
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert [call.to for call in mobile.calls] == [to]
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga
