"""The sections of an account: its CRM, its PBX, how calls are handled, its extensions and numbers."""

from __future__ import annotations

import difflib
import ipaddress
import re
import secrets
import zoneinfo
from enum import StrEnum
from functools import cached_property
from typing import Annotated
from urllib.parse import urlsplit

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from ari_app.calls import (
    BadDestination,
    is_extension,
    parse_destinations,
)
from ari_app.email_address import mailbox

DEFAULT_TIMEZONE = "Europe/Moscow"
EXAMPLE_URL = "https://shop.retailcrm.ru"

SECRETS = (
    *(("crm", "api_key"), ("crm", "client_id"), ("crm", "cabinet_secret")),
    *(("pbx", "ari_password"), ("pbx", "ami_password"), ("webhook", "secret")),
)
"""The fields that are never shown and are encrypted where they are kept."""

EXTENSION_EXPECTED = "digits only, such as 101: no * and no #, and not 0"
NUMBER_EXPECTED = "a phone number with its area code, such as +74951234567"

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:]*:[0-9a-f:.]*")
"""What may become a part of a key in Redis and of a file's name."""


_SHOPS_NUMBER = re.compile(r"\+[0-9]{7,15}|[0-9]{5,15}")
ACCOUNT_NAME = r"[a-z0-9][a-z0-9._-]{0,254}"


def word(pattern: str, expected: str) -> AfterValidator:
    """Let a text be what a pattern says, and name what is expected instead of another."""
    regex = re.compile(pattern)

    def check(value: str) -> str:
        if regex.fullmatch(value) is None:
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(check)


def _printable_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if set(text) == {"*"}:
        raise ValueError("expected the secret itself: asterisks are what is shown in its place")
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("expected printable ASCII characters")
    return value


Extension = Annotated[
    str, AfterValidator(lambda code: code if is_extension(code) else _fail(f"expected {EXTENSION_EXPECTED}"))
]
OutgoingLine = Annotated[
    str, word(r"[A-Za-z0-9_.-]{1,79}(,[1-9][0-9]{0,4})?", "context[,priority], such as default,1")
]
Device = Annotated[
    str, word(r"([A-Za-z0-9]{1,20}/)?[A-Za-z0-9_.+-]{1,80}", "an endpoint, such as 99302 or PJSIP/99302")
]
Secret = Annotated[SecretStr, AfterValidator(_printable_secret)]
Seconds = Annotated[int, Field(ge=1, le=600, strict=True)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


def _fail(expected: str) -> str:
    raise ValueError(expected)


def _country_code(code: str) -> str:
    if code.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("expected a country's two letters, such as RU")
    return code.upper()


class Section(BaseModel):
    """A part of an account: frozen, and no field that isn't known."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))


class Crm(Section):
    """The shop's retailCRM."""

    url: str
    api_key: Secret
    client_id: Secret = Field(default_factory=lambda: SecretStr(secrets.token_hex(16)))
    cabinet_secret: Secret | None = None
    """Known to the CRM alone: it opens the account's cabinet. Made when the account is stored."""
    timezone: str | None = None
    country: str = "RU"

    @property
    def connection(self) -> tuple[str, str, str | None]:
        """What can't be changed without connecting anew."""
        return self.url, self.api_key.get_secret_value(), self.timezone

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        try:
            parts = urlsplit(url.strip())
            host, port = (parts.hostname or "").rstrip("."), parts.port
            host = host if ":" in host else host.encode("idna").decode()
        except ValueError:
            raise ValueError(f"expected an address such as {EXAMPLE_URL}") from None
        if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or parts.username or parts.query:
            raise ValueError(f"expected an address such as {EXAMPLE_URL}")
        if parts.path not in ("", "/"):
            raise ValueError(f"expected an address without a path, such as {EXAMPLE_URL}")
        if parts.scheme == "http" and not _is_loopback(host):
            raise ValueError("expected https:// (plain http only for loopback)")
        shown = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{shown}{f':{port}' if port not in (None, _PORTS[parts.scheme]) else ''}"

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        if name is None:
            return None
        try:
            zoneinfo.ZoneInfo(name)
        except (ValueError, LookupError, OSError):
            near = difflib.get_close_matches(name, zoneinfo.available_timezones(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"expected a time zone such as {DEFAULT_TIMEZONE}{hint}") from None
        return name

    @field_validator("country")
    @classmethod
    def _country(cls, code: str) -> str:
        return _country_code(code)


class PbxSettings(Section):
    """The shop's Asterisk."""

    host: Annotated[
        str, AfterValidator(lambda it: it if _is_host(it) else _fail("expected a host name or an address"))
    ]
    http_port: Port = 8088
    http_prefix: Annotated[
        str, word(r"[A-Za-z0-9_/-]{0,80}", "the prefix of http.conf, such as asterisk")
    ] = "asterisk"
    tls: Switch = False
    stasis_app: Annotated[str, word(r"[A-Za-z0-9_]{1,40}", "letters, digits and _, 40 at most")] = "retailcrm"
    ari_username: Annotated[str, word(r"[^\s:]{1,80}", "a user of ari.conf")]
    ari_password: Secret
    ami_username: Annotated[str, word(r"[a-zA-Z0-9_]{1,80}", "letters, digits and _")] = "asterisk"
    ami_password: Secret | None = None
    channel_format: Annotated[
        str, word(r"[A-Za-z0-9]+/[^#\s,&]*##[^#\s,&]*", "a channel such as PJSIP/##, ## being the extension")
    ] = "PJSIP/##"
    outgoing: OutgoingLine = "default,1"
    outside_prefix: Annotated[
        str, word(r"[0-9*#]{0,4}", "what is dialled for an outside line, such as 9, or nothing")
    ] = ""
    """What the shop's people dial before a number outside; it is no part of the number."""
    guarded: Switch = False
    """Its address was typed into the cabinet: it may not be in the service's own network (`reach.py`)."""

    @field_validator("http_prefix")
    @classmethod
    def _prefix(cls, prefix: str) -> str:
        return prefix.strip("/")

    @property
    def ari_url(self) -> str:
        """The address of the PBX's HTTP server, with prefix and final slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        prefix = f"{self.http_prefix}/" if self.http_prefix else ""
        return f"{'https' if self.tls else 'http'}://{host}:{self.http_port}/{prefix}"

    @property
    def identity(self) -> tuple[str, int, str, str]:
        """What makes it this PBX and this application, and no other."""
        host = "127.0.0.1" if self.host.lower() == "localhost" else self.host.lower()
        return host, self.http_port, self.http_prefix, self.stasis_app


class RecordingFormat(StrEnum):
    """As what recordings are kept."""

    WAV = "wav"
    """As the PBX records: 1 MB a minute."""
    MP3 = "mp3"
    """A fifth of that."""


class CallSettings(Section):
    """How the shop wants its calls handled; times in seconds."""

    caller_name_prefix: str = Field(default="", max_length=40)
    manager_caller_name: str = Field(default="CRM", max_length=40)
    ring_manager_seconds: Seconds = 60
    ring_group_seconds: Seconds = 60
    ignore_manager_status: Switch = False
    blank_unknown_caller: Switch = False
    record: Switch = True
    recording_format: RecordingFormat = RecordingFormat.WAV
    keep_days: int = Field(default=1095, ge=7, le=36_500, strict=True)
    """The age in days at which ended calls go, with their recordings; the service may keep them for less."""
    fallback: str = ""
    unknown: str = ""
    new_customers: Switch = False
    """Whether a caller whom the CRM doesn't know becomes its customer when somebody answers."""

    @field_validator("fallback", "unknown")
    @classmethod
    def _destinations(cls, text: str) -> str:
        try:
            parse_destinations(text, 60)
        except BadDestination as error:
            raise ValueError(str(error)) from error
        return text


Country = Annotated[str, AfterValidator(_country_code)]
ShortNumber = Annotated[str, word(r"[0-9]{2,6}", "2 to 6 digits, such as 112")]


class ClickSettings(Section):
    """Which numbers a click in the CRM may call."""

    countries: tuple[Country, ...] | None = None
    """ISO 3166-1 alpha-2; None: the account's own country and those about it."""
    short_numbers: tuple[ShortNumber, ...] = ()
    """Emergency and other short numbers that a click may call, such as 112."""
    client_id_is_enough: Switch = True
    """Whether the clientId alone, without the CRM's secret, places calls, within narrower limits."""


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError("expected an address or a network, such as 203.0.113.5 or 10.8.0.0/16") from None


Network = Annotated[str, AfterValidator(_network)]


class ApiSettings(Section):
    """Who may ask and report with the clientId."""

    addresses: tuple[Network, ...] = ()
    """The PBX's addresses, or networks, from which its dialplan does; empty: any."""

    def admits(self, address: str) -> bool:
        """Tell whether a dialplan at an address may ask and report."""
        if not self.addresses:
            return True
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        meant = getattr(ip, "ipv4_mapped", None) or ip
        return any(meant in ipaddress.ip_network(network) for network in self.addresses)


class Notify(StrEnum):
    """Who sees in the CRM that a customer was missed."""

    NOBODY = ""
    MANAGER = "manager"
    """Whose the customer is."""
    GROUP = "group"
    """A group of the CRM's users."""


class MissedSettings(Section):
    """What the CRM is told of missed customers."""

    task: Switch = False
    """Whether whose the customer is gets the task to call them back."""
    task_minutes: int = Field(default=30, ge=1, le=1440, strict=True)
    """How long after the missed call the task is due."""
    task_for: Extension | None = None
    """Who gets it when the customer is nobody's."""
    notify: Notify = Notify.NOBODY
    notify_group: Annotated[str, word(r"[A-Za-z0-9_.-]{0,80}", "a group's code, such as superadmins")] = ""
    """The code of the CRM's group of users."""


GroupCode = Annotated[str, word(r"[A-Za-z0-9_.-]{0,80}", "a group's code, such as superadmins")]


class AlertSettings(Section):
    """When the administrator is told that PBX, CRM, recording or disk fail, and that they are back."""

    minutes: int = Field(default=0, ge=0, le=1440, strict=True)
    """How long it must fail; 0: nobody is told. A webhook is told where there is one, and who is named in
    `MailSettings`."""
    group: GroupCode = ""
    """The CRM's group of users that sees a notice; empty: none."""


MOST_MAILBOXES = 10


def _mailbox(text: str) -> str:
    address = mailbox(text)
    return address if address is not None else _fail("expected an e-mail address, such as anna@example.com")


def _few(addresses: tuple[str, ...]) -> tuple[str, ...]:
    alone = tuple({address.lower(): address for address in reversed(addresses)}.values())[::-1]
    if len(alone) > MOST_MAILBOXES:
        raise ValueError(f"expected {MOST_MAILBOXES} addresses at most")
    return alone


Mailboxes = Annotated[tuple[Annotated[str, AfterValidator(_mailbox)], ...], AfterValidator(_few)]


class MailSettings(Section):
    """Who is told by e-mail, of what: each address has each mail to itself. Empty: nobody."""

    missed: Mailboxes = ()
    """That a customer was missed, once a customer."""
    lost: Mailboxes = ()
    """That nobody has called them back within a day."""
    alerts: Mailboxes = ()
    """What fails for long, and that it is back: see `AlertSettings`."""

    @property
    def everybody(self) -> frozenset[str]:
        """All who are written to."""
        return frozenset((*self.missed, *self.lost, *self.alerts))


LONGEST_ADDRESS, SHORTEST_SECRET = 500, 16


class WebhookSettings(Section):
    """A program of the shop's that is told of missed customers by a signed request."""

    url: str | None = Field(default=None, max_length=LONGEST_ADDRESS)
    """Where it is told; None: nowhere."""
    secret: Secret | None = Field(default=None, validate_default=True)
    """What the requests are signed with."""

    @field_validator("url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url.strip())
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("expected an address such as https://example.com/missed") from None
        plain = parts.scheme == "http" and _is_loopback(host)
        if not (plain or parts.scheme == "https") or not _is_host(host) or parts.username or parts.fragment:
            raise ValueError("expected an address such as https://example.com/missed")
        return url.strip()

    @field_validator("secret")
    @classmethod
    def _long(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if secret is None and info.data.get("url") is not None:
            raise ValueError("expected a secret with which the requests are signed")
        if secret is not None and len(secret.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"expected at least {SHORTEST_SECRET} characters")
        return secret


class ExtensionOf(Section):
    """A CRM user's extension."""

    user_id: int = Field(ge=1, strict=True)
    code: Extension
    devices: tuple[Device, ...] = ()
    """More endpoints that are theirs, such as ``99302``: a softphone beside the desk phone."""
    mobile: str | None = None
    """Their mobile, on which a Follow Me reaches them."""


class ExternalPhone(Section):
    """A number of the shop's: the CRM's shop (site) that it belongs to, and the line of calls from it."""

    number: str
    site: str | None = None
    outgoing: OutgoingLine | None = None


_LABEL = re.compile(r"\w([\w-]{0,61}\w)?", re.ASCII)
"""A part of a host's name."""


def _is_host(text: str) -> bool:
    """Tell whether a text is a name or an address, in the one spelling that means the same to everybody."""
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        try:
            return "%" not in text and bool(ipaddress.ip_address(text))
        except ValueError:
            return False
    return len(text) <= 253 and all(map(_LABEL.fullmatch, text.removesuffix(".").split(".")))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_shops_number(number: str | None) -> bool:
    """Tell whether a number (as `e164` gives it) may be one by which customers call a shop."""
    return number is not None and _SHOPS_NUMBER.fullmatch(number) is not None
