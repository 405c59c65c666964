"""«Звонки сейчас»: who talks with whom, for how long, and which step it is; it renews itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

from ari_app.calls.call import Call, Direction, LegState, Role, Stage, Way
from ari_app.calls.happenings import HangUpAsked
from ari_app.errors import StoreUnavailable
from cabinet.frame.people import names_of
from cabinet.frame.rendering import page, text_of
from cabinet.frame.security import address_of
from cabinet.frame.visits import Visit, find_visit, form_of

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
"""How often the calls are looked at for something new."""
CHECK_SECONDS = 15.0
"""How often it is made sure that the reader is there and still signed in."""

MOST_STREAMS = 30
"""So many lists that renew themselves an account may have open at once."""
WRITE_SECONDS = 20.0
"""How long it may take to send something; who doesn't read it by then is not there."""

REPORTED_SECONDS = 2 * 3600.0
"""So long a reported call is shown whose end isn't; a dialplan may never report it."""

_NOT_NAMED = (Role.QUEUE, Role.CUSTOMER)

CLOSING = web.AppKey("closing", asyncio.Event)
STREAMS = web.AppKey("streams", Counter[str])


def set_up(app: web.Application) -> None:
    """Prepare for readers of the page; its stream ends when the service does."""
    app[CLOSING] = asyncio.Event()
    app[STREAMS] = Counter()
    app.on_shutdown.append(_close)


async def _close(app: web.Application) -> None:
    app[CLOSING].set()


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the calls of this moment; after one was asked to end, what became of that."""
    became = request.query.get("hung-up", "")
    return page(request, "live.html", visit, became=became, **await _shown(visit, await names_of(visit)))


async def hang_up(request: web.Request, visit: Visit) -> web.Response:
    """End a call, when it is sure that this is wanted: a page without JavaScript asks once more."""
    form = await form_of(request)
    call = next((call for call in _calls(visit) if call.id == form.get("call")), None)
    if visit.shop is None or call is None or not may_end(call):
        raise web.HTTPSeeOther("/live?hung-up=gone")
    if form.get("sure") != "yes":
        return page(request, "hang_up.html", visit, call=call, talks=talks, names=await names_of(visit))
    line, address = visit.shop.line, address_of(request)
    line.put(call.id, HangUpAsked(line.clock(), address))
    log.info("a call is ended from the cabinet", account=visit.account.id, call=call.id, by=address)
    raise web.HTTPSeeOther("/live?hung-up=yes")


async def stream(request: web.Request, visit: Visit) -> web.StreamResponse:
    """Send the list again whenever something in it has changed."""
    with _one_of(request.app[STREAMS], visit.account.id):
        return await _stream(request, visit)


@contextmanager
def _one_of(streams: Counter[str], account: str) -> Iterator[None]:
    """Count a stream while it is open.

    Raises:
        HTTPTooManyRequests
    """
    if streams[account] >= MOST_STREAMS:
        raise web.HTTPTooManyRequests
    streams[account] += 1
    try:
        yield
    finally:
        streams[account] -= 1
        if not streams[account]:
            del streams[account]


async def _stream(request: web.Request, visit: Visit) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    closing, loop = request.app[CLOSING], asyncio.get_running_loop()
    shown, check_at = "", loop.time() + CHECK_SECONDS
    try:
        names = await names_of(visit)
        while not closing.is_set() and request.transport is not None:
            listed = text_of(request, "parts/live_calls.html", visit, **await _shown(visit, names))
            if listed != shown:
                shown = listed
                await _send(response, _event(listed))
            if loop.time() > check_at:
                check_at = loop.time() + CHECK_SECONDS
                now = await find_visit(request, again=True)
                if now is None:
                    break
                visit, names = now, await names_of(now)
                await _send(response, b": still here\n\n")
            await _pause(closing)
    except (ClientConnectionResetError, TimeoutError, StoreUnavailable):
        pass  # the reader is gone; or whether they are signed in can't be said, so their browser asks again
    return response


async def _send(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(text)


async def _pause(closing: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await closing.wait()
    except TimeoutError:
        pass


def _event(text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines() if line.strip())
    return f"event: calls\n{lines}\n".encode()


def _calls(visit: Visit) -> list[Call]:
    """Give the live calls, the newest first."""
    calls = visit.shop.line.calls if visit.shop else ()
    return sorted((call for call in calls if not call.over), key=lambda call: -call.started_at)


async def _reported(visit: Visit) -> list[Call]:
    """Give the calls that a dialplan of the shop's own has reported, and no end of them yet."""
    earliest = time.time() - REPORTED_SECONDS
    calls = await visit.calls.reported()
    return [call for call in calls if call.ending is None and call.started_at > earliest]


async def _shown(visit: Visit, names: Mapping[str, str]) -> dict[str, Any]:
    calls = sorted((*_calls(visit), *await _reported(visit)), key=lambda call: -call.started_at)
    return {"calls": calls, "names": names, "talks": talks, "rung": rung, "may_end": may_end}


def may_end(call: Call) -> bool:
    """Tell whether a call can be ended from here: not what AJAM has placed, whose user may not hang up."""
    return call.way is Way.ARI and call.ending is None


def talks(call: Call) -> str | None:
    """Name who has the call now: who talks, or the manager who makes it."""
    if call.stage is Stage.TALKING and call.talker:
        return call.talker
    return call.caller.code if call.direction is Direction.OUT else None


def rung(call: Call) -> list[str]:
    """Name those whose phones ring, by their extensions or what was dialled."""
    waited_for = (leg.code or leg.target for leg in call.legs if leg.pending and leg.role not in _NOT_NAMED)
    codes = [code for code in waited_for if code]
    if call.way is Way.REPORTED:
        codes.extend(call.told)
    if call.caller.state is LegState.RINGING and call.caller.code and call.stage is Stage.CALLING:
        codes.append(call.caller.code)
    return list(dict.fromkeys(codes))
