"""«Внешние телефоны»: the shop's numbers, the CRM's shop of each, and the line of calls from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import ValidationError

from ari_app.accounts.account import Account, ExternalPhone, RegisteredAccount, is_shops_number
from ari_app.calls.numbers import e164
from cabinet.frame.clients import SERVICE
from cabinet.frame.rendering import page
from cabinet.frame.visits import Form, Visit, form_of

PATH = "/numbers"
MOST = 500
"""Numbers that an account may have."""
_LONGEST = 100
"""Characters that are read of what is typed."""
_TYPED = re.compile(r"[+0-9 ().\u00a0\u2010-\u2014-]+")


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed for a number; `wrong` has words for what is wrong: by field, or for the `whole`."""

    key: str
    """The number as it is stored; empty for one that is added."""
    number: str
    site: str
    outgoing: str
    was: str = ""
    wrong: Mapping[str, str] = field(default_factory=dict)
    other: ExternalPhone | None = None
    """The same number, where it is in the list already."""

    @property
    def phone(self) -> ExternalPhone:
        """As it would be stored; ValidationError when the line can't be one."""
        return ExternalPhone(number=self.number, site=self.site or None, outgoing=self.outgoing or None)


class _NotTaken(Exception):
    def __init__(self, typed: Typed, other: ExternalPhone | None = None, **wrong: str) -> None:
        super().__init__(str(wrong))
        self.typed = Typed(
            typed.key, typed.number, typed.site, typed.outgoing, typed.was, {**typed.wrong, **wrong}, other
        )


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the numbers."""
    return await _page(request, visit)


async def add(request: web.Request, visit: Visit) -> web.Response:
    """Add a number."""
    return await _change(request, visit, _read(await form_of(request), ""), remove=False)


async def save(request: web.Request, visit: Visit) -> web.Response:
    """Change a number, or take it away."""
    form = await form_of(request)
    return await _change(request, visit, _read(form, request.match_info["number"]), remove="remove" in form)


async def _change(request: web.Request, visit: Visit, typed: Typed, remove: bool) -> web.Response:
    changed = False

    def alter(now: RegisteredAccount) -> RegisteredAccount:
        nonlocal changed
        altered = _altered(now, typed, remove)
        changed = altered is not now
        return altered

    try:
        if await request.app[SERVICE].accounts.change(visit.account.id, alter) is None:
            raise web.HTTPNotFound
    except _NotTaken as problem:
        return await _page(request, visit, problem.typed)
    if changed:
        await request.app[SERVICE].informing.inform_soon(visit.account.id)
    return web.Response(status=303, headers={"Location": f"{PATH}?saved={'removed' if remove else 'yes'}"})


def _read(form: Form, key: str) -> Typed:
    number, site, outgoing, was = (
        form.get(name, "").strip()[:_LONGEST] for name in ("number", "site", "outgoing", "was")
    )
    return Typed(key, number, site, outgoing.replace(" ", ""), was)


def _altered(now: RegisteredAccount, typed: Typed, remove: bool) -> RegisteredAccount:
    """Give the account with a number added, changed or taken away; raises `_NotTaken`."""
    country = now.crm.country
    known = {e164(phone.number, country) or phone.number: phone for phone in now.external_phones}
    before = known.get(typed.key)
    if typed.key:
        if before is None and remove:
            return now
        if before is None:
            raise _NotTaken(Typed("", typed.number, typed.site, typed.outgoing), whole="gone")
        if state_of(before) != typed.was:
            raise _NotTaken(typed, whole="old")
    if remove:
        del known[typed.key]
        return _with(now, known)
    number = _checked(typed, country)
    if number != typed.key and number in known:
        raise _NotTaken(typed, known[number], number="twice")
    if before is None and len(known) >= MOST:
        raise _NotTaken(typed, whole="many")
    kept = before.number if before is not None and number == typed.key else number
    phone = Typed(typed.key, kept, typed.site, typed.outgoing).phone
    if phone == before:
        return now
    changed = {(number if key == typed.key else key): its for key, its in known.items()}
    return _with(now, changed | {number: phone})


def _checked(typed: Typed, country: str) -> str:
    """Give the number as E.164; raises `_NotTaken`."""
    wrong: dict[str, str] = {}
    number = e164(typed.number, country) or ""
    if not typed.number:
        wrong["number"] = "empty"
    elif not _TYPED.fullmatch(typed.number) or not is_shops_number(number):
        wrong["number"] = "number"
    if not typed.site.isprintable():
        wrong["site"] = "bad"
    try:
        _ = typed.phone
    except ValidationError:
        wrong["outgoing"] = "line"
    if wrong:
        raise _NotTaken(typed, None, **wrong)
    return number


def _with(now: RegisteredAccount, phones: Mapping[str, ExternalPhone]) -> RegisteredAccount:
    kind = Account if isinstance(now, Account) else RegisteredAccount
    changed = now.model_copy(update={"external_phones": tuple(phones.values())})
    return kind.model_validate(changed.model_dump())


def state_of(phone: ExternalPhone) -> str:
    """Write what a form was filled from, so that another's change meanwhile is seen."""
    return f"{phone.site or ''}|{phone.outgoing or ''}"


async def _page(request: web.Request, visit: Visit, typed: Typed | None = None) -> web.Response:
    account = await request.app[SERVICE].accounts.find(visit.account.id) or visit.account
    sites, fresh = await request.app[SERVICE].sites.of(account, visit.staff)
    phones = {
        e164(phone.number, account.crm.country) or phone.number: phone for phone in account.external_phones
    }
    status = 200
    if typed is not None:
        status = 409 if typed.wrong.get("whole") in ("old", "gone") else 422
    return page(
        request,
        "numbers.html",
        visit,
        status=status,
        phones=phones,
        sites=sites,
        fresh=fresh,
        typed=typed,
        editing=typed.key if typed else request.query.get("edit", ""),
        saved=request.query.get("saved", ""),
        state_of=state_of,
        usual=account.pbx.outgoing if account.pbx else "",
        to_tell=await visit.staff.to_tell(),
        most=MOST,
    )
