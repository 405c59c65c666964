"""Our integration module, as the CRM has it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from ari_app.retailcrm.messages import Flag, Number, Received, Text, object_or_none

MODULE_CODE = "ari-app"
"""The code by which the CRM knows our module: the same for ever, or the CRM would have two."""


@dataclass(frozen=True, slots=True)
class Module:
    """A registered module. It works when it is `active` and not `frozen`."""

    active: bool
    frozen: bool
    telephony: bool
    """Whether it is one for telephones at all."""
    call_url: str | None
    """The address at which the CRM asks for calls."""
    status_url: str | None
    """The address at which the CRM says that a manager is away, or back."""
    told: bool
    """Whether the CRM takes incoming, outgoing and ended calls from it."""
    account_url: str | None
    """The address at which the CRM sends people to the cabinet."""
    codes: dict[int, str]
    """The extension of each of the CRM's users, by the user's id."""


def _list(value: object) -> object:
    return list(value.values()) if isinstance(value, dict) else value or []


class _CodeOfUser(Received):
    user_id: Number = None
    code: Text = None


class _Telephony(Received):
    make_call_url: Text = None
    change_user_status_url: Text = None
    input_event_supported: Flag = False
    output_event_supported: Flag = False
    hangup_event_supported: Flag = False
    additional_codes: Annotated[list[_CodeOfUser], BeforeValidator(_list)] = Field(default=[])


class _Integrations(Received):
    telephony: Annotated[_Telephony | None, BeforeValidator(object_or_none)] = None


class _Module(Received):
    active: Flag = False
    freeze: Flag = False
    account_url: Text = None
    integrations: Annotated[_Integrations | None, BeforeValidator(object_or_none)] = None


class ModuleBody(Received):
    """Answer of GET integration-modules/{code}."""

    integration_module: _Module

    def read(self) -> Module:
        """In our words."""
        module = self.integration_module
        telephony = module.integrations.telephony if module.integrations else None
        shown = telephony or _Telephony()
        kinds = (shown.input_event_supported, shown.output_event_supported, shown.hangup_event_supported)
        return Module(
            active=module.active,
            frozen=module.freeze,
            telephony=telephony is not None,
            call_url=shown.make_call_url,
            status_url=shown.change_user_status_url,
            told=all(kinds),
            account_url=module.account_url,
            codes={one.user_id: one.code for one in shown.additional_codes if one.user_id and one.code},
        )
