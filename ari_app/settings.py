"""The process's settings: environment variables ``ARI_APP_*``, or the same in a file ``.env``.

Each may be in a file of its own, too: ``ARI_APP_SECRET_KEY_FILE`` names the file with ``ARI_APP_SECRET_KEY``.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from ari_app.email_address import mailbox
from ari_app.keyring import KeyRing
from ari_app.network.reach import IPNetwork, read_networks

PREFIX = "ARI_APP_"
IN_FILE = "_FILE"
"""A setting's name with this names the file that holds its value."""
SECRET_KEY_LENGTH = 32
SECRET_KEY_FILE = "secret.key"
"""In the data folder."""
LOCK_FILE = "service.lock"
"""In the data folder; a service at work holds it open."""
CRM_DOMAINS = ("retailcrm.ru", "retailcrm.pro", "retailcrm.es", "simla.com")
"""Where retailCRM's accounts are."""

METRICS_ABOVE = 1000
"""By so much the port for Prometheus is above the service's own, if it isn't set."""

_WEB = ("http://", "https://")
_MAIL_SERVER = re.compile(r"[A-Za-z0-9_.-]{1,253}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_REDIS_SCHEMES = ("redis", "rediss", "unix")


class SmtpTls(StrEnum):
    """How the connection to the server for e-mail is kept secret."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


_SMTP_PORTS = {SmtpTls.STARTTLS: 587, SmtpTls.TLS: 465, SmtpTls.NONE: 25}


class BadSettings(ValueError):
    """A setting is wrong; the text names it and what was expected."""


class _InFiles(PydanticBaseSettingsSource):
    """What is in files of its own: Docker's, Kubernetes' and systemd's secrets are."""

    def __init__(self, kind: type[BaseSettings], *given: PydanticBaseSettingsSource) -> None:
        super().__init__(kind)
        self._given: dict[str, str | None] = {}
        for source in given:
            if isinstance(source, EnvSettingsSource):
                self._given |= source.env_vars

    def __call__(self) -> dict[str, Any]:
        values = ((name, self._value(name)) for name in self.settings_cls.model_fields)
        return {name: value for name, value in values if value is not None}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Give the value of a setting, and its name."""
        return self._value(field_name), field_name, False

    def _value(self, name: str) -> str | None:
        variable = f"{PREFIX}{name}".lower()
        path = self._given.get(f"{variable}{IN_FILE}".lower())
        if path is None:
            return None
        called = f"{variable}{IN_FILE}".upper()
        if self._given.get(variable) is not None:
            raise BadSettings(f"{called} and {variable.upper()} are both set: only one of them can hold")
        try:
            return Path(path).expanduser().read_text("utf-8-sig").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(
                f"{called}: {path} can't be read: {getattr(error, 'strerror', None) or 'it is not text'}"
            ) from None


class Settings(BaseSettings):
    """Settings of `ari-app serve` and the commands beside it. What stands below each explains it to people:
    `ari-app settings` writes it into the sample.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    redis_url: str | None = Field(default=None, repr=False)
    """A Redis of yours, such as redis://localhost:6379, with `appendonly yes` and `maxmemory-policy
    noeviction`. Without it the service runs a redis-server of its own in its data folder."""
    host: str = "127.0.0.1"
    """The address of this machine at which it listens; 0.0.0.0 is all of them."""
    port: int = Field(default=8080, ge=0, le=65535)
    """The port at which it listens."""
    public_url: str = ""
    """Where the CRM and people reach this service, such as https://calls.example.com; by default its host and
    port."""
    copy_url: str = ""
    """Where other copies of the service reach this one; by default its host and port."""
    data_dir: Path = Path("data")
    """The folder for recordings, the Redis of its own and the secret key, if one has to be made. Every
    command needs the service's: name it from the root, for `data` is another folder elsewhere."""
    secret_key: SecretStr | None = None
    """Any string of 32 characters or more; it encrypts the accounts' secrets. Without it one is made and
    kept in the data folder."""
    old_secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys that were the secret one before, with commas between them: they open what they closed."""
    recordings_url: str = ""
    """Where recordings are found; by default below the public address."""
    upload_limit_mb: int = Field(default=100, ge=1, le=10_000)
    """How big a recording that a PBX sends may be, in megabytes (10**6 bytes)."""
    recordings_gb: int = Field(default=500, ge=1, le=10_000_000)
    """How much one account's recordings may take on the disk, in gigabytes (10**9 bytes); then no more are
    stored. Whatever this is, 1 GB of the disk stays free."""
    keep_calls_days: int = Field(default=1095, ge=1, le=36_500)
    """The age at which calls go that are over, with their journals and recordings."""
    ledger_mb: int = Field(default=64, ge=1, le=100_000)
    """How much of the calls' steps one account keeps in memory while Redis is away, in megabytes (10**6
    bytes). Beyond that steps go of which nobody is to be told; then new callers go on in the dialplan."""
    live_calls: int = Field(default=2_000, ge=1, le=1_000_000)
    """So many calls at once of one PBX are ours; further callers go on in the dialplan."""
    events_a_second: int = Field(default=500, ge=10, le=1_000_000)
    """So many events a second one PBX may send, held over a minute; further ones are read later."""
    reports_a_second: int = Field(default=20, ge=1, le=1_000_000)
    """So many reports a second one account's dialplan may send, held over a minute; then they are refused."""
    written_mb: int = Field(default=2_000, ge=1, le=10_000_000)
    """How much one account's calls may write into Redis in a day, in megabytes (10**6 bytes): then callers go
    on in the dialplan, and reports are refused."""
    redis_mb: int | None = Field(default=None, ge=16, le=10_000_000)
    """How much memory the private Redis may take, in megabytes; by default half of the machine's."""
    crm_domains: Annotated[tuple[str, ...], NoDecode] = CRM_DOMAINS
    """The domains below which a CRM may be that somebody signs in with, with commas between them; the word
    `loopback` lets in one on this machine."""
    marketplace_secret: SecretStr | None = None
    """What the CRM's marketplace and we alone know: with it the module is connected by a click in the CRM."""
    pbx_networks: Annotated[tuple[IPNetwork, ...], NoDecode] = ()
    """The networks of ours in which a PBX may be whose address is typed into the cabinet, such as
    10.8.0.0/16,127.0.0.1; without it a PBX can be set up there only by `ari-app account apply`. A shop's
    program (webhook) may be in them, too."""
    smtp_host: str | None = None
    """The server that takes e-mail to the shops' people: alerts and missed calls, for the shops that name
    addresses. Without it nobody is written to."""
    smtp_port: int | None = Field(default=None, ge=1, le=65535)
    """Its port; by default that of ARI_APP_SMTP_TLS: 587, 465 or 25."""
    smtp_tls: SmtpTls = SmtpTls.STARTTLS
    """`starttls`, `tls` from the first byte, or `none`, which takes no password unless the server is on this
    machine. The server's certificate must be trusted here."""
    smtp_user: str | None = None
    """With which name it lets us in; without it we don't sign in."""
    smtp_password: SecretStr | None = Field(default=None, validate_default=True)
    """The password for that."""
    smtp_sender: str | None = Field(default=None, validate_default=True)
    """Whom e-mail comes from, such as calls@example.com; without it nobody is written to."""
    clicks_extension_a_minute: int = Field(default=10, ge=1)
    """How many calls a click in the CRM places from one extension within a minute."""
    clicks_a_minute: int = Field(default=60, ge=1)
    """The same of one account."""
    clicks_a_day: int = Field(default=1_000, ge=1)
    """The same of one account within 24 hours."""
    clicks_ringing: int = Field(default=10, ge=1)
    """How many such calls of one account may ring at once."""
    proxies: int = Field(default=0, ge=0, le=10)
    """How many proxies of yours pass requests on to us; each adds its client to X-Forwarded-For."""
    metrics_host: str = "127.0.0.1"
    """The address of this machine at which Prometheus asks for /metrics, which names the shops."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Where Prometheus asks; 0: nowhere. By default 1000 above ARI_APP_PORT, so that copies don't meet."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Give where settings come from, the first before the others."""
        in_files = _InFiles(settings_cls, dotenv_settings, env_settings)
        return init_settings, env_settings, dotenv_settings, in_files

    @property
    def place(self) -> str:
        """Where accounts and calls are kept, for people; without Redis' password."""
        folder = self.data_dir.resolve()
        if self.redis_url is None:
            return f"the data folder {folder} (with a Redis of its own)"
        url = urlsplit(self.redis_url)
        shown = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
        return f"the Redis {shown} (data folder {folder})"

    @property
    def metrics_at(self) -> int | None:
        """The port at which Prometheus asks; None when it asks nowhere."""
        if self.metrics_port is not None or not self.port:
            return self.metrics_port or None
        return self.port + METRICS_ABOVE if self.port + METRICS_ABOVE < 2**16 else self.port - METRICS_ABOVE

    @property
    def smtp_at(self) -> int:
        """The port of the server for e-mail."""
        return self.smtp_port or _SMTP_PORTS[self.smtp_tls]

    @property
    def recordings_dir(self) -> Path:
        """The folder of the recordings."""
        return self.data_dir / "recordings"

    @field_validator("crm_domains", mode="before")
    @classmethod
    def _domains(cls, names: object) -> object:
        if isinstance(names, str):
            names = tuple(name.strip().strip(".").lower() for name in names.split(",") if name.strip())
        return names

    @field_validator("pbx_networks", mode="before")
    @classmethod
    def _networks(cls, names: object) -> object:
        if not isinstance(names, str):
            return names
        try:
            return read_networks([name.strip() for name in names.split(",") if name.strip()])
        except ValueError as error:
            raise ValueError(f"expected networks such as 10.8.0.0/16: {error}") from None

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: str | None) -> str | None:
        try:
            known = url is None or (urlsplit(url).scheme in _REDIS_SCHEMES and urlsplit(url).port != 0)
        except ValueError:
            known = False
        if not known:
            raise ValueError("expected redis://HOST:PORT, rediss://HOST:PORT or unix://PATH")
        return url

    @field_validator("public_url", "recordings_url", "copy_url")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and (not url.startswith(_WEB) or " " in url):
            raise ValueError("expected an address that begins with https:// or http://")
        return url.rstrip("/")

    @field_validator("smtp_host")
    @classmethod
    def _server(cls, host: str | None) -> str | None:
        if host is not None and _MAIL_SERVER.fullmatch(host) is None:
            raise ValueError("expected a server's name or address without a port, such as smtp.example.com")
        return host

    @field_validator("smtp_password")
    @classmethod
    def _not_seen(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        host, tls, user = (info.data.get(f"smtp_{name}") for name in ("host", "tls", "user"))
        if (password is None) != (user is None):
            raise ValueError(f"expected it together with {PREFIX}SMTP_USER, or neither")
        if password is not None and tls is SmtpTls.NONE and host not in _THIS_MACHINE:
            raise ValueError(f"expected {PREFIX}SMTP_TLS to be starttls or tls: others would see it")
        return password

    @field_validator("smtp_sender")
    @classmethod
    def _sender(cls, text: str | None, info: ValidationInfo) -> str | None:
        address = mailbox(text) if text is not None else None
        if text is not None and address is None:
            raise ValueError("expected an e-mail address, such as calls@example.com")
        if (address is None) != (info.data.get("smtp_host") is None):
            raise ValueError(f"expected it together with {PREFIX}SMTP_HOST, or neither")
        return address

    @field_validator("data_dir")
    @classmethod
    def _home(cls, folder: Path) -> Path:
        return folder.expanduser()

    @field_validator("secret_key")
    @classmethod
    def _long(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < SECRET_KEY_LENGTH:
            raise ValueError(f"expected {SECRET_KEY_LENGTH} characters or more")
        return key

    @field_validator("old_secret_keys", mode="before")
    @classmethod
    def _old_keys(cls, keys: object) -> object:
        if isinstance(keys, str):
            keys = tuple(SecretStr(key.strip()) for key in keys.split(",") if key.strip())
        if isinstance(keys, tuple) and any(len(key.get_secret_value()) < SECRET_KEY_LENGTH for key in keys):
            raise ValueError(f"expected {SECRET_KEY_LENGTH} characters or more of each")
        return keys

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, data: Any) -> Any:
        host, port = data.get("host", "127.0.0.1"), data.get("port", 8080)
        shown = (
            "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        )
        public = data.get("public_url") or f"http://{shown}:{port}"
        own = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        return {
            **data,
            "public_url": public,
            "copy_url": data.get("copy_url") or f"http://{own}:{port}",
            "recordings_url": data.get("recordings_url") or _below(public),
        }


def _below(public: str) -> str:
    """Give where recordings are found; nothing when the public address is wrong: one complaint is enough."""
    return f"{public.rstrip('/')}/recordings" if public.startswith(_WEB) else ""


def read_settings() -> Settings:
    """Read the settings.

    Raises:
        BadSettings: a setting is wrong; no secret is shown.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = (
            f"{PREFIX}{'_'.join(map(str, problem['loc'])).upper()}: "
            f"{problem.get('ctx', {}).get('error') or problem['msg'].replace('Input should be', 'expected')}"
            for problem in error.errors()
        )
        raise BadSettings("\n".join(lines)) from None


def unknown_settings() -> list[str]:
    """Name the ``ARI_APP_*`` variables that mean nothing, with what may have been meant."""
    fields = [name.upper() for name in Settings.model_fields]
    known = [*fields, *(name + IN_FILE for name in fields)]
    given = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
    warnings = []
    for name in sorted(name.removeprefix(PREFIX) for name in given if name.startswith(PREFIX)):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
            warnings.append(f"{PREFIX}{name} is not a setting{hint}")
    return warnings


def load_secret_key(settings: Settings) -> tuple[KeyRing, Path | None]:
    """Give the secret key with the older ones, and the file that it was made in just now, if it was.

    Raises:
        BadSettings: the data folder can't be used.
    """
    older = tuple(key.get_secret_value() for key in settings.old_secret_keys)
    if settings.secret_key is not None:
        return KeyRing(settings.secret_key.get_secret_value(), older), None
    key, made = _kept(settings.data_dir, SECRET_KEY_FILE)
    return KeyRing(key, older), made


def existing_secret_key(settings: Settings) -> KeyRing | None:
    """Give the secret key, None when none was made yet.

    Raises:
        BadSettings: the data folder can't be used.
    """
    if settings.secret_key is None and not (settings.data_dir / SECRET_KEY_FILE).exists():
        return None
    return load_secret_key(settings)[0]


def holder_id(data_dir: Path) -> str:
    """Give the name by which a service with this data folder is known, after a crash too.

    Raises:
        BadSettings: the data folder can't be used.
    """
    return _kept(data_dir, "holder.id")[0]


@contextmanager
def claim(data_dir: Path) -> Iterator[None]:
    """Make sure that one service at a time works with a data folder; the claim ends with the process.

    Raises:
        BadSettings: another one does.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data_dir / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadSettings(f"a service runs already with the data folder {data_dir}") from None
        yield


def claimed() -> list[Path]:
    """Give the data folders of the services that run on this machine, as far as we may see them."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            for descriptor in list((process / "fd").iterdir()):
                with suppress(FileNotFoundError):  # it is closed again
                    path = Path(os.readlink(descriptor))
                    found |= {path.parent} if path.name == LOCK_FILE else set()
    return sorted(found)


def _kept(folder: Path, name: str) -> tuple[str, Path | None]:
    """Read a random word from a file that only we may read; make it when it is not there."""
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = not path.exists() and _keep(path, secrets.token_hex(32))
        word = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or error
        raise BadSettings(f"the data folder {folder} can't be used: {problem}") from error
    if len(word) < SECRET_KEY_LENGTH:
        raise BadSettings(f"{path} is damaged: expected {SECRET_KEY_LENGTH} characters or more")
    return word, path if made else None


def _keep(path: Path, word: str) -> bool:
    """Write a file that is there whole or not at all; False when somebody else was first."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(word + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
