"""The secret key is changed for another one: what the old one closed is opened, and closed anew."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from typer.testing import CliRunner

from ari_app.accounts.reading import read_account
from ari_app.accounts.sections import SECRETS
from ari_app.asterisk.recordings import RecordingStore
from ari_app.calls.call import Recording, RecordingState
from ari_app.cli import app
from ari_app.keyring import KeyRing
from ari_app.service.retention import Keeping
from ari_app.settings import BadSettings, Settings, load_secret_key, read_settings
from ari_app.store.accounts import Accounts, WrongSecretKey
from ari_app.store.calls import CallStore
from ari_app.store.connection import ask
from ari_app.store.keys import ACCOUNTS
from tests.store.test_statistics import MIDNIGHT, call, write
from tests.support.accounts import account_toml

OLD, NEW = "o" * 32, "n" * 32


def toml(number: int) -> str:
    return account_toml(
        crm={"url": f"https://shop{number}.retailcrm.ru", "api_key": f"api-key-{number}"},
        pbx={"stasis_app": f"shop{number}", "ari_password": "ari-secret", "ami_password": "ami-secret"},
    )


async def test_what_an_older_key_has_closed_is_opened_and_written_with_the_present_one(redis: Redis) -> None:
    stored = await Accounts(redis, OLD).apply(read_account(toml(1)), keep_client_id=True)
    both = Accounts(redis, KeyRing(NEW, (OLD,)))
    assert await both.find(stored.id) == stored
    assert await both.reseal(stored.id) is True
    assert await both.reseal(stored.id) is False
    assert await Accounts(redis, NEW).find(stored.id) == stored
    with pytest.raises(WrongSecretKey, match="ARI_APP_OLD_SECRET_KEYS"):
        await Accounts(redis, OLD).find(stored.id)


async def test_accounts_are_written_anew_while_others_change_them(redis: Redis) -> None:
    """Each account is changed twenty times while it is written anew; no change and no secret is lost."""
    before = Accounts(redis, OLD)
    for number in range(3):
        await before.apply(read_account(toml(number)), keep_client_id=True)
    names = await before.names()
    at_work, rotating = Accounts(redis, KeyRing(OLD, (NEW,))), Accounts(redis, KeyRing(NEW, (OLD,)))

    async def change(name: str) -> None:
        for number in range(20):
            await at_work.change(
                name,
                lambda now, number=number: now.altered(  # type: ignore[misc]
                    calls={**now.calls.model_dump(), "ring_manager_seconds": number + 1}
                ),
            )

    async def rotate(name: str) -> None:
        for _ in range(20):
            await rotating.reseal(name)

    await asyncio.gather(*map(change, names), *map(rotate, names))
    for name in names:
        await rotating.reseal(name)
    found = await Accounts(redis, NEW).registered()
    assert [one.calls.ring_manager_seconds for one in found] == [20] * 3
    assert [one.crm.api_key.get_secret_value() for one in found] == [f"api-key-{n}" for n in range(3)]


def test_the_command_says_how_far_it_is_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARI_APP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", OLD)
    for number in range(2):
        file = tmp_path / "shop.toml"
        file.write_text(toml(number))
        assert CliRunner().invoke(app, ["account", "apply", str(file)]).exit_code == 0
    monkeypatch.setenv("ARI_APP_SECRET_KEY", NEW)
    refused = CliRunner().invoke(app, ["keys", "rotate"])
    assert refused.exit_code == 1
    assert "ARI_APP_OLD_SECRET_KEYS" in refused.output
    monkeypatch.setenv("ARI_APP_OLD_SECRET_KEYS", f"{'x' * 32}, {OLD}")
    first, second = (CliRunner().invoke(app, ["keys", "rotate"]).output for _ in range(2))
    assert "2/2  shop1.retailcrm.ru: written anew" in first
    assert "2 accounts, 2 written anew" in first
    assert "2 accounts, 0 written anew" in second
    monkeypatch.delenv("ARI_APP_OLD_SECRET_KEYS")
    assert "shop1.retailcrm.ru" in CliRunner().invoke(app, ["account", "list"]).output


async def kept(redis: Redis, account: str) -> dict[str, Any]:
    return orjson.loads(await ask(redis.hget(ACCOUNTS, account)))  # type: ignore[no-any-return]


async def test_every_secret_that_is_kept_is_written_anew(redis: Redis) -> None:
    webhook = '\n[webhook]\nurl = "https://example.com"\nsecret = "hunter2-hunter2-hunter2"\n'
    stored = await Accounts(redis, OLD).apply(read_account(toml(1) + webhook), keep_client_id=True)
    raw = await kept(redis, stored.id)
    await Accounts(redis, KeyRing(NEW, (OLD,))).reseal(stored.id)
    anew = await kept(redis, stored.id)
    for section, name in SECRETS:
        assert anew[section].pop(name) != raw[section].pop(name)
    assert anew == raw


async def test_recordings_keep_the_names_that_an_older_key_gave_and_can_be_removed(
    redis: Redis, tmp_path: Path
) -> None:
    before = RecordingStore(tmp_path, OLD)
    names = {}
    for ident in ("one", "two"):
        names[ident] = before.name_of(ident)
        before.path_of(names[ident]).parent.mkdir(exist_ok=True)
        before.path_of(names[ident]).write_bytes(b"sound" * 100)
    both, new = RecordingStore(tmp_path, KeyRing(NEW, (OLD,))), RecordingStore(tmp_path, NEW)
    found = both.find("one")
    assert found is not None
    assert (found.name, both.name_of("one") == found.name) == (names["one"], False)
    both.remove("shop", "one")
    assert not before.path_of(names["one"]).exists()

    store = CallStore(redis, "shop")  # the older key is gone: the call itself knows the name
    old = call("two", MIDNIGHT, recording=Recording(RecordingState.STORED, file=names["two"]))
    await write(store, old)
    keeping = Keeping(lambda: [store], new, 30, lambda: MIDNIGHT + 100 * 86_400.0, pause=0)
    assert await keeping.let_go(store) == 1
    assert not before.path_of(names["two"]).exists()


def test_a_short_old_key_is_complained_of_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARI_APP_OLD_SECRET_KEYS", f"{OLD},short-key")
    with pytest.raises(BadSettings, match="ARI_APP_OLD_SECRET_KEYS: expected 32 characters") as wrong:
        read_settings()
    assert "short-key" not in str(wrong.value)


def test_nothing_shows_a_key(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, secret_key=SecretStr(NEW), old_secret_keys=(SecretStr(OLD),), _env_file=None
    )
    key, _ = load_secret_key(settings)
    assert key == KeyRing(NEW, (OLD,))
    for shown in (repr(key), str(key), repr(settings)):
        assert OLD not in shown
        assert NEW not in shown
