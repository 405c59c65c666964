"""The addresses that only the CRM knows, and links for one visit: what they open, for whom, until when."""

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from ari_app.cli import app
from ari_app.demo.crm.faults import Status
from ari_app.keyring import KeyRing
from ari_app.retailcrm.module import MODULE_CODE
from ari_app.service.doors import TICKET_SECONDS, Ticket, read_ticket
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import API_KEY, CLIENT_ID, SECRET_KEY

GUESSES = 300
KEYS = KeyRing(SECRET_KEY)


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet, cabinet.reader() as owner:
        await owner.sign_in(cabinet.shop.crm_account.url, API_KEY)  # the module is registered
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        yield reader


def secret_that_the_crm_has(cabinet: CabinetShop) -> str:
    address: str = cabinet.shop.crm_account.rights.modules[MODULE_CODE]["accountUrl"]
    return address.rpartition("/")[2]


def link_to(cabinet: CabinetShop, at: float | None = None) -> str:
    return f"/door/{Ticket.to(cabinet.shop.account.id, at or time.time()).signed(KEYS)}"


async def press_the_button(reader: Reader, page: str) -> tuple[int, str]:
    """Open what a page asks about; give the status, and where it leads."""
    text = await reader.text(page)
    action = re.search(r'<form method="post" action="(/door/[^"]+)"', text)
    token = re.search(r'action="/door/.*?name="token" value="([0-9a-f]+)"', text, re.DOTALL)
    assert action is not None
    assert token is not None
    answer = await reader.post(action[1], token=token[1])
    return answer.status, answer.headers.get("Location", "")


# Opening it


@pytest.mark.parametrize("way", ["address", "link"])
async def test_who_is_signed_in_to_another_account_is_asked_first(
    cabinet: CabinetShop, reader: Reader, way: str
) -> None:
    await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
    mine = cabinet.newcomer.url.partition("://")[2]
    mine_id = mine.replace(":", "-")
    page = f"/account/{cabinet.secret}" if way == "address" else link_to(cabinet)
    text = await reader.text(page)
    assert f"In this browser the cabinet of {mine} is open" in text
    assert cabinet.secret not in text
    assert mine_id in await reader.text("/")
    assert await press_the_button(reader, page) == (303, "/")
    assert mine_id not in await reader.text("/")
    assert cabinet.shop.account.id in await reader.text("/")


async def test_a_form_from_elsewhere_changes_nobodys_session(cabinet: CabinetShop, reader: Reader) -> None:
    """A browser sends a form of another site's without our cookie, so who is signed in isn't known then."""
    await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
    async with cabinet.reader() as without_cookie:
        answer = await without_cookie.post(f"/account/{cabinet.secret}", clientId=CLIENT_ID)
        assert (answer.status, answer.headers["Location"]) == (303, f"/account/{cabinet.secret}")
        assert "Set-Cookie" not in answer.headers
    assert "is open" in await reader.text(f"/account/{cabinet.secret}")


async def test_who_guesses_at_secrets_has_redis_asked_for_nothing(
    cabinet: CabinetShop, reader: Reader, redis: Redis
) -> None:
    account = cabinet.shop.account.id
    forged = Ticket.to(account, time.time()).signed(KeyRing("another key" * 4))
    guesses = [f"/account/{number:043d}" for number in range(GUESSES)]
    guesses += [f"/account/{cabinet.secret[:-1]}{letter}" for letter in "!~-"]
    guesses += [f"/door/{forged}", f"/door/{account}~{int(time.time()) + 60}~x~{'0' * 64}", "/door/x"]
    async with redis.monitor() as monitor:
        for guess in guesses:
            assert (await reader.get(guess)).status == 404
        await redis.echo("the last one")
        asked: list[str] = []
        while True:
            command = (await monitor.next_command())["command"]
            if "the last one" in command:
                break
            asked.append(command)
    of_a_guess = re.compile(r"(HGET|HGETALL|HKEYS) accounts|\S+ (session|door|attempts):")
    assert [one for one in asked if of_a_guess.match(one)] == []


async def test_a_wrong_or_old_client_id_beside_the_secret_opens_nothing(
    cabinet: CabinetShop, reader: Reader
) -> None:
    assert (await reader.post(f"/account/{cabinet.secret}", clientId="another")).status == 404


# Another address


async def test_a_renewed_address_works_and_the_old_one_ends_at_once(
    cabinet: CabinetShop, reader: Reader
) -> None:
    old = cabinet.secret
    await reader.enter(cabinet)
    async with cabinet.reader() as another, cabinet.reader() as stranger:
        await another.enter(cabinet)
        token = await reader.token("/api-access")
        answer = await reader.post("/api-access/address", token=token)
        assert (answer.status, answer.headers["Location"]) == (303, "/api-access?said=address")
        assert (await stranger.get(f"/account/{old}")).status == 404
        new = secret_that_the_crm_has(cabinet)
        assert new != old
        assert (await stranger.get(f"/account/{new}")).headers["Location"] == "/"
        assert (await another.get("/")).status == 303  # whoever knew the old address has to come in anew
    assert "The old ones open nothing any more" in await reader.text("/api-access?said=address")


async def test_clicks_by_the_old_address_are_refused_too(cabinet: CabinetShop, reader: Reader) -> None:
    module = cabinet.shop.crm_account.rights.modules[MODULE_CODE]
    old = module["integrations"]["telephony"]["makeCallUrl"].removeprefix(cabinet.address)
    await reader.enter(cabinet)
    await reader.post("/api-access/address", token=await reader.token("/api-access"))
    new = cabinet.shop.crm_account.rights.modules[MODULE_CODE]["integrations"]["telephony"]["makeCallUrl"]
    new = new.removeprefix(cabinet.address)
    asked = {"clientId": CLIENT_ID, "code": "101"}  # without a number: nobody is rung whatever the answer
    await cabinet.shop.changed(lambda now: now.crm.cabinet_secret != cabinet.shop.account.crm.cabinet_secret)
    assert (await reader.client.get(new, params=asked)).status == 400
    assert (await reader.client.get(old, params=asked)).status == 401


async def test_while_the_crm_is_away_it_is_told_later(cabinet: CabinetShop, reader: Reader) -> None:
    await reader.enter(cabinet)
    cabinet.shop.crm_account.fault(Status(500), route="module")
    old = cabinet.secret
    answer = await reader.post("/api-access/address", token=await reader.token("/api-access"))
    assert answer.headers["Location"] == "/api-access?said=later"
    assert (await reader.get(f"/account/{old}")).status == 404
    cabinet.shop.crm_account.heal()
    await cabinet.shop.service.informing.retry()
    assert secret_that_the_crm_has(cabinet) != old


# Without the CRM


async def test_a_session_lasts_while_the_crm_is_away(cabinet: CabinetShop, reader: Reader) -> None:
    await reader.sign_in(cabinet.shop.crm_account.url, API_KEY)
    cabinet.shop.crm_account.fault(Status(500))
    for page in ("/", "/telephony", "/api-access", "/calls"):
        assert cabinet.shop.account.id in await reader.text(page)
    async with cabinet.reader() as another:  # and who has none yet comes in by a link
        assert (await another.sign_in(cabinet.shop.crm_account.url, API_KEY)).status in (422, 502, 503)
        assert await press_the_button(another, link_to(cabinet)) == (303, "/")
        assert cabinet.shop.account.id in await another.text("/")
    cabinet.shop.crm_account.heal()


async def test_a_link_opens_the_cabinet_once(cabinet: CabinetShop, reader: Reader) -> None:
    link = link_to(cabinet)
    for _ in range(2):  # to look at it opens nothing
        await reader.text(link)
    assert (await reader.get("/")).status == 303
    assert await press_the_button(reader, link) == (303, "/")
    async with cabinet.reader() as another:
        assert await press_the_button(another, link) == (404, "")
        assert (await another.get("/")).status == 303


async def test_an_old_or_altered_link_opens_nothing(cabinet: CabinetShop, reader: Reader) -> None:
    link = link_to(cabinet)
    account, until, word, mark = link.removeprefix("/door/").split("~")
    altered = [
        link_to(cabinet, time.time() - TICKET_SECONDS),
        f"/door/{account}~{int(until) + 1}~{word}~{mark}",
        f"/door/127.0.0.1-1~{until}~{word}~{mark}",
        f"/door/{account}~{until}~{word}~",
        f"/door/{account}~{until}~{word}~zz",
        f"/door/{account}~{'9' * 4000}~{word}~{mark}",
    ]
    for wrong in altered:
        assert (await reader.get(wrong)).status == 404
    assert (await reader.post(link, token="00" * 64)).status == 403


def test_the_commands_give_a_link_and_another_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARI_APP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("ARI_APP_PUBLIC_URL", "https://calls.example")
    file = tmp_path / "shop.toml"
    file.write_text(
        '[crm]\nurl = "https://shop.retailcrm.ru"\napi_key = "key"\n'
        '[pbx]\nhost = "127.0.0.1"\nari_username = "ari"\nari_password = "ari"\n'
    )
    run = CliRunner().invoke
    assert run(app, ["account", "apply", str(file)]).exit_code == 0
    link = run(app, ["account", "door", "shop.retailcrm.ru"]).stdout.strip()
    address, _, text = link.rpartition("/")
    assert address == "https://calls.example/door"
    ticket = read_ticket(KEYS, text, time.time())
    assert ticket is not None
    assert ticket.account == "shop.retailcrm.ru"
    assert (
        "its old addresses open nothing" in run(app, ["account", "renew-address", "shop.retailcrm.ru"]).stdout
    )
    for command in ("door", "renew-address"):
        assert run(app, ["account", command, "nobody"]).exit_code == 1
