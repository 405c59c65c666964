"""The queues, menus and lines of a real PBX are offered where a shop chooses where calls go."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

import stasis_dialplan
from ari_app.asterisk.ajam import Ajam, AjamTarget
from ari_app.asterisk.errors import PbxDenied
from ari_app.demo.pbx.lab import Lab
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

OFFERED = re.compile(r'<datalist id="(?:places|lines)">(.*?)</datalist>', re.DOTALL)
LANGUAGES = {"Accept": "text/html", "Accept-Language": "en"}


@pytest_asyncio.fixture(loop_scope="session")
async def users(lab: Lab) -> AsyncIterator[None]:
    """A user with the rights that our files have, and one who may not see the dialplan."""
    file = lab.asterisk.folder / "etc" / "manager.conf"
    before = file.read_text()
    ours = resources.files(stasis_dialplan).joinpath("shared/manager_user.j2").read_text()
    rights = "\n".join(re.findall(r"^(?:read|write) = .*$", ours, re.MULTILINE))
    file.write_text(
        f"{before}\n[ours]\nsecret = secret\n{rights}\n[blind]\nsecret = secret\nwrite = originate\n"
    )
    await lab.asterisk.command("manager reload")
    yield
    file.write_text(before)
    await lab.asterisk.command("manager reload")


@asynccontextmanager
async def ajam(lab: Lab, user: str) -> AsyncIterator[Ajam]:
    target = AjamTarget(
        f"http://127.0.0.1:{lab.asterisk.http_port}/{lab.asterisk.http_prefix}/", user, "secret"
    )
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Ajam(target, session, "shop")


@pytest.mark.usefixtures("users")
async def test_the_rights_that_we_ask_for_show_queues_menus_and_lines(lab: Lab) -> None:
    async with ajam(lab, "ours") as ours:
        found = await ours.places("retailcrm")
    sales = lab.asterisk.queues[0]
    assert f"queues,{sales}" in found.queues
    assert f"{sales},s,1" in found.menus
    assert "transferred,s,1" not in found.menus
    assert {"default", "second-line"} <= set(found.lines)
    assert not {"from-trunk", "outgoing", "internal"} & set(found.lines)


@pytest.mark.usefixtures("users")
async def test_who_may_not_see_the_dialplan_is_offered_nothing(lab: Lab) -> None:
    async with ajam(lab, "blind") as blind:
        with pytest.raises(PbxDenied, match="write = reporting"):
            await blind.places("retailcrm")
    assert not blind.usable


class Cabinet:
    """The cabinet, as somebody sees it who came from the CRM."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    async def read(self, path: str) -> str:
        async with self._session.get(f"{self._address}{path}") as answer:
            return await answer.text()

    async def offered(self, path: str) -> list[str]:
        """Name what is offered where a place is typed."""
        found = OFFERED.search(await self.read(path))
        return re.findall(r'<option value="([^"]*)"', found[1]) if found else []

    async def send(self, path: str, typed: dict[str, Any]) -> int:
        """Send the form of a page, as it is but for what is typed."""
        page = await self.read(path)
        hidden = dict(re.findall(r'<input type="hidden" name="(token|version)" value="([^"]*)"', page))
        async with self._session.post(
            f"{self._address}{path}", data=hidden | typed, allow_redirects=False
        ) as answer:
            return answer.status


@asynccontextmanager
async def cabinet(office: Office) -> AsyncIterator[Cabinet]:
    secret = office.account.crm.cabinet_secret
    assert secret is not None
    jar = aiohttp.CookieJar(unsafe=True)
    async with office.web() as address, aiohttp.ClientSession(headers=LANGUAGES, cookie_jar=jar) as session:
        it = Cabinet(session, address)
        await it.read(f"/account/{secret.get_secret_value()}")
        yield it


async def test_a_queue_of_the_pbx_is_picked_and_nobody_has_to_know_its_place(office: Office) -> None:
    (olga,) = office.managers(1)
    sales = office.lab.queue()
    await office.open(fallback=f"group:{olga}")
    async with cabinet(office) as it:
        assert f"queues,{sales}" in await it.offered("/telephony")
        assert "Asterisk has: queues," in await it.read("/telephony")
        ordinary = {"manager_caller_name": "CRM", "ring_manager_seconds": "60", "ring_group_seconds": "60"}
        more = {"keep_days": "1095", "recording_format": "wav", "task_minutes": "30", "minutes": "0"}
        picked = {"unknown-0-kind": "queue", "unknown-0-place": f"queues,{sales}"}
        rung = {"fallback-0-kind": "together", "fallback-0-codes": olga}
        status = await it.send("/telephony", ordinary | more | rung | picked | {"country": "RU"})
    assert status == 303
    assert office.service is not None
    stored = await office.service.accounts.find(office.account.id)
    assert stored is not None
    assert stored.calls.unknown == f"queue:queues,{sales}"


async def test_the_lines_of_the_pbx_are_offered_for_calls_out(office: Office) -> None:
    await office.open()
    async with cabinet(office) as it:
        for path in ("/asterisk", "/numbers"):
            assert {"default", "second-line"} <= set(await it.offered(path))
            assert "Asterisk has: default; " in await it.read(path)


async def test_without_access_to_ami_the_page_says_what_to_type(office: Office) -> None:
    office.ami_username = "nobody"
    await office.open()
    async with cabinet(office) as it:
        assert await it.offered("/telephony") == []
        page = await it.read("/telephony")
        assert "for example queues,sales." in page
        assert "What Asterisk has is offered here when there is access to AMI:" in page
        assert await it.offered("/numbers") == []
