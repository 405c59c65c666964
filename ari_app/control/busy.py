"""Whose telephones the live calls of a line keep busy. Each step of a call asks, however many there are."""

from __future__ import annotations

from collections import Counter

from ari_app.calls import Call, Direction, LegState

_NOBODY: frozenset[str] = frozenset()


def kept_busy(call: Call) -> frozenset[str]:
    """Give the extensions that a call keeps busy: those that talk in it, and the one that makes it."""
    busy = {leg.code for leg in call.legs if leg.state is LegState.UP and leg.local is None}
    if call.direction is Direction.OUT and call.caller.alive:
        busy.add(call.caller.code)
    return frozenset(code for code in busy if code is not None)


class Busy:
    """The extensions that the live calls keep busy: an index, told of each call as it is now."""

    def __init__(self) -> None:
        self._of_call: dict[str, frozenset[str]] = {}
        self._calls = Counter[str]()
        """In how many calls each of them is."""
        self._all = _NOBODY

    def take(self, call: Call) -> None:
        """Take a call as it is now."""
        self._change(call.id, kept_busy(call))

    def drop(self, call_id: str) -> None:
        """Take note that a call isn't live any more."""
        self._change(call_id, _NOBODY)

    def but_for(self, call_id: str | None = None) -> frozenset[str]:
        """Give those whom calls keep busy, but for one of them."""
        own = self._of_call.get(call_id or "", _NOBODY)
        if not own:
            return self._all
        return self._all - {code for code in own if self._calls[code] == 1}

    def _change(self, call_id: str, busy: frozenset[str]) -> None:
        before = self._of_call.get(call_id, _NOBODY)
        if busy == before:
            return
        if busy:
            self._of_call[call_id] = busy
        else:
            del self._of_call[call_id]
        self._calls.update(busy - before)
        for code in before - busy:
            self._calls[code] -= 1
            if not self._calls[code]:
                del self._calls[code]
        self._all = frozenset(self._calls)
