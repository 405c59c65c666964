"""retailCRM's callbacks: a manager clicks a customer's number, or says that they are away.

The answer comes at once, whatever the PBX, the CRM and Redis do meanwhile. The CRM comes to an address that
only it knows (`registration.callback_key`), with the clientId; an address without that secret, at which it
was registered by hand or by an older version, does less, until the account closes it. Neither stands in a log
or in an answer.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeAlias

from aiohttp import web

from ari_app.accounts.managers import NoExtension, extension_of
from ari_app.retailcrm.registration import callback_key
from ari_app.service.click_to_call import NotPlaced, TooMany
from ari_app.service.shop import Shop
from ari_app.service.statuses import WORDS
from cabinet.callbacks.answers import Refused, answer, no
from cabinet.callbacks.fields import Fields, read_fields
from cabinet.frame.clients import NotReady, Unknown, shop_for

READY_SECONDS = 2
"""When to come again while the accounts are being opened."""

Callback: TypeAlias = Callable[[Shop, Fields, bool], web.Response]
"""The last says whether the CRM came to the address that only it knows."""
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]

_PARAMETERS = ("clientId", "code", "userId", "phone", "externalPhone", "status")


def _callback(callback: Callback) -> Handler:
    """Make a handler: read the fields, find the shop, and say no in JSON."""

    @wraps(callback)
    async def handler(request: web.Request) -> web.Response:
        try:
            fields = await read_fields(request, _PARAMETERS)
            shop = await shop_for(request, fields.get("clientId", ""))
            key = request.match_info.get("key")
            if key is not None and not _is_key_of(shop, key):
                raise Unknown
            return callback(shop, fields, key is not None)
        except Unknown:
            return no(401, "clientId or the address is not known here")
        except NotReady:
            later = no(503, "the account is just being opened; try again in a moment")
            later.headers["Retry-After"] = str(READY_SECONDS)
            return later
        except Refused as refused:
            return no(refused.status, str(refused))

    return handler


def _is_key_of(shop: Shop, key: str) -> bool:
    secret = shop.settings.crm.cabinet_secret
    known = callback_key(secret.get_secret_value()) if secret is not None else ""
    return bool(known) and hmac.compare_digest(known.encode(), key.encode("utf-8", "replace"))


@_callback
def call(shop: Shop, fields: Fields, known: bool) -> web.Response:
    """makeCallUrl: ring the manager, and then the customer."""
    if not shop.activity.on:
        raise Refused(403, "telephony is switched off: switch the module on in retailCRM")
    code, user, phone, ours = (fields.get(name, "") for name in ("code", "userId", "phone", "externalPhone"))
    try:
        placed = shop.clicks.place(code, user, phone, ours, known)
    except NotPlaced as refused:
        shop.note_refused_click(code or user, refused)
        said = no(refused.status, refused.sentence)
        if isinstance(refused, TooMany):
            said.headers["Retry-After"] = str(refused.retry_after)
        return said
    return answer(200, {"success": True, "call": placed})


@_callback
def status(shop: Shop, fields: Fields, known: bool) -> web.Response:
    """changeUserStatusUrl: note that a manager is away, or back."""
    if not known and not shop.settings.clicks.client_id_is_enough:
        raise Refused(403, "clientId alone says nothing of managers: the CRM knows the whole address")
    try:
        code = extension_of(shop.settings, fields.get("code", ""), fields.get("userId", ""))
    except NoExtension as problem:
        raise Refused(400, str(problem)) from None
    word = fields.get("status", "")
    if word not in WORDS:
        raise Refused(400, "status is none of free, busy, dinner, break")
    shop.note_status(code, word)
    return answer(200, {"success": True})
