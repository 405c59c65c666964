"""retailCRM's callbacks: a manager clicks a customer's number, or says that they are away.

The CRM sends GET; a POST with a form is the same, and what stands in the form wins over the query. The answer
is JSON and comes at once, whatever the PBX, the CRM and Redis do meanwhile. The clientId is the only secret
that the CRM sends, so it stands in no log and in no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import TypeAlias

import structlog
from aiohttp import web
from multidict import MultiMapping

from ari_app.accounts.managers import NoExtension, extension_of
from ari_app.service.click_to_call import NotPlaced, TooMany
from ari_app.service.shop import Shop
from ari_app.service.statuses import WORDS
from cabinet.frame.clients import SERVICE, NotReady, Unknown, shop_of
from cabinet.frame.security import FORM_SECONDS, UNREADABLE

log = structlog.get_logger(__name__)

LONGEST_FORM = 65_536
"""Bytes."""
LONGEST_VALUE = 256
"""Characters."""
READY_SECONDS = 2
"""When to come again while the accounts are being opened."""

Fields: TypeAlias = Mapping[str, str]
Callback: TypeAlias = Callable[[Shop, Fields], web.Response]
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]

_PARAMETERS = ("clientId", "code", "userId", "phone", "externalPhone", "status")


class Refused(Exception):
    """The CRM asks for what can't be done: the HTTP status, and a sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _callback(callback: Callback) -> Handler:
    """Make a handler: read the fields, find the shop, and say no in JSON."""

    @wraps(callback)
    async def handler(request: web.Request) -> web.Response:
        try:
            fields = await read_fields(request)
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
    """changeUserStatusUrl: know who is away."""
    try:
        code = extension_of(shop.settings, fields.get("code", ""), fields.get("userId", ""))
    except NoExtension as problem:
        raise Refused(400, str(problem)) from None
    word = fields.get("status", "")
    if word not in WORDS:
        raise Refused(400, "status is none of free, busy, dinner, break")
    shop.note_status(code, word)
    return answer(200, {"success": True})


async def read_fields(
    request: web.Request, names: tuple[str, ...] = _PARAMETERS, longest: int = LONGEST_VALUE
) -> dict[str, str]:
    """Read the parameters of the query and of the form.

    Raises:
        Refused
    """
    fields = _values(request.query, names, longest)
    if request.method == "POST":
        fields |= _values(await _form(request), names, longest)
    return fields


def _values(given: MultiMapping[object], names: tuple[str, ...], longest: int) -> dict[str, str]:
    """Read the parameters that are ours; one that comes twice must say the same twice."""
    values = {}
    for name in names:
        said = given.getall(name, [])
        if not said:
            continue
        value = said[0]
        if not isinstance(value, str) or len(value) > longest:
            raise Refused(400, f"{name} is not a text of at most {longest} characters")
        if any(another != value for another in said):
            raise Refused(400, f"{name} comes twice")
        values[name] = value
    return values


async def _form(request: web.Request) -> MultiMapping[object]:
    too_long = Refused(413, f"the form is longer than {LONGEST_FORM} bytes")
    if (request.content_length or 0) > LONGEST_FORM:
        raise too_long
    try:
        async with asyncio.timeout(FORM_SECONDS):
            form = await request.clone(client_max_size=LONGEST_FORM).post()
    except web.HTTPRequestEntityTooLarge:
        raise too_long from None
    except TimeoutError:
        raise Refused(408, "the form does not come") from None
    except UNREADABLE:
        raise Refused(400, "the form can't be read") from None
    for value in form.values():
        if isinstance(value, web.FileField):
            value.file.close()
    return form


def no(status: int, sentence: str) -> web.Response:
    """Refuse what the CRM asks for."""
    return answer(status, {"success": False, "errorMsg": sentence})


def answer(status: int, body: dict[str, object]) -> web.Response:
    """Answer the CRM."""
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})
