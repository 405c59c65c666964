"""The second way to place a call: AJAM, when ARI can't.

The dialplan runs such a call; AJAM's events tell of its progress where the user's rights give them, and every
2 s the list of channels tells what is true, for which the documented rights are enough. The caller's channel
has an id of ours. The customer's leg is whatever the dialplan dials for it: it lives as long as the caller's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

import structlog

from ari_app.asterisk.ajam import Ajam, AjamChannel, AjamEvent
from ari_app.asterisk.errors import PbxError, PbxRefused
from ari_app.asterisk.events import Extensions
from ari_app.calls import Call, LegState, Order, Way
from ari_app.calls import happenings as h
from ari_app.calls import orders as o

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
"""How often the PBX is asked what has become of the calls."""
NO_ROUTE = 20
"""Cause of a call to a phone that isn't registered, or doesn't exist."""
_HAS_CHANNEL = re.compile(r"-[0-9a-f]{8}(;[12])?$")


class Calls(Protocol):
    """The live calls of a line."""

    @property
    def calls(self) -> Iterable[Call]:
        """The live calls, also those that go by ARI."""
        ...

    def put(self, call_id: str, happening: h.Happening) -> None:
        """Put what happened to a call into its mailbox, if it is live."""
        ...


class AjamLine:
    """One account's calls that go by AJAM."""

    def __init__(self, ajam: Ajam, extensions: Extensions, clock: Callable[[], float]) -> None:
        self._ajam = ajam
        self._extensions = extensions
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._placed = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Whether a call may be placed, as far as is known."""
        return self._ajam.usable

    async def carry_out(self, order: Order) -> None:
        """Carry an order out.

        Raises:
            PbxError: the order was refused, not carried out, or its answer was lost.
        """
        match order:
            case o.Originate():
                self._placed.set()
                await self._ajam.originate(
                    channel_id=order.leg,
                    channel=order.endpoint,
                    caller_name=order.name,
                    caller_number=order.number,
                    context=order.context,
                    exten=order.exten,
                    priority=order.priority,
                    ring_seconds=order.seconds,
                )
            case o.HangUp(channel):
                with suppress(PbxRefused):  # the documented user may not: people hang up by themselves
                    await self._ajam.hang_up(channel)
            case _:
                raise TypeError(f"{type(order).__name__} is not an order for AJAM")

    async def facts(self, call: Call, asked: tuple[str, ...]) -> h.PbxSaid:
        """Say what is true of a call.

        Raises:
            PbxError: AJAM does not answer, or not to us.
        """
        at = self._clock()
        return self._facts(call, asked, await self._channels([call]), at)

    async def _channels(self, live: list[Call]) -> dict[str, AjamChannel]:
        """List the PBX's channels by their ids; the list may lack one that changes just then (Asterisk 22).

        So only one that isn't in a second list either is gone.

        Raises:
            PbxError: AJAM does not answer, or not to us.
        """
        found = {channel.id: channel for channel in await self._ajam.channels()}
        if any(call.caller.id not in found for call in live):
            found |= {channel.id: channel for channel in await self._ajam.channels()}
        return found

    def look_again(self) -> None:
        """Find out soon whether AJAM works: ARI does not."""
        self._ajam.look_again()

    async def run(self, line: Calls) -> None:
        """Know whether AJAM works, and follow the calls of a line, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ajam.run())
            tasks.create_task(self._follow(line))

    async def _follow(self, line: Calls) -> None:
        while True:
            if not _by_ajam(line):
                self._placed.clear()
                await self._placed.wait()
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(self._listen(line))
                await self._look(line)
                listening.cancel()

    async def _look(self, line: Calls) -> None:
        """Look every 2 s until no call is left."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            live = _by_ajam(line)
            self._seen = {call.id: self._seen[call.id] for call in live if call.id in self._seen}
            if not live:
                return
            at = self._clock()
            try:
                channels = await self._channels(live)
            except PbxError:
                continue  # Ajam itself says what is wrong
            for call in live:
                asked = tuple(leg.id for leg in (call.caller, *call.our_legs) if leg.alive)
                line.put(call.id, self._facts(call, asked, channels, at))

    def _facts(
        self, call: Call, asked: tuple[str, ...], channels: dict[str, AjamChannel], at: float
    ) -> h.PbxSaid:
        """Say what the list of channels shows of a call; it was asked for at the moment `at`."""
        caller = channels.get(call.caller.id)
        known_up_at = self._seen.get(call.id, call.started_at)
        if caller is not None:
            self._seen[call.id] = at
        elif call.caller.state is LegState.DIALLED and at - call.caller.at < LOOK_SECONDS:
            asked = ()  # it is about to come
        facts = () if caller is None else _of_both(call, caller, channels.values())
        return h.PbxSaid(at, asked, tuple(facts), recording=False, known_up_at=known_up_at)

    async def _listen(self, line: Calls) -> None:
        async for event in self._ajam.events():
            at = self._clock()
            for call in _by_ajam(line):
                for happening in read_event(event, call, at, self._extensions):
                    line.put(call.id, happening)


def _by_ajam(line: Calls) -> list[Call]:
    return [call for call in line.calls if call.way is Way.AJAM]


def _of_both(call: Call, caller: AjamChannel, channels: Iterable[AjamChannel]) -> Iterator[h.ChannelFact]:
    """What is true of the caller's leg, and of the customer's, which lives as long.

    A Local channel is no telephone: whom the dialplan has dialled behind it has answered, or nobody has.
    """
    others = [one for one in channels if one.linked_id == caller.id and one.id != caller.id]
    local = any(_is_local(one.name) and one.bridge_id == caller.bridge_id for one in others)
    others = [one for one in others if not _is_local(one.name)]
    customer = next((one for one in others if one.bridge_id is not None), others[0] if others else None)
    bridged = customer.bridge_id if customer is not None else None
    talk = caller.bridge_id is not None and (bridged == caller.bridge_id or (local and bridged is not None))
    yield h.ChannelFact(caller.id, caller.state, bridged=talk)
    state = "Up" if talk else "Ringing" if customer is not None and customer.state == "Ringing" else "Down"
    for leg in call.our_legs:
        yield h.ChannelFact(leg.id, state, bridged=talk)


def read_event(event: AjamEvent, call: Call, at: float, extensions: Extensions) -> Iterator[h.Happening]:
    """Turn one event into what it means to a call."""
    fields, caller, customer = event.fields, call.caller.id, f"{call.id}-2"
    match event.name:
        case "Newstate" if fields.get("Uniqueid") == caller:
            if fields.get("ChannelStateDesc") == "Ringing":
                yield h.LegRinging(at, caller)
            elif fields.get("ChannelStateDesc") == "Up":
                yield h.LegAnswered(at, caller, extensions.direct_code_of(fields.get("Channel", "")))
        case "DialBegin" | "DialState" | "DialEnd" if caller in (
            fields.get("Uniqueid"),
            fields.get("Linkedid"),
        ):
            answered = event.name == "DialEnd" and fields.get("DialStatus") == "ANSWER"
            if not (answered and _is_local(fields.get("DestChannel", ""))):
                yield _dialled(event.name, fields, customer, at)
        case "Hangup" if fields.get("Uniqueid") == caller:
            cause, sip = fields.get("Cause", ""), fields.get("TechCause", "")
            yield h.LegEnded(
                at, caller, int(cause) if cause.isdecimal() else 0, int(sip) if sip.isdecimal() else None
            )
        case "OriginateResponse" if fields.get("Uniqueid") == caller and fields.get("Response") == "Failure":
            if not _HAS_CHANNEL.search(fields.get("Channel", "")):
                yield h.LegEnded(at, caller, NO_ROUTE)


def _is_local(channel_name: str) -> bool:
    return channel_name.startswith("Local/")


def _dialled(name: str, fields: dict[str, str], leg: str, at: float) -> h.Happening:
    member, status = fields.get("DestChannel", ""), fields.get("DialStatus", "")
    if name == "DialEnd":
        if status == "ANSWER":
            return h.MemberAnswered(at, leg, member, None)
        return h.MemberEnded(at, leg, member, status)
    return h.MemberRung(at, leg, member, None, rings=status in ("RINGING", "PROGRESS"))
