"""What people do in the cabinet, for the journal of events, with the address that they came from."""

from __future__ import annotations

import time
from contextlib import suppress

from aiohttp import web

from ari_app.errors import StoreUnavailable
from ari_app.store.events import Event, EventStore, What
from cabinet.frame.clients import SERVICE
from cabinet.frame.proxies import address_of


async def note(request: web.Request, account_id: str, what: What, **values: str) -> None:
    """Note what is done already; it stays done while the journal can't be written."""
    event = Event(time.time(), what, {**values, "address": address_of(request)})
    with suppress(StoreUnavailable):
        await EventStore(request.app[SERVICE].redis, account_id).add(event)
