"""What stands in the log, and what doesn't; and that no line of it costs a call any time."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from redis.exceptions import RedisError

from ari_app.commands.logs import LINES_WAITING, Outlet, Seldom, in_places, log_errors, set_up_logging
from ari_app.errors import StoreUnavailable

A_LINE_SECONDS = 0.005


@contextmanager
def served_log(path: Path) -> Iterator[None]:
    """Log into a file as `ari-app serve` does; all is written at the end."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # pytest's own
    try:
        with path.open("w") as file, set_up_logging(file):
            yield
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)


def fail_deep(depth: int, error: Exception) -> None:
    """Raise an error so many calls below, in the middle of handling another."""
    if depth:
        fail_deep(depth - 1, error)
        return
    try:
        raise RedisError("Connection closed by server")
    except RedisError as cause:
        raise error from cause


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


def test_200_lines_with_a_deep_traceback_take_a_moment_each(tmp_path: Path) -> None:
    took = []
    with served_log(tmp_path / "log"):
        log = structlog.get_logger()
        for number in range(200):
            try:
                fail_deep(900, ValueError("x" * 100_000))
            except ValueError:
                began = time.thread_time()
                log.exception(f"failure {number}", account="shop")
                logging.getLogger("library").exception("failure %s", number)
                took.append(time.thread_time() - began)
    assert max(took) < 2 * A_LINE_SECONDS
    said = (tmp_path / "log").read_text()
    assert said.count("test_logging.py") > 200
    assert "failure 199" in said
    assert len(said) < 200 * 20_000


def test_a_known_outage_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    with served_log(tmp_path / "log"):
        for saying in ("a task of the account failed", "a request failed"):
            try:
                fail_deep(3, StoreUnavailable("Redis does not do what it is asked: closed"))
            except StoreUnavailable:
                structlog.get_logger().exception(saying, account="shop")
                logging.getLogger("aiohttp.server").exception(f"{saying} there")
    said = (tmp_path / "log").read_text().splitlines()
    assert len(said) == 4
    assert all("Redis does not do what it is asked: closed" in line for line in said)


def test_the_same_failure_is_logged_once_in_10_seconds_with_how_often_it_was_left_out() -> None:
    now = [0.0]
    seldom = Seldom(lambda: now[0])
    told = []
    for second in range(25):
        now[0] = float(second)
        line = {"event": "it failed", "account": "shop", "exc_info": ValueError(second)}
        try:
            told.append((second, seldom(None, "", line).get("left_out")))
        except structlog.DropEvent:
            continue
    assert told == [(0, None), (10, 9), (20, 9)]
    other = {"event": "it failed", "account": "other", "exc_info": ValueError(1)}
    assert seldom(None, "", other)["exc_info"] is other["exc_info"]


def test_a_traceback_names_the_nearest_places_and_the_cause_first() -> None:
    try:
        fail_deep(900, ValueError("wrong"))
    except ValueError as error:
        said = in_places(error)
    lines = said.splitlines()
    assert len(lines) < 30
    assert lines[1].endswith("RedisError: Connection closed by server")
    assert "  ... 888 more" in lines
    assert lines[-1] == "  ValueError: wrong"


def test_a_log_that_nobody_reads_keeps_nobody_waiting_and_says_how_much_it_left_out() -> None:
    reading, writing = os.pipe()
    lines = LINES_WAITING + 2_000
    with open(reading) as reader, open(writing, "w") as stuck:
        outlet = Outlet(stuck)
        slowest = 0.0
        for number in range(lines):
            began = time.thread_time()
            outlet.write(f"line {number} {'x' * 1000}\n")
            slowest = max(slowest, time.thread_time() - began)
        assert slowest < A_LINE_SECONDS
        left_out, came = 0, 0
        while came + left_out < lines:  # it is written once somebody reads
            line = reader.readline()
            if line.startswith("line "):
                came += 1
            else:
                left_out += int(line.split()[0])
        outlet.close()
    assert left_out > 0
