"""«Пропущенные»: whom the shop owes a call, a line a customer; it is called back from here, or closed.

A record closes by itself when somebody has talked with the customer, wherever they called from.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

import structlog
from aiohttp import web

from ari_app.calls import LOST_SECONDS, Call, Ending
from ari_app.service.click_to_call import NotAllowed, NotPlaced, NoWay, TooMany
from ari_app.store.missed import MissedCustomer, Reason, Wanted
from cabinet.forms.call_filter import PERIODS, CallFilter
from cabinet.frame.language import KEPT_SECONDS
from cabinet.frame.people import names_of
from cabinet.frame.rendering import page
from cabinet.frame.visits import Form, Visit, form_of
from cabinet.pages.board import live_calls, talks

log = structlog.get_logger(__name__)

ON_A_PAGE = 25
LOOKED_AT = 2000
"""So many are looked at for one page; who wants to see others chooses a period."""
COOKIE = "extension"
"""Remembers from which extension the reader calls back."""
_MOST_PAGES = 10_000
_FILTERS = ("manager", "line", "period", "from", "to")


class View(StrEnum):
    """What is shown: who waits for a call, who has waited for more than a day, who was worked off."""

    WAITING = ""
    LOST = "lost"
    DONE = "done"


class Became(StrEnum):
    """What became of what the reader has asked for."""

    PLACED = "placed"
    BUSY = "busy"
    """Somebody is calling them already, or they call just now."""
    GONE = "gone"
    """They are worked off already."""
    NO_PBX = "no pbx"
    NOT_ALLOWED = "not allowed"
    TOO_MANY = "too many"
    NO_EXTENSION = "no extension"
    NOTED = "noted"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Shown:
    """A page of them. `more` tells that there are others behind, `gave_up` that not all were looked at."""

    customers: tuple[MissedCustomer, ...] = ()
    more: bool = False
    gave_up: bool = False


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show a page of them."""
    query = request.query
    view = _view(query.get("view", ""))
    wanted = CallFilter.read({name: query[name] for name in _FILTERS if name in query})
    number = query.get("page", "")
    skip = min(int(number), _MOST_PAGES) if number.isascii() and number.isdecimal() and len(number) < 7 else 0
    now = time.time()
    found = Shown()
    if not wanted.unreadable:
        found = await _find(visit, view, wanted, now, skip * ON_A_PAGE)
    became = query.get("became", "")
    return page(
        request,
        "missed.html",
        visit,
        view=view,
        views=tuple(View),
        found=found,
        wanted=wanted,
        number=skip,
        now=now,
        became=became if became in tuple(Became) else "",
        about=query.get("about", "")[:40],
        reason=query.get("why", "")[:40],
        under_way=_under_way(visit),
        talks=talks,
        names=await names_of(visit),
        codes=sorted(extension.code for extension in visit.account.extensions),
        lines=visit.account.numbers,
        own=_own_extension(request, visit),
        reasons=tuple(Reason),
        periods=PERIODS,
        here_with=lambda **more: _address(view, wanted, **more),
    )


async def call_back(request: web.Request, visit: Visit) -> web.Response:
    """Ring the reader's extension, and then the customer, unless somebody does so already."""
    form = await form_of(request)
    number, code = form.get("number", "")[:40], form.get("code", "").strip()[:40]
    customer = await visit.calls.missed.get(number)
    became, why = _place(visit, customer, code)
    if became is Became.PLACED:
        log.info("a missed customer is called back from the cabinet", account=visit.account.id, code=code)
    answer = _back(form, became, number, why)
    if code in visit.account.codes:
        answer.set_cookie(COOKIE, code, max_age=KEPT_SECONDS, path="/", httponly=True, samesite="Lax")
    return answer


def _place(visit: Visit, customer: MissedCustomer | None, code: str) -> tuple[Became, str]:
    """Place the call, without a pause between the look whether somebody is at it and that."""
    if customer is None:
        return Became.GONE, ""
    if visit.shop is None:
        return Became.NO_PBX, ""
    if code not in visit.account.codes:
        return Became.NO_EXTENSION, ""
    if customer.number in _under_way(visit):
        return Became.BUSY, ""
    try:
        visit.shop.clicks.place(code, "", customer.number, customer.line, known=True)
    except NotPlaced as refused:
        visit.shop.note_refused_click(code, refused)
        kinds = {NoWay: Became.NO_PBX, TooMany: Became.TOO_MANY}
        why = refused.reason if isinstance(refused, NotAllowed) else ""
        return kinds.get(type(refused), Became.NOT_ALLOWED), why
    return Became.PLACED, ""


async def close(request: web.Request, visit: Visit) -> web.Response:
    """Keep a note, or close it without a call; what was closed meanwhile stays as it is."""
    form = await form_of(request)
    number, opened = form.get("number", "")[:40], form.get("opened", "")[:80]
    note = " ".join(form.get("note", "").split())
    store, became = visit.calls.missed, Became.NOTED
    if form.get("do") == "close":
        reason = form.get("reason", "")
        if reason not in tuple(Reason):
            raise web.HTTPBadRequest
        by = _own_extension(request, visit)
        done, became = await store.close(number, opened, time.time(), Reason(reason), by, note), Became.CLOSED
    else:
        done = await store.note(number, opened, note)
    return _back(form, became if done else Became.GONE, number)


async def _find(visit: Visit, view: View, wanted: CallFilter, now: float, skip: int) -> Shown:
    since, until = wanted.span(visit.zone, now)
    day_ago = now - LOST_SECONDS
    if view is View.WAITING:
        since = max(since, math.nextafter(day_ago, math.inf))
    elif view is View.LOST:
        until = min(until, math.nextafter(day_ago, math.inf))
    customers, gave_up = await visit.calls.missed.find(
        is_open=view is not View.DONE,
        since=since,
        until=until,
        wanted=Wanted(wanted.manager, wanted.line),
        most=skip + ON_A_PAGE + 1,
        look_at=LOOKED_AT,
    )
    shown = tuple(customers[skip : skip + ON_A_PAGE])
    return Shown(shown, more=len(customers) > skip + ON_A_PAGE, gave_up=gave_up)


def _under_way(visit: Visit) -> Mapping[str, Call]:
    """Give the calls of who is on the line, or was just answered, by the customers' numbers."""
    calls = (call for call in live_calls(visit) if call.ending in (None, Ending.ANSWERED))
    return {call.number: call for call in calls if call.number is not None}


def _own_extension(request: web.Request, visit: Visit) -> str:
    code = request.cookies.get(COOKIE, "")
    return code if code in visit.account.codes else ""


def _view(text: str) -> View:
    return View(text) if text in tuple(View) else View.WAITING


def _address(view: View, wanted: CallFilter, **more: str) -> str:
    given = wanted.query(**({"view": view.value} if view else {}), **more)
    return f"/missed?{given}" if given else "/missed"


def _back(form: Form, became: Became, about: str, why: str = "") -> web.Response:
    """Go back to what was shown, and say there what became of it."""
    shown = {name: form.get(name, "")[:40] for name in _FILTERS}
    wanted, view = CallFilter.read({name: text for name, text in shown.items() if text}), form.get("view", "")
    said = {"became": became.value, "about": about} | ({"why": why} if why else {})
    address = _address(_view(view), wanted)
    joined = "&" if "?" in address else "?"
    return web.Response(status=303, headers={"Location": f"{address}{joined}{urlencode(said)}"})
