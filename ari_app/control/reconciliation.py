"""Reconciliation: what the PBX says is true, after nothing was heard of it, against the calls that we know.

Each call asks by itself what was missed of it (`ari_app.control.facts`). Here is the rest: when the gap
began, callers whom no call knows, and what is left of calls that are over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from ari_app.asterisk.errors import PbxError
from ari_app.asterisk.events import NewCaller, new_caller
from ari_app.asterisk.pbx import Pbx
from ari_app.asterisk.snapshot import Snapshot
from ari_app.calls import orders as o
from ari_app.control.admission import Admission
from ari_app.control.channel_index import ChannelIndex
from ari_app.control.live_call import LiveCall


class Around(Protocol):
    """What it needs around it: its line."""

    pbx: Pbx
    clock: Callable[[], float]
    live: dict[str, LiveCall]
    channels: ChannelIndex
    something: asyncio.Event
    admission: Admission

    def arrived(self, caller: NewCaller, at: float) -> None:
        """Take a new caller."""

    async def remove(self, order: o.HangUp | o.CloseBridge) -> None:
        """Remove what is of a call that is over."""

    async def done(self) -> None:
        """Wait until all is done that was begun."""


class Reconciliation:
    """What a line makes up for."""

    def __init__(self, line: Around) -> None:
        self._line = line
        self._pbx = line.pbx
        self.startup: str | None = None
        """When the PBX was started, in its own words; none before the first connection."""
        self.restart_seen_at = 0.0
        self.heard_until = 0.0
        """The last moment that is known to be heard, of a time when nothing is heard."""
        self.unknown_talks: set[str] = set()
        """Bridges of ours in which people talk, of whose calls we have not heard."""

    def resume(self, at: float, startup: str) -> None:
        """Take up what the service knew when it ended: until when it had heard, and of which PBX."""
        self.heard_until, self.startup = min(at, self._line.clock()), startup

    def started(self, startup: str) -> bool:
        """Take note when the PBX was started, and tell whether it was restarted."""
        restarted = self.startup is not None and startup != self.startup
        if restarted:
            self.restart_seen_at = self._line.clock()
        self.startup = startup
        return restarted

    def clock_was_set(self, by: float) -> None:
        """Let the moments go with the clock."""
        self.heard_until += by
        self.restart_seen_at += by

    async def adopt(self) -> None:
        """Take callers that no call of ours knows, and remove legs and bridges that belong to no call.

        A caller has come when the channel began, or since we last heard, whichever is later. Two who talk in
        a bridge of ours go on: who had the account before us may yet hand in their call.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        snapshot = await self._pbx.snapshot()
        ids, at = self._pbx.ids, self._line.clock()
        in_calls = {channel for call in self._line.live for channel in snapshot.bridges.get(call, ())}
        self.unknown_talks = {
            bridge
            for bridge in snapshot.bridges
            if ids.call_of(bridge) == bridge and bridge not in self._line.live and snapshot.they_talk(bridge)
        }
        if self.unknown_talks:
            self._line.something.set()
        talk = {channel for bridge in self.unknown_talks for channel in snapshot.bridges[bridge]}
        for ident, channel in snapshot.channels.items():
            if ident in talk or ids.call_of(ident) in self.unknown_talks:
                continue
            leg = ids.leg_of(ident)
            if leg is not None and not self._is_known(leg, leg in in_calls):
                await self._line.remove(o.HangUp(ident))
            elif leg is None and ident not in self._line.channels:
                arguments = _stasis_arguments(channel, self._pbx.target.stasis_app)
                if arguments:
                    began = max(self._pbx.began(channel), self.heard_until)
                    self._line.arrived(new_caller(channel, arguments), min(at, began))
                elif arguments is not None and ident not in in_calls:
                    await self._line.remove(o.HangUp(ident))  # it took the place of one whose call is over
        for bridge in snapshot.bridges:
            if ids.call_of(bridge) == bridge and bridge not in self._line.live.keys() | self.unknown_talks:
                await self._line.remove(o.CloseBridge(bridge))

    def _is_known(self, leg: str, bridged: bool) -> bool:
        """Tell whether a leg is of a call of ours; who held the account before us may have made more."""
        live = self._line.live.get(self._pbx.ids.call_of(leg) or "")
        if live is None:
            return False
        return bridged or live.call.party(leg) is not None or leg == live.call.recorder_id

    async def see_off(self, seconds: float) -> None:
        """Send all on who wait in our application, in at most so many seconds; who talks is left alone.

        For an account that is no more, when nothing of its PBX is heard any more: nobody would find them.
        """
        with suppress(PbxError, TimeoutError):
            async with asyncio.timeout(seconds):
                snapshot = await self._pbx.snapshot()
                talks = {one: inside for one, inside in snapshot.bridges.items() if snapshot.they_talk(one)}
                talk = {channel for inside in talks.values() for channel in inside}
                for ident, channel in snapshot.channels.items():
                    arguments = _stasis_arguments(channel, self._pbx.target.stasis_app)
                    if ident in talk:
                        continue
                    if self._pbx.ids.leg_of(ident) is not None:
                        await self._line.remove(o.HangUp(ident))
                    elif arguments is not None and len(arguments) > 1:
                        self._line.admission.let_pass(new_caller(channel, arguments))
                for bridge in snapshot.bridges.keys() - talks.keys():
                    if self._pbx.ids.call_of(bridge) == bridge:
                        await self._line.remove(o.CloseBridge(bridge))
                await self._line.done()

    def forget_talks(self) -> None:
        """Forget the talks whose calls we have heard of since."""
        self.unknown_talks -= self._line.live.keys()

    async def end_talks(self, snapshot: Snapshot) -> None:
        """End the talks in calls that nobody has told us of, where one of the two has left."""
        for bridge in tuple(self.unknown_talks):
            await self._end_together(bridge, snapshot)

    async def _end_together(self, bridge: str, snapshot: Snapshot) -> None:
        """When one of two who talk in a call that nobody has told us of has left, end it for the other."""
        if bridge in self._line.live or snapshot.they_talk(bridge):
            return
        self.unknown_talks.discard(bridge)
        for channel in snapshot.channels:
            if channel in snapshot.bridges.get(bridge, ()) or self._pbx.ids.call_of(channel) == bridge:
                await self._line.remove(o.HangUp(channel))
        if bridge in snapshot.bridges:
            await self._line.remove(o.CloseBridge(bridge))


def _stasis_arguments(channel: dict[str, Any], stasis_app: str) -> tuple[str, ...] | None:
    """Read the arguments of ``Stasis(APP,...)`` off a channel that is in it.

    A channel that took another's place has none.
    """
    dialplan = channel["dialplan"]
    if dialplan.get("app_name") != "Stasis":
        return None
    app, *arguments = str(dialplan.get("app_data", "")).split(",")
    return tuple(arguments) if app == stasis_app else None
