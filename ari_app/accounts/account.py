"""An account: one shop's CRM, its PBX, and how it wants its calls handled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    field_validator,
    model_validator,
)

from ari_app.accounts.dialplan_names import local_context
from ari_app.accounts.owners import Owners
from ari_app.accounts.sections import (
    ACCOUNT_NAME,
    DEFAULT_TIMEZONE,
    AlertSettings,
    ApiSettings,
    CallSettings,
    ClickSettings,
    Crm,
    ExtensionOf,
    ExternalPhone,
    MailSettings,
    MissedSettings,
    Notify,
    PbxSettings,
    Section,
    WebhookSettings,
    word,
)
from ari_app.calls import (
    Outside,
    Policy,
    e164,
    parse_destinations,
)


class RegisteredAccount(Section):
    """A shop that is known here: its CRM is, its PBX may still have to be set up."""

    name: Annotated[str, word(ACCOUNT_NAME, "an account's name, such as shop.retailcrm.ru")] | None = None
    """The account's name, if it isn't its CRM's host: that has moved since the account was made."""
    crm: Crm
    pbx: PbxSettings | None = None
    calls: CallSettings = CallSettings()
    clicks: ClickSettings = ClickSettings()
    api: ApiSettings = ApiSettings()
    missed: MissedSettings = MissedSettings()
    webhook: WebhookSettings = WebhookSettings()
    alerts: AlertSettings = AlertSettings()
    mail: MailSettings = MailSettings()
    extensions: tuple[ExtensionOf, ...] = ()
    external_phones: tuple[ExternalPhone, ...] = ()

    @field_validator("extensions")
    @classmethod
    def _one_each(cls, extensions: tuple[ExtensionOf, ...]) -> tuple[ExtensionOf, ...]:
        for name in ("code", "user_id"):
            values = [str(getattr(extension, name)) for extension in extensions]
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ValueError(f"expected each {name} once; twice: {', '.join(sorted(twice))}")
        return extensions

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        seen: dict[str, int] = {}
        for index, phone in enumerate(self.external_phones):
            number = e164(phone.number, self.crm.country) or re.sub(r"[^0-9]", "", phone.number)
            where = f"external_phones[{index}].number"
            if not re.fullmatch(r"\+?\d{2,15}", number):
                raise ValueError(f'{where}: found "{phone.number}", expected a phone number')
            if number in seen:
                raise ValueError(f"{where}: {number} is external_phones[{seen[number]}] already")
            seen[number] = index
        return self

    @model_validator(mode="after")
    def _telephones(self) -> Self:
        codes = {one.code for one in self.extensions}
        seen: dict[str, str] = {}
        for index, one in enumerate(self.extensions):
            for device in one.devices:
                if device in codes or seen.setdefault(device, one.code) != one.code:
                    raise ValueError(f"extensions[{index}].devices: {device} is another extension's")
            if one.mobile is None:
                continue
            mobile = e164(one.mobile, self.crm.country)
            where = f"extensions[{index}].mobile"
            if mobile is None or not re.fullmatch(r"\+\d{7,15}", mobile):
                raise ValueError(f'{where}: found "{one.mobile}", expected a phone number')
            if seen.setdefault(mobile, one.code) != one.code:
                raise ValueError(f"{where}: {mobile} is another extension's")
        return self

    @property
    def id(self) -> str:
        """The account's name everywhere, for ever: its keys in Redis, sessions and calls go by it.

        It is the host of its CRM when the account was made, and the port if that has one of its own.
        """
        if self.name is not None:
            return self.name
        parts = urlsplit(self.crm.url)
        host = (parts.hostname or "").replace(":", "_")
        return f"{host}-{parts.port}" if parts.port else host

    @cached_property
    def codes(self) -> frozenset[str]:
        """The extensions of the account."""
        return frozenset(extension.code for extension in self.extensions)

    @property
    def numbers(self) -> list[str]:
        """The shop's own numbers, in E.164 where they can be read as such."""
        return [e164(phone.number, self.crm.country) or phone.number for phone in self.external_phones]

    @property
    def timezone_name(self) -> str:
        """The time zone to use when the CRM's own settings can't be read."""
        return self.crm.timezone or DEFAULT_TIMEZONE

    def altered(self, **fields: Any) -> RegisteredAccount:
        """Give it with other fields, checked as a whole.

        Raises:
            ValidationError: the model does not take it.
        """
        return checked_account({**self.model_dump(), **fields})


class Account(RegisteredAccount):
    """A shop whose calls can be handled: its PBX is known."""

    pbx: PbxSettings

    @cached_property
    def _sites(self) -> dict[str | None, str]:
        return {
            e164(phone.number, self.crm.country): phone.site for phone in self.external_phones if phone.site
        }

    @cached_property
    def _lines(self) -> dict[str | None, str]:
        return {
            e164(phone.number, self.crm.country): phone.outgoing or self.pbx.outgoing
            for phone in self.external_phones
        }

    def line_of(self, number: str | None) -> str | None:
        """Say by which line ("context[,priority]") calls from a number of ours (E.164) go out."""
        return self._lines.get(number) if number else None

    def site_of(self, number: str | None) -> str | None:
        """Say which of the CRM's shops a number of ours (E.164) belongs to."""
        return self._sites.get(number) if number else None

    def code_of_user(self, user_id: int) -> str | None:
        """Say which extension a CRM user has."""
        return next((ext.code for ext in self.extensions if ext.user_id == user_id), None)

    def user_of(self, code: str | None) -> int | None:
        """Say which CRM user has an extension."""
        return next((ext.user_id for ext in self.extensions if ext.code == code), None)

    def policy(self) -> Policy:
        """Say how calls are handled, in the call model's terms."""
        calls = self.calls
        return Policy(
            channel_format=self.pbx.channel_format,
            fallback=parse_destinations(calls.fallback, calls.ring_group_seconds),
            unknown=parse_destinations(calls.unknown, calls.ring_group_seconds),
            ring_manager_seconds=calls.ring_manager_seconds,
            caller_name_prefix=calls.caller_name_prefix,
            blank_unknown_caller=calls.blank_unknown_caller,
            record=calls.record,
            manager_caller_name=calls.manager_caller_name,
            ignore_manager_status=calls.ignore_manager_status,
            ajam=self.pbx.ami_password is not None,
            new_customer=calls.new_customers,
            missed_task=self.missed.task,
            missed_webhook=self.webhook.url is not None,
            missed_notice=self.missed.notify is not Notify.NOBODY,
            telephones=re.fullmatch(r"((PJ)?SIP|IAX2)/[^/@]*", self.pbx.channel_format) is not None,
        )

    def outside(self, number: str, line: str | None = None) -> Outside:
        """Say how a number outside is dialled; `line` is another one than the account's ordinary one."""
        context, _, priority = (line or self.pbx.outgoing).partition(",")
        place = int(priority or 1)
        return Outside(number, context, place, local_context(self.pbx.stasis_app, context, place))

    @cached_property
    def owners(self) -> Owners:
        """Whose the telephones are."""
        return Owners(
            self.codes,
            {device: one.code for one in self.extensions for device in one.devices},
            {e164(one.mobile, self.crm.country) or "": one.code for one in self.extensions if one.mobile},
            self.crm.country,
            self.pbx.outside_prefix,
        )


def checked_account(data: Mapping[str, Any]) -> RegisteredAccount:
    """Make an account of its fields: an `Account` when its PBX is among them.

    Raises:
        ValidationError: the model does not take it.
    """
    kind = RegisteredAccount if data.get("pbx") is None else Account
    return kind.model_validate(data)
