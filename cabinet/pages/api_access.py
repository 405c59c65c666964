"""«API»: the clientId, addresses for dialplans and programs, files for the PBX, and API tokens."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import structlog
from aiohttp import web
from pydantic import SecretStr

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.network.seen_from import seen_from
from ari_app.retailcrm.errors import CrmError
from ari_app.retailcrm.registration import call_address, status_address
from ari_app.service.doors import with_new_address
from ari_app.store.events import What
from ari_app.store.tokens import LONGEST_NAME, MOST, Tokens, TooManyTokens
from cabinet.forms.typed import Typed, texts_in
from cabinet.frame.clients import SERVICE
from cabinet.frame.noting import note
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit, begin_session, form_of
from cabinet.pages.pbx_files import packed
from cabinet.pages.sure import ask_whether, is_sure
from stasis_dialplan import KINDS, CannotRender, Kind, Settings, render
from stasis_dialplan.event2 import event2

log = structlog.get_logger(__name__)

PATH = "/api-access"
_LONGEST = 4000
"""Characters that are read of what is typed, and shown again."""


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show how dialplans and programs reach the account."""
    return await _page(request, visit, said=request.query.get("said", ""))


async def renew(request: web.Request, visit: Visit) -> web.Response:
    """Give the account another clientId, if the CRM takes it; the old one opens nothing from then on."""
    form = await form_of(request)
    if form.get("sure") != "yes":
        return await _page(request, visit, status=422, problem="sure")
    accounts, account, informing = (
        request.app[SERVICE].accounts,
        visit.account,
        request.app[SERVICE].informing,
    )
    before, fresh = account.crm.client_id, SecretStr(secrets.token_hex(16))
    changed = await accounts.change(account.id, lambda now: _with(now, fresh))
    if changed is None:
        raise web.HTTPNotFound
    try:
        await informing.inform(account.id)
    except CrmError as problem:
        await accounts.change(account.id, lambda now: _with(now, before))
        await informing.inform_soon(account.id)  # it may have taken the new one, and only its answer be lost
        return await _page(request, visit, status=502, problem="crm", detail=str(problem))
    log.info("the clientId is renewed", account=account.id)
    return web.Response(status=303, headers={"Location": f"{PATH}?said=renewed"})


async def renew_address(request: web.Request, visit: Visit) -> web.Response:
    """Give the CRM other addresses; those that it had end at once, and with them all other sessions."""
    await form_of(request)
    service = request.app[SERVICE]
    changed = await service.accounts.change(visit.account.id, with_new_address)
    if changed is None:
        raise web.HTTPNotFound
    service.doors.add(changed)
    log.info("the cabinet's address is renewed", account=changed.id)
    await note(request, changed.id, What.ADDRESS_RENEWED)
    known = await service.informing.inform_soon(changed.id)
    answer = web.Response(status=303, headers={"Location": f"{PATH}?said={'address' if known else 'later'}"})
    await begin_session(request, answer, changed)
    return answer


async def revoke_links(request: web.Request, visit: Visit) -> web.Response:
    """Let the links of all recordings that there are open nothing any more, but for the cabinet."""
    form = await form_of(request)
    if form.get("sure") != "yes":
        return await _page(request, visit, status=422, problem="links")
    count = await asyncio.to_thread(request.app[SERVICE].recordings.revoke_links, visit.account.id)
    log.info("the links of recordings are revoked", account=visit.account.id, recordings=count)
    await note(request, visit.account.id, What.LINKS_REVOKED, count=str(count))
    return web.Response(status=303, headers={"Location": f"{PATH}?said=links"})


def _with(account: RegisteredAccount, client_id: SecretStr) -> RegisteredAccount:
    return account.model_copy(update={"crm": account.crm.model_copy(update={"client_id": client_id})})


async def dialplan(request: web.Request, visit: Visit) -> web.Response:
    """Give the files for the account's PBX; they hold its passwords."""
    kind = next((known for known in KINDS if known == request.match_info["kind"]), None)
    if kind is None or not isinstance(visit.account, Account):
        raise web.HTTPNotFound
    try:
        url = request.app[SERVICE].public_url
        files = _files(kind, visit.account, url, await seen_from(visit.account.pbx.host, url))
    except CannotRender:
        raise web.HTTPNotFound from None  # the page says why, and has no link
    return packed(f"retailcrm-{kind}", files)


def _files(kind: Kind, account: Account, public_url: str, address: str | None = None) -> dict[str, str]:
    files = render(kind, Settings.of(account, public_url, address))
    if kind == "old":
        files["event2.sh"] = event2(account.crm.client_id.get_secret_value(), public_url)
    return files


async def make_token(request: web.Request, visit: Visit) -> web.Response:
    """Make a token, and show it this once."""
    typed = Typed(texts_in(await form_of(request), "name", longest=_LONGEST))
    name = typed.texts["name"]
    if not name:
        return await _refused(request, visit, typed.refused(name="empty"))
    if len(name) > LONGEST_NAME or not name.isprintable():
        return await _refused(request, visit, typed.refused(name="long"))
    tokens = Tokens(request.app[SERVICE].redis)
    if any(one.name.casefold() == name.casefold() for one in await tokens.list(visit.account.id)):
        return await _refused(request, visit, typed.refused(name="twice"))
    try:
        token = await tokens.make(visit.account.id, name)
    except TooManyTokens:
        return await _refused(request, visit, typed.refused(name="many"))
    log.info("a token is made", account=visit.account.id, name=name)
    await note(request, visit.account.id, What.TOKEN_MADE, name=name)
    return await _page(request, visit, token=token, token_name=name)


async def _refused(request: web.Request, visit: Visit, typed: Typed) -> web.Response:
    return await _page(request, visit, status=typed.status, typed=typed)


async def revoke_token(request: web.Request, visit: Visit) -> web.Response:
    """Let a token open nothing any more."""
    form = await form_of(request)
    tokens, ident = Tokens(request.app[SERVICE].redis), request.match_info["ident"]
    named = {token.id: token.name for token in await tokens.list(visit.account.id)}
    if ident in named and not is_sure(form):
        return ask_whether(request, visit, "token", named[ident], PATH)
    if not await tokens.revoke(visit.account.id, ident):
        raise web.HTTPNotFound
    log.info("a token is revoked", account=visit.account.id)
    await note(request, visit.account.id, What.TOKEN_REVOKED, name=named.get(ident, ""))
    return web.Response(status=303, headers={"Location": f"{PATH}?said=revoked"})


async def _page(request: web.Request, visit: Visit, *, status: int = 200, **more: Any) -> web.Response:
    service, secret = request.app[SERVICE], visit.account.crm.cabinet_secret
    assert secret is not None, "every stored account has one"
    context: dict[str, Any] = {
        "said": "",
        "problem": "",
        "detail": "",
        "typed": Typed({"name": ""}),
        "token": "",
        "token_name": "",
        "client_id": visit.account.crm.client_id.get_secret_value(),
        "address": service.public_url,
        "call_address": call_address(service.public_url, secret.get_secret_value()),
        "status_address": status_address(service.public_url, secret.get_secret_value()),
        "tokens": await Tokens(service.redis).list(visit.account.id),
        "most": MOST,
        "longest": LONGEST_NAME,
        "unwritable": _unwritable(visit.account, service.public_url),
        **more,
    }
    return page(request, "api_access.html", visit, status=status, **context)


def _unwritable(account: RegisteredAccount, public_url: str) -> str:
    """Say why the files for the PBX can't be written; empty if they can."""
    if not isinstance(account, Account):
        return "pbx"
    try:
        Settings.of(account, public_url)
    except CannotRender as problem:
        return str(problem)
    return ""
