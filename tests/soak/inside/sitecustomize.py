"""Stands on the Python path of a copy under test, and on no other: SIGUSR2 blocks its event loop.

For so many seconds as the file says that ``SOAK_BLOCK_FILE`` names. A signal's handler runs in the main
thread, between two steps of whatever runs there: so the loop doesn't turn, as when something computes for
long, while all other threads go on.
"""

import os
import signal
import time
from pathlib import Path


def _block(*_: object) -> None:
    time.sleep(float(Path(os.environ["SOAK_BLOCK_FILE"]).read_text()))


if "SOAK_BLOCK_FILE" in os.environ:
    signal.signal(signal.SIGUSR2, _block)
