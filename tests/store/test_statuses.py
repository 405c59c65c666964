"""Who is free and who is away: the CRM's callback, its list of users, and Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis

from ari_app.accounts.account import Account, read_account
from ari_app.accounts.current import Current
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import User, UsersPage
from ari_app.retailcrm.errors import CrmError, CrmLimited, CrmUnavailable
from ari_app.service import statuses
from ari_app.service.statuses import Statuses
from ari_app.store.connection import connect
from ari_app.store.statuses import Status, StatusStore
from tests.faults.redis_server import RedisServer

SHOP = "shop.retailcrm.ru"
KEY = "{shop.retailcrm.ru}:statuses"


def account(**users: int) -> Account:
    """An account whose extensions belong to users: c101=1."""
    extensions = "".join(
        f'[[extensions]]\nuser_id = {user}\ncode = "{code.removeprefix("c")}"\n'
        for code, user in users.items()
    )
    return read_account(
        f"""
        [crm]
        url = "https://{SHOP}"
        api_key = "key"
        [pbx]
        host = "127.0.0.1"
        ari_username = "ari"
        ari_password = "ari"
        {extensions}"""
    )


class Crm:
    """A CRM that answers when a test lets it: a page, or an error."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self._answers: asyncio.Queue[UsersPage | CrmError] = asyncio.Queue()

    async def users(self, page: int = 1, limit: int = 100) -> UsersPage:
        self.asked.put_nowait((page, limit))
        answer = await self._answers.get()
        if isinstance(answer, CrmError):
            raise answer
        return answer

    async def is_asked(self) -> tuple[int, int]:
        async with asyncio.timeout(5):
            return await self.asked.get()

    def answers(self, *users: tuple[int, str | None], page: int = 1, pages: int = 1) -> None:
        found = tuple(User(ident, None, True, status) for ident, status in users)
        self._answers.put_nowait(UsersPage(found, page, pages))

    def gives(self, answer: UsersPage | CrmError) -> None:
        self._answers.put_nowait(answer)


class Office:
    """The states of one account's managers: 101 is user 1's, 102 user 2's, 103 user 3's."""

    def __init__(self, redis: Redis) -> None:
        self.current = Current(account(c101=1, c102=2, c103=3))
        self.crm = Crm()
        self.redis = redis
        self.now = 1000.0
        self.store = StatusStore(redis, SHOP)
        self.statuses = self.opened()

    def opened(self) -> Statuses:
        return Statuses(self.current, self.store, self.crm, lambda: self.now)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        work = asyncio.create_task(self.statuses.run())
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def next_page(self) -> None:
        """Return when an answer was read and the CRM is asked again."""
        self.statuses.account_changed()
        await self.crm.is_asked()

    async def keeps(self, code: str, status: str) -> dict[str, object]:
        """Wait until Redis has it."""
        kept: dict[str, object] = {}
        async with asyncio.timeout(10):
            while kept.get("status") != status:
                await asyncio.sleep(0.01)
                kept = orjson.loads(await self.redis.hget(KEY, code) or b"{}")
        return kept


@pytest.fixture
def office(redis: Redis) -> Office:
    return Office(redis)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if holds():
                return
            await asyncio.sleep(0.001)


# What the callback says


@pytest.mark.parametrize("status", ["busy", "dinner", "break"])
async def test_a_manager_is_away_at_once_and_back_at_once(office: Office, status: str) -> None:
    office.statuses.set("101", status, 5.0)
    assert office.statuses.away == {"101"}
    assert office.statuses.is_away("101")
    office.statuses.set("101", "free", 6.0)
    assert office.statuses.away == frozenset()


async def test_whom_nobody_spoke_of_is_not_away(office: Office) -> None:
    assert not office.statuses.is_away("101")
    assert office.statuses.away == frozenset()


async def test_a_state_outlives_the_service(office: Office) -> None:
    async with office.at_work():
        office.statuses.set("101", "dinner", 5.0)
        office.statuses.set("102", "free", 6.0)
        assert await office.keeps("101", "dinner") == {"status": "dinner", "at": 5.0}
        await office.keeps("102", "free")
    again = office.opened()
    await again.load()
    assert again.away == {"101"}


async def test_what_came_before_redis_was_read_is_newer(office: Office) -> None:
    await office.store.keep({"101": Status("dinner", 1.0), "102": Status("break", 1.0)})
    office.statuses.set("101", "free", 5.0)
    await office.statuses.load()
    assert office.statuses.away == {"102"}


@pytest.mark.parametrize("damage", [b"", b"busy", b"{}", b'{"status": 1, "at": null}', b"\xff"])
async def test_a_damaged_state_hides_no_other(office: Office, damage: bytes) -> None:
    await office.store.keep({"102": Status("break", 1.0)})
    await office.redis.hset(KEY, "101", damage)
    await office.statuses.load()
    assert office.statuses.away == {"102"}


# What the list of users says


async def test_the_list_of_users_fills_the_states(office: Office) -> None:
    async with office.at_work():
        assert await office.crm.is_asked() == (1, 100)
        office.crm.answers((1, "busy"), (2, "free"), (77, "busy"))
        await office.next_page()
        assert office.statuses.away == {"101"}
        assert await office.keeps("101", "busy") == {"status": "busy", "at": 1000.0}
    assert await office.redis.hkeys(KEY) == [b"101", b"102"]


async def test_all_pages_are_read(office: Office) -> None:
    async with office.at_work():
        for page, user in ((1, 1), (2, 2), (3, 3)):
            assert await office.crm.is_asked() == (page, 100)
            office.crm.answers((user, "dinner"), page=page, pages=3)
        await office.next_page()
        assert office.statuses.away == {"101", "102", "103"}


async def test_a_state_that_stays_keeps_its_moment(office: Office) -> None:
    async with office.at_work():
        office.statuses.set("101", "busy", 5.0)
        await office.crm.is_asked()
        office.crm.answers((1, "busy"))
        await office.next_page()
        assert await office.keeps("101", "busy") == {"status": "busy", "at": 5.0}


async def test_a_callback_wins_over_a_page_that_was_asked_for_before(office: Office) -> None:
    async with office.at_work():
        await office.crm.is_asked()
        office.statuses.set("101", "free", 5.0)
        office.crm.answers((1, "busy"), (2, "busy"))
        await office.next_page()
        assert office.statuses.away == {"102"}
        office.crm.answers((1, "busy"))
        await office.next_page()
        assert office.statuses.away == {"101", "102"}


@pytest.mark.parametrize(
    "answer",
    [
        UsersPage((), 1, 1),
        UsersPage((User(1, None, True, None),), 1, 1),
        UsersPage((User(1, None, True, "vacation"),), 1, 1),
        UsersPage((User(1, None, False, "free"),), 1, 1),
        UsersPage((User(2, None, True, "free"),), 1, 1),
        CrmUnavailable("no answer"),
        CrmLimited("too many", 1.0),
    ],
)
async def test_an_answer_that_says_nothing_of_a_manager_changes_nothing(
    office: Office, answer: UsersPage | CrmError
) -> None:
    office.statuses.set("101", "busy", 5.0)
    async with office.at_work():
        await office.crm.is_asked()
        office.crm.gives(answer)
        await office.next_page()
        assert office.statuses.away == {"101"}


async def test_a_failure_on_the_second_page_keeps_what_the_first_said(office: Office) -> None:
    async with office.at_work():
        await office.crm.is_asked()
        office.crm.answers((1, "break"), pages=2)
        assert await office.crm.is_asked() == (2, 100)
        office.crm.gives(CrmUnavailable("no answer"))
        await office.next_page()
        assert office.statuses.away == {"101"}


async def test_after_a_failure_the_crm_is_asked_again_soon(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(statuses, "FIRST_RETRY_SECONDS", 0.001)
    async with office.at_work():
        for _ in range(4):
            await office.crm.is_asked()
            office.crm.gives(CrmUnavailable("no answer"))
        await office.crm.is_asked()
        office.crm.answers((1, "dinner"))
        await until(lambda: office.statuses.away == {"101"})
    said = capsys.readouterr().out
    assert said.count("the CRM doesn't say who is free") == 1
    assert said.count("the CRM says again who is free") == 1


async def test_the_crm_is_asked_every_few_minutes(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "EVERY_SECONDS", 0.001)
    async with office.at_work():
        for status in ("busy", "free", "dinner"):
            await office.crm.is_asked()
            office.crm.answers((1, status))
        await until(lambda: office.statuses.away == {"101"})


# The account changes


async def test_an_extension_that_is_gone_is_away_from_nobody(office: Office) -> None:
    office.statuses.set("101", "busy", 5.0)
    office.current.change(account(c102=2))
    assert office.statuses.away == frozenset()


async def test_another_person_at_an_extension_is_asked_for_at_once(office: Office) -> None:
    async with office.at_work():
        await office.crm.is_asked()
        office.crm.answers((1, "busy"), (9, "free"))
        await until(lambda: office.statuses.away == {"101"})
        office.current.change(account(c101=9))
        office.statuses.account_changed()
        await office.crm.is_asked()
        office.crm.answers((1, "busy"), (9, "free"))
        await until(lambda: office.statuses.away == frozenset())


# Redis is away


async def test_while_redis_is_away_states_are_known_and_they_are_kept_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statuses, "STORE_RETRY_SECONDS", 0.01)
    async with RedisServer(tmp_path) as server:
        redis = connect(server.url)
        office = Office(redis)
        await server.kill()
        async with office.at_work():
            office.statuses.set("101", "busy", 5.0)
            office.statuses.set("102", "dinner", 5.0)
            await office.crm.is_asked()
            assert office.statuses.away == {"101", "102"}
            office.statuses.set("102", "free", 6.0)
            await server.start()
            await office.keeps("101", "busy")
            await office.keeps("102", "free")
        await redis.aclose()


async def test_states_that_cannot_be_read_at_the_start_are_said_in_words(tmp_path: Path) -> None:
    redis = connect(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(StoreUnavailable, match="Redis does not do what it is asked"):
        await Office(redis).statuses.load()
    await redis.aclose()
