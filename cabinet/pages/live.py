"""«Звонки сейчас»: who talks with whom, for how long, and which step it is; it renews itself."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

from ari_app.calls import HangUpAsked
from ari_app.errors import StoreUnavailable
from cabinet.frame.clients import SERVICE
from cabinet.frame.people import names_of
from cabinet.frame.proxies import address_of
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit, find_visit, form_of
from cabinet.pages.board import Board, Boards, live_calls, may_end, shown, talks

log = structlog.get_logger(__name__)

THERE_SECONDS = 1.0
"""How often it is looked whether the reader is still there, which asks nobody anything."""
CHECK_SECONDS = 15.0
"""How often it is made sure that the reader can be reached and is still signed in."""

MOST_STREAMS = 30
"""So many lists that renew themselves an account may have open at once."""
WRITE_SECONDS = 20.0
"""How long it may take to send something; a reader who doesn't take it by then is not there."""

BOARDS = web.AppKey("boards", Boards)


def set_up(app: web.Application) -> None:
    """Prepare for readers of the page; its stream ends when the service does."""
    app[BOARDS] = Boards(app[SERVICE])
    app.on_shutdown.append(_close)


async def _close(app: web.Application) -> None:
    app[BOARDS].close()


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the calls of this moment; after one was asked to end, what became of that."""
    became = request.query.get("hung-up", "")
    return page(request, "live.html", visit, became=became, **await shown(visit))


async def hang_up(request: web.Request, visit: Visit) -> web.Response:
    """End a call, when it is sure that this is wanted: a page without JavaScript asks once more."""
    form = await form_of(request)
    call = next((call for call in live_calls(visit) if call.id == form.get("call")), None)
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
    with request.app[BOARDS].reader_of(visit.account.id, MOST_STREAMS) as board:
        return await _stream(request, board, visit)


async def _stream(request: web.Request, board: Board, visit: Visit) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    service, held = request.app[SERVICE], visit.shop is not None

    def at_work() -> bool:
        return visit.account.id in service.shops  # where it has moved to, the reader's browser finds out

    boards, loop = request.app[BOARDS], asyncio.get_running_loop()
    sent, check_at = "", loop.time() + CHECK_SECONDS
    try:
        while not boards.closed and request.transport is not None and at_work() is held:
            listed = await board.list_for(request)
            if listed is None:
                break
            if listed.text != sent:
                sent = listed.text
                await _send(response, _event(sent))
            if loop.time() > check_at:
                check_at = loop.time() + CHECK_SECONDS
                if await find_visit(request, again=True) is None:
                    break
                await _send(response, b": still here\n\n")
            await board.changed(listed, THERE_SECONDS)
    except (ClientConnectionResetError, TimeoutError, StoreUnavailable):
        pass  # the reader is gone; or whether they are signed in can't be said, so their browser asks again
    return response


async def _send(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(text)


def _event(text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines() if line.strip())
    return f"event: calls\n{lines}\n".encode()
