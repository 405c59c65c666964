"""Reading an account's TOML: what is wrong in it is told by its field, with what was expected."""

from __future__ import annotations

import difflib
import tomllib
from typing import Any

from pydantic import (
    BaseModel,
    ValidationError,
)

from ari_app.accounts.account import Account
from ari_app.accounts.sections import (
    EXTENSION_EXPECTED,
    NUMBER_EXPECTED,
    SECRETS,
    AlertSettings,
    ApiSettings,
    CallSettings,
    ClickSettings,
    Crm,
    ExtensionOf,
    ExternalPhone,
    MailSettings,
    MissedSettings,
    PbxSettings,
    WebhookSettings,
    is_shops_number,
)
from ari_app.calls import (
    People,
    e164,
    is_persons,
    parse_destinations,
)


class BadAccount(ValueError):
    """An account's file is wrong; the text names each wrong field and what was expected, a line each."""


def _newly_written(account: Account) -> list[str]:
    """Say what is wrong in a file though an account that is stored may have it: it was taken once."""
    wrong = [
        f'extensions[{index}].code: found "{one.code}", expected {EXTENSION_EXPECTED}'
        for index, one in enumerate(account.extensions)
        if not is_persons(one.code)
    ]
    wrong += [
        f'external_phones[{index}].number: found "{phone.number}", expected {NUMBER_EXPECTED}'
        for index, phone in enumerate(account.external_phones)
        if not is_shops_number(e164(phone.number, account.crm.country))
    ]
    for name in ("fallback", "unknown"):
        places = parse_destinations(getattr(account.calls, name), 60)
        codes = [code for place in places if isinstance(place, People) for code in place.codes]
        wrong += [
            f'calls.{name}: found "{code}" in a group, expected {EXTENSION_EXPECTED}'
            for code in codes
            if not is_persons(code)
        ]
    return wrong


def read_account(text: str) -> Account:
    """Read an account's TOML.

    Raises:
        BadAccount: each wrong field is named with what was expected; no secret is shown.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadAccount(f"this is not TOML: {error}") from error
    try:
        account = Account.model_validate(data)
    except ValidationError as error:
        raise BadAccount("\n".join(_wrong_field(problem) for problem in error.errors())) from None
    if wrong := _newly_written(account):
        raise BadAccount("\n".join(wrong))
    return account


def _wrong_field(problem: Any) -> str:
    where = _path(problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{where}: is missing"
        case "extra_forbidden":
            return f"{where}: is not a field{_suggestion(problem['loc'])}"
        case "value_error":
            wrong = str(problem["ctx"]["error"])
        case kind if kind in _KINDS:
            wrong = f"expected {_KINDS[kind]}"
        case _:
            wrong = (
                str(problem["msg"]).replace("Input should be", "expected").replace("String should", "should")
            )
    return f"{where}: {_found(problem)}{wrong}" if where else wrong


_KINDS = {
    "string_type": 'text in quotes, such as "101"',
    "int_type": "a whole number, without quotes",
    "bool_type": "true or false, without quotes",
    "model_type": "a section of fields",
    "tuple_type": "a list",
}


def _found(problem: Any) -> str:
    """Show what was written, unless it is a secret or may hold one."""
    loc, value = problem["loc"], problem["input"]
    if (
        len(loc) < 2
        or loc[-1] in ("fallback", "unknown")
        or (loc[0], loc[-1]) in SECRETS
        or not isinstance(value, str | int | float)
    ):
        return ""
    if loc[-1] == "url" and set("@?#") & set(str(value)):
        return ""
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return f"found {shown if len(shown) <= 80 else shown[:79] + '…'}, "


def _path(loc: tuple[str | int, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


_SECTIONS: dict[str, type[BaseModel]] = {
    "crm": Crm,
    "pbx": PbxSettings,
    "calls": CallSettings,
    "clicks": ClickSettings,
    "api": ApiSettings,
    "missed": MissedSettings,
    "webhook": WebhookSettings,
    "alerts": AlertSettings,
    "mail": MailSettings,
    "extensions": ExtensionOf,
    "external_phones": ExternalPhone,
}


def _suggestion(loc: tuple[str | int, ...]) -> str:
    section = _SECTIONS.get(str(loc[0])) if len(loc) > 1 else Account
    near = difflib.get_close_matches(str(loc[-1]), section.model_fields if section else (), n=1)
    return f"; did you mean {near[0]}?" if near else ""
