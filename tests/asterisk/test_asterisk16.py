"""The same calls on Asterisk 16, the oldest that we serve, and on the newest: nothing may differ.

Each test has its counterpart on the newest Asterisk elsewhere; here are those that use another part of ARI.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Rings
from tests.asterisk import test_customer_keys as keys
from tests.asterisk.pbx_files import prepared
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
STRANGER = "+79037654321"


@pytest.fixture(scope="module", params=[16, 22])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with Asterisk(installation) as asterisk:
        yield Lab(asterisk)


async def test_a_known_customer_is_shown_by_name_and_recorded(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with office.phone(olga, Answers(after=0.2)) as phone, office.call(ANNA, talks=1.2) as caller:
        await caller.ended()
    report = await office.report()

    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code, report.upload.duration) == ("answered", olga, 1)
    assert (phone.calls[0].name, phone.calls[0].number) == ("Иванова Анна", ANNA)
    name = report.upload.record_url.rsplit("/", 1)[1]
    assert office.service is not None
    wav = office.service.recordings.path_of(name).read_bytes()
    assert 1.0 < (len(wav) - 44) / 16000 < 1.9


async def test_of_a_group_the_first_answer_wins_and_the_others_see_it_was_answered_elsewhere(
    office: Office,
) -> None:
    olga, boris, vera = office.managers(3)
    await office.open(unknown=f"group:{olga},{boris},{vera}")
    async with (
        office.phone(olga, Rings()) as first,
        office.phone(boris, Answers(after=0.4)) as second,
        office.phone(vera, Busy()),
        office.call(STRANGER, talks=0.5) as caller,
    ):
        await caller.ended()
        await first.is_free()
    report = await office.report()

    everyone = sorted([olga, boris, vera])
    assert report.told == [("in", everyone), ("hangup", everyone, "answered")]
    assert report.upload.code == boris
    assert first.calls[0].answered_elsewhere
    assert not second.calls[0].answered_elsewhere


@pytest.mark.parametrize("context", ["queues", "queues-answering"])
async def test_the_member_who_takes_the_call_from_a_queue_is_known_exactly(
    office: Office, context: str
) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    for code in (olga, boris):
        await office.lab.asterisk.queue_add(queue, f"PJSIP/{code}")
    office.customer(ANNA, "Иванова Анна")
    await office.open(fallback=f"queue:{context},{queue}")
    async with (
        office.phone(olga, Rings()) as silent,
        office.phone(boris, Answers(after=0.5)) as phone,
        office.call(ANNA, talks=1.2) as caller,
    ):
        await caller.ended()
        await silent.is_free()
    report = await office.report()

    both = sorted([olga, boris])
    assert report.told == [("in", both), ("hangup", both, "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert report.upload.record_url is not None
    assert phone.calls[0].name == "Иванова Анна"


async def test_a_busy_manager_is_passed_over_at_once(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Busy()),
        office.phone(boris, Answers(after=0.1)),
        office.call(ANNA, talks=0.3) as caller,
    ):
        await caller.ended()
    assert caller.answered_after is not None
    assert caller.answered_after < 2.5
    assert (await office.report()).upload.code == boris


async def test_when_everyone_is_busy_the_caller_hears_busy(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with office.phone(olga, Busy()), office.phone(boris, Busy()), office.call(ANNA) as caller:
        await caller.ended()
    report = await office.report()
    assert caller.status == 486
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "busy")


async def test_a_customer_who_gives_up_while_waiting_is_reported_as_missed(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await phone.rings()
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]


async def test_a_call_that_the_dialplan_answers_is_reported_without_a_manager(office: Office) -> None:
    await office.open(unknown="dialplan:menu,answers,1")
    async with office.call(STRANGER) as caller:
        await caller.ended()
    upload = (await office.report()).upload
    assert caller.status == 200
    assert (upload.result, upload.code, upload.duration) == ("answered", None, 1)


async def test_a_customer_is_handed_over_to_a_colleague_and_the_recording_goes_on(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.3)) as his,
        office.call(ANNA) as customer,
    ):
        await hers.answers()
        await office.recorded()
        await office.lab.bridged(olga)
        assert await hers.transfer(boris) == 200
        await his.answers()
        await office.stage("talking")
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "answered")
    assert (report.upload.code, report.call.first_talker) == (boris, olga)
    assert report.call.recording.seconds == pytest.approx(report.call.talking, abs=0.4)


@pytest.mark.parametrize("way", [keys.in_a_queue, keys.after_a_transfer, keys.called_from_a_telephone])
async def test_no_customer_transfers_or_parks_by_keys(office: Office, way: keys.Scenery) -> None:
    async with keys.listening(office.lab) as heard:
        await keys.presses_in_vain(office, heard, way)
