"""What happened in an account beside its calls: the newest few thousand events, in a capped stream."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from redis.asyncio import Redis

from ari_app.store.connection import ask
from ari_app.store.keys import Keys

KEPT = 5_000
"""So many events of an account are kept, and a few more."""

_AT_ONCE = 500
_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,9}")


class Kind(StrEnum):
    """What an event is about."""

    PBX = "pbx"
    CRM = "crm"
    ACCESS = "access"
    SETTINGS = "settings"
    MODULE = "module"
    RECORDING = "recording"


class Severity(StrEnum):
    """How much an event matters; the later ones more."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class What(StrEnum):
    """What can happen. The values that come with it are in brackets."""

    PBX_CONNECTED = "pbx connected"
    PBX_LOST = "pbx lost"
    """(problem)"""
    AJAM_CONNECTED = "ajam connected"
    AJAM_LOST = "ajam lost"
    """(problem)"""
    CRM_AWAY = "crm away"
    """It takes nothing; all is kept (problem)."""
    CRM_BACK = "crm back"
    CRM_REFUSED = "crm refused"
    """It refused for good to hear something of a call (call, problem)."""
    SET_ASIDE = "set aside"
    """Something of a call could not be told again and again, while others could (call, problem)."""
    UNREADABLE = "unreadable"
    """Another version wanted the CRM to be told something that this one can't read (call, problem)."""
    SENT_AGAIN = "sent again"
    """A person had what it refused sent again (call, address)."""
    SIGNED_IN = "signed in"
    """(address)"""
    SIGN_IN_FAILED = "sign-in failed"
    """Somebody tried with a key that doesn't open this account (address)."""
    LOCKED_OUT = "locked out"
    """There were too many attempts: nobody can sign in with a key for a while (address)."""
    ADDRESS_RENEWED = "address renewed"
    """The CRM opens the cabinet at another address; the one before ended (address)."""
    TOKEN_MADE = "token made"
    """For programs of the shop's (name, address)."""
    TOKEN_REVOKED = "token revoked"
    """(name, address)"""
    SETTINGS_CHANGED = "settings changed"
    """(sections: names of the account's sections, with commas)"""
    TELEPHONY_OFF = "telephony off"
    TELEPHONY_ON = "telephony on"
    LINKS_REVOKED = "links revoked"
    """The links of all recordings that there were open nothing any more (count, address)."""
    RECORDING_LOST = "recording lost"
    """(call, problem)"""
    RECORDING_NOT_CONVERTED = "recording not converted"
    """It is kept as the PBX has recorded it (call, problem)."""
    CLICK_REFUSED = "click refused"
    """The CRM, or who has its clientId, asked for a call that isn't placed (code, reason: a word)."""
    TOO_MANY_POPUPS = "too many popups"
    """More calls were reported than people can take: some aren't shown to all who were named."""
    TOO_MANY_LOOK_UPS = "too many look-ups"
    """More callers' names were asked for than calls come in: some aren't given."""
    LINK_INSIDE = "link inside"
    """A recording's address, as it was reported, leads into a network: the CRM isn't told it (call)."""
    ADDRESS_REFUSED = "address refused"
    """Somebody used the clientId from an address that the account doesn't allow (address)."""
    UNKNOWN_STATUS = "unknown status"
    """The PBX's dialplan said by a word that is not known how a call ended; noted once (word, call)."""

    @property
    def kind(self) -> Kind:
        """What it is about."""
        return _KINDS[self]

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return _SEVERITIES.get(self, Severity.INFO)


_KINDS = {
    **dict.fromkeys((What.PBX_CONNECTED, What.PBX_LOST, What.AJAM_CONNECTED, What.AJAM_LOST), Kind.PBX),
    What.UNKNOWN_STATUS: Kind.PBX,
    **dict.fromkeys((What.CRM_AWAY, What.CRM_BACK, What.CRM_REFUSED), Kind.CRM),
    **dict.fromkeys((What.SET_ASIDE, What.UNREADABLE, What.SENT_AGAIN), Kind.CRM),
    **dict.fromkeys((What.SIGNED_IN, What.SIGN_IN_FAILED, What.LOCKED_OUT), Kind.ACCESS),
    **dict.fromkeys((What.TOKEN_MADE, What.TOKEN_REVOKED, What.CLICK_REFUSED), Kind.ACCESS),
    **dict.fromkeys((What.ADDRESS_RENEWED, What.ADDRESS_REFUSED, What.LINKS_REVOKED), Kind.ACCESS),
    **dict.fromkeys((What.TOO_MANY_POPUPS, What.TOO_MANY_LOOK_UPS, What.LINK_INSIDE), Kind.PBX),
    What.SETTINGS_CHANGED: Kind.SETTINGS,
    What.TELEPHONY_OFF: Kind.MODULE,
    What.TELEPHONY_ON: Kind.MODULE,
    **dict.fromkeys((What.RECORDING_LOST, What.RECORDING_NOT_CONVERTED), Kind.RECORDING),
}
_SEVERITIES = {
    **dict.fromkeys((What.PBX_LOST, What.CRM_AWAY, What.CRM_REFUSED, What.UNREADABLE), Severity.ERROR),
    What.SET_ASIDE: Severity.ERROR,
    **dict.fromkeys((What.AJAM_LOST, What.TELEPHONY_OFF, What.RECORDING_LOST), Severity.WARNING),
    **dict.fromkeys((What.SIGN_IN_FAILED, What.LOCKED_OUT, What.UNKNOWN_STATUS), Severity.WARNING),
    What.RECORDING_NOT_CONVERTED: Severity.WARNING,
    **dict.fromkeys((What.CLICK_REFUSED, What.ADDRESS_REFUSED, What.LINK_INSIDE), Severity.WARNING),
    **dict.fromkeys((What.TOO_MANY_POPUPS, What.TOO_MANY_LOOK_UPS), Severity.WARNING),
}
_ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a moment (seconds since the epoch). `id` is where it stands in the log."""

    at: float
    what: What
    values: Mapping[str, str] = field(default_factory=dict)
    id: str = ""

    def fields(self) -> dict[str, Any]:
        """Write it as an entry of the stream."""
        return {"at": repr(self.at), "what": self.what.value, "values": orjson.dumps(dict(self.values))}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are wanted: a kind, at least as grave as a severity, from `since` on, before `until`."""

    kind: Kind | None = None
    severity: Severity = Severity.INFO
    since: float = 0.0
    until: float = math.inf

    def lets_through(self, event: Event) -> bool:
        """Tell whether one is."""
        return (
            self.kind in (None, event.what.kind)
            and _ORDER.index(event.what.severity) >= _ORDER.index(self.severity)
            and self.since <= event.at < self.until
        )


class EventStore:
    """The events of one account. Every method may raise `StoreUnavailable`."""

    def __init__(self, redis: Redis, account: str) -> None:
        self._redis = redis
        self._account = account

    async def add(self, event: Event) -> None:
        """Keep an event; those that are older than the newest few thousand go."""
        key = Keys(self._account).events
        fields: Any = event.fields()
        await ask(self._redis.xadd(key, fields, maxlen=KEPT, approximate=True))

    async def newest(
        self, most: int, wanted: Wanted = Wanted(), behind: str = ""
    ) -> tuple[list[Event], str | None]:
        """Give the newest events that are wanted, at most so many, and behind which to go on (None: no more).

        `behind` leaves out all from the newest to the one with this id.
        """
        found: list[Event] = []
        until = f"({behind}" if _ID.fullmatch(behind) else "+"
        while True:
            key = Keys(self._account).events
            entries = await ask(self._redis.xrevrange(key, max=until, min="-", count=_AT_ONCE))
            for ident, fields in entries:
                event = _read(ident, fields)
                if event is None or not wanted.lets_through(event):
                    continue
                if len(found) == most:
                    return found, found[-1].id
                found.append(event)
            if len(entries) < _AT_ONCE:
                return found, None
            until = f"({entries[-1][0].decode()}"


def _read(ident: bytes, fields: Mapping[bytes, bytes]) -> Event | None:
    """Read an entry; None for one that another version of ours has written."""
    try:
        what = What(fields[b"what"].decode())
    except ValueError:
        return None
    return Event(float(fields[b"at"]), what, orjson.loads(fields[b"values"]), ident.decode())
