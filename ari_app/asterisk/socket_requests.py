"""ARI's requests over the event socket, where the PBX takes them there (Asterisk 20.14, 22.4 and newer).

The PBX carries them out one after the other and answers among its events. So what may be long goes by HTTP:
lists, files, and what doesn't fit into a frame; and so does what would have to wait behind many others.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import quote_plus

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.protocol import State

LONGEST_REQUEST = 32 * 1024
"""Bytes. Asterisk reads frames of up to 65 535."""
MOST_UNDER_WAY = 4
"""So many wait for their answers at most: one more would stand behind them, and goes by HTTP beside them."""
_SHORT = ("/variable", "asterisk/ping")
ANSWER = "RESTResponse"
"""The type of the event that answers; the event filter must let it through."""
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")

_Answer: TypeAlias = tuple[int, bytes] | OSError


def _query(params: Mapping[str, str]) -> str:
    """Write parameters for an address; nearly all their values may stand there as they are."""
    return "&".join(
        f"{name}={value if _PLAIN.fullmatch(value) else quote_plus(value)}" for name, value in params.items()
    )


class SocketRequests:
    """What is asked over one event socket; `seconds` is how long the PBX has for an answer."""

    def __init__(self, socket: ClientConnection, seconds: float) -> None:
        self._socket = socket
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._idents = map(str, itertools.count(1))
        self._under_way: dict[str, tuple[float, asyncio.Future[_Answer]]] = {}
        """The oldest first: its deadline is the next."""
        self._sweep: asyncio.TimerHandle | None = None
        self.late = False
        """Whether answers are heard late, since so much else is said: nothing is asked here meanwhile."""

    async def ask(
        self, method: str, path: str, params: Mapping[str, str], data: str | bytes | None = None
    ) -> tuple[int, bytes] | None:
        """Ask; give the answer's status and body, or None when the request is to go by HTTP. `data` is JSON.

        Raises:
            OSError: the request may have been carried out: the socket broke off, or there was no answer in
                time, or one that can't be read.
        """
        if method == "GET" and not path.endswith(_SHORT):
            return None  # a list, or a file
        if self.late or len(self._under_way) >= MOST_UNDER_WAY or self._socket.state is not State.OPEN:
            return None
        ident = next(self._idents)
        request = {
            "type": "RESTRequest",
            "request_id": ident,
            "method": method,
            "uri": f"{path}?{_query(params)}" if params else path,
        }
        if data:
            request["content_type"] = "application/json"
            request["message_body"] = data if isinstance(data, str) else data.decode()
        message = orjson.dumps(request)
        if len(message) > LONGEST_REQUEST:
            return None
        answer: asyncio.Future[_Answer] = self._loop.create_future()
        self._under_way[ident] = (self._loop.time() + self._seconds, answer)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._seconds, self._give_up)
        try:
            self._socket.protocol.send_text(message)  # `send` waits for room, which so few requests have
            self._socket.send_data()
            said = await answer
        finally:
            del self._under_way[ident]
        if isinstance(said, OSError):
            raise said
        return said

    def answered(self, said: Mapping[str, Any]) -> bool:
        """Take an answer; False when nobody waits for it.

        Raises:
            TypeError: what should name the request can't.
        """
        _, answer = self._under_way.get(said.get("request_id", ""), (0.0, None))
        if answer is None or answer.done():
            return False
        status, body = said.get("status_code"), said.get("message_body", "")
        if type(status) is int and isinstance(body, str):
            answer.set_result((status, body.encode()))
        else:
            answer.set_result(OSError("the answer can't be read"))
        return True

    def lost(self) -> None:
        """The socket has broken off: nothing will be answered any more."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._fail(math.inf, ConnectionError("the event stream has broken off"))

    def _give_up(self) -> None:
        """Give up what has waited too long; look again when the next one will have."""
        self._fail(self._loop.time(), TimeoutError())
        due = next((due for due, answer in self._under_way.values() if not answer.done()), None)
        self._sweep = None if due is None else self._loop.call_at(due, self._give_up)

    def _fail(self, due_by: float, problem: OSError) -> None:
        for due, answer in self._under_way.values():
            if due > due_by:
                return
            if not answer.done():
                answer.set_result(problem)
