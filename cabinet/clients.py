"""Who asks: the account whose clientId a request names."""

from __future__ import annotations

import hmac

from aiohttp import web

from ari_app.service import Service
from ari_app.shop import Shop

SERVICE = web.AppKey("service", Service)


def shop_of(service: Service, client_id: str) -> Shop | None:
    """Find the account with a clientId. All are compared, each in constant time: the time tells nothing."""
    asked = client_id.encode("utf-8", "replace")
    found: Shop | None = None
    for shop in service.shops.values():
        known = shop.settings.crm.client_id.get_secret_value().encode()
        if hmac.compare_digest(known, asked):
            found = shop
    return found
