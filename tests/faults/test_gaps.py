"""What is known of calls after we were deaf, or stood still: as it was, or honestly that nobody can know.

The telephones say what was; the CRM is told the same.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from ari_app.calls.call import Call
from ari_app.demo.pbx.phones import Answers, Rings
from tests.asterisk.test_transfers import handed_over
from tests.faults.served import ServedOffice
from tests.faults.wire import Fault, Wire
from tests.support.office import Office
from tests.support.pace import at_this_pace

ANNA = "+79161234567"
STRANGER = "+79037654321"


async def pass_by(served: ServedOffice, since: float, seconds: float) -> None:
    """Wait until so many seconds have passed since a moment of `time.monotonic`."""
    await served.until(lambda: time.monotonic() - since > seconds, "time stands still")


# -- the service stands still ------------------------------------------------------------------------------


async def test_a_caller_who_comes_while_we_stand_still_has_waited_since_they_called(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)) as phone:
        await served.pause()
        came = time.monotonic()
        async with served.call(ANNA) as caller:
            await pass_by(served, came, 4)
            await served.go_on()
            await caller.answered()
            await served.stage("talking")
            caller.hang_up()
            await caller.ended()
    report = await served.report()
    assert caller.answered_after is not None
    assert report.call.name is not None, "there was no time to ask who calls"
    assert abs(report.call.waiting - caller.answered_after) < at_this_pace(1)
    assert phone.calls


async def test_a_talk_that_ends_while_we_stand_still_is_as_long_as_it_was(served: ServedOffice) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(record=False)
    async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
        await caller.answered()
        await served.stage("talking")
        await served.pause()
        stood_still = time.monotonic()
        caller.hang_up()
        phone.hang_up()
        await asyncio.gather(caller.ended(), phone.is_free())
        await pass_by(served, stood_still, 4)
        await served.go_on()
        report = await served.report()
    assert caller.answered_after is not None
    assert caller.ended_after is not None
    assert abs(report.call.talking - (caller.ended_after - caller.answered_after)) < at_this_pace(1)
    assert not report.call.end_unseen


async def test_a_deadline_that_passes_while_we_stand_still_ends_no_ringing_that_was_answered(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(ring_manager_seconds=2, fallback=f"group:{boris}")
    async with (
        served.phone(olga, Rings()) as phone,
        served.phone(boris, Answers(after=0.1)) as other,
        served.call(ANNA) as caller,
    ):
        rang = await phone.rings()
        await served.stage("ringing")
        await served.pause()
        phone.answer()
        await phone.answers()
        await pass_by(served, rang.at, 4)
        await served.go_on()
        await caller.answered()
        assert (await served.stage("talking")).talker == olga
        caller.hang_up()
        await caller.ended()
    report = await served.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert other.calls == []


async def test_a_caller_found_after_a_restart_has_waited_since_they_called(served: ServedOffice) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)):
        await served.pause()
        came = time.monotonic()
        async with served.call(ANNA) as caller:
            await pass_by(served, came, 3)
            await served.kill()
            await served.start()
            await caller.answered()
            await served.stage("talking")
            caller.hang_up()
            await caller.ended()
    report = await served.report()
    assert caller.answered_after is not None
    assert abs(report.call.waiting - caller.answered_after) < at_this_pace(1)
    assert report.upload.code == olga


# -- the service is dead for a while -----------------------------------------------------------------------


async def test_a_call_that_was_answered_and_ended_while_we_were_dead_is_told_as_unknown(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(fallback=f"group:{boris}")
    async with (
        served.phone(olga, Rings()) as phone,
        served.phone(boris, Rings()) as other,
        served.call(ANNA) as caller,
    ):
        await phone.rings()
        await served.stage("ringing")
        await served.kill()
        phone.answer()
        await caller.answered()
        caller.hang_up()
        phone.hang_up()
        await asyncio.gather(caller.ended(), phone.is_free())
        await served.start()
        report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "failed")]
    assert report.upload.result == "unknown"
    assert (report.upload.code, report.upload.duration, report.upload.duration_waiting) == (None, None, None)
    assert other.calls == []
    assert any("can't be known" in sentence for sentence in await served.story(report.call))


async def test_a_caller_sent_on_at_a_planned_restart_who_was_answered_meanwhile_is_told_as_unknown(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    queue = served.lab.queue()
    await served.lab.asterisk.queue_add(queue, f"PJSIP/{boris}")
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(fallback=f"queue:{queue}")
    async with (
        served.phone(olga, Rings()) as silent,
        served.phone(boris, Answers(after=0.1)),
        served.call(ANNA) as caller,
    ):
        await silent.rings()
        await served.stage("ringing")
        await served.terminate()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        await served.start()
        report = await served.report()
    assert report.told[-1] == ("hangup", [olga], "failed")
    assert (report.upload.result, report.upload.code, report.upload.duration) == ("unknown", None, None)


async def test_an_answer_while_we_were_dead_is_dated_by_the_pbx(served: ServedOffice) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Rings()) as phone, served.call(ANNA) as caller:
        await phone.rings()
        await served.stage("ringing")
        await served.kill()
        phone.answer()
        since = (await phone.answers()).answered_at
        assert since is not None
        await caller.answered()
        await pass_by(served, since, 3)
        await served.start()
        assert (await served.stage("talking")).talker == olga
        caller.hang_up()
        await caller.ended()
    report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert caller.answered_after is not None
    assert caller.ended_after is not None
    assert abs(report.call.waiting - caller.answered_after) < at_this_pace(1)
    assert abs(report.call.talking - (caller.ended_after - caller.answered_after)) < at_this_pace(1)


async def test_a_caller_who_talked_and_is_left_alone_while_we_were_dead_is_rung_no_group(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(fallback=f"group:{boris}")
    async with (
        served.phone(olga, Rings()) as phone,
        served.phone(boris, Rings()) as other,
        served.call(ANNA) as caller,
    ):
        await phone.rings()
        await served.stage("ringing")
        await served.kill()
        phone.answer()
        since = (await phone.answers()).answered_at
        assert since is not None
        await pass_by(served, since, 1)
        phone.hang_up()
        await phone.is_free()
        talked = time.monotonic() - since
        await pass_by(served, since, 4)
        await served.start()
        back = time.monotonic()
        await caller.ended()
        assert time.monotonic() - back < at_this_pace(1)
        report = await served.report()
    assert other.calls == []
    assert caller.ended_by == "other side"
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert caller.answered_after is not None
    assert abs(report.call.waiting - caller.answered_after) < at_this_pace(1)
    assert abs(report.call.talking - talked) < at_this_pace(1)


async def test_a_manager_left_alone_while_we_were_dead_has_talked(served: ServedOffice) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Rings()) as phone, served.call(ANNA) as caller:
        await phone.rings()
        await served.stage("ringing")
        await served.kill()
        phone.answer()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        assert phone.talking
        await served.start()
        await phone.is_free()
    report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert caller.answered_after is not None
    assert abs(report.call.waiting - caller.answered_after) < at_this_pace(1)


async def test_a_talk_that_one_of_two_leaves_while_we_were_dead_is_as_long_as_it_was(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
        await caller.answered()
        await served.recorded()
        await served.kill()
        since = (await phone.answers()).answered_at
        assert since is not None
        await pass_by(served, since, 2)
        phone.hang_up()
        await phone.is_free()
        talked = time.monotonic() - since
        await pass_by(served, since, 5)
        assert not caller.over
        await served.start()
        await caller.ended()
    report = await served.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url
    assert abs(report.call.talking - talked) < at_this_pace(1)


async def test_a_talk_that_the_customer_leaves_while_we_were_dead_ended_when_it_was_last_known(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
        await caller.answered()
        await served.recorded()
        await served.kill()
        killed = time.time()
        caller.hang_up()
        await caller.ended()
        await pass_by(served, time.monotonic(), 3)
        assert phone.talking
        await served.start()
        await phone.is_free()
    report = await served.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.call.ended_at is not None
    assert killed - at_this_pace(1.5) < report.call.ended_at <= killed


async def test_a_recording_that_was_not_fetched_before_we_were_dead_for_long_is_told_all_the_same(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    async with Wire(served.lab.asterisk.http_port) as wire:
        served.pbx_port = wire.port
        await served.open()
        wire.spoil(r"GET .*/recordings/stored/.*/file", Fault.LOST, then=wire.fall_silent)
        async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
            await caller.answered()
            await served.recorded()
            caller.hang_up()
            await caller.ended()
            await phone.is_free()
            await served.until(lambda: wire.hits == 1, "the recording was not asked for")
            ended_at = (await served.stage("ending")).ended_at
            await served.kill()
            assert ended_at is not None
            await served.until(lambda: time.time() > ended_at + 9, "time stands still")
            await wire.mend()
            await served.start()
            report = await served.report()
        await served.is_clean()
        await served.stop()
    assert report.upload.record_url
    assert wire.hits == 1


# -- a transfer meanwhile ----------------------------------------------------------------------------------


async def test_a_transfer_that_was_answered_while_the_wire_was_cut_names_who_took_it(
    office: Office, wire: Wire
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Rings()) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await his.rings()
        await office.stage("transferring")
        wire.refuse()
        his.answer()
        await his.answers()
        customer.hang_up()
        await customer.ended()
        await wire.mend()
        await his.is_free()
        report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert report.call.first_talker == olga


# -- the clock is set --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [3600.0, -3600.0], ids=["forward", "back"])
async def test_a_clock_that_is_set_ends_no_ringing_and_changes_no_duration(office: Office, by: float) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(ring_manager_seconds=20, fallback=f"group:{boris}")
    async with (
        office.phone(olga, Rings()) as phone,
        office.phone(boris, Rings()) as other,
        office.call(ANNA) as caller,
    ):
        await phone.rings()
        before = await office.stage("ringing")
        office.clock_set_by = by
        assert abs(office.shop.now - time.time() - by) < 1  # whoever asks for the time first, notices

        async def moved() -> Call | None:
            call = await office.live()
            return call if call.started_at != before.started_at else None

        call = await office.eventually(moved, "nobody has noticed that the clock was set")
        assert abs(call.started_at - before.started_at - by) < at_this_pace(1)
        assert call.stage is before.stage
        phone.answer()
        await caller.answered()
        await office.stage("talking")
        office.clock_set_by = 0.0
        caller.hang_up()
        await caller.ended()
        report = await office.report()
    assert other.calls == []
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert caller.answered_after is not None
    assert caller.ended_after is not None
    assert abs(report.call.waiting - caller.answered_after) < at_this_pace(1)
    assert abs(report.call.talking - (caller.ended_after - caller.answered_after)) < at_this_pace(1)
    assert abs(report.call.started_at - before.started_at) < at_this_pace(1)
    assert any("the clock was set" in sentence for sentence in await office.story(report.call))
