"""One PBX: how the connection stands, what is asked of it, and what it says is true.

One line in the log says what is wrong, one when it is back.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from ari_app.accounts.dialplan_names import ring_context
from ari_app.accounts.owners import Owners
from ari_app.accounts.sections import PbxSettings
from ari_app.asterisk.actions import Actions
from ari_app.asterisk.ari import Ari
from ari_app.asterisk.errors import PbxRefused, PbxUnavailable, PbxUnknown
from ari_app.asterisk.events import Extensions, Ids
from ari_app.asterisk.pbx_clock import PbxClock
from ari_app.asterisk.pbx_state import PbxState
from ari_app.asterisk.snapshot import Snapshot
from ari_app.asterisk.stored_recordings import StoredRecordings
from ari_app.calls import Order, Way
from ari_app.network.reach import Passage

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PbxTarget:
    """Where a PBX is and how it lets us in. `url` ends with a slash, such as ``http://pbx:8088/asterisk/``."""

    url: str
    username: str
    password: str
    stasis_app: str
    channel_format: str

    @classmethod
    def of(cls, pbx: PbxSettings) -> PbxTarget:
        """Give the one that an account's settings name."""
        password = pbx.ari_password.get_secret_value()
        return cls(pbx.ari_url, pbx.ari_username, password, pbx.stasis_app, pbx.channel_format)


class Pbx:
    """One PBX. Who is to hear it keeps an `EventStream` of it; others may ask it without."""

    def __init__(
        self,
        target: PbxTarget,
        passage: Passage,
        account: str,
        clock: Callable[[], float] = time.time,
        owners: Callable[[], Owners] | None = None,
        ours: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Build it; `ours` is asked before each request."""
        self.target = target
        self._ours = ours
        self.ids = Ids(target.stasis_app)
        self.state = PbxState.CONNECTING
        self.problem: str | None = None
        self.why = ""
        """What kind of trouble there is (`ari_app.asterisk.errors.why`); empty while there is none."""
        self.since = clock()
        self.extensions = Extensions(target.channel_format, owners)
        self.rings_people = False
        """Whether the dialplan has the context that rings people as FreePBX would (`ring_context`)."""
        self.passage = passage
        self.account = account
        self._clock = clock
        self.time = PbxClock(clock)
        self._log = log.bind(account=account, pbx=target.url)
        self._ari: Ari | None = None
        self.recordings = StoredRecordings(self.ids, lambda: self.ari, self._log)
        self._taking: asyncio.Task[Snapshot] | None = None
        self._next: asyncio.Task[Snapshot] | None = None

    @property
    def connected(self) -> bool:
        """Whether events are heard."""
        return self.state is PbxState.CONNECTED

    @property
    def ari(self) -> Ari:
        """The REST interface.

        Raises:
            PbxUnavailable: the PBX was not reached yet.
        """
        if self._ari is None:
            raise PbxUnavailable(Way.ARI, self.problem or "not connected yet")
        return self._ari

    async def reach(self) -> Ari:
        """Give the REST interface; who hears no events needs no more.

        Raises:
            PbxError: the PBX can't be reached, or doesn't let us in.
        """
        if self._ari is None:
            target, session = self.target, self.passage.session
            account, ours = self.account, self._ours
            self._ari = await Ari.open(session, target.url, target.username, target.password, ours, account)
        return self._ari

    def works(self) -> None:
        """Take note that we are connected."""
        if not self.connected:
            self._log.info("the PBX is connected", after=self.problem)
        self.state, self.problem, self.since, self.why = PbxState.CONNECTED, None, self._clock(), ""

    def has_trouble(self, state: PbxState, problem: str, why: str) -> None:
        """Take note that we are not connected."""
        if self.state is PbxState.REPLACED:
            return  # what comes after it is its consequence
        if self.state is not state or self.problem != problem:
            self._log.warning("the PBX is not connected", state=state.value, problem=problem)
            self.since = self._clock()
        self.state, self.problem, self.why = state, problem, why

    def is_left(self, problem: str) -> None:
        """Take note that the PBX is another's."""
        self.state, self.since, self.problem = PbxState.REPLACED, self._clock(), problem
        self.why = "replaced"

    # -- what it is asked ---------------------------------------------------------------------------------

    async def carry_out(self, order: Order) -> None:
        """Carry out an order; raises as `Actions.carry_out` does."""
        actions = Actions(self.ari, self.target.stasis_app, freepbx=self.rings_people)
        await actions.carry_out(order)

    async def without_codes(self, channel: str) -> None:
        """Keep who is on a channel in the dialplan from its feature codes; raises as `carry_out` does."""
        await Actions(self.ari, self.target.stasis_app).without_codes(channel)

    async def ask_the_time(self) -> float | None:
        """Ask what the PBX's clock shows; one before 16.2 can't be asked (None), and its events say enough.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        asked = self.time.asking()
        with suppress(PbxRefused, LookupError, TypeError, ValueError, AttributeError):
            return self.time.answered(asked, (await self.ari("asterisk", "ping"))["timestamp"])
        return None

    async def look_who_rings(self) -> None:
        """Find out whether the PBX has the context that rings people; where it can't say, it has none.

        Raises:
            PbxError: the PBX does not answer.
        """
        self.rings_people = await self.has_place(ring_context(self.target.stasis_app), "101")

    async def has_place(self, context: str, exten: str) -> bool:
        """Tell whether the dialplan has a place; where the PBX can't say, it hasn't.

        Only a channel can be asked: one is made for it, and never dialled.

        Raises:
            PbxError: the PBX does not answer.
        """
        ident = self.ids.new_leg()
        try:
            await self.ari(
                "channels",
                "create",
                endpoint=f"Local/{exten}@{context}",
                app=self.target.stasis_app,
                channelId=ident,
            )
            function = f"DIALPLAN_EXISTS({context},{exten},1)"
            said = await self.ari("channels", "getChannelVar", channelId=ident, variable=function)
            return bool(said["value"] == "1")
        except PbxRefused:
            return False
        finally:
            with suppress(PbxRefused):
                await self.ari("channels", "hangup", channelId=ident)

    # -- what is true -------------------------------------------------------------------------------------

    async def snapshot(self) -> Snapshot:
        """Ask what exists, now or a little later; questions at the same time share one answer.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._take(self._taking))
            # whoever has asked may be gone when it fails
            self._next.add_done_callback(lambda taken: taken.cancelled() or taken.exception())
        return await asyncio.shield(self._next)

    async def _take(self, before: asyncio.Task[Snapshot] | None) -> Snapshot:
        if before is not None:
            await asyncio.wait([before])
        taking = self._taking = self._next
        self._next = None
        try:
            return await self._look()
        finally:
            if self._taking is taking:
                self._taking = None  # with a thousand calls it is megabytes, and nobody looks at it any more

    async def _look(self) -> Snapshot:
        channels = await self.ari("channels", "list")
        bridges = await self.ari("bridges", "list")
        try:
            return Snapshot(
                {channel["id"]: channel for channel in channels},
                {bridge["id"]: tuple(bridge["channels"]) for bridge in bridges},
                frozenset(bridge["id"] for bridge in bridges if bridge["bridge_type"] == "holding"),
                self.extensions,
            )
        except (LookupError, TypeError) as error:
            raise PbxUnknown(Way.ARI, "the PBX's list of channels or bridges can't be read") from error

    def began(self, channel: dict[str, Any]) -> float:
        """Say when a channel began that ARI describes; now, when that can't be read."""
        return self.time.past(channel.get("creationtime"))

    async def talk_of(self, channel: str) -> tuple[float | None, float | None]:
        """Say when a channel was answered, and when the other one left it; none where the PBX doesn't know.

        The second is right only of the older one of two who talked.

        Raises:
            PbxError: the PBX does not answer.
        """
        answered_at, left_at = await asyncio.gather(
            self._noted(channel, "CDR(answer,u)"), self._noted(channel, "CDR(end,u)")
        )
        return answered_at, left_at

    async def _noted(self, channel: str, variable: str) -> float | None:
        """Read a moment off the PBX's own record of a channel; zero stands for one that hasn't come."""
        with suppress(PbxRefused, LookupError, TypeError, ValueError):
            found = await self.ari("channels", "getChannelVar", channelId=channel, variable=variable)
            moment = float(found["value"])
            return self.time.back(moment) if moment > 0 and math.isfinite(moment) else None
        return None
