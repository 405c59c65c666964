"""Who reads a page: the one place that finds the account of a session.

A page for those who are signed in gets a `Visit` and nothing else that names an account, so it can't show
another's.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import TypeAlias
from urllib.parse import quote
from zoneinfo import ZoneInfo

from aiohttp import web
from multidict import MultiMapping

from ari_app.accounts.account import RegisteredAccount
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from ari_app.store.calls import CallStore
from ari_app.store.module import ModuleStore
from ari_app.store.sessions import Sessions
from ari_app.store.staff import StaffStore
from cabinet.frame.clients import SERVICE
from cabinet.frame.passing import leave_to_holder
from cabinet.frame.security import BadToken, own_path, read_form, reader_id, set_reader

SESSIONS = web.AppKey("sessions", Sessions)


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is signed in, and the account that they are signed in to."""

    account: RegisteredAccount
    shop: Shop | None
    """The account at work; None while its PBX is not set up, we only start, or another copy has it."""
    calls: CallStore
    staff: StaffStore
    crm_zone: ZoneInfo | None = None
    """What is known of the CRM's time zone where the account isn't at work."""
    waiting: int = 0
    """How many missed customers wait for a call."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which the account's moments are shown."""
        return (
            self.shop.current.zone() if self.shop else self.crm_zone or ZoneInfo(self.account.timezone_name)
        )


_PURPOSE = "cabinet sessions"
_VISIT = web.RequestKey("visit", list[Visit])
"""The visit, if it was looked for: one, or none."""

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Page: TypeAlias = Callable[[web.Request, Visit], Awaitable[web.StreamResponse]]
Form: TypeAlias = MultiMapping[str]


async def find_visit(request: web.Request, *, again: bool = False) -> Visit | None:
    """Find the session that the request belongs to, once a request or `again`; None for a stranger.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    if again or _VISIT not in request:
        visit = await _look_for(request)
        request[_VISIT] = [visit] if visit is not None else []
    found = request[_VISIT]
    return found[0] if found else None


async def _look_for(request: web.Request) -> Visit | None:
    sessions, service = request.config_dict[SESSIONS], request.config_dict[SERVICE]
    session = await sessions.find(reader_id(request))
    visit = await visit_to(service, session.account) if session is not None else None
    if session is None or visit is None:
        return None
    if service.keys.is_signed(_PURPOSE, _opener(visit.account), _unhex(session.seal)):
        return visit
    await sessions.end(reader_id(request))
    return None


def seal_of(service: Service, account: RegisteredAccount) -> str:
    """Give what a session in an account lasts for: a reader who knew a key or secret that was given up,
    or the account that was here before, has to come in anew.
    """
    return hmac.digest(service.key_for(_PURPOSE), _opener(account), "sha256").hex()


def _opener(account: RegisteredAccount) -> bytes:
    secret = account.crm.cabinet_secret
    known = (account.id, account.crm.api_key.get_secret_value(), secret.get_secret_value() if secret else "")
    return "\n".join(known).encode()


def _unhex(seal: str) -> bytes:
    try:
        return bytes.fromhex(seal)
    except ValueError:
        return b""


async def visit_to(service: Service, account_id: str) -> Visit | None:
    """Let somebody see an account who is known to be allowed to; None when it is gone.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    account = await service.accounts.find(account_id)
    if account is None:
        return None
    calls, staff = CallStore(service.redis, account.id), StaffStore(service.redis, account.id)
    shop = service.shops.get(account.id)
    zone = await ModuleStore(service.redis, account.id).zone() if shop is None else None
    waiting = await calls.missed.waiting(time.time())
    return Visit(account, shop, calls, staff, zone, waiting)


async def begin_session(request: web.Request, answer: web.Response, account: RegisteredAccount) -> None:
    """Begin a session in an account under a new id, so that nobody can have known it before.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    sessions, seal = request.config_dict[SESSIONS], seal_of(request.config_dict[SERVICE], account)
    await sessions.end(reader_id(request))
    set_reader(request, answer, await sessions.open(account.id, seal))
    answer.headers["Referrer-Policy"] = "no-referrer"


def signed_in(page: Page, *, at_holder: bool = False) -> Handler:
    """Make a handler of a page; a reader who isn't signed in is asked to, and comes back here then.

    What only the copy knows that holds the account is shown and done `at_holder`.
    """

    @wraps(page)
    async def handler(request: web.Request) -> web.StreamResponse:
        visit = await find_visit(request)
        if visit is None:
            raise web.HTTPSeeOther(f"/sign-in?next={quote(own_path(request.path_qs), safe='/')}")
        if at_holder and visit.shop is None:
            await leave_to_holder(request, request.config_dict[SERVICE], visit.account.id)
        return await page(request, visit)

    return handler


async def form_of(request: web.Request) -> Form:
    """Read a form of a page of ours; 403 if it is another's."""
    try:
        return await read_form(request)
    except BadToken:
        raise web.HTTPForbidden from None
