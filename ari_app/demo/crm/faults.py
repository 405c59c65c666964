"""What can be wrong with the simulated retailCRM, to be switched on while it runs."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Route: TypeAlias = Literal[
    "manager",
    "event",
    "upload",
    "settings",
    "users",
    "module",
    "edit",
    "credentials",
    "versions",
    "sites",
    "tasks",
    "new task",
    "edit task",
    "notify",
    "customer",
    "new customer",
]
"""The routes' short names, for faults and observations."""


@dataclass(frozen=True, slots=True)
class Silent:
    """The request is taken and never answered."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The request is carried out at once and answered late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """A status with a JSON error, as from the API: 503 and 429 are the rate limit's."""

    status: int
    error_msg: str | None = None

    @property
    def words(self) -> str:
        """The `errorMsg`."""
        known = {429: "Rate limit exceeded", 503: "Rate limit exceeded", 403: "Access denied."}
        return self.error_msg or known.get(self.status, "Internal server error")


@dataclass(frozen=True, slots=True)
class Refusal:
    """400: this request is refused for good."""

    error_msg: str = "Errors in the entity format"
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """Some web server's page instead of the API's answer."""

    status: int = 200


@dataclass(frozen=True, slots=True)
class Nonsense:
    """200 with JSON that lacks everything the API promises."""

    body: str = "{}"


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is closed without an answer, and nothing was done."""


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """The request is carried out, and the connection is closed without an answer."""


Kind: TypeAlias = Silent | Slow | Status | Refusal | HtmlPage | Nonsense | Closed | AnswerLost


@dataclass(slots=True, eq=False)
class Fault:
    """One fault in force: `route` None means all of them, `left` None means until healed.

    With `about` only requests are hit that tell of a call with this id.
    """

    kind: Kind
    route: Route | None
    left: int | None
    about: str | None = None

    def strikes(self, route: Route, told: str) -> bool:
        """Whether this request is hit, by what it tells; uses up one of the times."""
        if self.route not in (None, route) or self.left == 0:
            return False
        if self.about is not None and f'"{self.about}"' not in told:
            return False
        if self.left is not None:
            self.left -= 1
        return True


def first_to_strike(faults: list[Fault], route: Route, told: str) -> Kind | None:
    """The kind of the first fault that hits a request to this route which tells this."""
    return next((fault.kind for fault in faults if fault.strikes(route, told)), None)
