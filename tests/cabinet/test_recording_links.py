"""Links to recordings that got known: the shop revokes them, and hears its recordings all the same."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from ari_app.asterisk.recordings import RecordingStore
from ari_app.cli import app
from ari_app.store.events import EventStore, What
from tests.browser.lively import sound
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import SECRET_KEY
from tests.support.accounts import account_toml

PAGE = "/api-access"


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def owner(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def link(cabinet: CabinetShop, channel: str = "1700000000.42") -> str:
    """Let a call be recorded; give its recording's link."""
    call = await cabinet.shop.calls.get(await cabinet.call(channel, sound(1)))
    assert call is not None
    return f"/recordings/{call.recording.file}"


async def revoke(reader: Reader, **fields: str) -> int:
    answer = await reader.post(f"{PAGE}/recordings", token=await reader.token(PAGE), **fields)
    return answer.status


async def test_a_revoked_link_opens_nothing_but_for_the_shop_itself(
    cabinet: CabinetShop, owner: Reader
) -> None:
    known = await link(cabinet)
    async with cabinet.reader() as stranger, cabinet.reader() as neighbour:
        assert (await neighbour.sign_in(cabinet.newcomer.url, NEW_KEY)).status == 303
        assert (await stranger.get(known)).status == 200
        assert await revoke(owner, sure="yes") == 303
        for reader in (stranger, neighbour):
            answer = await reader.get(known)
            assert (answer.status, await answer.text()) == (410, "This link was revoked.\n")
        assert (await owner.get(known, Range="bytes=0-3")).status == 206
        assert (await stranger.get(await link(cabinet, "1700000000.43"))).status == 200
    events, _ = await EventStore(cabinet.shop.redis, cabinet.shop.account.id).newest(10)
    assert [one.values["count"] for one in events if one.what is What.LINKS_REVOKED] == ["1"]
    assert "The links to recordings were revoked: 1." in await owner.text("/events")


async def test_without_the_tick_no_link_is_revoked(cabinet: CabinetShop, owner: Reader) -> None:
    known = await link(cabinet)
    assert await revoke(owner) == 422
    async with cabinet.reader() as stranger:
        assert (await stranger.get(known)).status == 200


async def test_a_removed_recording_leaves_no_mark_behind(cabinet: CabinetShop, owner: Reader) -> None:
    known, store = await link(cabinet), cabinet.shop.service.recordings
    assert await revoke(owner, sure="yes") == 303
    name = known.rpartition("/")[2]
    assert store.is_revoked(name)
    store.remove_file(cabinet.shop.account.id, name)
    assert not store.is_revoked(name)
    assert (await owner.get(known)).status == 404


def test_links_are_revoked_by_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARI_APP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", SECRET_KEY)
    file = tmp_path / "shop.toml"
    file.write_text(account_toml())
    run, store = CliRunner().invoke, RecordingStore(tmp_path / "data/recordings", SECRET_KEY)
    assert run(app, ["account", "apply", str(file)]).exit_code == 0
    store.belongs("shop.retailcrm.ru", store.name_of("c1"))
    said = run(app, ["account", "revoke-links", "shop.retailcrm.ru"]).stdout
    assert said == "shop.retailcrm.ru: the links of 1 recordings open nothing now.\n"
    assert store.is_revoked(store.name_of("c1"))
    assert run(app, ["account", "revoke-links", "nobody"]).exit_code == 1


def test_only_an_accounts_own_links_are_revoked(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, "key")
    for account, call in (("one", "c1"), ("other", "c2")):
        store.belongs(account, store.name_of(call))
    assert store.revoke_links("one") == 1
    assert [store.is_revoked(store.name_of(call)) for call in ("c1", "c2")] == [True, False]
