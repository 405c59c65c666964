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
    """The extensions that the live calls keep busy: an index, told of each change of a call."""

    def __init__(self) -> None:
        self._calls = Counter[str]()
        """In how many calls each of them is."""
        self._all = _NOBODY

    def take(self, before: Call | None, now: Call | None) -> None:
        """Take a call as it is now, and was before; None when it wasn't live, or isn't any more."""
        was, is_now = _of(before), _of(now)
        if was == is_now:
            return
        self._calls.update(is_now - was)
        for code in was - is_now:
            self._calls[code] -= 1
            if not self._calls[code]:
                del self._calls[code]
        self._all = frozenset(self._calls)

    def but_for(self, call: Call | None = None) -> frozenset[str]:
        """Give those whom calls keep busy, but for one of them."""
        own = _of(call)
        if not own:
            return self._all
        return self._all - {code for code in own if self._calls[code] == 1}


def _of(call: Call | None) -> frozenset[str]:
    return kept_busy(call) if call is not None else _NOBODY
