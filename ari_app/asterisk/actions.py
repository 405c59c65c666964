"""A call's orders, turned into ARI requests."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ari_app.accounts.dialplan_names import named_context, named_exten
from ari_app.asterisk.ari import Ari
from ari_app.asterisk.errors import PbxRefused, PbxUnknown
from ari_app.asterisk.feature_codes import CALLER_SENT_ON, CALLER_WITHOUT_CODES, behind
from ari_app.calls import Way, fitting
from ari_app.calls import orders as o

GONE = frozenset({404})
DONE_BEFORE = frozenset({409})
FREEPBX_NAME_BYTES = 40
"""Where FreePBX cuts a caller's name off, also within a letter; then Asterisk 16 tells no events."""
INHIBIT = "inhibitConnectedLineUpdates"
CUSTOMERS_NAME = "MASTER_CHANNEL(CALLERID(name))"
"""The name of the channel with which a call began, as a variable of a leg that is made for it.

In a bridge of two, whoever comes in a telephone's place is told what the customer's own channel shows, so it
must have the name, too. Set by the leg's request, it bars nothing there, as a variable set by ARI would.
"""


class Actions:
    """Carries out orders at one PBX. Each names the refusals that mean that nothing is left to do."""

    def __init__(self, ari: Ari, stasis_app: str, *, freepbx: bool = False) -> None:
        self._ari = ari
        self._app = stasis_app
        self._freepbx = freepbx

    async def carry_out(self, order: o.Order) -> None:
        """Carry one order out.

        Raises:
            PbxRefused, PbxUnknown, PbxUnavailable: see `ari_app.asterisk.errors`.
        """
        ari = self._ari
        match order:
            case o.Watch(channel):
                await ari(
                    "applications", "subscribe", applicationName=self._app, eventSource=f"channel:{channel}"
                )
            case o.Ringback(channel):
                await ari("channels", "ring", channelId=channel)
            case o.PlayRinging(bridge, name):
                await self._tolerating(
                    DONE_BEFORE, "bridges", "playWithId", bridgeId=bridge, playbackId=name, media="tone:ring"
                )
            case o.StopPlaying(name):
                await self._tolerating(GONE, "playbacks", "stop", playbackId=name)
            case o.OpenBridge(bridge):
                await self._tolerating(
                    DONE_BEFORE, "bridges", "createWithId", bridgeId=bridge, type="mixing,proxy_media"
                )
            case o.Ring():
                await self._ring(order)
            case o.Dial(leg, seconds):
                limit = {} if seconds is None else {"timeout": int(seconds)}
                await ari("channels", "dial", channelId=leg, **limit)
            case o.Join():
                await self._join(order)
            case o.ShowCustomer(leg, name, number):
                await self._show(leg, f'"{name}" <{number}>')
            case o.PassKeys(bridge, channel, through):
                await self._pass_keys(bridge, channel, through)
            case o.Answer(channel):
                await ari("channels", "answer", channelId=channel)
            case o.HangUp(channel, reason):
                await ari("channels", "hangup", channelId=channel, reason=reason.value)
            case o.Listen(channel, recorder):
                await self._listen(channel, recorder)
            case o.Record(name, channel):
                await self._tolerating(
                    DONE_BEFORE,
                    "channels",
                    "record",
                    channelId=channel,
                    name=name,
                    format="wav",
                    ifExists="append",
                )
            case o.StopRecording(name):
                await ari("recordings", "stop", recordingName=name)
            case o.CloseBridge(bridge):
                await self._tolerating(GONE, "bridges", "destroy", bridgeId=bridge)
            case o.SendToDialplan():
                await self._send_on(order)
            case _:
                raise TypeError(f"{type(order).__name__} is not an order for the PBX")

    async def _ring(self, ring: o.Ring) -> None:
        name = ring.name if not self._freepbx else fitting(ring.name, FREEPBX_NAME_BYTES)
        shown = f'"{name}" <{ring.number}>'
        # Pickup(101) finds what Dial() has made alone; Pickup(101@PICKUPMARK), FreePBX's **, ours as well.
        pickup = {"PICKUPMARK": ring.code} if ring.code and not ring.endpoint.startswith("Local/") else {}
        callers = {}
        if ring.inbound and ring.originator:
            callers = {**CALLER_WITHOUT_CODES, **({CUSTOMERS_NAME: name} if name else {})}
        try:
            await self._ari(
                "channels",
                "create",
                endpoint=ring.endpoint,
                app=self._app,
                appArgs="leg",
                channelId=ring.leg,
                variables={
                    "CONNECTEDLINE(all,i)": shown,
                    **pickup,
                    **callers,
                    **behind(ring.endpoint, inbound=ring.inbound),
                },
                **({"originator": ring.originator} if ring.originator else {}),
                **({"otherChannelId": ring.far_id} if ring.far_id else {}),
            )
        except PbxRefused as refusal:
            if refusal.status not in DONE_BEFORE:
                raise
            raise PbxUnknown(Way.ARI, f"{ring.leg} was made before, and may have come far") from refusal

    async def _listen(self, channel: str, recorder: str) -> None:
        try:
            await self._ari(
                "channels",
                "snoopChannelWithId",
                channelId=channel,
                snoopId=recorder,
                spy="both",
                app=self._app,
                appArgs="recorder",
            )
        except PbxRefused as refusal:
            if refusal.status not in DONE_BEFORE:
                raise
            raise PbxUnknown(Way.ARI, f"{recorder} was made before, and may be ready") from refusal

    async def _show(self, leg: str, caller: str) -> None:
        """A leg that is gone, or can't be told, shows what it shows: the call goes on all the same."""
        await self._set(leg, "CONNECTEDLINE(all)", caller)

    async def _pass_keys(self, bridge: str, channel: str, through: bool) -> None:
        """A channel that is in the bridge already leaves it for a moment and comes back."""
        arguments = {"absorbDTMF": str(not through).lower()}
        if self._ari.knows("bridges", "addChannel", INHIBIT):
            arguments[INHIBIT] = "true"
        await self._ari("bridges", "addChannel", bridgeId=bridge, channel=channel, **arguments)

    async def _send_on(self, send: o.SendToDialplan) -> None:
        """Send the caller through the context that sets the name, where the PBX has it for this place.

        We don't set it ourselves: a variable set by ARI bars ``DB()`` and others for the rest of the call.
        """
        place = (send.context, send.exten, send.priority)
        named = (named_context(self._app), named_exten(*place), 1)
        has_name, _ = await asyncio.gather(self._has(send.channel, *named), self.without_codes(send.channel))
        context, exten, priority = named if has_name else place
        await self._ari(
            "channels",
            "continueInDialplan",
            channelId=send.channel,
            context=context,
            extension=exten,
            priority=priority,
        )

    async def without_codes(self, channel: str) -> None:
        """Keep who is on a channel in the dialplan from its feature codes, whatever its options say.

        It must be so before the answer: a bridge learns the codes when it is entered.
        """
        await asyncio.gather(*(self._set(channel, *one) for one in CALLER_SENT_ON.items()))

    async def _set(self, channel: str, variable: str, value: str) -> None:
        """Let the PBX set a variable as it reads ``SET()``, if it can.

        It does so in another thread than the channel's: unlike a variable set by ARI that bars nothing.
        """
        with suppress(PbxRefused):
            await self._read(channel, f"SET({variable}={value})")

    async def _has(self, channel: str, context: str, exten: str, priority: int) -> bool:
        function = f"DIALPLAN_EXISTS({context},{exten},{priority})"
        try:
            found = await self._ari("channels", "getChannelVar", channelId=channel, variable=function)
        except PbxRefused:
            return False
        return bool(found["value"] == "1")

    async def _join(self, join: o.Join) -> None:
        """Put channels into the bridge, and let the phones show on what they show: else the name would go."""
        arguments = {"bridgeId": join.bridge, "channel": ",".join(join.channels)}
        if self._ari.knows("bridges", "addChannel", INHIBIT):
            await self._ari("bridges", "addChannel", **arguments, **{INHIBIT: "true"})
            return
        legs = [leg for leg in join.channels if leg.startswith(f"{self._app}-")]
        shown = await asyncio.gather(*(self._read(leg, "CONNECTEDLINE(all)") for leg in legs))
        await self._ari("bridges", "addChannel", **arguments)
        await asyncio.gather(*map(self._show_again, legs, shown))

    async def _show_again(self, leg: str, caller: str) -> None:
        # Behind a Local channel the dialplan is to know it, too: whoever is rung next is shown it.
        local = await self._read(leg, "CHANNEL(channeltype)") == "Local"
        variable = "CONNECTEDLINE(all)" if local else "CONNECTEDLINE(all,i)"
        await self._ari("channels", "setChannelVar", channelId=leg, variable=variable, value=caller)

    async def _read(self, channel: str, variable: str) -> str:
        found = await self._ari("channels", "getChannelVar", channelId=channel, variable=variable)
        return str(found["value"])

    async def _tolerating(
        self, statuses: frozenset[int], resource: str, operation: str, **arguments: object
    ) -> None:
        try:
            await self._ari(resource, operation, **arguments)
        except PbxRefused as refusal:
            if refusal.status not in statuses:
                raise
