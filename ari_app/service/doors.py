"""Which cabinet an address opens that only a CRM knows, and links that open one once.

Both are told by computation: whoever guesses at them has Redis asked for nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from pydantic import SecretStr

from ari_app.accounts.account import RegisteredAccount
from ari_app.keyring import KeyRing

TICKET_SECONDS = 900
"""How long a link lets in that is made for one visit."""

_PURPOSE = "doors for one visit"


class Doors:
    """The secrets of all accounts' addresses, as digests under a key that only this process has."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._accounts: dict[bytes, str] = {}

    def know(self, accounts: Iterable[RegisteredAccount]) -> None:
        """Take these for all accounts that there are."""
        self._accounts.clear()
        for account in accounts:
            self.add(account)

    def add(self, account: RegisteredAccount) -> None:
        """Take an account in that has just been made or changed."""
        secret = account.crm.cabinet_secret
        if secret is not None:
            self._accounts[self._digest(secret.get_secret_value())] = account.id

    def account_of(self, secret: str) -> str | None:
        """Name the account that a secret opens, or opened half a second ago; None for a guess."""
        return self._accounts.get(self._digest(secret))

    def _digest(self, secret: str) -> bytes:
        return hmac.digest(self._key, secret.encode("utf-8", "replace"), "sha256")


def is_secret_of(account: RegisteredAccount, secret: str) -> bool:
    """Tell whether a secret opens an account, in constant time."""
    known = account.crm.cabinet_secret
    asked = secret.encode("utf-8", "replace")
    return known is not None and hmac.compare_digest(known.get_secret_value().encode(), asked)


def with_new_address(account: RegisteredAccount) -> RegisteredAccount:
    """Give an account with another secret: all addresses that its CRM was given are other ones then."""
    crm = account.crm.model_copy(update={"cabinet_secret": SecretStr(secrets.token_urlsafe(32))})
    return account.model_copy(update={"crm": crm})


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a link for one visit says: which account, until when (Unix time), and a word that is used once."""

    account: str
    until: int
    word: str

    @classmethod
    def to(cls, account: str, now: float) -> Ticket:
        """Make one to an account."""
        return cls(account, int(now) + TICKET_SECONDS, secrets.token_urlsafe(16))

    @property
    def digest(self) -> str:
        """Under which it is noted that it was used."""
        return hashlib.sha256(self._text).hexdigest()

    @property
    def _text(self) -> bytes:
        return f"{self.account}~{self.until}~{self.word}".encode()

    def signed(self, keys: KeyRing) -> str:
        """Give what stands in its link."""
        mark = hmac.digest(keys.key_for(_PURPOSE), self._text, "sha256").hex()
        return f"{quote(self._text.decode(), safe='~')}~{mark}"


def read_ticket(keys: KeyRing, text: str, now: float) -> Ticket | None:
    """Read a ticket; None for one that nobody here has made, or whose time is over."""
    parts = unquote(text[:1000]).split("~")
    if len(parts) != 4 or not parts[1].isascii() or not parts[1].isdecimal():
        return None
    account, until, word, mark = parts
    if len(until) > 12 or not now < int(until) <= now + TICKET_SECONDS + 60:
        return None
    ticket = Ticket(account, int(until), word)
    try:
        signature = bytes.fromhex(mark)
    except ValueError:
        return None
    return ticket if keys.is_signed(_PURPOSE, ticket._text, signature) else None
