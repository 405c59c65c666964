"""The document of the call's states says what the code does."""

from pathlib import Path

from ari_app.calls.flow import MOVES
from ari_app.calls.table import COMMAND, state_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "call-states.md"


def test_the_document_is_what_the_moves_say_today() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == state_table(), f"run {COMMAND} > docs/call-states.md"


def test_every_move_has_a_line_of_its_own_in_the_document() -> None:
    lines = [line for line in state_table().splitlines() if line.startswith("| ") and "(`" in line]
    assert len(lines) == len(MOVES)
    assert not [line for line in lines if line.endswith("|  |")]
