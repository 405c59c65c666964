"""Processes that aren't ours to wait for."""

import asyncio
import os


async def gone(pid: int) -> None:
    """Wait until the process is gone or nobody but its new parent knows of it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(handle, gone.set)
    try:
        await gone.wait()
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
