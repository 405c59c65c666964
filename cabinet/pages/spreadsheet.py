"""Tables as files that a spreadsheet opens: CSV as Excel reads it where the comma is in numbers.

In UTF-8 with its mark in front, semicolons between the cells. A text that a spreadsheet would take for a
formula gets an apostrophe in front: a customer's name must not become a command.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

BEGINNING = b"\xef\xbb\xbf"
"""What a file begins with."""

_FORMULAS = ("=", "+", "-", "@")
_BLANKS = ("\t", "\r", "\n")


def line(cells: Iterable[str | int | None]) -> bytes:
    """Write a line of a file."""
    return (";".join(map(_cell, cells)) + "\r\n").encode("utf-8", "replace")


def headers(name: str) -> dict[str, str]:
    """Say in an answer's headers that it is a file, and what it is called; `name` is ASCII."""
    return {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
    }


def spreadsheet(name: str, lines: Iterable[Iterable[str | int | None]]) -> web.Response:
    """Answer with a whole file."""
    return web.Response(body=BEGINNING + b"".join(map(line, lines)), headers=headers(name))


def _cell(value: str | int | None) -> str:
    if value is None or isinstance(value, int):
        return "" if value is None else str(value)
    text = f"'{value}" if value.startswith(_BLANKS) or value.lstrip().startswith(_FORMULAS) else value
    if any(character in text for character in ';"\r\n\t') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text
