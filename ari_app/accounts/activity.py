"""What the CRM says of our module: whether telephony is switched on there, and the account's settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Activity:
    """Whether telephony is on: it is until the CRM says that it's off. Moments: seconds since the epoch."""

    off_at: float | None = None
    """When it was last switched off."""
    on_at: float | None = None
    """When it was switched on again after that."""
    active: bool | None = None
    """Whether somebody has ticked the module's "active"; None: it was never said."""
    frozen: bool | None = None
    """Whether the CRM has frozen the module (it isn't paid for, say)."""

    @property
    def on(self) -> bool:
        """Whether telephony is on now."""
        return self.off_at is None or self.on_at is not None

    @property
    def since(self) -> float | None:
        """Since when telephony is on, or off; None if it was never switched."""
        return self.off_at if self.on_at is None else self.on_at

    def told(self, active: bool | None, frozen: bool | None, at: float) -> Activity:
        """Give what it is when the CRM says so; what it leaves out (None) stays as it was.

        Where it never said more than whether telephony is on, a module that is off is taken to be inactive.
        """
        before = self.on if self.active is None else self.active
        active, frozen = (before if active is None else active), (self.frozen if frozen is None else frozen)
        return replace(self.switched(active and not frozen, at), active=active, frozen=bool(frozen))

    def switched(self, on: bool, at: float) -> Activity:
        """Give what it is when telephony is on or off from then on; the same again changes nothing."""
        if on == self.on:
            return self
        return replace(self, on_at=at) if on else replace(self, off_at=at, on_at=None)

    def covers(self, at: float) -> bool:
        """Tell whether the CRM shall hear of what happened at a moment."""
        if self.off_at is None or at < self.off_at:
            return True
        return self.on_at is not None and at >= self.on_at


@dataclass(frozen=True, slots=True)
class CrmSettings:
    """The settings that the CRM tells its modules; what it doesn't tell is None or empty."""

    timezone: str | None = None
    """IANA name, as the CRM wrote it."""
    language: str | None = None
    currency: str | None = None
    work_times: tuple[dict[str, Any], ...] = ()
    """Such as ``{"day_type": "Monday", "start_time": "09:00", "end_time": "18:00"}``."""
    non_working_days: tuple[dict[str, Any], ...] = ()

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone; None if it isn't told, or not known here."""
        try:
            return ZoneInfo(self.timezone) if self.timezone else None
        except (ValueError, LookupError, OSError):
            return None
