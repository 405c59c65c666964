"""What a reader chooses for themselves: the language."""

from __future__ import annotations

from aiohttp import web

from cabinet.frame.language import COOKIE, KEPT_SECONDS, LANGUAGES
from cabinet.frame.security import own_path
from cabinet.frame.visits import form_of


async def choose(request: web.Request) -> web.Response:
    """Keep the language, and go back to the page."""
    form = await form_of(request)
    language = form.get("language", "")
    if language not in LANGUAGES:
        raise web.HTTPBadRequest
    answer = web.Response(status=303, headers={"Location": own_path(form.get("back"))})
    answer.set_cookie(COOKIE, language, max_age=KEPT_SECONDS, path="/", httponly=True, samesite="Lax")
    return answer
