"""Every route of the service, with a stranger, another account's session, and forms of nobody's.

A route that isn't in the tables here fails a test: whoever adds one says there who may have what of it.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from redis.asyncio import Redis

from ari_app.accounts.account import RegisteredAccount
from ari_app.store.tokens import Tokens
from tests.browser.lively import sound
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import API_KEY, CLIENT_ID, ReportingShop

PYOTR = "+79265550134"
SHOP = "+74995507710"
"""Numbers that aren't the examples of any page."""
ARI_PASSWORD, AMI_PASSWORD = "of-ari-51cc8f", "of-ami-73e0aa"

READ = {
    "/",
    "/api-access",
    "/api-access/dialplan/{kind}.zip",
    "/asterisk",
    "/call-me",
    "/calls",
    "/calls.csv",
    "/calls/{id}",
    "/check",
    "/events",
    "/extensions",
    "/extensions/progress",
    "/live",
    "/live/calls",
    "/missed",
    "/numbers",
    "/statistics",
    "/statistics.csv",
    "/telephony",
}
"""What an account's own people read: strangers are sent to the door, others see none of it."""

CHANGED = {
    "/api-access/address",
    "/api-access/client-id",
    "/api-access/recordings",
    "/api-access/tokens",
    "/api-access/tokens/{ident}/revoke",
    "/asterisk",
    "/asterisk/check",
    "/asterisk/files",
    "/call-me",
    "/check",
    "/events/send-again",
    "/extensions",
    "/extensions/match",
    "/extensions/{user}",
    "/extensions/synchronise",
    "/live/hang-up",
    "/missed/call",
    "/missed/close",
    "/numbers",
    "/numbers/{number}",
    "/telephony",
}
"""What they change, by forms that hold a token."""

AT_THE_DOOR = {("POST", "/sign-in"), ("POST", "/sign-out"), ("POST", "/language"), ("POST", "/door/{ticket}")}
"""Forms, with a token, of readers who need not be signed in."""

BY_A_SECRET = {
    ("GET", "/account/{secret}"),
    ("POST", "/account/{secret}"),
    ("GET", "/door/{ticket}"),
    ("GET", "/api/calls"),
    ("GET", "/api/event"),
    ("POST", "/api/event"),
    ("GET", "/api/manager"),
    ("GET", "/crm/call"),
    ("POST", "/crm/call"),
    ("GET", "/crm/config"),
    ("POST", "/crm/register"),
    ("GET", "/crm/status"),
    ("POST", "/crm/status"),
    ("GET", "/crm/call/{key}"),
    ("POST", "/crm/call/{key}"),
    ("GET", "/crm/status/{key}"),
    ("POST", "/crm/status/{key}"),
    ("POST", "/crm/activity/{key}"),
    ("POST", "/crm/settings/{key}"),
    ("GET", "/recordings/{name}"),
}
"""What the CRM, a PBX or a program asks with a secret of the account's: without it, nothing."""

FOR_ALL = {
    ("GET", "/api-access/reference"),
    ("GET", "/api/openapi.json"),
    ("GET", "/data/event2.sh"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/sign-in"),
    ("GET", "/static/{name}"),
}
"""What holds nothing of an account's."""

KNOWN = {
    *(("GET", path) for path in READ),
    *(("POST", path) for path in CHANGED),
    *AT_THE_DOOR,
    *BY_A_SECRET,
    *FOR_ALL,
}


@dataclass(frozen=True)
class Rich:
    """A shop that has something of everything, and who its neighbour is."""

    cabinet: CabinetShop
    routes: set[tuple[str, str]]
    call: str
    live: str
    token: str
    recording: str

    @property
    def reads(self) -> list[str]:
        """The addresses of pages, with this shop's own ids."""
        return [self.filled(path) for method, path in sorted(self.routes) if method == "GET" and path in READ]

    @property
    def changes(self) -> list[str]:
        """The addresses of forms, with this shop's own ids."""
        return [
            self.filled(path) for method, path in sorted(self.routes) if method == "POST" and path in CHANGED
        ]

    def filled(self, path: str) -> str:
        """Put this shop's ids into a path."""
        ids = {"id": self.call, "ident": self.token, "kind": "asterisk", "user": "1", "number": SHOP[1:]}
        return path.format(**ids)

    @property
    def own(self) -> list[str]:
        """Texts that are this shop's alone."""
        numbers = [PYOTR, PYOTR[1:], "926 555-01-34", SHOP, "499 550-77-10"]
        people = ["Ольгина", "Борисов", "Верин", "Ведомость Х7"]
        ids = [
            self.cabinet.shop.account.id,
            self.call,
            self.live,
            self.token,
            self.recording,
            "1700000000.77",
        ]
        return [*numbers, *people, *ids, *self.secrets, CLIENT_ID]

    @property
    def secrets(self) -> list[str]:
        """What is never shown to anybody."""
        return [API_KEY, self.cabinet.secret, ARI_PASSWORD, AMI_PASSWORD]


@pytest.fixture
async def shop(redis: Redis, tmp_path: Path) -> AsyncIterator[Rich]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        await _furnish(cabinet)
        call = await _call(cabinet.shop)
        await cabinet.shop.reports("in", uniqueid="1700000000.77", phone=PYOTR)
        kept = await cabinet.shop.calls.get(call)
        assert kept is not None
        tokens, account = Tokens(redis), cabinet.shop.account.id
        await tokens.make(account, "Ведомость Х7")
        yield Rich(
            cabinet,
            _routes(cabinet.server),
            call,
            cabinet.shop.shop.reported.id_of("1700000000.77"),
            (await tokens.list(account))[0].id,
            kept.recording.file or "there is none",
        )


async def _call(shop: ReportingShop) -> str:
    """Let a customer talk with 101, and be recorded; give the call's id."""
    channel = "1700000000.42"
    await shop.reports("in", uniqueid=channel, phone=PYOTR)
    over = {"hangupStatus": "ANSWER", "billsec": "12", "duration": "17"}
    await shop.reports("hangup", uniqueid=channel, phone=PYOTR, **over)
    await shop.uploads(sound(1), uniqueid=channel)
    return shop.shop.reported.id_of(channel)


async def _furnish(cabinet: CabinetShop) -> None:
    """Give the shop passwords and a number that are found nowhere by chance."""
    account, shop = cabinet.shop.account, cabinet.shop
    passwords = {
        "ari_password": SecretStr(ARI_PASSWORD),
        "ami_username": "crm",
        "ami_password": SecretStr(AMI_PASSWORD),
    }
    pbx = account.pbx.model_copy(update=passwords)
    number = account.external_phones[0].model_copy(update={"number": SHOP})
    shop.account = await shop.service.accounts.apply(
        account.model_copy(update={"pbx": pbx, "external_phones": (number,)}), keep_client_id=True
    )
    async with asyncio.timeout(60):
        while not _taken(shop):  # noqa: ASYNC110 - the timeout decides
            await asyncio.sleep(0.01)


def _taken(shop: ReportingShop) -> bool:
    at_work = shop.service.shops.get(shop.account.id)
    return at_work is not None and at_work.settings == shop.account


def _routes(server: TestServer) -> set[tuple[str, str]]:
    app: web.Application = server.app
    found = ((route.method, route.resource) for route in app.router.routes())
    return {(method, resource.canonical) for method, resource in found if resource and method != "HEAD"}


@pytest.fixture
async def neighbour(shop: Rich) -> AsyncIterator[Reader]:
    """Somebody who is signed in to another account."""
    async with shop.cabinet.reader("ru") as reader:
        assert (await reader.sign_in(shop.cabinet.newcomer.url, NEW_KEY)).status == 303
        yield reader


@pytest.fixture
async def owner(shop: Rich) -> AsyncIterator[Reader]:
    async with shop.cabinet.reader("ru") as reader:
        await reader.enter(shop.cabinet)
        yield reader


async def test_it_is_known_of_every_route_who_may_have_what_of_it(shop: Rich) -> None:
    assert shop.routes - KNOWN == set()


async def test_a_stranger_sees_no_page_and_changes_nothing(shop: Rich) -> None:
    async with shop.cabinet.reader() as stranger:
        for path in shop.reads:
            answer = await stranger.get(path)
            assert (answer.status, answer.headers.get("Location")) == (303, f"/sign-in?next={quote(path)}"), (
                path
            )
        token, before = await stranger.token(), await _account(shop)
        for path in shop.changes:
            answer = await stranger.post(path, token=token, sure="yes", name="x", call=shop.live)
            assert answer.status == 303, path
            assert answer.headers["Location"].startswith("/sign-in"), path
        assert await _account(shop) == before


async def test_without_a_secret_of_the_accounts_nothing_is_answered(shop: Rich) -> None:
    async with shop.cabinet.reader() as stranger:
        for method, path in sorted(shop.routes & BY_A_SECRET):
            address = re.sub(r"\{.*?\}", "0" * 40, path)
            for named in ({}, {"clientId": "0" * 32}, {"clientId": shop.cabinet.shop.account.id}):
                query = {"params": {**named, "phone": PYOTR, "code": "101", "status": "free"}}
                answer = await stranger.client.request(method, address, **query)  # type: ignore[arg-type]
                assert answer.status in (400, 401, 403, 404), (method, path, answer.status)
                assert _of(shop, await answer.text()) == [], (method, path)


async def test_what_is_for_all_tells_nothing_of_an_account(shop: Rich) -> None:
    async with shop.cabinet.reader() as stranger:
        for _, path in sorted(shop.routes & FOR_ALL):
            assert _of(shop, await (await stranger.get(path)).text()) == [], path


async def test_another_accounts_session_sees_nothing(shop: Rich, neighbour: Reader) -> None:
    asked = ["", f"?id={shop.call}", f"?number={quote(PYOTR)}", "?manager=101", "?period=all&limit=200"]
    others = ["/api/calls", "/data/event2.sh", "/nowhere", f"/account/{CLIENT_ID}"]
    for path in [*shop.reads, *others]:
        for query in asked:
            answer = await neighbour.get(path + query)
            assert answer.status in (200, 303, 400, 404), (path, answer.status)
            text = await _some(answer)
            assert [own for own in _of(shop, text) if own not in unquote(path + query)] == [], path + query


async def test_another_accounts_forms_change_nothing(shop: Rich, neighbour: Reader) -> None:
    before = await _account(shop)
    fields = {
        "call": shop.live,
        "id": shop.call,
        "refusal": "all",
        "user_id": "1",
        "code": "199",
        "sure": "yes",
    }
    for path in shop.changes:
        token = await neighbour.token("/telephony")  # a renewed address renews the session, too
        answer = await neighbour.post(path, token=token, **fields)
        assert answer.status in (200, 303, 400, 404, 409, 422), (path, answer.status)
        asked = " ".join((path, *fields.values()))  # it may be shown again as it was asked for
        assert [own for own in _of(shop, await answer.text()) if own not in asked] == [], path
    assert await _account(shop) == before
    assert [one.id for one in await Tokens(shop.cabinet.shop.redis).list(before.id)] == [shop.token]
    live = await shop.cabinet.shop.calls.get(shop.live)
    assert live is not None
    assert not live.over


async def test_a_form_without_its_token_is_refused(shop: Rich, owner: Reader, neighbour: Reader) -> None:
    before, others = await _account(shop), await neighbour.token("/telephony")
    at_the_door = [path.replace("{ticket}", "any") for _, path in sorted(AT_THE_DOOR)]
    for path in [*shop.changes, *at_the_door]:
        for given in ({}, {"token": ""}, {"token": "0" * 128}, {"token": others}):
            assert (await owner.post(path, **given)).status == 403, path
    assert await _account(shop) == before


async def test_no_page_shows_a_secret(shop: Rich, owner: Reader) -> None:
    for path in shop.reads:
        text = await _some(await owner.get(path))
        assert _secrets(shop, text) == [], path
        assert path == "/api-access" or CLIENT_ID not in text, path
    assert CLIENT_ID in await owner.text("/api-access")


async def _some(answer: ClientResponse) -> str:
    """Read an answer; of a stream that doesn't end, its beginning."""
    if answer.content_type == "text/event-stream":
        begun = await answer.content.readuntil(b"\n\n")
        answer.close()
        return begun.decode()
    return (await answer.read()).decode("utf-8", "replace")


async def _account(shop: Rich) -> RegisteredAccount:
    found = await shop.cabinet.shop.service.accounts.find(shop.cabinet.shop.account.id)
    assert found is not None
    return found


def _of(shop: Rich, text: str) -> list[str]:
    return [own for own in shop.own if own in text]


def _secrets(shop: Rich, text: str) -> list[str]:
    return [secret for secret in shop.secrets if secret in text]
