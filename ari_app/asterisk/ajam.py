"""AJAM, the second way to place a call: Asterisk's manager interface (AMI) through HTTP.

Two sessions: one for actions and one for events, because an action ends the waiting for events in its own
session. A session that is over is opened again, and what was asked is asked again: the PBX did nothing then.
An action whose answer was lost is never repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator

import aiohttp
import structlog

from ari_app.asterisk.ajam_session import AjamSession
from ari_app.asterisk.ajam_wire import (
    REQUEST_SECONDS,
    AjamChannel,
    AjamEvent,
    AjamTarget,
    Answer,
    Field,
    Wire,
    check,
    quoted,
    read_channels,
)
from ari_app.asterisk.errors import PbxDenied, PbxError, PbxRefused, PbxUnavailable, PbxUnknown, why
from ari_app.asterisk.feature_codes import NO_FEATURE_CODES
from ari_app.asterisk.pbx_state import PbxState
from ari_app.asterisk.places import Places, read_places
from ari_app.backoff import BackOff
from ari_app.calls import Way

__all__ = ["Ajam", "AjamChannel", "AjamEvent", "AjamTarget"]

log = structlog.get_logger(__name__)

WAIT_SECONDS = 20
"""How long the PBX may keep us waiting for an event."""
SHORTEST_WAIT_SECONDS = 0.1
"""A busy PBX, and one whose sessions are short, answers at once for ever: it isn't asked more often."""
AT_A_TIME = 50
"""So many events are dealt with before others have their turn."""
PING_SECONDS = 30.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 15.0
DENIED_RETRY_SECONDS = 300.0
"""Failed log-ins are what PBXs ban addresses for, five in ten minutes as a rule."""

_NEEDED = {"Originate": "originate", "CoreShowChannels": "reporting"}
"""The actions that we can't do without, and the right (manager.conf: write) that each needs."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,149}")


class Ajam:
    """The AJAM of one PBX. `session` keeps no cookies (`aiohttp.DummyCookieJar`)."""

    def __init__(
        self,
        target: AjamTarget,
        session: aiohttp.ClientSession,
        account: str,
        clock: Callable[[], float] = time.time,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self.target = target
        self.state = PbxState.CONNECTING
        self.problem: str | None = None
        self.why = ""
        """What kind of trouble there is (`ari_app.asterisk.errors.why`); empty while there is none."""
        self.since = clock()
        self._clock = clock
        self._log = log.bind(account=account, ajam=target.url)
        wire = Wire(session, target.url, request_seconds)
        self._actions = AjamSession(wire, target, _NEEDED)
        self._events = AjamSession(wire, target)
        self._listener: object | None = None
        self._broken = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Whether an action may work: True unless the last thing known is that it doesn't."""
        return self.state in (PbxState.CONNECTING, PbxState.CONNECTED)

    async def run(self) -> None:
        """Keep `state` known until cancelled."""
        back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            with contextlib.suppress(PbxError):
                await self._act("Ping")
            self._broken.clear()
            pause = PING_SECONDS
            if self.state is PbxState.DENIED:
                pause = DENIED_RETRY_SECONDS
            elif not self.usable:
                pause = back_off.pause()
            else:
                back_off.well()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._broken.wait()

    def look_again(self) -> None:
        """Find out now whether AJAM works: there is reason to doubt it."""
        self._broken.set()

    # -- actions ------------------------------------------------------------------------------------------

    async def originate(
        self,
        *,
        channel_id: str,
        channel: str,
        caller_name: str,
        caller_number: str,
        context: str,
        exten: str,
        priority: int,
        ring_seconds: float,
        other_channel_id: str | None = None,
    ) -> None:
        """Ring a phone, which shows name and number; when it answers, it goes into the dialplan.

        The name travels as the connected line: by ``CallerID`` it would also become who calls the customer.
        That the PBX accepts it doesn't say that the phone can be reached.

        Raises:
            ValueError: a value that can't be sent.
            PbxError: `PbxRefused` when context, extension and priority lead nowhere.
        """
        ids = {"channelid": channel_id, "otherchannelid": other_channel_id}
        fields = [
            ("channel", _not_empty("channel", channel)),
            ("context", _not_empty("context", context)),
            ("exten", _not_empty("exten", exten)),
            ("priority", str(priority)),
            ("timeout", str(max(1, round(ring_seconds * 1000)))),
            ("async", "true"),
            *((name, _checked_id(ident)) for name, ident in ids.items() if ident is not None),
            ("variable", f"CONNECTEDLINE(name,i)={quoted(caller_name)}"),
            ("variable", f"CONNECTEDLINE(num,i)={quoted(caller_number)}"),
            *(("variable", f"{name}={value}") for name, value in NO_FEATURE_CODES.items()),
        ]
        check(fields)
        with self._noting_trouble():
            await self._actions.open()
        await self._prick_up_ears()
        await self._act("Originate", *fields)

    async def hang_up(self, channel_id: str) -> None:
        """Hang up a channel; one that is gone counts as hung up.

        Raises:
            ValueError: it is no channel's id.
            PbxError: `PbxRefused` when the user may not, which is so without the right ``call``.
        """
        try:
            await self._act("Hangup", ("channel", _checked_id(channel_id)), ("cause", "16"))
        except PbxRefused as refusal:
            if refusal.said != "No such channel":
                raise

    async def channels(self) -> list[AjamChannel]:
        """List all channels of the PBX.

        Raises:
            PbxError: AJAM does not answer, or not to us.
        """
        answer = await self._act("CoreShowChannels")
        try:
            return read_channels(answer)
        except ValueError as error:
            raise PbxUnknown(Way.AJAM, str(error)) from error

    async def places(self, stasis_app: str) -> Places:
        """Find the places of the dialplan to which calls may be led, those of our application left out.

        That the PBX doesn't show them, or too many, says nothing of whether AJAM works.

        Raises:
            PbxError: `PbxRefused` when the user may not see the dialplan.
        """
        with self._noting_trouble():
            await self._actions.open()
        dialplan = await self._actions.send([("action", "ShowDialPlan")])
        if dialplan.refused:
            raise PbxRefused(Way.AJAM, dialplan.message, action="ShowDialPlan")
        queues = await self._actions.send([("action", "QueueSummary")])  # refused where nothing has a queue
        return await asyncio.to_thread(read_places, dialplan.events, queues.events, stasis_app)

    # -- events -------------------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[AjamEvent]:
        """Give what happens on the PBX, as far as the user may hear it, until somebody else listens.

        While the PBX is away there are no events, and it is tried again and again.
        """
        self._listener = me = object()
        back_off = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        try:
            while self._listener is me:
                began = time.monotonic()
                try:
                    heard = await self._wait_for_events()
                except PbxError:
                    await asyncio.sleep(back_off.pause())
                    continue
                back_off.well()
                for number, event in enumerate(heard, 1):
                    yield event
                    if number % AT_A_TIME == 0:
                        await asyncio.sleep(0)  # other accounts have their turn
                await asyncio.sleep(max(0.0, SHORTEST_WAIT_SECONDS - (time.monotonic() - began)))
        finally:
            if self._listener is me:
                self._listener = None
                self._events.leave()

    async def _wait_for_events(self) -> list[AjamEvent]:
        wait = [("action", "WaitEvent"), ("timeout", str(WAIT_SECONDS))]
        answer = await self._events.send(wait, WAIT_SECONDS)
        if answer.refused:
            raise PbxRefused(Way.AJAM, answer.message, action="WaitEvent")
        return [event for event in answer.events if event.name != "WaitEventComplete"]

    async def _prick_up_ears(self) -> None:
        """Open the session for events now: it then has all that happens from now on, whenever it is asked."""
        if self._listener is None:
            self._events.leave()
        if not self._events.opened:
            with contextlib.suppress(PbxError):  # a call without events is better than none
                await self._events.open()

    # -- how it stands ------------------------------------------------------------------------------------

    async def _act(self, action: str, *fields: Field) -> Answer:
        """Carry an action out.

        Raises:
            PbxError: the action was refused, not carried out, or its answer was lost.
        """
        with self._noting_trouble():
            answer = await self._actions.send([("action", action), *fields])
        self._note_well()
        if answer.not_permitted:
            problem = f"{answer.message}: the user lacks the right (manager.conf: write)"
            raise PbxRefused(Way.AJAM, problem, action=action)
        if answer.refused:
            raise PbxRefused(Way.AJAM, answer.message, action=action)
        return answer

    @contextlib.contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        try:
            yield
        except PbxDenied as error:
            self._note(PbxState.DENIED, str(error), why(error))
            raise
        except (PbxUnavailable, PbxUnknown) as error:
            self._note(PbxState.UNREACHABLE, str(error), why(error))
            raise

    def _note(self, state: PbxState, problem: str, why: str) -> None:
        if self.state is not state:
            self._log.warning("AJAM does not work", state=state.value, problem=problem)
            self.since = self._clock()
            if state is PbxState.UNREACHABLE:
                self._broken.set()
        self.state, self.problem, self.why = state, problem, why

    def _note_well(self) -> None:
        if self.state is not PbxState.CONNECTED:
            self._log.info("AJAM works", after=self.problem)
            self.state, self.problem, self.since = PbxState.CONNECTED, None, self._clock()
            self.why = ""


def _checked_id(ident: str) -> str:
    """Let only ids through: between slashes, AMI takes a pattern for many channels."""
    if not _ID.fullmatch(ident):
        raise ValueError(f"no channel's id: {ident!r}")
    return ident


def _not_empty(name: str, value: str) -> str:
    if not value:
        raise ValueError(f"{name} is empty")
    return value
