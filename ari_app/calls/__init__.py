"""The call-state model: what a call is, what can happen to it, and what it asks for in return.

Pure Python over frozen values. No input or output, no asyncio, no clock: time enters as a value in the
happening (``at``, seconds since the epoch, UTC). The same `advance` serves a live call, a call resumed after
a crash, and a test.
"""
