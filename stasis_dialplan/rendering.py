"""The files themselves, from the templates beside this module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ari_app.accounts.dialplan_names import (
    local_context,
    named_context,
    named_exten,
    ring_context,
    ring_format,
)
from ari_app.calls import DIRECTLY, Destination, Dialplan, People, Queue
from stasis_dialplan.settings import SHORTEST_OUTSIDE, Route, Settings

Kind = Literal["asterisk", "freepbx", "old"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_FREEPBX_ROUTES = Route("outbound-allroutes", 1)
"""FreePBX's outbound routes: what its from-internal would get to, but for our own context."""


def render(kind: Kind, settings: Settings) -> dict[str, str]:
    """Write the files of one kind of PBX: the text by the file's name.

    ``asterisk`` and ``freepbx`` hand calls to the service; ``old`` is the dialplan of shops that keep their
    own flow and only tell the service of it.
    """
    templates = Environment(  # no HTML  # nosec B701
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # no HTML; `conf` escapes for Asterisk's files
    )
    templates.filters["conf"] = lambda text: str(text).replace(";", "\\;")
    app = settings.stasis_app
    values: dict[str, object] = {
        "s": settings,
        "app": app,
        "freepbx": kind == "freepbx",
        "ring": ring_context(app),
        "without_us": [_without_us(place, settings, kind) for place in _reached(settings.fallback)],
        "let_out": _let_out(settings, freepbx=kind == "freepbx"),
        "other_priorities": [line for line in settings.lines if line.priority != 1],
        "local_context": lambda line: local_context(app, line.context, line.priority),
        "named": named_context(app),
        "named_exten": lambda place: named_exten(place.context, place.exten, place.priority),
        "shortest": SHORTEST_OUTSIDE,
    }
    return {
        name(app): templates.get_template(f"{kind}/{template}.j2").render(values)
        for template, name in _FILES[kind].items()
        if template not in _FOR_AJAM or settings.ami_password is not None
    }


def _same(name: str) -> Callable[[str], str]:
    return lambda _app: name


_FILES: dict[Kind, dict[str, Callable[[str], str]]] = {
    "asterisk": {
        "extensions.conf": lambda app: f"extensions_{app}.conf",
        "ari.conf": _same("ari.conf"),
        "http.conf": _same("http.conf"),
        "manager.conf": _same("manager.conf"),
    },
    "freepbx": {
        "extensions_custom.conf": _same("extensions_custom.conf"),
        "ari_general_custom.conf": _same("ari_general_custom.conf"),
        "ari_additional_custom.conf": _same("ari_additional_custom.conf"),
        "manager_custom.conf": _same("manager_custom.conf"),
    },
    "old": {
        "extensions_old.conf": _same("extensions_old.conf"),
        "extensions_custom_old.conf": _same("extensions_custom_old.conf"),
    },
}
_FOR_AJAM = {"manager.conf", "manager_custom.conf"}


def _reached(destinations: tuple[Destination, ...]) -> list[Destination]:
    """Leave out what comes after a place from which no call returns."""
    reached: list[Destination] = []
    for destination in destinations:
        reached.append(destination)
        if not isinstance(destination, People):
            break
    return reached


def _without_us(destination: Destination, settings: Settings, kind: Kind) -> str:
    """Write what the dialplan does with a destination while the service is away."""
    match destination:
        case People(codes, seconds):
            channel = settings.channel_format
            if kind == "freepbx" and channel == DIRECTLY:
                channel = ring_format(settings.stasis_app)
            channels = "&".join(channel.replace("##", code) for code in codes)
            return f"Dial({channels},{max(1, round(seconds))})"
        case Queue(context, exten):
            return f"Goto({context},{exten},1)"
        case Dialplan(context, exten, priority):
            return f"Goto({context},{exten},{priority})"
    raise TypeError(f"{type(destination).__name__} is not where a customer's call goes")


def _let_out(settings: Settings, *, freepbx: bool) -> Route:
    """Say where calls to numbers outside go on without us; never back to where they have come from."""
    if freepbx and settings.outgoing.context.startswith("from-internal"):
        return _FREEPBX_ROUTES
    return settings.outgoing
