"""A customer who was missed is called back from the page «Пропущенные», and the line closes by itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.store.missed import How
from tests.support.office import OUR_NUMBER, Office

ANNA = "+79161234567"
_TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


@asynccontextmanager
async def browser(office: Office, address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody who has come into the cabinet from the CRM."""
    jar = aiohttp.CookieJar(unsafe=True)  # the cabinet has an address here, and no name
    async with aiohttp.ClientSession(address, cookie_jar=jar, headers={"Accept-Language": "ru"}) as session:
        secret = office.account.crm.cabinet_secret
        assert secret is not None
        async with session.get(f"/account/{secret.get_secret_value()}") as answer:
            assert answer.status == 200
        yield session


async def text(session: aiohttp.ClientSession, path: str) -> str:
    async with session.get(path) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_a_press_rings_the_manager_then_the_customer_and_the_line_closes_by_itself(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await phone.rings()
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
    await office.report()
    async with (
        office.web() as address,
        browser(office, address) as cabinet,
        office.phone(olga, Rings()) as phone,
        office.lab.customer_phone(Answers(after=0.1, hangs_up_after=0.5)) as customer,
    ):
        page = await text(cabinet, "/missed")
        assert "Иванова Анна" in page
        token = _TOKEN.search(page)
        assert token is not None
        pressed = {"token": token[1], "number": ANNA, "code": olga}
        async with cabinet.post("/missed/call", data=pressed) as answer:
            assert answer.url.query["became"] == "placed"
        await phone.rings()
        assert customer.calls == []
        phone.answer()
        await customer.is_free()
        await phone.is_free()
        report = await office.report(calls=2)
        assert (report.upload.type, report.upload.result, report.upload.code) == ("out", "answered", olga)
        assert [call.to for call in customer.calls] == [ANNA]
        assert "Иванова Анна" not in await text(cabinet, "/missed")
        assert "Иванова Анна" in await text(cabinet, "/missed?view=done")
    (closed,) = [one async for one in office.calls.missed.closed(0, 1e12)]
    assert (closed.number, closed.times, closed.line) == (ANNA, 1, OUR_NUMBER)
    assert (closed.how, closed.by, closed.by_call) == (How.CALLED, olga, report.call.id)
