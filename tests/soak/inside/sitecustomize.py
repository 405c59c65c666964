"""Stands on the Python path of a copy under test, and on no other: SIGUSR2 blocks its event loop.

For so many seconds as the file says that ``SOAK_BLOCK_FILE`` names. A signal's handler runs in the main
thread, between two steps of whatever runs there: so the loop doesn't turn, as when something computes for
long, while all other threads go on.
"""

import os
import select
import signal
import time
from pathlib import Path


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


def _block(*_: object) -> None:
    _sleep(float(Path(os.environ["SOAK_BLOCK_FILE"]).read_text()))


if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    time.sleep = _sleep  # type: ignore[assignment] # libfaketime 0.9.10 breaks the one of Python 3.11
if "SOAK_BLOCK_FILE" in os.environ:
    signal.signal(signal.SIGUSR2, _block)
