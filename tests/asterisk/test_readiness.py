"""The page Information is green when customers' calls reach somebody and the CRM hears of it, not before."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from ari_app.demo.crm.faults import Closed
from ari_app.demo.pbx.phones import Answers
from ari_app.service import counts, crm_watch, directory
from tests.support.office import Office

ANNA = "+79161234567"
GREEN = "Everything works."


class Page:
    """The page Information, as somebody sees it who came from the CRM."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    async def read(self, path: str = "/") -> str:
        async with self._session.get(f"{self._address}{path}") as answer:
            return await answer.text()

    async def to_do(self) -> set[str]:
        """Name the steps that aren't done, or aren't known to be."""
        return set(re.findall(r'data-step="(\w+)" data-state="(?:bad|unknown)"', await self.read()))


@asynccontextmanager
async def information(office: Office) -> AsyncIterator[Page]:
    secret = office.account.crm.cabinet_secret
    assert secret is not None
    headers, jar = {"Accept": "text/html", "Accept-Language": "en"}, aiohttp.CookieJar(unsafe=True)
    async with office.web() as address, aiohttp.ClientSession(headers=headers, cookie_jar=jar) as session:
        page = Page(session, address)
        await page.read(f"/account/{secret.get_secret_value()}")
        yield page


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "ASIDE_SECONDS", 0.1)
    monkeypatch.setattr(directory, "TELEPHONES_SECONDS", 0.1)
    for name in ("CRM_FIRST_SECONDS", "CRM_SILENT_SECONDS"):
        monkeypatch.setattr(crm_watch, name, 0.1)


async def test_it_is_green_when_the_first_call_has_come_and_not_before(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{olga}")
    assert office.service is not None
    async with information(office) as page:
        assert await page.to_do() == {"module", "dialplan"}
        await office.service.informing.inform(office.account.id)
        assert await page.to_do() == {"dialplan"}
        assert GREEN not in await page.read()
        async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
            await caller.ended()
        await office.report()

        async def green() -> bool | None:
            return GREEN in await page.read() or None

        await office.eventually(green, "the page isn't green though a call came")


async def test_a_shop_without_people_and_destinations_is_told_so(office: Office) -> None:
    await office.open()
    async with information(office) as page:
        assert {"extensions", "telephone", "destination"} <= await page.to_do()


async def test_a_crm_that_nobody_asks_shows_that_it_is_dead_and_back_again(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(fallback=f"group:{olga}")
    async with information(office) as page:

        async def dead() -> bool | None:
            return "crm" in await page.to_do() or None

        async def back() -> bool | None:
            return "crm" not in await page.to_do() or None

        office.crm_account.fault(Closed())
        await office.eventually(dead, "a dead CRM doesn't show")
        office.crm_account.heal()
        await office.eventually(back, "that the CRM is back doesn't show")
