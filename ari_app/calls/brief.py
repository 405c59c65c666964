"""Values as they are stored: without the fields that have the value they begin with, which reading fills in.

So whoever gives a field another default changes what is stored: calls from before have it then, too.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

_DEFAULTS: dict[type, tuple[tuple[str, Any], ...]] = {}
"""The fields of each kind of value that was stored, with their defaults."""


def brief(value: Any) -> dict[str, Any]:
    """Give the fields of a dataclass that don't have their defaults; what is within them stays as it is."""
    kind = type(value)
    known = _DEFAULTS.get(kind)
    if known is None:
        known = _DEFAULTS[kind] = tuple((one.name, _default(one)) for one in fields(value))
    found = {}
    for name, default in known:
        inner = getattr(value, name)
        if inner is default or (inner == default and type(inner) is type(default)):
            continue
        found[name] = inner
    return found


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()
