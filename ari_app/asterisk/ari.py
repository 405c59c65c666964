"""ARI's REST side: aioari's client over our own transport.

The transport sends each request over the event socket where the PBX takes it there, else by HTTP. It
authenticates by header (so that no secret stands in a URL, which reaches logs), gives each request a time
limit, and raises our own errors (`ari_app.asterisk.errors`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus
from weakref import WeakValueDictionary

import aioari
import aiohttp
import orjson

from ari_app import figures
from ari_app.asterisk.errors import PbxDenied, PbxError, PbxRefused, PbxUnavailable, PbxUnknown
from ari_app.asterisk.socket_requests import SocketRequests
from ari_app.bounded import read_json
from ari_app.calls import Way
from ari_app.failures import NO_ANSWER, in_words

REQUEST_SECONDS = 5.0
"""How long a request may take. Asterisk answers in milliseconds or not at all."""
LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes; ten thousand channels."""
MOST_VALUES = 300_000
"""Of JSON, in one answer; ten thousand channels, too."""
LONGEST_DESCRIPTION = 4 * 1024 * 1024
"""Bytes of the PBX's API description in all; Asterisk's own has 200 000."""
MOST_RESOURCES = 50
"""Of the description; Asterisk has eleven."""
LONGEST_PATH = 500
DESCRIPTION_SECONDS = 30.0

_BASE = "/ari"
"""In the place of the address that the PBX gives of itself: the transport knows a better one."""
_BY_SOCKET = "takes requests over the event socket"
_IS_JSON = {"Content-Type": "application/json"}
_MAYBE_DONE = frozenset({408, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Reply:
    """What the PBX answered; awaitable where aioari awaits it."""

    status: int
    body: bytes

    async def text(self) -> str:
        """Give the body as text."""
        return self.body.decode("utf-8", "replace")

    async def json(self) -> Any:
        """Give the body as JSON."""
        return self.read()

    def read(self) -> Any:
        """Give the body as JSON, None when there is none."""
        return read_json(self.body, MOST_VALUES) if self.body else None


class AriTransport:
    """The client that aioari's operations go through: it alone chooses the way of each request."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        username: str,
        password: str,
        ours: Callable[[], Awaitable[bool]] | None = None,
        account: str = "",
    ) -> None:
        """Build it; `ours` is asked before each request whether the PBX is ours to ask.

        What goes wrong is counted as the `account`'s; of none when nobody has the PBX yet.
        """
        self._account = account
        self._session = session
        self._ours = ours
        self._ari = base_url.rstrip("/") + "/ari/"
        self._auth = aiohttp.encode_basic_auth(username, password, encoding="utf-8")
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        self.socket: SocketRequests | None = None
        """The event socket, while the PBX answers requests there."""

    @property
    def authorization(self) -> str:
        """The header's value, for the event socket."""
        return self._auth

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        data: str | bytes | None = None,
        longest: int | None = None,
    ) -> Reply:
        """Send one request; an answer has at most `longest` bytes, by default `LONGEST_ANSWER`.

        `data` is JSON.
        The address that the PBX gives of itself may be wrong behind a proxy: only the part after ``/ari/`` is
        taken from `url`.

        Raises:
            PbxRefused: the PBX says no; PbxUnknown: its answer was lost, or can't be read.
            PbxUnavailable: nobody answers, or the account is another copy's.
            PbxDenied: user or password is wrong.
        """
        if self._ours is not None and not await self._ours():
            raise PbxUnavailable(Way.ARI, "another copy of the service holds the account")
        try:
            return await self._request(method, url, params, data, longest)
        except PbxError as error:
            if "/file" not in url:  # where a refusal means that there is none
                figures.PBX_ERRORS.labels(self._account, _kind(error)).inc()
            raise

    async def _request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None,
        data: str | bytes | None,
        longest: int | None,
    ) -> Reply:
        path = url.partition("/ari/")[2]
        texts = {key: str(value) for key, value in (params or {}).items()}
        try:
            asked = time.monotonic()
            said = None if self.socket is None else await self.socket.ask(method, path, texts, data)
            if said is not None:
                figures.measured(figures.PBX_REQUESTS, "socket", time.monotonic() - asked)
                reply = Reply(*said)
            else:
                most = LONGEST_ANSWER if longest is None else longest
                with figures.measuring(figures.PBX_REQUESTS, "http"):
                    reply = await self._by_http(method, path, texts, data, most)
        except aiohttp.ClientConnectorError as error:
            raise PbxUnavailable(Way.ARI, in_words(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PbxUnknown(Way.ARI, f"{method} {path}: {str(error) or 'no answer'}") from error
        if reply.status < 300:
            return reply
        if reply.status < 400:
            raise PbxUnavailable(Way.ARI, f"what answers {reply.status} at this address is no ARI")
        if reply.status in (401, 403) and "/file" not in url:
            raise PbxDenied(Way.ARI, f"the PBX answers {reply.status} to user and password")
        if reply.status in _MAYBE_DONE:
            raise PbxUnknown(Way.ARI, f"{method} {path}: {reply.status}")
        raise PbxRefused(Way.ARI, _message(reply), status=reply.status)

    async def _by_http(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        data: str | bytes | None,
        longest: int,
    ) -> Reply:
        async with self._session.request(
            method,
            self._ari + path,
            params=params,
            data=data,
            headers={"Authorization": self._auth, **(_IS_JSON if data else {})},
            timeout=self._timeout,
            allow_redirects=False,  # user and password go to no other host
        ) as response:
            return Reply(response.status, await _read(response, longest))

    async def download(self, path: str) -> aiohttp.ClientResponse:
        """Open a download of any length; the caller closes it. `path` is relative to ``/ari/``."""
        return await self._session.get(
            self._ari + path,
            headers={"Authorization": self._auth},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=30.0),
        )


async def _read(response: aiohttp.ClientResponse, longest: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > longest:
            raise PbxUnknown(Way.ARI, f"the PBX's answer has no end: more than {longest} bytes")
    return bytes(body)


def _kind(error: PbxError) -> str:
    match error:
        case PbxRefused():
            return "refused"
        case PbxDenied():
            return "denied"
        case PbxUnavailable():
            return "unavailable"
        case _:
            return "unknown"


def _message(reply: Reply) -> str:
    try:
        said = reply.read()
    except ValueError:
        return reply.body[:200].decode("utf-8", "replace")
    if isinstance(said, dict):
        return str(said.get("message") or said.get("error") or "")
    return ""


class Ari:
    """The operations of one PBX, by their nicknames in its own API description.

    ``await ari("channels", "hangup", channelId=...)`` gives the answer's JSON, None when it has none.
    """

    def __init__(self, transport: AriTransport, client: aioari.Client) -> None:
        self.transport = transport
        self._client = client

    @classmethod
    async def open(
        cls,
        session: aiohttp.ClientSession,
        base_url: str,
        username: str,
        password: str,
        ours: Callable[[], Awaitable[bool]] | None = None,
        account: str = "",
    ) -> Ari:
        """Read the PBX's API description; `ours` and `account` as for `AriTransport`.

        Raises:
            PbxError: as `AriTransport.request` does.
        """
        transport = AriTransport(session, base_url, username, password, ours, account)
        try:
            async with asyncio.timeout(DESCRIPTION_SECONDS):
                client = await _client_of(await _described(transport))
        except PbxError:
            raise
        except TimeoutError as error:  # a slow PBX is one all the same
            raise PbxUnavailable(Way.ARI, NO_ANSWER) from error
        except Exception as error:  # the description is read by others, who trust it
            raise PbxUnavailable(
                Way.ARI, "what answers at this address does not describe itself as ARI"
            ) from error
        return cls(transport, client)

    async def __call__(self, resource: str, operation: str, **arguments: Any) -> Any:
        """Carry out an operation.

        Raises:
            PbxError: as `AriTransport.request` does; what can't be read is `PbxUnknown`.
        """
        reply = await self.transport.request(*_written(self._find(resource, operation), arguments))
        try:
            return reply.read()
        except ValueError as error:
            raise PbxUnknown(Way.ARI, f"the PBX's answer to {operation} is no JSON") from error

    @property
    def by_socket(self) -> bool:
        """Whether this PBX says that it takes requests over the event socket."""
        return any(resource[_BY_SOCKET] for resource in self._client.swagger.api_docs["apis"])

    def knows(self, resource: str, operation: str, parameter: str) -> bool:
        """Tell whether this PBX's operation has a parameter: an older Asterisk lacks some."""
        described = self._find(resource, operation).json.get("parameters", [])
        return any(one["name"] == parameter for one in described)

    def _find(self, resource: str, operation: str) -> Any:
        return self._client.swagger.get_resource(resource).get_operation(operation)


def _written(operation: Any, arguments: Mapping[str, Any]) -> tuple[str, str, dict[str, Any], bytes | None]:
    """Give an operation's method, address, parameters and body, as aioswagger11 does, which logs them, too.

    Raises:
        TypeError: it lacks an argument, or has no such.
    """
    address: str = operation.uri
    texts: dict[str, Any] = {}
    body: dict[str, Any] = {}
    unknown = arguments.keys() - {one["name"] for one in operation.json.get("parameters", ())}
    if unknown:
        raise TypeError(f"{operation} has no {', '.join(unknown)}")
    for one in operation.json.get("parameters", ()):
        name = one["name"]
        value = arguments.get(name)
        if value is None:
            if one["required"]:
                raise TypeError(f"{operation} lacks {name}")
        elif one["paramType"] == "path":
            address = address.replace(f"{{{name}}}", quote_plus(str(value)))
        else:
            (body if one["paramType"] == "body" else texts)[name] = value
    return operation.json["httpMethod"], address, texts, orjson.dumps(body) if body else None


_clients: WeakValueDictionary[bytes, aioari.Client] = WeakValueDictionary()
"""Those in use, by what was described: PBXs of one version say the same, and each would take 0.4 MB of it."""


async def _client_of(described: dict[str, Any]) -> aioari.Client:
    """Give the client that has the operations described, the same for all PBXs that describe them so."""
    said = hashlib.sha256(orjson.dumps(described, option=orjson.OPT_SORT_KEYS)).digest()
    client = _clients.get(said)
    if client is None:
        client = aioari.Client("", object())  # `Ari` asks by its PBX's transport
        client.swagger.url = described
        await asyncio.to_thread(asyncio.run, client.init())  # it asks nothing more, but takes its time
        client = _clients.setdefault(said, client)
    return client


async def _described(transport: AriTransport) -> dict[str, Any]:
    """Read the PBX's API description, as aioswagger11 does, but no more of it than it may have.

    Raises:
        PbxError: as `AriTransport.request` does; `PbxUnavailable` when it has too much.
        LookupError, TypeError, AttributeError, ValueError: it is none.
    """
    left = LONGEST_DESCRIPTION

    async def read(path: str) -> Any:
        nonlocal left
        reply = await transport.request("GET", f"/ari/{path}", longest=left)
        left -= len(reply.body)
        return reply.read()

    listing: dict[str, Any] = await read("api-docs/resources.json")
    resources = listing["apis"]
    if len(resources) > MOST_RESOURCES:
        raise PbxUnavailable(Way.ARI, f"its API description has more than {MOST_RESOURCES} resources")
    for resource in resources:
        path = resource["path"].replace("{format}", "json")
        described = await read(path.strip("/"))
        paths = [described["basePath"], *(operations["path"] for operations in described["apis"])]
        if max(map(len, paths)) > LONGEST_PATH:  # of two of these each operation's is made
            raise PbxUnavailable(Way.ARI, f"its API description has paths longer than {LONGEST_PATH} bytes")
        resource["api_declaration"] = {**described, "basePath": _BASE, "models": {}}
        resource[_BY_SOCKET] = "RESTRequest" in described.get("models", ())
    return {**listing, "basePath": _BASE}
