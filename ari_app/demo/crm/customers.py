"""The customers of one account of the simulated retailCRM: found by number, made once by external id."""

import re
from collections.abc import Collection
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import Field

from ari_app.demo.crm.people import Customer
from ari_app.demo.crm.rules import Fields, Filled, Phone, Told, Wrong, of_site, read_query

CUSTOMERS = "/api/v5/customers/"
"""An external id comes after it."""


class CustomersPhone(Told):
    """One of a customer's `phones`."""

    number: Phone


class ToldCustomer(Told):
    """`customer` of POST customers/create, as far as we tell of one."""

    external_id: Annotated[Filled, Field(max_length=255)] | None = None
    first_name: Annotated[Filled, Field(max_length=255)] | None = None
    last_name: str | None = None
    phones: list[CustomersPhone] = Field(default=[])
    manager_id: int | None = None


class CustomerQuery(Told):
    """Query of GET customers/{externalId}."""

    by: str = Field(default="externalId", pattern="^(id|externalId)$")
    site: Filled | None = None


class Customers:
    """Whom the account knows; `made` are those who were made by the API, in order."""

    def __init__(self) -> None:
        self.made: list[Customer] = []
        self._by_phone: dict[str, Customer] = {}
        self._all: list[Customer] = []

    def add(self, customer: Customer) -> None:
        """Know one more; of two with the same number the first is found."""
        self._all.append(customer)
        for phone in customer.phones:
            self._by_phone.setdefault(last_digits(phone), customer)

    def with_phone(self, phone: str) -> Customer | None:
        """Find who has a number."""
        return self._by_phone.get(last_digits(phone))

    def create(self, form: Fields, users: Collection[int], sites: Collection[str]) -> dict[str, Any]:
        """Answer of POST customers/create; raises `Wrong`."""
        told = of_site(form, "customer", ToldCustomer, sites)
        site = form.get("site") or next(iter(sites))
        if told.manager_id is not None and told.manager_id not in users:
            raise Wrong(400, "Errors in the entity format", {"managerId": "no such user"})
        if told.external_id is not None and self._with_external_id(told.external_id, site) is not None:
            raise Wrong(400, "Customer already exists.", {"externalId": "is taken"})
        customer = Customer(
            id=max((one.id for one in self._all), default=0) + 1,
            first_name=told.first_name or "",
            last_name=told.last_name or "",
            phones=tuple(phone.number for phone in told.phones),
            manager_id=told.manager_id,
            external_id=told.external_id,
            site=site,
        )
        self.add(customer)
        self.made.append(customer)
        return {"success": True, "id": customer.id}

    def find(self, path: str, query: Fields) -> dict[str, Any] | None:
        """Answer of GET customers/{externalId}; None when there is none; raises `Wrong`."""
        wanted = read_query(CustomerQuery, query)
        if wanted.by != "externalId":
            raise Wrong(400, "Errors in the input parameters", {"by": "only externalId is known here"})
        found = self._with_external_id(unquote(path.removeprefix(CUSTOMERS)), wanted.site)
        if found is None:
            return None
        return {"success": True, "customer": {"id": found.id, "externalId": found.external_id}}

    def _with_external_id(self, external_id: str, site: str | None) -> Customer | None:
        of_id = (one for one in self._all if one.external_id == external_id)
        return next((one for one in of_id if site is None or one.site in (site, None)), None)


def last_digits(phone: str) -> str:
    """Give what numbers are compared by."""
    return re.sub(r"\D", "", phone)[-10:]
