"""How the CRM's users are synchronised, and extensions that were entered there are merged with ours."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.extensions import Conflict, merge
from ari_app.accounts.sections import ExtensionOf
from ari_app.accounts.staff import Synchronisation
from ari_app.demo.crm.simulator import HtmlPage, Manager, Nonsense, Silent, Slow, Status
from ari_app.store.staff import StaffStore
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


def store(cabinet: CabinetShop) -> StaffStore:
    return StaffStore(cabinet.shop.redis, cabinet.shop.account.id)


async def press(reader: Reader) -> None:
    answer = await reader.post("/extensions/synchronise", token=await reader.token("/extensions"))
    assert (answer.status, answer.headers["Location"]) == (303, "/extensions")


async def ended(of: StaffStore) -> Synchronisation:
    async with asyncio.timeout(60):
        while True:
            how = await of.synchronisation()
            if how is not None and how.ended_at is not None:
                return how
            await asyncio.sleep(0.02)


async def synchronised(cabinet: CabinetShop, reader: Reader) -> Synchronisation:
    await press(reader)
    return await ended(store(cabinet))


def entered(cabinet: CabinetShop, **codes: str) -> None:
    """Let somebody enter extensions in the CRM: of users 1, 2, ... as ``u1="109"``."""
    module: dict[str, Any] = cabinet.shop.crm_account.rights.modules["ari-app"]
    telephony = module["integrations"]["telephony"]
    there = {one["userId"]: one["code"] for one in telephony["additionalCodes"]}
    there |= {int(user[1:]): code for user, code in codes.items()}
    telephony["additionalCodes"] = [{"userId": user, "code": code} for user, code in there.items()]


async def codes(cabinet: CabinetShop) -> dict[int, str]:
    account = await cabinet.shop.service.accounts.find(cabinet.shop.account.id)
    assert account is not None
    return {one.user_id: one.code for one in account.extensions}


def told(cabinet: CabinetShop) -> dict[int, str]:
    module: dict[str, Any] = cabinet.shop.crm_account.rights.modules["ari-app"]
    listed = module["integrations"]["telephony"]["additionalCodes"]
    return {one["userId"]: one["code"] for one in listed}


async def test_before_it_was_pressed_the_page_says_to_press_it_where_nobody_is_known(
    cabinet: CabinetShop,
) -> None:
    await cabinet.shop.service.accounts.change(
        cabinet.shop.account.id, lambda now: now.model_copy(update={"extensions": ()})
    )
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        text = await reader.text("/extensions")
    assert "No employees are known yet" in text
    assert "Synchronise users" in text


async def test_names_come_page_by_page_and_are_known_on_other_pages(
    cabinet: CabinetShop, reader: Reader
) -> None:
    for ident in range(10, 260):
        cabinet.shop.crm_account.add_manager(Manager(id=ident, last_name=f"Сотрудник{ident}"))
    how = await synchronised(cabinet, reader)
    assert (how.problem, how.page, how.pages, how.users) == ("", 3, 3, 253)
    assert how.new == 0
    assert "Ольгина" in await reader.text("/extensions?q=101")
    assert "Ольгина" in await reader.text("/calls")
    whole = await reader.text("/extensions")
    assert "1 of 3" in whole
    assert len(whole.encode()) < 150_000


async def test_new_blocked_and_left_ones_are_shown_as_such(cabinet: CabinetShop, reader: Reader) -> None:
    await synchronised(cabinet, reader)
    crm = cabinet.shop.crm_account
    crm.add_manager(Manager(id=7, last_name="Новиков"))
    crm.add_manager(replace(crm._managers[2], active=False))
    del crm._managers[3]
    how = await synchronised(cabinet, reader)
    assert (how.users, how.new, how.blocked, how.left) == (3, 1, 1, 1)
    text = await reader.text("/extensions")
    for name, badge in (("Новиков", ">new<"), ("Борисов", ">blocked<"), ("Верин", "no longer in the CRM")):
        assert badge in text.partition(name)[2].partition("</td>")[0]
    assert (await codes(cabinet))[3] == "103"
    assert (await synchronised(cabinet, reader)).new == 0


@pytest.mark.parametrize(
    ("fault", "word", "sentence"),
    [
        (Status(500), "silent", "did not answer, or not as it should"),
        (Status(403, "Access denied."), "denied", "must be active and allow /api/users"),
        (HtmlPage(), "silent", "did not answer, or not as it should"),
        (
            Nonsense('{"success":true,"users":[],"pagination":{"currentPage":1,"totalPageCount":1}}'),
            "empty",
            "it has no users",
        ),
        (Nonsense("[]"), "silent", "did not answer, or not as it should"),
    ],
)
async def test_a_failed_or_empty_answer_erases_nothing_and_is_explained(
    cabinet: CabinetShop, reader: Reader, fault: Any, word: str, sentence: str
) -> None:
    await synchronised(cabinet, reader)
    before = await store(cabinet).people()
    cabinet.shop.crm_account.fault(fault, route="users")
    assert (await synchronised(cabinet, reader)).problem == word
    assert await store(cabinet).people() == before
    text = await reader.text("/extensions")
    assert sentence in text
    assert "stays as it is" in text
    assert "Ольгина" in text
    cabinet.shop.crm_account.heal()
    assert (await synchronised(cabinet, reader)).problem == ""


async def test_a_failure_in_a_later_page_takes_nothing_of_the_earlier_ones(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await synchronised(cabinet, reader)
    crm = cabinet.shop.crm_account
    for ident in range(10, 240):
        crm.add_manager(Manager(id=ident, last_name=f"Сотрудник{ident}"))
    crm.fault(Slow(0.3), route="users", times=2)
    await press(reader)
    async with asyncio.timeout(60):
        while True:
            how = await store(cabinet).synchronisation()
            if how is not None and how.page >= 1:
                break
            await asyncio.sleep(0.01)
    crm.heal()
    crm.fault(Status(500), route="users")
    how = await ended(store(cabinet))
    assert how.problem == "silent"
    assert 0 < how.page < how.pages == 3
    assert len(await store(cabinet).people()) == 3
    assert "The last page that came was" in await reader.text("/extensions")


async def test_pressed_twice_it_runs_once_and_shows_how_far_it_is(
    cabinet: CabinetShop, reader: Reader
) -> None:
    crm = cabinet.shop.crm_account
    crm.fault(Silent(), route="users")
    await press(reader)
    first = await store(cabinet).synchronisation()
    await press(reader)
    assert await store(cabinet).synchronisation() == first
    text = await reader.text("/extensions")
    assert "You may leave this page" in text
    assert 'hx-get="/extensions/progress"' in text
    assert "Synchronise users" not in text
    answer = await reader.get("/extensions/progress", **{"HX-Request": "true"})
    assert "<progress" in await answer.text()
    assert (await reader.get("/extensions/progress")).status == 303


async def test_one_that_a_restart_cut_off_is_said_to_be(cabinet: CabinetShop, reader: Reader) -> None:
    await store(cabinet).note(Synchronisation(1_700_000_000.0, page=2, pages=5))
    text = await reader.text("/extensions")
    assert "The service was restarted meanwhile" in text
    assert "2 of 5" in text
    assert "Synchronise users" in text
    assert (await synchronised(cabinet, reader)).problem == ""


async def test_extensions_that_were_entered_in_the_crm_are_taken(
    cabinet: CabinetShop, reader: Reader
) -> None:
    cabinet.shop.crm_account.add_manager(Manager(id=7, last_name="Новиков"))
    await synchronised(cabinet, reader)
    entered(cabinet, u7="107", u1="109")
    how = await synchronised(cabinet, reader)
    assert (how.taken, how.conflicts) == (2, ())
    assert await codes(cabinet) == told(cabinet) == {1: "109", 2: "102", 3: "103", 7: "107"}


async def test_a_conflict_is_shown_and_ours_is_kept(cabinet: CabinetShop, reader: Reader) -> None:
    cabinet.shop.crm_account.add_manager(Manager(id=7, last_name="Новиков"))
    await synchronised(cabinet, reader)
    entered(cabinet, u7="101")
    how = await synchronised(cabinet, reader)
    assert how.conflicts == (Conflict(7, "101", None, holder=1),)
    assert await codes(cabinet) == told(cabinet) == {1: "101", 2: "102", 3: "103"}
    text = await reader.text("/extensions")
    assert "Ours are kept" in text
    assert "101 belongs to Ольгина" in text


async def test_names_are_taken_also_when_the_crm_does_not_tell_of_our_module(
    cabinet: CabinetShop, reader: Reader
) -> None:
    cabinet.shop.crm_account.fault(Status(500), route="module")
    how = await synchronised(cabinet, reader)
    assert (how.problem, how.users) == ("", 3)
    assert "could not be compared" in await reader.text("/extensions")
    cabinet.shop.crm_account.heal()
    await cabinet.shop.service.informing.retry()
    assert not await store(cabinet).to_tell()


@pytest.mark.parametrize(
    ("ours", "theirs", "told_", "then", "conflicts"),
    [
        ({1: "101"}, {}, {1: "101"}, {1: "101"}, ()),  # lost there: told again
        ({}, {1: "101"}, {1: "101"}, {}, ()),  # removed here: not taken back
        ({1: "102"}, {1: "101"}, {1: "101"}, {1: "102"}, ()),  # changed here
        ({1: "101"}, {1: "105"}, {1: "101"}, {1: "105"}, ()),  # changed there
        ({1: "102"}, {1: "105"}, {1: "101"}, {1: "102"}, (Conflict(1, "105", "102"),)),  # in both
        ({1: "101"}, {1: "105"}, {}, {1: "101"}, (Conflict(1, "105", "101"),)),  # never told
        ({}, {1: "reception"}, {}, {}, (Conflict(1, "reception"),)),  # no extension at all
        ({}, {1: "101", 2: "101"}, {}, {1: "101"}, (Conflict(2, "101", None, 1),)),  # twice there
    ],
)
def test_what_was_changed_in_one_place_holds_and_in_both_ours(
    ours: dict[int, str],
    theirs: dict[int, str],
    told_: dict[int, str],
    then: dict[int, str],
    conflicts: tuple[Conflict, ...],
) -> None:
    kept = tuple(ExtensionOf(user_id=user, code=code) for user, code in ours.items())
    merged = merge(kept, theirs, told_)
    assert {one.user_id: one.code for one in merged.extensions} == then
    assert merged.conflicts == conflicts


async def of_newcomer(cabinet: CabinetShop) -> tuple[RegisteredAccount, Synchronisation]:
    """The account that was made just now, and how its first synchronisation went."""
    accounts = await cabinet.shop.service.accounts.registered()
    [made] = (one for one in accounts if one.crm.url == cabinet.newcomer.url)
    return made, await ended(StaffStore(cabinet.shop.redis, made.id))


async def test_after_the_first_sign_in_employees_are_known_by_name_without_a_click(
    cabinet: CabinetShop,
) -> None:
    async with cabinet.reader() as reader:
        assert (await reader.sign_in(cabinet.newcomer.url, NEW_KEY)).status == 303
        made, how = await of_newcomer(cabinet)
        assert (how.problem, how.users) == ("", 1)
        assert "Седов" in await reader.text("/extensions")
        assert "last answer" in await reader.text("/")
    async with cabinet.reader() as another:
        assert (await another.sign_in(cabinet.newcomer.url, NEW_KEY)).status == 303
    assert await StaffStore(cabinet.shop.redis, made.id).synchronisation() == how
    assert cabinet.crm.violations == []


async def test_after_a_click_in_the_marketplace_employees_are_known_by_name(
    redis: Redis, tmp_path: Path
) -> None:
    async with cabinet_shop(redis, tmp_path, marketplace_secret="the marketplace's") as cabinet:
        answer = await cabinet.newcomer.connect(f"{cabinet.address}/crm/config", "the marketplace's")
        assert answer.status == 200
        _, how = await of_newcomer(cabinet)
        assert (how.problem, how.users) == ("", 1)


async def test_whose_crm_gives_no_names_at_the_first_sign_in_gets_in_and_reads_why(
    cabinet: CabinetShop,
) -> None:
    cabinet.newcomer.fault(Status(500), route="users")
    async with cabinet.reader() as reader:
        assert (await reader.sign_in(cabinet.newcomer.url, NEW_KEY)).status == 303
        _, how = await of_newcomer(cabinet)
        assert how.problem == "silent"
        assert "did not answer, or not as it should" in await reader.text("/extensions")
        assert 'data-state="bad" data-part="crm"' in await reader.text("/")


async def test_strangers_and_others_without_the_token_start_nothing(cabinet: CabinetShop) -> None:
    async with cabinet.reader() as stranger:
        answer = await stranger.post("/extensions/synchronise", token=await stranger.token())
        assert answer.headers["Location"].startswith("/sign-in")
        assert (await stranger.get("/extensions/progress")).headers["Location"].startswith("/sign-in")
        await stranger.enter(cabinet)
        assert (await stranger.post("/extensions/synchronise")).status == 403
    assert await store(cabinet).synchronisation() is None
