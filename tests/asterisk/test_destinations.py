"""Groups, queues and places in the dialplan: who is rung there, who answered, and what the CRM was told."""

from ari_app.calls import whole_seconds
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Rings
from tests.support.office import Office
from tests.support.pace import at_this_pace

ANNA = "+79161234567"
STRANGER = "+79037654321"


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


async def test_two_who_answer_in_the_same_moment_leave_one_talker(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"group:{olga},{boris}")
    async with (
        office.phone(olga, Rings()) as first,
        office.phone(boris, Rings()) as second,
        office.call(STRANGER, talks=0.6) as caller,
    ):
        await first.rings()
        await second.rings()
        first.answer()
        second.answer()
        await caller.ended()
        await first.is_free()
        await second.is_free()
    report = await office.report()
    assert report.upload.code in (olga, boris)
    assert report.call.talker == report.upload.code


async def test_a_group_in_turn_rings_one_phone_after_the_other(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"group:{olga}>{boris}")
    async with (
        office.phone(olga, Declines(after=0.3)) as first,
        office.phone(boris, Answers(after=0.2)) as second,
        office.call(STRANGER, talks=0.3) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", sorted([olga, boris]), "answered")]
    assert first.calls[0].at < second.calls[0].at
    assert report.upload.code == boris


async def test_a_manager_who_is_rung_again_in_the_group_is_told_once(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(ring_manager_seconds=1, fallback=f"group:{olga},{boris}")
    async with (
        office.phone(olga, Rings()) as phone,
        office.phone(boris, Answers(after=0.3)),
        office.call(ANNA, talks=0.2) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert len(phone.calls) == 2
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", sorted([olga, boris]), "answered")]


async def test_the_member_who_takes_the_call_from_a_queue_that_answers_is_known_exactly(
    office: Office,
) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    for code in (olga, boris):
        await office.lab.asterisk.queue_add(queue, f"PJSIP/{code}")
    office.customer(ANNA, "Иванова Анна")
    await office.open(fallback=f"queue:queues-answering,{queue}")
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
    assert report.upload.duration == whole_seconds(report.call.talking)
    assert 1 <= report.call.talking < 2
    assert report.upload.record_url is not None
    assert caller.answered_after is not None
    assert caller.answered_after > 0.4  # not by the queue
    assert phone.calls[0].name == "Иванова Анна"


async def test_a_queue_behind_local_members_names_their_extension(office: Office) -> None:
    (olga,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"Local/{olga}@plain-dial/n")
    await office.open(unknown=f"queue:queues,{queue}")
    async with office.phone(olga, Answers(after=0.3)), office.call(STRANGER, talks=0.5) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


async def test_a_member_whom_the_queue_rings_in_several_rounds_is_told_once(office: Office) -> None:
    (olga,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:queues,{queue}")
    async with office.phone(olga, Rings()) as phone, office.call(STRANGER) as caller:
        await phone.rings(2)
        phone.answer()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.duration_waiting >= 3


async def test_a_customer_who_gives_up_in_a_queue_is_reported_as_missed(office: Office) -> None:
    (olga,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:queues,{queue}")
    async with office.phone(olga, Rings()) as phone, office.call(STRANGER) as caller:
        await phone.rings()
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]
    assert (report.upload.result, report.upload.code) == ("no answer", olga)


async def test_a_queue_that_nobody_serves_is_passed_over(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"queue:queues,{office.lab.queue('strict')};group:{olga}")
    async with office.phone(olga, Answers(after=0.1)), office.call(STRANGER, talks=0.3) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


async def test_a_queue_context_that_doesnt_exist_is_passed_over(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"queue:no-such-context;group:{olga}")
    async with office.phone(olga, Answers(after=0.1)), office.call(STRANGER, talks=0.3) as caller:
        await caller.ended()
    assert caller.answered_after is not None
    assert caller.answered_after < at_this_pace(2)
    assert (await office.report()).upload.code == olga


async def test_a_call_that_the_dialplan_only_rings_was_not_answered(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback="dialplan:menu,rings,1")
    async with office.phone(olga, Busy()), office.call(ANNA) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "no answered")]
    assert (report.upload.result, report.upload.code, report.upload.duration) == ("no answer", None, 0)


async def test_a_dialplan_that_says_busy_after_us_is_heard_by_the_caller(office: Office) -> None:
    await office.open(unknown="dialplan:menu,busy,1")
    async with office.call(STRANGER) as caller:
        await caller.ended()
    assert caller.status == 486
    assert (await office.report()).upload.result == "no answer"
