"""The door: signing in with the CRM's address and an API key, or from the CRM; signing out."""

from __future__ import annotations

import hmac
import time
from typing import Any

import structlog
from aiohttp import web
from pydantic import SecretStr

from ari_app.accounts.account import RegisteredAccount
from ari_app.retailcrm.registration import PERMISSIONS
from ari_app.service.crm_door import NotLetIn, Shown, let_in, read_shown
from ari_app.service.doors import TICKET_SECONDS, Ticket, is_secret_of, read_ticket
from ari_app.store.events import What
from ari_app.store.sessions import Attempts
from cabinet.forms.typed import Typed, texts_in
from cabinet.frame.clients import HTTP, SERVICE
from cabinet.frame.noting import note
from cabinet.frame.proxies import counted_as
from cabinet.frame.rendering import page
from cabinet.frame.security import (
    ATTEMPTS,
    ATTEMPTS_SECONDS,
    BadToken,
    own_path,
    read_form,
    reader_id,
    sent_form,
    texts_of,
)
from cabinet.frame.visits import SESSIONS, Visit, begin_session, find_visit, form_of

log = structlog.get_logger(__name__)

RETRY_SECONDS = 2
"""When to come again while the accounts are being read."""
_LONGEST = 300
"""Characters that are read of what is typed."""


async def ask(request: web.Request) -> web.Response:
    """Ask for the address and the key."""
    if await find_visit(request) is not None:
        raise web.HTTPSeeOther("/")
    return _ask(request, Typed({"crm": "", "key": ""}), own_path(request.query.get("next")))


async def sign_in(request: web.Request) -> web.Response:
    """Try what was typed."""
    try:
        form, problem = await read_form(request), ""
    except BadToken:  # what was typed is shown again, and tried no earlier than it is sent again
        form, problem = texts_of(await sent_form(request)), "form"
    typed, then = Typed(texts_in(form, "crm", "key", longest=_LONGEST)), own_path(form.get("next"))
    if problem:
        return _ask(request, typed.refused(problem), then, status=403)
    try:
        account = await _try(request, typed.texts["crm"], typed.texts["key"])
    except NotLetIn as no:
        refused = typed.refused(**no.wrong) if no.field else typed.refused(no.why)
        return _ask(request, refused, then, missing=no.missing, detail=no.detail)
    except _TooMany as wait:
        return _ask(request, typed.refused("wait"), then, status=429, minutes=-(-wait.seconds // 60))
    return await _open(request, account, then)


async def sign_out(request: web.Request) -> web.Response:
    """End the session."""
    await form_of(request)
    await request.app[SESSIONS].end(reader_id(request))
    return web.Response(status=303, headers={"Location": "/sign-in"})


async def from_crm(request: web.Request) -> web.Response:
    """Open the account whose secret the CRM knows; who is signed in to another one is asked first.

    The CRM sends people here by a form of its own, with which a browser doesn't send our cookie: whoever
    comes so comes again, by the same address.
    """
    account = await _account_with(request, request.match_info["secret"])
    if request.method == "POST":
        given = (await sent_form(request)).get("clientId")
        if given is not None and not _same(given, account.crm.client_id):
            raise web.HTTPNotFound
        return web.Response(status=303, headers={"Location": request.path, "Referrer-Policy": "no-referrer"})
    visit = await find_visit(request)
    if visit is not None and visit.account.id != account.id:
        ticket = Ticket.to(account.id, time.time()).signed(request.app[SERVICE].keys)
        return _ask_whether(request, account, visit, ticket)
    return await _open(request, account, "/")


async def by_link(request: web.Request) -> web.Response:
    """Ask whether to open the cabinet to which a link leads: a program that looks at it opens nothing."""
    _, account = await _ticket(request)
    return _ask_whether(request, account, await find_visit(request), request.match_info["ticket"])


async def open_by_link(request: web.Request) -> web.Response:
    """Open it, once."""
    await form_of(request)
    ticket, account = await _ticket(request)
    if not await request.app[SESSIONS].use(ticket.digest, 2 * TICKET_SECONDS):
        raise web.HTTPNotFound
    return await _open(request, account, "/")


async def _ticket(request: web.Request) -> tuple[Ticket, RegisteredAccount]:
    service = request.app[SERVICE]
    ticket = read_ticket(service.keys, request.match_info["ticket"], time.time())
    account = await service.accounts.find(ticket.account) if ticket is not None else None
    if ticket is None or account is None:
        raise web.HTTPNotFound
    return ticket, account


def _ask_whether(
    request: web.Request, account: RegisteredAccount, visit: Visit | None, ticket: str
) -> web.Response:
    now = visit.account if visit is not None else None
    return page(request, "open_account.html", account=account, now=now, ticket=ticket, path="/", here="/")


def _same(given: object, known: SecretStr) -> bool:
    said = given.encode("utf-8", "replace") if isinstance(given, str) else b""
    return hmac.compare_digest(known.get_secret_value().encode(), said)


async def _account_with(request: web.Request, secret: str) -> RegisteredAccount:
    """Find the account with a secret; 404 if there is none. A guess is refused without asking Redis."""
    service = request.app[SERVICE]
    if not service.loaded.is_set():
        raise web.HTTPServiceUnavailable(headers={"Retry-After": str(RETRY_SECONDS)})
    known = service.doors.account_of(secret)
    account = await service.accounts.find(known) if known is not None else None
    if account is None or not is_secret_of(account, secret):
        raise web.HTTPNotFound
    return account


class _TooMany(Exception):
    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many attempts: wait {seconds} s")
        self.seconds = seconds


async def _try(request: web.Request, crm: str, key: str) -> RegisteredAccount:
    service = request.app[SERVICE]
    shown = read_shown(crm, key, service.settings.crm_domains)
    attempts = Attempts(service.redis, ATTEMPTS, ATTEMPTS_SECONDS)
    client = counted_as(request)
    whose = (*((f"address:{client}",) if client is not None else ()), f"account:{shown.account}")
    if await _is_known(request, shown):
        whose = ()
    for who in whose:
        wait = await attempts.take(who)
        if wait is not None:
            log.warning("too many attempts to sign in", of=who)
            await _note_failure(request, shown, What.LOCKED_OUT)
            raise _TooMany(wait)
    try:
        account = await let_in(service, request.app[HTTP], service.informing, shown)
    except NotLetIn as no:
        if no.field == "key":
            await _note_failure(request, shown, What.SIGN_IN_FAILED)
        raise
    for who in whose:
        await attempts.forget(who)
    service.doors.add(account)
    await service.synchronising.begin_first(account.id)
    return account


async def _is_known(request: web.Request, shown: Shown) -> bool:
    """Tell whether the key is the one that we have already: who shows it guesses nothing."""
    known = await request.app[SERVICE].accounts.at(shown.url)
    return known is not None and _same(shown.key, known.crm.api_key)


async def _note_failure(request: web.Request, shown: Shown, what: What) -> None:
    """Note it in the account that was tried, if there is one; that somebody is locked out once a while."""
    service = request.app[SERVICE]
    known = await service.accounts.at(shown.url)
    if known is None:
        return
    if what is What.LOCKED_OUT:
        once = Attempts(service.redis, 1, ATTEMPTS_SECONDS)
        if await once.take(f"noted:{known.id}") is not None:
            return
    await note(request, known.id, what)


async def _open(request: web.Request, account: RegisteredAccount, then: str) -> web.Response:
    """Begin a session."""
    answer = web.Response(status=303, headers={"Location": then})
    await begin_session(request, answer, account)
    log.info("signed in", account=account.id)
    await note(request, account.id, What.SIGNED_IN)
    return answer


def _ask(
    request: web.Request, typed: Typed, then: str, *, status: int | None = None, **more: Any
) -> web.Response:
    context: dict[str, Any] = {
        "typed": typed,
        "next": then,
        "missing": (),
        "detail": "",
        "minutes": 0,
        "needed": list(PERMISSIONS),
        **more,
    }
    return page(request, "sign_in.html", status=status or typed.status, **context)
