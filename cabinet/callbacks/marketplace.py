"""The simple connection: a click in the CRM's marketplace makes an account here, with a key made for it.

The CRM asks what the key has to be allowed (`config`), and then brings it (`register`), with a token that
only it and we can make. That is possible when the service has the marketplace's secret.
"""

from __future__ import annotations

import hmac
import json

import structlog
from aiohttp import web
from pydantic import SecretStr

from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.registration import PERMISSIONS, account_address
from ari_app.service.crm_door import NotLetIn, let_in, read_shown
from ari_app.store.sessions import Attempts
from cabinet.callbacks.answers import Refused, answer, no
from cabinet.callbacks.fields import LONGEST_FORM, read_fields
from cabinet.frame.clients import HTTP, SERVICE
from cabinet.frame.proxies import address_of, counted_as
from cabinet.frame.security import ATTEMPTS, ATTEMPTS_SECONDS

log = structlog.get_logger(__name__)

_SENTENCES = {
    "refused": "apiKey is not known to the CRM",
    "rights": "apiKey lacks permissions: {}",
    "nobody": "there is no account at systemUrl",
    "silent": "the CRM does not answer; try again later",
    "module": "the module can't be registered: {}",
    "letters": "apiKey has characters that no key has",
    "domain": "systemUrl is not an address of retailCRM",
    "address": "systemUrl is not an address",
    "empty": "systemUrl or apiKey is empty",
}
"""The sentence for each reason for which a key isn't let in (`NotLetIn.why`)."""


async def config(request: web.Request) -> web.Response:
    """Say what a key has to be allowed, and where it is brought."""
    _secret(request)
    url = f"{request.app[SERVICE].public_url}/crm/register"
    scopes = sorted(set(PERMISSIONS.values()))
    return answer(200, {"success": True, "scopes": scopes, "registerUrl": url})


async def register(request: web.Request) -> web.Response:
    """Make an account with the key that is brought, and register the module."""
    secret = _secret(request)
    try:
        return answer(200, {"success": True, "accountUrl": await _register(request, secret)})
    except Refused as refused:
        log.warning("a connection is refused", why=str(refused), address=address_of(request))
        return no(refused.status, str(refused))
    except StoreUnavailable:
        return no(503, "the account can't be kept now; try again later")


def _secret(request: web.Request) -> SecretStr:
    secret = request.app[SERVICE].settings.marketplace_secret
    if secret is None:
        raise web.HTTPNotFound(text="This service has no marketplace secret.\n")
    return secret


async def _register(request: web.Request, secret: SecretStr) -> str:
    """Give the address of the account's cabinet."""
    service = request.app[SERVICE]
    fields = await read_fields(request, ("register",), LONGEST_FORM)
    given = _read(fields.get("register", ""))
    key = given["apiKey"].encode("utf-8", "replace")
    token = hmac.digest(secret.get_secret_value().encode(), key, "sha256").hex()
    if not hmac.compare_digest(token.encode(), given["token"].lower().encode("utf-8", "replace")):
        await _count_wrong(request)
        raise Refused(403, "token is wrong")
    try:
        shown = read_shown(given["systemUrl"], given["apiKey"], service.settings.crm_domains)
        account = await let_in(service, request.app[HTTP], service.informing, shown)
    except NotLetIn as refused:
        said = ", ".join(refused.missing) or refused.detail
        raise Refused(400, _SENTENCES.get(refused.why, refused.why).format(said)) from None
    cabinet = account.crm.cabinet_secret
    assert cabinet is not None
    service.doors.add(account)
    log.info("connected from the CRM", account=account.id)
    await service.synchronising.begin_first(account.id)
    return account_address(service.public_url, cabinet.get_secret_value())


async def _count_wrong(request: web.Request) -> None:
    """Count a wrong token; a right one is taken whatever others have tried."""
    who = counted_as(request)
    attempts = Attempts(request.app[SERVICE].redis, ATTEMPTS, ATTEMPTS_SECONDS)
    if who is not None and await attempts.take(f"register:{who}") is not None:
        raise Refused(429, "too many wrong attempts; try again later")


def _read(text: str) -> dict[str, str]:
    names = ("systemUrl", "apiKey", "token")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise Refused(400, "register is not an object in JSON")
    if not all(isinstance(given.get(name), str) and given[name] for name in names):
        raise Refused(400, f"register needs {', '.join(names)}")
    return {name: given[name] for name in names}
