"""What the demo shows to a person at a terminal."""

import io

from rich.console import Console

from ari_app.demo.show.plans import PLANS
from ari_app.demo.show.story import Opening, Performance, Story
from ari_app.demo.show.verdict import Observed

OPENING = Opening(
    asterisk="22.10.1",
    address="http://localhost:40001",
    cabinet="http://localhost:40001/account/secret",
    sign_in="the CRM's address http://127.0.0.1:1 and the key K",
    recordings_url="http://localhost:40001/recordings",
    usual_port=8080,
)
SEEN = Observed(200, 1.0, 3.0, ("101",), (), (), ())


def told(*, terminal: bool) -> str:
    """Tell of one call as planned and one that wasn't, from the first line to the last."""
    output = io.StringIO()
    story = Story(Console(file=output, force_terminal=terminal, width=160, color_system=None), "service.log")
    story.opens(OPENING, "ari-app calls list")
    performances: list[Performance] = []
    for index, problems in ((1, list[str]()), (2, ["nobody talked"])):
        story.begins(index, PLANS[0])
        performances.append(Performance(index, PLANS[0], None, SEEN, problems))
        story.ends(performances[-1])
    story.closes(performances, None)
    return output.getvalue()


def test_the_first_screen_says_where_to_look_who_to_sign_in_as_and_which_port_was_taken() -> None:
    text = told(terminal=False)
    assert "Port 8080 is taken" in text
    assert OPENING.cabinet in text
    assert OPENING.sign_in in text
    assert "Ctrl-C ends the demo" in text


def test_a_terminal_keeps_a_line_that_says_how_it_goes_and_gets_its_cursor_back() -> None:
    text = told(terminal=True)
    assert "call 2 · 1 of 1 calls as planned · cabinet http://localhost:40001" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"
    assert "2 calls, 1 not as planned." in text[text.rindex("\x1b[?25h") :]


def test_a_file_gets_no_line_that_changes() -> None:
    assert "\x1b" not in told(terminal=False)
    assert "of 1 calls as planned" not in told(terminal=False)
