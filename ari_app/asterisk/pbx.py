"""One PBX: its event stream, its REST interface, and what it says is true.

The connection is made again for ever, sooner at first and then every 15 s, or every 2 s when the PBX was
there a moment ago; one line in the log says what is wrong, one when it is back.
"""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ari_app import figures
from ari_app.accounts.dialplan_names import ring_context
from ari_app.accounts.owners import Owners
from ari_app.accounts.sections import PbxSettings
from ari_app.asterisk.actions import Actions
from ari_app.asterisk.ari import REQUEST_SECONDS, Ari
from ari_app.asterisk.errors import (
    PbxDenied,
    PbxError,
    PbxLost,
    PbxRefused,
    PbxTaken,
    PbxUnavailable,
    PbxUnknown,
    why,
)
from ari_app.asterisk.events import (
    EVENT_TYPES,
    Extensions,
    Heard,
    Ids,
    NewCaller,
    Replaced,
    read_event,
)
from ari_app.asterisk.installations import Mark
from ari_app.asterisk.pbx_clock import PbxClock
from ari_app.asterisk.signs_of_life import PING_SECONDS, PONG_SECONDS, EventSocket, SignsOfLife
from ari_app.asterisk.snapshot import Snapshot
from ari_app.asterisk.socket_requests import ANSWER, SocketRequests
from ari_app.asterisk.stored_recordings import StoredRecordings
from ari_app.backoff import BackOff, spread
from ari_app.bounded import Allowance
from ari_app.calls import Order, Way
from ari_app.clock import rest
from ari_app.failures import in_words
from ari_app.network.reach import Passage
from ari_app.steps import begin

log = structlog.get_logger(__name__)

OPEN_SECONDS = 5.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.2, 15.0
SOON_SECONDS, A_MOMENT_SECONDS = 2.0, 300.0
"""The longest pause before a PBX is tried again that was connected so shortly ago."""
ROUND_SECONDS, AGAIN_SECONDS = 10.0, 2.0
"""How often the PBX is asked the time and our mark there is renewed, and how soon again when that failed.

A mark is fresh for 30 s: two may fail.
"""
LONGEST_EVENT = 256 * 1024
"""Bytes; Asterisk's own are below 10 000."""
EVENTS_A_SECOND, EVENTS_SECONDS = 500, 60.0
"""So many events a second, held over so long, are read as they come; further ones wait."""
AT_A_TIME = 50
"""So many events are read before others have their turn."""


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


class PbxState(StrEnum):
    """How the connection stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    DENIED = "denied"
    REPLACED = "taken over by another process"
    TAKEN = "held by another installation"


class Ears(Protocol):
    """The listener to a PBX. The first four must not block: they are called by the socket's reader."""

    def heard(self, heard: Heard) -> None:
        """Something happened to a channel or recording."""

    def arrived(self, caller: NewCaller, at: float) -> None:
        """A caller is here."""

    def lost(self, unnoticed: float) -> None:
        """The event stream has broken off, at most so many seconds ago: what happens now is not heard."""

    def replaced(self) -> None:
        """Another process has taken the application over: nothing is ours any more."""

    async def connected(self, startup: str) -> None:
        """The event stream is there (again). `startup` is when the PBX was started, in its own words."""


class Pbx:
    """The connection to one PBX."""

    def __init__(
        self,
        target: PbxTarget,
        passage: Passage,
        account: str,
        clock: Callable[[], float] = time.time,
        owners: Callable[[], Owners] | None = None,
        ours: Callable[[], Awaitable[bool]] | None = None,
        mark: Mark | None = None,
        take: Callable[[], Awaitable[bool]] | None = None,
        events_a_second: int = EVENTS_A_SECOND,
    ) -> None:
        """Build it; `ours` is asked before each request, `mark` keeps other installations away.

        `take` is asked before the event stream is opened, which takes it from whoever has it.
        """
        self._may_take = take
        self._allowance = Allowance(events_a_second, EVENTS_SECONDS)
        self.handed_over = False
        """Whether another process is to take the PBX over: then it is no trouble that it does."""
        self.target = target
        self._ours = ours
        self._mark = mark
        self._raw: socket.socket | None = None
        self._heard_at = -A_MOMENT_SECONDS
        self.ids = Ids(target.stasis_app)
        self.state = PbxState.CONNECTING
        self.problem: str | None = None
        self.why = ""
        """What kind of trouble there is (`ari_app.asterisk.errors.why`); empty while there is none."""
        self.since = clock()
        self.extensions = Extensions(target.channel_format, owners)
        self.rings_people = False
        """Whether the dialplan has the context that rings people as FreePBX would (`ring_context`)."""
        self._passage = passage
        self._account = account
        self._clock = clock
        self._time = PbxClock(clock)
        self._log = log.bind(account=account, pbx=target.url)
        self._ari: Ari | None = None
        self.recordings = StoredRecordings(self.ids, lambda: self.ari, self._log)
        self._requests: SocketRequests | None = None
        """What is asked over the event socket, while there is one."""
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

    async def carry_out(self, order: Order) -> None:
        """Carry out an order; raises as `Actions.carry_out` does."""
        actions = Actions(self.ari, self.target.stasis_app, freepbx=self.rings_people)
        await actions.carry_out(order)

    async def without_codes(self, channel: str) -> None:
        """Keep who is on a channel in the dialplan from its feature codes; raises as `carry_out` does."""
        await Actions(self.ari, self.target.stasis_app).without_codes(channel)

    # -- the connection -----------------------------------------------------------------------------------

    async def run(self, ears: Ears) -> None:
        """Stay connected and say what happens, until cancelled or another process takes the application."""
        back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            await asyncio.sleep(self._passage.door.wait())
            try:
                await self._connect_and_listen(ears)
                back_off.well()
            except PbxDenied as error:
                self._trouble(PbxState.DENIED, str(error), why(error))
            except PbxTaken as error:
                self._trouble(PbxState.TAKEN, str(error), "held")
            except PbxLost as error:
                self._leave(ears, str(error))
            except (PbxError, OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                if self.connected:
                    back_off.well()
                self._trouble(PbxState.UNREACHABLE, _in_words(error), _why(error))
            if self.state is PbxState.REPLACED:
                return
            pause = back_off.pause()
            if time.monotonic() - self._heard_at < A_MOMENT_SECONDS or self.state is PbxState.TAKEN:
                pause = min(pause, SOON_SECONDS)
            await asyncio.sleep(spread(pause))

    def shut(self) -> None:
        """Shut the event stream, from any thread: the PBX then keeps its callers in the dialplan."""
        raw = self._raw
        if raw is not None:
            with suppress(OSError):  # it is closed already
                raw.shutdown(socket.SHUT_RDWR)

    async def reach(self) -> Ari:
        """Give the REST interface; who hears no events needs no more.

        Raises:
            PbxError: the PBX can't be reached, or doesn't let us in.
        """
        if self._ari is None:
            target, session = self.target, self._passage.session
            account, ours = self._account, self._ours
            self._ari = await Ari.open(session, target.url, target.username, target.password, ours, account)
        return self._ari

    async def _connect_and_listen(self, ears: Ears) -> None:
        target = self.target
        ari = await self.reach()
        if self._mark is not None:
            await self._mark.put(ari.transport)
        if self._may_take is not None and not await self._may_take():
            raise PbxUnavailable(Way.ARI, "another copy of the service holds the account")
        url = f"ws{target.url.removeprefix('http')}ari/events?app={quote(target.stasis_app)}"
        try:
            self._raw = await self._wire()
            socket = await _Connect(
                url,
                sock=self._raw,
                additional_headers={"Authorization": ari.transport.authorization},
                compression=None,
                max_size=LONGEST_EVENT,
                open_timeout=OPEN_SECONDS,
                ping_interval=None,
                create_connection=EventSocket,
                close_timeout=1.0,
                proxy=None,
            )
        except InvalidStatus as error:
            if error.response.status_code in (401, 403):
                raise PbxDenied(
                    Way.ARI, f"the PBX answers {error.response.status_code} to user and password"
                ) from error
            raise
        assert isinstance(socket, EventSocket)
        self._time.connected()
        figures.PBX_CONNECTIONS.labels(self._account).inc()
        requests = self._requests = SocketRequests(socket, REQUEST_SECONDS)
        async with socket:
            listening = SignsOfLife.here().watching(socket, PONG_SECONDS)
            beside = [
                asyncio.create_task(self._introduce(socket, ears)),
                asyncio.create_task(self._make_rounds(socket, ears)),
            ]
            unnoticed = 0.0
            try:
                with listening:
                    await self._listen(socket, ears)
            except ConnectionClosed as closed:
                if socket.silent or (closed.rcvd is None and closed.sent is not None):  # it was we who closed
                    unnoticed = PING_SECONDS + PONG_SECONDS
                raise
            finally:
                self._raw = self._requests = ari.transport.socket = None
                for task in beside:
                    task.cancel()
                if self.connected:
                    self._heard_at = time.monotonic()
                ears.lost(unnoticed)
                requests.lost()
                await asyncio.gather(*beside, return_exceptions=True)
        raise PbxUnavailable(Way.ARI, "the PBX has closed the event stream")

    async def _wire(self) -> socket.socket:
        """Connect to the PBX, at an address where it may be.

        Raises:
            OSError, TimeoutError: nobody takes the connection, or its address is not allowed.
        """
        url = urlsplit(self.target.url)
        assert url.hostname is not None
        async with asyncio.timeout(OPEN_SECONDS):
            return await self._passage.reach.connect(url.hostname, url.port or 0)

    async def _introduce(self, socket: ClientConnection, ears: Ears) -> None:
        """Ask for the events that we need and find out what was missed."""
        try:
            info, *_ = await asyncio.gather(
                self.ari("asterisk", "getInfo", only="status"),
                self._ask_the_time(),
                self._set_up_the_socket(),
                self.look_who_rings(),
                *([self._mark.put(self.ari.transport)] if self._mark is not None else []),
            )
            await ears.connected(str(info["status"]["startup_time"]))
            await self.recordings.check_folder()
        except PbxLost as error:
            self._leave(ears, str(error))
            await socket.close()
            return
        except (PbxError, LookupError, TypeError, AttributeError) as error:
            self._log.warning("the PBX was not ready", problem=str(error) or type(error).__name__)
            await socket.close()
            return
        if self.state is not PbxState.CONNECTED:
            self._log.info("the PBX is connected", after=self.problem)
        self.state, self.problem, self.since = PbxState.CONNECTED, None, self._clock()
        self.why = ""

    async def _set_up_the_socket(self) -> None:
        """Ask for the events that we need; and let requests go there, too, if this PBX answers them."""
        await self._filter_events()
        requests = self._requests
        if requests is None or not self.ari.by_socket:
            return
        try:
            if await requests.ask("GET", "asterisk/variable", {"variable": "EPOCH"}) is not None:
                self.ari.transport.socket = requests
        except OSError as error:
            self._log.info("the PBX answers nothing on the event socket", problem=str(error) or "no answer")

    async def _ask_the_time(self) -> float | None:
        """Ask what the PBX's clock shows; one before 16.2 can't be asked (None), and its events say enough.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        asked = self._time.asking()
        with suppress(PbxRefused, LookupError, TypeError, ValueError, AttributeError):
            return self._time.answered(asked, (await self.ari("asterisk", "ping"))["timestamp"])
        return None

    async def _make_rounds(self, socket: ClientConnection, ears: Ears) -> None:
        """Follow the PBX's clock, and renew our mark; when another has put its own, leave the PBX to it."""
        pause = ROUND_SECONDS
        while True:
            await rest(pause)
            try:
                now = await self._ask_the_time()
                if self._mark is not None:
                    await self._mark.put(self.ari.transport, now=now)
                pause = ROUND_SECONDS
            except PbxTaken as error:
                self._trouble(PbxState.TAKEN, str(error), "held")
                await socket.close()
                return
            except PbxLost as error:
                self._leave(ears, str(error))
                await socket.close()
                return
            except PbxError as error:
                self._log.debug("the mark on the PBX could not be renewed", problem=str(error))
                pause = AGAIN_SECONDS

    async def _filter_events(self) -> None:
        body = orjson.dumps({"allowed": [{"type": kind} for kind in (*EVENT_TYPES, ANSWER)]})
        app = quote(self.target.stasis_app)
        await self.ari.transport.request(
            "PUT",
            f"/ari/applications/{app}/eventFilter",
            data=body,
        )

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

    async def _listen(self, socket: ClientConnection, ears: Ears) -> None:
        heard = 0
        async for message in socket:
            heard += self._hear(message, ears)
            if self.state is PbxState.REPLACED:
                return
            if heard == AT_A_TIME:
                heard = 0
                await self._give_way()

    async def _give_way(self) -> None:
        """Let others have their turn; and longer, when the PBX says more than it may."""
        wait, first = self._allowance.take(AT_A_TIME)
        if first:
            self._log.warning(
                "the PBX sends more events than it may: they are heard late",
                a_second=self._allowance.a_second,
            )
        if self._requests is not None:
            self._requests.late = wait > 0
        await asyncio.sleep(wait)

    def _hear(self, message: str | bytes, ears: Ears) -> bool:
        """Take what the PBX says; False when it is an answer for which we have waited."""
        try:
            event = orjson.loads(message)
            begin(event["type"], self._account)
            if event["type"] == ANSWER:
                return self._requests is None or not self._requests.answered(event)
            at = self._time.moment(event.get("timestamp"))
            signal = read_event(event, at, self.ids, self.extensions)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self._log.warning("an event could not be read", problem=repr(error))
            self._log.debug("the event that could not be read", said=message[:300])
            return True
        match signal:
            case Heard():
                ears.heard(signal)
            case NewCaller():
                ears.arrived(signal, at)
            case Replaced():
                self._leave(ears, "another process has taken this Stasis application over")
        return True

    def _leave(self, ears: Ears, problem: str) -> None:
        """Leave the PBX to whoever has it now."""
        if self.state is PbxState.REPLACED:
            return
        if self.handed_over:
            self._log.info("the PBX is the next holder's")
        else:
            self._log.error(f"{problem}; it is left to it")
        self.state, self.since, self.problem = PbxState.REPLACED, self._clock(), problem
        self.why = "replaced"
        ears.replaced()

    def _trouble(self, state: PbxState, problem: str, why: str) -> None:
        if self.state is PbxState.REPLACED:
            return  # what comes after it is its consequence
        if self.state is not state or self.problem != problem:
            self._log.warning("the PBX is not connected", state=state.value, problem=problem)
            self.since = self._clock()
        self.state, self.problem, self.why = state, problem, why

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
        return self._time.past(channel.get("creationtime"))

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
            return self._time.back(moment) if moment > 0 and math.isfinite(moment) else None
        return None


class _Connect(connect):
    """A connection that goes where it is told, and not on to where a redirect leads."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect for a failure."""
        return exc


def _in_words(error: BaseException) -> str:
    if isinstance(error, InvalidStatus) and error.response.status_code == 404:
        return "the PBX has no ARI at this address: check http_prefix, and that res_ari is loaded"
    if isinstance(error, PbxRefused) and error.status == 404:
        return "the PBX has no ARI at this address: check http_prefix, and that ari.conf has enabled=yes"
    if isinstance(error, TimeoutError):
        return "the PBX does not answer"
    if isinstance(error, ConnectionClosed):
        return "the PBX has broken off the event stream"
    if isinstance(error, OSError):
        return in_words(error)
    return str(error) or type(error).__name__


def _why(error: BaseException) -> str:
    match error:
        case InvalidStatus():
            return "absent"
        case ConnectionClosed():
            return "silent"
        case _:
            return why(error)
