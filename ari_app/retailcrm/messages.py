"""What is said to retailCRM and what it answers: API v5's fields and words, as types.

What we send is strict: a wrong word or an unknown field fails here, not at the CRM. What we receive is
lenient: extra fields, ids as text or number, an empty PHP list for an empty object, fields left out.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_serializer, field_validator
from pydantic.alias_generators import to_camel

CRM_TIME = "%Y-%m-%d %H:%M:%S"
"""The API's date-time, `Y-m-d H:i:s`: the account's local time, without a zone."""
CALLS_IN_ONE_UPLOAD = 50
_DEEPEST, _MOST_LINES, _LONGEST_FIELD, _LONGEST_LINE = 10, 100, 200, 2_000  # of what a refusal says


class EventType(StrEnum):
    """`type` of a call event."""

    IN = "in"
    OUT = "out"
    HANGUP = "hangup"


class HangupStatus(StrEnum):
    """`hangupStatus` of a call event; not the words of `CallResult`."""

    ANSWERED = "answered"
    BUSY = "busy"
    CANCEL = "cancel"
    FAILED = "failed"
    NO_ANSWERED = "no answered"


class CallDirection(StrEnum):
    """`type` of an uploaded call."""

    IN = "in"
    OUT = "out"


class CallResult(StrEnum):
    """`result` of an uploaded call; not the words of `HangupStatus`."""

    FAILED = "failed"
    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no answer"
    NOT_ALLOWED = "not allowed"
    UNKNOWN = "unknown"


class Sent(BaseModel):
    """What we say to the CRM."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    def as_json(self) -> str:
        """The object as the CRM takes it: camelCase names, absent fields left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)


class Campaign(Sent):
    """`campaign` of web analytics data."""

    name: str | None = None
    code: str | None = None


class WebAnalyticsData(Sent):
    """`webAnalyticsData` of a call event: what made the customer call."""

    campaign: Campaign | None = None
    query_string: str | None = None


class CallSource(Sent):
    """`source` of an uploaded call: where the call came from."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    keyword: str | None = None
    content: str | None = None


class CallEvent(Sent):
    """`event` of POST telephony/call/event: a popup, or its end. `codes` are extensions."""

    phone: str
    type: EventType
    codes: tuple[str, ...] = ()
    user_ids: tuple[int, ...] = ()
    hangup_status: HangupStatus | None = None
    call_external_id: str | None = None
    external_phone: str | None = None
    site: str | None = None
    web_analytics_data: WebAnalyticsData | None = None


class UploadedCall(Sent):
    """One of `calls` of POST telephony/calls/upload: a finished call.

    `date` is the account's local time, to the second, without a zone; `duration` (talking) and
    `duration_waiting` are seconds; `record_url` must be reachable for the CRM; the CRM knows a call again by
    `external_id`.
    """

    date: datetime
    type: CallDirection
    phone: str
    result: CallResult
    external_id: str
    code: str | None = None
    user_id: int | None = None
    duration: int | None = Field(default=None, ge=0)
    duration_waiting: int | None = Field(default=None, ge=0)
    record_url: str | None = None
    source: CallSource | None = None
    external_phone: str | None = None
    site: str | None = None

    @field_validator("date")
    @classmethod
    def _local(cls, date: datetime) -> datetime:
        if date.tzinfo is not None:
            raise ValueError("expected the account's local time, without a zone")
        return date.replace(microsecond=0)

    @field_serializer("date")
    def _in_crm_format(self, date: datetime) -> str:
        return date.strftime(CRM_TIME)


@dataclass(frozen=True, slots=True)
class LookUp:
    """The customer with a number, as far as the CRM knows; all None for a stranger.

    `customer_name` is "last first patronymic", as the CRM itself shows it. `manager_code` is the responsible
    manager's extension.
    """

    customer_name: str | None = None
    customer_id: int | None = None
    manager_id: int | None = None
    manager_code: str | None = None


@dataclass(frozen=True, slots=True)
class EventAnswer:
    """The extensions and users named in an event that the CRM doesn't know."""

    not_exist_codes: tuple[str, ...] = ()
    not_exist_users: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UploadAnswer:
    """How many calls were taken (None: it didn't say), and the external ids that it had already."""

    processed: int | None = None
    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A user of the CRM; `status` is free, busy, dinner or break, `phone` as it was typed there."""

    id: int
    name: str | None
    active: bool
    status: str | None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class UsersPage:
    """One page of users; `pages` is how many there are."""

    users: tuple[User, ...]
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the key may do: `scopes` such as telephony_write, the shops it may see, and the API's methods that
    it may call, where the CRM still names them.
    """

    scopes: tuple[str, ...]
    sites: tuple[str, ...]
    methods: tuple[str, ...] = ()


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> int | None:
    if isinstance(value, int | str):
        try:
            return int(value)
        except ValueError:
            return None
    return None


def object_or_none(value: object) -> object:
    """Read an object that may be absent: PHP writes an empty one as []."""
    return value or None


def _flag(value: object) -> bool:
    return value in (True, 1, "1", "true")


def _texts(value: object) -> list[str]:
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in found if (text := _text(item)) is not None]


def _numbers(value: object) -> list[int]:
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [number for item in found if (number := _number(item)) is not None]


Text = Annotated[str | None, BeforeValidator(_text)]
Number = Annotated[int | None, BeforeValidator(_number)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Numbers = Annotated[tuple[int, ...], BeforeValidator(_numbers)]


TASK_TIME = "%Y-%m-%d %H:%M"
"""The `datetime` of a task: the account's local time."""


class NewTask(Sent):
    """`task` of POST tasks/create."""

    text: str
    commentary: str | None = None
    datetime: str
    performer_id: int
    phone: str
    phone_site: str | None = None


class TaskDone(Sent):
    """`task` of POST tasks/{id}/edit that closes it."""

    complete: bool


class Notification(Sent):
    """`notification` of POST notifications/send; the message is HTML."""

    type: str
    message: str
    user_ids: tuple[int, ...] | None = None
    user_groups: tuple[str, ...] | None = None


class CustomersPhone(Sent):
    """One of a customer's `phones`."""

    number: str


class NewCustomer(Sent):
    """`customer` of POST customers/create."""

    external_id: str
    first_name: str
    phones: tuple[CustomersPhone, ...]
    manager_id: int | None = None


class Received(BaseModel):
    """What the CRM answers."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)


LONGEST_NAME, USERS_ON_A_PAGE = 200, 100  # characters that are kept of a name; users that a page can have


class _Person(Received):
    id: Number = None
    first_name: Text = None
    last_name: Text = None
    patronymic: Text = None
    code: Text = None

    @property
    def name(self) -> str | None:
        """The whole name, as far as anybody reads it."""
        whole = " ".join(filter(None, (self.last_name, self.first_name, self.patronymic)))
        return whole[:LONGEST_NAME] or None


class ManagerBody(Received):
    """Answer of GET telephony/manager."""

    manager: Annotated[_Person | None, BeforeValidator(object_or_none)] = None
    customer: Annotated[_Person | None, BeforeValidator(object_or_none)] = None

    def read(self) -> LookUp:
        """In our words."""
        manager, customer = self.manager or _Person(), self.customer or _Person()
        return LookUp(
            customer_name=customer.name,
            customer_id=customer.id,
            manager_id=manager.id,
            manager_code=manager.code,
        )


class EventBody(Received):
    """Answer of POST telephony/call/event."""

    not_exist_codes: Texts = ()
    not_exist_users: Numbers = ()

    def read(self) -> EventAnswer:
        """In our words."""
        return EventAnswer(self.not_exist_codes, self.not_exist_users)


class UploadBody(Received):
    """Answer of POST telephony/calls/upload."""

    processed_calls_count: Number = None
    duplicate_calls: Texts = ()

    def read(self) -> UploadAnswer:
        """In our words."""
        return UploadAnswer(self.processed_calls_count, self.duplicate_calls)


class _Setting(Received):
    value: Text = None


class _Settings(Received):
    timezone: Annotated[_Setting | None, BeforeValidator(object_or_none)] = None


class SettingsBody(Received):
    """Answer of GET settings."""

    settings: Annotated[_Settings | None, BeforeValidator(object_or_none)] = None

    def read(self) -> str | None:
        """The account's time zone, such as Europe/Moscow."""
        timezone = self.settings.timezone if self.settings else None
        return timezone.value if timezone else None


class _UserBody(_Person):
    id: int
    active: Flag = False
    status: Text = None
    phone: Text = None


class _Pagination(Received):
    current_page: Number = None
    total_page_count: Number = None


def _a_page(users: object) -> object:
    """Leave out what no page can have before it is read."""
    return users[:USERS_ON_A_PAGE] if isinstance(users, list) else users


class UsersBody(Received):
    """Answer of GET users."""

    users: Annotated[list[_UserBody], BeforeValidator(_a_page)]
    pagination: Annotated[_Pagination | None, BeforeValidator(object_or_none)] = None

    def read(self) -> UsersPage:
        """In our words."""
        pagination = self.pagination or _Pagination()
        users = tuple(User(user.id, user.name, user.active, user.status, user.phone) for user in self.users)
        page = pagination.current_page or 1
        return UsersPage(users, page, pagination.total_page_count or page)


class IdBody(Received):
    """Answer of POST tasks/create and customers/create."""

    id: Number = None

    def read(self) -> int | None:
        """The id; None when it isn't told."""
        return self.id


class DoneBody(Received):
    """An answer that says no more than that it is done."""

    def read(self) -> None:
        """Nothing."""


class _TaskBody(Received):
    id: Number = None


class TasksBody(Received):
    """Answer of GET tasks."""

    tasks: Annotated[list[_TaskBody], BeforeValidator(_a_page)]

    def read(self) -> tuple[int, ...]:
        """Their ids."""
        return tuple(task.id for task in self.tasks if task.id is not None)


class CredentialsBody(Received):
    """Answer of GET /api/credentials."""

    scopes: Texts = ()
    sites_available: Texts = ()
    credentials: Texts = ()

    def read(self) -> Credentials:
        """In our words."""
        return Credentials(self.scopes, self.sites_available, self.credentials)


def errors_as_lines(errors: Any) -> tuple[str, ...]:
    """The API's `errors`, a map or a list, possibly nested, as readable lines: the first of them, cut."""
    return tuple(itertools.islice(_lines(errors, _DEEPEST), _MOST_LINES))


def _lines(errors: Any, depth: int) -> Iterator[str]:
    if depth == 0 and isinstance(errors, dict | list):
        yield "and so on"
    elif isinstance(errors, dict):
        for field, inner in errors.items():
            yield from (f"{field[:_LONGEST_FIELD]}: {line}" for line in _lines(inner, depth - 1))
    elif isinstance(errors, list):
        for inner in errors:
            yield from _lines(inner, depth - 1)
    elif errors is not None and errors != "":
        yield str(errors)[:_LONGEST_LINE]
