"""retailCRM's callbacks: a manager clicks a customer's number, or says that they are away.

The answer comes at once, whatever the PBX, the CRM and Redis do meanwhile. The clientId is the only secret
that the CRM sends, so it stands in no log and in no answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeAlias

import structlog
from aiohttp import web

from ari_app.accounts.managers import NoExtension, extension_of
from ari_app.service.click_to_call import NotPlaced, TooMany
from ari_app.service.shop import Shop
from ari_app.service.statuses import WORDS
from cabinet.callbacks.answers import Refused, answer, no
from cabinet.callbacks.fields import Fields, read_fields
from cabinet.frame.clients import SERVICE, NotReady, Unknown, shop_of

log = structlog.get_logger(__name__)

READY_SECONDS = 2
"""When to come again while the accounts are being opened."""

Callback: TypeAlias = Callable[[Shop, Fields], web.Response]
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]

_PARAMETERS = ("clientId", "code", "userId", "phone", "externalPhone", "status")


def _callback(callback: Callback) -> Handler:
    """Make a handler: read the fields, find the shop, and say no in JSON."""

    @wraps(callback)
    async def handler(request: web.Request) -> web.Response:
        try:
            fields = await read_fields(request, _PARAMETERS)
            return callback(shop_of(request.app[SERVICE], fields.get("clientId", "")), fields)
        except Unknown:
            return no(401, "clientId is not known here")
        except NotReady:
            later = no(503, "the account is just being opened; try again in a moment")
            later.headers["Retry-After"] = str(READY_SECONDS)
            return later
        except Refused as refused:
            return no(refused.status, str(refused))

    return handler


@_callback
def call(shop: Shop, fields: Fields) -> web.Response:
    """makeCallUrl: ring the manager, and then the customer."""
    if not shop.activity.on:
        raise Refused(403, "telephony is switched off: switch the module on in retailCRM")
    given = (fields.get(name, "") for name in ("code", "userId", "phone", "externalPhone"))
    try:
        placed = shop.clicks.place(*given)
    except NotPlaced as refused:
        log.info("a click-to-call isn't placed", account=shop.account, why=refused.sentence)
        said = no(refused.status, refused.sentence)
        if isinstance(refused, TooMany):
            said.headers["Retry-After"] = str(refused.retry_after)
        return said
    return answer(200, {"success": True, "call": placed})


@_callback
def status(shop: Shop, fields: Fields) -> web.Response:
    """changeUserStatusUrl: note that a manager is away, or back."""
    try:
        code = extension_of(shop.settings, fields.get("code", ""), fields.get("userId", ""))
    except NoExtension as problem:
        raise Refused(400, str(problem)) from None
    word = fields.get("status", "")
    if word not in WORDS:
        raise Refused(400, "status is none of free, busy, dinner, break")
    shop.note_status(code, word)
    return answer(200, {"success": True})
