"""What is known of calls after we were deaf, or stood still: as it was, or honestly that nobody can know.

The telephones say what was; the CRM is told the same.
"""

from __future__ import annotations

import asyncio
import time

from ari_app.demo.pbx.phones import Answers, Rings
from tests.faults.served import ServedOffice
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
