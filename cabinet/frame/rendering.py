"""Templates, and what each of them can say."""

from __future__ import annotations

import asyncio
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import phonenumbers
from aiohttp import web
from jinja2 import FileSystemBytecodeCache, PackageLoader, StrictUndefined
from markupsafe import Markup

from cabinet.frame.assets import ASSETS
from cabinet.frame.language import LANGUAGES, chosen, speech_of
from cabinet.frame.security import TOKEN_FIELD, form_token, welcome
from cabinet.frame.visits import Visit


def set_up_templates(app: web.Application) -> None:
    """Let pages be rendered."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=PackageLoader("cabinet"),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.newstyle_gettext = True  # type: ignore[attr-defined]  # the extension's own attribute
    environment.filters["phone"] = shown_number


async def compile_templates(app: web.Application, kept: Path | None = None, pause: float = 0.0) -> None:
    """Compile all templates beside the loop; at its first use one would take it for a tenth of a second.

    A thread that computes takes the loop's turns all the while: `pause` seconds lie between two of them, and
    what was compiled is kept in a folder for the next start.
    """
    environment = aiohttp_jinja2.get_env(app)
    if kept is not None:
        await asyncio.to_thread(kept.mkdir, mode=0o700, parents=True, exist_ok=True)
        environment.bytecode_cache = FileSystemBytecodeCache(str(kept))
    for name in environment.list_templates(extensions=["html"]):
        await asyncio.sleep(pause)
        await asyncio.to_thread(environment.get_template, name)


def page(
    request: web.Request, template: str, visit: Visit | None = None, *, status: int = 200, **more: Any
) -> web.Response:
    """Render a page, or a part of one."""
    context = {
        **_said_in(chosen(request).language),
        "languages": LANGUAGES,
        "visit": visit,
        "path": request.path,
        "here": request.path_qs,
        "asset": request.app[ASSETS].url,
        "token_field": TOKEN_FIELD,
        "form_token": lambda: form_token(request),
    }
    response = aiohttp_jinja2.render_template(template, request, context | more, status=status)
    welcome(request, response)
    return response


def text_of(request: web.Request, template: str, visit: Visit, **more: Any) -> str:
    """Render a part of a page that is sent by itself."""
    context = {**_said_in(chosen(request).language), "visit": visit, **more}
    return aiohttp_jinja2.render_string(template, request, context)


@lru_cache(maxsize=10_000)
def shown_number(number: str | None) -> str:
    """Write a number in groups, as people read it: +7 916 123-45-67."""
    try:
        parsed = phonenumbers.parse(number or "")
    except phonenumbers.NumberParseException:
        return number or ""
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


@cache
def _said_in(language: str) -> dict[str, Any]:
    """Give what templates say in a language: a page says hundreds of texts, and most hold no values."""
    speech = speech_of(language)

    @cache
    def alone(text: str) -> Markup:
        return _said(speech.gettext(text), {})

    def gettext(text: str, **values: Any) -> Markup:
        return _said(speech.gettext(text), values) if values else alone(text)

    def ngettext(one: str, many: str, num: int, **values: Any) -> Markup:
        return _said(speech.ngettext(one, many, num), {"num": num, **values})

    return {"speech": speech, "_": gettext, "gettext": gettext, "ngettext": ngettext}


def _said(text: str, values: dict[str, Any]) -> Markup:
    """Put values into a text of ours, which may hold tags; what the values hold is shown as it is."""
    return Markup(text) % values  # the text is ours, its values are escaped  # nosec B704
