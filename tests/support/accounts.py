"""An account's file, as it is written for a test that needs an account and not its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

Fields = Mapping[str, object]
"""The lines of a section; a value that is None has none."""

NONE: Fields = MappingProxyType({})
PBX: Fields = MappingProxyType({"host": "127.0.0.1", "ari_username": "ari", "ari_password": "ari"})


def account_toml(
    *,
    crm: Fields = NONE,
    pbx: Fields = NONE,
    calls: Fields = NONE,
    extensions: Mapping[str, int] | Sequence[str] = (),
    phones: Sequence[Fields] = (),
) -> str:
    """Write an account's file: the shortest one, and what a test says beside or instead.

    `extensions` are those of users 1, 2, 3 ..., or of the users that are given with them; `phones` are the
    shop's own numbers.
    """
    if not isinstance(extensions, Mapping):
        extensions = {code: user for user, code in enumerate(extensions, 1)}
    sections = (
        _section("[crm]", {"url": "https://shop.retailcrm.ru", "api_key": "key", **crm}),
        _section("[pbx]", {**PBX, **pbx}),
        _section("[calls]", calls),
        *(_section("[[external_phones]]", phone) for phone in phones),
        *(_section("[[extensions]]", {"user_id": user, "code": code}) for code, user in extensions.items()),
    )
    return "\n".join(sections)


def _section(head: str, fields: Fields) -> str:
    lines = (
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in fields.items()
        if value is not None
    )
    return "\n".join((head, *lines))
