"""Finds the call of which a channel is whose id isn't of our making."""

from __future__ import annotations

from collections.abc import Iterator

from ari_app.calls import Call
from ari_app.control.live_call import LiveCall


class ChannelIndex:
    """The channels of live calls with ids that aren't of our making."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[LiveCall, ...]] = {}

    def __contains__(self, channel: str) -> bool:
        return channel in self._calls

    def calls_of(self, channel: str) -> tuple[LiveCall, ...]:
        """Give the calls of which a channel is; who knew it last is the last."""
        return self._calls.get(channel, ())

    def add(self, live: LiveCall) -> None:
        """Take note of all the channels that a call knows."""
        for ident in _channels(live.call):
            self.know(ident, live)

    def remove(self, live: LiveCall) -> None:
        """Forget the channels of a call."""
        for ident in live.strangers:
            self.forget(ident, live)

    def know(self, channel: str, live: LiveCall) -> None:
        """A channel is of two calls where a customer was handed over to the other party of a second one.

        Who knew it last hears what happens to it, both that it ends.
        """
        self.forget(channel, live)
        self._calls[channel] = (*self._calls.get(channel, ()), live)
        live.strangers += (channel,)

    def forget(self, channel: str, live: LiveCall) -> None:
        """A channel isn't of a call any more."""
        live.strangers = tuple(one for one in live.strangers if one != channel)
        left = tuple(one for one in self._calls.get(channel, ()) if one is not live)
        if left:
            self._calls[channel] = left
        else:
            self._calls.pop(channel, None)


def _channels(call: Call) -> Iterator[str]:
    """List the channels of a call with ids that aren't of our making."""
    yield call.caller.id
    for leg in call.our_legs:
        yield leg.id
        if leg.far is not None:
            yield leg.far
