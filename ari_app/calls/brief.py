"""Values as they are stored: without the fields that have the value they begin with, which reading fills in.

So whoever gives a field another default changes what is stored: calls from before have it then, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from operator import attrgetter
from typing import Any, TypeAlias

_Reader: TypeAlias = Callable[[Any], tuple[Any, ...]]
_KINDS: dict[type, tuple[_Reader, tuple[tuple[str, Any], ...]]] = {}
"""Of each kind of value that was stored what reads its fields, and these with their defaults."""


def brief(value: Any) -> dict[str, Any]:
    """Give the fields of a dataclass that don't have their defaults; what is within them stays as it is."""
    kind = type(value)
    read, known = _KINDS.get(kind) or _learn(kind)
    found = {}
    for (name, default), inner in zip(known, read(value), strict=True):
        if inner is default or (inner == default and type(inner) is type(default)):
            continue
        found[name] = inner
    return found


def _learn(kind: type) -> tuple[_Reader, tuple[tuple[str, Any], ...]]:
    known = tuple((one.name, _default(one)) for one in fields(kind))
    names = [name for name, _ in known]
    if len(names) > 1:
        read: _Reader = attrgetter(*names)
    else:

        def read(value: Any) -> tuple[Any, ...]:
            return tuple(getattr(value, name) for name in names)

    _KINDS[kind] = read, known
    return _KINDS[kind]


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()
