"""The golden scenarios: the calls that work on every PBX, whatever is built.

Each is a story in one shop, and says exactly what the CRM was told, who talked, what the telephones showed
and whether there is a recording. `GOLDEN` runs on the newest Asterisk, `EVERYWHERE` on each other PBX and
each other connection; what they have of their own is in their `Site`.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from ari_app.calls import whole_seconds
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Phone, Rings
from tests.support.office import OUR_NUMBER, Office, Report, since_the_answer

ANNA, STRANGER = "+79161234567", "+79037654321"
ANNAS_NAME = "Иванова Анна"


class Site:
    """A shop at its PBX; another PBX is a subclass that does some of it in its own way."""

    def __init__(self, office: Office) -> None:
        self.office = office

    def managers(self, count: int) -> list[str]:
        """Hire managers; give their extensions."""
        return self.office.managers(count)

    def call(self, number: str, *, talks: float | None = None) -> Customer:
        """A customer's call."""
        return self.office.call(number, talks=talks)

    def dial(self, code: str, number: str, *, talks: float | None = None) -> Customer:
        """A manager's call, dialled on the telephone."""
        return self.office.lab.dial(code, number, app=self.office.app, talks=talks)

    async def queue(self, *codes: str) -> str:
        """Give the destination that is a queue with these members."""
        queue = self.office.lab.queue()
        for code in codes:
            await self.office.lab.asterisk.queue_add(queue, f"PJSIP/{code}")
        return f"queue:queues,{queue}"

    async def bridged(self, code: str) -> None:
        """Wait until the PBX has joined a telephone with the customer, so that it can transfer them."""
        await self.office.lab.bridged(code)


Scenario: TypeAlias = Callable[[Site], Awaitable[None]]


async def known_customer_answered(site: Site) -> None:
    """The responsible manager answers, and nobody else is rung."""
    office = site.office
    olga, boris = site.managers(2)
    office.customer(ANNA, ANNAS_NAME, manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Answers(after=0.2)) as hers,
        office.phone(boris, Rings()) as his,
        site.call(ANNA, talks=1.2) as customer,
    ):
        await customer.ended()
    report = await office.report()
    assert customer.status == 200
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert_uploaded(report, "in", ANNA, OUR_NUMBER, "answered", olga, talking=1, waiting=0)
    assert shown(hers) == [(ANNAS_NAME, ANNA)]
    assert his.calls == []
    assert_recorded(office, report)


async def manager_declines_and_the_group_answers(site: Site) -> None:
    """Who declines isn't waited for; of the group the first answer wins, the others stop ringing."""
    office = site.office
    olga, boris, vera = site.managers(3)
    office.customer(ANNA, ANNAS_NAME, manager=olga)
    await office.open(fallback=f"group:{boris},{vera}")
    async with (
        office.phone(olga, Declines(after=0.2)) as hers,
        office.phone(boris, Answers(after=0.4)) as his,
        office.phone(vera, Rings()) as other,
        site.call(ANNA, talks=1.2) as customer,
    ):
        await customer.ended()
        await other.is_free()
    report = await office.report()
    assert customer.status == 200
    group, everyone = sorted([boris, vera]), sorted([olga, boris, vera])
    assert report.told == [("in", [olga]), ("in", group), ("hangup", everyone, "answered")]
    assert_uploaded(report, "in", ANNA, OUR_NUMBER, "answered", boris, talking=1)
    assert shown(hers) == shown(his) == shown(other) == [(ANNAS_NAME, ANNA)]
    assert other.calls[0].answered_elsewhere
    assert any(f"{olga}: declined" in line for line in await office.story(report.call))
    assert_recorded(office, report)


async def nobody_answers_in_time(site: Site) -> None:
    """The manager is given up, and then the group; the customer hears that nobody is there."""
    office = site.office
    olga, boris = site.managers(2)
    office.customer(ANNA, ANNAS_NAME, manager=olga)
    await office.open(ring_manager_seconds=1, ring_group_seconds=1, fallback=f"group:{boris}")
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Rings()) as his,
        site.call(ANNA) as customer,
    ):
        await customer.ended()
        await his.is_free()
    report = await office.report()
    assert customer.status == 480
    assert "cause=19" in customer.reason
    both = sorted([olga, boris])
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", both, "no answered")]
    assert_uploaded(report, "in", ANNA, OUR_NUMBER, "no answer", olga, waiting=2)
    assert shown(hers) == shown(his) == [(ANNAS_NAME, ANNA)]
    assert_unrecorded(report)


async def customer_gives_up(site: Site) -> None:
    """The customer hangs up while it rings: the telephone stops, and the call was missed."""
    office = site.office
    (olga,) = site.managers(1)
    office.customer(ANNA, ANNAS_NAME, manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as hers, site.call(ANNA) as customer:
        await hers.rings()
        customer.hang_up()
        await customer.ended()
        await hers.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]
    assert_uploaded(report, "in", ANNA, OUR_NUMBER, "no answer", olga)
    assert shown(hers) == [(ANNAS_NAME, ANNA)]
    assert_unrecorded(report)


async def unknown_customer(site: Site) -> None:
    """Whom the CRM doesn't know goes where unknown customers go, and is shown by number."""
    office = site.office
    olga, boris = site.managers(2)
    await office.open(fallback=f"group:{olga}", unknown=f"group:{boris}")
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Answers(after=0.1)) as his,
        site.call(STRANGER, talks=1.2) as customer,
    ):
        await customer.ended()
    report = await office.report()
    assert customer.status == 200
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert_uploaded(report, "in", STRANGER, OUR_NUMBER, "answered", boris, talking=1, waiting=0)
    assert shown(his) == [(STRANGER, STRANGER)]
    assert hers.calls == []
    assert_recorded(office, report)


async def everybody_busy(site: Site) -> None:
    """The manager and the group are busy: so hears the customer."""
    office = site.office
    olga, boris = site.managers(2)
    office.customer(ANNA, ANNAS_NAME, manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with office.phone(olga, Busy()), office.phone(boris, Busy()), site.call(ANNA) as customer:
        await customer.ended()
    report = await office.report()
    assert customer.status == 486
    both = sorted([olga, boris])
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", both, "busy")]
    assert_uploaded(report, "in", ANNA, OUR_NUMBER, "busy", olga)
    assert_unrecorded(report)


async def queue_answered(site: Site) -> None:
    """The queue rings its members; who of them answers is known exactly."""
    office = site.office
    olga, boris = site.managers(2)
    office.customer(ANNA, ANNAS_NAME)
    await office.open(fallback=await site.queue(olga, boris))
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Answers(after=0.5)) as his,
        site.call(ANNA, talks=1.2) as customer,
    ):
        await customer.ended()
        await hers.is_free()
    report = await office.report()
    assert customer.status == 200
    assert customer.answered_after is not None
    assert customer.answered_after > 0.4  # not by the queue
    both = sorted([olga, boris])
    assert {code for kind, codes, *_ in report.told if kind == "in" for code in codes} == set(both)
    assert report.told[-1] == ("hangup", both, "answered")
    assert_uploaded(report, "in", ANNA, OUR_NUMBER, "answered", boris, talking=1)
    assert (report.call.talker, report.call.first_talker) == (boris, boris)
    assert [name for name, _ in shown(his)] == [ANNAS_NAME]
    assert_recorded(office, report)


async def dialplan_destination(site: Site) -> None:
    """The customer goes on in the shop's dialplan, which answers: that is no person."""
    office = site.office
    await office.open(unknown="dialplan:menu,answers,1")
    async with site.call(STRANGER) as customer:
        await customer.ended()
    report = await office.report()
    assert customer.status == 200
    assert report.told == []
    assert_uploaded(report, "in", STRANGER, OUR_NUMBER, "no answer", None, talking=0)
    assert report.call.handed_on
    assert_unrecorded(report)


async def click_answered(site: Site) -> None:
    """Click-to-call: the manager's telephone rings first, and the customer's when the manager is there."""
    office = site.office
    (olga,) = site.managers(1)
    await office.open(manager_caller_name="Звонок из CRM")
    async with (
        office.phone(olga, Answers(after=0.2, hangs_up_after=1.6)) as hers,
        office.lab.customer_phone(Answers(after=0.2)) as customer,
    ):
        call_id = click(site, olga)
        await customer.is_free()
        await hers.is_free()
    report = await office.report()
    assert report.call.id == call_id
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert_uploaded(report, "out", ANNA, None, "answered", olga)
    assert shown(hers) == [("Звонок из CRM", ANNA)]
    assert [call.to for call in customer.calls] == [ANNA]
    assert_recorded(office, report)


async def click_customer_busy(site: Site) -> None:
    """Click-to-call to a customer who is busy ends at once; the telephone never rang, so nothing is told."""
    office = site.office
    (olga,) = site.managers(1)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)) as hers, office.lab.customer_phone(Busy()):
        click(site, olga)
        await hers.is_free()
    report = await office.report()
    assert report.told == []
    assert_uploaded(report, "out", ANNA, None, "busy", olga)
    assert_unrecorded(report)


async def outgoing_from_the_phone(site: Site) -> None:
    """A manager dials a customer: the PBX's line calls, and the customer's answer reaches the telephone."""
    office = site.office
    (olga,) = site.managers(1)
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.3)) as customer,
        site.dial(olga, "89161234567", talks=1.2) as manager,
    ):
        await manager.ended()
        await customer.is_free()
    report = await office.report()
    assert manager.status == 200
    assert manager.provisional[0][0] == 180
    assert manager.answered_after is not None
    assert manager.answered_after >= 0.3
    assert [(call.to, call.number) for call in customer.calls] == [("89161234567", olga)]
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert_uploaded(report, "out", ANNA, None, "answered", olga, talking=1)
    assert_recorded(office, report)


async def blind_transfer(site: Site) -> None:
    """A manager hands the customer over: one call, one recording, who talked last and who answered first."""
    office = site.office
    olga, boris = site.managers(2)
    office.customer(ANNA, ANNAS_NAME, manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.5)) as his,
        site.call(ANNA) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await office.recorded()
        await site.bridged(olga)
        assert await hers.transfer(boris) == 200
        await office.stage("transferring")
        await his.answers()
        await office.stage("talking")
        await hers.is_free()
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    both = sorted([olga, boris])
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", both, "answered")]
    assert_uploaded(report, "in", ANNA, OUR_NUMBER, "answered", boris)
    assert (report.call.talker, report.call.first_talker) == (boris, olga)
    assert shown(hers) == shown(his) == [(ANNAS_NAME, ANNA)]
    story = await office.story(report.call)
    assert f"{olga} transfers the customer to {boris}" in story
    assert any(line.startswith(f"{olga} is gone (waited") for line in story)
    assert_recorded(office, report)


GOLDEN: tuple[Scenario, ...] = (
    known_customer_answered,
    manager_declines_and_the_group_answers,
    nobody_answers_in_time,
    customer_gives_up,
    unknown_customer,
    everybody_busy,
    queue_answered,
    dialplan_destination,
    click_answered,
    click_customer_busy,
    outgoing_from_the_phone,
    blind_transfer,
)
EVERYWHERE: tuple[Scenario, ...] = (
    known_customer_answered,
    manager_declines_and_the_group_answers,
    queue_answered,
    click_answered,
    blind_transfer,
)


def named(scenario: Scenario) -> str:
    """Give a scenario's name, for the list of tests."""
    return str(getattr(scenario, "__name__", scenario))


def click(site: Site, code: str) -> str:
    """Ask for a call to Anna as the CRM's button does; give the call's id."""
    office = site.office
    call_id = office.shop.line.place_call(code, ANNA, None, office.account.pbx.outgoing)
    assert call_id is not None
    return call_id


def shown(phone: Phone) -> list[tuple[str | None, str | None]]:
    """What a telephone showed of its calls: name and number."""
    return [(call.name, call.number) for call in phone.calls]


def assert_uploaded(
    report: Report,
    direction: str,
    phone: str,
    external: str | None,
    result: str,
    code: str | None,
    *,
    talking: int | None = None,
    waiting: int | None = None,
) -> None:
    """The CRM's history has the call as it was; seconds, where given, and none for who didn't talk."""
    upload = report.upload
    assert (upload.type, upload.phone, upload.external_phone) == (direction, phone, external)
    assert (upload.result, upload.code) == (result, code)
    if result != "answered":
        talking = 0
    assert talking is None or talking <= report.call.talking < talking + 1
    assert waiting is None or waiting <= report.call.waiting < waiting + 1
    assert upload.duration == (whole_seconds(report.call.talking) if result == "answered" else 0)
    assert upload.duration_waiting == whole_seconds(report.call.waiting)


def assert_recorded(office: Office, report: Report) -> None:
    """The CRM has the link of a sound of the whole talk, as telephones speak: mono, 8 kHz, 16 bits."""
    assert report.upload.record_url is not None
    assert office.service is not None
    name = report.upload.record_url.rsplit("/", 1)[1]
    wav = office.service.recordings.path_of(name).read_bytes()
    channels, rate = struct.unpack_from("<HI", wav, 22)
    (bits,) = struct.unpack_from("<H", wav, 34)
    assert (channels, rate, bits) == (1, 8000, 16)
    assert (len(wav) - 44) / 16000 == pytest.approx(since_the_answer(report.call), abs=0.4)
    assert report.call.recording.seconds == pytest.approx((len(wav) - 44) / 16000, abs=0.05)


def assert_unrecorded(report: Report) -> None:
    """Nobody of the shop talked, so there is nothing to hear."""
    assert report.upload.record_url is None
    assert report.call.recording.file is None
