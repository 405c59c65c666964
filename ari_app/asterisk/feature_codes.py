"""The PBX's feature codes are for the shop's people: no customer transfers, parks or calls anybody by keys.

A dialplan may allow it with an option of ``Dial()`` or ``Queue()`` (``T``, ``t``, ``K``, ``k``), and whoever
presses the codes then telephones at the shop's expense. In bridges of ours Asterisk obeys no codes; behind a
channel of ours into the dialplan it would, and where a colleague takes a customer out of a parking lot
(``parkedcalltransfers``). Managers keep ``##`` there too: what they press comes through to our bridge, and
`ari_app.calls.keys` reads it.
"""

from __future__ import annotations

_CODES = ("FEATUREMAP(blindxfer)", "FEATUREMAP(atxfer)", "FEATUREMAP(parkcall)")
CALLER_WITHOUT_CODES = {f"MASTER_CHANNEL({code})": "" for code in _CODES}
"""Variables of a leg that is made for a caller: the caller's own channel knows no codes, wherever it goes.

Set by the leg's request they bar nothing there, as a variable set by ARI would.
"""
_INBOUND = {"__DIRECTION": "INBOUND"}
"""FreePBX lets the caller of such a call transfer by no keys, whatever it dials."""
CALLER_SENT_ON = {**dict.fromkeys(_CODES, ""), **_INBOUND}
"""Variables of a caller's own channel that goes on in the shop's dialplan. The codes aren't inherited.

Whoever is dialled there is the shop's, and keeps the codes that the shop gives them. But a Local channel
there stands for the caller: its far half is given the same when it is found, a moment after it was dialled.
"""
NO_FEATURE_CODES = {
    **dict.fromkeys(_CODES, ""),
    "FEATURE(inherit)": "yes",
    "__DYNAMIC_FEATURES": "",
}
"""Variables of a new channel, inherited by all that is dialled behind it: no bridge there obeys any keys."""


def behind(endpoint: str, *, inbound: bool) -> dict[str, str]:
    """Give the variables of a new channel that is to lead into the dialplan; others need none."""
    if not endpoint.startswith("Local/"):
        return {}
    return {**NO_FEATURE_CODES, **(_INBOUND if inbound else {})}
