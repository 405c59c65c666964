"""Phone numbers in one normal form, E.164, for comparing and for sending."""

from __future__ import annotations

import re

import phonenumbers

_WITHHELD = frozenset(
    {"", "anonymous", "unknown", "restricted", "private", "unavailable", "withheld", "asterisk", "s", "none"}
)
_NOISE = re.compile(r"[\s().\-/\u00a0]")
_SIP = re.compile(r"(?:sips?|tel):([^@;>]*)", re.IGNORECASE)


def e164(text: str | None, country: str) -> str | None:
    """Bring a number as a trunk, a phone or the CRM gives it into E.164.

    It is read as a number of `country` (ISO 3166-1 alpha-2) first, then as an international one whose ``+``
    was left off. What is neither (112, an internal number) keeps its digits. None means: withheld.
    """
    cleaned = _clean(text)
    if cleaned is None:
        return None
    candidates = [(cleaned, country)]
    if not cleaned.startswith("+"):
        candidates.append((f"+{cleaned}", country))
    for candidate, region in candidates:
        try:
            number = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return cleaned


def _clean(text: str | None) -> str | None:
    plain = (text or "").strip()
    uri = _SIP.match(plain)
    plain = uri[1] if uri else plain
    if plain.lower() in _WITHHELD:
        return None
    plain = _NOISE.sub("", plain)
    kept = re.sub(r"[^0-9*#]", "", plain)
    if not kept:
        return None
    return f"+{kept}" if plain.startswith("+") else kept


def masked(number: str | None) -> str:
    """Show a number in a log without giving it away: ``+7916***4567``."""
    if number is None:
        return "withheld"
    if len(number) < 8:
        return number
    return f"{number[:-7]}***{number[-4:]}"
