"""What a check finds (`ari_app.check`), in the reader's language.

A check speaks English, and puts names and numbers into its sentences. The catalogue `locales/check.ru.po` has
each sentence with ``{}`` where something is put in; what is put in may be a phrase of the catalogue, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import aiohttp_jinja2
from aiohttp import web
from babel.messages.pofile import read_po
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from ari_app.check.findings import Finding

_CATALOGUE = Path(__file__).parents[1] / "locales" / "check.ru.po"
_GAP = re.compile(r"\{(\d*)\}")
_RUSSIAN = re.compile("[а-яё]", re.IGNORECASE)
_ASKED = re.compile(r"(GET|POST|PUT|DELETE) [\w./{}-]+: ")
"""What was asked, which is for the log."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A sentence with gaps, and how it is said in the other language."""

    pattern: re.Pattern[str]
    said: str

    @classmethod
    def of(cls, text: str, said: str) -> _Phrase:
        pattern = "(.*?)".join(map(re.escape, text.split("{}")))
        return cls(re.compile(pattern, re.DOTALL), said)


def set_up(app: web.Application) -> None:
    """Let templates say causes, and lead from the name of a tab to it."""
    filters = aiohttp_jinja2.get_env(app).filters
    filters["cause"] = _cause
    filters["linked"] = _linked


@pass_context
def _cause(context: Context, text: str) -> str:
    return cause(text, context["speech"].language)


@pass_context
def _linked(context: Context, text: str) -> Markup:
    """Make a link of each name of a tab that stands in quotation marks."""
    said = escape(text)
    for address, name in TABS.items():
        for quoted in (f"«{context['speech'].gettext(name)}»", f"“{name}”"):
            said = said.replace(quoted, Markup('<a href="{}">{}</a>').format(address, quoted))
    return said


TABS = {
    "/": "Information",
    "/extensions": "Extensions",
    "/numbers": "External numbers",
    "/asterisk": "Asterisk settings",
    "/telephony": "Telephony",
    "/events": "Event log",
    "/calls": "Call log",
}


def in_language(finding: Finding, language: str) -> Finding:
    """Give a finding in a language; what the catalogue doesn't know stays English."""
    if language != "ru":
        return finding
    remedy = say(finding.remedy) if finding.remedy else None
    return replace(finding, subject=say(finding.subject), sentence=say(finding.sentence), remedy=remedy)


def cause(text: str, language: str) -> str:
    """Say in a language why something does not work; what the other side has said itself is quoted."""
    if language != "ru":
        return text
    said = say(_ASKED.sub("", text))
    return said if _RUSSIAN.search(said) else say("it says: {}").replace("{}", said)


def say(text: str) -> str:
    """Say a text of a check in Russian."""
    exact, phrases = _phrases()
    if text in exact:
        return exact[text]
    for phrase in phrases:
        match = phrase.pattern.fullmatch(text)
        if match is not None:
            return _fill(phrase.said, [say(value) for value in match.groups()])
    return text


def _fill(said: str, values: list[str]) -> str:
    """Put values into the gaps: in their order, or where a gap has a value's number."""
    following = iter(values)
    return _GAP.sub(lambda gap: values[int(gap[1])] if gap[1] else next(following), said)


@cache
def _phrases() -> tuple[dict[str, str], list[_Phrase]]:
    """Read the catalogue: texts without gaps, and phrases, the most particular first."""
    with _CATALOGUE.open("rb") as file:
        known = {str(one.id): str(one.string) for one in read_po(file, locale="ru") if one.id and one.string}
    exact = {text: said for text, said in known.items() if "{}" not in text}
    gapped = sorted((text for text in known if "{}" in text), key=lambda text: -len(text.replace("{}", "")))
    return exact, [_Phrase.of(text, known[text]) for text in gapped]
