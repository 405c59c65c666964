"""The event stream of one PBX: opened, listened to, and opened again for ever.

Sooner at first and then every 15 s, or every 2 s when the PBX was there a moment ago.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol
from urllib.parse import quote, urlsplit

import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ari_app import figures
from ari_app.asterisk.ari import REQUEST_SECONDS
from ari_app.asterisk.errors import (
    PbxDenied,
    PbxError,
    PbxLost,
    PbxRefused,
    PbxTaken,
    PbxUnavailable,
    why,
)
from ari_app.asterisk.events import EVENT_TYPES, Heard, NewCaller, Replaced, read_event
from ari_app.asterisk.installations import Mark
from ari_app.asterisk.pbx import Pbx
from ari_app.asterisk.pbx_state import PbxState
from ari_app.asterisk.signs_of_life import PING_SECONDS, PONG_SECONDS, EventSocket, SignsOfLife
from ari_app.asterisk.socket_requests import ANSWER, SocketRequests
from ari_app.backoff import BackOff, spread
from ari_app.bounded import Allowance
from ari_app.calls import Way
from ari_app.clock import rest
from ari_app.failures import in_words
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


class EventStream:
    """What one PBX says: it goes to whoever listens."""

    def __init__(
        self,
        pbx: Pbx,
        mark: Mark | None = None,
        take: Callable[[], Awaitable[bool]] | None = None,
        events_a_second: int = EVENTS_A_SECOND,
    ) -> None:
        """Build it; `mark` keeps other installations away.

        `take` is asked before the event stream is opened, which takes it from whoever has it.
        """
        self._pbx = pbx
        self._mark = mark
        self._may_take = take
        self._allowance = Allowance(events_a_second, EVENTS_SECONDS)
        self.handed_over = False
        """Whether another process is to take the PBX over: then it is no trouble that it does."""
        self._raw: socket.socket | None = None
        self._heard_at = -A_MOMENT_SECONDS
        self._requests: SocketRequests | None = None
        """What is asked over the event socket, while there is one."""
        self._log = log.bind(account=pbx.account, pbx=pbx.target.url)

    async def run(self, ears: Ears) -> None:
        """Stay connected and say what happens, until cancelled or another process takes the application."""
        back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            await asyncio.sleep(self._pbx.passage.door.wait())
            try:
                await self._connect_and_listen(ears)
                back_off.well()
            except PbxDenied as error:
                self._pbx.has_trouble(PbxState.DENIED, str(error), why(error))
            except PbxTaken as error:
                self._pbx.has_trouble(PbxState.TAKEN, str(error), "held")
            except PbxLost as error:
                self._leave(ears, str(error))
            except (PbxError, OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                if self._pbx.connected:
                    back_off.well()
                self._pbx.has_trouble(PbxState.UNREACHABLE, _in_words(error), _why(error))
            if self._pbx.state is PbxState.REPLACED:
                return
            pause = back_off.pause()
            if time.monotonic() - self._heard_at < A_MOMENT_SECONDS or self._pbx.state is PbxState.TAKEN:
                pause = min(pause, SOON_SECONDS)
            await asyncio.sleep(spread(pause))

    def shut(self) -> None:
        """Shut the event stream, from any thread: the PBX then keeps its callers in the dialplan."""
        raw = self._raw
        if raw is not None:
            with suppress(OSError):  # it is closed already
                raw.shutdown(socket.SHUT_RDWR)

    async def _connect_and_listen(self, ears: Ears) -> None:
        target = self._pbx.target
        ari = await self._pbx.reach()
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
        self._pbx.time.connected()
        figures.PBX_CONNECTIONS.labels(self._pbx.account).inc()
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
                if self._pbx.connected:
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
        url = urlsplit(self._pbx.target.url)
        assert url.hostname is not None
        async with asyncio.timeout(OPEN_SECONDS):
            return await self._pbx.passage.reach.connect(url.hostname, url.port or 0)

    async def _introduce(self, socket: ClientConnection, ears: Ears) -> None:
        """Ask for the events that we need and find out what was missed."""
        try:
            info, *_ = await asyncio.gather(
                self._pbx.ari("asterisk", "getInfo", only="status"),
                self._pbx.ask_the_time(),
                self._set_up_the_socket(),
                self._pbx.look_who_rings(),
                *([self._mark.put(self._pbx.ari.transport)] if self._mark is not None else []),
            )
            await ears.connected(str(info["status"]["startup_time"]))
            await self._pbx.recordings.check_folder()
        except PbxLost as error:
            self._leave(ears, str(error))
            await socket.close()
            return
        except (PbxError, LookupError, TypeError, AttributeError) as error:
            self._log.warning("the PBX was not ready", problem=str(error) or type(error).__name__)
            await socket.close()
            return
        self._pbx.works()

    async def _set_up_the_socket(self) -> None:
        """Ask for the events that we need; and let requests go there, too, if this PBX answers them."""
        await self._filter_events()
        requests = self._requests
        if requests is None or not self._pbx.ari.by_socket:
            return
        try:
            if await requests.ask("GET", "asterisk/variable", {"variable": "EPOCH"}) is not None:
                self._pbx.ari.transport.socket = requests
        except OSError as error:
            self._log.info("the PBX answers nothing on the event socket", problem=str(error) or "no answer")

    async def _filter_events(self) -> None:
        body = orjson.dumps({"allowed": [{"type": kind} for kind in (*EVENT_TYPES, ANSWER)]})
        app = quote(self._pbx.target.stasis_app)
        await self._pbx.ari.transport.request(
            "PUT",
            f"/ari/applications/{app}/eventFilter",
            data=body,
        )

    async def _make_rounds(self, socket: ClientConnection, ears: Ears) -> None:
        """Follow the PBX's clock, and renew our mark; when another has put its own, leave the PBX to it."""
        pause = ROUND_SECONDS
        while True:
            await rest(pause)
            try:
                now = await self._pbx.ask_the_time()
                if self._mark is not None:
                    await self._mark.put(self._pbx.ari.transport, now=now)
                pause = ROUND_SECONDS
            except PbxTaken as error:
                self._pbx.has_trouble(PbxState.TAKEN, str(error), "held")
                await socket.close()
                return
            except PbxLost as error:
                self._leave(ears, str(error))
                await socket.close()
                return
            except PbxError as error:
                self._log.debug("the mark on the PBX could not be renewed", problem=str(error))
                pause = AGAIN_SECONDS

    async def _listen(self, socket: ClientConnection, ears: Ears) -> None:
        heard = 0
        async for message in socket:
            heard += self._hear(message, ears)
            if self._pbx.state is PbxState.REPLACED:
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
            begin(event["type"], self._pbx.account)
            if event["type"] == ANSWER:
                return self._requests is None or not self._requests.answered(event)
            at = self._pbx.time.moment(event.get("timestamp"))
            signal = read_event(event, at, self._pbx.ids, self._pbx.extensions)
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
        if self._pbx.state is PbxState.REPLACED:
            return
        if self.handed_over:
            self._log.info("the PBX is the next holder's")
        else:
            self._log.error(f"{problem}; it is left to it")
        self._pbx.is_left(problem)
        ears.replaced()


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
