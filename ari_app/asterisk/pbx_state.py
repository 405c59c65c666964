"""How a connection to a PBX stands, by ARI or by AJAM."""

from __future__ import annotations

from enum import StrEnum


class PbxState(StrEnum):
    """How a connection stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    DENIED = "denied"
    REPLACED = "taken over by another process"
    TAKEN = "held by another installation"
