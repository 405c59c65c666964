"""What stands in the log, and what doesn't."""

import pytest
import structlog

from ari_app.cli import log_errors


def test_a_failure_is_logged_without_what_the_variables_held(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    try:
        log_errors()
        key = "-".join(("hunter", "2"))
        try:
            raise ValueError(len(key))
        except ValueError:
            structlog.get_logger().exception("it failed")
    finally:
        structlog.configure(**before)
    said = capsys.readouterr().err
    assert "it failed" in said
    assert "ValueError" in said
    assert "hunter-2" not in said
