"""«Настройки Asterisk»: where the shop's PBX is and how it lets us in. What doesn't work isn't stored."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Any

import structlog
from aiohttp import web
from pydantic import SecretStr

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.accounts.sections import PbxSettings
from ari_app.check.pbx_door import Tried, try_pbx
from ari_app.network.seen_from import seen_from
from ari_app.service.service import Service
from ari_app.store.accounts import AccountConflict
from ari_app.store.sessions import Attempts
from cabinet.forms.form import Filled, Flag, Form, Number, Secret, Text, saved
from cabinet.frame.clients import SERVICE
from cabinet.frame.rendering import page
from cabinet.frame.visits import Form as Sent
from cabinet.frame.visits import Visit, form_of
from cabinet.pages.pbx_files import packed
from stasis_dialplan import CannotRender, Kind, Settings, render

log = structlog.get_logger(__name__)

FORM = Form(
    RegisteredAccount,
    Text("pbx.outgoing"),
    Text("pbx.outside_prefix"),
    Text("pbx.host"),
    Number("pbx.http_port"),
    Flag("pbx.tls"),
    Text("pbx.http_prefix"),
    Text("pbx.ami_username"),
    Secret("pbx.ami_password"),
    Text("pbx.channel_format"),
    Text("pbx.ari_username"),
    Secret("pbx.ari_password"),
    Text("pbx.stasis_app"),
)
KINDS: tuple[Kind, ...] = ("asterisk", "freepbx")
"""The PBXs for which files are given; a shop that keeps its own dialplan finds its files in the tab API."""
SECRETS = ("ari_password", "ami_password")
_PASSWORD_DIGITS = 24

AT_ONCE = 8
"""So many PBXs are tried at the same time, for all accounts: one that answers without end holds memory."""
TRIES, TRIES_SECONDS = 30, 600
"""So often an account may have a PBX tried, in so many seconds: we are no tool for looking into networks."""


_TURNS = web.AppKey("turns to try a PBX", asyncio.Semaphore)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A form that was sent, and what came of trying the PBX; nothing is tried while the form is wrong."""

    filled: Filled[RegisteredAccount]
    tried: tuple[Tried, ...] = ()
    minutes: int = 0
    """How long to wait before the next attempt."""


def set_up(app: web.Application) -> None:
    """Prepare for those who try a PBX."""
    app[_TURNS] = asyncio.Semaphore(AT_ONCE)


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the settings; who has no PBX yet finds passwords made for them, the same each time."""
    shown = FORM.show(request, visit.account)
    if visit.account.pbx is None:
        shown = replace(shown, texts={**shown.texts, **_made(request.app[SERVICE], visit.account.id)})
    url = request.app[SERVICE].public_url
    return await _page(request, visit, Attempt(shown), seen_from=await seen_from(shown.texts["host"], url))


def _made(service: Service, account: str) -> dict[str, str]:
    """Make a password for each field that needs one: nobody can guess it, and nothing is stored for it."""
    keys = {name: service.key_for(f"{name} of the first PBX of {account}") for name in SECRETS}
    return {name: key.hex()[:_PASSWORD_DIGITS] for name, key in keys.items()}


async def check(request: web.Request, visit: Visit) -> web.Response:
    """Try what was typed, and store nothing. The page is the answer to a question, so it is no error."""
    attempt = await _try(request, visit.account, await form_of(request))
    return await _page(request, visit, attempt, status=200, only_tried=True)


async def files(request: web.Request, visit: Visit) -> web.Response:
    """Give the PBX's files for what was typed, and store nothing: it lets us in only when it has them."""
    filled = _read(request, visit.account, await form_of(request))
    if filled.bad:
        return await _page(request, visit, Attempt(filled))
    account = filled.onto(visit.account)
    assert isinstance(account, Account)  # a form that isn't bad has a PBX
    try:
        url = request.app[SERVICE].public_url
        settings = Settings.of(account, url, await seen_from(account.pbx.host, url))
        written = {f"{kind}/{name}": text for kind in KINDS for name, text in render(kind, settings).items()}
    except CannotRender as problem:
        return await _page(request, visit, Attempt(filled.refused("files")), detail=str(problem))
    return packed("retailcrm", written)


async def save(request: web.Request, visit: Visit) -> web.Response:
    """Store what was typed, if it works."""
    sent = await form_of(request)
    attempt = await _try(request, visit.account, sent)
    if attempt.filled.bad:
        return await _page(request, visit, attempt)
    try:
        filled = await FORM.put(request, visit.account.id, lambda account: _read(request, account, sent))
    except AccountConflict:  # it names the other account, which is nobody's business here
        return await _page(request, visit, Attempt(attempt.filled.refused(stasis_app="taken"), attempt.tried))
    if filled.bad:
        return await _page(request, visit, Attempt(filled))
    log.info("the PBX was set up", account=visit.account.id)
    return saved("/asterisk")


async def _try(request: web.Request, account: RegisteredAccount, sent: Sent) -> Attempt:
    filled = _read(request, account, sent)
    unproved = _only_again(filled)
    if filled.bad and not unproved:
        return Attempt(filled)
    service = request.app[SERVICE]
    wait = await Attempts(service.redis, TRIES, TRIES_SECONDS).take(f"pbx:{account.id}")
    if wait is not None:
        return Attempt(filled.refused("wait"), minutes=-(-wait // 60))
    pbx = filled.onto(account).pbx
    assert pbx is not None
    if unproved:  # a mistyped address is told first; a stored password isn't sent there
        pbx = pbx.model_copy(update={"ari_password": SecretStr(secrets.token_hex(8)), "ami_password": None})
    async with request.app[_TURNS]:
        tried: tuple[Tried, ...] = await try_pbx(pbx, service.settings.pbx_networks)
    if unproved:
        if tried[0].why not in _NOT_THERE:
            return Attempt(filled)
        filled, tried = replace(filled, wrong={}), tried[:1]
    wrong = {name: why for one in tried if not one.good for name, why in one.wrong.items()}
    no_access = "" if all(one.good for one in tried) else "access"
    return Attempt(filled.refused(no_access, **wrong), tried)


def _read(request: web.Request, account: RegisteredAccount, sent: Sent) -> Filled[RegisteredAccount]:
    """Read the form. A stored password goes to no other address than the one that it was typed for."""
    filled = FORM.take(request, sent, account)
    if filled.bad:
        return filled
    before, after = account.pbx, filled.onto(account).pbx
    assert after is not None
    if before is None or _place(before) != _place(after):
        filled = filled.with_values({"pbx.guarded": True})
    if before is not None and (_place(before) != _place(after) or (before.tls and not after.tls)):
        kept = [name for name in SECRETS if name in filled.kept and not filled.texts[name]]
        again = {name: "again" for name in kept if name not in filled.forgotten}
        filled = filled.refused(**again)
    return filled


_NOT_THERE = frozenset({"connection", "silent", "name", "inside", "tls", "absent", "other"})
"""What a try tells of an address, whatever the passwords are."""


def _only_again(filled: Filled[RegisteredAccount]) -> bool:
    """Tell whether all that is wrong is that passwords have to be typed again."""
    return bool(filled.wrong) and not filled.problem and set(filled.wrong.values()) == {"again"}


def _place(pbx: PbxSettings) -> tuple[str, int]:
    return pbx.host.lower(), pbx.http_port


async def _page(
    request: web.Request, visit: Visit, attempt: Attempt, status: int | None = None, **more: Any
) -> web.Response:
    filled = attempt.filled
    offered = await visit.shop.directory.places() if visit.shop is not None else None
    return page(
        request,
        "asterisk.html",
        visit,
        status=filled.status if status is None else status,
        form=filled,
        tried=attempt.tried,
        minutes=attempt.minutes,
        lines=offered.lines if offered is not None else (),
        **{"detail": "", "only_tried": False, "seen_from": None, **more},
        networks=request.app[SERVICE].settings.pbx_networks,
    )
