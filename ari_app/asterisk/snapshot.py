"""The channels and bridges of a PBX at one moment, and who talks to whom in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ari_app.asterisk.events import Extensions, answered_by, dialled_by, doing
from ari_app.calls import NESTING, ChannelFact, Doing
from ari_app.calls import happenings as h

_RECORDER = ("Recorder/", "Announcer/")


@dataclass(frozen=True, slots=True)
class FarHalf:
    """The half of a Local channel that runs the dialplan; `up` tells whether the near one is up."""

    id: str
    up: bool


@dataclass(frozen=True, slots=True)
class Telephone:
    """A telephone's channel; `code` is the extension whose it is, none when it is nobody's of the account."""

    id: str
    name: str
    code: str | None


@dataclass(frozen=True)
class Snapshot:
    """The channels and bridges that exist on the PBX."""

    channels: dict[str, dict[str, Any]]
    bridges: dict[str, tuple[str, ...]]
    """The channels in each bridge."""
    lots: frozenset[str]
    """The bridges whose channels don't hear one another: parking lots."""
    extensions: Extensions
    """Whose the telephones are."""

    @cached_property
    def bridged(self) -> frozenset[str]:
        """All channels that are in a bridge."""
        return frozenset(channel for inside in self.bridges.values() for channel in inside)

    def talk_of(self, channel: str) -> tuple[str, ...]:
        """List the channels of the bridge in which a channel is, itself too; none hears it in a lot."""
        mixing = (inside for bridge, inside in self.bridges.items() if bridge not in self.lots)
        return next((those for those in mixing if channel in those), ())

    def they_talk(self, bridge: str) -> bool:
        """Tell whether two in a bridge talk to one another; who records them doesn't."""
        inside = [self.channels[one] for one in self.bridges.get(bridge, ()) if one in self.channels]
        up = [one for one in inside if one.get("state") == "Up"]
        return len(up) - sum(map(is_recorder, inside)) >= 2

    def waits_in_a_lot(self, channel: str) -> bool:
        """Tell whether a channel is in a parking lot."""
        return any(channel in self.bridges.get(lot, ()) for lot in self.lots)

    def fact(self, channel: str) -> ChannelFact | None:
        """Say what is true of one channel."""
        found = self.channels.get(channel)
        if found is None:
            return None
        in_stasis = found["dialplan"].get("app_name") == "Stasis"
        return ChannelFact(channel, str(found["state"]), channel in self.bridged, in_stasis=in_stasis)

    def far_half(self, channel: str) -> FarHalf | None:
        """Find the half of a Local channel that runs the dialplan."""
        near = self.channels.get(channel)
        far = _other_half(self.channels, str(near["name"])) if near is not None else None
        if near is None or far is None:
            return None
        return FarHalf(str(far["id"]), up=near["state"] == "Up")

    def behind(self, far: str, at: float) -> tuple[Doing | None, list[h.MemberRung | h.MemberAnswered]]:
        """Say what the dialplan does on a channel, whom it rings, and which Local channel has answered it."""
        dialler = self.channels.get(far)
        if dialler is None:
            return None, []
        does = doing(dialler["dialplan"].get("app_name"))
        inside = [self.channels[one] for one in self.talk_of(far) if one != far and one in self.channels]
        return does, [
            *dialled_by(dialler, self.channels, at, self.extensions),
            *answered_by(dialler, inside, at, self.extensions),
        ]

    def telephone_behind(self, far: str) -> Telephone | None:
        """Name the telephone that talks to the far half of a Local channel, and say whose it is.

        Another Local channel is followed, down to a telephone; None while there is none. One that is nobody's
        is whose the last Local channel is: somebody's Follow Me, or mobile.
        """
        around = None
        for _ in range(NESTING):
            inside = self.talk_of(far)
            others = [self.channels[one] for one in inside if one != far and one in self.channels]
            if len(others) != 1:
                return None
            name = str(others[0]["name"])
            if not name.startswith("Local/"):
                code = self.extensions.code_of_channel(others[0], self.channels.get(far))
                return Telephone(str(others[0]["id"]), name, code or around)
            around = self.extensions.code_of_channel(others[0], self.channels.get(far)) or around
            other = _other_half(self.channels, name)
            if other is None:
                return None
            far = str(other["id"])
        return None


def is_recorder(channel: dict[str, Any]) -> bool:
    """Tell whether a channel is the PBX's own, by which a bridge is recorded."""
    return str(channel["name"]).startswith(_RECORDER)


def _other_half(channels: dict[str, dict[str, Any]], near: str) -> dict[str, Any] | None:
    """Find the other half of a Local channel, by the near one's name."""
    name = f"{near[:-1]}2"
    if not near.endswith(";1"):
        return None
    return next((one for one in channels.values() if one["name"] == name), None)
