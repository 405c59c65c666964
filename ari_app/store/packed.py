"""Calls that are over as they are kept: state and journal compressed together, in place of the state.

One line of JSON in front stays readable, also for Redis' scripts: what the call was counted as, when the last
line of its journal was of, and when it was packed, by Redis' clock. Behind it is zlib. What is written of the
call later stands beside it: the new state in its place, which moves the packed one to `Keys.packed`, and new
lines in the journal's list.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ari_app.calls import line_at

LONGEST = 64 * 1024 * 1024
"""Bytes that a packed call may have at most when it is unpacked: more is nothing of ours."""
HEAD = 2_000
"""The line in front is shorter; bytes."""
_MARK = b"\n"


@dataclass(frozen=True, slots=True)
class Packed:
    """A call that was packed."""

    state: bytes
    """Its state, as `load_call` reads it."""
    lines: tuple[bytes, ...]
    at: float
    """When the last line was of; seconds since the epoch."""
    until: int
    """Lines that were written until then are in it; milliseconds of Redis' clock."""


def is_packed(stored: bytes) -> bool:
    """Tell whether what stands in a state's place is a packed call."""
    return _MARK in stored[:HEAD]


def pack(state: bytes, lines: Sequence[bytes], until: int) -> bytes:
    """Pack a state and its journal.

    Raises:
        ValueError: one of them is no JSON.
    """
    known: dict[str, Any] = orjson.loads(state)
    counted = {"counted": known["counted"]} if "counted" in known else {}
    at = max((line_at(line) or 0.0 for line in lines), default=0.0)
    head = orjson.dumps({**counted, "packed": 1, "at": at, "until": until})
    for line in lines:
        orjson.loads(line)
    body = orjson.dumps(
        {"call": orjson.Fragment(state), "journal": [orjson.Fragment(line) for line in lines]}
    )
    return head + _MARK + zlib.compress(body)


def unpack(stored: bytes) -> Packed:
    """Read a packed call.

    Raises:
        ValueError, LookupError, TypeError: it is none, or another version's.
    """
    head, _, body = stored.partition(_MARK)
    about: Mapping[str, Any] = orjson.loads(head)
    if about["packed"] != 1:
        raise ValueError("it was packed in another way")
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(body, LONGEST)
    except zlib.error as error:
        raise ValueError("what was packed is broken") from error
    if not reader.eof:
        raise ValueError("what was packed is broken, or has no end")
    found = orjson.loads(text)
    lines = tuple(orjson.dumps(line) for line in found["journal"])
    return Packed(orjson.dumps(found["call"]), lines, float(about["at"]), int(about["until"]))


def packed_at(stored: bytes) -> float:
    """Say of when the last line of a packed call was, by its first bytes; 0 when it isn't packed."""
    head, mark, _ = stored.partition(_MARK)
    try:
        return float(orjson.loads(head)["at"]) if mark else 0.0
    except (ValueError, LookupError, TypeError):
        return 0.0


def state_in(stored: bytes) -> bytes:
    """Give the state from what stands in its place, packed or not; raises as `unpack` does."""
    return unpack(stored).state if is_packed(stored) else stored


def lines_of(packed: Iterable[bytes | None], later: Sequence[bytes]) -> list[bytes]:
    """Give a journal: what was packed of it, then its list.

    What can't be read of the packed ones is left out: the call itself says that it can't be read.
    """
    found: list[bytes] = []
    for stored in packed:
        if stored is None or not is_packed(stored):
            continue
        try:
            found += unpack(stored).lines
        except (ValueError, LookupError, TypeError):
            continue
    return [*found, *later]
