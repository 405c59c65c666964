"""The retailCRM API v5 of one account, as far as telephony needs it.

Every method raises the errors of `ari_app.retailcrm.errors` and nothing else. Timeouts are seconds, in total:
waiting for the account's pace, connecting, and reading the answer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import aiohttp
import structlog
from pydantic import ValidationError
from yarl import URL

from ari_app import figures
from ari_app.bounded import read_json
from ari_app.failures import in_words
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmLimited, CrmRefused, CrmUnavailable
from ari_app.retailcrm.health import Health
from ari_app.retailcrm.messages import (
    CALLS_IN_ONE_UPLOAD,
    CallDirection,
    CallEvent,
    CallResult,
    Credentials,
    CredentialsBody,
    DoneBody,
    EventAnswer,
    EventBody,
    EventType,
    HangupStatus,
    IdBody,
    LookUp,
    ManagerBody,
    NewCustomer,
    NewTask,
    Notification,
    SettingsBody,
    TaskDone,
    TasksBody,
    UploadAnswer,
    UploadBody,
    UploadedCall,
    User,
    UsersBody,
    UsersPage,
    errors_as_lines,
)
from ari_app.retailcrm.module import Module, ModuleBody
from ari_app.retailcrm.pace import Pace, Urgency
from ari_app.retailcrm.registration import EditBody, IntegrationModule, Unknown
from ari_app.retailcrm.sites import Site, SitesBody

__all__ = [
    "CALLS_IN_ONE_UPLOAD",
    "CallDirection",
    "CallEvent",
    "CallResult",
    "Credentials",
    "EventAnswer",
    "EventType",
    "HangupStatus",
    "LookUp",
    "Module",
    "RetailCrm",
    "UploadAnswer",
    "UploadedCall",
    "User",
    "UsersPage",
]

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""How long all but look-ups hold off after a 503 or 429 that names no time itself: the limit's own window."""
LONGEST_PAUSE_SECONDS = 60.0
NOT_OURS_SECONDS = 1.0
"""How long nothing is asked while it isn't certain which copy of the service holds the account."""
_NO_LIMIT = aiohttp.ClientTimeout(total=None)
"""Ours covers all of a request."""
_IS_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_LONGEST_ANSWER = 4 * 1024 * 1024  # bytes; a page of 100 users is far below
_MOST_VALUES = 50_000  # of JSON, in one answer

_LONGEST_SENTENCE, _MOST_ERRORS = 500, 10  # characters that are kept of what a refusal says, and sentences

_DENIED = (
    '"apikey" is missing',
    'wrong "apikey" value',
    "access denied",
    "account does not exist",
    "api method not found",
    "telephony not enabled",
)
"""Beginnings of `errorMsg`, in lower case, that only a person can mend."""

T_co = TypeVar("T_co", covariant=True)


class _Body(Protocol[T_co]):
    """The body of an answer: validated by pydantic, then read in our words."""

    @classmethod
    def model_validate(cls, obj: Any) -> "_Body[T_co]": ...

    def read(self) -> T_co: ...


class RetailCrm:
    """One account. The session is the composition root's; `url` is the account's address, without /api.

    `ours` is asked before each request whether it is ours to ask; it is told how urgent that is.
    What goes wrong is counted as the `account`'s; of none where a key is only tried.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        api_key: str,
        pace: Pace,
        ours: Callable[[Urgency], Awaitable[bool]] | None = None,
        account: str = "",
    ) -> None:
        if not api_key or not api_key.isascii() or not api_key.isprintable():
            raise ValueError("api_key: expected printable ASCII characters")
        self._session = session
        self._account = account
        self._url = URL(url.rstrip("/"))
        self._key = api_key
        self.pace = pace
        self._ours = ours
        self.health = Health()

    def __repr__(self) -> str:
        return f"RetailCrm({str(self._url)!r})"

    async def manager_for(
        self,
        phone: str,
        *,
        timeout: float = 2.0,
        ignore_status: bool = True,
        urgency: Urgency = Urgency.LOOK_UP,
    ) -> LookUp:
        """Ask which customer has a number, and which manager is responsible for them.

        Without `ignore_status` a manager who is busy or away, as the CRM says, is not named.
        """
        return await self._ask(
            "GET",
            "v5/telephony/manager",
            ManagerBody,
            urgency,
            timeout,
            params={"phone": phone, "details": "1", "ignoreStatus": "1" if ignore_status else "0"},
        )

    async def call_event(self, event: CallEvent, *, timeout: float = 10.0) -> EventAnswer:
        """Tell of a call that rings (`in`, `out`) or is over (`hangup`)."""
        urgency = Urgency.REPORT if event.type is EventType.HANGUP else Urgency.POPUP
        form = {"event": event.as_json()}
        return await self._ask("POST", "v5/telephony/call/event", EventBody, urgency, timeout, form=form)

    async def upload_calls(self, calls: Sequence[UploadedCall], *, timeout: float = 30.0) -> UploadAnswer:
        """Report 1 to 50 finished calls; those known already are named in the answer and not an error."""
        if not 1 <= len(calls) <= CALLS_IN_ONE_UPLOAD:
            raise ValueError(f"expected 1 to {CALLS_IN_ONE_UPLOAD} calls, got {len(calls)}")
        form = {"calls": f"[{','.join(call.as_json() for call in calls)}]"}
        return await self._ask(
            "POST", "v5/telephony/calls/upload", UploadBody, Urgency.REPORT, timeout, form=form
        )

    async def tasks_with(self, text: str, *, timeout: float = 10.0) -> tuple[int, ...]:
        """Give the ids of some tasks whose text has a text in it."""
        params = {"filter[text]": text, "limit": "20", "page": "1"}
        return await self._ask("GET", "v5/tasks", TasksBody, Urgency.OTHER, timeout, params=params)

    async def create_task(self, task: NewTask, site: str | None, *, timeout: float = 10.0) -> int | None:
        """Give somebody a task; its id, when the CRM tells it."""
        form = {"task": task.as_json()} | ({"site": site} if site else {})
        return await self._ask("POST", "v5/tasks/create", IdBody, Urgency.OTHER, timeout, form=form)

    async def complete_task(self, task: int, *, timeout: float = 10.0) -> None:
        """Close a task; one that is gone is closed."""
        form = {"task": TaskDone(complete=True).as_json()}
        try:
            await self._ask("POST", f"v5/tasks/{task}/edit", DoneBody, Urgency.OTHER, timeout, form=form)
        except CrmRefused as refusal:
            if not refusal.error_msg.lower().startswith("not found"):
                raise

    async def has_customer(self, external_id: str, site: str | None, *, timeout: float = 10.0) -> bool:
        """Tell whether there is a customer with an external id, in one shop or, without `site`, in any."""
        params = {"by": "externalId"} | ({"site": site} if site else {})
        path = f"v5/customers/{external_id}"
        try:
            await self._ask("GET", path, DoneBody, Urgency.OTHER, timeout, params=params)
        except CrmRefused as refusal:
            if refusal.error_msg.lower().startswith("not found"):
                return False
            raise
        return True

    async def create_customer(
        self, customer: NewCustomer, site: str | None, *, timeout: float = 10.0
    ) -> int | None:
        """Make a customer; their id, when the CRM tells it."""
        form = {"customer": customer.as_json()} | ({"site": site} if site else {})
        return await self._ask("POST", "v5/customers/create", IdBody, Urgency.OTHER, timeout, form=form)

    async def notify(self, notification: Notification, *, timeout: float = 10.0) -> None:
        """Let people of the CRM see a message there."""
        form = {"notification": notification.as_json()}
        await self._ask("POST", "v5/notifications/send", DoneBody, Urgency.OTHER, timeout, form=form)

    async def timezone(self, *, timeout: float = 10.0) -> str | None:
        """The account's time zone (IANA name), None when its settings name none."""
        return await self._ask("GET", "v5/settings", SettingsBody, Urgency.OTHER, timeout)

    async def users(
        self, page: int = 1, limit: int = 100, *, everybody: bool = False, timeout: float = 10.0
    ) -> UsersPage:
        """One page of the CRM's active users, or of `everybody`, from 1; `limit` is 20, 50 or 100."""
        params = {"page": str(page), "limit": str(limit)} | ({} if everybody else {"filter[active]": "1"})
        return await self._ask("GET", "v5/users", UsersBody, Urgency.OTHER, timeout, params=params)

    async def sites(self, *, timeout: float = 10.0) -> tuple[Site, ...]:
        """The CRM's shops."""
        return await self._ask("GET", "v5/reference/sites", SitesBody, Urgency.OTHER, timeout)

    async def credentials(self, *, timeout: float = 10.0) -> Credentials:
        """What the key may do; the cheapest way to try a key."""
        return await self._ask("GET", "credentials", CredentialsBody, Urgency.OTHER, timeout)

    async def module(self, code: str, *, timeout: float = 10.0) -> Module | None:
        """The integration module with a code, None when none is registered."""
        path = f"v5/integration-modules/{code}"
        try:
            return await self._ask("GET", path, ModuleBody, Urgency.OTHER, timeout)
        except CrmRefused as refusal:
            if refusal.error_msg.lower().startswith("not found"):
                return None
            raise

    async def edit_module(self, module: IntegrationModule, *, timeout: float = 10.0) -> Unknown:
        """Register a module, or change it; the answer names what of it the CRM doesn't know."""
        path = f"v5/integration-modules/{module.code}/edit"
        form = {"integrationModule": module.as_json()}
        return await self._ask("POST", path, EditBody, Urgency.OTHER, timeout, form=form)

    async def _ask(
        self,
        method: str,
        path: str,
        body: type[_Body[T_co]],
        urgency: Urgency,
        timeout: float,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> T_co:
        """Ask, and note how the CRM does."""
        try:
            answer = await self._ask_once(method, path, body, urgency, timeout, params, form)
        except CrmError as problem:
            figures.CRM_ERRORS.labels(self._account, _kind(problem)).inc()
            if isinstance(problem, CrmLimited):
                raise
            if isinstance(problem, CrmRefused) or "access denied" in str(problem).lower():
                self.health.answered()  # it minds this one question
            else:
                self.health.failed(str(problem), isinstance(problem, CrmDenied))
            raise
        self.health.answered()
        return answer

    async def _ask_once(
        self,
        method: str,
        path: str,
        body: type[_Body[T_co]],
        urgency: Urgency,
        timeout: float,
        params: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
    ) -> T_co:
        where = f"{method} {path}"
        began, sent = time.monotonic(), False
        try:
            async with asyncio.timeout(timeout), self.pace.place(urgency):
                sent = True
                if self._ours is not None and not await self._ours(urgency):
                    raise CrmLimited(f"{where}: another copy may hold the account", NOT_OURS_SECONDS)
                with figures.measuring(figures.CRM_REQUESTS, _method(path)):
                    status, retry_after, text = await self._request(method, path, params, form)
            answer = _judge(where, status, retry_after, text)
            return body.model_validate(answer).read()
        except TimeoutError:
            if not sent:
                raise CrmLimited(f"{where}: no turn within {timeout:g} s, too many requests wait") from None
            raise CrmUnavailable(f"{where}: no answer within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as problem:
            said = str(problem) if isinstance(problem, aiohttp.ClientPayloadError) else in_words(problem)
            raise CrmUnavailable(f"{where}: {self._without_key(said)}") from None
        except ValidationError as problem:
            wrong = ", ".join(".".join(map(str, error["loc"])) for error in problem.errors())
            raise CrmUnavailable(f"{where}: an answer of another shape (wrong: {wrong})") from None
        finally:
            log.debug("crm request", method=method, path=path, seconds=round(time.monotonic() - began, 3))

    async def _request(
        self, method: str, path: str, params: Mapping[str, str] | None, form: Mapping[str, str] | None
    ) -> tuple[int, float | None, str]:
        """Status, the wish to be left alone (seconds), and the text, in which the key never stands."""
        async with self._session.request(
            method,
            self._url / "api" / path,
            params=params,
            data=None if form is None else urlencode(form).encode(),
            headers={"X-API-KEY": self._key} | ({} if form is None else _IS_FORM),
            timeout=_NO_LIMIT,
            allow_redirects=False,  # the key goes to no other host
        ) as response:
            retry_after = _seconds(response.headers.get("Retry-After"))
            if response.status in (429, 503):
                self.pace.pause(min(retry_after or PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
            raw = await _read(response)
            return response.status, retry_after, self._without_key(raw.decode("utf-8", "replace"))

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***")


def _kind(problem: CrmError) -> str:
    match problem:
        case CrmLimited():
            return "limited"
        case CrmUnavailable():
            return "unavailable"
        case CrmDenied():
            return "denied"
        case _:
            return "refused"


def _method(path: str) -> str:
    """Name a method of the API; which module, task or customer is asked for is none of its name."""
    name = path.removeprefix("v5/")
    first, _, rest = name.partition("/")
    if first == "integration-modules" or (first in ("tasks", "customers") and rest != "create"):
        return first
    return name


async def _read(response: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > _LONGEST_ANSWER:
            response.close()
            raise aiohttp.ClientPayloadError(f"the answer is longer than {_LONGEST_ANSWER} bytes")
    return bytes(raw)


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isdecimal() else None


def _judge(where: str, status: int, retry_after: float | None, text: str) -> dict[str, Any]:
    """The answer as an object if the CRM says it did what it was asked, else the error it amounts to."""
    if status == 429:
        raise CrmLimited(f"{where}: 429, too many requests", retry_after)
    if 300 <= status < 400:
        raise CrmDenied(f"{where}: {status}, the account is no longer at this address")
    try:
        answer = read_json(text, _MOST_VALUES)  # neither half characters nor endless depth come through
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _not_an_object(where, status, text)
    if status < 300 and answer.get("success") in (True, "true", 1):
        return answer
    raise _no_success(where, status, retry_after, answer)


def _not_an_object(where: str, status: int, text: str) -> CrmError:
    """What an answer other than a JSON object means: mostly a proxy or a web server speaks, not the CRM."""
    what = "an HTML page" if text.lstrip().startswith("<") else "not a JSON object"
    if status in (401, 403, 404, 405):  # so the API answers for an account that does not exist
        return CrmDenied(f"{where}: {status} and {what}: no such account, or no way to it")
    return CrmUnavailable(f"{where}: {status} and {what}")


def _no_success(where: str, status: int, retry_after: float | None, answer: dict[str, Any]) -> CrmError:
    said = answer.get("errorMsg")
    error_msg = said[:_LONGEST_SENTENCE] if isinstance(said, str) and said else ""
    lines = tuple(line[:_LONGEST_SENTENCE] for line in errors_as_lines(answer.get("errors"))[:_MOST_ERRORS])
    if error_msg.lower().startswith("rate limit exceeded"):
        return CrmLimited(f"{where}: {error_msg}", retry_after)
    if status in (401, 403) or error_msg.lower().startswith(_DENIED):
        return CrmDenied(f"{where}: {error_msg or f'status {status}'}")
    if status >= 500 or status in (408, 425):
        return CrmUnavailable(f"{where}: {status} {error_msg}".rstrip())
    if status < 300 and not error_msg and not lines:
        return CrmUnavailable(f"{where}: {status} without a word of success")
    return CrmRefused(where, error_msg or f"status {status}", lines)
