"""What retailCRM's API takes: fields, types and words, written down apart from our client on purpose.

A simulator that checked requests with the client's own types would share the client's mistakes.
"""

import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from ari_app.demo.crm.faults import Route

ROUTES: dict[str, tuple[str, Route]] = {
    "/api/v5/telephony/manager": ("GET", "manager"),
    "/api/v5/telephony/call/event": ("POST", "event"),
    "/api/v5/telephony/calls/upload": ("POST", "upload"),
    "/api/v5/settings": ("GET", "settings"),
    "/api/v5/users": ("GET", "users"),
    "/api/v5/reference/sites": ("GET", "sites"),
    "/api/v5/tasks": ("GET", "tasks"),
    "/api/v5/tasks/create": ("POST", "new task"),
    "/api/v5/notifications/send": ("POST", "notify"),
    "/api/v5/customers/create": ("POST", "new customer"),
    "/api/credentials": ("GET", "credentials"),
    "/api/api-versions": ("GET", "versions"),
}
VERSIONS: dict[str, Any] = {"success": True, "versions": ["3.0", "4.0", "5.0"]}
MOST_CALLS = 50


class Wrong(Exception):
    """A request the API refuses: status, `errorMsg` and `errors` of its answer."""

    def __init__(self, status: int, error_msg: str, errors: dict[str, str] | None = None) -> None:
        self.status = status
        self.error_msg = error_msg
        self.errors = errors or {}
        super().__init__(error_msg + "".join(f"; {name}: {text}" for name, text in self.errors.items()))


def _phone(value: str) -> str:
    if not re.fullmatch(r"\+?[\d\s()-]+", value) or not 2 <= len(re.sub(r"\D", "", value)) <= 15:
        raise ValueError("not a phone number")
    return value


def _date(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", value):
        raise ValueError("expected the format Y-m-d H:i:s")
    datetime.strptime(value, "%Y-%m-%d %H:%M:%S")
    return value


def _link(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https", "ftp") or not parts.hostname or re.search(r"\s", value):
        raise ValueError("not an http(s) or ftp URL")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


Phone = Annotated[str, AfterValidator(_phone)]
LocalTime = Annotated[str, AfterValidator(_date)]
Link = Annotated[str, AfterValidator(_link)]
Filled = Annotated[str, AfterValidator(_not_blank)]


class Told(BaseModel):
    """Something that is said to the API: no field that isn't known, and no other type."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", alias_generator=to_camel, validate_by_alias=True
    )


class Campaign(Told):
    """`campaign` of web analytics data."""

    name: str | None = None
    code: str | None = None


class WebAnalyticsData(Told):
    """`webAnalyticsData` of a call event."""

    campaign: Campaign | None = None
    query_string: str | None = None


class ToldEvent(Told):
    """`event` of POST telephony/call/event."""

    phone: Phone
    type: Literal["in", "out", "hangup"]
    codes: list[Filled] = []
    user_ids: list[int] = []
    hangup_status: Literal["answered", "busy", "cancel", "failed", "no answered"] | None = None
    call_external_id: Filled | None = None
    external_phone: Phone | None = None
    site: Filled | None = None
    web_analytics_data: WebAnalyticsData | None = None

    @model_validator(mode="after")
    def _someone_and_how(self) -> "ToldEvent":
        if not self.codes and not self.user_ids:
            raise ValueError("one of codes, userIds is required")
        if self.type == "hangup" and self.hangup_status is None:
            raise ValueError("hangupStatus is required for a hangup")
        return self


class Source(Told):
    """`source` of an uploaded call."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    keyword: str | None = None
    content: str | None = None


class ToldCall(Told):
    """One of `calls` of POST telephony/calls/upload; `date` is the account's local time."""

    date: LocalTime
    type: Literal["in", "out"]
    phone: Phone
    result: Literal["failed", "answered", "busy", "no answer", "not allowed", "unknown"]
    external_id: Filled
    code: Filled | None = None
    user_id: int | None = None
    duration: Annotated[int, Field(ge=0)] | None = None
    duration_waiting: Annotated[int, Field(ge=0)] | None = None
    record_url: Link | None = None
    source: Source | None = None
    external_phone: Phone | None = None
    site: Filled | None = None
    client_id: str | None = None


class LookUpQuery(Told):
    """Query of GET telephony/manager."""

    phone: Phone
    details: Literal["0", "1"] = "0"
    ignore_status: Literal["0", "1"] = "0"


class UsersQuery(Told):
    """Query of GET users, with one of its filters."""

    limit: Literal["20", "50", "100"] = "20"
    page: Annotated[str, Field(pattern=r"^[1-9]\d*$")] = "1"
    active: Literal["0", "1"] | None = Field(default=None, alias="filter[active]")


class NoQuery(Told):
    """The routes that take no parameter."""


Fields: TypeAlias = Mapping[str, Any]
Entity = TypeVar("Entity", bound=BaseModel)
_CALLS = TypeAdapter(list[ToldCall])


def read_query(model: type[Entity], query: Fields) -> Entity:
    """A GET's parameters, the key left aside; raises `Wrong`."""
    given = {name: value for name, value in query.items() if name != "apiKey"}
    if model is LookUpQuery and not given.get("phone"):
        raise Wrong(400, "Parameter 'phone' is missing")
    try:
        return model.model_validate(given)
    except ValidationError as problem:
        raise Wrong(400, "Errors in the input parameters", _errors(problem)) from None


def read_event(form: Fields) -> ToldEvent:
    """The event of a form; raises `Wrong`."""
    try:
        return ToldEvent.model_validate(_json_field(form, "event"))
    except ValidationError as problem:
        raise Wrong(400, "Errors in the entity format", _errors(problem)) from None


def read_entity(model: type[Entity], form: Fields, name: str) -> Entity:
    """The entity in a field of a form; raises `Wrong`."""
    try:
        return model.model_validate(_json_field(form, name))
    except ValidationError as problem:
        raise Wrong(400, "Errors in the entity format", _errors(problem)) from None


def of_site(form: Fields, name: str, model: type[Entity], sites: Collection[str]) -> Entity:
    """The entity in a field of a form that may name the site to which it belongs; raises `Wrong`."""
    site = form.get("site")
    if site is not None and site not in sites:
        raise Wrong(400, "Errors in the input parameters", {"site": "no such site"})
    return read_entity(model, {key: value for key, value in form.items() if key != "site"}, name)


class CodeOfUser(Told):
    """One of `additionalCodes`."""

    user_id: int
    code: Filled


class PhoneOfSite(Told):
    """One of `externalPhones`."""

    site_code: Filled
    external_phone: Phone


class ToldTelephony(Told):
    """`integrations.telephony` of a module."""

    make_call_url: Link
    change_user_status_url: Link
    allow_edit: bool
    input_event_supported: bool
    output_event_supported: bool
    hangup_event_supported: bool
    additional_codes: list[CodeOfUser]
    external_phones: list[PhoneOfSite]


class ToldIntegrations(Told):
    """`integrations` of a module."""

    telephony: ToldTelephony


class ToldModule(Told):
    """`integrationModule` of POST integration-modules/{code}/edit."""

    code: Filled
    integration_code: Filled
    active: bool
    name: Filled
    logo: Link
    client_id: Filled
    base_url: Link
    account_url: Link
    available_countries: list[Annotated[str, Field(pattern="^[A-Z]{2}$")]]
    actions: dict[Literal["activity", "settings"], Filled] = {}
    integrations: ToldIntegrations

    @model_validator(mode="after")
    def _svg(self) -> Self:
        if not urlsplit(self.logo).path.endswith(".svg"):
            raise ValueError("logo: expected an SVG")
        return self


def read_module(form: Fields, code: str) -> ToldModule:
    """The module of a form that was sent to its code's address; raises `Wrong`."""
    try:
        module = ToldModule.model_validate(_json_field(form, "integrationModule"))
    except ValidationError as problem:
        raise Wrong(400, "Errors in the entity format", _errors(problem)) from None
    if module.code != code:
        raise Wrong(400, "Errors in the entity format", {"code": "is not the address's"})
    return module


def read_calls(form: Fields) -> list[ToldCall]:
    """The calls of a form; raises `Wrong`."""
    given = _json_field(form, "calls")
    if not isinstance(given, list) or not given:
        raise Wrong(400, "Errors in the entity format", {"calls": "expected a list of calls"})
    if len(given) > MOST_CALLS:
        raise Wrong(400, "Errors in the input parameters", {"calls": f"at most {MOST_CALLS} calls"})
    try:
        return _CALLS.validate_python(given)
    except ValidationError as problem:
        raise Wrong(400, "Errors in the entity format", _errors(problem)) from None


def _json_field(form: Fields, name: str) -> Any:
    unknown = sorted(set(form) - {name, "apiKey", "clientId"})
    if unknown:
        raise Wrong(400, "Errors in the input parameters", dict.fromkeys(unknown, "unknown field"))
    text = form.get(name)
    if not isinstance(text, str) or not text:
        raise Wrong(400, f"Parameter '{name}' is missing")
    try:
        return json.loads(text)
    except ValueError:
        raise Wrong(400, "Errors in the entity format", {name: "not JSON"}) from None


def _errors(problem: ValidationError) -> dict[str, str]:
    return {
        ".".join(map(str, error["loc"])) or "entity": error["msg"].removeprefix("Value error, ")
        for error in problem.errors()
    }
