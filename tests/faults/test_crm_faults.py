"""The CRM is silent, slow or talks nonsense: calls go on, and all is told when it is well again."""

from contextlib import AsyncExitStack
from time import monotonic

import pytest
from structlog.testing import capture_logs

from ari_app.calls.orders import TellHangup, TellResult, TellRinging
from ari_app.calls.waiting import LOOK_UP_SECONDS
from ari_app.demo.crm.faults import Kind
from ari_app.demo.crm.simulator import (
    AnswerLost,
    Closed,
    HtmlPage,
    Nonsense,
    Refusal,
    Silent,
    Slow,
    Status,
)
from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.retailcrm import route, schedule
from ari_app.store.outbox import Refusal as Refused
from tests.support.office import OUR_NUMBER, Office
from tests.support.pace import at_this_pace

ANNA = "+79161234567"

AWAY: dict[str, Kind] = {
    "silent": Silent(),
    "slow": Slow(3),
    "503": Status(503),
    "429": Status(429),
    "500": Status(500),
    "HTML": HtmlPage(),
    "an HTML 502": HtmlPage(502),
    "nonsense": Nonsense(),
    "not JSON": Nonsense("<oops"),
    "a list": Nonsense("[]"),
    "closed": Closed(),
}


@pytest.mark.parametrize("fault", AWAY.values(), ids=AWAY)
async def test_a_look_up_that_fails_leaves_the_call_to_whom_unknown_customers_reach(
    office: Office, fault: Kind
) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{olga}", unknown=f"group:{boris}")
    office.crm_account.fault(fault, route="manager")
    began = monotonic()
    async with office.phone(boris, Answers(after=0.1)) as phone, office.call(ANNA, talks=0.3) as caller:
        rang = await phone.rings()
        await caller.ended()
    report = await office.report()
    assert rang.at - began < LOOK_UP_SECONDS + at_this_pace(1.5)
    assert rang.name == ANNA
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", boris)


@pytest.mark.parametrize("fault", [fault for name, fault in AWAY.items() if name not in ("slow", "silent")])
async def test_what_the_crm_would_not_take_is_told_in_order_when_it_is_well(
    office: Office, monkeypatch: pytest.MonkeyPatch, fault: Kind
) -> None:
    monkeypatch.setattr(route, "LAST_RETRY_SECONDS", 1.0)
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    crm = office.crm_account
    crm.fault(fault, route="event")
    crm.fault(fault, route="upload")
    away = "the CRM takes nothing; all is kept and tried again"
    with capture_logs() as log:
        for _ in range(2):
            async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
                await caller.ended()
                assert caller.status == 200
        await office.until(lambda: not office.shop.line.calls, "the calls did not end")
        await office.until(lambda: away in [line["event"] for line in log], "the outage was not seen")
        assert not crm.events
        assert not crm.uploads
        crm.heal()
        for number in (1, 2):
            report = await office.report(number)
            assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
            assert report.upload.record_url
    said = [line["event"] for line in log]
    assert said.count(away) == 1
    assert said.count("the CRM is back") == 1


async def test_an_answer_that_gets_lost_leads_to_a_repeat_that_the_crm_knows(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    crm = office.crm_account
    crm.fault(AnswerLost(), route="event", times=2)
    crm.fault(AnswerLost(), route="upload", times=1)
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    await crm.wait_until(lambda crm: len(crm.repeats) == 3, timeout=60)
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert len(crm.uploads) == 1


async def test_a_popup_that_is_too_old_is_not_told_and_neither_is_its_hangup(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "POPUP_SECONDS", 0.5)
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    crm = office.crm_account
    crm.fault(Status(500), route="event")
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=1.0) as caller:
        await caller.ended()
    crm.heal()
    report = await office.report()
    assert report.told == []
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert any("too late" in line for line in await office.story(report.call))


async def test_a_refused_popup_is_kept_to_be_seen_and_holds_nothing_up(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    office.crm_account.fault(Refusal("Errors in the entity format"), route="event", times=1)
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    report = await office.report()
    assert report.upload.result == "answered"
    (refusal,) = await office.calls.outbox.refusals()
    assert (refusal.call, type(refusal.tell)) == (report.call.id, TellRinging)
    assert "Errors in the entity format" in refusal.problem


async def test_a_refused_hangup_is_kept_to_be_seen_and_the_result_is_told(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA) as caller:
        await office.stage("talking")
        await office.crm_account.wait_for_event("in")
        office.crm_account.fault(Refusal(), route="event", times=1)
        caller.hang_up()
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga])]
    (refusal,) = await office.calls.outbox.refusals()
    assert isinstance(refusal.tell, TellHangup)


async def test_a_refused_result_does_not_take_others_of_its_batch_with_it(office: Office) -> None:
    olga, boris, vera = office.managers(3)
    numbers = [f"+7916000000{digit}" for digit in range(1, 4)]
    for number, manager in zip(numbers, (olga, boris, vera), strict=True):
        office.customer(number, "Иванова Анна", manager=manager)
    await office.open()
    crm = office.crm_account
    crm.fault(Status(500), route="upload")
    async with AsyncExitStack() as stack:
        for code in (olga, boris, vera):
            await stack.enter_async_context(office.phone(code, Answers(after=0.1)))
        callers = [await stack.enter_async_context(office.call(number, talks=0.5)) for number in numbers]
        for caller in callers:
            await caller.ended()

    async def all_wait() -> bool | None:
        return [type(entry.tell) for entry in await office.calls.outbox.read()] == [TellResult] * 3 or None

    await office.eventually(all_wait, "the results don't wait")
    crm.heal()
    crm.fault(Refusal("calls are wrong"), route="upload", times=2)  # the three together, then one alone
    await crm.wait_until(lambda crm: len(crm.uploads) == 2, timeout=60)

    async def refused() -> Refused | None:
        return next(iter(await office.calls.outbox.refusals()), None)

    refusal = await office.eventually(refused, "the refusal can't be seen")
    assert refusal.call not in {upload.call.external_id for upload in crm.uploads}
    assert "calls are wrong" in refusal.problem


async def test_a_crm_that_is_silent_holds_up_no_call_and_is_told_later(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(unknown=f"group:{olga}")
    office.crm_account.fault(Silent())
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await phone.rings()
        phone.answer()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
    office.crm_account.heal()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]


async def test_fifty_calls_at_once_on_a_crm_that_takes_two_seconds_delay_one_another_in_nothing(
    office: Office,
) -> None:
    calls = 50
    codes = office.managers(10)
    await office.open(unknown=f"group:{','.join(codes[:1])}", ignore_manager_status=True)
    for index in range(calls):
        office.customer(f"+7916{index:07}", f"Клиент {index}", manager=codes[index % len(codes)])
    office.crm.latency = 2.0
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(office.phone(code, Answers(after=0.2))) for code in codes]
        load = await office.lab.load(calls, 1.0, [OUR_NUMBER.lstrip("+")], talks=2.0, app=office.app)
    assert (load.placed, load.failed) == (calls, 0)
    assert sum(len(phone.calls) for phone in phones) == calls
    assert load.percentile(100) < 2.0 + at_this_pace(2.0)  # who waited for another's request would wait twice
    office.crm.latency = 0
    await office.crm_account.wait_until(lambda crm: len(crm.uploads) == calls, timeout=60)
