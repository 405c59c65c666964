"""What the page of extensions shows of telephones; on the real Asterisk."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from ari_app.accounts.staff import Person
from ari_app.demo.crm.simulator import Manager as CrmManager
from ari_app.demo.pbx.asterisk import NOWHERE, UNREACHABLE
from ari_app.store.accounts import Accounts
from ari_app.store.staff import StaffStore
from tests.support.office import SECRET_KEY, Office


@asynccontextmanager
async def signed_in(office: Office) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Give a browser of the shop's administrator, and the cabinet's address."""
    secret = office.account.crm.cabinet_secret
    assert secret is not None
    headers = {"Accept": "text/html", "Accept-Language": "en"}
    async with (
        office.web() as address,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers=headers) as http,
    ):
        async with http.get(f"{address}/account/{secret.get_secret_value()}") as answer:
            assert answer.status == 200
        yield http, address


async def test_who_is_registered_who_is_not_and_who_is_unknown_to_the_pbx_is_shown(office: Office) -> None:
    (olga,) = office.managers(1)
    office.hire(NOWHERE)
    office.hire(UNREACHABLE)
    await office.open()
    async with signed_in(office) as (http, address), http.get(f"{address}/extensions") as answer:
        text = await answer.text()
    rows = {code: row for row in re.findall(r"<tr id=.*?</tr>", text, re.DOTALL) for code in codes_in(row)}
    assert ">registered<" in rows[olga]
    assert ">not registered<" in rows[UNREACHABLE]
    assert "Asterisk has no such phone" in rows[NOWHERE]


def codes_in(row: str) -> list[str]:
    """Find the extension in a row of the table."""
    return re.findall(r'class="code"[^>]*>([0-9]+)<', row)


async def test_extensions_of_the_pbx_that_stand_in_the_crm_are_given_to_their_employees_in_one_press(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    (boris,) = office.lab.extensions(1)
    office.crm_account.add_manager(CrmManager(id=2, last_name="Борисов", phone=boris))
    await office.open()
    await StaffStore(office.redis, office.account.id).keep([Person(2, "Борисов", extension=boris)])
    async with signed_in(office) as (http, address):
        async with http.get(f"{address}/extensions") as answer:
            text = await answer.text()
        assert f"Борисов — {boris}" in text
        token = re.search(r'name="token" value="([^"]+)"', text)
        assert token is not None
        async with http.post(f"{address}/extensions/match", data={"token": token[1]}) as answer:
            text = await answer.text()
    assert "Employees with an extension now: 1 more." in text
    assert "/extensions/match" not in text
    account = await Accounts(office.redis, SECRET_KEY).find(office.account.id)
    assert account is not None
    assert {one.user_id: one.code for one in account.extensions} == {1: olga, 2: boris}
