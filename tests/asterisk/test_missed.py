"""A missed customer is called back from the cabinet, on the real Asterisk: once, and their line goes."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import aiohttp

from ari_app.demo.pbx.phones import Answers, Declines
from tests.support.office import Office

ANNA = "+79161234567"
_TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


async def press(reader: aiohttp.ClientSession, address: str, code: str) -> str:
    """Press «call back» at Anna's line; give what became of it."""
    async with reader.get(f"{address}/missed") as page:
        token = _TOKEN.search(await page.text())
    assert token is not None
    fields = {"token": token[1], "number": ANNA, "code": code}
    async with reader.post(f"{address}/missed/call", data=fields, allow_redirects=False) as answer:
        return parse_qs(urlsplit(answer.headers["Location"]).query)["became"][0]


async def test_who_reached_nobody_is_called_back_once_and_is_missed_no_more(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    missed = office.shop.calls.missed
    async with office.phone(olga, Declines()), office.call(ANNA) as caller:
        await caller.ended()
    await office.ended((await office.report()).upload.external_id)
    (anna,) = await missed.open(0, 1e12, 9)
    assert (anna.number, anna.name, anna.owners) == (ANNA, "Иванова Анна", (olga,))
    async with (
        office.web() as address,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as reader,
        office.phone(olga, Answers(after=0.3)) as phone,
        office.lab.customer_phone(Answers(after=0.3, hangs_up_after=0.3)) as customer,
    ):
        secret = office.account.crm.cabinet_secret
        assert secret is not None
        async with reader.get(f"{address}/account/{secret.get_secret_value()}") as cabinet:
            assert cabinet.status == 200
        assert await press(reader, address, olga) == "placed"
        assert await press(reader, address, boris) == "busy"
        await customer.is_free()
        await phone.is_free()
    await office.ended((await office.report(2)).upload.external_id)
    assert await missed.open(0, 1e12, 9) == []
    (done,) = [one async for one in missed.closed(0, 1e12)]
    assert (done.how, done.by) == ("called", olga)
    assert len(customer.calls) == 1
