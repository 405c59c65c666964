"""«Внутренние телефоны»: the CRM's users, their extensions, who is busy and whose phone is registered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web
from pydantic import ValidationError

from ari_app.accounts.account import Account, ExtensionOf, Registration
from ari_app.accounts.extensions import recoded
from ari_app.accounts.staff import Person
from ari_app.asterisk.errors import PbxError
from ari_app.asterisk.phones import Endpoints, endpoints, state_of
from ari_app.control.switchboard import talking
from ari_app.service.shop import Shop
from cabinet.frame.clients import SERVICE
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit, form_of

PATH = "/extensions"
ROWS = 100
"""Employees on a page."""
_LONGEST = 100
"""Characters that are read of what is typed."""


@dataclass(frozen=True, slots=True)
class Row:
    """An employee."""

    id: int
    name: str | None
    person: Person | None
    """None for somebody of whom only the extension is known."""
    code: str
    """The extension, empty for who has none."""
    status: str
    """talking, or as the CRM says: free, busy, dinner, break; empty when it isn't known."""
    phone: str
    """online, offline, missing (the PBX doesn't know it), or empty when it isn't known."""

    @property
    def works(self) -> bool:
        """Whether they are in the CRM and not blocked."""
        return self.person is None or self.person.works


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed for an employee, and what is wrong with it."""

    user: int
    code: str
    was: str
    wrong: str
    """A word: empty, letters, twice, old."""
    holder: int | None = None


class _NotTaken(Exception):
    def __init__(self, wrong: str, holder: int | None = None) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.holder = holder


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


async def save(request: web.Request, visit: Visit) -> web.Response:
    """Give an employee another extension, or take it away."""
    form, user = await form_of(request), int(request.match_info["user"])
    code, was = form.get("code", "").strip()[:_LONGEST], form.get("was", "").strip()[:_LONGEST]
    remove = "remove" in form
    if user not in await visit.staff.people() and user not in _codes(visit.account):
        raise web.HTTPNotFound
    changed = False

    def alter(now: Registration) -> Registration:
        nonlocal changed
        altered = _altered(now, user, "" if remove else code, was, remove)
        changed = altered is not now
        return altered

    try:
        if await request.app[SERVICE].accounts.change(visit.account.id, alter) is None:
            raise web.HTTPNotFound
    except _NotTaken as problem:
        stored = await request.app[SERVICE].accounts.find(visit.account.id)
        now = _codes(stored or visit.account).get(user, "")
        typed = Typed(user, now if remove else code, now, problem.wrong, problem.holder)
        return await _page(request, visit, typed)
    if changed:
        await request.app[SERVICE].telling.tell_soon(visit.account.id)
    query = urlencode({"saved": user} | ({"q": form["q"][:_LONGEST]} if form.get("q") else {}))
    return web.Response(status=303, headers={"Location": f"{PATH}?{query}#row-{user}"})


def _altered(now: Registration, user: int, code: str, was: str, remove: bool) -> Registration:
    """Give the account with another extension of a user; raises `_NotTaken`."""
    codes = _codes(now)
    if codes.get(user, "") == code:
        return now
    if codes.get(user, "") != was:
        raise _NotTaken("old")
    if not code and not remove:
        raise _NotTaken("empty")
    if code:
        try:
            ExtensionOf(user_id=user, code=code)
        except ValidationError:
            raise _NotTaken("letters") from None
        holder = next((other for other, its in codes.items() if its == code), None)
        if holder is not None:
            raise _NotTaken("twice", holder)
        codes[user] = code
    else:
        del codes[user]
    known = {one.user_id: one for one in now.extensions}
    kept = tuple(recoded(known.get(one), one, its) for one, its in codes.items())
    kind = Account if isinstance(now, Account) else Registration
    return kind.model_validate(now.model_copy(update={"extensions": kept}).model_dump())


def _codes(account: Registration) -> dict[int, str]:
    return {one.user_id: one.code for one in account.extensions}


async def _page(request: web.Request, visit: Visit, typed: Typed | None = None) -> web.Response:
    account = await request.app[SERVICE].accounts.find(visit.account.id) or visit.account
    people = await visit.staff.people()
    known = await _phones(visit.shop)
    codes = _codes(account)
    everybody = [
        _row(ident, people.get(ident), codes.get(ident, ""), visit.shop, known)
        for ident in people.keys() | codes.keys()
    ]
    query = request.query.get("q", "").strip()[:_LONGEST]
    found = sorted(_fitting(everybody, query), key=_order)
    editing = typed.user if typed else _number(request.query.get("edit", ""))
    pages = max(1, -(-len(found) // ROWS))
    at = min(max(1, _number(request.query.get("page", "")) or _page_with(found, editing)), pages)
    return page(
        request,
        "extensions.html",
        visit,
        status=409 if typed and typed.wrong == "old" else 422 if typed else 200,
        rows=found[(at - 1) * ROWS : at * ROWS],
        count=len(found),
        everybody=len(everybody),
        at=at,
        pages=pages,
        query=query,
        editing=editing,
        typed=typed,
        saved=_number(request.query.get("saved", "")),
        names={one.id: one.name for one in everybody},
        sync=await request.app[SERVICE].synchronising.of(account.id),
        came=False,
        to_tell=await visit.staff.to_tell(),
        seen=known is not None,
        to_edit=urlencode(({"q": query} if query else {}) | {"page": at}),
    )


def _row(ident: int, person: Person | None, code: str, shop: Shop | None, known: Endpoints | None) -> Row:
    name = person.name if person is not None else None
    if shop is None or not code:
        return Row(ident, name, person, code, "", "")
    busy = any(code in talking(call) for call in shop.line.calls)
    status = "talking" if busy else shop.statuses.word_of(code) or ""
    phone = state_of(shop.policy.endpoint(code), known) if known is not None else ""
    return Row(ident, name, person, code, status, phone if phone in ("online", "offline", "missing") else "")


async def _phones(shop: Shop | None) -> Endpoints | None:
    """Ask the PBX for its phones; None when it is away."""
    if shop is None or not shop.line.pbx.connected:
        return None
    try:
        return await endpoints(shop.line.pbx.ari)
    except PbxError:
        return None


def _fitting(rows: Iterable[Row], query: str) -> list[Row]:
    words = query.casefold().split()
    return [row for row in rows if all(word in f"{row.name or ''} {row.code}".casefold() for word in words)]


def _order(row: Row) -> tuple[bool, bool, str, int]:
    return not row.works, not row.works and not row.code, (row.name or "\uffff").casefold(), row.id


def _page_with(rows: list[Row], user: int | None) -> int:
    place = next((index for index, row in enumerate(rows) if row.id == user), 0)
    return place // ROWS + 1


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None
