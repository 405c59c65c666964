"""What a key of the simulated retailCRM may do, and the integration modules that are registered there."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ari_app.demo.crm.faults import Route
from ari_app.demo.crm.rules import ToldModule, Wrong

MODULES = "/api/v5/integration-modules/"
"""A module's code comes after it."""

_NEEDED: dict[Route, str] = {
    "manager": "telephony_read",
    "event": "telephony_write",
    "upload": "telephony_write",
    "users": "user_read",
    "sites": "reference_read",
    "module": "integration_read",
    "edit": "integration_write",
    "tasks": "task_read",
    "new task": "task_write",
    "edit task": "task_write",
    "notify": "notification_write",
    "customer": "customer_read",
    "new customer": "customer_write",
}
"""The permission that a route needs; the others take any key."""
_METHODS = {
    "/api/users": "user_read",
    "/api/users/{id}": "user_read",
    "/api/customers": "customer_read",
    "/api/customers/{externalId}": "customer_read",
    "/api/customers/create": "customer_write",
    "/api/reference/sites": "reference_read",
    "/api/integration-modules/{code}": "integration_read",
    "/api/integration-modules/{code}/edit": "integration_write",
    "/api/tasks": "task_read",
    "/api/tasks/create": "task_write",
    "/api/tasks/{id}/edit": "task_write",
    "/api/notifications/send": "notification_write",
    "/api/telephony/call/event": "telephony_write",
    "/api/telephony/calls/upload": "telephony_write",
    "/api/telephony/manager": "telephony_read",
}
"""The methods that `credentials` names, and the permission that each needs."""


@dataclass(slots=True, eq=False)
class Rights:
    """Of one account: its key's permissions, and its modules by their codes, as the API shows them."""

    scopes: set[str] = field(default_factory=lambda: {*_METHODS.values()})
    modules: dict[str, dict[str, Any]] = field(default_factory=dict)

    def check(self, route: Route) -> None:
        """Make sure that the key may do this; raises `Wrong`."""
        if route in _NEEDED and _NEEDED[route] not in self.scopes:
            raise Wrong(403, "Access denied.")
        if route in ("event", "upload") and self.modules and not any(map(_works, self.modules.values())):
            raise Wrong(400, "Telephony not enabled")

    def module(self, path: str) -> dict[str, Any] | None:
        """Answer of GET integration-modules/{code}; None when it isn't registered."""
        code = path.removeprefix(MODULES)
        if code not in self.modules:
            return None
        return {"success": True, "integrationModule": {"code": code, **self.modules[code]}}

    def edit(self, module: ToldModule, users: Collection[int], sites: Collection[str]) -> dict[str, Any]:
        """Answer of POST integration-modules/{code}/edit; `info` is a list when it is empty, as from PHP."""
        told = module.model_dump(by_alias=True)
        self.modules[told.pop("code")] = {"freeze": False, **told}
        telephony = module.integrations.telephony
        strangers = [one.user_id for one in telephony.additional_codes if one.user_id not in users]
        elsewhere = [one.site_code for one in telephony.external_phones if one.site_code not in sites]
        info = {"notExistUsersIds": strangers, "notExistSiteCodes": elsewhere}
        return {"success": True, "info": {name: found for name, found in info.items() if found} or []}

    def sites(self) -> dict[str, Any]:
        """Answer of GET reference/sites."""
        shop = {"id": 1, "name": "Магазин на Садовой", "code": "shop", "defaultForCrm": True}
        return {"success": True, "sites": {"shop": shop}}

    def credentials(self) -> dict[str, Any]:
        """Answer of GET /api/credentials."""
        return {
            "success": True,
            "scopes": sorted(self.scopes),
            "credentials": [method for method, scope in _METHODS.items() if scope in self.scopes],
            "siteAccess": "access_full",
            "sitesAvailable": ["shop"],
        }


def _works(module: dict[str, Any]) -> bool:
    return bool(module.get("active")) and not module.get("freeze")
