"""What the CRM is told of missed customers, by setting: a task, a notice; each is told once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.calls.call import Call, Direction
from ari_app.calls.outcome import Ending
from ari_app.demo.crm.simulator import AnswerLost, CrmAccount, Status
from ari_app.demo.crm.tasks import Task
from ari_app.network.reach import ANYWHERE, passage
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.delivery import Delivery
from ari_app.retailcrm.letters import Letters
from ari_app.retailcrm.mail import MailServer
from ari_app.retailcrm.pace import Pace
from ari_app.retailcrm.webhook import Webhook
from ari_app.retailcrm.wording import Wording
from ari_app.store.calls import CallStore
from ari_app.store.missed import Reason
from tests.cabinet.kept_calls import ANNA, BORIS, over
from tests.store.test_statistics import write
from tests.support.accounts import account_toml


class Shop:
    """A shop that wants its CRM to hear of missed customers."""

    def __init__(
        self,
        redis: Redis,
        account: CrmAccount,
        webhook: tuple[str, str] | None = None,
        more: str = "",
        **missed: Any,
    ) -> None:
        self.account = account
        self.reach = ANYWHERE
        self.mail_server: MailServer | None = None
        phones = [{"number": "+74951112233", "site": "shop"}]
        toml = account_toml(crm={"url": account.url}, extensions={"101": 1, "102": 2}, phones=phones)
        given = "".join(f"{name} = {value}\n" for name, value in missed.items())
        if webhook is not None:
            given += '[webhook]\nurl = "{}"\nsecret = "{}"\n'.format(*webhook)
        self.current = Current(read_account(f"{toml}\n[missed]\n{given}{more}"))
        self.calls = CallStore(redis, self.current.account.id, mail=lambda: self.current.mail)

    async def write(self, *calls: Call) -> None:
        """Let calls be over."""
        policy = self.current.policy
        await write(self.calls, *(replace(call, policy=policy) for call in calls))

    @asynccontextmanager
    async def telling(self, client: type[RetailCrm] = RetailCrm) -> AsyncIterator[Delivery]:
        """Tell the CRM of it all."""
        async with aiohttp.ClientSession() as session, passage(self.reach) as outside:
            crm = client(session, self.account.url, self.account.key, Pace.unlimited())
            wording = Wording(self.current, "http://localhost/recordings")
            webhook, server = Webhook(outside.session, self.current), self.mail_server
            letters = Letters(self.current, "http://localhost", server) if server is not None else None
            outbox, missed = self.calls.outbox, self.calls.missed
            delivery = Delivery(
                outbox, missed, crm, wording, self.current, time.time, webhook=webhook, letters=letters
            )
            work = asyncio.create_task(delivery.run())
            try:
                yield delivery
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def told(self) -> None:
        """Tell the CRM of all there is, until nothing is left."""
        async with self.telling(), asyncio.timeout(30):
            while await self.calls.outbox.read():  # noqa: ASYNC110 - the timeout decides
                await asyncio.sleep(0.01)

    @property
    def tasks(self) -> list[Task]:
        return self.account.desk.tasks


def vain(ident: str = "m1", ago: float = 60.0, number: str = ANNA, **more: Any) -> Call:
    return over(ident, time.time() - ago, number, ending=Ending.GAVE_UP, **more)


def called_back(ident: str = "o1", ago: float = 30.0, number: str = ANNA) -> Call:
    return over(ident, time.time() - ago, number, direction=Direction.OUT, talked=60.0)


@pytest.fixture
def shop(redis: Redis, account: CrmAccount) -> Callable[..., Shop]:
    return lambda **missed: Shop(redis, account, **missed)


async def test_without_the_setting_the_crm_is_told_nothing(shop: Callable[..., Shop]) -> None:
    plain = shop()
    await plain.write(vain(), called_back())
    assert await plain.calls.outbox.read() == []


async def test_whose_the_customer_is_gets_one_task_with_a_deadline(shop: Callable[..., Shop]) -> None:
    office = shop(task="true", task_minutes=45)
    call = vain(responsible="102", name="Иванова Анна")
    await office.write(call, vain("m2", 40), call)
    await office.told()
    (task,) = office.tasks
    assert task.told.performer_id == 2
    assert "Иванова Анна" in task.told.text
    assert ANNA in (task.told.commentary or "")
    assert (task.told.phone, task.told.phone_site) == (ANNA, "shop")
    due = time.strptime(task.told.datetime, "%Y-%m-%d %H:%M")
    moscow = time.gmtime(call.started_at + 45 * 60 + 3 * 3600)
    assert (due.tm_hour, due.tm_min) == (moscow.tm_hour, moscow.tm_min)
    assert not task.complete


async def test_the_task_is_closed_when_they_were_called_back(shop: Callable[..., Shop]) -> None:
    office = shop(task="true")
    await office.write(vain(), vain("m2", 50, BORIS))
    await office.told()
    await office.write(called_back())
    await office.told()
    assert [(task.told.phone, task.complete) for task in office.tasks] == [(ANNA, True), (BORIS, False)]


async def test_what_waits_of_both_is_told_in_order(shop: Callable[..., Shop]) -> None:
    office = shop(task="true")
    await office.write(vain(), called_back())
    await office.told()
    assert [task.complete for task in office.tasks] == [True]


async def test_the_task_is_closed_with_the_record_in_the_cabinet(shop: Callable[..., Shop]) -> None:
    office = shop(task="true")
    await office.write(vain())
    assert await office.calls.missed.close(ANNA, "m1", time.time(), Reason.SPAM, "", "")
    await office.told()
    assert [task.complete for task in office.tasks] == [True]


async def test_a_task_whose_answer_was_lost_is_not_given_twice(shop: Callable[..., Shop]) -> None:
    office = shop(task="true")
    office.account.fault(AnswerLost(), route="new task", times=1)
    await office.write(vain())
    await office.told()
    assert len(office.tasks) == 1
    await office.write(called_back())
    await office.told()
    assert [task.complete for task in office.tasks] == [True]


async def test_who_is_nobodys_goes_to_who_is_named_for_that(shop: Callable[..., Shop]) -> None:
    nobody: dict[str, Any] = {"talker": None, "told": ()}
    office = shop(task="true", task_for='"102"')
    await office.write(vain(**nobody))
    await office.told()
    assert [task.told.performer_id for task in office.tasks] == [2]


async def test_where_there_is_nobody_there_is_no_task(shop: Callable[..., Shop]) -> None:
    office = shop(task="true")
    await office.write(vain(talker=None, told=()), called_back())
    await office.told()
    assert office.tasks == []


async def test_a_task_that_was_removed_in_the_crm_is_done(shop: Callable[..., Shop]) -> None:
    office = shop(task="true")
    await office.write(vain())
    await office.told()
    office.account.desk.tasks.clear()
    await office.write(called_back())
    await office.told()
    assert await office.calls.outbox.refusals() == []
    office.account.violations.clear()  # the CRM says that there is no such task


@pytest.mark.parametrize(
    ("wanted", "users", "groups"),
    [({"notify": '"manager"'}, [1], []), ({"notify": '"group"', "notify_group": '"sales"'}, [], ["sales"])],
)
async def test_a_notice_is_seen_by_the_manager_or_a_group(
    shop: Callable[..., Shop], wanted: dict[str, str], users: list[int], groups: list[str]
) -> None:
    office = shop(**wanted)
    await office.write(vain(name="<b>Анна</b>"), vain("m2", 40), called_back())
    await office.told()
    (notice,) = office.account.desk.notices
    assert (notice.user_ids, notice.user_groups) == (users, groups)
    assert "&lt;b&gt;Анна&lt;/b&gt;" in notice.message
    assert office.tasks == []


async def test_a_key_that_may_not_give_tasks_holds_up_nothing_else(shop: Callable[..., Shop]) -> None:
    office = shop(task="true", notify='"manager"')
    office.account.fault(Status(403), route="tasks")
    await office.write(vain(), vain("m2", 50, BORIS))
    async with office.telling() as delivery:
        await office.account.wait_until(lambda one: sum(r.route == "tasks" for r in one.requests) >= 1)
        assert delivery.problem is None
    assert {type(entry.tell).__name__ for entry in await office.calls.outbox.read()} >= {"TellTask"}
    office.account.heal()
    await office.told()
    assert len(office.tasks) == 2
    assert len(office.account.desk.notices) == 2
