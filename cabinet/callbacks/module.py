"""What the CRM says of our module: it is switched on or off, its CRM has moved, its settings are such.

Each comes as a form with the clientId, to an address that only the CRM knows (`registration.callback_key`).
An account stays the same account when its CRM moves; the new address must be one of the CRM's, and must know
our key and our module, before we follow.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeAlias

import structlog
from aiohttp import web

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.activity import CrmSettings
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.errors import CrmError, CrmUnavailable
from ari_app.retailcrm.module import MODULE_CODE
from ari_app.retailcrm.registration import account_address, callback_key
from ari_app.service.crm_door import NotLetIn, Shown, read_shown
from ari_app.store.accounts import AccountConflict
from ari_app.store.module import ModuleStore
from cabinet.callbacks.answers import Refused, answer, no
from cabinet.callbacks.fields import LONGEST_FORM, LONGEST_VALUE, Fields, read_fields
from cabinet.frame.clients import HTTP, SERVICE
from cabinet.frame.passing import leave_to_holder

log = structlog.get_logger(__name__)

MOST_TIMES = 100
"""Working times and free days that are kept."""

Callback: TypeAlias = Callable[[web.Request, RegisteredAccount, Fields], Awaitable[None]]
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]


def _callback(callback: Callback) -> Handler:
    """Make a handler: read the form, find the account, and say no in JSON."""

    @wraps(callback)
    async def handler(request: web.Request) -> web.Response:
        try:
            names = ("clientId", "activity", "systemUrl", "settings")
            fields = await read_fields(request, names, LONGEST_FORM)
            account = await _account_of(request, fields.get("clientId", ""))
            service = request.app[SERVICE]
            if account.id not in service.shops:
                await leave_to_holder(request, service, account.id)
            await callback(request, account, fields)
        except Refused as refused:
            log.info("what the CRM says of the module is not taken", path=_kind(request), why=str(refused))
            return no(refused.status, str(refused))
        except StoreUnavailable:
            return no(503, "this can't be kept now; say it again later")
        return answer(200, {"success": True})

    return handler


def _kind(request: web.Request) -> str:
    return request.path.rpartition("/")[0]  # the rest is a secret


async def _account_of(request: web.Request, client_id: str) -> RegisteredAccount:
    """Find the account. All are compared, each in constant time: the time tells nothing."""
    found, asked = None, (client_id + "/" + request.match_info["key"]).encode("utf-8", "replace")
    for account in await request.app[SERVICE].accounts.registered():
        secret = account.crm.cabinet_secret
        if secret is None:
            continue
        key = callback_key(secret.get_secret_value())
        known = f"{account.crm.client_id.get_secret_value()}/{key}"
        if hmac.compare_digest(known.encode(), asked):
            found = account
    if found is None:
        raise Refused(401, "clientId or the address is not known here")
    return found


@_callback
async def activity(request: web.Request, account: RegisteredAccount, fields: Fields) -> None:
    """Switch telephony on or off; follow the CRM to where it has moved."""
    if "activity" not in fields and "systemUrl" not in fields:
        raise Refused(400, "activity is missing")
    service = request.app[SERVICE]
    if "activity" in fields:
        told = _object("activity", fields["activity"])
        if not told.keys() & {"active", "freeze"}:
            raise Refused(400, "activity says neither whether it is active nor whether it is frozen")
        await service.switch_telephony(account.id, _flag(told, "active"), _flag(told, "freeze"))
    if fields.get("systemUrl"):
        await _follow(request, account, fields["systemUrl"])


async def _follow(request: web.Request, account: RegisteredAccount, address: str) -> None:
    service = request.app[SERVICE]
    try:
        shown = read_shown(address, account.crm.api_key.get_secret_value(), service.settings.crm_domains)
    except NotLetIn:
        raise Refused(400, "systemUrl is not an address of retailCRM") from None
    if shown.url == account.crm.url:
        return
    await _see_that_we_are_known(request, account, shown)

    def moved(now: RegisteredAccount) -> RegisteredAccount:
        return now.model_copy(
            update={"name": account.id, "crm": now.crm.model_copy(update={"url": shown.url})}
        )

    try:
        await service.accounts.change(account.id, moved)
    except AccountConflict as problem:
        log.warning("the CRM can't be followed", account=account.id, problem=str(problem))
        raise Refused(400, "another account is at this systemUrl") from None
    log.info("the CRM has moved", account=account.id, to=shown.url)


async def _see_that_we_are_known(request: web.Request, account: RegisteredAccount, shown: Shown) -> None:
    """Make sure that the new address knows our key, and our module with the secret of its cabinet."""
    crm = RetailCrm(request.app[HTTP], shown.url, shown.key, request.app[SERVICE].pace_of(shown.key))
    try:
        there = await crm.module(MODULE_CODE)
    except CrmUnavailable:
        raise Refused(503, "systemUrl can't be reached; say it again later") from None
    except CrmError:
        raise Refused(400, "systemUrl does not know our key") from None
    secret = account.crm.cabinet_secret
    assert secret is not None  # it was found by it
    ours = account_address(request.app[SERVICE].public_url, secret.get_secret_value())
    theirs = (there.account_url if there else None) or ""
    if not hmac.compare_digest(theirs.encode("utf-8", "replace"), ours.encode()):
        raise Refused(400, "systemUrl does not know our module")


@_callback
async def settings(request: web.Request, account: RegisteredAccount, fields: Fields) -> None:
    """Keep the settings that the CRM tells; its time zone is used at once."""
    if "settings" not in fields:
        raise Refused(400, "settings is missing")
    told = _object("settings", fields["settings"])
    read = CrmSettings(
        timezone=_text(told.get("timezone")),
        language=_text(told.get("system_language")),
        currency=_text(told.get("default_currency")),
        work_times=_objects(told.get("work_times")),
        non_working_days=_objects(told.get("non_working_days")),
    )
    if read.timezone is not None and read.zone is None:
        log.warning(
            "the CRM names a time zone that is not known here", account=account.id, zone=read.timezone
        )
    service = request.app[SERVICE]
    store = ModuleStore(service.redis, account.id)
    await store.keep_settings(read)
    if read.timezone is not None and read.zone is not None:
        await store.keep_zone(read.timezone)
    shop = service.shops.get(account.id)
    if shop is not None:
        shop.take_crm_settings(read)


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise Refused(400, f"{name} is not an object in JSON")
    return read


def _flag(told: dict[str, Any], name: str) -> bool | None:
    """Read yes or no; None when nothing is said, so that it stays as it was."""
    value = told.get(name)
    if value is None:
        return None
    if value in (True, 1, "1", "true"):
        return True
    if value in (False, 0, "0", "false", ""):
        return False
    raise Refused(400, f"{name} is neither true nor false")


def _text(given: object) -> str | None:
    """Take a text, or an object that has it as its value."""
    found = given.get("value") if isinstance(given, dict) else given
    return found[:LONGEST_VALUE] if isinstance(found, str) and found else None


def _objects(given: object) -> tuple[dict[str, Any], ...]:
    """Take a list of objects, or what PHP makes of one; anything else is left out."""
    found = given.get("value", list(given.values())) if isinstance(given, dict) else given
    listed = found if isinstance(found, list) else []
    return tuple(one for one in listed if isinstance(one, dict))[:MOST_TIMES]
