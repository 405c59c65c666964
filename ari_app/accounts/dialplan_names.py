"""The names in the generated dialplan that the application counts on."""

from __future__ import annotations

import hashlib

_LONGEST = 79
"""Asterisk cuts longer names of contexts and extensions off."""


AWAY_LABEL = "away"
"""The label behind Stasis() at which FreePBX's dialplan goes on while we are away."""


def incoming_context(stasis_app: str) -> str:
    """Name the context that hands a customer's call to the service, at ``s,1``."""
    return f"{stasis_app}-incoming"


def without_us_context(stasis_app: str) -> str:
    """Name the context in which Asterisk's dialplan goes on, at ``s,1``, while we are away."""
    return f"{stasis_app}-without-us"


def local_context(stasis_app: str, context: str, priority: int) -> str:
    """Name the context from whose priority 1 a Local channel gets to a place in the shop's dialplan.

    A Local channel always starts at priority 1; to another it goes through a ``Goto`` in a context of ours.
    """
    return context if priority == 1 else _fitting(f"{stasis_app}-outgoing-{context}-{priority}")


def named_context(stasis_app: str) -> str:
    """Name the context that gives a caller the customer's name before they go on in the shop's dialplan."""
    return f"{stasis_app}-named"


def named_exten(context: str, exten: str, priority: int) -> str:
    """Name the extension of `named_context` that leads to a place in the shop's dialplan."""
    return _fitting(f"{context}:{exten}:{priority}")


def ring_context(stasis_app: str) -> str:
    """Name the context that rings an extension as FreePBX would; its extensions are the managers'."""
    return _fitting(f"{stasis_app}-ring")


def ring_format(stasis_app: str) -> str:
    """Write the channel by which `ring_context` rings an extension, ``##``."""
    return f"Local/##@{ring_context(stasis_app)}/n"


def _fitting(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
