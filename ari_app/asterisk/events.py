"""ARI's events, turned into happenings.

What arrives on the socket is not trusted: an event that lacks a field, or has one of another kind, is passed
over with a line in the log and never stops the reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from ari_app.calls import happenings as h
from ari_app.calls.transfer import ATTENDED

EVENT_TYPES = (
    "ApplicationReplaced",
    "BridgeAttendedTransfer",
    "BridgeBlindTransfer",
    "ChannelDestroyed",
    "ChannelDtmfReceived",
    "ChannelStateChange",
    "Dial",
    "RecordingFailed",
    "RecordingFinished",
    "StasisStart",
)
"""All that we listen to; the PBX is asked to send no others."""

_SIP = re.compile("^(?:PJ)?SIP/")
_LOCAL_MEMBER = re.compile(r"Local/(\d{1,20})@")
_LOCAL = re.compile(r"Local/([^@]+)@.+;1")
_FORWARD = re.compile(r"(?:[^/@]*/)*(?:sips?:)?([^@/:;]+)(?:[:;].*)?(?:@.*)?")
"""A bare number, as ``310``, or a channel that is to be made, as ``PJSIP/307/sip:310@10.0.0.5``."""
_UNIQUE_PART = r"-[0-9a-f]{8}(?:;[12])?"


@dataclass(frozen=True, slots=True)
class NewCaller:
    """A channel has entered our application that we didn't make."""

    channel: str
    name: str
    arguments: tuple[str, ...]
    number: str


@dataclass(frozen=True, slots=True)
class Heard:
    """Something happened to a channel (or recording) of ours or of a caller's: `key` is its id."""

    key: str
    happening: h.Happening


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another process has taken our application over."""


Signal: TypeAlias = NewCaller | Heard | Replaced


class Ids:
    """The ids that we give: ``APP-16 hex digits`` for a call, its bridge and its recording, ``CALL-N`` for a
    leg, ``CALL-N-2`` for the far half of a Local channel.
    """

    def __init__(self, stasis_app: str) -> None:
        self.prefix = f"{stasis_app}-"
        self._ours = re.compile(rf"({re.escape(self.prefix)}[0-9a-f]{{16}})(-\d+)?(-2)?")

    def call_of(self, ident: str) -> str | None:
        """Give the call that an id belongs to, None when it is not one of ours."""
        match = self._ours.fullmatch(ident)
        return match[1] if match else None

    def leg_of(self, ident: str) -> str | None:
        """Give the leg that a channel id belongs to; a Local channel's far half belongs to the near one."""
        match = self._ours.fullmatch(ident)
        return f"{match[1]}{match[2]}" if match and match[2] else None

    def is_far_half(self, ident: str) -> bool:
        """Tell whether a channel is the half of a Local channel that runs the dialplan."""
        match = self._ours.fullmatch(ident)
        return bool(match and match[3])


class Extensions:
    """Reads a manager's extension off a channel's name.

    One PBX may have phones by chan_sip and by PJSIP beside each other (a shop that moves): either is read.
    """

    def __init__(self, channel_format: str) -> None:
        before, _, after = channel_format.partition("##")
        driver = _SIP.sub("(?:PJ)?SIP/", re.escape(before))
        self._direct = re.compile(driver + r"([0-9*#]{1,20})" + re.escape(after) + _UNIQUE_PART)

    def code_of(self, channel_name: str) -> str | None:
        """Read it by the account's channel format, else from the digits of ``Local/EXT@``."""
        local = _LOCAL_MEMBER.match(channel_name)
        return self.direct_code_of(channel_name) or (local[1] if local else None)

    def direct_code_of(self, channel_name: str) -> str | None:
        """Read it by the account's channel format alone."""
        match = self._direct.fullmatch(channel_name)
        return match[1] if match else None


def read_event(event: dict[str, Any], at: float, ids: Ids, extensions: Extensions) -> Signal | None:
    """Turn one event into a signal; None when it is nothing to us.

    Raises:
        KeyError, TypeError, AttributeError: the event lacks what its type promises.
    """
    match event["type"]:
        case "StasisStart":
            channel = event["channel"]
            if event.get("replace_channel"):
                return _replaced(event, at, extensions)
            if ids.leg_of(channel["id"]):
                return Heard(channel["id"], h.LegReady(at, channel["id"]))
            return new_caller(channel, tuple(map(str, event["args"])))
        case "ChannelStateChange":
            return _state_change(event["channel"], at, ids, extensions)
        case "ChannelDtmfReceived":
            ident = str(event["channel"]["id"])
            return Heard(ident, h.KeyPressed(at, ident, str(event["digit"])[:1]))
        case "ChannelDestroyed":
            return _destroyed(event, at, ids)
        case "Dial":
            return _dial(event, at, extensions)
        case "BridgeAttendedTransfer":
            return _attended(event, at, extensions)
        case "BridgeBlindTransfer":
            return _blind(event, at)
        case "RecordingFinished":
            return Heard(str(event["recording"]["name"]), h.RecordingFinished(at))
        case "RecordingFailed":
            problem = str(event["recording"].get("cause") or "the PBX could not record")
            return Heard(str(event["recording"]["name"]), h.RecordingFailed(at, problem))
        case "ApplicationReplaced":
            return Replaced()
    return None


def new_caller(channel: dict[str, Any], arguments: tuple[str, ...]) -> NewCaller:
    """Read a channel as ARI describes it."""
    return NewCaller(channel["id"], str(channel["name"]), arguments, str(channel["caller"]["number"]))


def _state_change(channel: dict[str, Any], at: float, ids: Ids, extensions: Extensions) -> Signal | None:
    ident, state = str(channel["id"]), channel["state"]
    if ids.is_far_half(ident) or state not in ("Ringing", "Up"):
        return None
    if state == "Ringing":
        return Heard(ident, h.LegRinging(at, ident))
    return Heard(ident, h.LegAnswered(at, ident, extensions.direct_code_of(str(channel["name"]))))


def _destroyed(event: dict[str, Any], at: float, ids: Ids) -> Signal | None:
    ident, cause = str(event["channel"]["id"]), int(event["cause"])
    if ids.is_far_half(ident):
        return None
    sip = event.get("tech_cause")
    return Heard(ident, h.LegEnded(at, ident, cause, int(sip) if sip else None))


def _replaced(event: dict[str, Any], at: float, extensions: Extensions) -> Signal:
    old = str(event["replace_channel"]["id"])
    return Heard(old, newcomer(event["channel"], at, extensions, old))


def newcomer(channel: dict[str, Any], at: float, extensions: Extensions, old: str = "") -> h.PartyReplaced:
    """Read a channel that stands where a party of a call stood: into the dialplan, or a telephone's own."""
    name = str(channel["name"])
    local = _LOCAL.fullmatch(name)
    code = extensions.direct_code_of(name)
    if local is not None and local[1] == ATTENDED:
        code = str(channel["caller"]["number"]) or None
    return h.PartyReplaced(
        at=at,
        old=old,
        channel=str(channel["id"]),
        local=local is not None,
        target=local[1] if local else None,
        code=code,
    )


def _attended(event: dict[str, Any], at: float, extensions: Extensions) -> Signal | None:
    """A member who talked behind a Local channel of ours has put a colleague in their place: no dialling."""
    transferee, target = event.get("transferee"), event.get("transfer_target")
    if transferee is None or target is None or event["result"] != "Success":
        return None
    leg, member = str(transferee["id"]), str(target["name"])
    return Heard(leg, h.MemberAnswered(at, leg, member, extensions.code_of(member)))


def _blind(event: dict[str, Any], at: float) -> Signal | None:
    """A member who talked behind a Local channel of ours has sent its other half on in the dialplan."""
    transferee = event.get("transferee")
    if transferee is None or event["result"] != "Success":
        return None
    leg, member = str(transferee["id"]), str(event["channel"]["name"])
    return Heard(leg, h.MemberTransferred(at, leg, member, str(event["exten"])))


def _dial(event: dict[str, Any], at: float, extensions: Extensions) -> Signal | None:
    """Somebody is dialled by a channel in the dialplan: `leg` is that channel."""
    dialler = event.get("caller")
    if dialler is None:
        return _forwarded(event, at)
    leg = str(dialler["id"])
    member, status = str(event["peer"]["name"]), str(event["dialstatus"])
    code = extensions.code_of(member)
    match status:
        case "":
            return Heard(leg, h.MemberRung(at, leg, member, code, rings=False))
        case "RINGING" | "PROGRESS":
            return Heard(leg, h.MemberRung(at, leg, member, code))
        case "ANSWER":
            return Heard(leg, h.MemberAnswered(at, leg, member, code))
        case "PROCEEDING":
            return None
    return Heard(leg, h.MemberEnded(at, leg, member, status))


def _forwarded(event: dict[str, Any], at: float) -> Signal | None:
    """A leg that we dial has met a telephone that forwards its calls; whereto, only this event tells."""
    forward = _FORWARD.fullmatch(str(event.get("forward") or ""))
    if forward is None:
        return None
    peer = event["peer"]
    context = str(peer.get("dialplan", {}).get("context") or "")
    return Heard(str(peer["id"]), h.LegForwarded(at, str(peer["id"]), forward[1], context))
