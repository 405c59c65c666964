"""How our integration module is registered: what its key must be allowed, and what the CRM is told of it."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from ari_app.retailcrm.messages import Credentials, Numbers, Received, Sent, Texts, object_or_none
from ari_app.retailcrm.module import MODULE_CODE

PERMISSIONS = {
    "/api/users": "user_read",
    "/api/users/{id}": "user_read",
    "/api/customers": "customer_read",
    "/api/reference/sites": "reference_read",
    "/api/integration-modules/{code}": "integration_read",
    "/api/integration-modules/{code}/edit": "integration_write",
    "/api/telephony/call/event": "telephony_write",
    "/api/telephony/calls/upload": "telephony_write",
    "/api/telephony/manager": "telephony_read",
}
"""The API's methods that a key must be allowed, as the CRM names them to people, and the scope of each."""
TASK_METHODS = ("/api/tasks", "/api/tasks/create", "/api/tasks/{id}/edit")
"""What a key must be allowed for the tasks of missed customers; wanted only where these are switched on."""
CUSTOMER_METHODS = ("/api/customers/create", "/api/customers/{externalId}")
"""The same for new customers."""
NOTICE_METHODS = ("/api/notifications/send",)
"""The same for notices of them."""
MODULE_NAME = "Asterisk"
COUNTRIES = ("RU", "BY", "KZ", "UA", "AM", "AZ", "EE", "GE", "KG")
"""Where the module is offered, ISO 3166-1 alpha-2."""


class CodeOfUser(Sent):
    """A user's extension."""

    user_id: int
    code: str


class PhoneOfSite(Sent):
    """A number of a shop's (a site, in the CRM's words)."""

    site_code: str
    external_phone: str


class Telephony(Sent):
    """`integrations.telephony`; the addresses are whole ones."""

    make_call_url: str
    change_user_status_url: str
    allow_edit: bool
    input_event_supported: bool
    output_event_supported: bool
    hangup_event_supported: bool
    additional_codes: tuple[CodeOfUser, ...]
    external_phones: tuple[PhoneOfSite, ...]


class Integrations(Sent):
    """`integrations` of a module."""

    telephony: Telephony


class IntegrationModule(Sent):
    """`integrationModule` of POST integration-modules/{code}/edit."""

    code: str
    integration_code: str
    active: bool
    name: str
    logo: str
    client_id: str
    base_url: str
    """Where `actions` are, which are paths."""
    actions: dict[str, str]
    available_countries: tuple[str, ...]
    account_url: str
    integrations: Integrations


@dataclass(frozen=True, slots=True)
class Unknown:
    """What is named in a registration that the CRM doesn't know: users, shops."""

    users: tuple[int, ...] = ()
    sites: tuple[str, ...] = ()


class _Info(Received):
    not_exist_users_ids: Numbers = ()
    not_exist_site_codes: Texts = ()


class EditBody(Received):
    """Answer of POST integration-modules/{code}/edit."""

    info: Annotated[_Info | None, BeforeValidator(object_or_none)] = None

    def read(self) -> Unknown:
        """In our words."""
        info = self.info or _Info()
        return Unknown(info.not_exist_users_ids, info.not_exist_site_codes)


def missing_permissions(key: Credentials) -> list[str]:
    """Name the methods that a key must be allowed and isn't."""
    allowed = {method.replace("/api/v5/", "/api/") for method in key.methods}
    return [
        method for method, scope in PERMISSIONS.items() if method not in allowed and scope not in key.scopes
    ]


def lacking(key: Credentials, methods: Iterable[str]) -> list[str]:
    """Name those of some methods that a key isn't allowed; none when the CRM names no methods at all."""
    allowed = {method.replace("/api/v5/", "/api/") for method in key.methods}
    return [method for method in methods if method not in allowed] if allowed else []


def callback_key(cabinet_secret: str) -> str:
    """Give what stands in the addresses at which the CRM calls us.

    The clientId, which comes with them, stands in every old dialplan; this is known to the CRM alone.
    """
    return hmac.digest(cabinet_secret.encode(), b"callbacks", "sha256").hex()[:32]


def account_address(public_url: str, cabinet_secret: str) -> str:
    """Give the address at which the CRM opens an account's cabinet."""
    return f"{public_url}/account/{cabinet_secret}"


def call_address(public_url: str, cabinet_secret: str) -> str:
    """Give the address at which the CRM asks for a call."""
    return f"{public_url}/crm/call/{callback_key(cabinet_secret)}"


def status_address(public_url: str, cabinet_secret: str) -> str:
    """Give the address at which the CRM says that a manager is away, or back."""
    return f"{public_url}/crm/status/{callback_key(cabinet_secret)}"


def describe(
    public_url: str,
    client_id: str,
    cabinet_secret: str,
    codes: dict[int, str],
    phones: dict[str, str],
    active: bool = True,
) -> IntegrationModule:
    """Say what the CRM is told of the module.

    `codes` are the extensions by the users' ids, `phones` the sites by the numbers. `active` is what the CRM
    has: only people there switch the module on and off.
    """
    key = callback_key(cabinet_secret)
    telephony = Telephony(
        make_call_url=call_address(public_url, cabinet_secret),
        change_user_status_url=status_address(public_url, cabinet_secret),
        allow_edit=True,
        input_event_supported=True,
        output_event_supported=True,
        hangup_event_supported=True,
        additional_codes=tuple(CodeOfUser(user_id=user, code=code) for user, code in codes.items()),
        external_phones=tuple(
            PhoneOfSite(site_code=site, external_phone=phone) for phone, site in phones.items()
        ),
    )
    return IntegrationModule(
        code=MODULE_CODE,
        integration_code=MODULE_CODE,
        active=active,
        name=MODULE_NAME,
        logo=f"{public_url}/static/logo.svg",
        client_id=client_id,
        base_url=public_url,
        actions={"activity": f"/crm/activity/{key}", "settings": f"/crm/settings/{key}"},
        available_countries=COUNTRIES,
        account_url=account_address(public_url, cabinet_secret),
        integrations=Integrations(telephony=telephony),
    )
