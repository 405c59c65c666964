"""``GET /api/calls``: the call log, for a shop's own programs and for readers of the cabinet."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from ari_app.calls import Call, Leg, is_extension, whole_seconds, whose
from ari_app.store.reading import Place
from ari_app.store.tokens import Tokens
from cabinet.api.answers import Wrong, refusal
from cabinet.forms.call_filter import DIRECTIONS, PERIODS, RESULTS, CallFilter, find
from cabinet.frame.clients import SERVICE
from cabinet.frame.people import names_of
from cabinet.frame.visits import Visit, find_visit, visit_to

MOST, USUAL = 200, 50
"""So many calls an answer holds, and so many if it isn't said."""

_NUMBER = re.compile(r"\+?[ (]*[0-9][0-9 ()-]*[0-9]")
_WORDS = {"result": RESULTS, "direction": DIRECTIONS, "period": PERIODS}


async def answer(request: web.Request) -> web.Response:
    """Give a page of calls, the newest first."""
    visit = await _who_asks(request)
    if visit is None:
        no = refusal(401, "Expected a token of the account's (Authorization: Bearer), or a session.")
        no.headers["WWW-Authenticate"] = "Bearer"
        return no
    wanted, number, behind, most = _asked(request.query, visit)
    span = wanted.span(visit.zone, time.time())
    found = await find(visit.calls, wanted, span, number, most, behind)
    url, names = request.config_dict[SERVICE].settings.recordings_url, await names_of(visit)
    return web.json_response(
        {
            "success": True,
            "calls": [as_data(call, visit.zone, names, url) for call in found.calls],
            "next": str(found.behind) if found.behind else None,
        }
    )


async def _who_asks(request: web.Request) -> Visit | None:
    """Find the account: a token decides if one is given, right or wrong."""
    given = request.headers.get("Authorization")
    if given is None:
        return await find_visit(request)
    kind, _, token = given.partition(" ")
    service = request.config_dict[SERVICE]
    account = await Tokens(service.redis).find(token.strip()) if kind.lower() == "bearer" else None
    return await visit_to(service, account) if account is not None else None


def _asked(query: Mapping[str, str], visit: Visit) -> tuple[CallFilter, str | None, Place | None, int]:
    for name, words in _WORDS.items():
        if query.get(name, "") not in words:
            raise Wrong(name, f"expected {', '.join(filter(None, words))}, or nothing")
    wanted = CallFilter.read(query)
    if wanted.unreadable:
        name = "to" if wanted.unreadable == "order" else wanted.unreadable
        raise Wrong(name, "expected a day, YYYY-MM-DD, and the last one not before the first")
    number = wanted.number_in(visit.account.crm.country)
    if wanted.number and (number is None or _NUMBER.fullmatch(wanted.number) is None):
        raise Wrong("number", "expected a phone number")
    if wanted.manager and not is_extension(wanted.manager):
        raise Wrong("manager", "expected an extension, of digits, * and #")
    limit = query.get("limit", "") or str(USUAL)
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 4 and 1 <= int(limit) <= MOST):
        raise Wrong("limit", f"expected a number from 1 to {MOST}")
    cursor = query.get("cursor", "")
    behind = Place.read(cursor)
    if cursor and behind is None:
        raise Wrong("cursor", "expected what an answer before gave as next")
    return wanted, number, behind, int(limit)


def as_data(call: Call, zone: ZoneInfo, names: Mapping[str, str], recordings_url: str) -> dict[str, Any]:
    """Write a call: its start with the account's time zone, durations in whole seconds."""
    who, file = whose(call), call.recording.file
    return {
        "id": call.id,
        "startedAt": datetime.fromtimestamp(call.started_at, zone).isoformat(timespec="seconds"),
        "direction": call.direction.value,
        "number": call.number,
        "name": call.name,
        "shopNumber": call.external,
        "result": call.ending.value if call.ending else None,
        "manager": who,
        "managerName": names.get(who) if who else None,
        "waiting": whole_seconds(call.waiting),
        "talking": whole_seconds(call.talking),
        "recording": f"{recordings_url}/{file}" if file else None,
        "legs": [_leg(leg) for leg in call.legs],
    }


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "role": leg.role.value,
        "code": leg.code,
        "target": leg.target,
        "result": leg.result.value if leg.result else None,
        "waiting": whole_seconds(leg.waiting),
        "talking": whole_seconds(leg.talking),
    }
