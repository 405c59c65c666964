"""Reads parameters as dialplans, scripts and people write them: with quotes, blanks and brackets around them.

``code``, ``code[]`` and ``code[0]`` are one parameter, and so are ``date`` and ``DATE``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ari_app.calls import written
from cabinet.api.answers import Wrong

LONGEST_TEXT = 255
LONGEST_ADDRESS = 2000
LONGEST_QUERY = 2000
LONGEST_LINE = 65_536
"""Bytes of a request's first line: an address takes 6 for a Cyrillic letter."""
LONGEST_PHONE = 255
"""Characters: a dialplan may give the whole From, with a name and a host."""
MOST_DIGITS = 15
"""Of a phone number."""
LONGEST_UNIQUE_ID = 150
"""Asterisk's own limit."""
MOST_CODES = 500
MOST_SECONDS = 7 * 86_400

_AROUND = " \t\r\n\"'`“”"
_INDEX = re.compile(r"\[\d{0,4}\]$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNIQUE_ID = re.compile(r"[!-~]+")
_CODE = re.compile(r"\+?[0-9*#]{1,20}")
_BETWEEN_CODES = re.compile(r"[,;&\s]+")
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_SECONDS = re.compile(r"([0-9]{1,7})(\.[0-9]{1,9})?")
_DATE = re.compile(r"(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NUMBERS = frozenset({"hold", "duration"})
"""What may be a number in an object."""
_SPELLINGS = {"DATE": "date"}


class Fields:
    """The parameters of one request."""

    def __init__(self) -> None:
        self._given: dict[str, list[Any]] = {}
        self._arrays: set[str] = set()

    def add(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Take in parameters of a query, a form or an object; what nobody reads may be anything."""
        for name, value in pairs:
            known = _INDEX.sub("", name.strip())
            known = _SPELLINGS.get(known, known)
            if name.rstrip().endswith("]") or isinstance(value, list):
                self._arrays.add(known)
            self._given.setdefault(known, []).extend(value if isinstance(value, list) else [value])

    def _texts(self, name: str) -> list[str]:
        """Give what was said for a parameter.

        Raises:
            Wrong: it is no text.
        """
        if name in self._arrays and name != "code":
            raise Wrong(name, "expected one text, not an array")
        return [_as_text(name, value) for value in self._given.get(name, ())]

    def __contains__(self, name: str) -> bool:
        """Tell whether a parameter was given, whatever its value."""
        return name in self._given

    def text(self, name: str, longest: int = LONGEST_TEXT) -> str:
        """Give a parameter without the quotes and blanks around it; empty when it was not given.

        Raises:
            Wrong: it is no text, too long, has control characters, or was given twice and differently.
        """
        values = {_plain(value) for value in self._texts(name)} - {""}
        if len(values) > 1:
            raise Wrong(name, "expected once")
        text = values.pop() if values else ""
        if len(text) > longest:
            raise Wrong(name, f"expected at most {longest} characters")
        if _CONTROL.search(text):
            raise Wrong(name, "expected text without control characters")
        return text

    def optional(self, name: str, longest: int = LONGEST_TEXT) -> str | None:
        """Give a text, None when it is empty or was not given."""
        return self.text(name, longest) or None

    def required(self, *names: str) -> None:
        """Make sure that parameters were given; they may be empty.

        Raises:
            Wrong: one was not given.
        """
        for name in names:
            if name not in self:
                raise Wrong(name, "is missing")

    def one_of(self, name: str, *words: str) -> str:
        """Give one of some words.

        Raises:
            Wrong: it is none of them.
        """
        word = self.text(name).lower()
        if word not in words:
            raise Wrong(name, f"expected {', '.join(words[:-1])} or {words[-1]}")
        return word

    def codes(self) -> tuple[str, ...]:
        """Give the extensions of ``code``: a list with commas, an array, or both; and the telephones outside
        that a queue has.

        Raises:
            Wrong: one is no extension, or there are too many.
        """
        given = [_plain(text) for text in self._texts("code")]
        if sum(map(len, given)) > MOST_CODES * 21:
            raise Wrong("code", f"expected at most {MOST_CODES} extensions")
        codes = [_plain(code).partition("@")[0] for text in given for code in _BETWEEN_CODES.split(text)]
        found = tuple(dict.fromkeys(filter(None, codes)))
        if any(_CODE.fullmatch(code) is None for code in found):
            raise Wrong("code", "expected extensions, of digits, * and #")
        return found

    def unique_id(self) -> str:
        """Give ``uniqueid``.

        Raises:
            Wrong: it is empty, too long, or has characters that no id has.
        """
        text = self.text("uniqueid", LONGEST_UNIQUE_ID)
        if _UNIQUE_ID.fullmatch(text) is None:
            raise Wrong("uniqueid", "expected a channel's unique id, such as 1700000000.42")
        return text

    def phone(self, name: str) -> str:
        """Give a number as it was written, with what stands around it; empty when it is withheld.

        Raises:
            Wrong: it is no number by any reading.
        """
        text = self.text(name, LONGEST_PHONE)
        number = written(text)
        if (number is None and _FOREIGN_DIGIT.search(text)) or _digits(number or "") > MOST_DIGITS:
            raise Wrong(name, "expected a phone number")
        return text

    def may_have_lost_plus(self, name: str) -> bool:
        """Tell whether a value begins with a blank, as which a query's ``+`` is read that wasn't escaped."""
        return any(value.strip("\"'").startswith(" ") for value in self._texts(name))

    def seconds(self, name: str) -> int:
        """Give whole seconds; 0 when it is empty or was not given.

        Raises:
            Wrong: it is no whole number, or too great a one.
        """
        text = self.text(name)
        match = _SECONDS.fullmatch(text or "0")
        if match is None or int(match[1]) > MOST_SECONDS:
            raise Wrong(name, "expected seconds")
        return int(match[1])

    def date(self) -> str | None:
        """Give ``date`` as it was written.

        Raises:
            Wrong: it is no moment, or another than the same parameter's other spelling.
        """
        text = self.text("date")
        if not text:
            return None
        try:
            if _DATE.fullmatch(text) is None:
                raise ValueError
            datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
        except ValueError:
            raise Wrong("date", "expected YYYY-MM-DD HH:MM:SS") from None
        return text

    def link(self) -> str | None:
        """Give ``path`` as it was written; None for what is no address but a file's name on the PBX.

        Raises:
            Wrong: it is an address that nobody can open.
        """
        text = self.text("path", LONGEST_ADDRESS)
        if _SCHEME.match(text) is None:
            return None
        try:
            parts = urlsplit(text)
            usable = parts.scheme in ("http", "https", "ftp") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or re.search(r"\s", text):
            raise Wrong("path", "expected an address that begins with http://, https:// or ftp://")
        return text


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name in _NUMBERS and (type(value) is int or (type(value) is float and value.is_integer())):
        return str(value)
    raise Wrong(name, "expected text")


def _plain(text: str) -> str:
    return text.strip(_AROUND)


def _digits(text: str) -> int:
    return sum(char.isdigit() for char in text)
