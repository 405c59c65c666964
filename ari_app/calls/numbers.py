"""Phone numbers in one normal form, E.164, for comparing and for sending."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from urllib.parse import unquote

import phonenumbers

LONGEST_INTERNAL = 6
"""Digits; what is as short is an extension or a service (101, 112), whatever a country's plan would allow."""
LONGEST_DIALLED = 32
"""Characters."""
_LONGEST_READ = 1_000
"""Characters of a text in which a number is looked for: a name, an address and their ornament."""

_LONGEST_E164 = 15
"""Digits."""

_WITHHELD = frozenset({"", "asterisk", "s", "none", "null"})
_WITHHELD_WORD = re.compile(
    r"anonymous|unknown|restricted|private|unavailable|withheld|blocked|hidden|no[ _-]?(number|caller)|"
    r"(number|id)[ _-](withheld|blocked|hidden)|out[ _-]of[ _-]area",
    re.IGNORECASE,
)
_NOBODY = ".invalid"
"""Ends the host of a SIP address that is nobody's (RFC 3323)."""
_CHANNEL = re.compile(
    r"[A-Za-z][A-Za-z0-9_]*/|[A-Za-z].*-[0-9a-f]{8}(;[12])?$|[^\W\d_][^\s0-9]*(?:[0-9][^\s0-9]*){1,6}$",
    re.DOTALL,
)
"""The name of a channel or a trunk, such as ``SIP/mango-00000001``, ``line2-out``: digits, but no number."""
_URI = re.compile(r"(?:.*<)?\s*(?:sips?|tel):([^@;?>]*)(?:@([^;?>:\s]*))?", re.IGNORECASE | re.DOTALL)
_BRACKETS = re.compile(r".*<([^<>]*)>", re.DOTALL)
_BEHIND_IT = re.compile(r"^((?:[^0-9]*[0-9]){3}[\W\d_]*)[^\W\d_].*", re.DOTALL)
"""What is written behind a number: what is to be dialled after the answer, in whatever words, or a name."""
_TRUNK_ZERO = re.compile(r"\(0\)")
_LOST_PLUS = re.compile(r" [0-9]")
_TEL = re.compile(r"\s*tel:(?://)?([^;]*)((?:;[A-Za-z-]+(?:=[^;]*)?)*)\s*", re.IGNORECASE | re.ASCII)
_INVISIBLE = (
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""What comes along where a number is copied from a page or a book of addresses."""
_BLANKS = " \u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_PUNCTUATION = str.maketrans("", "", f"{_BLANKS}{_DASHES}{_INVISIBLE}().")
_DIALLED = re.compile(r"\+?[*#]*[0-9][0-9*#]*")
_NOT_DIALLED = re.compile(r"[^0-9*#]")
_ZEROS = re.compile(r"[0*#]*|[0-9]0{10,}")
"""What some lines give for a number that is withheld, also behind the code of a country."""
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")


def e164(text: str | None, country: str, outside_prefix: str = "") -> str | None:
    """Bring a number as a trunk, a phone or the CRM gives it into E.164, such as ``+74951112233``.

    It is read as a number of `country` (ISO 3166-1 alpha-2) first, then as an international one whose ``+``
    was left off. What is neither (112, an internal number) keeps its digits. None means: withheld, or that
    there is no number in it (a channel's name).

    `outside_prefix` is what the shop's people dial before a number outside, such as 9.
    """
    found = _number_in(text)
    cleaned = _without_ornament(found)
    if found is not None and _TRUNK_ZERO.search(found):
        whole = _kept(found)
        if not _is_whole(cleaned, country) and _is_whole(whole, country):
            cleaned = whole  # +38 (0)44, +39 (0)6: a part of the number
    if cleaned is not None and len(cleaned) > LONGEST_DIALLED:
        return None
    if outside_prefix and cleaned is not None and cleaned.startswith(outside_prefix):
        return _behind(cleaned, cleaned.removeprefix(outside_prefix), country)
    return _in_normal_form(cleaned, country)


def _behind(whole: str, number: str, country: str) -> str | None:
    """Read what was dialled with the outside line's digit, or by its look without."""
    readings = _in_normal_form(number, country), _in_normal_form(whole, country)
    if len(whole) <= LONGEST_INTERNAL or not any(map(str.isdigit, number)):
        return whole
    return next((found for found in readings if found and found.startswith("+")), number)


@lru_cache(maxsize=1_000)
def _in_normal_form(cleaned: str | None, country: str) -> str | None:
    """Read a number. A call's, and the shop's own, are read again and again, at 0.1 ms each time."""
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


def _is_whole(number: str | None, country: str) -> bool:
    """Tell whether a number is somebody's as it stands."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number or "", country))
    except phonenumbers.NumberParseException:
        return False


def written(text: str | None) -> str | None:
    """Give the number that stands in a text as it is written there: digits, ``*``, ``#``, a ``+`` first.

    None means: withheld, or that there is no number in it. A number of zeros is how some lines say that it
    is withheld.
    """
    return _without_ornament(_number_in(text))


def _number_in(text: str | None) -> str | None:
    """Take what stands around a number away: a name, an address, an extension behind it."""
    plain = unquote((text or "")[:_LONGEST_READ]).strip()
    if (found := _URI.match(plain)) is not None:
        plain = found[1].strip()
        if (found[2] or "").rstrip(".").lower().endswith(_NOBODY):
            return None
    elif (found := _BRACKETS.match(plain)) is not None:
        plain = found[1].strip().partition("@")[0]
    else:
        plain = plain.partition("@")[0].strip()
    if plain.casefold() in _WITHHELD or _WITHHELD_WORD.match(plain) or _CHANNEL.match(plain):
        return None
    return _BEHIND_IT.sub(r"\1", re.split("[,;]", plain, maxsplit=1)[0], count=1)


def _without_ornament(found: str | None) -> str | None:
    return None if found is None else _kept(_TRUNK_ZERO.sub("", found))


def _kept(found: str) -> str | None:
    kept = _NOT_DIALLED.sub("", found)
    if _ZEROS.fullmatch(kept) or _FOREIGN_DIGIT.search(found):
        return None
    return f"+{kept}" if found.lstrip("( ").startswith("+") else kept


_TELLABLE = re.compile(r"\+?[0-9]{2,15}")


def tellable(number: str | None) -> str | None:
    """Give a number if the CRM can have a customer for it; None for a feature code, or one withheld."""
    return number if number is not None and _TELLABLE.fullmatch(number) else None


_SHOWN_TO_NOBODY = ("prohib", "unavailable")


def is_withheld(presentation: str) -> bool:
    """Tell whether a caller asked to be anonymous: ``CALLERID(num-pres)``, also where the number is known."""
    return presentation.strip().lower().startswith(_SHOWN_TO_NOBODY)


class NotDialled(ValueError):
    """This is not a number that can be dialled; the text says why, without the number."""


def dialled(text: str, country: str = "RU") -> str:
    """Bring a number as retailCRM asks to call it into what is dialled: digits, ``*``, ``#``, a ``+`` first.

    Unlike `e164` it changes nothing that is dialled, for the shop's dialplan is made for numbers as its
    people write them; and as a stranger may have sent it, it forgives nothing but ornament: blanks, dashes,
    brackets, slashes, ``tel:``. A ``+`` that was put into a query as it is arrives as a space, so a space
    right before the first digit is that ``+``, where a number of `country` is international with it.

    Raises:
        NotDialled: it is empty, too long, or more than digits and punctuation.
    """
    uri = _TEL.fullmatch(text)
    plain = unquote(uri[1]) if uri is not None else text
    kept = plain.translate(_PUNCTUATION)
    if _TRUNK_ZERO.search(plain):
        abroad = _TRUNK_ZERO.sub("", plain).translate(_PUNCTUATION)  # +49 (0)30: dialled without that zero
        kept = abroad if _begins_with_its_country(abroad, country) else kept
    if "/" in kept:
        kept = kept.replace("/", "")
        if sum(map(str.isdigit, kept)) > _LONGEST_E164:
            raise NotDialled("phone is more than one number")
    if not kept:
        raise NotDialled("phone is empty")
    if len(kept) > LONGEST_DIALLED:
        raise NotDialled(f"phone is longer than {LONGEST_DIALLED} characters")
    if not _DIALLED.fullmatch(kept):
        raise NotDialled("phone is not a number: expected digits, * and #, with + in front or without")
    if _LOST_PLUS.match(text) and e164(kept, country) == f"+{kept}":
        return f"+{kept}"
    return kept


def _begins_with_its_country(number: str, country: str) -> bool:
    """Tell whether a number is somebody's, written with the code of a country."""
    digits, found = number.lstrip("+"), e164(number, country)
    behind = {f"+{digits.removeprefix(abroad)}" for abroad in ("", "00", "810")}
    return found in behind and _is_whole(found, country)


def for_an_outside_line(number: str, prefix: str, country: str) -> str:
    """Put the digit for an outside line before a number, as people of `country` dial it.

    Behind that digit no dialplan expects a ``+``, so an international number is written as it is dialled from
    there. Without a digit the number stays as it is; so does what is no number outside.
    """
    if not prefix or len(number) <= LONGEST_INTERNAL:
        return number
    if number.startswith("+"):
        with suppress(phonenumbers.NumberParseException):
            parsed = phonenumbers.parse(number)
            number = phonenumbers.format_out_of_country_calling_number(parsed, country)
    return prefix + _NOT_DIALLED.sub("", number)


def masked(number: str | None) -> str:
    """Show a number in a log without giving it away: ``+7916***4567``; internal numbers stay readable."""
    if number is None:
        return "withheld"
    if len(number) < LONGEST_INTERNAL:
        return number
    return f"{number[:-7]}***{number[-4:]}"
