"""A call's state as it is written, in Redis and for whoever reads our JSON.

A name that is stored stays as it was first written: a version of ours before or after this one reads it, too.
Where our own name has changed since, the two stand here side by side.
"""

import orjson
from pydantic import TypeAdapter

from ari_app.calls.call import Call

_CALL = TypeAdapter(Call)
_OURS, _WRITTEN = (
    b'"result_told":',
    b'"reported":',
)  # found in no text: there, quotes are escaped


def dump_call(call: Call) -> bytes:
    """Write a call's state as JSON."""
    return orjson.dumps(call).replace(_OURS, _WRITTEN, 1)


def load_call(data: bytes) -> Call:
    """Read a call's state back.

    Raises:
        ValueError: it was not written by `dump_call`.
    """
    return _CALL.validate_json(data)
