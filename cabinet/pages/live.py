"""«Звонки сейчас»: who talks with whom, for how long, and which step it is; it renews itself."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

from ari_app.calls.call import Call, LegState, Role
from ari_app.errors import StoreUnavailable
from cabinet.rendering import page, text_of
from cabinet.visits import Visit, find_visit, signed_in

LOOK_SECONDS = 0.5
"""How often the calls are looked at for something new."""
CHECK_SECONDS = 15.0
"""How often it is made sure that the reader is there and still signed in."""

CLOSING = web.AppKey("closing", asyncio.Event)


def add_routes(app: web.Application) -> None:
    """Let the page be reached; its stream ends when the service does."""
    app[CLOSING] = asyncio.Event()
    app.on_shutdown.append(_close)
    app.router.add_get("/live", signed_in(show))
    app.router.add_get("/live/calls", signed_in(stream), allow_head=False)


async def _close(app: web.Application) -> None:
    app[CLOSING].set()


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the calls of this moment."""
    return page(request, "live.html", visit, calls=_calls(visit), rung=rung)


async def stream(request: web.Request, visit: Visit) -> web.StreamResponse:
    """Send the list again whenever something in it has changed."""
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
        while not closing.is_set():
            listed = text_of(request, "parts/live_calls.html", visit, calls=_calls(visit), rung=rung)
            if listed != shown:
                shown = listed
                await response.write(_event(listed))
            if loop.time() > check_at:
                check_at = loop.time() + CHECK_SECONDS
                if await find_visit(request, again=True) is None:
                    break
                await response.write(b": still here\n\n")
            await _pause(closing)
    except (ClientConnectionResetError, StoreUnavailable):
        pass  # the reader is gone; or whether they are signed in can't be said, so their browser asks again
    return response


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


def rung(call: Call) -> str:
    """Name those whose phones ring."""
    waited_for = (leg.code or leg.target for leg in call.legs if leg.pending and leg.role is not Role.QUEUE)
    codes = [code for code in waited_for if code]
    if call.caller.state is LegState.RINGING and call.caller.code:
        codes.append(call.caller.code)
    return ", ".join(dict.fromkeys(codes))
