"""Templates, and what each of them can say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import phonenumbers
from aiohttp import web
from jinja2 import FileSystemBytecodeCache, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from cabinet.frame.assets import ASSETS
from cabinet.frame.language import LANGUAGES, chosen
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
    environment.globals.update(_=_gettext, gettext=_gettext, ngettext=_ngettext)
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
        "speech": chosen(request),
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
    return aiohttp_jinja2.render_string(
        template, request, {"speech": chosen(request), "visit": visit, **more}
    )


def shown_number(number: str | None) -> str:
    """Write a number in groups, as people read it: +7 916 123-45-67."""
    try:
        parsed = phonenumbers.parse(number or "")
    except phonenumbers.NumberParseException:
        return number or ""
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


@pass_context
def _gettext(context: Context, text: str, **values: Any) -> Markup:
    return _said(context["speech"].gettext(text), values)


@pass_context
def _ngettext(context: Context, one: str, many: str, num: int, **values: Any) -> Markup:
    return _said(context["speech"].ngettext(one, many, num), {"num": num, **values})


def _said(text: str, values: dict[str, Any]) -> Markup:
    """Put values into a text of ours, which may hold tags; what the values hold is shown as it is."""
    return Markup(text) % values  # the text is ours, its values are escaped  # nosec B704
