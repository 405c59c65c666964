"""Who is in the simulated retailCRM: its users and its customers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manager:
    """A user of the CRM; `code` is the extension; `status` is free, busy, dinner or break.

    One who isn't `active` works there no longer.
    """

    id: int
    first_name: str = ""
    last_name: str = ""
    patronymic: str = ""
    code: str | None = None
    email: str = ""
    status: str = "free"
    active: bool = True
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer; `phones` in any spelling, `manager_id` the one responsible."""

    id: int
    first_name: str = ""
    last_name: str = ""
    patronymic: str = ""
    phones: tuple[str, ...] = ()
    manager_id: int | None = None
    email: str = ""
    has_orders: bool = False
    external_id: str | None = None
    site: str | None = None
