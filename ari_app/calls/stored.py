"""A call's state as it is written, in Redis and in the JSON that the command line prints.

The fields' names stay as they were first written: a version of ours before or after this one reads them, too.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from pydantic import TypeAdapter

from ari_app.calls.brief import brief
from ari_app.calls.call import Call, Leg

_CALL = TypeAdapter(Call)
_LAST = (
    "legs",
    "caller",
    "recorder",
    "recording",
    "bridge_open",
    "ended_at",
    "ending",
    "reported",
    "timers",
    "stage",
)
"""The fields that change while a call goes on, those that change most at the end: of a state that begins as
the one before Redis is told only the rest.
"""
_LAST_OF_LEG = ("joined", "rang", "result", "answered_at", "ended_at", "state", "at")
"""The same of each leg."""


def dump_call(call: Call) -> bytes:
    """Write a call's state as JSON."""
    return orjson.dumps(call)


def brief_call(call: Call) -> bytes:
    """Write the same without the fields that have their defaults; what changes stands behind what stays."""
    found = brief(call)
    found["caller"], found["policy"] = _leg(call.caller), brief(call.policy)
    if call.legs:
        found["legs"] = [_leg(leg) for leg in call.legs]
    if call.recorder is not None:
        found["recorder"] = _leg(call.recorder)
    if "recording" in found:
        found["recording"] = brief(call.recording)
    return orjson.dumps(_changing_last(found, _LAST))


def _leg(leg: Leg) -> dict[str, Any]:
    return _changing_last(brief(leg), _LAST_OF_LEG)


def _changing_last(found: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    for name in names:
        if name in found:
            found[name] = found.pop(name)
    return found


def load_call(data: bytes) -> Call:
    """Read a call's state back.

    Raises:
        ValueError: it was written by none of them.
    """
    return read_call(orjson.loads(data))


def read_call(known: Any) -> Call:
    """Read the same of JSON that is parsed: pydantic's own parser takes half as long again.

    Raises:
        ValueError: it was written by none of them.
    """
    return _CALL.validate_python(known)
