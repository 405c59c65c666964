"""Calls that are over as they are kept: state and journal compressed together, in place of the state.

One line of JSON in front stays readable, also for Redis' scripts: what the call was counted as, when the last
line of its journal was of, when it was packed, by Redis' clock, and how it ended and whose it was (an earlier
version didn't write these two). Behind it is zlib. What is written of the
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
NAMED = b'"whose":'
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


def is_named(stored: bytes) -> bool:
    """Tell whether a packed call says in front how it ended, and whose it was."""
    return NAMED in stored[:HEAD].partition(_MARK)[0]


def pack(state: bytes, lines: Sequence[bytes], until: int, managers: Iterable[str] = ()) -> bytes:
    """Pack a state and its journal, and name the extensions of those whose call it was.

    Raises:
        ValueError: one of them is no JSON.
    """
    known: dict[str, Any] = orjson.loads(state)
    counted = {"counted": known["counted"]} if "counted" in known else {}
    at = max((line_at(line) or 0.0 for line in lines), default=0.0)
    about = {**counted, "packed": 1, "at": at, "until": until}
    head = orjson.dumps({**about, "ending": known.get("ending"), "whose": sorted(managers)})
    if len(head) >= HEAD:
        head = orjson.dumps(about)
    for line in lines:
        orjson.loads(line)
    body = orjson.dumps(
        {"call": orjson.Fragment(state), "journal": [orjson.Fragment(line) for line in lines]}
    )
    return head + _MARK + zlib.compress(body)


def text_in(stored: bytes) -> bytes | None:
    """Give the JSON of what stands in a state's place, not read; None when it can't be unpacked."""
    if not is_packed(stored):
        return stored
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(stored.partition(_MARK)[2], LONGEST)
    except zlib.error:
        return None
    return text if reader.eof else None


def unpack(stored: bytes) -> Packed:
    """Read a packed call.

    Raises:
        ValueError, LookupError, TypeError: it is none, or another version's.
    """
    about = _about(stored)
    found = _read(stored)
    lines = tuple(orjson.dumps(line) for line in found["journal"])
    return Packed(orjson.dumps(found["call"]), lines, float(about["at"]), int(about["until"]))


def _about(stored: bytes) -> Mapping[str, Any]:
    about: Mapping[str, Any] = orjson.loads(stored.partition(_MARK)[0])
    if about["packed"] != 1:
        raise ValueError("it was packed in another way")
    return about


def _read(stored: bytes) -> Any:
    text = text_in(stored)
    if text is None:
        raise ValueError("what was packed is broken, or has no end")
    return orjson.loads(text)


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


def parsed_state_in(stored: bytes) -> Any:
    """Give the JSON of the state, parsed, as `read_call` reads it; raises as `unpack` does."""
    if not is_packed(stored):
        return orjson.loads(stored)
    _about(stored)
    return _read(stored)["call"]


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
