"""People of the shop are written to of missed customers and of alerts: each once, and beside the CRM."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from ari_app.accounts.activity import Activity
from ari_app.accounts.sections import MailSettings
from ari_app.calls import AlertEvent, AlertWay, TellAlert, TellMail
from ari_app.calls.outcome import Ending
from ari_app.demo.crm.simulator import CrmAccount
from ari_app.store.alerts import AlertStore, Failing, Part
from ari_app.store.calls import CallStore
from tests.cabinet.kept_calls import ANNA, BORIS, over
from tests.store.test_missed_told import Shop, called_back, vain
from tests.store.test_statistics import write
from tests.support.postman import PASSWORD, USER, Postman

SALES, CHIEF = "sales@shop.example", "chief@shop.example"
NOBODY = MailSettings()
BOTH = MailSettings(missed=(SALES, CHIEF), lost=(CHIEF,))


@pytest.fixture
def store(redis: Redis) -> Callable[..., CallStore]:
    return lambda mail=BOTH: CallStore(redis, "shop", mail=lambda: mail)


async def mails(store: CallStore) -> list[TellMail]:
    return [entry.tell for entry in await store.outbox.read() if isinstance(entry.tell, TellMail)]


async def test_each_address_has_a_mail_of_its_own_once_a_customer(store: Callable[..., CallStore]) -> None:
    calls = store()
    call = vain(name="Иванова Анна", responsible="102")
    await write(calls, call, vain("m2", 50), call)
    one, other = await mails(calls)
    assert (one.to, other.to) == (SALES, CHIEF)
    assert (one.phone, one.name, one.external, one.responsible) == (
        ANNA,
        "Иванова Анна",
        "+74951112233",
        "102",
    )
    assert (one.event, one.times, one.rung) == ("missed", 1, "101")
    assert one.missed_at == pytest.approx(call.started_at, abs=0.01)


async def test_who_was_lost_is_written_of_once_to_those_who_are_named_for_that(
    store: Callable[..., CallStore],
) -> None:
    calls, tomorrow = store(), time.time() + 90_000
    await write(calls, vain())
    assert await calls.missed.tell_lost(tomorrow, BOTH) == 1
    assert await calls.missed.tell_lost(tomorrow + 60, BOTH) == 0
    assert [(mail.event, mail.to) for mail in await mails(calls)][2:] == [("lost", CHIEF)]


async def test_who_was_called_back_is_not_written_of_again(store: Callable[..., CallStore]) -> None:
    calls = store()
    await write(calls, vain(), called_back())
    assert await calls.missed.tell_lost(time.time() + 90_000, BOTH) == 0
    assert len(await mails(calls)) == 2


async def test_who_was_missed_before_anybody_was_named_is_written_of_to_nobody(
    store: Callable[..., CallStore],
) -> None:
    await write(store(NOBODY), vain())
    assert await store().missed.tell_lost(time.time() + 90_000, BOTH) == 0
    assert await mails(store()) == []


MAIL = f"""
[mail]
missed = ["{SALES}", "{CHIEF}"]
lost = ["{CHIEF}"]
alerts = ["{CHIEF}"]
"""
OF_ANNA, OF_BORIS = f"Пропущенный звонок: {ANNA}", f"Пропущенный звонок: {BORIS}"


@pytest.fixture
def shop(redis: Redis, account: CrmAccount, postman: Postman) -> Shop:
    """A shop that gives tasks in its CRM, and writes to its people."""
    shop = Shop(redis, account, more=MAIL, task="true")
    shop.mail_server, shop.current.writes = postman.known(), True
    return shop


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - the timeout decides
            await asyncio.sleep(0.01)


def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what fails alone be tried again at once."""
    monkeypatch.setattr("ari_app.retailcrm.route.MAIL_PAUSES_SECONDS", (0.01,))


async def alert(shop: Shop, redis: Redis, way: AlertWay, to: str = "", event: str = AlertEvent.FAILS) -> None:
    tell = TellAlert(time.time(), event, Part.PBX, way, time.time() - 700, "no", to)
    await AlertStore(redis, shop.current.account.id).fails(Part.PBX, Failing(time.time() - 700, True), [tell])


async def test_a_missed_customer_is_written_of_to_each_address_once(shop: Shop, postman: Postman) -> None:
    await shop.write(vain(), vain("m2", 50), called_back())
    await shop.told()
    assert sorted(postman.subjects) == [(CHIEF, OF_ANNA), (SALES, OF_ANNA)]
    assert all(set(str(letter["To"]).split(",")) == {to} for to, letter in postman.taken)


async def test_while_the_server_is_away_the_crm_hears_all_and_then_all_is_written_in_order(
    shop: Shop, postman: Postman
) -> None:
    await postman.go()
    await shop.write(vain(ago=3700))
    assert await shop.calls.missed.tell_lost(time.time() + 85_000, shop.current.mail) == 1
    async with shop.telling() as telling:
        await until(lambda: _is(bool(telling.troubles) and len(shop.tasks) == 1))
        assert telling.problem is None
        assert "Connection refused" in telling.troubles[0].problem
        await postman.come()
        await until(lambda: _empty(shop.calls))
        assert telling.troubles == []
    to_the_chief = [subject for to, subject in postman.subjects if to == CHIEF]
    assert to_the_chief == [OF_ANNA, f"Клиенту не перезвонили: {ANNA}"]
    assert len(postman.taken) == 3


@pytest.mark.parametrize(
    ("asks", "password"),
    [("MAIL", ""), ("RCPT", ""), ("", PASSWORD + "!")],
    ids=["sender", "relay", "password"],
)
async def test_a_server_that_lets_nothing_through_holds_up_no_call_and_loses_nothing(
    shop: Shop, postman: Postman, asks: str, password: str
) -> None:
    if asks:
        postman.answers[asks] = "530 5.7.0 sign in first"
    else:
        postman.asks_for_password = True
        shop.mail_server = postman.known(user=USER, password=SecretStr(password))
    await shop.write(vain(), called_back())
    async with shop.telling() as telling:
        await until(lambda: _is(bool(telling.troubles) and len(shop.tasks) == 1))
        assert telling.problem is None
        assert PASSWORD not in str(telling.troubles)
    assert await shop.calls.outbox.refusals() == []
    assert len(await mails(shop.calls)) == 2
    postman.answers.clear()
    shop.mail_server = postman.known(user=USER, password=SecretStr(PASSWORD)) if password else postman.known()
    await shop.told()
    assert sorted(postman.subjects) == [(CHIEF, OF_ANNA), (SALES, OF_ANNA)]


async def test_an_address_that_is_nobodys_is_set_aside_and_the_other_has_its_mail(
    shop: Shop, postman: Postman
) -> None:
    postman.answers[SALES] = "550 5.1.1 no such user"
    await shop.write(vain(), vain("m2", 50, BORIS))
    await shop.told()
    assert sorted(postman.subjects) == [(CHIEF, OF_BORIS), (CHIEF, OF_ANNA)]
    one, other = await shop.calls.outbox.refusals()
    assert {one.problem, other.problem} == {"mail: 550 5.1.1 no such user"}
    assert isinstance(one.tell, TellMail)
    assert (one.tell.to, {one.call, other.call}) == (SALES, {"m1", "m2"})
    postman.answers.clear()
    assert await shop.calls.outbox.send_again(one.id) == one.call
    await shop.told()
    assert [to for to, _ in postman.taken] == [CHIEF, CHIEF, SALES]


async def test_an_address_that_is_full_keeps_no_other_waiting_and_is_set_aside_after_some_tries(
    shop: Shop, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch)
    postman.answers[SALES] = "452 4.2.2 mailbox full"
    await shop.write(vain())
    async with shop.telling() as telling:
        await until(lambda: _is(len(postman.taken) == 1))
        for number in map(str, range(79035550000, 79035550050)):
            await shop.write(over(number, time.time() - 5, f"+{number}", ending=Ending.GAVE_UP))
            telling.wake()
            await until(lambda: _has(postman, CHIEF, f"+{number}"))  # noqa: B023 - it is awaited here
            tried = postman.tried
            await until(lambda: _is(postman.tried > tried))  # noqa: B023 - what has failed, once more
            if await shop.calls.outbox.refusals():
                break
    first = (await shop.calls.outbox.refusals())[0]
    assert first.problem.endswith("while others passed: mail: 452 4.2.2 mailbox full")
    assert isinstance(first.tell, TellMail)
    assert first.tell.to == SALES


async def test_a_mail_that_is_refused_for_now_is_written_as_soon_as_it_is_taken(
    shop: Shop, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch)
    postman.answers["DATA"] = "451 4.7.1 greylisted"
    await shop.write(vain())
    async with shop.telling():
        await until(lambda: _is(postman.tried > 1))
        postman.answers.clear()
        await until(lambda: _empty(shop.calls))
    assert sorted(postman.subjects) == [(CHIEF, OF_ANNA), (SALES, OF_ANNA)]
    assert await shop.calls.outbox.refusals() == []


async def test_what_is_a_day_old_is_not_written_any_more(shop: Shop, postman: Postman) -> None:
    await shop.write(vain(ago=90_000))
    await shop.told()
    assert postman.taken == []
    assert any("more than a day ago" in str(line) for line in await shop.calls.journal("m1"))


async def test_who_is_taken_off_the_list_or_has_no_server_is_not_written(
    shop: Shop, postman: Postman
) -> None:
    await shop.write(vain())
    account = shop.current.account
    shop.current.change(account.model_copy(update={"mail": MailSettings(missed=(CHIEF,))}))
    await shop.told()
    assert postman.subjects == [(CHIEF, OF_ANNA)]
    await shop.write(vain("m2", 50, BORIS))
    shop.mail_server = None
    await shop.told()
    assert len(postman.taken) == 1
    assert await shop.calls.outbox.refusals() == []


async def test_an_alert_is_written_to_the_administrator(shop: Shop, postman: Postman, redis: Redis) -> None:
    await alert(shop, redis, AlertWay.MAIL, CHIEF)
    await shop.told()
    assert postman.subjects == [(CHIEF, "Нет связи с АТС")]


async def test_while_telephony_is_off_in_the_crm_alerts_go_to_who_is_not_the_crm_and_nothing_else_does(
    shop: Shop, postman: Postman, redis: Redis
) -> None:
    await shop.write(vain("m0", 300, BORIS))
    shop.current.activity = Activity(off_at=time.time() - 200)
    await alert(shop, redis, AlertWay.MAIL, CHIEF)
    await alert(shop, redis, AlertWay.CRM)
    await shop.write(vain())
    async with shop.telling():
        await until(lambda: _is(len(postman.taken) == 1))
        await until(lambda: _left(shop.calls, "m0"))
    assert postman.subjects == [(CHIEF, "Нет связи с АТС")]
    assert shop.tasks == []
    shop.current.activity = Activity(off_at=time.time() - 200, on_at=time.time())
    await shop.told()
    assert sorted(postman.subjects[1:]) == [(CHIEF, OF_BORIS), (SALES, OF_BORIS)]
    assert [task.told.phone for task in shop.tasks] == [BORIS]
    assert shop.account.desk.notices == []


async def _is(holds: bool) -> bool:
    return holds


async def _empty(calls: CallStore) -> bool:
    return await calls.outbox.read() == []


async def _has(postman: Postman, to: str, number: str) -> bool:
    return (to, f"Пропущенный звонок: {number}") in postman.subjects


async def _left(calls: CallStore, call: str) -> bool:
    return {entry.call for entry in await calls.outbox.read()} == {call}
