"""What a key of the simulated retailCRM may do, and the integration modules that are registered there."""

from dataclasses import dataclass, field
from typing import Any

from ari_app.demo.retailcrm_faults import Route
from ari_app.demo.retailcrm_rules import ROUTES, Wrong

MODULES = "/api/v5/integration-modules/"
"""A module's code comes after it."""

_NEEDED: dict[Route, str] = {
    "manager": "telephony_read",
    "event": "telephony_write",
    "upload": "telephony_write",
    "users": "user_read",
    "module": "integration_read",
}
"""The permission that a route needs; the others take any key."""


@dataclass(slots=True, eq=False)
class Rights:
    """Of one account: its key's permissions, and its modules by their codes, as the API shows them."""

    scopes: set[str] = field(default_factory=lambda: {*_NEEDED.values(), "reference_read"})
    modules: dict[str, dict[str, Any]] = field(default_factory=dict)

    def check(self, route: Route) -> None:
        """Make sure that the key may do this; raises `Wrong`."""
        if route in _NEEDED and _NEEDED[route] not in self.scopes:
            raise Wrong(403, "Access denied.")

    def module(self, path: str) -> dict[str, Any] | None:
        """Answer of GET integration-modules/{code}; None when it isn't registered."""
        code = path.removeprefix(MODULES)
        if code not in self.modules:
            return None
        return {"success": True, "integrationModule": {"code": code, **self.modules[code]}}

    def credentials(self) -> dict[str, Any]:
        """Answer of GET /api/credentials."""
        return {
            "success": True,
            "scopes": sorted(self.scopes),
            "credentials": [path for path in ROUTES if "/v5/" in path],
            "siteAccess": "access_full",
            "sitesAvailable": ["shop"],
        }
