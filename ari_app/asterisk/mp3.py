"""A recording as the PBX makes it (8 kHz, 16 bit, mono) into MP3, by LAME."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import lameenc

SAMPLES_A_SECOND = 8_000
BIT_RATE = 24
"""Kilobits a second; more is not heard on a telephone's 4 kHz."""
BYTES_A_SECOND = BIT_RATE * 1000 // 8
_QUALITY = 5
"""LAME's own middle: an hour of talk takes 3 s of a processor."""
_PIECE = 1 << 20
"""Bytes that are encoded at once, a minute of talk; other threads go on meanwhile."""


class CannotEncode(Exception):
    """LAME refuses; the text says why."""


def encoded(samples: BinaryIO) -> Iterator[bytes]:
    """Encode what a file holds from where it stands, a piece at a time: some may be empty. For a thread.

    Raises:
        CannotEncode: LAME refuses.
        OSError: the file can't be read.
    """
    try:
        encoder = lameenc.Encoder()
        encoder.silence()
        encoder.set_bit_rate(BIT_RATE)
        encoder.set_in_sample_rate(SAMPLES_A_SECOND)
        encoder.set_out_sample_rate(SAMPLES_A_SECOND)
        encoder.set_channels(1)
        encoder.set_quality(_QUALITY)
        while piece := samples.read(_PIECE):
            yield bytes(encoder.encode(piece[: len(piece) // 2 * 2]))
        yield bytes(encoder.flush())
    except RuntimeError as error:
        raise CannotEncode(str(error)) from error
