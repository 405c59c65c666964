"""What a phone shows of a caller."""

from __future__ import annotations

import re

from ari_app.calls.call import Call

NAME_LENGTH = 80


def clean_name(name: str | None) -> str | None:
    r"""Make a customer's name fit to be shown by a phone: no control characters, quotes, ``<>`` or ``${``."""
    if name is None:
        return None
    kept = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\"'`<>\\]|[$][{\[]", " ", name)
    return " ".join(kept.split())[:NAME_LENGTH].strip() or None


def shown_name(call: Call) -> str:
    """Say what a phone shows: ``[prefix]: [name]`` of a known customer, else the number."""
    if call.name is None:
        return "" if call.policy.blank_unknown_caller else (call.number or "")
    return with_prefix(call.policy.caller_name_prefix, call.name)


def with_prefix(prefix: str, name: str) -> str:
    """Write a customer's name as the shop wants it shown: ``[prefix]: [name]``."""
    clean = clean_name(prefix)
    return (f"{clean}: {name}" if clean else name)[:NAME_LENGTH]
