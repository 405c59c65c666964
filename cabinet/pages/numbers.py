"""«Внешние телефоны»: the shop's numbers, the CRM's shop of each, and the line of calls from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web
from pydantic import ValidationError

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.sections import ExternalPhone, is_shops_number
from ari_app.calls import e164
from cabinet.forms.rows import NotTaken, Row, put, read_row
from cabinet.frame.clients import SERVICE
from cabinet.frame.rendering import page
from cabinet.frame.visits import Form, Visit, form_of
from cabinet.pages.sure import ask_whether, is_sure

PATH = "/numbers"
MOST = 500
"""Numbers that an account may have."""
_LONGEST_SITE = 100
_TYPED = re.compile(r"[+0-9 ().\u00a0\u2010-\u2014-]+")


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the numbers."""
    return await _page(request, visit)


async def add(request: web.Request, visit: Visit) -> web.Response:
    """Add a number."""
    return await _change(request, visit, _read(await form_of(request), ""))


async def save(request: web.Request, visit: Visit) -> web.Response:
    """Change a number, or take it away."""
    sent, number = await form_of(request), request.match_info["number"]
    if "remove" in sent and not is_sure(sent):
        return ask_whether(request, visit, "number", number, PATH, sent)
    return await _change(request, visit, _read(sent, number))


async def _change(request: web.Request, visit: Visit, row: Row) -> web.Response:
    try:
        await put(request, visit.account.id, lambda now: _altered(now, row))
    except NotTaken as refused:
        return await _page(request, visit, refused.row)
    return web.Response(
        status=303, headers={"Location": f"{PATH}?saved={'removed' if row.remove else 'yes'}"}
    )


def _read(sent: Form, key: str) -> Row:
    row = read_row(sent, key, "number", "site", "outgoing")
    return row.with_texts(outgoing=row.texts["outgoing"].replace(" ", ""))


def _altered(now: RegisteredAccount, row: Row) -> RegisteredAccount:
    """Give the account with a number added, changed or taken away; raises `NotTaken`."""
    country = now.crm.country
    known = {e164(phone.number, country) or phone.number: phone for phone in now.external_phones}
    before = known.get(row.key)
    if row.key:
        if before is None and row.remove:
            return now
        if before is None:
            raise NotTaken(replace(row, key="").refused("gone"))
        if state_of(before) != row.was:
            raise NotTaken(row.refused("old"))
    if row.remove:
        del known[row.key]
        return _with(now, known)
    number = _checked(row, country)
    if number != row.key and number in known:
        raise NotTaken(replace(row, holder=known[number]).refused(number="twice"))
    if before is None and len(known) >= MOST:
        raise NotTaken(row.refused("many"))
    kept = before.number if before is not None and number == row.key else number
    phone = _phone(row, kept)
    if phone == before:
        return now
    changed = {(number if key == row.key else key): its for key, its in known.items()}
    return _with(now, changed | {number: phone})


def _checked(row: Row, country: str) -> str:
    """Give the number as E.164; raises `NotTaken`."""
    wrong: dict[str, str] = {}
    typed = row.texts["number"]
    number = e164(typed, country) or ""
    if not typed:
        wrong["number"] = "empty"
    elif not _TYPED.fullmatch(typed) or not is_shops_number(number):
        wrong["number"] = "number"
    if not row.texts["site"].isprintable() or len(row.texts["site"]) > _LONGEST_SITE:
        wrong["site"] = "bad"
    try:
        _phone(row, typed)
    except ValidationError:
        wrong["outgoing"] = "line"
    if wrong:
        raise NotTaken(row.refused(**wrong))
    return number


def _phone(row: Row, number: str) -> ExternalPhone:
    """Give it as it would be stored; ValidationError when the line can't be one."""
    site, outgoing = row.texts["site"], row.texts["outgoing"]
    return ExternalPhone(number=number, site=site or None, outgoing=outgoing or None)


def _with(now: RegisteredAccount, phones: Mapping[str, ExternalPhone]) -> RegisteredAccount:
    return now.altered(external_phones=tuple(phones.values()))


def state_of(phone: ExternalPhone) -> str:
    """Write what a form was filled from, so that another's change meanwhile is seen."""
    return f"{phone.site or ''}|{phone.outgoing or ''}"


async def _page(request: web.Request, visit: Visit, typed: Row | None = None) -> web.Response:
    account = await request.app[SERVICE].accounts.find(visit.account.id) or visit.account
    sites, fresh = await request.app[SERVICE].sites.of(account, visit.staff)
    offered = await visit.shop.directory.places() if visit.shop is not None else None
    phones = {
        e164(phone.number, account.crm.country) or phone.number: phone for phone in account.external_phones
    }
    return page(
        request,
        "numbers.html",
        visit,
        status=typed.status if typed else 200,
        phones=phones,
        sites=sites,
        fresh=fresh,
        typed=typed,
        editing=typed.key if typed else request.query.get("edit", ""),
        saved=request.query.get("saved", ""),
        state_of=state_of,
        usual=account.pbx.outgoing if account.pbx else "",
        lines=offered.lines if offered is not None else (),
        to_tell=await visit.staff.to_tell(),
        most=MOST,
    )
