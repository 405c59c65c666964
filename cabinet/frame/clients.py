"""The account that a request names by its clientId; and the session with which we ask others."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from ari_app.service.service import Service
from ari_app.service.shop import Shop

SERVICE = web.AppKey("service", Service)
HTTP = web.AppKey("http", aiohttp.ClientSession)
"""What CRMs of strangers are asked by."""


def shop_of(service: Service, client_id: str) -> Shop | None:
    """Find the account with a clientId. All are compared, each in constant time: the time tells nothing."""
    asked = client_id.encode("utf-8", "replace")
    found: Shop | None = None
    for shop in service.shops.values():
        known = shop.settings.crm.client_id.get_secret_value().encode()
        if hmac.compare_digest(known, asked):
            found = shop
    return found


async def asking(app: web.Application) -> AsyncIterator[None]:
    """Keep what CRMs of strangers are asked by, as long as the application runs."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        app[HTTP] = session
        yield
