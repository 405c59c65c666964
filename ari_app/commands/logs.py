"""How the service logs: plain lines on the error output, none of which takes time from the calls.

A line is made in well under a millisecond, whatever failed, and written by a thread of its own: whoever reads
the error output may be slow, or stuck. What is known (Redis, a PBX or a CRM is away) is one line without a
traceback. A traceback names places only: the nearest ones, without the code that stands there and without the
values of variables, for customers' numbers and secrets are among them. The same failure is logged once in
10 s, with how often it was left out meanwhile.
"""

from __future__ import annotations

import atexit
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from queue import Empty, Full, Queue
from threading import Thread
from types import TracebackType
from typing import Any, Self, TextIO, cast

import structlog
from structlog.typing import ExcInfo

from ari_app.asterisk.errors import PbxError
from ari_app.errors import StoreUnavailable
from ari_app.retailcrm.errors import CrmError

KNOWN = (StoreUnavailable, PbxError, CrmError)
"""What fails with a sentence that says all: whoever reads it needs no traceback."""
AGAIN_SECONDS = 10.0
OUTER_PLACES, INNER_PLACES, MOST_CAUSES = 2, 12, 5
LONGEST = 1_000
"""Characters that are kept of what an error, or a value in a line, says."""
LINES_WAITING = 10_000
"""So many lines wait for whoever reads them; what comes on top is counted and left out."""
_FAILURES_REMEMBERED = 200
_LAST_WORDS_SECONDS = 1.0


# -- what a failure looks like --------------------------------------------------------------------------


def in_places(error: BaseException) -> str:
    """Write an exception as the places that it came through, with what had caused it first."""
    causes = deque([error])
    while (cause := _cause(causes[0])) is not None and cause not in causes and len(causes) < MOST_CAUSES:
        causes.appendleft(cause)
    return "\n  and then\n".join(
        "\n".join([*_places(one.__traceback__), f"  {type(one).__name__}: {_short(one)}"]) for one in causes
    )


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup) and error.__cause__ is None:
        return cast(BaseException, error.exceptions[0])
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _places(step: TracebackType | None) -> Iterator[str]:
    outer: list[TracebackType] = []
    inner: deque[TracebackType] = deque(maxlen=INNER_PLACES)
    between = -INNER_PLACES
    while step is not None:
        if len(outer) < OUTER_PLACES:
            outer.append(step)
        else:
            inner.append(step)
            between += 1
        step = step.tb_next
    yield from map(_place, outer)
    if between > 0:
        yield f"  ... {between} more"
    yield from map(_place, inner)


def _place(step: TracebackType) -> str:
    code = step.tb_frame.f_code
    return f"  {code.co_filename}:{step.tb_lineno} {code.co_name}"


def _short(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # a line is not lost for a value that can't be said
        return "(it can't be said)"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def write_exception(stream: TextIO, failure: ExcInfo) -> None:
    """Write an exception for structlog's renderer."""
    stream.write(in_places(failure[1]))


# -- what is left out -----------------------------------------------------------------------------------


class Seldom:
    """Lets the same failure through once in 10 s, by a clock in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[tuple[str, ...], tuple[float, int]] = {}

    def left_out(self, *failure: str) -> int | None:
        """Give how often a failure was left out since it was let through last; None: it is left out now."""
        now = self._clock()
        since, count = self._failures.pop(failure, (float("-inf"), 0))
        if now < since + AGAIN_SECONDS:
            self._failures[failure] = since, count + 1
            return None
        self._failures[failure] = now, 0
        if len(self._failures) > _FAILURES_REMEMBERED:
            self._failures.pop(next(iter(self._failures)))
        return count

    def __call__(self, _: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Look at a line of structlog's: short values, known failures in a sentence, none too often."""
        for name, value in line.items():
            if isinstance(value, str) and len(value) > LONGEST:
                line[name] = _short(value)
        error = _failed(line.get("exc_info"))
        if error is None:
            return line
        count = self.left_out(str(line.get("event")), str(line.get("account")), type(error).__name__)
        if count is None:
            raise structlog.DropEvent
        if count:
            line["left_out"] = count
        if isinstance(error, KNOWN):
            del line["exc_info"]
            line.setdefault("problem", _short(error))
        return line


def _failed(failure: object) -> BaseException | None:
    if isinstance(failure, BaseException):
        return failure
    if isinstance(failure, tuple):
        return cast(BaseException | None, failure[1])
    return sys.exc_info()[1] if failure else None


class _OthersLines(logging.Formatter):
    """How libraries' failures are written, which log by the standard library."""

    def formatException(self, ei: Any) -> str:
        return in_places(ei[1]) if ei[1] is not None else ""


class _OthersSeldom(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._seldom = Seldom()

    def filter(self, record: logging.LogRecord) -> bool:
        error = _failed(record.exc_info)
        if error is None:
            return True
        if isinstance(error, KNOWN):
            record.msg, record.args, record.exc_info = f"{record.getMessage()}: {_short(error)}", (), None
        return self._seldom.left_out(record.name, str(record.msg), type(error).__name__) is not None


# -- where it goes --------------------------------------------------------------------------------------


class Outlet:
    """Writes lines to a stream from a thread of its own; a context: its end waits for them, 1 s at most."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: Queue[str | None] = Queue(LINES_WAITING)
        self._lost = 0
        self._thread = Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, text: str) -> int:
        """Take a line; never waits."""
        try:
            self._lines.put_nowait(text)
        except Full:
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: it is written as soon as it can be."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left, for a second at most."""
        atexit.unregister(self.close)
        if not self._thread.is_alive():
            return
        try:
            self._lines.put(None, timeout=_LAST_WORDS_SECONDS)
        except Full:
            return
        self._thread.join(_LAST_WORDS_SECONDS)

    def _run(self) -> None:
        while (text := self._lines.get()) is not None:
            try:
                self._stream.write(text + self._more())
                self._stream.flush()
            except (OSError, ValueError):
                continue  # nobody reads it any more

    def _more(self) -> str:
        """Take what else waits, so that a burst is one write."""
        texts: list[str] = []
        try:
            while len(texts) < 100:
                text = self._lines.get_nowait()
                if text is None:
                    self._lines.put_nowait(None)
                    break
                texts.append(text)
        except (Empty, Full):
            pass
        lost, self._lost = self._lost, 0
        return "".join(texts) + (f"{lost} lines of the log were left out: nobody took them\n" if lost else "")


def set_up_logging(stream: TextIO = sys.stderr) -> Outlet:
    """Log to the error output, or another: coloured lines on a terminal, plain ones elsewhere."""
    outlet = Outlet(stream)
    others = logging.StreamHandler(cast(TextIO, outlet))
    others.setFormatter(_OthersLines("%(message)s"))
    others.addFilter(_OthersSeldom())
    logging.basicConfig(level=logging.WARNING, handlers=[others])
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S.%f", utc=False),
            Seldom(),
            structlog.processors.StackInfoRenderer(),
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), pad_event_to=0, exception_formatter=write_exception
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, outlet)),
        cache_logger_on_first_use=True,
    )
    return outlet


def log_errors() -> None:
    """Log a command's failures to the error output; the other one is for answers."""
    *others, _ = structlog.get_config()["processors"]
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=write_exception)
    structlog.configure([*others, renderer], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
