"""A call's orders, turned into ARI requests."""

from __future__ import annotations

from ari_app.asterisk.ari import Ari
from ari_app.asterisk.errors import AriRefused
from ari_app.calls import orders as o

GONE = frozenset({404})
DONE_BEFORE = frozenset({409})


class Actions:
    """Carries out orders at one PBX. Each names the refusals that mean that nothing is left to do."""

    def __init__(self, ari: Ari, stasis_app: str) -> None:
        self._ari = ari
        self._app = stasis_app

    async def carry_out(self, order: o.Order) -> None:
        """Carry one order out.

        Raises:
            AriRefused, AriUnknown, AriUnavailable: see `ari_app.asterisk.errors`.
        """
        ari = self._ari
        match order:
            case o.Watch(channel):
                await ari(
                    "applications", "subscribe", applicationName=self._app, eventSource=f"channel:{channel}"
                )
            case o.Ringback(channel):
                await ari("channels", "ring", channelId=channel)
            case o.OpenBridge(bridge):
                await self._tolerating(
                    DONE_BEFORE, "bridges", "createWithId", bridgeId=bridge, type="mixing,proxy_media"
                )
            case o.Ring():
                await self._ring(order)
            case o.Dial(leg, seconds):
                limit = {} if seconds is None else {"timeout": int(seconds)}
                await ari("channels", "dial", channelId=leg, **limit)
            case o.Join(bridge, channels):
                await ari(
                    "bridges",
                    "addChannel",
                    bridgeId=bridge,
                    channel=",".join(channels),
                    inhibitConnectedLineUpdates="true",  # else the phone shows the number, not the name
                )
            case o.Answer(channel):
                await ari("channels", "answer", channelId=channel)
            case o.HangUp(channel, reason):
                await ari("channels", "hangup", channelId=channel, reason=reason.value)
            case o.Record(bridge, name):
                await self._tolerating(
                    DONE_BEFORE,
                    "bridges",
                    "record",
                    bridgeId=bridge,
                    name=name,
                    format="wav",
                    ifExists="append",
                )
            case o.StopRecording(name):
                await ari("recordings", "stop", recordingName=name)
            case o.CloseBridge(bridge):
                await self._tolerating(GONE, "bridges", "destroy", bridgeId=bridge)
            case o.SendToDialplan(channel, context, exten, priority):
                await ari(
                    "channels",
                    "continueInDialplan",
                    channelId=channel,
                    context=context,
                    extension=exten,
                    priority=priority,
                )
            case _:
                raise TypeError(f"{type(order).__name__} is not an order for the PBX")

    async def _ring(self, ring: o.Ring) -> None:
        shown = f'"{ring.name}" <{ring.number}>'
        await self._tolerating(
            DONE_BEFORE,
            "channels",
            "create",
            endpoint=ring.endpoint,
            app=self._app,
            appArgs="leg",
            channelId=ring.leg,
            originator=ring.originator,
            variables={"CONNECTEDLINE(all,i)": shown},
            **({"otherChannelId": ring.far_id} if ring.far_id else {}),
        )

    async def _tolerating(
        self, statuses: frozenset[int], resource: str, operation: str, **arguments: object
    ) -> None:
        try:
            await self._ari(resource, operation, **arguments)
        except AriRefused as refusal:
            if refusal.status not in statuses:
                raise
