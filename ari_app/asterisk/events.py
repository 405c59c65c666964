"""ARI's events, turned into happenings.

What arrives on the socket is not trusted: an event that lacks a field, or has one of another kind, is passed
over with a line in the log and never stops the reader.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ari_app.accounts.owners import Owners
from ari_app.calls import ATTENDED, Doing, is_extension, says_little
from ari_app.calls import happenings as h

EVENT_TYPES = (
    "ApplicationReplaced",
    "BridgeAttendedTransfer",
    "BridgeBlindTransfer",
    "ChannelDestroyed",
    "ChannelDialplan",
    "ChannelDtmfReceived",
    "ChannelStateChange",
    "Dial",
    "RecordingFailed",
    "RecordingFinished",
    "StasisStart",
)
"""All that we listen to; the PBX is asked to send no others."""

_SIP = re.compile("^(?:PJ)?SIP/")
_LOCAL_MEMBER = re.compile(r"Local/(\+?[0-9*]{1,20})#?@")
_LOCAL = re.compile(r"Local/([^@]+)@.+;1")
_FORWARD = re.compile(r"(?:[^/@]*/)*(?:sips?:)?([^@/:;]+)(?:[:;].*)?(?:@.*)?")
"""A bare number, as ``310``, or a channel that is to be made, as ``PJSIP/307/sip:310@10.0.0.5``."""
_UNIQUE_PART = r"-[0-9a-f]{8}(?:;[12])?"
_ENDPOINT = re.compile(rf"([A-Za-z0-9]+)/(.+){_UNIQUE_PART}")

_DOING = {
    **dict.fromkeys(("Dial", "FollowMe", "Page", "RetryDial"), Doing.DIALS),
    "Queue": Doing.QUEUES,
    **dict.fromkeys(("AgentLogin", "AgentRequest", "Bridge", "BridgeAdd", "BridgeWait"), Doing.MEETS),
    **dict.fromkeys(("ConfBridge", "MeetMe", "Park", "ParkAndAnnounce", "ParkedCall"), Doing.MEETS),
    **dict.fromkeys(("Pickup", "PickupChan"), Doing.MEETS),
    "Busy": Doing.BUSY,
    "Congestion": Doing.REFUSES,
    **dict.fromkeys(("PlayTones", "Playtones", "Wait", "WaitExten"), Doing.WAITS),
    **dict.fromkeys(("AGI", "EAGI", "Authenticate", "BackGround", "BackgroundDetect"), Doing.SPEAKS),
    **dict.fromkeys(("ControlPlayback", "DISA", "Dictate", "Directory"), Doing.SPEAKS),
    **dict.fromkeys(("Echo", "Festival", "Milliwatt", "MiniVM", "MinivmRecord"), Doing.SPEAKS),
    **dict.fromkeys(("MP3Player", "MusicOnHold", "Playback"), Doing.SPEAKS),
    **dict.fromkeys(("PrivacyManager", "Read", "ReadExten", "Record", "SayAlpha"), Doing.SPEAKS),
    **dict.fromkeys(
        ("SayDigits", "SayNumber", "SayPhonetic", "SayUnixTime", "SpeechBackground"), Doing.SPEAKS
    ),
    **dict.fromkeys(("VMAuthenticate", "VoiceMail", "VoiceMailMain"), Doing.SPEAKS),
}
"""The dialplan's applications that last; all others are done in a moment and say nothing."""


@dataclass(frozen=True, slots=True)
class NewCaller:
    """A channel has entered our application that we didn't make."""

    channel: str
    name: str
    arguments: tuple[str, ...]
    number: str
    shown: str = ""
    """The name that it came with."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Something happened to a channel (or recording) of ours or of a caller's: `key` is its id."""

    key: str
    happening: h.Happening


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another process has taken our application over."""


Signal: TypeAlias = NewCaller | Heard | Replaced


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial by the channels that it begins with: all that is known of it stands in their names.

    `customer` is the half of a Local channel that stands for a customer's telephone, `caller` the other one,
    which comes to us as their calls do; `code` is the extension to ring, empty in the customer's half.
    """

    call: str
    customer: str
    caller: str
    code: str


class Ids:
    """The ids that we give: ``APP-16 hex digits`` for a call, its bridge and its recording, ``CALL-N`` for a
    leg, ``CALL-N-2`` for the far half of a Local channel, ``CALL-recorder`` for the channel that is recorded.
    A trial's channels are ``APP-trial-16 hex digits`` and the same with the extension that it rings.
    """

    def __init__(self, stasis_app: str) -> None:
        self.prefix = f"{stasis_app}-"
        self._ours = re.compile(rf"({re.escape(self.prefix)}[0-9a-f]{{16}})(-\d+|-recorder)?(-2)?")
        self._trial = re.compile(rf"{re.escape(self.prefix)}trial-([0-9a-f]{{16}})(?:-(\d+))?")

    def new_leg(self) -> str:
        """Name a channel that is of no call."""
        return f"{self.prefix}{secrets.token_hex(8)}-0"

    def new_trial(self, code: str) -> Trial:
        """Name the channels of a trial that rings an extension, and its call."""
        mark = secrets.token_hex(8)
        customer = f"{self.prefix}trial-{mark}"
        return Trial(f"{self.prefix}{mark}", customer, f"{customer}-{code}", code)

    def trial_of(self, channel: str) -> Trial | None:
        """Give the trial of whose two halves a channel is one; None when it is of none.

        Only who may choose a channel's id can make one: no customer, and no telephone, can.
        """
        match = self._trial.fullmatch(channel)
        if match is None:
            return None
        customer = f"{self.prefix}trial-{match[1]}"
        return Trial(f"{self.prefix}{match[1]}", customer, channel, match[2] or "")

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
    """Knows whose telephone a channel is: an extension of the account, or nobody's.

    One PBX may have phones by chan_sip and by PJSIP beside each other (a shop that moves): either is read.
    `owners` gives the account's people as they are now; without it whatever looks like an extension is one.
    """

    def __init__(self, channel_format: str, owners: Callable[[], Owners] | None = None) -> None:
        before, _, after = channel_format.partition("##")
        driver = _SIP.sub("(?:PJ)?SIP/", re.escape(before))
        self._direct = re.compile(driver + r"([0-9*#]{1,20})" + re.escape(after) + _UNIQUE_PART)
        self._owners = owners

    def known(self, code: str | None) -> str | None:
        """Give an extension back if the account has it."""
        if code is None or not is_extension(code):
            return None
        return code if self._owners is None or code in self._owners().codes else None

    def code_of(self, channel_name: str, number: str = "") -> str | None:
        """Say whose a channel is: its telephone's, or that of the extension or mobile which a Local dials.

        `number` is the telephone's own caller number, where it is known to be.
        """
        return self.direct_code_of(channel_name, number) or self._of_local(channel_name)

    def direct_code_of(self, channel_name: str, number: str = "") -> str | None:
        """Say whose telephone a channel is: by the account's channel format, its devices, its number."""
        match = self._direct.fullmatch(channel_name)
        code = self.known(match[1]) if match else None
        endpoint = _ENDPOINT.fullmatch(channel_name)
        if code is not None or self._owners is None or endpoint is None or endpoint[1] == "Local":
            return code
        return self._owners().of_device(endpoint[1], endpoint[2]) or self.known(number or None)

    def code_of_channel(self, channel: dict[str, Any], dialler: dict[str, Any] | None = None) -> str | None:
        """Say whose a channel is that ARI describes; `dialler` is the channel that dials it.

        A telephone without a caller number of its own is given one by who dials it: that of the place in the
        dialplan, which is an extension's if its Follow Me dials there; or of who is on the line there, which
        says nothing of whose telephone it is.
        """
        number = str(channel["caller"]["number"])
        if dialler is not None and number in _others_numbers(dialler):
            number = ""
        return self.code_of(str(channel["name"]), number)

    def whom_it_dials(self, number: str) -> str:
        """Give what a transfer dials as it was dialled, but the extension where it is somebody's mobile."""
        return (self._owners().of_number(number) if self._owners is not None else None) or number

    def _of_local(self, channel_name: str) -> str | None:
        local = _LOCAL_MEMBER.match(channel_name)
        if local is None:
            return None
        return local[1] if self._owners is None else self._owners().of_number(local[1])


def _others_numbers(dialler: dict[str, Any]) -> frozenset[str]:
    """List the numbers of others with which a channel may mark whom it dials."""
    numbers = {str((dialler.get(side) or {}).get("number") or "") for side in ("caller", "connected")}
    return frozenset(numbers - {str(dialler["dialplan"]["exten"])})


def doing(app: str | None) -> Doing | None:
    """Say what an application of the dialplan does, None for those that are done in a moment."""
    return _DOING.get(app or "")


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
        case "ChannelDialplan":
            return _does(event, at)
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
            return _blind(event, at, extensions)
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
    caller = channel["caller"]
    number, shown = str(caller["number"]), str(caller.get("name") or "")
    return NewCaller(channel["id"], str(channel["name"]), arguments, number, shown)


def _state_change(channel: dict[str, Any], at: float, ids: Ids, extensions: Extensions) -> Signal | None:
    ident, state = str(channel["id"]), channel["state"]
    if ids.is_far_half(ident) or state not in ("Ringing", "Up"):
        return None
    if state == "Ringing":
        return Heard(ident, h.LegRinging(at, ident))
    code = extensions.direct_code_of(str(channel["name"]), str(channel["caller"]["number"]))
    return Heard(ident, h.LegAnswered(at, ident, code))


def _destroyed(event: dict[str, Any], at: float, ids: Ids) -> Signal | None:
    ident, cause = str(event["channel"]["id"]), int(event["cause"])
    sip, up = int(event.get("tech_cause") or 0) or None, event["channel"].get("state") == "Up"
    if ids.is_far_half(ident):
        return None if says_little(cause) else Heard(ident, h.FarHalfEnded(at, ident, cause, sip))
    return Heard(ident, h.LegEnded(at, ident, cause, sip, up=up))


def _does(event: dict[str, Any], at: float) -> Signal | None:
    """What a far half does, or a caller who was sent on; all others are in our application."""
    ident, does = str(event["channel"]["id"]), doing(str(event["dialplan_app"]))
    if does is None or str(event["channel"]["name"]).endswith(";1"):
        return None
    return Heard(ident, h.DialplanDoes(at, ident, does))


def _replaced(event: dict[str, Any], at: float, extensions: Extensions) -> Signal:
    old = str(event["replace_channel"]["id"])
    return Heard(old, newcomer(event["channel"], at, extensions, old))


def newcomer(channel: dict[str, Any], at: float, extensions: Extensions, old: str = "") -> h.PartyReplaced:
    """Read a channel that stands where a party of a call stood: into the dialplan, or a telephone's own."""
    name = str(channel["name"])
    local = _LOCAL.fullmatch(name)
    number = str(channel["caller"]["number"])
    code = extensions.direct_code_of(name, number)
    if local is not None:
        code = extensions.known(number or None) if local[1] == ATTENDED else None
    target = extensions.whom_it_dials(local[1]) if local else None
    if name.startswith(f"Local/{ATTENDED}@"):  # either half: it joins two calls
        target = ATTENDED
    return h.PartyReplaced(
        at=at,
        old=old,
        channel=str(channel["id"]),
        local=local is not None,
        target=target,
        code=code,
    )


def _attended(event: dict[str, Any], at: float, extensions: Extensions) -> Signal | None:
    """A member who talked behind a Local channel of ours has put a colleague in their place: no dialling."""
    transferee, target = event.get("transferee"), event.get("transfer_target")
    if transferee is None or target is None or event["result"] != "Success":
        return None
    leg, member = str(transferee["id"]), str(target["name"])
    return Heard(leg, h.MemberAnswered(at, leg, member, extensions.code_of_channel(target)))


def _blind(event: dict[str, Any], at: float, extensions: Extensions) -> Signal | None:
    """A member who talked behind a Local channel of ours has sent its other half on in the dialplan.

    The customer's own channel is sent on so only into a parking lot; else a new one stands for it.
    """
    transferee = event.get("transferee")
    if event["result"] != "Success" or event.get("replace_channel"):
        return None
    if (
        transferee is None
    ):  # of more than two in a bridge Asterisk parks none, and then takes the one who asked out
        ident = str(event["channel"]["id"])
        return Heard(ident, h.OutcomeUnknown(at, "a transfer has led nowhere"))
    leg, member = str(transferee["id"]), str(event["channel"]["name"])
    target = extensions.whom_it_dials(str(event["exten"]))
    return Heard(leg, h.MemberTransferred(at, leg, member, target))


def _dial(event: dict[str, Any], at: float, extensions: Extensions) -> Signal | None:
    """Somebody is dialled by a channel in the dialplan: `leg` is that channel."""
    dialler = event.get("caller")
    if dialler is None:
        return _forwarded(event, at) or _refuses(event, at)
    leg, status, onward = str(dialler["id"]), str(event["dialstatus"]), event.get("forwarded")
    if onward is not None and status:
        name, code = str(onward["name"]), extensions.code_of_channel(onward, dialler)
        local = str(onward["id"]) if _LOCAL.fullmatch(name) else None
        return Heard(leg, h.MemberEnded(at, leg, str(event["peer"]["name"]), status, name, code, local))
    return _dialled(leg, event["peer"], status, at, extensions, dialler)


def _dialled(
    leg: str,
    peer: dict[str, Any],
    status: str,
    at: float,
    extensions: Extensions,
    dialler: dict[str, Any],
) -> Signal | None:
    member = str(peer["name"])
    code = extensions.code_of_channel(peer, dialler)
    local = str(peer["id"]) if _LOCAL.fullmatch(member) else None
    match status:
        case "":
            return Heard(leg, h.MemberRung(at, leg, member, code, rings=False, local=local))
        case "RINGING" | "PROGRESS":
            return Heard(leg, h.MemberRung(at, leg, member, code, local=local))
        case "ANSWER":
            return Heard(leg, h.MemberAnswered(at, leg, member, code, local=local))
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


def _refuses(event: dict[str, Any], at: float) -> Signal | None:
    """The dialplan behind a Local leg says that it is busy: by an application, or because it is at its end
    when all whom it has dialled were tried in vain (``autofallthrough``). It waits for 10 s then.
    """
    peer, ident, status = event["peer"], str(event["peer"]["id"]), str(event["dialstatus"])
    if status not in ("BUSY", "CONGESTION") or not _LOCAL.fullmatch(str(peer["name"])):
        return None
    return Heard(ident, h.DialplanDoes(at, ident, _DOING[status.title()]))


def dialled_by(
    dialler: dict[str, Any], channels: dict[str, dict[str, Any]], at: float, extensions: Extensions
) -> list[h.MemberRung]:
    """List whom a channel in the dialplan dials just now, of those who are rung: what was missed of them."""
    dialplan = dialler["dialplan"]
    if dialplan.get("app_name") not in ("Dial", "Queue"):
        return []
    dialled = str(dialplan.get("app_data") or "").split(",")[0].split("&")
    names = {one.removesuffix("/n") for one in dialled if one.startswith("Local/") or "@" not in one}
    found = []
    for channel in channels.values():
        name = str(channel["name"])
        match = _ENDPOINT.fullmatch(name)
        if match is None or name.endswith(";2"):
            continue
        if f"{match[1]}/{match[2]}" not in names and not _queue_rings(dialler, channel):
            continue
        status = {"Down": "", "Ringing": "RINGING"}.get(channel["state"])
        if status is not None:
            signal = _dialled(str(dialler["id"]), channel, status, at, extensions, dialler)
            if isinstance(signal, Heard) and isinstance(signal.happening, h.MemberRung):
                found.append(signal.happening)
    return found


def answered_by(
    dialler: dict[str, Any], inside: list[dict[str, Any]], at: float, extensions: Extensions
) -> list[h.MemberRung | h.MemberAnswered]:
    """Say which Local channel, of those in a bridge with one in the dialplan, was dialled and answered."""
    found = []
    for channel in inside:
        if _LOCAL.fullmatch(str(channel["name"])):
            for status in ("", "ANSWER"):
                signal = _dialled(str(dialler["id"]), channel, status, at, extensions, dialler)
                if isinstance(signal, Heard) and isinstance(
                    signal.happening, h.MemberRung | h.MemberAnswered
                ):
                    found.append(signal.happening)
    return found


def _queue_rings(dialler: dict[str, Any], channel: dict[str, Any]) -> bool:
    """Tell whether a queue rings a member for the one who waits in it: they see who that is."""
    apps = [str((one.get("dialplan") or {}).get("app_name")) for one in (dialler, channel)]
    if apps != ["Queue", "AppQueue"]:
        return False
    number = str((dialler.get("caller") or {}).get("number") or "")
    return bool(number) and str((channel.get("connected") or {}).get("number")) == number
