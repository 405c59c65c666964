"""The names in the generated dialplan that the application counts on."""

from __future__ import annotations


def local_context(stasis_app: str, context: str, priority: int) -> str:
    """Name the context from whose priority 1 a Local channel gets to a place in the shop's dialplan.

    A Local channel always starts at priority 1; to another one it goes through a ``Goto`` in a context of ours.
    """
    return context if priority == 1 else f"{stasis_app}-outgoing-{context}-{priority}"
