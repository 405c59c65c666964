"""What the files for a PBX need to know of a shop, checked so that nothing of it can become dialplan code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote

from ari_app.accounts.account import Account
from ari_app.calls import Destination, Dialplan, People

SHORTEST_OUTSIDE = 7
"""Digits of the shortest number outside: shorter ones are colleagues, emergency and service numbers."""

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?")
_CHANNEL = re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9_.@:/+*?=!~-]*##[A-Za-z0-9_.@:/+*?=!~-]*")
_SECTION = re.compile(r"[^\[\]();#,\s][^\[\]();,\s]*")


class CannotRender(ValueError):
    """A setting can't be written into Asterisk's files; the text names it and says what to change."""


@dataclass(frozen=True, slots=True)
class Route:
    """A place in the shop's dialplan that lets calls out."""

    context: str
    priority: int


@dataclass(frozen=True, slots=True)
class Settings:
    """One shop's PBX. Texts are as they are meant; `render` escapes them."""

    stasis_app: str
    client_id: str
    service_url: str
    """Where the PBX reaches the service, without a final slash."""
    http_port: int
    http_prefix: str
    tls: bool
    local: bool
    """The service runs on the PBX's own machine."""
    ari_username: str
    ari_password: str
    ami_username: str
    ami_password: str | None
    """None: the shop doesn't use AJAM."""
    channel_format: str
    outgoing: Route
    lines: tuple[Route, ...]
    """All places that let calls out, `outgoing` among them."""
    fallback: tuple[Destination, ...]
    """Where calls go while the service is away."""
    places: tuple[Dialplan, ...]
    """All places of the shop's dialplan to which the service sends callers."""
    extensions: tuple[str, ...]
    """The managers' extensions."""
    service_address: str | None = None
    """From which address the service reaches the PBX; None when that isn't known."""

    @classmethod
    def of(cls, account: Account, service_url: str, service_address: str | None = None) -> Settings:
        """Read them off an account.

        Raises:
            CannotRender: a setting can't be written into Asterisk's files.
        """
        pbx, policy = account.pbx, account.policy()
        lines = [pbx.outgoing, *(getattr(phone, "outgoing", None) or "" for phone in account.external_phones)]
        places = (place for place in (*policy.fallback, *policy.unknown) if isinstance(place, Dialplan))
        codes = tuple(extension.code for extension in account.extensions)
        everybody = (People(codes, account.calls.ring_group_seconds),) if codes else ()
        found = cls(
            stasis_app=pbx.stasis_app,
            client_id=account.crm.client_id.get_secret_value(),
            service_url=service_url.rstrip("/"),
            http_port=pbx.http_port,
            http_prefix=pbx.http_prefix,
            tls=pbx.tls,
            local=_loopback(pbx.host) is not None,
            ari_username=pbx.ari_username,
            ari_password=pbx.ari_password.get_secret_value(),
            ami_username=pbx.ami_username,
            ami_password=pbx.ami_password.get_secret_value() if pbx.ami_password else None,
            channel_format=pbx.channel_format,
            outgoing=_route(pbx.outgoing),
            lines=tuple(dict.fromkeys(map(_route, filter(None, lines)))),
            fallback=policy.fallback or policy.unknown or everybody,
            places=tuple(dict.fromkeys(places)),
            extensions=codes,
            service_address=_loopback(pbx.host) or service_address,
        )
        found.check()
        return found

    def check(self) -> None:
        """Make sure that each text can be written into a file of Asterisk's.

        Raises:
            CannotRender: one can't.
        """
        if not _ADDRESS.fullmatch(self.service_url):
            raise CannotRender(f"the service's address {self.service_url!r} is not a plain http(s) address")
        if not _CHANNEL.fullmatch(self.channel_format):
            raise CannotRender(
                f"pbx.channel_format {self.channel_format!r} has characters that a dialplan reads as code"
            )
        if not _SECTION.fullmatch(self.ari_username):
            raise CannotRender(
                "pbx.ari_username has a bracket, a comma or a semicolon, which ari.conf can't take"
            )
        for name, secret in (("ari_password", self.ari_password), ("ami_password", self.ami_password)):
            if secret is not None and (secret != secret.strip() or "\\" in secret or secret.startswith(">")):
                raise CannotRender(
                    f"pbx.{name} begins or ends with a space, begins with > or has a backslash, "
                    "which Asterisk's files can't take"
                )
        if self.service_address is not None:
            try:
                ip_address(self.service_address)
            except ValueError:
                raise CannotRender(f"{self.service_address!r} is not an IP address") from None

    @property
    def long_extensions(self) -> tuple[str, ...]:
        """Extensions that are as long as numbers outside."""
        return tuple(code for code in self.extensions if len(code) >= SHORTEST_OUTSIDE)

    @property
    def manager_url(self) -> str:
        """The address that tells a customer's name, up to the parameters that the dialplan adds."""
        return f"{self.service_url}/api/manager?clientId={quote(self.client_id, safe='')}"

    @property
    def event_url(self) -> str:
        """The address that takes the events of a dialplan of the shop's own."""
        return f"{self.service_url}/api/event?clientId={quote(self.client_id, safe='')}"


def _route(text: str) -> Route:
    context, _, priority = text.partition(",")
    return Route(context, int(priority or 1))


def _loopback(host: str) -> str | None:
    """Give the address of this machine that a host name means; None when it means another machine."""
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        return host if ip_address(host).is_loopback else None
    except ValueError:
        return None
