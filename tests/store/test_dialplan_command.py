"""`ari-app dialplan`, as the person who sets a PBX up uses it."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ari_app.accounts.reading import read_account
from ari_app.cli import app
from ari_app.store.accounts import Accounts
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from tests.support.accounts import account_toml

KEY = "k" * 32

Run = Callable[..., Result]


@pytest.fixture
async def shops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARI_APP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", KEY)
    async with private_redis(tmp_path / "data", own=False, temporary=True) as url:
        redis = connect(url)
        for number, host in enumerate(("shop", "other")):
            text = account_toml(
                crm={"url": f"https://{host}.retailcrm.ru", "api_key": f"key{number}"},
                pbx={"stasis_app": host, "ari_password": "ari-secret"},
            )
            await Accounts(redis, KEY).apply(read_account(text), keep_client_id=True)
        await redis.aclose()


@pytest.fixture
def run() -> Run:
    return lambda *words: CliRunner().invoke(app, ["dialplan", *words])


@pytest.mark.usefixtures("shops")
def test_the_files_are_printed_for_the_shop_that_is_named(run: Run) -> None:
    said = run("asterisk", "--account", "shop.retailcrm.ru")
    assert said.exit_code == 0
    assert "[shop-incoming]" in said.stdout
    assert "password = ari-secret" in said.stdout


@pytest.mark.usefixtures("shops")
def test_of_several_shops_one_must_be_named(run: Run) -> None:
    said = run("asterisk")
    assert said.exit_code == 1
    assert "say which with --account: " in said.stderr
    assert "shop.retailcrm.ru" in said.stderr
    assert run("asterisk", "--account", "third.retailcrm.ru").exit_code == 1


@pytest.mark.usefixtures("shops")
def test_files_are_written_for_their_owner_and_overwritten_only_by_force(run: Run, tmp_path: Path) -> None:
    words = ("freepbx", "--account", "other.retailcrm.ru", "--out", str(tmp_path / "pbx"))
    assert run(*words).exit_code == 0
    file = tmp_path / "pbx" / "ari_additional_custom.conf"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.write_text("mine")
    again = run(*words)
    assert again.exit_code == 1
    assert "ari_additional_custom.conf" in again.stderr
    assert file.read_text() == "mine"
    assert run(*words, "--force").exit_code == 0
    assert "ari-secret" in file.read_text()
