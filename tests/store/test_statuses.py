"""Who is free and who is away: the CRM's callback, its list of users, and Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis

from ari_app.accounts.account import Account
from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import User, UsersPage
from ari_app.retailcrm.errors import CrmError, CrmLimited, CrmUnavailable
from ari_app.service import statuses
from ari_app.service.statuses import Statuses
from ari_app.store.connection import connect
from ari_app.store.statuses import Status, StatusStore
from tests.faults.redis_server import RedisServer
from tests.support.accounts import account_toml

SHOP = "shop.retailcrm.ru"
KEY = "{shop.retailcrm.ru}:statuses"


def account(**users: int) -> Account:
    """An account whose extensions belong to users: c101=1."""
    extensions = {code.removeprefix("c"): user for code, user in users.items()}
    return read_account(account_toml(extensions=extensions))


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
        async with asyncio.timeout(60):
            return await self.asked.get()

    def answers(self, *users: tuple[int, str | None], page: int = 1, pages: int = 1) -> None:
        found = tuple(User(ident, None, True, status) for ident, status in users)
        self._answers.put_nowait(UsersPage(found, page, pages))

    def gives(self, answer: UsersPage | CrmError) -> None:
        self._answers.put_nowait(answer)


class Managers:
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
        async with asyncio.timeout(60):
            while kept.get("status") != status:
                await asyncio.sleep(0.01)
                kept = orjson.loads(await self.redis.hget(KEY, code) or b"{}")
        return kept


@pytest.fixture
def managers(redis: Redis) -> Managers:
    return Managers(redis)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if holds():
                return
            await asyncio.sleep(0.001)


# What the callback says


@pytest.mark.parametrize("status", ["busy", "dinner", "break"])
async def test_a_manager_is_away_at_once_and_back_at_once(managers: Managers, status: str) -> None:
    managers.statuses.set("101", status, 5.0)
    assert managers.statuses.away == {"101"}
    assert managers.statuses.is_away("101")
    managers.statuses.set("101", "free", 6.0)
    assert managers.statuses.away == frozenset()


async def test_whom_nobody_spoke_of_is_not_away(managers: Managers) -> None:
    assert not managers.statuses.is_away("101")
    assert managers.statuses.away == frozenset()


async def test_a_state_outlives_the_service(managers: Managers) -> None:
    async with managers.at_work():
        managers.statuses.set("101", "dinner", 5.0)
        managers.statuses.set("102", "free", 6.0)
        assert await managers.keeps("101", "dinner") == {"status": "dinner", "at": 5.0}
        await managers.keeps("102", "free")
    again = managers.opened()
    await again.load()
    assert again.away == {"101"}


async def test_what_came_before_redis_was_read_is_newer(managers: Managers) -> None:
    await managers.store.keep({"101": Status("dinner", 1.0), "102": Status("break", 1.0)})
    managers.statuses.set("101", "free", 5.0)
    await managers.statuses.load()
    assert managers.statuses.away == {"102"}


@pytest.mark.parametrize("damage", [b"", b"busy", b"{}", b'{"status": 1, "at": null}', b"\xff"])
async def test_a_damaged_state_hides_no_other(managers: Managers, damage: bytes) -> None:
    await managers.store.keep({"102": Status("break", 1.0)})
    await managers.redis.hset(KEY, "101", damage)
    await managers.statuses.load()
    assert managers.statuses.away == {"102"}


# What the list of users says


async def test_the_list_of_users_fills_the_states(managers: Managers) -> None:
    async with managers.at_work():
        assert await managers.crm.is_asked() == (1, 100)
        managers.crm.answers((1, "busy"), (2, "free"), (77, "busy"))
        await managers.next_page()
        assert managers.statuses.away == {"101"}
        assert await managers.keeps("101", "busy") == {"status": "busy", "at": 1000.0}
    assert await managers.redis.hkeys(KEY) == [b"101", b"102"]


async def test_all_pages_are_read(managers: Managers) -> None:
    async with managers.at_work():
        for page, user in ((1, 1), (2, 2), (3, 3)):
            assert await managers.crm.is_asked() == (page, 100)
            managers.crm.answers((user, "dinner"), page=page, pages=3)
        await managers.next_page()
        assert managers.statuses.away == {"101", "102", "103"}


async def test_a_state_that_stays_keeps_its_moment(managers: Managers) -> None:
    async with managers.at_work():
        managers.statuses.set("101", "busy", 5.0)
        await managers.crm.is_asked()
        managers.crm.answers((1, "busy"))
        await managers.next_page()
        assert await managers.keeps("101", "busy") == {"status": "busy", "at": 5.0}


async def test_a_callback_wins_over_a_page_that_was_asked_for_before(managers: Managers) -> None:
    async with managers.at_work():
        await managers.crm.is_asked()
        managers.statuses.set("101", "free", 5.0)
        managers.crm.answers((1, "busy"), (2, "busy"))
        await managers.next_page()
        assert managers.statuses.away == {"102"}
        managers.crm.answers((1, "busy"))
        await managers.next_page()
        assert managers.statuses.away == {"101", "102"}


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
    managers: Managers, answer: UsersPage | CrmError
) -> None:
    managers.statuses.set("101", "busy", 5.0)
    async with managers.at_work():
        await managers.crm.is_asked()
        managers.crm.gives(answer)
        await managers.next_page()
        assert managers.statuses.away == {"101"}


async def test_a_failure_on_the_second_page_keeps_what_the_first_said(managers: Managers) -> None:
    async with managers.at_work():
        await managers.crm.is_asked()
        managers.crm.answers((1, "break"), pages=2)
        assert await managers.crm.is_asked() == (2, 100)
        managers.crm.gives(CrmUnavailable("no answer"))
        await managers.next_page()
        assert managers.statuses.away == {"101"}


async def test_after_a_failure_the_crm_is_asked_again_soon(
    managers: Managers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(statuses, "FIRST_RETRY_SECONDS", 0.001)
    async with managers.at_work():
        for _ in range(4):
            await managers.crm.is_asked()
            managers.crm.gives(CrmUnavailable("no answer"))
        await managers.crm.is_asked()
        managers.crm.answers((1, "dinner"))
        await until(lambda: managers.statuses.away == {"101"})
    said = capsys.readouterr().out
    assert said.count("the CRM doesn't say who is free") == 1
    assert said.count("the CRM says again who is free") == 1


async def test_the_crm_is_asked_every_few_minutes(
    managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statuses, "EVERY_SECONDS", 0.001)
    async with managers.at_work():
        for status in ("busy", "free", "dinner"):
            await managers.crm.is_asked()
            managers.crm.answers((1, status))
        await until(lambda: managers.statuses.away == {"101"})


# The account changes


async def test_an_extension_that_is_gone_is_away_from_nobody(managers: Managers) -> None:
    managers.statuses.set("101", "busy", 5.0)
    managers.current.change(account(c102=2))
    assert managers.statuses.away == frozenset()


async def test_another_person_at_an_extension_is_asked_for_at_once(managers: Managers) -> None:
    async with managers.at_work():
        await managers.crm.is_asked()
        managers.crm.answers((1, "busy"), (9, "free"))
        await until(lambda: managers.statuses.away == {"101"})
        managers.current.change(account(c101=9))
        managers.statuses.account_changed()
        await managers.crm.is_asked()
        managers.crm.answers((1, "busy"), (9, "free"))
        await until(lambda: managers.statuses.away == frozenset())


# Redis is away


async def test_while_redis_is_away_states_are_known_and_they_are_kept_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statuses, "STORE_RETRY_SECONDS", 0.01)
    async with RedisServer(tmp_path) as server:
        redis = connect(server.url)
        managers = Managers(redis)
        await server.kill()
        async with managers.at_work():
            managers.statuses.set("101", "busy", 5.0)
            managers.statuses.set("102", "dinner", 5.0)
            await managers.crm.is_asked()
            assert managers.statuses.away == {"101", "102"}
            managers.statuses.set("102", "free", 6.0)
            await server.start()
            await managers.keeps("101", "busy")
            await managers.keeps("102", "free")
        await redis.aclose()


async def test_states_that_cannot_be_read_at_the_start_are_said_in_words(tmp_path: Path) -> None:
    redis = connect(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(StoreUnavailable, match="Redis does not do what it is asked"):
        await Managers(redis).statuses.load()
    await redis.aclose()
