"""The service is killed or told to stop in mid-call: people don't notice, and the CRM hears of it."""

import asyncio
import time

from ari_app.calls.orders import TellHangup, TellResult
from ari_app.demo.crm.simulator import Status
from ari_app.demo.pbx.phones import Answers, Fate, Rings
from tests.faults.served import ServedOffice
from tests.support.pace import at_this_pace

ANNA = "+79161234567"
STRANGER = "+79037654321"
TAKEN_AGAIN_SECONDS = 2.0
WITHOUT_US = "cause=31"
"""How the lab's dialplan ends the calls that it serves without us."""


# -- kill -9 ----------------------------------------------------------------------------------------------


async def test_two_people_go_on_talking_when_the_service_is_killed(served: ServedOffice) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
        await served.recorded()
        await served.kill()
        took, command = await asyncio.gather(served.start_timed(), served.time_command("calls", "list"))
        assert took < TAKEN_AGAIN_SECONDS * max(
            1.0, command
        )  # which takes about a second, and starts beside it
        assert phone.talking
        assert not caller.over
        caller.hang_up()
        await caller.ended()
    report = await served.report()

    assert caller.answered_after is not None
    assert caller.ended_after is not None
    talked = caller.ended_after - caller.answered_after
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert abs(report.call.talking - talked) < at_this_pace(0.5)
    assert report.upload.record_url
    assert report.call.recording.seconds is not None
    assert abs(report.call.recording.seconds - talked) < at_this_pace(0.7)


async def test_a_customer_in_a_parking_lot_is_followed_when_the_service_is_killed(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
        await served.stage("talking")
        await served.lab.bridged(olga)
        assert await phone.transfer("700") == 200
        await phone.is_free()
        await served.stage("transferring")
        await served.kill()
        await served.start()
        async with served.lab.dial(boris, "701", app=served.app) as his:
            await his.answered()
            await served.stage("talking")
            assert not caller.over
            caller.hang_up()
            await his.ended()
    report = await served.report()
    assert report.told[-1] == ("hangup", sorted((olga, boris)), "answered")
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert report.call.ended_at is not None
    assert report.call.answered_at is not None
    lasted = report.call.ended_at - report.call.answered_at
    assert report.call.talking < lasted - 2
    assert report.call.recording.seconds is not None
    assert abs(report.call.recording.seconds - lasted) < at_this_pace(0.7)


async def test_a_phone_that_rings_rings_on_and_can_be_answered_after_the_restart(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Rings()) as phone, served.call(ANNA) as caller:
        await phone.rings()
        await served.stage("ringing")
        await served.kill()
        await served.start()
        assert phone.ringing
        phone.answer()
        await caller.answered()
        await served.stage("talking")
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
        assert len(phone.calls) == 1
    report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_manager_who_answers_while_the_service_is_dead_talks_to_the_caller_at_once(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Rings()) as phone, served.call(ANNA) as caller:
        await phone.rings()
        await served.stage("ringing")
        await served.kill()
        phone.answer()
        await caller.answered()
        await served.start()
        assert (await served.stage("talking")).talker == olga
        assert phone.talking
        caller.hang_up()
        await caller.ended()
    report = await served.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]


async def test_one_of_a_group_who_answers_while_the_service_is_dead_is_joined_at_its_start(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    await served.open(unknown=f"group:{olga},{boris}")
    async with (
        served.phone(olga, Rings()) as phone,
        served.phone(boris, Rings()) as other,
        served.call(STRANGER) as caller,
    ):
        await phone.rings()
        await other.rings()
        await served.stage("ringing")
        await served.kill()
        phone.answer()
        await phone.answers()
        assert caller.status is None
        await served.start()
        await caller.answered()
        await other.is_free()
        assert other.calls[0].answered_elsewhere
        caller.hang_up()
        await caller.ended()
    report = await served.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.told == [("in", sorted([olga, boris])), ("hangup", sorted([olga, boris]), "answered")]


async def test_the_deadline_of_a_ringing_phone_outlives_the_service(served: ServedOffice) -> None:
    olga, boris = served.managers(2)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(ring_manager_seconds=15, fallback=f"group:{boris}")
    async with (
        served.phone(olga, Rings()) as silent,
        served.phone(boris, Answers(after=0.1)) as phone,
        served.call(ANNA) as caller,
    ):
        rang = await silent.rings()
        before = await served.stage("ringing")
        await served.kill()
        await served.start()
        assert (await served.stage("ringing")).timers == before.timers
        helped = await phone.rings()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        await silent.is_free()
    report = await served.report()
    assert helped.at - rang.at > 14.7
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", sorted([olga, boris]), "answered")]
    assert report.upload.code == boris


async def test_a_deadline_that_passed_while_the_service_was_dead_is_kept_at_its_start(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(ring_manager_seconds=2, fallback=f"group:{boris}")
    async with (
        served.phone(olga, Rings()) as silent,
        served.phone(boris, Answers(after=0.1)),
        served.call(ANNA) as caller,
    ):
        await silent.rings()
        timer = (await served.stage("ringing")).next_timer
        await served.kill()
        assert timer is not None
        await served.until(lambda: time.time() > timer.due, "the deadline did not come")
        assert silent.ringing
        began = time.monotonic()
        await served.start()
        await caller.answered()
        assert time.monotonic() - began < at_this_pace(TAKEN_AGAIN_SECONDS + 2)
        caller.hang_up()
        await caller.ended()
        await silent.is_free()
    report = await served.report()
    assert (report.upload.result, report.upload.code) == ("answered", boris)


async def test_a_talk_that_ends_while_the_service_is_dead_is_dated_by_its_recording(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
        await served.recorded()
        await served.kill()
        since = (await phone.answers()).at
        await served.until(lambda: time.monotonic() - since > 2.5, "they don't talk")
        caller.hang_up()
        phone.hang_up()
        await caller.ended()
        await phone.is_free()
        talked = time.monotonic() - since
        await served.start()
    report = await served.report()
    assert report.call.end_unseen
    assert abs(report.call.talking - talked) < at_this_pace(0.6)
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url


async def test_without_a_recording_an_unseen_end_is_dated_by_the_last_moment_known_up(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(record=False)
    async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
        call = await served.stage("talking")
        assert call.answered_at is not None
        answered_at = call.answered_at

        async def seen_while_they_talked() -> float | None:
            seen = await served.calls.last_seen()
            return seen[0] if seen is not None and seen[0] > answered_at else None

        await served.eventually(seen_while_they_talked, "nothing was noted")
        await served.kill()
        seen = await served.calls.last_seen()
        assert seen is not None
        caller.hang_up()
        phone.hang_up()
        await caller.ended()
        await phone.is_free()
        await served.start()
    report = await served.report()
    assert report.call.ended_at == seen[0]
    assert (report.upload.result, report.upload.record_url) == ("answered", None)


async def test_a_caller_who_gave_up_while_the_service_was_dead_is_reported_as_missed(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Rings()) as phone, served.call(ANNA) as caller:
        await phone.rings()
        await served.stage("ringing")
        await served.kill()
        caller.hang_up()
        await caller.ended()
        assert phone.ringing
        await served.start()
        await phone.is_free()
    report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]
    assert (report.upload.result, report.upload.code) == ("no answer", olga)


async def test_a_customer_who_calls_while_the_service_is_dead_is_served_by_the_dialplan(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    await served.open(unknown=f"group:{olga}")
    await served.kill()
    async with served.call(STRANGER) as caller:
        await caller.ended()
    assert caller.status == 200
    assert WITHOUT_US in caller.reason
    await served.start()
    async with served.phone(olga, Answers(after=0.1)), served.call(STRANGER, talks=0.3) as caller:
        await caller.ended()
    assert (await served.report()).upload.code == olga


async def test_what_the_crm_was_not_told_before_the_kill_is_told_after_the_start(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)), served.call(ANNA) as caller:
        await served.stage("talking")
        await served.crm_account.wait_for_event("in")
        served.crm_account.fault(Status(503))
        caller.hang_up()
        await caller.ended()

        async def end_is_kept() -> bool | None:
            kept = [type(entry.tell) for entry in await served.calls.outbox.read()]
            return kept == [TellHangup, TellResult] or None

        await served.eventually(end_is_kept, "the end was not written down")
        await served.kill()
        served.crm_account.heal()
        await served.start()
    report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]


# -- SIGTERM ----------------------------------------------------------------------------------------------


async def test_a_service_told_to_stop_ends_with_its_redis_and_takes_no_new_calls(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    await served.open(unknown=f"group:{olga}")
    seconds = await served.terminate()
    assert seconds < at_this_pace(10)
    async with served.call(STRANGER) as caller:
        await caller.ended()
    assert (caller.status, caller.ended_by) == (200, "other side")
    assert WITHOUT_US in caller.reason
    assert served.crm_account.look_ups == []


async def test_who_talks_goes_on_talking_when_the_service_stops_and_is_found_by_the_next(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    async with served.phone(olga, Answers(after=0.1)) as phone, served.call(ANNA) as caller:
        await served.stage("talking")
        assert await served.terminate() < at_this_pace(10)
        assert phone.talking
        assert not caller.over
        await served.start()
        assert (await served.stage("talking")).talker == olga
        caller.hang_up()
        await caller.ended()
    report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.record_url
    assert served.crm_account.repeats == []


async def test_a_caller_who_waits_is_sent_on_to_the_queue_when_the_service_stops(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    queue = served.lab.queue()
    await served.lab.asterisk.queue_add(queue, f"PJSIP/{boris}")
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(fallback=f"queue:{queue}")
    async with (
        served.phone(olga, Rings()) as silent,
        served.phone(boris, Answers(after=0.1)) as phone,
        served.call(ANNA) as caller,
    ):
        await silent.rings()
        await served.stage("ringing")
        assert await served.terminate() < at_this_pace(10)
        await silent.is_free()
        await caller.answered()
        assert phone.talking
        await served.start()
        assert (await served.stage("dialplan")).handed_on
        await served.until(lambda: len(served.crm_account.events) == 2, "the CRM does not hear who talks")
        caller.hang_up()
        await caller.ended()
    report = await served.report()
    both = sorted([olga, boris])
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", both, "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert silent.calls[0].fate is Fate.CANCELLED


async def test_a_caller_sent_on_who_is_gone_before_the_next_start_is_reported_by_it(
    served: ServedOffice,
) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(fallback="dialplan:menu,answers,1")
    async with served.phone(olga, Rings()) as phone, served.call(ANNA) as caller:
        await phone.rings()
        await served.stage("ringing")
        await served.terminate()
        await caller.ended()
        assert caller.status == 200
        await served.start()
    report = await served.report()
    assert report.told[0] == ("in", [olga])
    assert len(report.told) == 2


async def test_a_caller_with_nowhere_to_go_waits_on_and_is_found_by_the_next_start(
    served: ServedOffice,
) -> None:
    olga, boris = served.managers(2)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open(fallback=f"group:{boris}")
    async with served.phone(olga, Rings()) as phone, served.call(ANNA) as caller:
        await phone.rings()
        await served.stage("ringing")
        assert await served.terminate() < at_this_pace(10)
        assert phone.ringing
        assert caller.status is None
        await served.start()
        phone.answer()
        await caller.answered()
        await served.stage("talking")
        caller.hang_up()
        await caller.ended()
    report = await served.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga
