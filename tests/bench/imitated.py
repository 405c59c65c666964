"""An imitated PBX for what no Asterisk of this machine could carry: a thousand calls, five hundred PBXs.

It is strict: what Asterisk's own API description doesn't know is refused and noted, and so is what can't be
done with a channel as it is. It knows what our calls without transfers need: callers, telephones that ring
and answer, bridges, and variables. It records nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson

from tests.bench.ari_description import Asked

Answer: TypeAlias = tuple[int, Any]
"""Status, and what is answered as JSON; None: nothing."""

APP = "retailcrm"
NOTHING: Answer = (204, None)
RINGS_AFTER, ANSWERS_AFTER = 0.01, 0.2
"""Seconds from the request to dial."""


@dataclass
class Channel:
    """A channel; `number` is whose it is."""

    id: str
    name: str
    number: str
    exten: str
    arguments: str
    state: str = "Down"
    bridge: str | None = None
    watched: bool = False
    """Whether its end is told."""
    in_stasis: bool = True
    created: str = field(default_factory=lambda: _stamp())

    def described(self) -> dict[str, Any]:
        """Describe it as ARI does."""
        app_data = f"{APP},{self.arguments}"
        place = {"context": "from-outside", "exten": self.exten, "priority": 2}
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "protocol_id": f"{self.id}@imitated",
            "caller": {"name": "", "number": self.number},
            "connected": {"name": "", "number": ""},
            "accountcode": "",
            "dialplan": {**place, "app_name": "Stasis", "app_data": app_data},
            "creationtime": self.created,
            "language": "en",
        }


class ImitatedPbx:
    """One PBX. `heard` is called with each request and the moment it was here (monotonic seconds)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, set[str]] = {}
        self.variables: dict[str, str] = {}
        self.allowed: frozenset[str] | None = None
        self.wrong: list[str] = []
        """What was asked and must not be, as sentences."""
        self.tell: Callable[[dict[str, Any]], None] | None = None
        """Sends an event to whoever listens; None while nobody does."""
        self.heard: Callable[[Asked, float], None] = lambda *_: None
        self.said: Callable[[str, Channel], None] = lambda *_: None
        """Called with each event that is sent."""
        self.started = _stamp()
        self._numbers = itertools.count(1)

    # -- people -------------------------------------------------------------------------------------------

    def call(self, number: str, called: str) -> str:
        """A customer calls; gives the channel's id."""
        count = next(self._numbers)
        arguments = f"incoming,{called}"
        ident = f"{time.time():.0f}.{count}"
        channel = Channel(ident, f"PJSIP/trunk-{count:08x}", number, called, arguments, state="Ring")
        self.channels[channel.id] = channel
        self._say("StasisStart", channel, args=arguments.split(","))
        return channel.id

    def hang_up(self, ident: str, cause: int = 16) -> None:
        """Somebody hangs up."""
        channel = self.channels.pop(ident, None)
        if channel is None:
            self.wrong.append(f"{self.name}: {ident} was hung up by us, though people talked")
            return
        self._leave_bridge(channel)
        if channel.watched:
            self._say("ChannelDestroyed", channel, cause=cause, cause_txt="Normal Clearing")

    def _turns(self, ident: str, state: str) -> None:
        channel = self.channels.get(ident)
        if channel is not None:
            channel.state = state
            self._say("ChannelStateChange", channel)

    def _say(self, kind: str, channel: Channel, **more: Any) -> None:
        if self.tell is not None and (self.allowed is None or kind in self.allowed):
            self.said(kind, channel)
            self.tell(
                {
                    "type": kind,
                    "timestamp": _stamp(),
                    "application": APP,
                    "asterisk_id": "00:00:00:00:00:01",
                    "channel": channel.described(),
                    **more,
                }
            )

    # -- requests -----------------------------------------------------------------------------------------

    def answer(self, asked: Asked, body: bytes) -> Answer:
        """Carry a request out; what Asterisk would refuse is refused, and noted unless we may not know it."""
        self.heard(asked, time.monotonic())
        work = _OPERATIONS.get(asked.operation)
        if work is None:
            return self._no(501, f"{asked.operation} is not imitated")
        return work(self, asked.values, body)

    def _no(self, status: int, problem: str) -> Answer:
        self.wrong.append(f"{self.name}: {status} {problem}")
        return status, {"message": problem}

    def _info(self, values: Mapping[str, str], body: bytes) -> Answer:
        status = {"startup_time": self.started, "last_reload_time": self.started}
        return 200, {"status": status}

    def _ping(self, values: Mapping[str, str], body: bytes) -> Answer:
        return 200, {"asterisk_id": "00:00:00:00:00:01", "ping": "pong", "timestamp": _stamp()}

    def _get_variable(self, values: Mapping[str, str], body: bytes) -> Answer:
        name = values["variable"]
        known = str(int(time.time())) if name == "EPOCH" else self.variables.get(name, "")
        return 200, {"value": known}

    def _set_variable(self, values: Mapping[str, str], body: bytes) -> Answer:
        self.variables[values["variable"]] = values.get("value", "")
        return NOTHING

    def _filter(self, values: Mapping[str, str], body: bytes) -> Answer:
        self.allowed = frozenset(one["type"] for one in orjson.loads(body)["allowed"])
        return 200, {"name": APP, "channel_ids": [], "bridge_ids": []}

    def _subscribe(self, values: Mapping[str, str], body: bytes) -> Answer:
        kind, _, ident = values["eventSource"].partition(":")
        if kind != "channel" or ident not in self.channels:
            return 422, {"message": "Provided event source does not exist"}
        self.channels[ident].watched = True
        return 200, {"name": APP, "channel_ids": [ident]}

    def _list_channels(self, values: Mapping[str, str], body: bytes) -> Answer:
        return 200, [channel.described() for channel in self.channels.values()]

    def _create(self, values: Mapping[str, str], body: bytes) -> Answer:
        ident, endpoint = values["channelId"], values["endpoint"]
        if ident in self.channels:
            return self._no(409, f"the channel {ident} is there already")
        driver, _, name = endpoint.partition("/")
        if driver not in ("PJSIP", "Local"):
            return self._no(400, f"{endpoint} is no endpoint of ours")
        full = f"{endpoint}-{next(self._numbers):08x}" + (";1" if driver == "Local" else "")
        channel = Channel(ident, full, name.partition("@")[0], "s", values.get("appArgs", ""))
        channel.watched = True
        self.channels[ident] = channel
        if driver == "PJSIP":
            self._say("StasisStart", channel, args=values.get("appArgs", "").split(","))
        return 200, channel.described()

    def _dial(self, values: Mapping[str, str], body: bytes) -> Answer:
        channel = self.channels.get(values["channelId"])
        if channel is None or channel.state != "Down":
            return self._no(409, f"{values['channelId']} can't be dialled")
        loop = asyncio.get_running_loop()
        loop.call_later(RINGS_AFTER, self._turns, channel.id, "Ringing")
        loop.call_later(ANSWERS_AFTER, self._turns, channel.id, "Up")
        return NOTHING

    def _of_channel(self, values: Mapping[str, str], body: bytes) -> Answer:
        return NOTHING if values["channelId"] in self.channels else (404, {"message": "Channel not found"})

    def _answer_channel(self, values: Mapping[str, str], body: bytes) -> Answer:
        said = self._of_channel(values, body)
        if said is NOTHING:
            self._turns(values["channelId"], "Up")
        return said

    def _channel_variable(self, values: Mapping[str, str], body: bytes) -> Answer:
        function, _, of = values["variable"].partition("(")
        if values["channelId"] not in self.channels:
            return 404, {"message": "Channel not found"}
        match function:
            case "PJSIP_DIAL_CONTACTS":
                code = of.rstrip(")")
                return 200, {"value": f"PJSIP/{code}/sip:{code}@10.0.0.{int(code) % 250}:5060"}
            case "DIALPLAN_EXISTS" | "CDR":
                return 200, {"value": "0"}
        return self._no(404, f"the variable {values['variable']} is not imitated")

    def _hang_up_channel(self, values: Mapping[str, str], body: bytes) -> Answer:
        if values["channelId"] not in self.channels:
            return 404, {"message": "Channel not found"}
        self.hang_up(values["channelId"])
        return NOTHING

    def _list_bridges(self, values: Mapping[str, str], body: bytes) -> Answer:
        return 200, [_bridge(ident, inside) for ident, inside in self.bridges.items()]

    def _open_bridge(self, values: Mapping[str, str], body: bytes) -> Answer:
        if values["bridgeId"] in self.bridges:
            return self._no(409, f"the bridge {values['bridgeId']} is there already")
        self.bridges[values["bridgeId"]] = set()
        return 200, _bridge(values["bridgeId"], ())

    def _join(self, values: Mapping[str, str], body: bytes) -> Answer:
        inside = self.bridges.get(values["bridgeId"])
        if inside is None:
            return 404, {"message": "Bridge not found"}
        for ident in values["channel"].split(","):
            if ident not in self.channels:
                return 400, {"message": "Channel not found"}
            self._leave_bridge(self.channels[ident])
            inside.add(ident)
            self.channels[ident].bridge = values["bridgeId"]
        return NOTHING

    def _leave_bridge(self, channel: Channel) -> None:
        if channel.bridge is not None:
            self.bridges.get(channel.bridge, set()).discard(channel.id)
            channel.bridge = None

    def _close_bridge(self, values: Mapping[str, str], body: bytes) -> Answer:
        inside = self.bridges.pop(values["bridgeId"], None)
        for ident in inside or ():
            self.channels[ident].bridge = None
        return NOTHING if inside is not None else (404, {"message": "Bridge not found"})

    def _no_recordings(self, values: Mapping[str, str], body: bytes) -> Answer:
        return 200, []


_OPERATIONS: dict[str, Callable[[ImitatedPbx, Mapping[str, str], bytes], Answer]] = {
    "asterisk.getInfo": ImitatedPbx._info,
    "asterisk.ping": ImitatedPbx._ping,
    "asterisk.getGlobalVar": ImitatedPbx._get_variable,
    "asterisk.setGlobalVar": ImitatedPbx._set_variable,
    "applications.filter": ImitatedPbx._filter,
    "applications.subscribe": ImitatedPbx._subscribe,
    "channels.list": ImitatedPbx._list_channels,
    "channels.create": ImitatedPbx._create,
    "channels.dial": ImitatedPbx._dial,
    "channels.ring": ImitatedPbx._of_channel,
    "channels.answer": ImitatedPbx._answer_channel,
    "channels.setChannelVar": ImitatedPbx._of_channel,
    "channels.getChannelVar": ImitatedPbx._channel_variable,
    "channels.hangup": ImitatedPbx._hang_up_channel,
    "bridges.list": ImitatedPbx._list_bridges,
    "bridges.createWithId": ImitatedPbx._open_bridge,
    "bridges.addChannel": ImitatedPbx._join,
    "bridges.destroy": ImitatedPbx._close_bridge,
    "recordings.listStored": ImitatedPbx._no_recordings,
}


def _bridge(ident: str, inside: Any) -> dict[str, Any]:
    return {
        "id": ident,
        "technology": "simple_bridge",
        "bridge_type": "mixing",
        "bridge_class": "stasis",
        "creator": "Stasis",
        "name": "",
        "channels": list(inside),
        "creationtime": "2026-01-01T00:00:00.000+0000",
    }


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
