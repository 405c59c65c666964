"""Packs pictures of pages: without the filters that photographs need, text and plain areas take less."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_HEAD = b"\x89PNG\r\n\x1a\n"
_COLOURS = {2: 3, 6: 4}
"""Bytes of a pixel, by the header's colour type: RGB, and RGB with transparency."""


def pack(png: bytes) -> bytes:
    """Pack a picture of 8 bits a colour anew; it shows the same."""
    chunks = list(_chunks(png))
    header = next(body for kind, body in chunks if kind == b"IHDR")
    width, pixel = struct.unpack_from(">I", header)[0], _COLOURS[header[9]]
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    lines = b"".join(b"\0" + line for line in _lines(zlib.decompress(packed), width * pixel, pixel))
    return _HEAD + b"".join(
        _chunk(kind, body)
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_HEAD)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _lines(filtered: bytes, length: int, pixel: int) -> Iterator[bytes]:
    """Undo the filters (PNG specification, section 9)."""
    above = bytearray(length)
    for start in range(0, len(filtered), length + 1):
        kind, line = filtered[start], bytearray(filtered[start + 1 : start + 1 + length])
        for i in range(length):
            left, corner = (line[i - pixel], above[i - pixel]) if i >= pixel else (0, 0)
            line[i] = (line[i] + _foretold(kind, left, above[i], corner)) & 255
        yield bytes(line)
        above = line


def _foretold(kind: int, left: int, up: int, corner: int) -> int:
    match kind:
        case 1:
            return left
        case 2:
            return up
        case 3:
            return (left + up) // 2
        case 4:
            return min((left, up, corner), key=lambda one: abs(left + up - corner - one))
        case _:
            return 0
