"""The tab API: the clientId, files for the PBX, tokens."""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.demo.crm.simulator import Status
from ari_app.retailcrm.module import MODULE_CODE
from ari_app.store.tokens import LONGEST_NAME, MOST, Tokens
from cabinet.frame.clients import NotFound, shop_of
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import API_KEY, CLIENT_ID

PAGE = "/api-access"
KINDS = ["asterisk", "freepbx", "old"]


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    """The shop's administrator, whose module is registered."""
    async with cabinet.reader() as reader:
        await reader.sign_in(cabinet.shop.crm_account.url, API_KEY)
        yield reader


def client_id_of(text: str) -> str:
    found = re.search(r'id="client-id">([^<]+)<', text)
    assert found is not None
    return found[1]


# The clientId


async def test_the_page_shows_the_client_id_and_lines_that_hold_it(
    cabinet: CabinetShop, reader: Reader
) -> None:
    text = await reader.text(PAGE)
    assert client_id_of(text) == CLIENT_ID
    assert f"{cabinet.address}/api/manager?clientId={CLIENT_ID}" in text
    assert f"{cabinet.address}/api/event?clientId={CLIENT_ID}" in text
    assert API_KEY not in text
    assert cabinet.secret not in text


async def test_a_new_client_id_works_here_and_in_the_crm_and_the_old_one_nowhere(
    cabinet: CabinetShop, reader: Reader
) -> None:
    answer = await reader.post(f"{PAGE}/client-id", token=await reader.token(PAGE), sure="yes")
    assert (answer.status, answer.headers["Location"]) == (303, f"{PAGE}?said=renewed")
    text = await reader.text(answer.headers["Location"])
    assert "There is a new clientId" in text
    fresh = client_id_of(text)
    assert fresh != CLIENT_ID
    module = cabinet.shop.crm_account.rights.modules[MODULE_CODE]
    assert module["clientId"] == fresh

    def known(client_id: str) -> bool:
        with suppress(NotFound):
            return shop_of(cabinet.shop.service, client_id) is not None
        return False

    async with asyncio.timeout(10):
        while not known(fresh):  # noqa: ASYNC110  # the service looks by itself
            await asyncio.sleep(0.01)
    for client_id, status in ((fresh, 200), (CLIENT_ID, 401)):
        asked = {"clientId": client_id, "phone": "+79161234567", "type": "json"}
        assert (await cabinet.shop.client.get("/api/manager", params=asked)).status == status
    off = await cabinet.shop.crm_account.switch_module(MODULE_CODE, active=False)
    assert off.status == 200  # the CRM's callbacks go by the new one, too


async def test_a_client_id_is_renewed_only_by_who_knows_what_it_means(reader: Reader) -> None:
    answer = await reader.post(f"{PAGE}/client-id", token=await reader.token(PAGE))
    assert answer.status == 422
    text = await answer.text()
    assert "Tick this box" in text
    assert client_id_of(text) == CLIENT_ID


async def test_the_client_id_stays_when_the_crm_does_not_take_another(
    cabinet: CabinetShop, reader: Reader
) -> None:
    cabinet.shop.crm_account.fault(Status(502, "Bad gateway"), route="edit")
    answer = await reader.post(f"{PAGE}/client-id", token=await reader.token(PAGE), sure="yes")
    assert answer.status == 502
    assert "The clientId is the old one" in await answer.text()
    assert client_id_of(await reader.text(PAGE)) == CLIENT_ID


# Files for the PBX


@pytest.mark.parametrize("kind", KINDS)
async def test_the_files_for_the_pbx_are_the_accounts_own(
    cabinet: CabinetShop, reader: Reader, kind: str
) -> None:
    answer = await reader.get(f"{PAGE}/dialplan/{kind}.zip")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert f"retailcrm-{kind}.zip" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    together = "\n".join(texts.values())
    if kind == "old":
        assert f"{cabinet.address}/api/event?clientId={CLIENT_ID}" in together
    else:
        assert f"Stasis({cabinet.shop.account.pbx.stasis_app},incoming" in together
    assert API_KEY not in together
    assert cabinet.secret not in together
    assert ("event2.sh" in texts) == (kind == "old")


async def test_without_a_pbx_the_page_says_what_to_do_first(cabinet: CabinetShop) -> None:
    async with cabinet.reader() as newcomer:
        await newcomer.sign_in(cabinet.newcomer.url, NEW_KEY)
        text = await newcomer.text(PAGE)
        assert "They appear when Asterisk is set up" in text
        assert "asterisk.zip" not in text
        assert (await newcomer.get(f"{PAGE}/dialplan/asterisk.zip")).status == 404


async def test_there_are_no_files_of_another_kind(reader: Reader) -> None:
    for name in ("old.tar", "..%2fasterisk.zip", "unknown.zip"):
        assert (await reader.get(f"{PAGE}/dialplan/{name}")).status == 404


# Tokens


async def made(reader: Reader, name: str = "BI") -> str:
    """Make a token, and read it off the page."""
    answer = await reader.post(f"{PAGE}/tokens", token=await reader.token(PAGE), name=name)
    assert answer.status == 200
    found = re.search(r'id="new-token">([^<]+)<', await answer.text())
    assert found is not None
    return found[1]


async def test_a_token_is_shown_once_and_opens_the_call_log_until_it_is_revoked(
    cabinet: CabinetShop, reader: Reader
) -> None:
    token = await made(reader, "Reports <b>")
    text = await reader.text(PAGE)
    assert token not in text
    assert "Reports &lt;b&gt;" in text
    assert "never" in text
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await cabinet.shop.client.get("/api/calls", headers=bearer)).status == 200
    assert "never" not in await reader.text(PAGE)
    [known] = await Tokens(cabinet.shop.redis).list(cabinet.shop.account.id)
    answer = await reader.post(f"{PAGE}/tokens/{known.id}/revoke", token=await reader.token(PAGE), sure="yes")
    assert (answer.status, answer.headers["Location"]) == (303, f"{PAGE}?said=revoked")
    assert (await cabinet.shop.client.get("/api/calls", headers=bearer)).status == 401
    assert "There are no tokens yet" in await reader.text(PAGE)


@pytest.mark.parametrize(
    ("name", "complaint"), [("  ", "Name the program"), ("x" * (LONGEST_NAME + 1), "60 characters at most")]
)
async def test_a_token_needs_a_name_and_what_was_typed_is_kept(
    reader: Reader, name: str, complaint: str
) -> None:
    answer = await reader.post(f"{PAGE}/tokens", token=await reader.token(PAGE), name=name)
    assert answer.status == 422
    text = await answer.text()
    assert complaint in text
    assert f'value="{name.strip()}"' in text


async def test_two_tokens_have_two_names(cabinet: CabinetShop, reader: Reader) -> None:
    await made(reader, "Reports")
    answer = await reader.post(f"{PAGE}/tokens", token=await reader.token(PAGE), name="reports")
    assert answer.status == 422
    assert "There is a token of this name" in await answer.text()
    assert len(await Tokens(cabinet.shop.redis).list(cabinet.shop.account.id)) == 1


async def test_it_is_asked_whether_a_token_is_to_be_revoked(cabinet: CabinetShop, reader: Reader) -> None:
    await made(reader, "Reports")
    [known] = await Tokens(cabinet.shop.redis).list(cabinet.shop.account.id)
    answer = await reader.post(f"{PAGE}/tokens/{known.id}/revoke", token=await reader.token(PAGE))
    assert answer.status == 200
    assert "Revoke the token “Reports”?" in await answer.text()
    assert await Tokens(cabinet.shop.redis).list(cabinet.shop.account.id) == [known]


async def test_there_are_not_endlessly_many_tokens(cabinet: CabinetShop, reader: Reader) -> None:
    for number in range(MOST):
        await Tokens(cabinet.shop.redis).make(cabinet.shop.account.id, f"BI {number}")
    answer = await reader.post(f"{PAGE}/tokens", token=await reader.token(PAGE), name="one more")
    assert answer.status == 422
    assert "There are 50 tokens already" in await answer.text()


# Strangers


@pytest.mark.parametrize("path", [PAGE, *(f"{PAGE}/dialplan/{kind}.zip" for kind in KINDS)])
async def test_a_stranger_is_sent_to_the_door(cabinet: CabinetShop, path: str) -> None:
    async with cabinet.reader() as stranger:
        answer = await stranger.get(path)
        assert (answer.status, answer.headers["Location"]) == (303, f"/sign-in?next={path}")


@pytest.mark.parametrize("path", ["client-id", "address", "tokens", "tokens/some/revoke"])
async def test_what_changes_something_needs_a_session_and_a_form_of_ours(
    cabinet: CabinetShop, reader: Reader, path: str
) -> None:
    async with cabinet.reader() as stranger:
        answer = await stranger.post(f"{PAGE}/{path}", token=await stranger.token(), sure="yes", name="x")
        assert (answer.status, answer.headers["Location"]) == (303, f"/sign-in?next={PAGE}/{path}")
    for token in ("", "00" * 64):
        assert (await reader.post(f"{PAGE}/{path}", token=token, sure="yes", name="x")).status == 403
    assert client_id_of(await reader.text(PAGE)) == CLIENT_ID
    assert await Tokens(cabinet.shop.redis).list(cabinet.shop.account.id) == []


async def test_another_account_sees_and_revokes_no_token_of_ours(
    cabinet: CabinetShop, reader: Reader
) -> None:
    token = await made(reader)
    [known] = await Tokens(cabinet.shop.redis).list(cabinet.shop.account.id)
    async with cabinet.reader() as another:
        await another.sign_in(cabinet.newcomer.url, NEW_KEY)
        text = await another.text(PAGE)
        assert CLIENT_ID not in text
        assert known.id not in text
        answer = await another.post(
            f"{PAGE}/tokens/{known.id}/revoke", token=await another.token(PAGE), sure="yes"
        )
        assert answer.status == 404
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await cabinet.shop.client.get("/api/calls", headers=bearer)).status == 200
