"""Alters what is right until it is wrong: values, shapes and bytes; the same by the same seed."""

from __future__ import annotations

import copy
import os
import random
from pathlib import Path
from typing import Any

import orjson

SEED = int(os.environ.get("FUZZ_SEED", "1"))
LONG = os.environ.get("FUZZ") == "long"
MOST_STEP_SECONDS = 0.1
MOST_GROWTH_MB = 64

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63 - 1, -(2**63), 1e308, 0.1, "", " ", "0", "a", "\0", "\r\n", "\u2028"),
    *(
        "null",
        "-",
        "+",
        "*",
        "#",
        "%",
        "%00",
        "..",
        "../../x",
        "'",
        '"',
        "<b>",
        "{{7*7}}",
        "${IFS}",
        ";",
        ",",
    ),
    *("٣", "ⅷ", "😀" * 40, "я" * 300, "\u202e", "a" * 5_000, "1" * 5_000, " " * 5_000, "(" * 2_000),
    *("PJSIP/101", "Local/101@x", "http://127.0.0.1/", "1700000000.1", "2026-01-01T00:00:00.000+0000"),
    *([], {}, [[]], [None], {"": None}, ["a"] * 500, {str(n): n for n in range(300)}),
)


def nested(depth: int) -> Any:
    """Make lists in lists."""
    made: Any = []
    for _ in range(depth):
        made = [made]
    return made


def altered(rng: random.Random, value: Any) -> Any:
    """Give a value with some of it altered; what is given stays."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 5))):
        value = _alter(rng, value)
    return value


def _alter(rng: random.Random, value: Any) -> Any:
    """Go down to a place in a value, and alter what is there."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                del value[name]
            case 1:
                value[rng.choice((name.upper(), f"{name}x", "", "type"))] = value.pop(name)
            case _:
                value[name] = _alter(rng, value[name])
        return value
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                del value[place]
            case 1:
                value += value[: 100 - len(value)]
            case _:
                value[place] = _alter(rng, value[place])
        return value
    if isinstance(value, str) and value and rng.random() < 0.5:
        at = rng.randrange(len(value) + 1)
        return value[:at] + str(rng.choice(JUNK))[:6_000] + value[at + rng.randrange(3) :]
    return nested(rng.choice((3, 50, 500))) if rng.random() < 0.02 else copy.deepcopy(rng.choice(JUNK))


def torn(rng: random.Random, data: bytes) -> bytes:
    """Give bytes of which some are missing, others, or there twice."""
    piece = bytearray(data)
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.randrange(len(piece) + 1)
        match rng.randrange(5):
            case 0:
                del piece[at:]
            case 1:
                piece[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                piece[at:at] = rng.choice((b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"\r\n\r\n", b": ", b"["))
            case 3:
                del piece[at : at + rng.randrange(20)]
            case _:
                piece[at:at] = piece[at : at + rng.randrange(200)]
    return bytes(piece)


def written(rng: random.Random, value: Any) -> bytes:
    """Write an altered value as JSON, torn now and then."""
    try:
        data = orjson.dumps(altered(rng, value))
    except (TypeError, ValueError):  # too deep to be written
        return b"[" * 2_000
    return torn(rng, data) if rng.random() < 0.2 else data


def memory_mb() -> float:
    """Give how much memory this process has, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 10**6
