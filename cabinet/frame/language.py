"""What the pages say, in the reader's language: Russian, or English, in which they are written.

The catalogue is `locales/ru.po`; it is read as it is, so there is nothing to compile.
"""

from __future__ import annotations

import gettext
import io
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from aiohttp import web
from babel import Locale
from babel.dates import format_date, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations

from ari_app.calls import whole_seconds

LANGUAGES = {"ru": "Русский", "en": "English"}
"""The first is for readers whose browsers ask for none of them."""
COOKIE = "language"
KEPT_SECONDS = 365 * 86_400

_LOCALES = Path(__file__).parents[1] / "locales"


class Speech:
    """One language: its words, and how it writes moments and durations."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._locale = Locale.parse(language)
        self._words = _translations(language)

    def gettext(self, text: str) -> str:
        """Say a text."""
        return self._words.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Say a text that depends on a number."""
        return self._words.ngettext(one, many, count)

    def moment(self, at: float, zone: ZoneInfo) -> str:
        """Write a moment, to the second: today's without its date."""
        when, now = datetime.fromtimestamp(at, zone), datetime.now(zone)
        clock = f"{when:%H:%M:%S}"
        return clock if when.date() == now.date() else f"{_short_day(self.language, when.date())}, {clock}"

    def clock(self, at: float, zone: ZoneInfo) -> str:
        """Write the time of day, to the second."""
        return f"{datetime.fromtimestamp(at, zone):%H:%M:%S}"

    def day(self, at: float, zone: ZoneInfo) -> str:
        """Write a day in full."""
        return format_date(datetime.fromtimestamp(at, zone), "long", locale=self._locale)

    def short_day(self, day: date, year: bool = False) -> str:
        """Write a day in short, with or without its year."""
        return format_date(day, "d MMM y" if year else "d MMM", locale=self._locale)

    def iso(self, at: float) -> str:
        """Write a moment for machines."""
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")

    def ago(self, seconds: float) -> str:
        """Write roughly how long ago something was."""
        return format_timedelta(-max(1, round(seconds)), add_direction=True, locale=self._locale)

    def length(self, seconds: float) -> str:
        """Write a duration as a clock does: 1:05, 1:02:03."""
        minutes, left = divmod(whole_seconds(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"

    def tenths(self, value: float) -> str:
        """Write a number with one decimal."""
        return str(format_decimal(value, format="0.0", locale=self._locale))

    def number(self, value: int) -> str:
        """Write a number with the language's groups of digits."""
        return _number(self.language, value)

    def percent(self, share: float) -> str:
        """Write a share, 0 to 1, in whole percent."""
        return _percent(self.language, round(share, 4))


@lru_cache(maxsize=4096)
def _short_day(language: str, day: date) -> str:
    return str(format_date(day, "d MMM y", locale=language))


@lru_cache(maxsize=4096)
def _number(language: str, value: int) -> str:
    return str(format_decimal(value, locale=language))


@lru_cache(maxsize=4096)
def _percent(language: str, share: float) -> str:
    return str(format_percent(share, locale=language))


@cache
def speech_of(language: str) -> Speech:
    """Give a language of `LANGUAGES`."""
    return Speech(language)


def chosen(request: web.Request) -> Speech:
    """Give the language that the reader chose, or else the one that their browser asks for."""
    cookie = request.cookies.get(COOKIE, "")
    return speech_of(
        cookie if cookie in LANGUAGES else _asked_for(request.headers.get("Accept-Language", ""))
    )


def _asked_for(header: str) -> str:
    wanted: list[tuple[float, str]] = []
    for part in header.split(",")[:20]:
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        wanted.append((weight, name.split("-")[0].lower()))
    for weight, language in sorted(wanted, key=lambda item: -item[0]):
        if weight > 0 and language in LANGUAGES:
            return language
    return next(iter(LANGUAGES))


def _translations(language: str) -> gettext.NullTranslations:
    path = _LOCALES / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
