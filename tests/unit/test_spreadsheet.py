"""Files for spreadsheets."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cabinet.pages.spreadsheet import BEGINNING, line, spreadsheet

FORMULAS = ["=1+1", "+7 495 111-22-33", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_looks_like_a_formula_becomes_a_text(text: str) -> None:
    assert line([text]).decode().strip('"').startswith("'")


def test_a_file_is_what_excel_in_russian_opens() -> None:
    answer = spreadsheet("calls.csv", [["Сотрудник", "Звонки"], ["Анна; «Б»", 3], [None, -3]])
    assert answer.body == BEGINNING + 'Сотрудник;Звонки\r\n"Анна; «Б»";3\r\n;-3\r\n'.encode()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="calls.csv"'


@settings(derandomize=True, database=None)
@given(st.lists(st.text(), min_size=2))
def test_any_text_is_read_back_as_it_was(cells: list[str]) -> None:
    read = next(csv.reader(io.StringIO(line(cells).decode(), newline=""), delimiter=";"))
    assert [text.removeprefix("'") for text in read] == [text.removeprefix("'") for text in cells]
