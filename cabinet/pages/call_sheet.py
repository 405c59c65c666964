"""The call log as a table for Excel."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from aiohttp import ClientConnectionResetError, web

from ari_app.calls import Call, Direction, Ending, whole_seconds, whose
from cabinet.frame.language import Speech
from cabinet.pages.spreadsheet import BEGINNING, headers, line

_LINES_AT_ONCE = 200


async def send(
    request: web.Request, heading: list[str], lines: AsyncGenerator[list[str | int], None]
) -> web.StreamResponse:
    """Send the table piece by piece, as it may be long; whoever leaves meanwhile gets no more of it."""
    answer = web.StreamResponse(headers=headers("calls.csv"))
    async with aclosing(lines):
        first = await anext(lines, None)  # that Redis is away is said before the answer begins
        with suppress(ClientConnectionResetError):
            await answer.prepare(request)
            piece = [BEGINNING, line(heading)]
            if first is not None:
                piece.append(line(first))
            async for cells in lines:
                piece.append(line(cells))
                if len(piece) >= _LINES_AT_ONCE:
                    await answer.write(b"".join(piece))
                    piece.clear()
            await answer.write(b"".join(piece))
            await answer.write_eof()
    return answer


def heading(speech: Speech) -> list[str]:
    """Name the columns."""
    return [
        speech.gettext("When"),
        speech.gettext("Direction"),
        speech.gettext("Customer's number"),
        speech.gettext("Customer"),
        speech.gettext("Number of the shop"),
        speech.gettext("Extension"),
        speech.gettext("Manager"),
        speech.gettext("Result"),
        speech.gettext("Waited, seconds"),
        speech.gettext("Talked, seconds"),
        speech.gettext("Recording"),
        speech.gettext("Call"),
    ]


async def rows(
    calls: AsyncIterator[Call], speech: Speech, zone: ZoneInfo, names: Mapping[str, str], recordings_url: str
) -> AsyncGenerator[list[str | int], None]:
    """Write each call; moments in the account's time zone, numbers without a plus, as Excel leaves them."""
    async for call in calls:
        who = whose(call) or ""
        began = datetime.fromtimestamp(call.started_at, zone)
        yield [
            began.strftime("%Y-%m-%d %H:%M:%S"),
            _direction(call, speech),
            _digits(call.number),
            call.name or "",
            _digits(call.external),
            who,
            names.get(who, ""),
            _result(call, speech),
            whole_seconds(call.waiting),
            whole_seconds(call.talking),
            f"{recordings_url}/{call.recording.file}" if call.recording.file else "",
            call.id,
        ]


def _digits(number: str | None) -> str:
    text = (number or "").removeprefix("+")
    return text if text.isdecimal() else number or ""


def _direction(call: Call, speech: Speech) -> str:
    return speech.gettext("Incoming") if call.direction is Direction.IN else speech.gettext("Outgoing")


def _result(call: Call, speech: Speech) -> str:
    out = call.direction is Direction.OUT
    match call.ending:
        case Ending.ANSWERED:
            return speech.gettext("answered")
        case Ending.GAVE_UP if out:
            return speech.gettext("the manager gave up")
        case Ending.GAVE_UP:
            return speech.gettext("the customer gave up")
        case Ending.BUSY:
            return speech.gettext("busy")
        case Ending.NOT_ANSWERED:
            return speech.gettext("not answered")
        case Ending.NOT_PLACED:
            return speech.gettext("the manager was not reached")
        case Ending.FAILED:
            return speech.gettext("failed")
        case Ending.UNKNOWN:
            return speech.gettext("not known")
    return ""
