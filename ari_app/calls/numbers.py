"""Phone numbers in one normal form, E.164, for comparing and for sending."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import phonenumbers

LONGEST_INTERNAL = 6
"""Digits; what is as short is an extension or a service (101, 112), whatever a country's plan would allow."""
LONGEST_DIALLED = 32
"""Characters."""

_WITHHELD = frozenset(
    {"", "anonymous", "unknown", "restricted", "private", "unavailable", "withheld", "asterisk", "s", "none"}
)
_URI = re.compile(r"(?:.*<)?\s*(?:sips?|tel):([^@;?>]*)", re.IGNORECASE | re.DOTALL)
_BRACKETS = re.compile(r".*<([^<>]*)>", re.DOTALL)
_EXTENSION = re.compile(r"(?:[,;]|\s*(?:ext|extension|доб|доп|вн|x)\b).*", re.IGNORECASE | re.DOTALL)
_TRUNK_ZERO = re.compile(r"\(0\)")
_LOST_PLUS = re.compile(r" [0-9]")
_PUNCTUATION = str.maketrans("", "", " ()-.")
_DIALLED = re.compile(r"\+?[*#]*[0-9][0-9*#]*")
_NOT_DIALLED = re.compile(r"[^0-9*#]")


def e164(text: str | None, country: str) -> str | None:
    """Bring a number as a trunk, a phone or the CRM gives it into E.164, such as ``+74951112233``.

    It is read as a number of `country` (ISO 3166-1 alpha-2) first, then as an international one whose ``+``
    was left off. What is neither (112, an internal number) keeps its digits. None means: withheld.
    """
    cleaned = _clean(text)
    if cleaned is None or len(cleaned) <= LONGEST_INTERNAL:
        return cleaned
    for reading, region in _readings(cleaned, country):
        try:
            number = phonenumbers.parse(reading, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return cleaned


def _readings(cleaned: str, country: str) -> Iterator[tuple[str, str]]:
    """Give what a number may be, the likeliest first."""
    digits = cleaned.lstrip("+")
    own_code = str(phonenumbers.country_code_for_region(country))
    if cleaned.startswith("+") or digits.startswith(own_code):
        yield f"+{digits}", country
    yield digits, country
    for abroad in ("00", "810"):
        if digits.startswith(abroad):
            yield f"+{digits.removeprefix(abroad)}", country
    yield f"+{digits}", country
    if digits.startswith("80"):  # 8-0XX, as it was dialled in the Soviet Union and still is in Ukraine
        yield digits[1:], country


def _clean(text: str | None) -> str | None:
    """Give what would be dialled, with a ``+`` in front if it had one."""
    plain = (text or "").strip()
    if (found := _URI.match(plain) or _BRACKETS.match(plain)) is not None:
        plain = unquote(found[1]).strip()
    else:
        plain = plain.partition("@")[0]
    if plain.casefold() in _WITHHELD:
        return None
    plain = _TRUNK_ZERO.sub("", _EXTENSION.sub("", plain))
    kept = _NOT_DIALLED.sub("", plain)
    if not any(map(str.isdigit, kept)):
        return None
    return f"+{kept}" if plain.lstrip("( ").startswith("+") else kept


class NotDialled(ValueError):
    """This is not a number that can be dialled; the text says why, without the number."""


def dialled(text: str) -> str:
    """Bring a number as retailCRM asks to call it into what is dialled: digits, ``*``, ``#``, a ``+`` first.

    Unlike `e164` it changes nothing that is dialled, for the shop's dialplan is made for numbers as its
    people write them; and as a stranger may have sent it, it forgives nothing but punctuation. A ``+`` that
    was put into a query as it is arrives as a space, so a space right before the first digit is that ``+``.

    Raises:
        NotDialled: it is empty, too long, or more than digits and punctuation.
    """
    if _LOST_PLUS.match(text):
        text = f"+{text[1:]}"
    kept = text.translate(_PUNCTUATION)
    if not kept:
        raise NotDialled("phone is empty")
    if len(kept) > LONGEST_DIALLED:
        raise NotDialled(f"phone is longer than {LONGEST_DIALLED} characters")
    if not _DIALLED.fullmatch(kept):
        raise NotDialled("phone is not a number: expected digits, * and #, with + in front or without")
    return kept


def masked(number: str | None) -> str:
    """Show a number in a log without giving it away: ``+7916***4567``; internal numbers stay readable."""
    if number is None:
        return "withheld"
    if len(number) < LONGEST_INTERNAL:
        return number
    return f"{number[:-7]}***{number[-4:]}"
