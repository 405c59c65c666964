"""The Russian documents say it as the cabinet does: what stands in «…» stands there, letter for letter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.ru.md", *sorted(f"docs/ru/{path.name}" for path in (ROOT / "docs/ru").glob("*.md")))

ELSEWHERE = {
    "Перейти в личный кабинет": "retailCRM's own button, in the settings of the module",
    "Инструкции по настройке модуля интеграции Asterisk + FreePBX": "the old module's document",
    "CID name prefix": "FreePBX's field of an inbound route",
    "не беспокоить": "FreePBX's feature, under *78",
    "Your own flow (old)": "a heading of docs/dialplan.md",
    "Redis is lost": "a heading of docs/operations.md",
    "The disk is full": "a heading of docs/operations.md",
}
"""What is quoted and isn't the cabinet's, with where it stands."""

_NUMBERS = ("code", "codes", "count")
"""What the cabinet's words call a number."""


def words_of_the_cabinet() -> Iterator[tuple[str, str]]:
    """Give each sentence of the cabinet's templates, and its Russian."""
    for catalogue in (ROOT / "cabinet/locales").glob("*ru.po"):
        with catalogue.open("rb") as file:
            for message in read_po(file, locale="ru"):
                if isinstance(message.id, str) and isinstance(message.string, str) and message.id:
                    yield message.id, message.string


@cache
def shown() -> frozenset[str]:
    """Give what may be quoted: whole texts, and whole sentences of longer ones."""
    texts = {text for _, text in words_of_the_cabinet()}
    return frozenset(texts | {sentence for text in texts for sentence in re.split(r"(?<=[.!?]) ", text)})


@cache
def is_the_cabinets(quote: str) -> bool:
    """Tell whether the cabinet shows a text; a number may be quoted where its words have one."""
    return not shown().isdisjoint({quote, *(re.sub(r"[0-9]+", f"%({name})s", quote) for name in _NUMBERS)})


def quoted(document: str) -> set[str]:
    text = (ROOT / document).read_text("utf-8")
    return {" ".join(words.split()) for words in re.findall("«([^»]+)»", text)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_quotes_is_what_the_cabinet_shows(document: str) -> None:
    assert [one for one in quoted(document) - ELSEWHERE.keys() if not is_the_cabinets(one)] == []


def test_what_is_quoted_from_elsewhere_is_quoted_and_is_not_the_cabinets() -> None:
    everything = set().union(*map(quoted, DOCUMENTS))
    assert len(everything) > 40
    assert ELSEWHERE.keys() <= everything
    assert not any(map(is_the_cabinets, ELSEWHERE))
    headings = {line for name in ("dialplan", "operations") for line in _headings(name)}
    assert {word for word, where in ELSEWHERE.items() if where.startswith("a heading")} <= headings


def _headings(document: str) -> list[str]:
    return re.findall(r"^##+ (.*)$", (ROOT / f"docs/{document}.md").read_text("utf-8"), re.MULTILINE)


def test_the_tabs_are_explained_by_their_names_in_their_order() -> None:
    russian = dict(words_of_the_cabinet())
    base = (ROOT / "cabinet/templates/base.html").read_text("utf-8")
    tabs = [russian[name] for name in re.findall(r'\("/[^"]*", _\("([^"]+)"\)\)', base)]
    cabinet = (ROOT / "docs/ru/kabinet.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+?) \|", cabinet[cabinet.index("\n## Вкладки") :], re.MULTILINE)
    assert rows[0] == "вкладка"
    assert rows[1 : 1 + len(tabs)] == tabs


def test_the_steps_of_a_trial_are_those_of_its_page() -> None:
    russian = dict(words_of_the_cabinet())
    page = (ROOT / "cabinet/templates/parts/call_me.html").read_text("utf-8")
    steps = re.search(r'if one\.step == "asked" %}(.*?)endif', page, re.DOTALL)
    assert steps is not None
    named = [russian[name] for name in re.findall(r'_\("([^"]+)"\)', steps[1])]
    cabinet = (ROOT / "docs/ru/kabinet.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+?) \|", cabinet[cabinet.index("\n## Позвонить мне сейчас") :], re.MULTILINE)
    assert rows[0] == "шаг"
    assert rows[1 : 1 + len(named)] == named
