"""A trial: a call by which an administrator tries an extension out, all the way that a customer's call goes.

The trade calls it a test call. Its caller is a channel of ours; everything else is real: the look-up, the
telephone that rings, the bridge, the recording, the CRM's popup. But nobody called the shop, so nothing of it
counts: it isn't uploaded, it is in no statistics, nobody was missed by it, and nobody becomes a customer.
"""

from __future__ import annotations

from ari_app.calls.routing import Destination, People

RING_SECONDS = 30.0
"""How long the telephone rings."""
TALK_SECONDS = 8.0
"""How long after the answer a trial hangs up by itself."""


def destinations(code: str) -> tuple[Destination, ...]:
    """List whom a trial rings: the extension, and nobody else."""
    return (People((code,), RING_SECONDS),)
