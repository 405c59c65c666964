"""«Внутренние телефоны»: the CRM's users, their extensions, who is busy and whose phone is registered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from pydantic import ValidationError

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.extensions import recoded, with_everybody
from ari_app.accounts.sections import ExtensionOf
from ari_app.accounts.staff import Person, matched
from ari_app.asterisk.phones import Endpoints, state_of
from ari_app.calls import is_persons
from ari_app.control.busy import kept_busy
from ari_app.service.shop import Shop
from cabinet.forms.rows import NotTaken, Row, put, read_row
from cabinet.frame.clients import SERVICE
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit, form_of
from cabinet.pages.sure import ask_whether, is_sure

PATH = "/extensions"
MORE = ("devices", "mobile")
"""What an employee's form has beside the extension: their other telephones."""
ROWS = 100
"""Employees on a page."""
_LONGEST = 100
"""Characters that are read of what is typed."""
_MOST_FREE = 200
"""Extensions of the PBX that are offered."""


@dataclass(frozen=True, slots=True)
class Employee:
    """An employee."""

    id: int
    name: str | None
    person: Person | None
    """None for an employee of whom only the extension is known."""
    code: str
    """The extension, empty for an employee who has none."""
    status: str
    """talking, or as the CRM says: free, busy, dinner, break; not known; empty when nothing is said."""
    phone: str
    """online, offline, missing (the PBX doesn't know it), or empty when it isn't known."""
    devices: str = ""
    """Other endpoints that are theirs."""
    mobile: str = ""

    @property
    def works(self) -> bool:
        """Whether they are in the CRM and not blocked."""
        return self.person is None or self.person.works


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show everybody."""
    return await _page(request, visit)


async def synchronise(request: web.Request, visit: Visit) -> web.Response:
    """Begin to ask the CRM for its users, and go to the page that shows how far it is."""
    await form_of(request)
    await request.app[SERVICE].synchronising.begin(visit.account.id)
    return web.Response(status=303, headers={"Location": PATH})


async def progress(request: web.Request, visit: Visit) -> web.Response:
    """Show how far it is."""
    if request.headers.get("HX-Request") != "true":
        raise web.HTTPSeeOther(PATH)
    sync = await request.app[SERVICE].synchronising.of(visit.account.id)
    names = {one.id: one.name for one in (await visit.staff.people()).values()}
    return page(request, "parts/synchronisation.html", visit, sync=sync, names=names, came=True)


async def match(request: web.Request, visit: Visit) -> web.Response:
    """Give each employee without an extension the one that stands in the CRM as their telephone."""
    await form_of(request)
    people = (await visit.staff.people()).values()
    known = await visit.shop.directory.telephones() if visit.shop else None
    given: list[int] = []

    def alter(now: RegisteredAccount) -> RegisteredAccount:
        pairs = _matched(now, people, known)
        given[:] = pairs
        if not pairs:
            return now
        new = (ExtensionOf(user_id=user, code=code) for user, code in pairs.items())
        extensions = [one.model_dump() for one in (*now.extensions, *new)]
        return with_everybody(now, now.altered(extensions=extensions))

    await put(request, visit.account.id, alter)
    query = urlencode({"matched": len(given)})
    return web.Response(status=303, headers={"Location": f"{PATH}?{query}"})


def _matched(account: RegisteredAccount, people: Iterable[Person], known: Endpoints | None) -> dict[int, str]:
    """Say who is given which extension in one press; nobody while the PBX isn't heard."""
    return matched(people, account.extensions, free_at_pbx(account, known)) if known is not None else {}


async def save(request: web.Request, visit: Visit) -> web.Response:
    """Give an employee another extension, or take it away."""
    sent, user = await form_of(request), int(request.match_info["user"])
    if user not in await visit.staff.people() and user not in _codes(visit.account):
        raise web.HTTPNotFound
    if "remove" in sent and not is_sure(sent) and user in _codes(visit.account):
        return ask_whether(request, visit, "extension", _codes(visit.account)[user], PATH, sent)
    row = read_row(sent, str(user), "code", *(name for name in MORE if name in sent))
    try:
        await put(request, visit.account.id, lambda now: _altered(now, user, row))
    except NotTaken as refused:
        stored = await request.app[SERVICE].accounts.find(visit.account.id)
        code = _codes(stored or visit.account).get(user, "")
        shown = replace(refused.row, was=code)
        return await _page(request, visit, shown.with_texts(code=code) if shown.remove else shown)
    query = urlencode({"saved": user} | ({"q": sent["q"][:_LONGEST]} if sent.get("q") else {}))
    return web.Response(status=303, headers={"Location": f"{PATH}?{query}#row-{user}"})


def _altered(now: RegisteredAccount, user: int, row: Row) -> RegisteredAccount:
    """Give the account with another extension of a user; raises `NotTaken`."""
    codes, code = _codes(now), "" if row.remove else row.texts["code"]
    known = {one.user_id: one for one in now.extensions}
    more = _more(row)
    before = {name: getattr(known[user], name) for name in more} if user in known else {}
    if codes.get(user, "") == code and (not code or before == more):
        return now
    if codes.get(user, "") not in (row.was, code):
        raise NotTaken(row.refused("old"))
    if not code and not row.remove:
        raise NotTaken(row.refused(code="empty"))
    if code:
        try:
            ExtensionOf(user_id=user, code=code)
        except ValidationError:
            raise NotTaken(row.refused(code="letters")) from None
        if not is_persons(code):
            raise NotTaken(row.refused(code="letters"))
        holder = next((one for one in now.extensions if one.code == code and one.user_id != user), None)
        if holder is not None:
            raise NotTaken(replace(row, holder=holder).refused(code="twice"))
        codes[user] = code
    else:
        del codes[user]
    kept = tuple(
        recoded(known.get(one), one, its).model_copy(update=more if one == user else {})
        for one, its in codes.items()
    )
    try:
        return with_everybody(now, now.altered(extensions=[one.model_dump() for one in kept]))
    except ValidationError as error:
        wrong = "mobile" if "mobile" in str(error) else "devices"
        raise NotTaken(row.refused(**{wrong: "not taken"})) from None


def _more(row: Row) -> dict[str, Any]:
    """Read what was typed of an employee's other telephones, as far as the form has asked for it."""
    more: dict[str, Any] = {}
    if "devices" in row.texts:
        more["devices"] = tuple(dict.fromkeys(row.texts["devices"].replace(",", " ").split()))
    if "mobile" in row.texts:
        more["mobile"] = row.texts["mobile"] or None
    return more


def _codes(account: RegisteredAccount) -> dict[int, str]:
    return {one.user_id: one.code for one in account.extensions}


async def _page(request: web.Request, visit: Visit, typed: Row | None = None) -> web.Response:
    account = await request.app[SERVICE].accounts.find(visit.account.id) or visit.account
    people = await visit.staff.people()
    known = await visit.shop.directory.telephones() if visit.shop else None
    codes = _codes(account)
    everybody = [
        _with_telephones(_row(ident, people.get(ident), codes.get(ident, ""), visit.shop, known), account)
        for ident in people.keys() | codes.keys()
    ]
    query = request.query.get("q", "").strip()[:_LONGEST]
    found = sorted(_fitting(everybody, query), key=_order)
    editing = int(typed.key) if typed else _number(request.query.get("edit", ""))
    pages = max(1, -(-len(found) // ROWS))
    at = min(max(1, _number(request.query.get("page", "")) or _page_with(found, editing)), pages)
    return page(
        request,
        "extensions.html",
        visit,
        status=typed.status if typed else 200,
        rows=found[(at - 1) * ROWS : at * ROWS],
        count=len(found),
        everybody=len(everybody),
        at=at,
        pages=pages,
        query=query,
        editing=editing,
        typed=typed,
        saved=_number(request.query.get("saved", "")),
        matched=_number(request.query.get("matched", "")),
        pairs=_matched(account, people.values(), known),
        names={one.id: one.name for one in everybody},
        sync=await request.app[SERVICE].synchronising.of(account.id),
        came=False,
        to_tell=await visit.staff.to_tell(),
        seen=known is not None,
        free=free_at_pbx(account, known)[:_MOST_FREE] if known is not None else [],
        to_edit=urlencode(({"q": query} if query else {}) | {"page": at}),
    )


def free_at_pbx(account: RegisteredAccount, known: Endpoints) -> list[str]:
    """Give the extensions that the PBX has and nobody, the shortest first."""
    technology = account.pbx.channel_format.partition("/")[0] if account.pbx is not None else ""
    codes = {code for code in known.get(technology, {}) if is_persons(code)} - set(_codes(account).values())
    return sorted(codes, key=lambda code: (len(code), code))


def _with_telephones(employee: Employee, account: RegisteredAccount) -> Employee:
    its = next((one for one in account.extensions if one.user_id == employee.id), None)
    if its is None:
        return employee
    return replace(employee, devices=" ".join(its.devices), mobile=its.mobile or "")


def _row(
    ident: int, person: Person | None, code: str, shop: Shop | None, known: Endpoints | None
) -> Employee:
    name = person.name if person is not None else None
    if shop is None or not code:
        return Employee(ident, name, person, code, "", "")
    busy = any(code in kept_busy(call) for call in shop.line.calls)
    status = "talking" if busy else shop.statuses.word_of(code) or ""
    if not shop.line.listening and status in ("talking", "free", ""):
        status = "not known"  # only the PBX could say
    phone = state_of(shop.policy.endpoint(code), known) if known is not None else ""
    return Employee(
        ident, name, person, code, status, phone if phone in ("online", "offline", "missing") else ""
    )


def _fitting(rows: Iterable[Employee], query: str) -> list[Employee]:
    words = query.casefold().split()
    return [row for row in rows if all(word in f"{row.name or ''} {row.code}".casefold() for word in words)]


def _order(row: Employee) -> tuple[bool, bool, str, int]:
    return not row.works, not row.works and not row.code, (row.name or "\uffff").casefold(), row.id


def _page_with(rows: list[Employee], user: int | None) -> int:
    place = next((index for index, row in enumerate(rows) if row.id == user), 0)
    return place // ROWS + 1


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None
