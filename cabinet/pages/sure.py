"""Asks before something is taken away: with JavaScript at once, without it on a page of its own."""

from __future__ import annotations

from aiohttp import web

from cabinet.frame.rendering import page
from cabinet.frame.visits import Form, Visit

SURE = "sure"
_KEPT = ("was", "remove", "q")
"""What the form that asked again has to hold."""


def is_sure(form: Form) -> bool:
    """Tell whether the reader was asked."""
    return form.get(SURE) == "yes"


def ask_whether(
    request: web.Request, visit: Visit, what: str, name: str, back: str, form: Form | None = None
) -> web.Response:
    """Ask whether to take away an ``extension``, a ``number`` or a ``token``; `back` is where a no leads."""
    kept = {field: form[field] for field in _KEPT if form is not None and field in form}
    return page(request, "sure.html", visit, what=what, name=name, back=back, kept=kept)
