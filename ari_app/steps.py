"""The step that was begun last, in a word: what a slow one was, the log says by that."""

from __future__ import annotations

_LONGEST = 100
"""Characters: a kind may be what a PBX calls it."""
_newest: tuple[str, str] = ("", "")


def begin(kind: str, whose: str = "") -> None:
    """Note that a step begins: an event, a request ... It costs next to nothing."""
    global _newest
    _newest = kind, whose


def newest() -> str:
    """Say which step was begun last."""
    kind, whose = _newest
    return f"{kind[:_LONGEST]} {whose}".strip()
