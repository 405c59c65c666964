"""What strangers, and a Redis that is away, do to the pages."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from structlog.testing import capture_logs

from ari_app.accounts.account import RegisteredAccount
from ari_app.demo.crm.simulator import Silent
from ari_app.store.keys import Keys
from ari_app.store.staff import StaffStore
from cabinet.frame.security import ATTEMPTS
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop

FORMS = ["/sign-in", "/sign-out", "/language"]


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        yield reader


async def test_what_opens_the_cabinet_is_not_logged_while_redis_is_away(
    cabinet: CabinetShop, reader: Reader, redis: Redis
) -> None:
    with capture_logs() as logged:
        await redis.execute_command("CLIENT", "PAUSE", "4000", "ALL")  # type: ignore[no-untyped-call]
        answer = await reader.get(f"/account/{cabinet.secret}")
    assert answer.status == 503
    assert any("a page can't be shown" in line["event"] for line in logged)
    assert cabinet.secret not in str(logged)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded; charset=nonsense", b"a=b"),
        ("application/x-www-form-urlencoded", b"a=%ff%fe&\xff=\xff"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nwithout a name\r\n--x--\r\n"),
    ],
)
async def test_what_is_no_form_is_refused_and_is_no_failure(
    reader: Reader, path: str, kind: str, body: bytes
) -> None:
    with capture_logs() as logged:
        answer = await reader.client.post(
            path, data=body, headers=reader.headers | {"Content-Type": kind}, allow_redirects=False
        )
    assert answer.status in (400, 403)
    assert [line for line in logged if line["log_level"] == "error"] == []


async def test_what_the_crm_sends_with_the_secret_may_be_no_form(
    cabinet: CabinetShop, reader: Reader
) -> None:
    answer = await reader.client.post(
        f"/account/{cabinet.secret}",
        data=b"a=b",
        headers=reader.headers | {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"},
        allow_redirects=False,
    )
    assert answer.status == 400


async def test_a_session_ends_when_the_key_becomes_another_one(cabinet: CabinetShop, reader: Reader) -> None:
    await reader.enter(cabinet)
    accounts, account = cabinet.shop.service.accounts, cabinet.shop.account
    await accounts.change(account.id, lambda now: _with(now, api_key="f" * 32))
    assert (await reader.get("/calls")).status == 303
    assert (await reader.client.get("/api/calls")).status == 401


async def test_a_session_ends_when_the_cabinets_secret_becomes_another_one(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await reader.enter(cabinet)
    accounts, account = cabinet.shop.service.accounts, cabinet.shop.account
    await accounts.change(account.id, lambda now: _with(now, cabinet_secret="another"))
    assert (await reader.get("/calls")).status == 303


async def test_a_session_does_not_outlive_an_account_that_is_made_anew(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await reader.enter(cabinet)
    accounts, account = cabinet.shop.service.accounts, cabinet.shop.account
    assert await accounts.remove(account.id, force=True)
    crm = account.crm.model_copy(update={"cabinet_secret": None})
    again = await accounts.apply(account.model_copy(update={"crm": crm}), keep_client_id=False)
    assert again.id == account.id
    assert (await reader.get("/calls")).status == 303


async def test_a_session_goes_on_when_other_settings_change(cabinet: CabinetShop, reader: Reader) -> None:
    await reader.enter(cabinet)
    accounts, account = cabinet.shop.service.accounts, cabinet.shop.account
    await accounts.change(account.id, lambda now: _with(now, client_id="c" * 32))
    assert (await reader.get("/calls")).status == 200


def _with(account: RegisteredAccount, **crm: str) -> RegisteredAccount:
    secrets = {name: SecretStr(text) for name, text in crm.items()}
    return account.model_copy(update={"crm": account.crm.model_copy(update=secrets)})


async def tries(reader: Reader, cabinet: CabinetShop, times: int, *heard: str) -> int:
    """Try wrong keys, each time for another CRM; give the last status. `heard` is what proxies say."""
    token = await reader.token()
    for number in range(times):
        headers = [*reader.headers.items(), *(("X-Forwarded-For", one.format(number)) for one in heard)]
        form = {"token": token, "crm": f"http://127.0.0.{2 + number}:9", "key": "w" * 32}
        answer = await reader.client.post("/sign-in", data=form, headers=headers, allow_redirects=False)
    return answer.status


@pytest.mark.parametrize(
    ("heard", "limited"),
    [
        (("192.0.2.{}, 203.0.113.7",), True),
        (("192.0.2.{}", "203.0.113.7"), True),
        (("2001:db8:1:2::{}",), True),
        (("2001:db8:1:{}::1",), False),
        (("203.0.113.{}",), False),
    ],
    ids=["made up", "made up on a line of its own", "one network", "several networks", "several addresses"],
)
async def test_who_makes_up_addresses_is_limited_all_the_same(
    redis: Redis, tmp_path: Path, heard: tuple[str, ...], limited: bool
) -> None:
    async with cabinet_shop(redis, tmp_path, proxies="1") as cabinet, cabinet.reader() as reader:
        assert (await tries(reader, cabinet, ATTEMPTS + 1, *heard) == 429) is limited


async def test_an_account_whose_state_is_damaged_keeps_no_other_crm_from_being_told(
    cabinet: CabinetShop, reader: Reader, redis: Redis
) -> None:
    await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
    newcomer = await cabinet.shop.service.accounts.at(cabinet.newcomer.url)
    assert newcomer is not None
    for one in (newcomer.id, cabinet.shop.account.id):
        await StaffStore(redis, one).changed()
    first, last = sorted((newcomer.id, cabinet.shop.account.id))
    await redis.hset(Keys(first).staff_about, "changes", "nonsense")
    await cabinet.shop.service.informing.retry()
    assert not await StaffStore(redis, last).to_tell()


async def test_a_silent_crm_keeps_no_other_crm_from_being_told(
    cabinet: CabinetShop, reader: Reader, redis: Redis
) -> None:
    await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
    newcomer = await cabinet.shop.service.accounts.at(cabinet.newcomer.url)
    assert newcomer is not None
    crms = {newcomer.id: cabinet.newcomer, cabinet.shop.account.id: cabinet.shop.crm_account}
    first, last = sorted(crms)
    crms[first].fault(Silent())
    for one in crms:
        await StaffStore(redis, one).changed()
    telling = asyncio.create_task(cabinet.shop.service.informing.retry())
    async with asyncio.timeout(5):
        while await StaffStore(redis, last).to_tell():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert not telling.done()
    telling.cancel()
