"""Calls of which Redis never heard: a copy that was cut off hands them in to whoever has the account now."""

import signal

import aiohttp

from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.store.accounts import Accounts
from tests.faults.befalls import come_back, cut_from_redis, cut_off, killed, told_once
from tests.faults.copies import SharedOffice
from tests.support.office import SECRET_KEY

ANNA = "+79161234567"
STRANGER = "+79037654321"
HANDED_IN = "calls are handed in of which the next holder can't know"


async def test_a_talk_of_which_redis_never_heard_is_not_told_as_missed(shared: SharedOffice) -> None:
    (olga,) = shared.managers(1)
    one, other = await shared.open_two(unknown=f"group:{olga}")
    async with shared.phone(olga, Rings()) as phone, shared.call(STRANGER) as caller:
        await phone.rings()
        await shared.stage("ringing")
        await cut_from_redis(shared, one)
        phone.answer()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
    await shared.has_it(other)
    await come_back(shared, one)
    report = await shared.report()
    assert report.upload.result in ("unknown", "answered")  # the second if the other one came soon enough
    await told_once(shared)


async def test_a_call_that_a_copy_had_while_it_was_cut_off_from_redis_is_told_all_the_same(
    shared: SharedOffice,
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await cut_off(shared)
    async with shared.phone(olga, Answers(after=0.1)), shared.call(ANNA, talks=1) as caller:
        await caller.ended()
    assert caller.status == 200
    other.send(signal.SIGCONT)
    await shared.has_it(other)
    await come_back(shared, one)
    report = await shared.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url
    assert await shared.holder() == other.holder
    await told_once(shared)


async def test_a_caller_of_whom_redis_never_heard_and_who_leaves_unseen_is_told_all_the_same(
    shared: SharedOffice,
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await cut_off(shared)
    async with shared.phone(olga, Rings()) as phone, shared.call(ANNA) as caller:
        await phone.rings()
        one.send(signal.SIGSTOP)
        caller.hang_up()
        await caller.ended()
        other.send(signal.SIGCONT)
        await shared.has_it(other)
        await phone.is_free()
    await come_back(shared, one)
    report = await shared.report()
    assert report.upload.result in ("no answer", "unknown")
    await told_once(shared)


async def test_a_caller_of_whom_redis_never_heard_rings_once_more_and_is_told_once(
    shared: SharedOffice,
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await cut_off(shared)
    async with shared.phone(olga, Rings()) as phone, shared.call(ANNA) as caller:
        await phone.rings()
        other.send(signal.SIGCONT)
        await shared.has_it(other)
        await come_back(shared, one)
        await phone.rings(2)
        phone.answer()
        await caller.answered()
        await shared.stage("talking")
        await shared.until(lambda: HANDED_IN in one.log, "the former holder hands nothing in")
        caller.hang_up()
        await caller.ended()
    report = await shared.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    await told_once(shared)


async def test_a_transfer_in_a_call_of_which_redis_never_heard_begins_anew_and_is_told_once(
    shared: SharedOffice,
) -> None:
    olga, boris = shared.managers(2)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await cut_off(shared, record=False)
    async with (
        shared.phone(olga, Rings()) as hers,
        shared.phone(boris, Rings()) as his,
        shared.call(ANNA) as caller,
    ):
        await hers.rings()
        hers.answer()
        await caller.answered()
        await shared.lab.bridged(olga)
        assert await hers.transfer(boris) == 200
        await his.rings()
        other.send(signal.SIGCONT)
        await shared.has_it(other)
        await hers.rings(2)
        hers.answer()
        await come_back(shared, one)
        await shared.until(lambda: HANDED_IN in one.log, "the former holder hands nothing in")
        caller.hang_up()
        await caller.ended()
    report = await shared.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    await told_once(shared)


async def test_people_who_talk_in_a_call_of_which_redis_never_heard_go_on(shared: SharedOffice) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await cut_off(shared)
    async with shared.phone(olga, Answers(after=0.1)) as phone, shared.call(ANNA) as caller:
        await caller.answered()
        other.send(signal.SIGCONT)
        await shared.has_it(other)
        assert phone.talking
        await come_back(shared, one)
        assert (await shared.stage("talking")).talker == olga
        await shared.recorded()
        assert not caller.over
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
        assert len(phone.calls) == 1
    report = await shared.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url
    await told_once(shared)


async def test_two_who_talk_in_a_call_that_nobody_hands_in_are_parted_when_one_leaves(
    shared: SharedOffice,
) -> None:
    (olga,) = shared.managers(1)
    shared.customer(ANNA, "Иванова Анна", manager=olga)
    one, other = await cut_off(shared)
    async with shared.phone(olga, Answers(after=0.1)) as phone, shared.call(ANNA) as caller:
        await caller.answered()
        await killed(shared, one)
        other.send(signal.SIGCONT)
        await shared.has_it(other)
        assert phone.talking
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
    assert len(phone.calls) == 1


async def test_a_click_that_redis_knew_as_ringing_is_found_in_its_talk(shared: SharedOffice) -> None:
    (olga,) = shared.managers(1)
    one, other = await shared.open_two()
    stored = await Accounts(shared.redis, SECRET_KEY).find(shared.account.id)
    assert stored is not None
    given = {"clientId": stored.crm.client_id.get_secret_value(), "code": olga, "phone": ANNA}
    async with (
        shared.phone(olga, Rings()) as phone,
        shared.lab.customer_phone(Answers(after=0.1)) as customer,
        aiohttp.ClientSession() as crm,
    ):
        async with crm.get(f"http://127.0.0.1:{one.port}/crm/call", params=given) as answer:
            assert answer.status == 200, await answer.text()
        await phone.rings()
        other.send(signal.SIGSTOP)
        await cut_from_redis(shared, one)
        phone.answer()
        await customer.answers()
        other.send(signal.SIGCONT)
        await shared.has_it(other)
        assert (await shared.stage("talking")).talker == olga
        assert phone.talking
        phone.hang_up()
        await customer.is_free()
        await come_back(shared, one)
    report = await shared.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert len(customer.calls) == 1
    await told_once(shared)
