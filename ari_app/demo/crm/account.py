"""One account of the simulated retailCRM: its users and customers, what it was told, and waiting for that."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

from ari_app.demo.crm.callbacks import CalledBack, ask_config, bring_key, call_back, post_form
from ari_app.demo.crm.customers import Customers
from ari_app.demo.crm.faults import Fault, Kind, Route
from ari_app.demo.crm.people import Customer, Manager
from ari_app.demo.crm.promises import Promises
from ari_app.demo.crm.rights import Rights
from ari_app.demo.crm.rules import LookUpQuery, ToldCall, ToldEvent, ToldModule, UsersQuery
from ari_app.demo.crm.tasks import Desk


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A look-up and what it found; `received` is UTC."""

    account: str
    received: datetime
    phone: str
    customer: Customer | None
    manager: Manager | None


@dataclass(frozen=True, slots=True)
class EventTold:
    """An event that was taken; `received` is UTC."""

    account: str
    received: datetime
    event: ToldEvent
    customer: Customer | None = None
    """Whose card the popup opens."""


@dataclass(frozen=True, slots=True)
class CallUploaded:
    """An uploaded call that was taken; `received` is UTC."""

    account: str
    received: datetime
    call: ToldCall


@dataclass(frozen=True, slots=True)
class Request:
    """Any request with this account's key, taken or not; `fault` is what befell it."""

    received: datetime
    route: Route
    fault: Kind | None


_SITES = ("shop",)

Message: TypeAlias = LookedUp | EventTold | CallUploaded
Answer: TypeAlias = dict[str, Any]


@dataclass(slots=True, eq=False)
class Receipt:
    """Something that was taken; a repeat of it is in order as long as nobody got the answer."""

    answered: bool = False


class CrmAccount:
    """An account; its lists grow as requests come in, and `wait_until` looks at them again each time."""

    def __init__(
        self,
        *,
        key: str,
        url: str,
        name: str,
        customers: Sequence[Customer],
        managers: Sequence[Manager],
        timezone: str,
        publish: Callable[[Message], None],
        complain: Callable[[str], None],
    ) -> None:
        self.key = key
        self.url = url
        self.former: set[str] = set()
        """The hosts (with ports) at which it was before it moved."""
        self.name = name
        self.timezone = timezone
        self.look_ups: list[LookedUp] = []
        self.events: list[EventTold] = []
        self.uploads: list[CallUploaded] = []
        self.repeats: list[EventTold | CallUploaded] = []
        """Exact repeats of what was taken before, sent again because the answer had been lost."""
        self.repeats_allowed = False
        """For tests that kill the sender: it may repeat what was answered, too."""
        self.rights = Rights()
        self.desk = Desk()
        """Tasks and notices."""
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self._publish = publish
        self._complain = complain
        self._managers = {manager.id: manager for manager in managers}
        self.customers = Customers()
        for customer in customers:
            self.add_customer(customer)
        self._promises = Promises(timezone)
        self._receipts: dict[str, tuple[str, Receipt]] = {}
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"CrmAccount({self.name!r}, {self.url!r})"

    # What a test or a demo sets

    def add_customer(self, customer: Customer) -> None:
        """Know one more; of two with the same number the first is found."""
        self.customers.add(customer)

    def add_manager(self, manager: Manager) -> None:
        """Hire one more."""
        self._managers[manager.id] = manager

    def set_status(self, manager_id: int, status: str) -> None:
        """Let a manager be free, busy, at dinner or have a break."""
        self._managers[manager_id] = replace(self._managers[manager_id], status=status)

    def fault(
        self, kind: Kind, *, route: Route | None = None, times: int | None = None, about: str | None = None
    ) -> None:
        """Something goes wrong for this account, on one route or all, so many times or until `heal`.

        `about` names a call: only what is told of it goes wrong.
        """
        self.faults.append(Fault(kind, route, times, about))

    def heal(self) -> None:
        """End this account's own faults; requests that are kept waiting stay so."""
        self.faults.clear()

    # What its users do

    async def click_to_call(
        self,
        base_url: str,
        client_id: str,
        *,
        code: str | None = None,
        phone: str | None = None,
        user_id: int | None = None,
        external_phone: str | None = None,
    ) -> CalledBack:
        """A manager clicks a customer's number."""
        fields = {"code": code, "phone": phone, "userId": user_id, "externalPhone": external_phone}
        address = self._registered("makeCallUrl") or f"{base_url}/crm/call"
        return await call_back(address, {"clientId": client_id, **fields})

    async def change_status(
        self, base_url: str, client_id: str, status: str, *, code: str | None = None, user_id: int
    ) -> CalledBack:
        """A manager says that they are free, busy, at dinner or on a break."""
        self.set_status(user_id, status)
        fields = {"code": code, "userId": user_id, "status": status}
        address = self._registered("changeUserStatusUrl") or f"{base_url}/crm/status"
        return await call_back(address, {"clientId": client_id, **fields})

    def _registered(self, address: str) -> str | None:
        """Give the address of that name at which our module wants to be called, if one is registered."""
        telephonies = (
            module.get("integrations", {}).get("telephony", {}) for module in self.rights.modules.values()
        )
        return next((found[address] for found in telephonies if found.get(address)), None)

    # What its administrators do; a module's code comes first

    async def switch_module(self, code: str, active: bool, freeze: bool = False) -> CalledBack:
        """Somebody ticks the module's "active", or the CRM freezes it; the module is told."""
        self.rights.modules[code] |= {"active": active, "freeze": freeze}
        return await self.tell_module(code, "activity", activity={"active": active, "freeze": freeze})

    async def tell_address(self, code: str) -> CalledBack:
        """The CRM has moved: the module is told where it is now."""
        state = {name: self.rights.modules[code][name] for name in ("active", "freeze")}
        return await self.tell_module(code, "activity", activity=state, systemUrl=self.url)

    async def tell_module(self, code: str, action: str, **fields: object) -> CalledBack:
        """Tell the module something, at the address that it gave for it."""
        module = self.rights.modules[code]
        url = f"{module['baseUrl'].rstrip('/')}/{module['actions'][action].lstrip('/')}"
        return await post_form(url, {"clientId": module["clientId"], **fields})

    async def connect(self, config_url: str, secret: str) -> CalledBack:
        """Somebody clicks "connect" in the marketplace: a key is made that may do what it asks for."""
        self.rights.scopes, register_url = await ask_config(config_url)
        return await bring_key(register_url, secret, self.url, self.key)

    # What a test or a demo waits for

    async def wait_until(self, happened: Callable[["CrmAccount"], bool], timeout: float = 10.0) -> None:
        """Return as soon as it holds; TimeoutError, with what was told so far, after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not happened(self):
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout:g} s; {self.summary()}") from None

    async def wait_for_upload(self, external_id: str | None = None, timeout: float = 10.0) -> CallUploaded:
        """The upload of that call, or the first of all."""

        def found() -> CallUploaded | None:
            wanted = (one for one in self.uploads if external_id in (None, one.call.external_id))
            return next(wanted, None)

        await self.wait_until(lambda _: found() is not None, timeout)
        upload = found()
        assert upload is not None
        return upload

    async def wait_for_event(
        self, type: str, external_id: str | None = None, timeout: float = 10.0
    ) -> EventTold:
        """The first event of that type, of that call or of any."""

        def found() -> EventTold | None:
            of_type = (one for one in self.events if one.event.type == type)
            return next((one for one in of_type if external_id in (None, one.event.call_external_id)), None)

        await self.wait_until(lambda _: found() is not None, timeout)
        event = found()
        assert event is not None
        return event

    def summary(self) -> str:
        """What was told so far, on one line."""
        events = ", ".join(f"{one.event.type} {'+'.join(one.event.codes)}" for one in self.events)
        uploads = ", ".join(f"{one.call.external_id} {one.call.result}" for one in self.uploads)
        wrong = "; ".join(self.violations)
        return f"events: {events or 'none'}; uploads: {uploads or 'none'}; violations: {wrong or 'none'}"

    # What the server does with a request

    def note(self, route: Route, fault: Kind | None) -> None:
        """A request came."""
        self.requests.append(Request(datetime.now(UTC), route, fault))
        self._change()

    def event_tried(self, event: ToldEvent | None) -> None:
        """An event came that a fault kept from being carried out; None if it could not be read."""
        self._promises.event_tried(event)

    def look_up(self, query: LookUpQuery) -> Answer:
        """Answer of GET telephony/manager."""
        customer = self.customers.with_phone(query.phone)
        manager = self._managers.get(customer.manager_id or 0) if customer else None
        if manager and manager.status != "free" and query.ignore_status == "0":
            manager = None
        looked_up = LookedUp(self.name, datetime.now(UTC), query.phone, customer, manager)
        self.look_ups.append(looked_up)
        self._change(looked_up)
        answer: Answer = {"success": True}
        if manager:
            answer["manager"] = _filled(_person(manager), code=manager.code)
        if query.details == "1":
            if customer:
                phones = [{"number": phone} for phone in customer.phones]
                answer["customer"] = _filled(_person(customer), phones=phones)
            answer["links"] = self._links(query.phone, customer)
        return answer

    def take_event(self, event: ToldEvent) -> tuple[Answer, Receipt]:
        """Answer of POST telephony/call/event."""
        card = self.customers.with_phone(event.phone)
        told = EventTold(self.name, datetime.now(UTC), event, card)
        what = f"{event.type} {event.call_external_id} {'+'.join(event.codes)}"
        receipt, is_new = self._receipt(
            f"event {event.model_dump_json()}", event.model_dump_json(), told, what
        )
        strangers = self._nobodys(event.codes)
        users = [user for user in event.user_ids if user not in self._managers]
        if is_new:
            for broken in self._promises.event_told(event):
                self.violate(broken)
            if strangers:
                self.violate(f"{what}: nobody has the code {', '.join(strangers)}")
            self.events.append(told)
            self._change(told)
        answer: Answer = {"success": True}
        return _filled(answer, notExistCodes=strangers, notExistUsers=users), receipt

    def take_calls(self, calls: Sequence[ToldCall]) -> tuple[Answer, list[Receipt]]:
        """Answer of POST telephony/calls/upload."""
        receipts, duplicates = [], []
        for call in calls:
            now = datetime.now(UTC)
            uploaded = CallUploaded(self.name, now, call)
            what = f"upload {call.external_id}"
            receipt, is_new = self._receipt(what, call.model_dump_json(), uploaded, what)
            receipts.append(receipt)
            if not is_new:
                duplicates.append(call.external_id)
                continue
            for broken in self._promises.call_uploaded(call, now):
                self.violate(broken)
            if self._nobodys([call.code] if call.code else []):
                self.violate(f"{what}: nobody has the code {call.code}")
            self.uploads.append(uploaded)
            self._change(uploaded)
        answer: Answer = {"success": True, "processedCallsCount": len(calls) - len(duplicates)}
        return _filled(answer, duplicateCalls=duplicates), receipts

    def users(self, query: UsersQuery) -> Answer:
        """Answer of GET users."""
        limit, page = int(query.limit), int(query.page)
        wanted = {"0": (False,), "1": (True,), None: (False, True)}[query.active]
        managers = [manager for manager in self._managers.values() if manager.active in wanted]
        users = [
            _person(manager)
            | {"active": manager.active, "isManager": True, "status": manager.status, "online": True}
            | ({"phone": manager.phone} if manager.phone else {})
            for manager in managers[(page - 1) * limit : page * limit]
        ]
        pagination = {
            "limit": limit,
            "totalCount": len(managers),
            "currentPage": page,
            "totalPageCount": max(1, -(-len(managers) // limit)),
        }
        return {"success": True, "pagination": pagination, "users": users}

    def edit_module(self, module: ToldModule) -> Answer:
        """Answer of POST integration-modules/{code}/edit."""
        answer = self.rights.edit(module, self._managers, _SITES)
        self._change()
        return answer

    def take_for_desk(self, route: Route, path: str, fields: Mapping[str, Any]) -> Answer:
        """Answer of what concerns tasks, notices and new customers; raises `Wrong`."""
        if route == "tasks":
            return self.desk.find(fields)
        if route == "new customer":
            answer = self.customers.create(fields, self._managers, _SITES)
        elif route == "new task":
            answer = self.desk.create(fields, self._managers, _SITES)
        elif route == "edit task":
            answer = self.desk.edit(int(path.split("/")[-2]), fields, _SITES)
        else:
            answer = self.desk.notify(fields, self._managers)
        self._change()
        return answer

    def settings(self) -> Answer:
        """Answer of GET settings."""
        given = {"default_currency": "RUB", "system_language": "RU", "timezone": self.timezone}
        settings = {
            name: {"value": value, "updated_at": "2026-01-01 00:00:00"} for name, value in given.items()
        }
        return {"success": True, "settings": settings}

    def violate(self, sentence: str) -> None:
        """Write down that something was sent which must not be."""
        self.violations.append(sentence)
        self._complain(f"{self.name}: {sentence}")
        self._change()

    def _nobodys(self, codes: Sequence[str]) -> list[str]:
        """Those of the codes that no user has; the real CRM says so in its answer, and nobody is told."""
        known = {manager.code for manager in self._managers.values()}
        return [code for code in codes if code not in known]

    def _receipt(
        self, key: str, content: str, record: EventTold | CallUploaded, what: str
    ) -> tuple[Receipt, bool]:
        """The receipt, and whether this is news; a repeat is judged here."""
        if isinstance(record, EventTold) and record.event.call_external_id is None:
            return Receipt(), True
        known = self._receipts.get(key)
        if known is None:
            receipt = Receipt()
            self._receipts[key] = (content, receipt)
            return receipt, True
        earlier, receipt = known
        if earlier != content:
            self.violate(f"{what}: sent again with other content")
        elif receipt.answered and not self.repeats_allowed:
            self.violate(f"{what}: sent again although it was answered")
        else:
            self.repeats.append(record)
            self._change()
        return receipt, False

    def _links(self, phone: str, customer: Customer | None) -> dict[str, str]:
        links = {"newOrderLink": f"{self.url}/orders/add?phone={phone}"}
        if customer is None:
            return links | {"newCustomerLink": f"{self.url}/customers/add?phone={phone}"}
        if customer.has_orders:
            links["lastOrderLink"] = f"{self.url}/orders/{customer.id}/edit"
        return links | {"customerLink": f"{self.url}/customers/{customer.id}"}

    def _change(self, message: Message | None = None) -> None:
        """Wake waiters. An event renewed each time, not a Condition: a cancelled handler can't miss it."""
        self._changed.set()
        self._changed = asyncio.Event()
        if message is not None:
            self._publish(message)


def _person(person: Customer | Manager) -> Answer:
    return _filled(
        {"id": person.id},
        firstName=person.first_name,
        lastName=person.last_name,
        patronymic=person.patronymic,
        email=person.email,
    )


def _filled(answer: Answer, **optional: object) -> Answer:
    """The API leaves empty optional fields out."""
    return answer | {name: value for name, value in optional.items() if value}
