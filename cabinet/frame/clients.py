"""The account that a request names by its clientId; and the session with which we ask others."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from ari_app.service.service import Service
from ari_app.service.shop import Shop
from ari_app.steps import begin
from cabinet.frame.passing import leave_to_holder

SERVICE = web.AppKey("service", Service)
HTTP = web.AppKey("http", aiohttp.ClientSession)
"""What CRMs of strangers are asked by."""


class NotFound(Exception):
    """There is no account at work to be found by what is asked with."""


class Unknown(NotFound):
    """No account has this clientId."""


class NotReady(NotFound):
    """An account may have it: the accounts aren't read yet, or one is just being opened. Come again."""


class Elsewhere(NotReady):
    """An account has it that is another copy's, or just being opened."""

    def __init__(self, account: str) -> None:
        super().__init__(account)
        self.account = account


async def shop_for(request: web.Request, client_id: str) -> Shop:
    """Find the account with a clientId, or leave the request to the copy that holds it.

    Raises:
        Unknown, NotReady, PassOn
    """
    service = request.config_dict[SERVICE]
    try:
        return shop_of(service, client_id)
    except Elsewhere as elsewhere:
        await leave_to_holder(request, service, elsewhere.account)
        raise


def shop_of(service: Service, client_id: str) -> Shop:
    """Find the account with a clientId. All are compared, each in constant time: the time tells nothing.

    Raises:
        Unknown, NotReady, Elsewhere
    """
    asked = client_id.encode("utf-8", "replace")
    found: Shop | None = None
    for shop in service.shops.values():
        known = shop.settings.crm.client_id.get_secret_value().encode()
        if hmac.compare_digest(known, asked):
            found = shop
    away: str | None = None
    for account in service.elsewhere:
        if hmac.compare_digest(account.crm.client_id.get_secret_value().encode(), asked):
            away = account.id
    if found is not None:
        begin("a request", found.account)
        return found
    if away is not None:
        raise Elsewhere(away)
    raise Unknown if service.loaded.is_set() else NotReady


async def asking(app: web.Application) -> AsyncIterator[None]:
    """Keep what CRMs of strangers are asked by, as long as the application runs."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        app[HTTP] = session
        yield
