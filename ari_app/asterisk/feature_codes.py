"""The PBX's feature codes are for the shop's people: no customer transfers, parks or calls anybody by keys.

A dialplan may allow it with an option of ``Dial()`` or ``Queue()`` (``T``, ``t``, ``K``, ``k``), and whoever
presses the codes then telephones at the shop's expense. In bridges of ours Asterisk obeys no codes; behind a
channel of ours into the dialplan it would. Managers keep ``##`` there too: what they press comes through to
our bridge, and `ari_app.calls.keys` reads it.
"""

from __future__ import annotations

NO_FEATURE_CODES = {
    "FEATUREMAP(blindxfer)": "",
    "FEATUREMAP(atxfer)": "",
    "FEATUREMAP(parkcall)": "",
    "FEATURE(inherit)": "yes",
    "__DYNAMIC_FEATURES": "",
}
"""Variables of a new channel, inherited by all that is dialled behind it: no bridge there obeys any keys."""


def behind(endpoint: str, *, inbound: bool) -> dict[str, str]:
    """Give the variables of a new channel that is to lead into the dialplan; others need none.

    FreePBX lets the caller of an inbound call transfer by no keys, and knows it by ``__DIRECTION``.
    """
    if not endpoint.startswith("Local/"):
        return {}
    return {**NO_FEATURE_CODES, **({"__DIRECTION": "INBOUND"} if inbound else {})}
