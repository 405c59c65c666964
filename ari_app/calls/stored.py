"""A call's state as it is written, in Redis and in the JSON that the command line prints.

The fields' names stay as they were first written: a version of ours before or after this one reads them, too.
"""

import orjson
from pydantic import TypeAdapter

from ari_app.calls.call import Call

_CALL = TypeAdapter(Call)


def dump_call(call: Call) -> bytes:
    """Write a call's state as JSON."""
    return orjson.dumps(call)


def load_call(data: bytes) -> Call:
    """Read a call's state back.

    Raises:
        ValueError: it was not written by `dump_call`.
    """
    return _CALL.validate_json(data)
