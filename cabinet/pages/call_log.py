"""CallLog: the calls that are over, the newest first; each opens its timeline."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from aiohttp import web

from ari_app.calls.call import Call
from ari_app.calls.orders import Tell, TellHangup, TellRinging
from ari_app.journal import CrmTold, Line
from ari_app.numbers import e164
from ari_app.timeline import Sentence, tell
from cabinet.rendering import page
from cabinet.visits import Visit, signed_in

ON_A_PAGE = 50
LAST_PAGE = 10_000
_REPEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """Something that the CRM was told, refused to hear, or is still to be told; `at` is when, in seconds."""

    tell: Tell
    at: float | None = None
    problem: str | None = None

    @property
    def kind(self) -> str:
        """``ringing``, ``hangup`` or ``result``."""
        if isinstance(self.tell, TellRinging):
            return "ringing"
        return "hangup" if isinstance(self.tell, TellHangup) else "result"


def add_routes(app: web.Application) -> None:
    """Let the log and its calls be reached."""
    app.router.add_get("/calls", signed_in(show))
    app.router.add_get("/calls/{id}", signed_in(show_one))


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show a page of the log, all or of one number."""
    asked = request.query.get("number", "").strip()[:40]
    number = e164(asked, visit.account.crm.country) if asked else None
    at = _page_number(request.query.get("page", ""))
    calls: list[Call] = []
    if number is not None or not asked:
        calls = await visit.calls.ended(ON_A_PAGE + 1, (at - 1) * ON_A_PAGE, number)
    part = request.headers.get("HX-Request") == "true" and "HX-History-Restore-Request" not in request.headers
    return page(
        request,
        "parts/calls.html" if part else "calls.html",
        visit,
        calls=calls[:ON_A_PAGE],
        more=len(calls) > ON_A_PAGE,
        at=at,
        asked=asked,
        unreadable=bool(asked) and number is None,
    )


async def show_one(request: web.Request, visit: Visit) -> web.Response:
    """Show what happened to a call, what the CRM was told, and let the recording be heard."""
    call = await visit.calls.get(request.match_info["id"])
    if call is None:
        raise web.HTTPNotFound
    journal = await visit.calls.journal(call.id)
    waiting = [Told(entry.tell) for entry in await visit.calls.outbox() if entry.call == call.id]
    return page(
        request,
        "call.html",
        visit,
        call=call,
        sentences=_sentences(journal, call),
        told=[*(Told(e.tell, e.at, e.problem) for line in journal if (e := _told(line))), *waiting],
    )


def _told(line: Line) -> CrmTold | None:
    return line.event if isinstance(line.event, CrmTold) else None


def _sentences(journal: list[Line], call: Call) -> list[Sentence]:
    """Tell the call; what is said twice within a second, as of both halves of a channel, is said once."""
    said = [sentence for line in journal if not _told(line) for sentence in tell(line, call)]
    again = {
        id(later)
        for sooner, later in pairwise(said)
        if later.text == sooner.text and later.at - sooner.at < _REPEAT_SECONDS
    }
    return [sentence for sentence in said if id(sentence) not in again]


def _page_number(text: str) -> int:
    return min(max(1, int(text)), LAST_PAGE) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
