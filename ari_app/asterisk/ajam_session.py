"""A session at a PBX's AJAM: logged in when it is needed, and again when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ari_app.asterisk.ajam_wire import AjamTarget, Answer, Field, Wire
from ari_app.asterisk.errors import PbxDenied, PbxUnavailable, PbxUnknown
from ari_app.calls import Way

_NOT_LET_IN = "the PBX refuses user and password, or this machine's address (permit in manager.conf)"
_IN_USE = "the PBX has a session of our user already (allowmultiplelogin=no in manager.conf)"


class AjamSession:
    """One session. `needed` says which actions the user must be allowed, and the right that each needs."""

    def __init__(self, wire: Wire, target: AjamTarget, needed: Mapping[str, str] | None = None) -> None:
        self._wire = wire
        self._target = target
        self._needed = needed or {}
        self._cookie: str | None = None
        self._opening = asyncio.Lock()

    @property
    def opened(self) -> bool:
        """Whether it was opened; it may be over by now."""
        return self._cookie is not None

    def leave(self) -> None:
        """Let the session run out: the next action gets a new one."""
        self._cookie = None

    async def send(self, fields: list[Field], waiting: float = 0.0) -> Answer:
        """Send an action, and once more when the session was over; the answer may be a refusal.

        Raises:
            PbxUnknown: the answer was lost.
            PbxUnavailable: nobody answers; PbxDenied: we are not let in.
        """
        cookie = self._cookie
        if cookie is not None:
            answer = await self._wire.send(fields, cookie, waiting)
            if not answer.not_permitted or await self._goes_on(cookie):
                return answer
        return await self._wire.send(fields, await self.open(cookie), waiting)

    async def open(self, old: str | None = None) -> str:
        """Log in, unless there is a session by now, another than `old`; give its cookie.

        Raises:
            PbxUnavailable: nobody answers; PbxDenied: we are not let in.
        """
        async with self._opening:
            if self._cookie in (None, old):
                self._cookie = None
                self._cookie = await self._log_in()
            return self._cookie

    async def _goes_on(self, cookie: str) -> bool:
        """Tell whether a session isn't over, by asking what every user may ask."""
        return not (await self._wire.send([("action", "Ping")], cookie)).refused

    async def _log_in(self) -> str:
        target = self._target
        credentials = [("action", "Login"), ("username", target.username), ("secret", target.password)]
        try:
            answer = await self._wire.send(credentials, None)
            if answer.message == "Login Already In Use":
                raise PbxUnavailable(Way.AJAM, _IN_USE)
            if answer.refused:
                raise PbxDenied(Way.AJAM, _NOT_LET_IN)
            if answer.cookie is None:
                raise PbxUnavailable(Way.AJAM, "the PBX lets us in, but gives no cookie")
            if self._needed:
                allowed = await self._wire.send([("action", "ListCommands")], answer.cookie)
                self._check_rights(allowed)
        except PbxUnknown as error:
            raise PbxUnavailable(Way.AJAM, str(error)) from error
        return answer.cookie

    def _check_rights(self, allowed: Answer) -> None:
        lacking = sorted(right for action, right in self._needed.items() if action not in allowed.fields)
        if lacking:
            raise PbxDenied(
                Way.AJAM, f"the AMI user lacks a right: write = {','.join(lacking)} in manager.conf"
            )
