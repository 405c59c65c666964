"""What a check finds, and how checks are run: one after the other, each within its time."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CHECK_SECONDS = 5.0
"""How long a check may take, in all."""


class State(StrEnum):
    """How something stands."""

    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"
    """It works, but not as well as it could, or not for long."""
    UNKNOWN = "unknown"
    """It can't be found out from here: the remedy says where to look."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found; no secret stands in it."""

    subject: str
    state: State
    sentence: str
    remedy: str | None = None
    step: str | None = None
    """The step of a set-up (`readiness.Step`) that it is about, where that alone decides it."""


Findings = AsyncGenerator[Finding, None]


@dataclass(frozen=True, slots=True)
class Check:
    """A check that has not begun yet, and what it is about."""

    subject: str
    findings: Findings


def good(subject: str, sentence: str) -> Finding:
    """It is right."""
    return Finding(subject, State.GOOD, sentence)


def bad(subject: str, sentence: str, remedy: str) -> Finding:
    """It is wrong."""
    return Finding(subject, State.BAD, sentence, remedy)


def warning(subject: str, sentence: str, remedy: str) -> Finding:
    """It could be better."""
    return Finding(subject, State.WARNING, sentence, remedy)


def unknown(subject: str, sentence: str, look: str) -> Finding:
    """It can't be known from here; `look` says where a person can."""
    return Finding(subject, State.UNKNOWN, sentence, look)


async def carry_out(checks: Iterable[Check], seconds: float = CHECK_SECONDS) -> AsyncIterator[Finding]:
    """Give each finding as soon as it is known. A check that fails is a finding, too."""
    for check in checks:
        try:
            async for finding in _in_time(check, seconds):
                yield finding
        finally:
            await check.findings.aclose()


async def _in_time(check: Check, seconds: float) -> AsyncIterator[Finding]:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                finding = await anext(check.findings)
        except StopAsyncIteration:
            return
        except TimeoutError:
            yield bad(
                check.subject,
                f"this was not known within {seconds:g} s, so some of it was not looked at",
                "look whether the machine and the network are overloaded, and check again",
            )
            return
        except Exception as error:  # what it says may hold a secret: only its kind and place are shown
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}:{last.lineno}"
            yield unknown(
                check.subject,
                f"the check itself failed: {type(error).__name__} in {place}",
                "look at it yourself, and report this line to those who wrote the check",
            )
            return
        yield finding
