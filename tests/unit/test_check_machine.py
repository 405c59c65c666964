"""The data folder, the secret key and Redis, as they may be found."""

from pathlib import Path

import pytest

from ari_app.check import machine
from ari_app.check.findings import Finding, Findings, State
from ari_app.settings import Settings
from ari_app.store.health import Keeping

GOOD = Keeping(appendonly=True, written=True, memory_limit=0, policy="noeviction", used=10**6)


def settings(folder: Path, **others: str) -> Settings:
    return Settings(data_dir=folder, _env_file=None, **others)  # type: ignore[arg-type]


async def found(findings: Findings) -> list[Finding]:
    return [one async for one in findings]


@pytest.fixture
def for_everybody(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


async def test_a_data_folder_of_ours_with_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LITTLE_SPACE", 0)
    monkeypatch.setattr(machine, "ENOUGH_SPACE", 0)
    assert [one.state for one in await found(machine.data_folder(settings(tmp_path)))] == [State.GOOD] * 2


async def test_a_data_folder_that_is_not_there_is_named_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (finding,) = await found(machine.data_folder(settings(Path("data"))))
    assert finding.state is State.BAD
    assert str(tmp_path / "data") in finding.sentence
    assert not (tmp_path / "data").exists()


async def test_a_data_folder_for_everybody_on_a_full_disk(
    for_everybody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "LITTLE_SPACE", 10**18)
    states = [one.state for one in await found(machine.data_folder(settings(for_everybody)))]
    assert states == [State.WARNING, State.BAD]


async def test_a_secret_key_is_looked_at_and_not_made(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    (finding,) = await found(machine.secret_key(settings(tmp_path)))
    assert (finding.state, file.exists()) == (State.WARNING, False)
    file.write_text("x" * 64)
    for mode, state in ((0o600, State.GOOD), (0o644, State.WARNING)):
        file.chmod(mode)
        (finding,) = await found(machine.secret_key(settings(tmp_path)))
        assert finding.state is state
    file.write_text("short")
    (finding,) = await found(machine.secret_key(settings(tmp_path)))
    assert finding.state is State.BAD
    (finding,) = await found(machine.secret_key(settings(tmp_path, secret_key="k" * 32)))
    assert finding.state is State.GOOD


async def test_a_setting_that_is_misspelt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARI_APP_PUBLIC_ULR", "https://calls.shop.ru")
    (finding,) = await found(machine.names())
    assert (finding.state, "ARI_APP_PUBLIC_URL" in finding.sentence) == (State.WARNING, True)


@pytest.mark.parametrize(
    ("change", "states"),
    [
        ({}, (State.GOOD, State.GOOD)),
        ({"appendonly": False}, (State.BAD, State.GOOD)),
        ({"written": False}, (State.BAD, State.GOOD)),
        ({"memory_limit": 10**9, "policy": "allkeys-lru"}, (State.GOOD, State.BAD)),
        ({"memory_limit": 10**9}, (State.GOOD, State.GOOD)),
        ({"memory_limit": 10**9, "used": 9 * 10**8}, (State.GOOD, State.WARNING)),
        ({"appendonly": None, "policy": None}, (State.UNKNOWN, State.UNKNOWN)),
    ],
)
def test_how_redis_keeps_things(change: dict[str, object], states: tuple[State, State]) -> None:
    keeping = Keeping(**{**vars_of(GOOD), **change})  # type: ignore[arg-type]
    assert tuple(one.state for one in machine.kept(keeping)) == states


def vars_of(keeping: Keeping) -> dict[str, object]:
    return {name: getattr(keeping, name) for name in Keeping.__slots__}
