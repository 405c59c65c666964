"""Several telephones of a manager, none, and those that forward their calls: as shops have them.

Each on Asterisk 16, the oldest that we serve, and on the newest: nothing may differ.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import NOWHERE, UNREACHABLE, Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Forwards, Rings
from tests.asterisk.pbx_files import prepared
from tests.asterisk.test_click_to_call import click
from tests.support.office import Office
from tests.support.pace import at_this_pace

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
STRANGER = "+79037654321"
MOBILE = "89031112233"


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with Asterisk(installation) as asterisk:
        yield Lab(asterisk)


def only(told: list[tuple[object, ...]], *codes: str) -> bool:
    """Tell whether the CRM was told of these people, of each once, and of an answer."""
    rung = [code for event in told if event[0] == "in" for code in event[1]]  # type: ignore[attr-defined]
    return sorted(rung) == sorted(codes) and told[-1] == ("hangup", sorted(codes), "answered")


# -- several telephones -----------------------------------------------------------------------------------


async def test_all_telephones_of_a_manager_ring_and_the_first_answer_wins(office: Office) -> None:
    olga = office.twin()
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Rings(), which=0) as desk,
        office.phone(olga, Answers(after=0.3), which=1) as soft,
        office.call(ANNA, talks=0.5) as caller,
    ):
        await caller.ended()
        await desk.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert desk.calls[0].answered_elsewhere
    assert not soft.calls[0].answered_elsewhere
    assert {desk.calls[0].name, soft.calls[0].name} == {"Иванова Анна"}


@pytest.mark.parametrize("there", [0, 1], ids=["the second is dead", "the first is dead"])
async def test_a_telephone_that_is_dead_harms_nobody(office: Office, there: int) -> None:
    olga, boris = office.twin(), office.managers(1)[0]
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Answers(after=0.3), which=there),
        office.phone(boris, Answers()) as fallback,
        office.call(ANNA, talks=0.5) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga
    assert report.call.waiting < at_this_pace(2)
    assert not fallback.calls


async def test_a_manager_who_declines_at_one_of_two_telephones_may_answer_at_the_other(
    office: Office,
) -> None:
    olga = office.twin()
    await office.open(unknown=f"group:{olga}")
    async with (
        office.phone(olga, Declines(after=0.1), which=0),
        office.phone(olga, Answers(after=0.6), which=1),
        office.call(STRANGER, talks=0.3) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]


async def test_a_group_rings_at_all_telephones_of_its_people(office: Office) -> None:
    olga, boris = office.twin(), office.managers(1)[0]
    await office.open(unknown=f"group:{olga},{boris}")
    async with (
        office.phone(olga, Rings(), which=0) as desk,
        office.phone(olga, Rings(), which=1) as soft,
        office.phone(boris, Answers(after=0.4)),
        office.call(STRANGER, talks=0.4) as caller,
    ):
        await caller.ended()
        await desk.is_free()
        await soft.is_free()
    report = await office.report()
    both = sorted([olga, boris])
    assert report.told == [("in", both), ("hangup", both, "answered")]
    assert report.upload.code == boris
    assert desk.calls[0].answered_elsewhere
    assert soft.calls[0].answered_elsewhere


async def test_nobody_answers_at_any_telephone_and_the_fallback_is_rung(office: Office) -> None:
    olga, boris = office.twin(), office.managers(1)[0]
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(ring_manager_seconds=1, fallback=f"group:{boris}")
    async with (
        office.phone(olga, Rings(), which=0) as desk,
        office.phone(olga, Rings(), which=1) as soft,
        office.phone(boris, Answers(after=0.2)),
        office.call(ANNA, talks=0.3) as caller,
    ):
        await caller.ended()
        await desk.is_free()
        await soft.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", sorted([olga, boris]), "answered")]
    assert report.upload.code == boris


async def test_a_busy_manager_with_a_dead_telephone_is_busy(office: Office) -> None:
    olga = office.twin()
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(ring_manager_seconds=60)
    async with office.phone(olga, Busy(), which=1), office.call(ANNA) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "busy")]
    assert report.call.waiting < 10


@pytest.mark.parametrize("answering", [0, 1])
async def test_a_clicked_call_rings_all_telephones_of_the_manager(office: Office, answering: int) -> None:
    olga = office.twin()
    await office.open()
    async with AsyncExitStack() as stack:
        phones = [
            await stack.enter_async_context(
                office.phone(olga, Answers(after=0.4) if which == answering else Rings(), which=which)
            )
            for which in (0, 1)
        ]
        customer = await stack.enter_async_context(
            office.lab.customer_phone(Answers(after=0.2, hangs_up_after=0.5))
        )
        click(office, olga)
        await customer.is_free()
        for phone in phones:
            await phone.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.code, report.upload.result) == (olga, "answered")
    assert phones[1 - answering].calls[0].answered_elsewhere
    assert len(customer.calls) == 1


async def test_a_clicked_call_that_nobody_takes_ends_at_all_telephones(office: Office) -> None:
    olga = office.twin()
    await office.open(ring_manager_seconds=1)
    async with (
        office.phone(olga, Rings(), which=0) as desk,
        office.phone(olga, Declines(after=0.1), which=1) as soft,
        office.lab.customer_phone(Answers()) as customer,
    ):
        click(office, olga)
        await desk.is_free()
        await soft.is_free()
    report = await office.report()
    assert (report.upload.code, report.upload.result) == (olga, "failed")
    assert not customer.calls


# -- no telephone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [UNREACHABLE, NOWHERE], ids=["not registered", "unknown to the PBX"])
async def test_a_telephone_that_is_registered_nowhere_is_passed_over_and_not_told(
    office: Office, code: str
) -> None:
    office.hire(code)
    (boris,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=code)
    await office.open(fallback=f"group:{boris}")
    async with office.phone(boris, Answers(after=0.2)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert report.upload.code == boris
    assert report.call.waiting < at_this_pace(2)
    assert f"{code} is registered nowhere: passed over" in await office.story(report.call)


async def test_in_a_group_those_who_are_registered_ring(office: Office) -> None:
    office.hire(UNREACHABLE)
    (boris,) = office.managers(1)
    await office.open(unknown=f"group:{UNREACHABLE},{boris}")
    async with office.phone(boris, Answers(after=0.2)), office.call(STRANGER, talks=0.3) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]


async def test_when_nobody_is_registered_nobody_could_be_reached(office: Office) -> None:
    office.hire(UNREACHABLE)
    office.customer(ANNA, "Иванова Анна", manager=UNREACHABLE)
    await office.open()
    async with office.call(ANNA) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == []
    assert (report.upload.result, report.upload.code) == ("failed", UNREACHABLE)


# -- telephones that forward their calls ------------------------------------------------------------------


async def test_a_call_is_forwarded_to_a_colleague_who_is_told_and_credited(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Forwards(boris)),
        office.phone(boris, Answers(after=0.3)) as phone,
        office.call(ANNA, talks=0.5) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert only(report.told, olga, boris)
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert phone.calls[0].name == "Иванова Анна"
    assert f"{olga} forwards its calls to {boris}" in await office.story(report.call)


async def test_a_call_is_forwarded_outside_by_the_line_and_credited_to_whose_phone_it_is(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Forwards(MOBILE)),
        office.lab.customer_phone(Answers(after=0.4)) as mobile,
        office.call(ANNA, talks=0.6) as caller,
    ):
        await caller.ended()
        await mobile.is_free()
    report = await office.report()
    assert [call.to for call in mobile.calls] == [MOBILE]
    assert only(report.told, olga)
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url is not None
    assert caller.answered_after is not None
    assert caller.answered_after > 0.3


@pytest.mark.parametrize("outside", [False, True], ids=["to a colleague", "outside"])
async def test_in_a_group_a_forwarded_telephone_is_followed_while_the_others_ring(
    office: Office, outside: bool
) -> None:
    olga, boris, vera = office.managers(3)
    await office.open(unknown=f"group:{olga},{boris}")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(office.phone(olga, Forwards(MOBILE if outside else vera)))
        other = await stack.enter_async_context(office.phone(boris, Rings()))
        behaviour = Answers(after=0.4)
        target = office.lab.customer_phone(behaviour) if outside else office.phone(vera, behaviour)
        answering = await stack.enter_async_context(target)
        caller = await stack.enter_async_context(office.call(STRANGER, talks=0.4))
        await caller.ended()
        await other.is_free()
        await answering.is_free()
    report = await office.report()
    told = (olga, boris) if outside else (olga, boris, vera)
    assert only(report.told, *told)
    assert report.upload.code == (olga if outside else vera)
    assert other.calls[0].answered_elsewhere


@pytest.mark.parametrize("length", [2, 6], ids=["a circle", "a sixth forward"])
async def test_a_forwarding_that_leads_nowhere_ends_there_and_the_fallback_is_rung(
    office: Office, length: int
) -> None:
    *people, vera = office.managers(length + 2)
    office.customer(ANNA, "Иванова Анна", manager=people[0])
    await office.open(fallback=f"group:{vera}")
    circle = [*people[:length], people[0]] if length == 2 else people
    async with AsyncExitStack() as stack:
        for code, target in itertools.pairwise(circle):
            await stack.enter_async_context(office.phone(code, Forwards(target)))
        if length != 2:
            last = await stack.enter_async_context(office.phone(people[-1], Answers()))
        await stack.enter_async_context(office.phone(vera, Answers(after=0.2)))
        caller = await stack.enter_async_context(office.call(ANNA, talks=0.3))
        await caller.ended()
    report = await office.report()
    assert report.upload.code == vera
    assert report.call.waiting < at_this_pace(5)
    if length != 2:
        assert not last.calls
        assert report.told[-1] == ("hangup", sorted([*people[:6], vera]), "answered"), await office.story(
            report.call
        )


async def test_five_forwards_are_followed(office: Office) -> None:
    people = office.managers(6)
    office.customer(ANNA, "Иванова Анна", manager=people[0])
    await office.open()
    async with AsyncExitStack() as stack:
        for code, target in itertools.pairwise(people):
            await stack.enter_async_context(office.phone(code, Forwards(target)))
        await stack.enter_async_context(office.phone(people[-1], Answers(after=0.1)))
        caller = await stack.enter_async_context(office.call(ANNA, talks=0.3))
        await caller.ended()
    report = await office.report()
    assert only(report.told, *people)
    assert report.upload.code == people[-1]


async def test_the_ring_seconds_count_from_the_first_telephone(office: Office) -> None:
    olga, boris, vera = office.managers(3)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(ring_manager_seconds=1, fallback=f"group:{vera}")
    async with (
        office.phone(olga, Forwards(boris)),
        office.phone(boris, Rings()) as silent,
        office.phone(vera, Answers(after=0.1)),
        office.call(ANNA, talks=0.3) as caller,
    ):
        await caller.ended()
        await silent.is_free()
    report = await office.report()
    assert report.upload.code == vera
    assert report.call.waiting < 1 + at_this_pace(2)


async def test_a_colleague_to_whom_it_is_forwarded_is_rung_at_all_telephones(office: Office) -> None:
    olga, boris = office.managers(1)[0], office.twin()
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Forwards(boris)),
        office.phone(boris, Rings(), which=0) as desk,
        office.phone(boris, Answers(after=0.3), which=1),
        office.call(ANNA, talks=0.3) as caller,
    ):
        await caller.ended()
        await desk.is_free()
    report = await office.report()
    assert only(report.told, olga, boris)
    assert desk.calls[0].answered_elsewhere


async def test_a_clicked_call_is_forwarded_to_a_colleague_who_makes_it(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open()
    async with (
        office.phone(olga, Forwards(boris)),
        office.phone(boris, Answers(after=0.2)) as phone,
        office.lab.customer_phone(Answers(after=0.2, hangs_up_after=0.5)) as customer,
    ):
        click(office, olga)
        await customer.is_free()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("out", [boris]), ("hangup", [boris], "answered")]
    assert (report.upload.code, report.upload.result) == (boris, "answered")


async def test_a_clicked_call_is_forwarded_outside_and_made_from_there(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    async with office.phone(olga, Forwards(MOBILE)), office.lab.customer_phone(Answers(after=0.3)) as outside:
        click(office, olga)
        first = await outside.rings(1)
        second = await outside.rings(2)
        await outside.until(lambda: len(outside.talking) == 2)
        await office.recorded()
        outside.hang_up()
        await outside.is_free()
    report = await office.report()
    assert (first.to, second.to) == (MOBILE, ANNA)
    assert second.at - first.at > 0.25  # the customer is rung when the manager is there
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.code, report.upload.result) == (olga, "answered")


async def test_a_clicked_call_whose_forwarding_leads_in_a_circle_ends(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open()
    async with (
        office.phone(olga, Forwards(boris)),
        office.phone(boris, Forwards(olga)),
        office.lab.customer_phone(Answers()) as customer,
    ):
        click(office, olga)
        report = await office.report()
    assert (report.upload.code, report.upload.result) == (olga, "failed")
    assert not customer.calls
