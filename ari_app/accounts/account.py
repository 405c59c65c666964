"""An account: one shop's CRM, its PBX, and how it wants its calls handled. Written as TOML."""

from __future__ import annotations

import difflib
import ipaddress
import re
import secrets
import tomllib
import zoneinfo
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from ari_app.accounts.dialplan_names import local_context
from ari_app.accounts.owners import Owners
from ari_app.calls import (
    BadDestination,
    Outside,
    People,
    Policy,
    e164,
    is_extension,
    is_persons,
    parse_destinations,
)

DEFAULT_TIMEZONE = "Europe/Moscow"
EXAMPLE_URL = "https://shop.retailcrm.ru"

SECRETS = (
    *(("crm", "api_key"), ("crm", "client_id"), ("crm", "cabinet_secret")),
    *(("pbx", "ari_password"), ("pbx", "ami_password")),
)
"""The fields that are never shown and are encrypted where they are kept."""

EXTENSION_EXPECTED = "digits only, such as 101: no * and no #, and not 0"
NUMBER_EXPECTED = "a phone number with its area code, such as +74951234567"

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:]*:[0-9a-f:.]*")
"""What may become a part of a key in Redis and of a file's name."""


_SHOPS_NUMBER = re.compile(r"\+[0-9]{7,15}|[0-9]{5,15}")
_NAME = r"[a-z0-9][a-z0-9._-]{0,254}"


class BadAccount(ValueError):
    """An account's file is wrong; the text names each wrong field and what was expected, a line each."""


def _word(pattern: str, expected: str) -> AfterValidator:
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
    str, _word(r"[A-Za-z0-9_.-]{1,79}(,[1-9][0-9]{0,4})?", "context[,priority], such as default,1")
]
Device = Annotated[
    str, _word(r"([A-Za-z0-9]{1,20}/)?[A-Za-z0-9_.+-]{1,80}", "an endpoint, such as 99302 or PJSIP/99302")
]
Secret = Annotated[SecretStr, AfterValidator(_printable_secret)]
Seconds = Annotated[int, Field(ge=1, le=600, strict=True)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


def _fail(expected: str) -> str:
    raise ValueError(expected)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))


class Crm(_Section):
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
        if code.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("expected a country's two letters, such as RU")
        return code.upper()


class PbxSettings(_Section):
    """The shop's Asterisk."""

    host: Annotated[
        str, AfterValidator(lambda it: it if _is_host(it) else _fail("expected a host name or an address"))
    ]
    http_port: Port = 8088
    http_prefix: Annotated[
        str, _word(r"[A-Za-z0-9_/-]{0,80}", "the prefix of http.conf, such as asterisk")
    ] = "asterisk"
    tls: Switch = False
    stasis_app: Annotated[str, _word(r"[A-Za-z0-9_]{1,40}", "letters, digits and _, 40 at most")] = (
        "retailcrm"
    )
    ari_username: Annotated[str, _word(r"[^\s:]{1,80}", "a user of ari.conf")]
    ari_password: Secret
    ami_username: Annotated[str, _word(r"[a-zA-Z0-9_]{1,80}", "letters, digits and _")] = "asterisk"
    ami_password: Secret | None = None
    channel_format: Annotated[
        str, _word(r"[A-Za-z0-9]+/[^#\s,&]*##[^#\s,&]*", "a channel such as PJSIP/##, ## being the extension")
    ] = "PJSIP/##"
    outgoing: OutgoingLine = "default,1"
    outside_prefix: Annotated[
        str, _word(r"[0-9*#]{0,4}", "what is dialled for an outside line, such as 9, or nothing")
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


class CallSettings(_Section):
    """How the shop wants its calls handled; times in seconds."""

    caller_name_prefix: str = Field(default="", max_length=40)
    manager_caller_name: str = Field(default="CRM", max_length=40)
    ring_manager_seconds: Seconds = 60
    ring_group_seconds: Seconds = 60
    ignore_manager_status: Switch = False
    blank_unknown_caller: Switch = False
    record: Switch = True
    fallback: str = ""
    unknown: str = ""

    @field_validator("fallback", "unknown")
    @classmethod
    def _destinations(cls, text: str) -> str:
        try:
            parse_destinations(text, 60)
        except BadDestination as error:
            raise ValueError(str(error)) from error
        return text


class ExtensionOf(_Section):
    """A CRM user's extension."""

    user_id: int = Field(ge=1, strict=True)
    code: Extension
    devices: tuple[Device, ...] = ()
    """More endpoints that are theirs, such as ``99302``: a softphone beside the desk phone."""
    mobile: str | None = None
    """Their mobile, on which a Follow Me reaches them."""


class ExternalPhone(_Section):
    """A number of the shop's: the CRM's shop (site) that it belongs to, and the line of calls from it."""

    number: str
    site: str | None = None
    outgoing: OutgoingLine | None = None


class RegisteredAccount(_Section):
    """A shop that is known here: its CRM is, its PBX may still have to be set up."""

    name: Annotated[str, _word(_NAME, "an account's name, such as shop.retailcrm.ru")] | None = None
    """The account's name, if it isn't its CRM's host: that has moved since the account was made."""
    crm: Crm
    pbx: PbxSettings | None = None
    calls: CallSettings = CallSettings()
    extensions: tuple[ExtensionOf, ...] = ()
    external_phones: tuple[ExternalPhone, ...] = ()

    @field_validator("extensions")
    @classmethod
    def _one_each(cls, extensions: tuple[ExtensionOf, ...]) -> tuple[ExtensionOf, ...]:
        for name in ("code", "user_id"):
            values = [str(getattr(extension, name)) for extension in extensions]
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ValueError(f"expected each {name} once; twice: {', '.join(sorted(twice))}")
        return extensions

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        seen: dict[str, int] = {}
        for index, phone in enumerate(self.external_phones):
            number = e164(phone.number, self.crm.country) or re.sub(r"[^0-9]", "", phone.number)
            where = f"external_phones[{index}].number"
            if not re.fullmatch(r"\+?\d{2,15}", number):
                raise ValueError(f'{where}: found "{phone.number}", expected a phone number')
            if number in seen:
                raise ValueError(f"{where}: {number} is external_phones[{seen[number]}] already")
            seen[number] = index
        return self

    @model_validator(mode="after")
    def _telephones(self) -> Self:
        codes = {one.code for one in self.extensions}
        seen: dict[str, str] = {}
        for index, one in enumerate(self.extensions):
            for device in one.devices:
                if device in codes or seen.setdefault(device, one.code) != one.code:
                    raise ValueError(f"extensions[{index}].devices: {device} is another extension's")
            if one.mobile is None:
                continue
            mobile = e164(one.mobile, self.crm.country)
            where = f"extensions[{index}].mobile"
            if mobile is None or not re.fullmatch(r"\+\d{7,15}", mobile):
                raise ValueError(f'{where}: found "{one.mobile}", expected a phone number')
            if seen.setdefault(mobile, one.code) != one.code:
                raise ValueError(f"{where}: {mobile} is another extension's")
        return self

    @property
    def id(self) -> str:
        """The account's name everywhere, for ever: its keys in Redis, sessions and calls go by it.

        It is the host of its CRM when the account was made, and the port if that has one of its own.
        """
        if self.name is not None:
            return self.name
        parts = urlsplit(self.crm.url)
        host = (parts.hostname or "").replace(":", "_")
        return f"{host}-{parts.port}" if parts.port else host

    @property
    def timezone_name(self) -> str:
        """The time zone to use when the CRM's own settings can't be read."""
        return self.crm.timezone or DEFAULT_TIMEZONE

    def altered(self, **fields: Any) -> RegisteredAccount:
        """Give it with other fields, checked as a whole.

        Raises:
            ValidationError: the model does not take it.
        """
        return checked_account({**self.model_dump(), **fields})


class Account(RegisteredAccount):
    """A shop whose calls can be handled: its PBX is known."""

    pbx: PbxSettings

    @cached_property
    def _sites(self) -> dict[str | None, str]:
        return {
            e164(phone.number, self.crm.country): phone.site for phone in self.external_phones if phone.site
        }

    @cached_property
    def _lines(self) -> dict[str | None, str]:
        return {
            e164(phone.number, self.crm.country): phone.outgoing or self.pbx.outgoing
            for phone in self.external_phones
        }

    def line_of(self, number: str | None) -> str | None:
        """Say by which line ("context[,priority]") calls from a number of ours (E.164) go out."""
        return self._lines.get(number) if number else None

    def site_of(self, number: str | None) -> str | None:
        """Say which of the CRM's shops a number of ours (E.164) belongs to."""
        return self._sites.get(number) if number else None

    def code_of_user(self, user_id: int) -> str | None:
        """Say which extension a CRM user has."""
        return next((ext.code for ext in self.extensions if ext.user_id == user_id), None)

    def policy(self) -> Policy:
        """Say how calls are handled, in the call model's terms."""
        calls = self.calls
        return Policy(
            channel_format=self.pbx.channel_format,
            fallback=parse_destinations(calls.fallback, calls.ring_group_seconds),
            unknown=parse_destinations(calls.unknown, calls.ring_group_seconds),
            ring_manager_seconds=calls.ring_manager_seconds,
            caller_name_prefix=calls.caller_name_prefix,
            blank_unknown_caller=calls.blank_unknown_caller,
            record=calls.record,
            manager_caller_name=calls.manager_caller_name,
            ignore_manager_status=calls.ignore_manager_status,
            ajam=self.pbx.ami_password is not None,
            telephones=re.fullmatch(r"PJSIP/[^/@]*", self.pbx.channel_format) is not None,
        )

    def outside(self, number: str, line: str | None = None) -> Outside:
        """Say how a number outside is dialled; `line` is another one than the account's ordinary one."""
        context, _, priority = (line or self.pbx.outgoing).partition(",")
        place = int(priority or 1)
        return Outside(number, context, place, local_context(self.pbx.stasis_app, context, place))

    @cached_property
    def codes(self) -> frozenset[str]:
        """The extensions of the account."""
        return frozenset(extension.code for extension in self.extensions)

    @cached_property
    def owners(self) -> Owners:
        """Whose the telephones are."""
        return Owners(
            self.codes,
            {device: one.code for one in self.extensions for device in one.devices},
            {e164(one.mobile, self.crm.country) or "": one.code for one in self.extensions if one.mobile},
            self.crm.country,
        )


def checked_account(data: Mapping[str, Any]) -> RegisteredAccount:
    """Make an account of its fields: an `Account` when its PBX is among them.

    Raises:
        ValidationError: the model does not take it.
    """
    kind = RegisteredAccount if data.get("pbx") is None else Account
    return kind.model_validate(data)


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


def _newly_written(account: Account) -> list[str]:
    """Say what is wrong in a file though an account that is stored may have it: it was taken once."""
    wrong = [
        f'extensions[{index}].code: found "{one.code}", expected {EXTENSION_EXPECTED}'
        for index, one in enumerate(account.extensions)
        if not is_persons(one.code)
    ]
    wrong += [
        f'external_phones[{index}].number: found "{phone.number}", expected {NUMBER_EXPECTED}'
        for index, phone in enumerate(account.external_phones)
        if not is_shops_number(e164(phone.number, account.crm.country))
    ]
    for name in ("fallback", "unknown"):
        places = parse_destinations(getattr(account.calls, name), 60)
        codes = [code for place in places if isinstance(place, People) for code in place.codes]
        wrong += [
            f'calls.{name}: found "{code}" in a group, expected {EXTENSION_EXPECTED}'
            for code in codes
            if not is_persons(code)
        ]
    return wrong


def read_account(text: str) -> Account:
    """Read an account's TOML.

    Raises:
        BadAccount: each wrong field is named with what was expected; no secret is shown.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadAccount(f"this is not TOML: {error}") from error
    try:
        account = Account.model_validate(data)
    except ValidationError as error:
        raise BadAccount("\n".join(_wrong_field(problem) for problem in error.errors())) from None
    if wrong := _newly_written(account):
        raise BadAccount("\n".join(wrong))
    return account


def _wrong_field(problem: Any) -> str:
    where = _path(problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{where}: is missing"
        case "extra_forbidden":
            return f"{where}: is not a field{_suggestion(problem['loc'])}"
        case "value_error":
            wrong = str(problem["ctx"]["error"])
        case kind if kind in _KINDS:
            wrong = f"expected {_KINDS[kind]}"
        case _:
            wrong = (
                str(problem["msg"]).replace("Input should be", "expected").replace("String should", "should")
            )
    return f"{where}: {_found(problem)}{wrong}" if where else wrong


_KINDS = {
    "string_type": 'text in quotes, such as "101"',
    "int_type": "a whole number, without quotes",
    "bool_type": "true or false, without quotes",
    "model_type": "a section of fields",
    "tuple_type": "a list",
}


def _found(problem: Any) -> str:
    """Show what was written, unless it is a secret or may hold one."""
    loc, value = problem["loc"], problem["input"]
    if (
        len(loc) < 2
        or loc[-1] in ("fallback", "unknown")
        or (loc[0], loc[-1]) in SECRETS
        or not isinstance(value, str | int | float)
    ):
        return ""
    if loc[-1] == "url" and set("@?#") & set(str(value)):
        return ""
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return f"found {shown if len(shown) <= 80 else shown[:79] + '…'}, "


def _path(loc: tuple[str | int, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


_SECTIONS: dict[str, type[BaseModel]] = {
    "crm": Crm,
    "pbx": PbxSettings,
    "calls": CallSettings,
    "extensions": ExtensionOf,
    "external_phones": ExternalPhone,
}


def _suggestion(loc: tuple[str | int, ...]) -> str:
    section = _SECTIONS.get(str(loc[0])) if len(loc) > 1 else Account
    near = difflib.get_close_matches(str(loc[-1]), section.model_fields if section else (), n=1)
    return f"; did you mean {near[0]}?" if near else ""
