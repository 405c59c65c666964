"""What the PBX says of its telephones and of its dialplan's places, as it was some seconds ago at most."""

from __future__ import annotations

import asyncio
import math
import time

from ari_app.accounts.current import Current
from ari_app.asterisk.ajam import Ajam
from ari_app.asterisk.errors import PbxError
from ari_app.asterisk.pbx import Pbx
from ari_app.asterisk.phones import Endpoints, endpoints
from ari_app.asterisk.places import Places

TELEPHONES_SECONDS = 20.0
"""How long it is believed which telephones are registered."""
PLACES_SECONDS, PLACES_LATE_SECONDS = 20.0, 2.0
"""How long it is believed which queues there are, and how long a page waits for that."""


class Directory:
    """Of one account's PBX."""

    def __init__(self, current: Current, pbx: Pbx, ajam: Ajam | None) -> None:
        self._current = current
        self._pbx = pbx
        self._ajam = ajam
        self._telephones: Endpoints | None = None
        self._telephones_at = -math.inf
        self._places: Places | None = None
        self._places_at = -math.inf

    async def telephones(self) -> Endpoints | None:
        """Give the state of the telephones; None when the PBX is away."""
        if not self._pbx.connected:
            self._telephones = None
            return None
        if self._telephones is None or time.monotonic() - self._telephones_at > TELEPHONES_SECONDS:
            try:
                self._telephones = await endpoints(self._pbx.ari)
            except PbxError:
                self._telephones = None
            self._telephones_at = time.monotonic()
        return self._telephones

    async def places(self) -> Places | None:
        """Give the queues, menus and lines of the dialplan.

        None where the PBX doesn't show it, which it does by AJAM alone.
        """
        if self._ajam is None or not self._ajam.usable:
            return None
        if time.monotonic() - self._places_at > PLACES_SECONDS:
            try:
                async with asyncio.timeout(PLACES_LATE_SECONDS):
                    self._places = await self._ajam.places(self._current.account.pbx.stasis_app)
            except (PbxError, TimeoutError):
                self._places = None
            self._places_at = time.monotonic()
        return self._places
