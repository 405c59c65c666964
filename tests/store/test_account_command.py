"""`ari-app account apply`, as the person who sets a shop up uses it."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from ari_app.asterisk.recordings import RecordingStore
from ari_app.cli import app
from ari_app.settings import claim
from ari_app.store.leases import say_running
from tests.support.accounts import account_toml

SHOP = account_toml(
    pbx={"ari_password": "ari-secret", "outgoing": "default,3"},
    phones=[
        {"number": "+74951112233", "outgoing": "moscow,2"},
        {"number": "+74954445566", "outgoing": "moscow"},
    ],
)


def test_a_line_that_begins_at_another_priority_is_said_to_need_a_context_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARI_APP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", "k" * 32)
    file = tmp_path / "shop.toml"
    file.write_text(SHOP)
    said = CliRunner().invoke(app, ["account", "apply", str(file)])
    assert said.exit_code == 0
    text = said.stdout + said.stderr
    assert "pbx.outgoing begins at priority 3" in text
    assert "[retailcrm-outgoing-default-3]" in text
    assert "[retailcrm-outgoing-moscow-2]" in text
    assert "external_phones[1]" not in text


async def test_it_is_said_where_a_shop_was_applied(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"unix://{redis.connection_pool.connection_kwargs['path']}"
    monkeypatch.setenv("ARI_APP_REDIS_URL", url)
    monkeypatch.setenv("ARI_APP_DATA_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", "k" * 32)
    (tmp_path / "shop.toml").write_text(SHOP)
    apply = ["account", "apply", str(tmp_path / "shop.toml")]
    with claim(tmp_path / "served"):
        said = await asyncio.to_thread(CliRunner().invoke, app, apply)
        assert (
            said.stdout
            == f"shop.retailcrm.ru: applied, in the Redis {url} (data folder {tmp_path / 'mine'}).\n"
        )
        assert "warning: no service works with it." in said.stderr
        assert str(tmp_path / "served") in said.stderr
        await say_running(redis)  # whichever data folder its service has
        said = await asyncio.to_thread(CliRunner().invoke, app, apply)
        assert "no service works" not in said.stderr


def test_the_recordings_of_a_removed_shop_go_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARI_APP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", "k" * 32)
    file = tmp_path / "shop.toml"
    file.write_text(SHOP)
    assert CliRunner().invoke(app, ["account", "apply", str(file)]).exit_code == 0
    listed = CliRunner().invoke(app, ["account", "list"]).stdout
    name = next(word for word in listed.split() if "retailcrm" in word)
    recordings = RecordingStore(tmp_path / "data" / "recordings", "k" * 32)
    for account, call in ((name, "its own"), ("another", "another's")):
        path = recordings.path_of(recordings.name_of(call))
        path.parent.mkdir(parents=True)
        path.write_bytes(b"sound")
        recordings.belongs(account, path.name)
    assert CliRunner().invoke(app, ["account", "remove", name]).exit_code == 0
    left = [path.name for path in (tmp_path / "data" / "recordings").rglob("*.wav")]
    assert left == [recordings.name_of("another's")]
