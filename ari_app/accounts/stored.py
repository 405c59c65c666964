"""Accounts as they are stored, also by a newer version: what that one has added doesn't close a shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ari_app.accounts.account import RegisteredAccount, checked_account

_GROWING = (("calls", "fallback"), ("calls", "unknown"), ("calls", "recording_format"), ("missed", "notify"))
"""Fields of which a newer version may know more values. Better without them than not at all."""

Place = tuple[int | str, ...]
"""Where something stands in an account: a section, an index in a list, a field."""


def stored_account(data: Mapping[str, Any]) -> tuple[RegisteredAccount, list[str]]:
    """Make an account of what is stored; name what is left out, because only another version can read it.

    Raises:
        ValidationError: there is more that can't be read than a newer version may have written.
    """
    try:
        return checked_account(data), []
    except ValidationError as problem:
        places = [_left_out(error["loc"], error["type"]) for error in problem.errors()]
        strange = [place for place in places if place is not None]
        if len(strange) < len(places):
            raise
    return checked_account(_without(data, strange)), [".".join(map(str, place)) for place in strange]


def _left_out(place: Place, problem: str) -> Place | None:
    if problem == "extra_forbidden" or place in _GROWING:
        return place
    return None


def _without(data: Any, places: Sequence[Place]) -> Any:
    """Copy what is stored, without the fields at these places."""
    if isinstance(data, Mapping):
        items = data.items()
        return {name: _without(value, _below(name, places)) for name, value in items if (name,) not in places}
    if isinstance(data, list):
        return [_without(value, _below(index, places)) for index, value in enumerate(data)]
    return data


def _below(name: int | str, places: Sequence[Place]) -> list[Place]:
    return [place[1:] for place in places if place[0] == name and len(place) > 1]
