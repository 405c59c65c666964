"""``GET /api/manager``: who calls, and which extension is responsible. A caller waits for the answer."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from ari_app.calls import CustomerFound, clean_name, tellable, with_prefix, written
from ari_app.service.shop import Shop
from cabinet.api.answers import NotAdmitted, UnknownClient, Wrong
from cabinet.api.fields import Fields
from cabinet.frame.clients import NotReady, Unknown, shop_for
from cabinet.frame.proxies import address_of

CRM_SECONDS = 1.7
"""How long the CRM is waited for; the answer is due within 2 s, on a busy machine too."""


async def answer(request: web.Request) -> web.Response:
    """Answer as JSON, or as text that a dialplan splits at its comma."""
    fields = Fields()
    try:
        fields.add(request.query.items())
        name, code = await _who(request, fields)
    except Wrong as wrong:
        if _wants_text(request):
            return web.Response(status=wrong.status, text="")
        raise
    if fields.text("type").lower() == "text":
        return web.Response(text=f"{for_array(name)},{code}")
    return web.json_response({"result": {"callerId": name, "phone": code}})


def _wants_text(request: web.Request) -> bool:
    return any(kind.strip(" \"'").lower() == "text" for kind in request.query.getall("type", []))


async def _who(request: web.Request, fields: Fields) -> tuple[str, str]:
    shop: Shop | None = None
    try:
        shop = await shop_for(request, fields.text("clientId"))
    except Unknown:
        raise UnknownClient from None
    except NotReady:  # the service has only just started: nobody knows anybody yet, and a caller waits
        pass
    if shop is not None and not shop.dialplan_access.admits(address_of(request)):
        raise NotAdmitted
    fields.required("type", "phone")
    fields.one_of("type", "json", "text")
    phone = fields.phone("phone")
    if shop is None:
        return _unknown(phone), ""
    if fields.may_have_lost_plus("phone") and shop.desk.normal_form(phone) == f"+{phone}":
        phone = f"+{phone}"
    found = await _ask(shop, phone, "ignoreStatus" in fields)
    if found is not None and (name := clean_name(found.name)):
        return with_prefix(shop.policy.caller_name_prefix, name), found.responsible or ""
    code = (found.responsible if found is not None else None) or ""
    if "ignoreBlankCaller" in fields or shop.policy.blank_unknown_caller:
        return "", code
    return _unknown(phone), code


def _unknown(phone: str) -> str:
    """Show the number, without the address or the name in which it was given."""
    if set(phone) & set("<:@"):
        phone = written(phone) or ""
    return clean_name(phone) or ""


async def _ask(shop: Shop, phone: str, ignore_status: bool) -> CustomerFound | None:
    """Ask the CRM; None for a number that it doesn't know, and when it says nothing in time."""
    number = tellable(shop.desk.normal_form(phone))
    if number is None or not shop.dialplan_access.may_look_up(number):
        return None
    ignore = ignore_status or shop.policy.ignore_manager_status
    try:
        async with asyncio.timeout(CRM_SECONDS + 0.1):
            found = await shop.desk.look_up_for_others(number, CRM_SECONDS, ignore)
    except TimeoutError:
        return None
    return found if isinstance(found, CustomerFound) else None


def for_array(name: str) -> str:
    """Make a name fit for ``Set(ARRAY(a,b)=name,code)``: there an open bracket hides the comma behind it."""
    plain = re.sub(r"[,\"`$\\\s]+", " ", name)
    if not _closed(plain, "()") or not _closed(plain, "[]"):
        plain = re.sub(r"[()\[\]]", " ", plain)
    return " ".join(plain.split())


def _closed(text: str, pair: str) -> bool:
    depth = 0
    for char in text:
        depth += (char == pair[0]) - (char == pair[1])
        if depth < 0:
            return False
    return depth == 0
