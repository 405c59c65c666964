"""No secret stands where somebody may read it: in logs, in Redis, in what is shown and printed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
from redis.asyncio import Redis

from ari_app.demo.pbx.phones import Answers
from ari_app.retailcrm.registration import callback_key
from ari_app.store.accounts import Accounts
from ari_app.store.connection import ask
from tests.cabinet.test_api_upload import wav
from tests.faults.served import ServedOffice
from tests.support.office import API_KEY, SECRET_KEY

ANNA = "+79161234567"
PAGE = {"Accept": "text/html", "Accept-Language": "en"}


async def test_a_full_run_leaves_no_secret_where_it_can_be_read(served: ServedOffice) -> None:
    (olga,) = served.managers(1)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    await served.open()
    secrets = await secrets_of(served)
    shown = [*await a_day_at_the_shop(served, olga, secrets), *await what_goes_wrong(served, secrets)]
    shown += [await said_by(served, *command) for command in await commands(served)]
    address = f"http://127.0.0.1:{served.port + 1000}/metrics"
    async with aiohttp.ClientSession() as prometheus, prometheus.get(address) as figures:
        assert figures.status == 200
        shown.append(await figures.text())
    places = {"log": served.log, "Redis": await dump(served.redis)}
    places |= {f"shown {number}": text for number, text in enumerate(shown)}
    assert "answered" in "".join(shown)
    assert "ari_app_calls" in shown[-1]
    for name, secret in secrets.items():
        assert [place for place, text in places.items() if secret in text] == [], name


async def secrets_of(served: ServedOffice) -> dict[str, str]:
    account = await Accounts(served.redis, SECRET_KEY).get(served.account.id)
    assert account is not None
    secret = account.crm.cabinet_secret
    assert secret is not None
    assert account.pbx.ami_password is not None
    return {
        "the secret key": SECRET_KEY,
        "the CRM's key": API_KEY,
        "the clientId": account.crm.client_id.get_secret_value(),
        "the CRM's address of the cabinet": secret.get_secret_value(),
        "the CRM's addresses of clicks": callback_key(secret.get_secret_value()),
        "ARI's password": account.pbx.ari_password.get_secret_value(),
        "AMI's password": account.pbx.ami_password.get_secret_value(),
    }


@asynccontextmanager
async def browser(served: ServedOffice) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{served.port}", headers=PAGE, cookie_jar=jar) as one:
        yield one


async def a_day_at_the_shop(served: ServedOffice, olga: str, secrets: dict[str, str]) -> list[str]:
    """A call, a click, reports of a dialplan's, and a visit to the cabinet with a token and a link for one
    visit; what they are becomes secrets, too. Give the answers and the pages.
    """
    client = {"clientId": secrets["the clientId"]}
    async with served.phone(olga, Answers(after=0.1)), served.call(ANNA) as caller:
        await served.recorded()
        caller.hang_up()
        await caller.ended()
    report = await served.report()
    shown = []
    async with browser(served) as owner:

        async def got(path: str, **more: object) -> str:
            async with owner.get(path, **more) as answer:  # type: ignore[arg-type]
                text = await answer.text()
            if (
                path != "/api-access"
            ):  # which shows the clientId and the addresses to the account's own people
                shown.append(text)
            return text

        key = secrets["the CRM's addresses of clicks"]
        async with served.phone(olga, Answers(after=0.1)):
            await got(f"/crm/call/{key}", params={**client, "code": olga, "phone": "8-800"})
        await got(f"/crm/status/{key}", params={**client, "code": olga, "status": "free"})
        await got("/api/manager", params={**client, "phone": ANNA, "type": "json"})
        told = {**client, "uniqueid": "1700000000.1", "phone": ANNA, "code": olga}
        await got("/api/event", params={**told, "type": "in"})
        await got("/api/event", params={**told, "type": "hangup", "status": "ANSWER", "record": "wait"})
        upload = {**client, "uniqueid": "1700000000.1", "type": "upload"}
        async with owner.post("/api/event", params=upload, data=wav(0.1)) as answer:
            shown.append(await answer.text())

        await got("/account/" + secrets["the CRM's address of the cabinet"])
        secrets["the session"] = next(one.value for one in owner.cookie_jar if one.key == "cabinet")
        for page in ("/", "/extensions", "/asterisk", "/telephony", "/calls", f"/calls/{report.call.id}"):
            await got(page)
        for page in ("/events", "/statistics", "/calls.csv", "/check"):
            await got(page)
        form = re.search(r'name="token" value="([0-9a-f]+)"', await got("/api-access"))
        assert form is not None
        async with owner.post("/api-access/tokens", data={"token": form[1], "name": "BI"}) as made:
            found = re.search(r'id="new-token">([^<]+)<', await made.text())
        assert found is not None
        secrets["the API's token"] = found[1]
        await got("/api/calls", headers={"Authorization": f"Bearer {found[1]}"})
        link = (await said_by(served, "account", "door", served.account.id)).strip().rpartition("/")[2]
        secrets["the link for one visit"] = link
        asked = await got(f"/door/{link}")
        token = re.search(r'action="/door/.*?name="token" value="([0-9a-f]+)"', asked, re.DOTALL)
        assert token is not None
        shown[-1] = asked.replace(link, "")  # its own form leads there
        async with owner.post(f"/door/{link}", data={"token": token[1]}) as opened:
            shown.append(await opened.text())
    return shown


async def what_goes_wrong(served: ServedOffice, secrets: Mapping[str, str]) -> list[str]:
    """Ask for what isn't there, with each secret in the address, in a header and in the body."""
    shown = []
    async with browser(served) as stranger:
        for secret in secrets.values():
            for method, path in [
                ("GET", f"/account/{secret}x"),
                ("PUT", f"/account/{secret}"),
                ("GET", f"/door/{secret}x"),
                ("GET", f"/crm/call/{secret}x?clientId={secret}"),
                ("GET", f"/api/manager?clientId={secret}x&type=json&phone=1"),
                ("GET", f"/api/event?clientId={secret}x"),
                ("GET", f"/recordings/{secret}.wav"),
                ("GET", f"/nowhere/{secret}"),
            ]:
                held = {"Authorization": f"Bearer {secret}x", "Cookie": f"cabinet={secret}x"}
                async with stranger.request(method, path, headers=held) as answer:
                    assert 400 <= answer.status < 500, path
                    text = await answer.text()
                shown.append(text.replace(f'name="back" value="{path}"', ""))
            async with stranger.post(
                "/crm/register", data={"register": json.dumps({"apiKey": secret})}
            ) as no:
                shown.append(await no.text())
    return shown


async def commands(served: ServedOffice) -> list[tuple[str, ...]]:
    call = (await served.calls.ended(1))[0].id
    return [
        ("calls", "list", "--json"),
        ("calls", "show", call, "--json"),
        ("calls", "refused", "--json"),
        ("account", "list"),
        ("account", "show", served.account.id),
        ("check", "--json"),
        ("keys", "rotate"),
    ]


async def said_by(served: ServedOffice, *command: str) -> str:
    process = await served._run(*command, output=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode()


async def dump(redis: Redis) -> str:
    """Read all that is in Redis, as it is written there."""
    found = []
    async for key in redis.scan_iter(count=1000):
        kind, value = await ask(redis.type(key)), cast(Any, None)
        match kind:
            case b"string":
                value = await ask(redis.get(key))
            case b"hash":
                value = await ask(redis.hgetall(key))
            case b"list":
                value = await ask(redis.lrange(key, 0, -1))
            case b"set":
                value = await ask(redis.smembers(key))
            case b"zset":
                value = await ask(redis.zrange(key, 0, -1))
            case b"stream":
                value = await ask(redis.xrange(key))
            case _:
                raise AssertionError(f"{key!r} is a {kind!r}")
        found.append(f"{key!r} {value!r}")
    return "\n".join(found)
