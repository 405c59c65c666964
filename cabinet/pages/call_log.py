"""CallLog: the calls that are over, the newest first; each opens its timeline."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from ari_app.calls import Call, CrmTold, JournalLine, Leg, Role, whose
from ari_app.store.reading import Place
from ari_app.timeline.timeline import Sentence, narrate
from cabinet.forms.call_filter import DIRECTIONS, PERIODS, RESULTS, CallFilter, Found, find, find_all
from cabinet.frame.clients import SERVICE
from cabinet.frame.language import chosen
from cabinet.frame.people import names_of
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit
from cabinet.pages import call_sheet
from cabinet.pages.telling import Told, named, with_names

ON_A_PAGE = 50
_REPEAT_SECONDS = 1.0
_UNFIT = re.compile(r"[^\w +().-]+")
"""What a file's name can't have everywhere."""


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show a page of the log, of all calls or of those that are wanted."""
    wanted = CallFilter.read(request.query)
    behind = Place.read(request.query.get("behind", ""))
    number = wanted.number_in(visit.account.crm.country)
    unreadable = "number" if wanted.number and number is None else wanted.unreadable
    found = Found()
    if not unreadable:
        span = wanted.span(visit.zone, time.time())
        found = await find(visit.calls, wanted, span, number, ON_A_PAGE, behind)
    part = request.headers.get("HX-Request") == "true" and "HX-History-Restore-Request" not in request.headers
    answer = page(
        request,
        "parts/calls.html" if part else "calls.html",
        visit,
        found=found,
        wanted=wanted,
        later=behind is not None,
        unreadable=unreadable,
        names=await names_of(visit),
        **_choices(visit),
    )
    if part:
        query = wanted.query(**{"behind": str(behind)} if behind else {})
        answer.headers["HX-Push-Url"] = f"/calls?{query}" if query else "/calls"
    return answer


def _choices(visit: Visit) -> dict[str, Any]:
    return {
        "codes": sorted(extension.code for extension in visit.account.extensions),
        "lines": visit.account.numbers,
        "periods": PERIODS,
        "results": RESULTS,
        "directions": DIRECTIONS,
        "whose": whose,
    }


async def save(request: web.Request, visit: Visit) -> web.StreamResponse:
    """Give all calls that are wanted as a table, the newest first."""
    wanted = CallFilter.read(request.query)
    number = wanted.number_in(visit.account.crm.country)
    if wanted.unreadable or (wanted.number and number is None):
        raise web.HTTPBadRequest
    calls = find_all(visit.calls, wanted, wanted.span(visit.zone, time.time()), number)
    speech, names = chosen(request), await names_of(visit)
    url = request.app[SERVICE].settings.recordings_url
    return await call_sheet.send(
        request,
        call_sheet.heading(speech),
        call_sheet.rows(calls, speech, visit.zone, names, url),
    )


async def show_one(request: web.Request, visit: Visit) -> web.Response:
    """Show what happened to a call, what the CRM was told, and let the recording be heard."""
    call = await visit.calls.get(request.match_info["id"])
    if call is None:
        raise web.HTTPNotFound
    journal = await visit.calls.journal(call.id)
    outbox = [entry for entry in await visit.calls.outbox.read() if entry.call == call.id]
    waiting = [Told(entry.tell) for entry in outbox if entry.tell is not None]
    names = await names_of(visit)
    return page(
        request,
        "call.html",
        visit,
        call=call,
        legs=_rung(call),
        whose=whose(call),
        names=names,
        with_names=with_names,
        told_names=lambda codes: ", ".join(named(code, names) for code in codes),
        wanted=CallFilter.read(request.query),
        download=_download(call, names, visit.zone),
        sentences=_sentences(journal, call),
        told=[*(Told(e.tell, e.at, e.problem) for line in journal if (e := _told(line))), *waiting],
    )


def _download(call: Call, names: Mapping[str, str], zone: ZoneInfo) -> str:
    """Name a recording's file for people: date, number, manager."""
    when = datetime.fromtimestamp(call.started_at, zone).strftime("%Y-%m-%d %H-%M-%S")
    who = whose(call) or ""
    parts = (when, call.number or "", names.get(who, who))
    name = " ".join(part for part in parts if part)
    suffix = call.recording.file.rpartition(".")[2] if call.recording.file else ""
    return f"{_UNFIT.sub('-', name)}.{suffix}"


def _rung(call: Call) -> list[Leg]:
    """Give those whose phones rang; who was rung for a transfer is named once, not again as their phone."""
    handed_to = {leg.code or leg.target for leg in call.legs if leg.role is Role.TARGET}
    rang = [leg for leg in call.legs if leg.began_at is not None and (leg.rang or leg.answered_at)]
    return [leg for leg in rang if leg.role is not Role.MEMBER or leg.code not in handed_to]


def _told(line: JournalLine) -> CrmTold | None:
    return line.event if isinstance(line.event, CrmTold) else None


def _sentences(journal: list[JournalLine], call: Call) -> list[Sentence]:
    """Tell the call; what is said twice within a second, as of both halves of a channel, is said once."""
    said = [sentence for line in journal if not _told(line) for sentence in narrate(line, call)]
    again = {
        id(later)
        for sooner, later in pairwise(said)
        if later.text == sooner.text and later.at - sooner.at < _REPEAT_SECONDS
    }
    return [sentence for sentence in said if id(sentence) not in again]
