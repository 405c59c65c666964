"""AJAM's wire: Asterisk's manager interface (AMI) through HTTP, one action a request.

An action goes as a form in a POST, so that no secret stands in a URL. The answer is text: blocks of
``Name: value`` lines, a response first and then events.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import aiohttp

from ari_app.asterisk.errors import PbxDenied, PbxUnavailable, PbxUnknown
from ari_app.calls import Way
from ari_app.failures import in_words

Field = tuple[str, str]

REQUEST_SECONDS = 5.0
"""How long an action may take. Asterisk answers in milliseconds, to a wrong password after a second."""
CONNECT_SECONDS = 3.0
LONGEST_ANSWER = 8 * 1024 * 1024
"""Bytes; a channel takes about 600."""
MOST_LINES = 300_000
"""Of an answer; a channel takes about 30."""
LONG_ANSWER = 64 * 1024
"""Bytes; what is longer is read by a thread, so that others have their turn."""

_COOKIE = "mansession_id"
_LINE_BREAKERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NO_AJAM = (
    "the PBX has no AJAM at this address: check http_prefix, and that manager.conf has enabled=yes and "
    "webenabled=yes"
)


@dataclass(frozen=True, slots=True)
class AjamTarget:
    """Where a PBX's AJAM is. `url` ends with a slash, such as ``http://pbx:8088/asterisk/``."""

    url: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AjamEvent:
    """Something that happened on the PBX; what it tells depends on its name."""

    name: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class AjamChannel:
    """A channel as ``CoreShowChannels`` describes it."""

    id: str
    linked_id: str
    """The id of the channel that the call began with."""
    name: str
    state: str
    """``Down``, ``Ring``, ``Ringing``, ``Up`` ..."""
    bridge_id: str | None
    application: str
    connected_number: str
    seconds: int
    """How long it has existed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the PBX answered to an action."""

    response: str
    fields: dict[str, str]
    events: tuple[AjamEvent, ...] = ()
    cookie: str | None = None
    """The session that the PBX has opened."""

    @property
    def message(self) -> str:
        """What the PBX says of it."""
        return self.fields.get("Message", "")

    @property
    def refused(self) -> bool:
        """Whether the action had no effect."""
        return self.response == "Error"

    @property
    def not_permitted(self) -> bool:
        """Whether the session is over, or the user lacks the right; the PBX doesn't say which."""
        return self.refused and self.message == "Permission denied"


def check(fields: Iterable[Field]) -> None:
    """Let no value through that could end its line, and so become a line of its own.

    Raises:
        ValueError: a value has a control character.
    """
    for name, value in fields:
        if _LINE_BREAKERS.search(value):
            raise ValueError(f"{name} holds a control character: {value!r}")


def quoted(text: str) -> str:
    """Quote a value where AMI takes several, divided by commas."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_answer(body: bytes) -> Answer:
    """Read an answer.

    Names of callers may be in any encoding; what is not UTF-8 is replaced.

    Raises:
        ValueError: it is none, or not a whole one.
    """
    if body.count(b"\n") > MOST_LINES:
        raise ValueError(f"it has more than {MOST_LINES} lines")
    text = body.decode("utf-8", "replace")
    if not text.startswith("Response: "):
        raise ValueError("it is no answer of AJAM")
    if not text.endswith("\r\n\r\n"):
        raise ValueError("it is not whole")
    first, *others = (_read_block(block) for block in text.split("\r\n\r\n") if block.strip())
    events = tuple(AjamEvent(block["Event"], block) for block in others if "Event" in block)
    return Answer(first["Response"], first, events)


def _read_block(block: str) -> dict[str, str]:
    """Read the lines of a block; the first of two of the same name counts."""
    fields: dict[str, str] = {}
    for line in block.strip("\r\n").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name, value.strip())
    return fields


def read_channels(answer: Answer) -> list[AjamChannel]:
    """Read the answer to ``CoreShowChannels``.

    A channel that changes meanwhile may be listed twice (Asterisk 22): as it was, and then as it is.

    Raises:
        ValueError: it is not whole.
    """
    channels = [_channel(event.fields) for event in answer.events if event.name == "CoreShowChannel"]
    ends = [event.fields for event in answer.events if event.name == "CoreShowChannelsComplete"]
    if not ends or ends[-1].get("ListItems") != str(len(channels)):
        raise ValueError("the list of channels is not whole")
    return list({channel.id: channel for channel in channels}.values())


def _channel(fields: dict[str, str]) -> AjamChannel:
    try:
        return AjamChannel(
            id=fields["Uniqueid"],
            linked_id=fields["Linkedid"],
            name=fields["Channel"],
            state=fields["ChannelStateDesc"],
            bridge_id=fields["BridgeId"] or None,
            application=fields["Application"],
            connected_number=fields["ConnectedLineNum"],
            seconds=_seconds(fields["Duration"]),
        )
    except KeyError as missing:
        raise ValueError(f"a channel has no {missing.args[0]}") from None


def _seconds(duration: str) -> int:
    """Read ``HH:MM:SS``."""
    hours, minutes, seconds = (int(part) for part in duration.split(":"))
    return (hours * 60 + minutes) * 60 + seconds


class Wire:
    """Sends actions to one PBX. `session` keeps no cookies: one PBX may have several sessions of ours."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        if not isinstance(session.cookie_jar, aiohttp.DummyCookieJar):
            raise ValueError("AJAM needs a session that keeps no cookies")
        self._session = session
        self._rawman = f"{url}rawman"
        self._seconds = request_seconds

    async def send(self, fields: Sequence[Field], cookie: str | None, waiting: float = 0.0) -> Answer:
        """Send one action, with the cookie of the session that it is for; the answer may be a refusal.

        The PBX may take its time for an action that waits so many seconds.

        Raises:
            PbxUnknown: the answer was lost.
            PbxUnavailable: nobody answers; PbxDenied: the HTTP server does not let us in.
        """
        check(fields)
        headers = {"Connection": "close"}  # Asterisk ends idle connections: the next action would be lost
        if cookie is not None:
            headers["Cookie"] = f'{_COOKIE}="{cookie}"'
        try:
            async with self._session.post(
                self._rawman,
                data=fields,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._seconds + waiting, sock_connect=CONNECT_SECONDS),
            ) as response:
                _check_status(response.status)
                body = await _read_body(response)
        except aiohttp.ClientConnectorError as error:
            raise PbxUnavailable(Way.AJAM, in_words(error)) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise PbxUnavailable(Way.AJAM, "the PBX does not answer") from error
        except TimeoutError as error:
            raise PbxUnknown(Way.AJAM, "the PBX does not answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise PbxUnknown(Way.AJAM, f"the PBX broke off: {in_words(error)}") from error
        try:
            long = len(body) > LONG_ANSWER
            answer = await asyncio.to_thread(read_answer, body) if long else read_answer(body)
        except ValueError as error:
            raise PbxUnknown(Way.AJAM, f"the PBX's answer can't be read: {error}") from error
        opened = response.cookies.get(_COOKIE)
        return answer if opened is None else replace(answer, cookie=opened.value)


def _check_status(status: int) -> None:
    if status == 404:
        raise PbxUnavailable(Way.AJAM, _NO_AJAM)
    if status in (401, 403):
        raise PbxDenied(Way.AJAM, f"the PBX answers {status}: check who may reach its HTTP server")
    if status >= 500:
        raise PbxUnknown(Way.AJAM, f"the PBX answers {status}")
    if status != 200:
        raise PbxUnavailable(Way.AJAM, f"what answers {status} at this address is no AJAM")


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LONGEST_ANSWER:
            raise PbxUnknown(Way.AJAM, "the PBX's answer has no end")
    return bytes(body)
