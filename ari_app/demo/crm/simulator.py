"""A simulated retailCRM: strict as the real one, with several accounts, faults, an eye on our promises.

In a test or the demo::

    async with SimulatedCrm() as crm:
        account = crm.account(key="k", customers=[...], managers=[...])
        ...
        upload = await account.wait_for_upload(call_id)
        assert crm.violations == []

As a process of its own, for measurements: `python -m ari_app.demo.crm.simulator --port N [--no-limit]`.
"""

import argparse
import asyncio
import json
import re
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import uvloop
from aiohttp import web
from yarl import URL

from ari_app.demo.crm.account import (
    Answer,
    CallUploaded,
    CrmAccount,
    EventTold,
    LookedUp,
    Message,
    Receipt,
)
from ari_app.demo.crm.callbacks import CalledBack
from ari_app.demo.crm.customers import CUSTOMERS
from ari_app.demo.crm.faults import (
    AnswerLost,
    Closed,
    Fault,
    HtmlPage,
    Kind,
    Nonsense,
    Refusal,
    Route,
    Silent,
    Slow,
    Status,
    first_to_strike,
)
from ari_app.demo.crm.people import Customer, Manager
from ari_app.demo.crm.rights import MODULES
from ari_app.demo.crm.rules import (
    ROUTES,
    VERSIONS,
    LookUpQuery,
    NoQuery,
    UsersQuery,
    Wrong,
    read_calls,
    read_event,
    read_module,
    read_query,
)

__all__ = [
    "AnswerLost",
    "CallUploaded",
    "CalledBack",
    "Closed",
    "CrmAccount",
    "Customer",
    "EventTold",
    "HtmlPage",
    "LookedUp",
    "Manager",
    "Message",
    "Nonsense",
    "Refusal",
    "Silent",
    "SimulatedCrm",
    "Slow",
    "Status",
]

_A_TASK = re.compile(r"/api/v5/tasks/[0-9]{1,9}/edit")
_FOR_THE_DESK = ("tasks", "new task", "edit task", "notify", "new customer")
TELEPHONY_PER_SECOND, OTHERS_PER_SECOND = 40, 10
PAGE = "<!DOCTYPE html><html><body><h1>Ведутся технические работы</h1></body></html>"
Fields: TypeAlias = dict[str, Any]
Listener: TypeAlias = Callable[[Message], None]


class SimulatedCrm:
    """The server, on loopback; port 0 takes a free one. `latency` (seconds) comes before every answer."""

    def __init__(self, *, port: int = 0, limits: bool = True, latency: float = 0.0) -> None:
        self.port = port
        self.limits = limits
        self.latency = latency
        self.accounts: list[CrmAccount] = []
        self.violations: list[str] = []
        """Everything that was sent and must not be, of all accounts, as sentences."""
        self.faults: list[Fault] = []
        self._addresses = 0
        self._by_key: dict[str, CrmAccount] = {}
        self._admitted: dict[tuple[str, bool], deque[float]] = {}
        self._listeners: list[Listener] = []
        self._sites: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._receive)
        # a request whose sender is gone is dropped, so that silence keeps nothing alive
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        self._listen("127.0.0.1")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await asyncio.gather(*self._sites)
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Address of the first account; any account is reached there by its key."""
        return f"http://127.0.0.1:{self.port}"

    def account(
        self,
        *,
        key: str,
        customers: Sequence[Customer] = (),
        managers: Sequence[Manager] = (),
        timezone: str = "Europe/Moscow",
    ) -> CrmAccount:
        """A new account at a loopback address of its own, as each real one has a host of its own."""
        if key in self._by_key:
            raise ValueError("an account with this key exists")
        account = CrmAccount(
            key=key,
            url=self._next_address(),
            name=f"crm{len(self.accounts) + 1}",
            customers=customers,
            managers=managers,
            timezone=timezone,
            publish=self._publish,
            complain=self.violations.append,
        )
        self.accounts.append(account)
        self._by_key[key] = account
        return account

    def move(self, account: CrmAccount) -> None:
        """The account gets another address; at the one that it had there is none any more."""
        account.former.add(URL(account.url).authority)
        account.url = self._next_address()

    def _next_address(self) -> str:
        number, self._addresses = self._addresses, self._addresses + 1
        address = f"127.0.{number // 250}.{number % 250 + 1}"
        if number:
            self._listen(address)
        return f"http://{address}:{self.port}"

    def fault(self, kind: Kind, *, route: Route | None = None, times: int | None = None) -> None:
        """Something goes wrong for every account, on one route or all, so many times or until `heal`."""
        self.faults.append(Fault(kind, route, times))

    def heal(self) -> None:
        """End all faults, the accounts' too; requests that are kept waiting stay so."""
        self.faults.clear()
        for account in self.accounts:
            account.heal()

    def on_message(self, listener: Listener) -> Callable[[], None]:
        """Hear of everything that is taken, as it comes; call the answer to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def state(self) -> dict[str, Any]:
        """What came so far, as numbers; the violations in words."""
        return {
            "lookUps": sum(len(account.look_ups) for account in self.accounts),
            "events": sum(len(account.events) for account in self.accounts),
            "uploads": sum(len(account.uploads) for account in self.accounts),
            "repeats": sum(len(account.repeats) for account in self.accounts),
            "violations": self.violations,
        }

    def _listen(self, address: str) -> None:
        """The socket listens at once: what connects before the server takes it over waits in its backlog."""
        listener = socket.create_server((address, self.port), backlog=1024)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        site = web.SockSite(self._runner, listener, backlog=1024)
        self._sites.append(asyncio.get_running_loop().create_task(site.start()))

    def _publish(self, message: Message) -> None:
        for listener in list(self._listeners):
            listener(message)

    # One request

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/simulator/state":
            return _json(200, self.state())
        fields: Fields = dict(await request.post() if request.method == "POST" else request.query)
        account: CrmAccount | None = None
        try:
            account = self._account_of(request, fields)
            if request.host in account.former:
                return web.Response(status=405, text=PAGE, content_type="text/html")
            route = _route_of(request)
            self._admit(account, route)
            account.rights.check(route)
            return await self._serve(account, route, fields, request)
        except Wrong as wrong:
            sentence = f"{request.method} {request.path}: {wrong.status} {wrong}"
            if account is None:
                self.violations.append(sentence)
            else:
                account.violate(sentence)
            return _refuse(wrong)

    def _account_of(self, request: web.Request, fields: Fields) -> CrmAccount:
        key = request.headers.get("X-API-KEY") or fields.get("apiKey") or request.query.get("apiKey")
        if not key:
            raise Wrong(403, '"apiKey" is missing.')
        if key not in self._by_key:
            raise Wrong(403, 'Wrong "apiKey" value.')
        return self._by_key[key]

    def _admit(self, account: CrmAccount, route: Route) -> None:
        """The rate limit, over a sliding second."""
        if not self.limits:
            return
        telephony = route in ("manager", "event", "upload")
        most = TELEPHONY_PER_SECOND if telephony else OTHERS_PER_SECOND
        now = asyncio.get_running_loop().time()
        admitted = self._admitted.setdefault((account.key, telephony), deque())
        while admitted and admitted[0] <= now - 1:
            admitted.popleft()
        if len(admitted) >= most:
            if route == "event":
                account.event_tried(None)
            raise Wrong(503, "Rate limit exceeded")
        admitted.append(now)

    async def _serve(
        self, account: CrmAccount, route: Route, fields: Fields, request: web.Request
    ) -> web.StreamResponse:
        entities = (fields.get(name) for name in ("event", "calls", "task", "customer"))
        told = str(next(filter(None, entities), ""))
        fault = first_to_strike(account.faults, route, told) or first_to_strike(self.faults, route, told)
        account.note(route, fault)
        if self.latency:
            await self._pass(self.latency)
        if fault is not None and not isinstance(fault, Slow | AnswerLost):
            if route == "event":
                account.event_tried(_event_or_none(fields))
            return await self._fail(fault, request)
        if route == "module":
            module = account.rights.module(request.path)
            return _refuse(Wrong(404, "Not found")) if module is None else _json(200, module)
        if route == "customer":
            customer = account.customers.find(request.path, fields)
            return _refuse(Wrong(404, "Not found")) if customer is None else _json(200, customer)
        if route == "edit":
            return _json(201, account.edit_module(read_module(fields, _module_code(request))))
        receipts: list[Receipt] = []
        if route in _FOR_THE_DESK:
            answer = account.take_for_desk(route, request.path, fields)
        else:
            answer, receipts = _carry_out(account, route, fields)
        if isinstance(fault, Slow):
            await self._pass(fault.seconds)
        if isinstance(fault, AnswerLost):
            return _close(request)
        if request.transport is not None and not request.transport.is_closing():
            for receipt in receipts:
                receipt.answered = True
        return _json(200, answer)

    async def _fail(self, fault: Kind, request: web.Request) -> web.StreamResponse:
        match fault:
            case Silent():
                await self._stopping.wait()
                return _close(request)
            case Status():
                return _refuse(Wrong(fault.status, fault.words))
            case Refusal():
                return _refuse(Wrong(400, fault.error_msg, fault.errors))
            case HtmlPage():
                return web.Response(status=fault.status, text=PAGE, content_type="text/html")
            case Nonsense():
                return web.Response(text=fault.body, content_type="application/json")
            case _:
                return _close(request)

    async def _pass(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def _route_of(request: web.Request) -> Route:
    method, route = ROUTES.get(request.path, ("", None))
    if request.path.startswith(MODULES):
        edited = request.path.endswith("/edit")
        method, route = ("POST", "edit") if edited else ("GET", "module")
    if _A_TASK.fullmatch(request.path):
        method, route = "POST", "edit task"
    if route is None and request.path.startswith(CUSTOMERS):
        method, route = "GET", "customer"
    if route is None:
        raise Wrong(404, "API method not found")
    if request.method != method:
        raise Wrong(405, "Method Not Allowed")
    return route


def _module_code(request: web.Request) -> str:
    return request.path.removeprefix(MODULES).removesuffix("/edit")


def _carry_out(account: CrmAccount, route: Route, fields: Fields) -> tuple[Answer, list[Receipt]]:
    """Do what the request asks; raises `Wrong`."""
    if route == "event":
        answer, receipt = account.take_event(read_event(fields))
        return answer, [receipt]
    if route == "upload":
        return account.take_calls(read_calls(fields))
    if route == "manager":
        return account.look_up(read_query(LookUpQuery, fields)), []
    if route == "users":
        return account.users(read_query(UsersQuery, fields)), []
    read_query(NoQuery, fields)
    if route == "settings":
        return account.settings(), []
    if route == "sites":
        return account.rights.sites(), []
    return (account.rights.credentials() if route == "credentials" else VERSIONS), []


def _event_or_none(fields: Fields) -> Any:
    try:
        return read_event(fields)
    except Wrong:
        return None


def _json(status: int, answer: Answer) -> web.Response:
    return web.Response(
        status=status, text=json.dumps(answer, ensure_ascii=False), content_type="application/json"
    )


def _refuse(wrong: Wrong) -> web.Response:
    answer: Answer = {"success": False, "errorMsg": wrong.error_msg}
    return _json(wrong.status, answer | ({"errors": wrong.errors} if wrong.errors else {}))


def _close(request: web.Request) -> web.StreamResponse:
    """Close the connection; what the handler returns goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _run(args: argparse.Namespace) -> None:
    """Serve one account until SIGINT or SIGTERM, then print `state()` as one line of JSON."""
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    managers = [
        Manager(id=n + 1, last_name=f"Менеджер {n + 1}", code=str(101 + n)) for n in range(args.managers)
    ]
    customers = [
        Customer(
            id=n + 1,
            last_name=f"Клиент {n + 1}",
            phones=(f"+7916{n:07d}",),
            manager_id=n % args.managers + 1 if args.managers else None,
        )
        for n in range(args.customers)
    ]
    async with SimulatedCrm(port=args.port, limits=not args.no_limit, latency=args.latency) as crm:
        crm.account(key=args.key, customers=customers, managers=managers)
        print(f"simulated retailCRM on {crm.url}", flush=True)
        await over.wait()
        print(json.dumps(crm.state(), ensure_ascii=False), flush=True)


def main() -> None:
    """The simulator as a process of its own; GET /simulator/state shows what came so far."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one and prints it")
    parser.add_argument("--key", default="demo-key", help="the API key")
    parser.add_argument("--no-limit", action="store_true", help="no limit of requests a second")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--managers", type=int, default=10, help="with the extensions 101, 102, ...")
    parser.add_argument("--customers", type=int, default=1000, help="+79160000000, +79160000001, ...")
    uvloop.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
