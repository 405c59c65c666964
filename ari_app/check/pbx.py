"""A shop's PBX as the checks reach it: by ARI, by AJAM, and what its dialplan functions tell.

A function is read through AJAM, which leaves no trace; without AJAM on a channel that ARI makes for it, in an
application of its own name, and that rings nobody.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp

from ari_app.accounts.sections import PbxSettings
from ari_app.asterisk.ajam_wire import AjamEvent, Answer, Wire
from ari_app.asterisk.errors import PbxError
from ari_app.check.look import LOOK_SECONDS, Look, NothingThere, look


class CannotRead(Exception):
    """The PBX doesn't tell, or not to us."""


class Pbx:
    """One PBX. `session` keeps no cookies. What the first checks find out, the others rely on."""

    def __init__(self, session: aiohttp.ClientSession, settings: PbxSettings) -> None:
        self.settings = settings
        self.lets_in = False
        """Whether ARI works; known when it was checked."""
        self.version = ""
        """Asterisk's version as ARI tells it, such as ``16.28.0~dfsg-0+deb11u3``; empty until it does."""
        self.may_change = False
        """Whether our ARI user may do more than look."""
        self.commands: frozenset[str] = frozenset()
        """The actions that our AMI user may carry out; none while we are not logged in."""
        self._session = session
        self._wire = Wire(session, settings.ari_url, LOOK_SECONDS)
        self._cookie: str | None = None
        self._channel: str | None = None
        self._dialplan: tuple[AjamEvent, ...] | None = None
        self._cleaning = AsyncExitStack()
        password = settings.ari_password.get_secret_value()
        self._login = aiohttp.encode_basic_auth(settings.ari_username, password, encoding="utf-8")

    @classmethod
    @asynccontextmanager
    async def reached(cls, session: aiohttp.ClientSession, settings: PbxSettings) -> AsyncIterator[Pbx]:
        """Give the PBX; what we made there is removed at the end."""
        pbx = cls(session, settings)
        async with pbx._cleaning:
            yield pbx

    # -- ARI ----------------------------------------------------------------------------------------------

    async def ari(self, method: str, path: str, **params: str) -> Look:
        """Send a request; `path` is relative to ``/ari/``.

        Raises:
            NothingThere: no answer came.
        """
        url = f"{self.settings.ari_url}ari/{path}"
        return await look(
            self._session, method, url, headers={"Authorization": self._login}, params=params or None
        )

    async def endpoints(self) -> dict[str, dict[str, str]]:
        """Give the state of each endpoint (``online``, ``offline``, ``unknown``) by technology and name.

        Raises:
            CannotRead: the PBX does not tell, or not to us.
        """
        listed = await self._listed("endpoints")
        found: dict[str, dict[str, str]] = {}
        for one in listed:
            found.setdefault(str(one["technology"]), {})[str(one["resource"])] = str(one.get("state"))
        return found

    async def _listed(self, path: str) -> list[dict[str, Any]]:
        try:
            answer = await self.ari("GET", path)
        except NothingThere as problem:
            raise CannotRead(str(problem)) from None
        listed = answer.json()
        if answer.status != 200 or not isinstance(listed, list):
            raise CannotRead(f"ARI answers {answer.status}")
        return listed

    # -- AJAM ---------------------------------------------------------------------------------------------

    async def log_in(self) -> Answer:
        """Log in at AJAM; the answer may be a refusal.

        Raises:
            PbxError: no answer came, or one that can't be read.
        """
        password = self.settings.ami_password
        assert password is not None
        credentials = [("username", self.settings.ami_username), ("secret", password.get_secret_value())]
        answer = await self._wire.send([("action", "Login"), *credentials], None)
        if not answer.refused and answer.cookie is not None:
            self._cookie = answer.cookie
            self._cleaning.push_async_callback(self._log_off)
            allowed = await self.act("ListCommands")
            self.commands = frozenset(name for name in allowed.fields if name != "Response")
        return answer

    async def act(self, action: str, **fields: str) -> Answer:
        """Carry an action out that changes nothing; the answer may be a refusal.

        Raises:
            PbxError: no answer came, or one that can't be read.
        """
        return await self._wire.send([("action", action), *fields.items()], self._cookie)

    async def dialplan(self) -> tuple[AjamEvent, ...]:
        """Give what ``ShowDialPlan`` answers, asked once.

        Raises:
            PbxError: no answer came, or one that can't be read.
        """
        if self._dialplan is None:
            self._dialplan = (await self.act("ShowDialPlan")).events
        return self._dialplan

    async def in_database(self, family: str, key: str) -> str:
        """Give what stands in the PBX's own database, empty when nothing does.

        Raises:
            CannotRead: AJAM does not tell, or not to us.
        """
        if "DBGet" not in self.commands:
            raise CannotRead("AJAM doesn't let us ask")
        try:
            answer = await self.act("DBGet", family=family, key=key)
        except (PbxError, ValueError) as problem:
            raise CannotRead(str(problem)) from None
        values = (event.fields.get("Val", "") for event in answer.events)
        return next((value for value in values if value), "")

    async def _log_off(self) -> None:
        with contextlib.suppress(PbxError):
            await self.act("Logoff")

    # -- what the PBX's functions tell --------------------------------------------------------------------

    async def has_place(self, context: str, exten: str, priority: int = 1) -> bool:
        """Tell whether the dialplan has a place.

        Raises:
            CannotRead: the PBX does not tell, or not to us.
        """
        return await self._exists(f"{context},{exten},{priority}")

    async def has_context(self, context: str) -> bool:
        """Tell whether the dialplan has a context.

        Raises:
            CannotRead
        """
        return await self._exists(context)

    async def _exists(self, place: str) -> bool:
        said = await self.read(f"DIALPLAN_EXISTS({place})")
        if said not in ("0", "1"):
            raise CannotRead("the PBX has no function DIALPLAN_EXISTS")
        return said == "1"

    async def configured(self, file: str, section: str, name: str, index: int = 0) -> str:
        """Give a value of the PBX's configuration, empty when there is none.

        It is what the file says: the PBX may not have read it since it was changed.

        Raises:
            CannotRead: the PBX does not tell, or not to us.
        """
        return await self.read(f"AST_CONFIG({file},{section},{name},{index})")

    async def read(self, function: str) -> str:
        """Read a dialplan function, empty when it has no value.

        Raises:
            CannotRead: the PBX does not tell, or not to us.
        """
        if "Getvar" in self.commands:
            return await self._read_by_ajam(function)
        if self.may_change:
            return await self._read_by_ari(function)
        raise CannotRead("neither AJAM nor ARI lets us ask")

    async def _read_by_ajam(self, function: str) -> str:
        try:
            answer = await self.act("Getvar", variable=function)
        except (PbxError, ValueError) as problem:
            raise CannotRead(str(problem)) from None
        if answer.refused:
            raise CannotRead(answer.message)
        return answer.fields.get("Value", "")

    async def _read_by_ari(self, function: str) -> str:
        try:
            if self._channel is None:
                self._channel = await self._make_channel()
            answer = await self.ari("GET", f"channels/{self._channel}/variable", variable=function)
        except (NothingThere, aiohttp.ClientError, OSError, TimeoutError) as problem:
            raise CannotRead(str(problem) or type(problem).__name__) from None
        said = answer.json()
        if answer.status == 500:  # what Asterisk answers to a function that has no value
            return ""
        if answer.status != 200 or not isinstance(said, dict):
            raise CannotRead(f"ARI answers {answer.status}")
        return str(said.get("value", ""))

    async def _make_channel(self) -> str:
        """Make a channel that is never dialled, in an application that nobody else has the name of."""
        name = f"check{secrets.token_hex(6)}"
        socket = await self._session.ws_connect(
            f"{self.settings.ari_url}ari/events",
            params={"app": name},
            headers={"Authorization": self._login},
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        )
        self._cleaning.push_async_callback(socket.close)
        made = await self.ari(
            "POST", "channels/create", endpoint=f"Local/s@{name}/n", app=name, channelId=name
        )
        if made.status != 200:
            raise CannotRead(f"ARI answers {made.status} to our making a channel")
        self._cleaning.push_async_callback(self._remove_channel, name)
        return name

    async def _remove_channel(self, name: str) -> None:
        with contextlib.suppress(NothingThere):
            await self.ari("DELETE", f"channels/{name}")


def in_path(word: str) -> str:
    """Make a word a part of an address."""
    return quote(word, safe="")
