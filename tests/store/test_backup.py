"""All that is kept goes into a folder while a shop works, and comes back from there."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner, Result

from ari_app.accounts.reading import read_account
from ari_app.asterisk.recordings import RecordingStore
from ari_app.cli import app
from ari_app.store.accounts import Accounts
from ari_app.store.backup import copy_to, restore_from
from ari_app.store.calls import CallStore
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from tests.cabinet.kept_calls import keep, over, recorded
from tests.support.accounts import account_toml

KEY, OTHER = "k" * 32, "o" * 32
SHOP = "shop.retailcrm.ru"
LONG_AGO = 1_700_000_000.0


def ari_app(folder: Path, *arguments: str, key: str | None = KEY) -> Result:
    environment: Mapping[str, str | None] = {
        **dict.fromkeys(name for name in os.environ if name.startswith("ARI_APP_")),
        "ARI_APP_DATA_DIR": str(folder),
        "ARI_APP_SECRET_KEY": key,
    }
    return CliRunner().invoke(app, arguments, env=environment)


@asynccontextmanager
async def kept(folder: Path) -> AsyncIterator[Redis]:
    async with private_redis(folder, own=False) as url:
        redis = connect(url)
        yield redis
        await redis.aclose()


def store_file(folder: Path, call: str, content: bytes) -> str:
    recordings = RecordingStore(folder / "recordings", KEY)
    name = recordings.name_of(call)
    recordings.path_of(name).parent.mkdir(parents=True, exist_ok=True)
    recordings.path_of(name).write_bytes(content)
    recordings.belongs(SHOP, name)
    return name


async def shop_with_calls(folder: Path, *calls: str) -> None:
    """Have a shop with calls that are over, each with its recording."""
    async with kept(folder) as redis:
        toml = account_toml(pbx={"ari_password": "a-secret-word"})
        await Accounts(redis, KEY).apply(read_account(toml), keep_client_id=True)
        for number, ident in enumerate(calls):
            file = store_file(folder, ident, ident.encode() * 1000)
            call = over(ident, LONG_AGO + number, account=SHOP, recording=recorded(file))
            await keep(CallStore(redis, SHOP), call)


async def contents(redis: Redis) -> dict[bytes, bytes]:
    """Give all that must come back."""
    left_out = (b"running", b"copies", b"{accounts}:revision")
    found = {key: await redis.dump(key) async for key in redis.scan_iter()}
    return {key: value for key, value in found.items() if key not in left_out and value is not None}


async def test_accounts_calls_and_recordings_come_back_as_they_were(tmp_path: Path) -> None:
    here, there, folder = tmp_path / "here", tmp_path / "there", tmp_path / "backup"
    await shop_with_calls(here, "call-1", "call-2")
    async with kept(here) as redis:
        before = await contents(redis)
    done = await asyncio.to_thread(ari_app, here, "backup", str(folder))
    assert done.exit_code == 0, done.output
    assert "and 2 recordings" in done.output
    assert b"a-secret-word" not in (folder / "redis.rdb").read_bytes(), "secrets stay encrypted"
    assert (folder / "redis.rdb").stat().st_mode & 0o077 == 0

    done = await asyncio.to_thread(ari_app, there, "restore", str(folder))
    assert done.exit_code == 0, done.output
    async with kept(there) as redis:
        assert await contents(redis) == before
        found = await Accounts(redis, KEY).get(SHOP)
        assert found is not None
        assert found.pbx.ari_password.get_secret_value() == "a-secret-word"
        (newest, oldest) = await CallStore(redis, SHOP).ended(5)
        assert (newest.id, oldest.id) == ("call-2", "call-1")
    recordings = RecordingStore(there / "recordings", KEY)
    assert recordings.find("call-1") is not None
    assert recordings.remove_account(SHOP) == 2, "and it is known whose they are"


async def test_a_backup_of_a_shop_at_work_holds_each_call_whole(redis: Redis, tmp_path: Path) -> None:
    """Calls are written all the time: of each that is in the copy, state, journal and index are there."""
    calls, written, two_hundred = CallStore(redis, SHOP), 0, asyncio.Event()

    async def work() -> None:
        nonlocal written
        while True:
            await keep(calls, over(f"call-{written}", LONG_AGO + written, account=SHOP))
            written += 1
            if written == 200:
                two_hundred.set()

    working = asyncio.create_task(work())
    try:
        await asyncio.wait_for(two_hundred.wait(), 60)
        await copy_to(redis, tmp_path / "copy.rdb")
        at_the_copy = written
    finally:
        working.cancel()
    async with private_redis(tmp_path / "other", own=False, temporary=True) as url:
        other = connect(url)
        await restore_from(tmp_path / "copy.rdb", 0, other)
        copied = CallStore(other, SHOP)
        ids = await copied.ended_ids()
        assert 200 <= len(ids) <= at_the_copy + 1
        for call in ids:
            assert await copied.get(call) is not None
            assert len(await copied.journal(call)) == 1
        assert {f"call-{number}" for number in range(len(ids))} == set(ids)
        await other.aclose()


async def test_the_same_folder_follows_what_has_changed(tmp_path: Path) -> None:
    here, folder = tmp_path / "here", tmp_path / "backup"
    await shop_with_calls(here, "call-1", "call-2")
    assert (await asyncio.to_thread(ari_app, here, "backup", str(folder))).exit_code == 0
    recordings = RecordingStore(here / "recordings", KEY)
    in_backup = RecordingStore(folder / "recordings", KEY)
    one, two = (in_backup.path_of(recordings.name_of(call)) for call in ("call-1", "call-2"))
    stayed = one.stat().st_mtime_ns, one.stat().st_ino
    recordings.remove(SHOP, "call-2")
    await shop_with_calls(here, "call-3")
    assert (await asyncio.to_thread(ari_app, here, "backup", str(folder))).exit_code == 0
    assert (one.stat().st_mtime_ns, one.stat().st_ino) == stayed
    assert not two.exists()
    assert in_backup.path_of(recordings.name_of("call-3")).read_bytes() == b"call-3" * 1000


async def test_a_backup_comes_back_only_where_it_can_be_opened_and_nothing_is(tmp_path: Path) -> None:
    here, there, folder = tmp_path / "here", tmp_path / "there", tmp_path / "backup"
    await shop_with_calls(here, "call-1")
    assert (await asyncio.to_thread(ari_app, here, "backup", str(folder))).exit_code == 0
    wrong = await asyncio.to_thread(ari_app, there, "restore", str(folder), key=OTHER)
    assert (wrong.exit_code, "needs the secret key" in wrong.output) == (1, True)
    none = await asyncio.to_thread(ari_app, there, "restore", str(folder), key=None)
    assert (none.exit_code, (there / "secret.key").exists()) == (1, False)
    again = await asyncio.to_thread(ari_app, here, "restore", str(folder))
    assert (again.exit_code, "accounts here already" in again.output) == (1, True)
    (folder / "redis.rdb").write_bytes(b"half of it")
    broken = await asyncio.to_thread(ari_app, there, "restore", str(folder))
    assert (broken.exit_code, "no copy" in broken.output) == (1, True)
    nothing = await asyncio.to_thread(ari_app, there, "restore", str(tmp_path))
    assert (nothing.exit_code, "no whole backup" in nothing.output) == (1, True)


@pytest.mark.parametrize("yes", [False, True])
async def test_when_the_key_is_lost_calls_and_recordings_are_not(tmp_path: Path, yes: bool) -> None:
    await shop_with_calls(tmp_path, "call-1")
    done = await asyncio.to_thread(ari_app, tmp_path, "keys", "lost", *(["--yes"] if yes else []), key=OTHER)
    assert (done.exit_code, SHOP in done.output) == (0 if yes else 1, True)
    async with kept(tmp_path) as redis:
        assert (await Accounts(redis, KEY).names() == []) is yes
        if yes:
            await Accounts(redis, OTHER).apply(read_account(account_toml()), keep_client_id=True)
        (call,) = await CallStore(redis, SHOP).ended(5)
        assert call.recording.file is not None
    assert RecordingStore(tmp_path / "recordings", OTHER).path_of(call.recording.file).exists()
    fine = await asyncio.to_thread(ari_app, tmp_path, "keys", "lost", key=OTHER if yes else KEY)
    assert (fine.exit_code, "can be opened" in fine.output) == (0, True)
