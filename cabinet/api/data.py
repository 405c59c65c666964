"""What a shop's administrator downloads for the PBX: the AGI script `event2.sh`."""

from __future__ import annotations

from aiohttp import web

from ari_app.accounts.account import RegisteredAccount
from ari_app.errors import StoreUnavailable
from cabinet.frame.clients import SERVICE
from cabinet.frame.visits import find_visit
from stasis_dialplan.event2 import event2


async def script(request: web.Request) -> web.Response:
    """Give the script, with the clientId for a reader who is signed in; strangers fill it in themselves."""
    try:
        visit = await find_visit(request)
    except StoreUnavailable:
        visit = None
    return event2_script(request.app[SERVICE].public_url, visit.account if visit else None)


def event2_script(public_url: str, account: RegisteredAccount | None = None) -> web.Response:
    """Answer with the script: an account's own, or the one that says where the clientId belongs."""
    client_id = account.crm.client_id.get_secret_value() if account else ""
    return web.Response(
        body=event2(client_id, public_url).encode(),
        headers={
            "Content-Type": "text/x-shellscript; charset=utf-8",
            "Content-Disposition": 'attachment; filename="event2.sh"',
            "Cache-Control": "no-store" if account else "no-cache",
            "Vary": "Cookie",
            "X-Content-Type-Options": "nosniff",
        },
    )
