"""A call's state as it is written, in Redis and in the JSON that the command line prints.

A name that is stored stays as it was first written: a version of ours before or after this one reads it, too.
Where our own name has changed since, the two stand here side by side.
"""

import orjson
from pydantic import TypeAdapter

from ari_app.calls.call import Call

_CALL = TypeAdapter(Call)
_OURS, _WRITTEN = b'"result_told":', b'"reported":'
"""The name in the code, and the one that is written; no text has either in it, as its quotes are escaped."""


def dump_call(call: Call) -> bytes:
    """Write a call's state as JSON."""
    return orjson.dumps(call).replace(_OURS, _WRITTEN, 1)


def load_call(data: bytes) -> Call:
    """Read a call's state back.

    Raises:
        ValueError: it was not written by `dump_call`.
    """
    return _CALL.validate_json(data)
