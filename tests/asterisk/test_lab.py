"""The lab itself: what the other tests rely on when they say that a phone rang."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from ari_app.demo.pbx.asterisk import NOWHERE, UNREACHABLE, Asterisk, is_running
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Fate, Rings
from tests.support.pace import at_this_pace
from tests.support.processes import gone

pytestmark = pytest.mark.asyncio(loop_scope="session")

CUSTOMER = "+79161234567"


async def test_a_phone_that_answers_talks_until_the_customer_hangs_up(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with (
        lab.phone(extension, Answers(after=0.2)) as phone,
        lab.call(CUSTOMER, "00" + extension, talks=0.3) as customer,
    ):
        await customer.ringing()
        await customer.ended()
        await phone.is_free()
    assert customer.status == 200
    assert customer.answered_after == pytest.approx(0.2, abs=at_this_pace(0.1))
    assert customer.ended_by == "customer"
    assert [code for code, _ in customer.provisional] == [180]
    assert [(call.number, call.fate) for call in phone.calls] == [(CUSTOMER, Fate.LEFT)]


async def test_a_phone_hangs_up_first(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with (
        lab.phone(extension, Answers(after=0.1, hangs_up_after=0.2)) as phone,
        lab.call(CUSTOMER, "00" + extension) as customer,
    ):
        await customer.ended()
        await phone.is_free()
    assert (customer.status, customer.ended_by) == (200, "other side")
    assert phone.calls[0].fate is Fate.HUNG_UP


async def test_a_phone_that_is_told_to_answer_and_then_to_hang_up_does_so(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with (
        lab.phone(extension, Rings()) as phone,
        lab.call(CUSTOMER, "00" + extension) as customer,
    ):
        await phone.rings()
        phone.answer()
        await customer.answered()
        phone.hang_up()
        await customer.ended()
    assert customer.ended_by == "other side"


async def test_a_phone_that_declines_is_refused_with_cause_21(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with (
        lab.phone(extension, Declines(after=0.1)) as phone,
        lab.call(CUSTOMER, "00" + extension) as customer,
    ):
        await customer.ended()
    assert (customer.status, customer.reason) == (403, "Q.850;cause=21")
    assert phone.calls[0].fate is Fate.REFUSED


async def test_a_busy_phone_is_busy_at_once(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with lab.phone(extension, Busy()), lab.call(CUSTOMER, "00" + extension) as customer:
        await customer.ended()
    assert customer.status == 486
    assert customer.provisional == []


async def test_a_customer_who_gives_up_stops_the_ringing(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with (
        lab.phone(extension, Rings()) as phone,
        lab.call(CUSTOMER, "00" + extension) as customer,
    ):
        await phone.rings()
        await customer.ringing()
        customer.hang_up()
        await customer.ended()
        await phone.is_free()
    assert (customer.status, customer.ended_by) == (487, "customer")
    assert phone.calls[0].fate is Fate.CANCELLED
    assert not phone.calls[0].answered_elsewhere


async def test_one_phone_takes_calls_at_the_same_time_and_one_after_another(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with lab.phone(extension, Answers(after=0.1)) as phone:
        for _ in range(2):
            async with (
                lab.call(CUSTOMER, "00" + extension) as one,
                lab.call("+79160000000", "00" + extension) as other,
            ):
                await one.answered()
                await other.answered()
                await phone.until(lambda: len(phone.talking) == 2)
            await phone.is_free()
    assert len(phone.calls) == 4


async def test_early_media_reaches_the_customer_before_the_answer(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with (
        lab.phone(extension, Answers(after=0.2, early_media=True)),
        lab.call(CUSTOMER, "00" + extension, talks=0.1) as customer,
    ):
        await customer.ended()
    assert [code for code, _ in customer.provisional] == [183]
    assert customer.status == 200


async def test_a_cyrillic_name_is_displayed_as_it_was_sent(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with (
        lab.phone(extension, Rings()) as phone,
        lab.call(CUSTOMER, "00" + extension, name="Ольга Петрова"),
    ):
        call = await phone.rings()
    assert (call.name, call.number) == ("Ольга Петрова", CUSTOMER)


async def test_a_withheld_number_reaches_the_dialplan_as_anonymous(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with lab.phone(extension, Rings()) as phone, lab.call("anonymous", "00" + extension):
        call = await phone.rings()
    assert call.number == "anonymous"


@pytest.mark.parametrize("extension", [UNREACHABLE, NOWHERE])
async def test_an_extension_without_a_phone_fails_at_once(lab: Lab, extension: str) -> None:
    async with lab.call(CUSTOMER, "00" + extension) as customer:
        await customer.ended()
    assert (customer.status, customer.reason) == (404, "Q.850;cause=3")


async def test_a_call_for_an_application_that_is_away_is_taken_by_the_dialplan(lab: Lab) -> None:
    async with lab.call(CUSTOMER, "74951112233", app="nobody-home") as customer:
        await customer.ended()
    assert customer.status == 200
    assert customer.reason == "Q.850;cause=31"
    assert "Stasis app 'nobody-home' doesn't exist" in lab.asterisk.log()


async def test_a_queue_rings_the_members_that_were_added(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    queue = lab.queue()
    for extension in (olga, boris):
        await lab.asterisk.queue_add(queue, f"PJSIP/{extension}")
    async with (
        lab.phone(olga, Answers(after=0.2)) as hers,
        lab.phone(boris, Rings()) as his,
        lab.call(CUSTOMER, "01" + queue, talks=0.1) as customer,
    ):
        await customer.ended()
        await his.is_free()
    assert hers.calls[0].fate is Fate.LEFT
    assert his.calls[0].answered_elsewhere
    await lab.asterisk.queue_remove(queue, f"PJSIP/{olga}")


async def test_a_vanished_phone_leaves_the_customer_in_the_call(lab: Lab) -> None:
    [extension] = lab.extensions(1)
    async with (
        lab.phone(extension, Answers()) as phone,
        lab.call(CUSTOMER, "00" + extension) as customer,
    ):
        await customer.answered()
        await phone.vanish()
        assert not customer.over
    assert customer.ended_by == "customer"


async def test_asterisk_comes_back_on_its_ports_and_goes_without_a_trace(
    installation: Installation,
) -> None:
    async with Asterisk(installation) as asterisk:
        lab = Lab(asterisk)
        [extension] = lab.extensions(1)
        ports, first = (asterisk.http_port, asterisk.sip_port), asterisk.pid
        for hard in (True, False):
            await asterisk.restart(hard=hard)
        assert ports == (asterisk.http_port, asterisk.sip_port)
        async with lab.phone(extension, Busy()), lab.call(CUSTOMER, "00" + extension) as customer:
            await customer.ended()
        assert customer.status == 486
        last = asterisk.pid
    assert first is not None
    assert last is not None
    assert not is_running(first)
    assert not is_running(last)
    assert not asterisk.folder.exists()
    assert str(asterisk.folder) not in _mounts()


async def test_a_killed_run_takes_its_asterisk_and_its_phones_with_it(installation: Installation) -> None:
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _A_RUN, repr(installation), stdout=asyncio.subprocess.PIPE
    )
    assert run.stdout is not None
    pids = [int(pid) for pid in (await run.stdout.readline()).split()]
    assert len(pids) == 2
    os.kill(run.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        for pid in pids:
            await gone(pid)
        await run.wait()


async def test_a_start_that_is_cancelled_leaves_nothing(installation: Installation) -> None:
    asterisk = Asterisk(installation)
    starting = asyncio.create_task(asterisk.__aenter__())
    async with asyncio.timeout(60):
        while asterisk.pid is None:
            await asyncio.wait([starting], timeout=0.01)
    pid = asterisk.pid
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not is_running(pid)
    assert not asterisk.folder.exists()


async def test_a_load_counts_answered_and_failed_calls(lab: Lab) -> None:
    answering, busy = lab.extensions(2)
    called = ["00" + answering, "00" + busy]
    async with lab.phone(answering, Answers(after=0.2), sound=False), lab.phone(busy, Busy()):
        result = await lab.load(rate=20, seconds=1, called=called, talks=0.2)
    assert (result.placed, result.failed) == (20, 10)
    assert len(result.answer_times) == 10
    assert 0.2 <= result.percentile(50) <= result.percentile(99) < at_this_pace(1)


_A_RUN = """
import asyncio, sys
from pathlib import PosixPath
from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Rings

async def main():
    async with Asterisk(eval(sys.argv[1])) as asterisk, Lab(asterisk).phone("101", Rings()) as phone:
        print(asterisk.pid, phone.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def _mounts() -> str:
    return Path("/proc/self/mounts").read_text()
