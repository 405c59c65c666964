import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from ari_app.commands.settings import sample
from ari_app.keyring import KeyRing
from ari_app.settings import (
    BadSettings,
    Settings,
    claim,
    claimed,
    holder_id,
    load_secret_key,
    read_settings,
    unknown_settings,
)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("ARI_APP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_without_any_setting_the_service_listens_on_this_machine_only() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.redis_url) == ("127.0.0.1", 8080, None)
    assert settings.public_url == "http://localhost:8080"
    assert settings.recordings_url == "http://localhost:8080/recordings"


@pytest.mark.parametrize(
    ("host", "port", "shown"),
    [
        ("0.0.0.0", "80", "http://localhost:80"),
        ("pbx", "9000", "http://pbx:9000"),
        ("::1", "1", "http://[::1]:1"),
    ],
)
def test_the_public_address_follows_the_listening_one(
    monkeypatch: pytest.MonkeyPatch, host: str, port: str, shown: str
) -> None:
    monkeypatch.setenv("ARI_APP_HOST", host)
    monkeypatch.setenv("ARI_APP_PORT", port)
    assert read_settings().public_url == shown


def test_recordings_are_found_below_the_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARI_APP_PUBLIC_URL", "https://calls.example/")
    assert read_settings().recordings_url == "https://calls.example/recordings"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ARI_APP_PORT=1\nARI_APP_HOST=filed\nOTHER=1\n")
    monkeypatch.setenv("ARI_APP_PORT", "2")
    settings = read_settings()
    assert (settings.host, settings.port) == ("filed", 2)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "PORT", "SECRET_KEY", "DATA_DIR"):
        monkeypatch.setenv(f"ARI_APP_{name}", "")
    settings = read_settings()
    assert (settings.redis_url, settings.port, settings.secret_key) == (None, 8080, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "70000"),
        ("SECRET_KEY", "hunter2"),
        ("REDIS_URL", "http://hunter2"),
        ("REDIS_URL", "redis://:hunter2@host:abc"),
        ("PUBLIC_URL", "calls.example"),
        ("SMTP_HOST", "smtp.example.com:587"),
        ("SMTP_TLS", "yes"),
        ("SMTP_PORT", "0"),
        ("SMTP_SENDER", "hunter2"),
        ("SMTP_SENDER", "calls@example.com"),
        ("SMTP_PASSWORD", "hunter2"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"ARI_APP_{name}", value)
    with pytest.raises(BadSettings, match=f"^ARI_APP_{name}: expected [^\n]*$") as error:
        read_settings()
    assert "hunter2" not in str(error.value)


def test_a_redis_password_is_not_shown() -> None:
    settings = Settings(
        redis_url="redis://:hunter2@host:6379", secret_key=SecretStr("k" * 32), _env_file=None
    )
    assert "hunter2" not in repr(settings)
    assert "kkk" not in repr(settings)


@pytest.mark.parametrize(("days", "fine"), [("1", True), ("3650", True), ("0", False), ("for ever", False)])
def test_calls_are_kept_for_some_days(monkeypatch: pytest.MonkeyPatch, days: str, fine: bool) -> None:
    assert read_settings().keep_calls_days == 1095
    monkeypatch.setenv("ARI_APP_KEEP_CALLS_DAYS", days)
    if fine:
        assert read_settings().keep_calls_days == int(days)
    else:
        with pytest.raises(BadSettings, match="ARI_APP_KEEP_CALLS_DAYS"):
            read_settings()


def test_the_server_for_mail_is_known_with_its_sender_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().smtp_host is None
    monkeypatch.setenv("ARI_APP_SMTP_HOST", "smtp.example.com")
    with pytest.raises(
        BadSettings, match=r"^ARI_APP_SMTP_SENDER: expected it together with ARI_APP_SMTP_HOST"
    ):
        read_settings()
    monkeypatch.setenv("ARI_APP_SMTP_SENDER", "calls@example.com")
    for tls, port in (("", 587), ("starttls", 587), ("tls", 465), ("none", 25)):
        monkeypatch.setenv("ARI_APP_SMTP_TLS", tls)
        assert read_settings().smtp_at == port
    monkeypatch.setenv("ARI_APP_SMTP_PORT", "2525")
    assert read_settings().smtp_at == 2525


def test_the_password_for_mail_comes_from_a_file_and_goes_by_tls_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    given = {"HOST": "smtp.example.com", "SENDER": "calls@example.com", "USER": "calls"}
    for name, value in (given | {"PASSWORD_FILE": str(tmp_path / "password")}).items():
        monkeypatch.setenv(f"ARI_APP_SMTP_{name}", value)
    settings = read_settings()
    assert settings.smtp_password == SecretStr("hunter2")
    assert "hunter2" not in repr(settings)
    monkeypatch.setenv("ARI_APP_SMTP_TLS", "none")
    with pytest.raises(
        BadSettings, match=r"^ARI_APP_SMTP_PASSWORD: expected ARI_APP_SMTP_TLS to be"
    ) as error:
        read_settings()
    assert "hunter2" not in str(error.value)
    monkeypatch.setenv("ARI_APP_SMTP_HOST", "localhost")
    assert read_settings().smtp_at == 25


def test_an_unknown_setting_is_named_with_what_may_be_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("ARI_APP_XYZ=1\n")
    monkeypatch.setenv("ARI_APP_REDIS_ULR", "redis://h")
    monkeypatch.setenv("ARI_APP_PORT", "1")
    assert unknown_settings() == [
        "ARI_APP_REDIS_ULR is not a setting; did you mean ARI_APP_REDIS_URL?",
        "ARI_APP_XYZ is not a setting",
    ]


def test_a_setting_may_be_in_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (
        ("SECRET_KEY", "k" * 32),
        ("OLD_SECRET_KEYS", f"{'a' * 32},{'b' * 32}"),
        ("PORT", "1"),
    ):
        (tmp_path / name).write_text(f"{value}\n")
        monkeypatch.setenv(f"ARI_APP_{name}_FILE", str(tmp_path / name))
    (tmp_path / "url").write_text("redis://:hunter2@h")
    (tmp_path / ".env").write_text(f"ARI_APP_REDIS_URL_FILE={tmp_path / 'url'}\n")
    settings = read_settings()
    assert settings.secret_key == SecretStr("k" * 32)
    assert settings.old_secret_keys == (SecretStr("a" * 32), SecretStr("b" * 32))
    assert (settings.port, settings.public_url) == (1, "http://localhost:1")
    assert settings.redis_url == "redis://:hunter2@h"
    assert unknown_settings() == []


def test_a_file_that_is_not_there_is_named_with_its_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARI_APP_SECRET_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(BadSettings, match=r"^ARI_APP_SECRET_KEY_FILE: .*/key can't be read: No such file"):
        read_settings()
    (tmp_path / "key").write_text("hunter2")
    with pytest.raises(BadSettings, match=r"^ARI_APP_SECRET_KEY: expected 32 characters or more$"):
        read_settings()


def test_a_setting_that_is_given_twice_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32)
    monkeypatch.setenv("ARI_APP_SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", "o" * 32)
    with pytest.raises(BadSettings, match="ARI_APP_SECRET_KEY_FILE and ARI_APP_SECRET_KEY are both set"):
        read_settings()


def test_an_unknown_file_of_a_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARI_APP_SECRET_KYE_FILE", "/run/secrets/key")
    assert unknown_settings() == [
        "ARI_APP_SECRET_KYE_FILE is not a setting; did you mean ARI_APP_SECRET_KEY_FILE?"
    ]


def test_people_are_told_where_things_are_kept_without_a_password(tmp_path: Path) -> None:
    private = Settings(data_dir=tmp_path, _env_file=None)
    assert private.place == f"the data folder {tmp_path} (with a Redis of its own)"
    named = Settings(data_dir=tmp_path, redis_url="redis://:hunter2@h:1/2?password=hunter2", _env_file=None)
    assert named.place == f"the Redis redis://h:1/2 (data folder {tmp_path})"


def test_a_secret_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", _env_file=None)
    key, made = load_secret_key(settings)
    assert made is not None
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.parent.stat().st_mode & 0o777 == 0o700
    assert len(key.current) >= 32
    assert load_secret_key(settings) == (key, None)
    assert [file.name for file in made.parent.iterdir()] == [made.name]


def test_a_given_secret_key_is_used_as_it_is(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", secret_key=SecretStr("ключ " * 8), _env_file=None)
    assert load_secret_key(settings) == (KeyRing("ключ " * 8), None)
    assert not (tmp_path / "data").exists()


def test_two_that_start_at_once_agree_on_the_key(tmp_path: Path) -> None:
    for attempt in range(30):
        settings = Settings(data_dir=tmp_path / str(attempt), _env_file=None)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda settings: load_secret_key(settings), [settings] * 8))
        assert len({key for key, _ in found}) == 1
        assert sum(made is not None for _, made in found) == 1


def test_the_same_data_folder_is_the_same_holder(tmp_path: Path) -> None:
    assert holder_id(tmp_path / "a") == holder_id(tmp_path / "a")
    assert holder_id(tmp_path / "a") != holder_id(tmp_path / "b")


def test_a_damaged_key_and_an_unusable_folder_are_said(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("")
    with pytest.raises(BadSettings, match=r"secret\.key is damaged"):
        load_secret_key(Settings(data_dir=tmp_path, _env_file=None))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSettings, match="can't be used: Not a directory"):
        holder_id(tmp_path / "file" / "data")


def test_one_service_at_a_time_works_with_a_data_folder(tmp_path: Path) -> None:
    with claim(tmp_path), pytest.raises(BadSettings, match="runs already"), claim(tmp_path):
        pass
    assert tmp_path not in claimed()
    with claim(tmp_path):
        assert tmp_path in claimed()
    with claim(tmp_path):
        pass


@pytest.mark.parametrize(
    ("port", "metrics", "at"),
    [("8080", None, 9080), ("65000", None, 64000), ("0", None, None), ("8080", "0", None), ("8080", "9", 9)],
)
def test_prometheus_asks_at_a_port_of_its_own(
    monkeypatch: pytest.MonkeyPatch, port: str, metrics: str | None, at: int | None
) -> None:
    monkeypatch.setenv("ARI_APP_PORT", port)
    if metrics is not None:
        monkeypatch.setenv("ARI_APP_METRICS_PORT", metrics)
    assert (read_settings().metrics_host, read_settings().metrics_at) == ("127.0.0.1", at)


def test_the_sample_says_what_holds_without_it(tmp_path: Path) -> None:
    without = read_settings()
    (tmp_path / ".env").write_text(sample().replace("\n#ARI_APP_", "\nARI_APP_"))
    assert unknown_settings() == []
    assert read_settings() == without
    assert re.findall(r"^#ARI_APP_(\w+)=", sample(), re.MULTILINE) == [
        name.upper() for name in Settings.model_fields
    ]


def test_the_sample_of_the_documents_is_the_present_one() -> None:
    kept = Path(__file__).parents[2] / "docs/settings.env"
    assert kept.read_text("utf-8") == sample(), "run `make settings`"
