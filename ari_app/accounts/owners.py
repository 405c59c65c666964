"""Whose telephones there are: what an account says of its extensions' devices and mobiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ari_app.calls import LONGEST_INTERNAL, e164


@dataclass(frozen=True, slots=True)
class Owners:
    """The people of an account, by what may stand for them on a PBX."""

    codes: frozenset[str]
    """The account's extensions."""
    devices: Mapping[str, str] = field(default_factory=dict)
    """The extension of an endpoint (``99302``, or ``PJSIP/99302``)."""
    mobiles: Mapping[str, str] = field(default_factory=dict)
    """The extension of a mobile (E.164)."""
    country: str = "RU"
    outside_prefix: str = ""
    """What the shop's dialplan dials before a number outside, such as 9."""

    def of_device(self, technology: str, name: str) -> str | None:
        """Say whose an endpoint is, None when it is nobody's; one may be named as the extension itself."""
        if name in self.codes:
            return name
        return self.devices.get(f"{technology}/{name}") or self.devices.get(name)

    def of_number(self, number: str) -> str | None:
        """Say whose a dialled number is: an extension, or a mobile however it is written and dialled."""
        if number in self.codes:
            return number
        if not self.mobiles or len(number) <= LONGEST_INTERNAL:
            return None
        return self.mobiles.get(e164(number, self.country, self.outside_prefix) or "")
