"""«Телефония»: what phones show, how long they ring, where a call goes when nobody takes it, recording."""

from __future__ import annotations

from aiohttp import web

from ari_app.accounts import Registration
from cabinet.forms import Filled, Flag, Form, Number, Text, saved
from cabinet.rendering import page
from cabinet.visits import Visit, signed_in

FORM = Form(
    Registration,
    Text("calls.caller_name_prefix"),
    Text("calls.manager_caller_name"),
    Flag("calls.blank_unknown_caller"),
    Number("calls.ring_manager_seconds"),
    Number("calls.ring_group_seconds"),
    Flag("calls.ignore_manager_status"),
    Flag("calls.record"),
)


def add_routes(app: web.Application) -> None:
    """Let the page be reached."""
    app.router.add_get("/telephony", signed_in(show))
    app.router.add_post("/telephony", signed_in(save))


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the settings."""
    return _page(request, visit, FORM.show(request, visit.account))


async def save(request: web.Request, visit: Visit) -> web.Response:
    """Store what was typed, if it is right."""
    filled = await FORM.store(request, visit.account.id)
    return _page(request, visit, filled) if filled.bad else saved("/telephony")


def _page(request: web.Request, visit: Visit, filled: Filled[Registration]) -> web.Response:
    return page(request, "telephony.html", visit, status=filled.status, form=filled)
