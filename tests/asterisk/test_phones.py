"""What the page of extensions shows of telephones; on the real Asterisk."""

from __future__ import annotations

import re

import aiohttp

from ari_app.demo.pbx.asterisk import NOWHERE, UNREACHABLE
from tests.support.office import Office


async def test_who_is_registered_who_is_not_and_who_is_unknown_to_the_pbx_is_shown(office: Office) -> None:
    (olga,) = office.managers(1)
    office.hire(NOWHERE)
    office.hire(UNREACHABLE)
    await office.open()
    secret = office.account.crm.cabinet_secret
    assert secret is not None
    async with (
        office.web() as address,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        headers = {"Accept": "text/html", "Accept-Language": "en"}
        url = f"{address}/account/{secret.get_secret_value()}"
        async with http.get(url, headers=headers, allow_redirects=True) as answer:
            assert answer.status == 200
        async with http.get(f"{address}/extensions", headers=headers) as answer:
            text = await answer.text()
    rows = {code: row for row in re.findall(r"<tr id=.*?</tr>", text, re.DOTALL) for code in codes_in(row)}
    assert ">registered<" in rows[olga]
    assert ">not registered<" in rows[UNREACHABLE]
    assert "Asterisk has no such phone" in rows[NOWHERE]


def codes_in(row: str) -> list[str]:
    """Find the extension in a row of the table."""
    return re.findall(r'class="code"[^>]*>([0-9]+)<', row)
