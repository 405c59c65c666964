"""Does a PBX let us in with what was typed: by ARI, and by AJAM? It is tried before anything is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

import aiohttp

from ari_app.accounts.sections import PbxSettings
from ari_app.asterisk.errors import PbxDenied, PbxError, PbxUnavailable
from ari_app.check.look import Look, NothingThere
from ari_app.check.pbx import Pbx
from ari_app.failures import cause_of
from ari_app.network.reach import IPNetwork, NotOutside, Reach, passage

TRY_SECONDS = 5.0
"""How long ARI and AJAM, which are tried side by side, may take."""

_NEEDED = {"Originate": "originate", "CoreShowChannels": "reporting"}
"""The actions that AMI must allow, and the right (manager.conf: write) that each needs."""
_NOBODY = "check-whether-we-may-change-things"
"""A bridge that nobody has: its removal is harmless, and refused to a user who may only look."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it. The page has a sentence for each `why`.

    ==========  ===============================================================
    works       we are let in, with all that we need
    off         it isn't set up (AJAM may be left out)
    connection  nobody takes the connection at that port
    silent      no answer in time, or the way is barred
    name        the host's name is not known
    inside      the address is in our own network
    tls         TLS, or the certificate; or it is there and isn't expected
    absent      something answers, but no ARI or AJAM under this prefix
    password    login or password are wrong, or our address isn't admitted
    admitted    login and password may be right, our address isn't admitted
    in_use      AMI lets nobody in twice
    rights      the user lacks rights: `detail` names them
    other       anything else: `detail` says what
    ==========  ===============================================================
    """

    part: str
    """``ari`` or ``ajam``."""
    why: str
    detail: str = ""

    @property
    def good(self) -> bool:
        """Whether it needn't keep anything from being stored."""
        return self.why in ("works", "off")

    @property
    def wrong(self) -> dict[str, str]:
        """Name the fields of the form in which the mistake probably is."""
        user, password = ("ari_username", "ari_password") if self.part == "ari" else _AMI
        match self.why:
            case "name" | "inside" | "silent":
                return {"host": self.why}
            case "connection":
                return {"http_port": self.why}
            case "tls":
                return {"tls": self.why}
            case "absent":
                return {"http_prefix": self.why}
            case "password":
                return {password: "password" if self.part == "ari" else "ami_password"}
            case "admitted" | "in_use" | "rights":
                return {user: self.why}
            case _:
                return {}


_AMI = ("ami_username", "ami_password")


async def try_pbx(settings: PbxSettings, networks: tuple[IPNetwork, ...]) -> tuple[Tried, Tried]:
    """Try ARI and AJAM. `networks` are those of ours in which a guarded PBX may be."""
    async with passage(Reach(networks, anywhere=not settings.guarded)) as to:
        ari, ajam = await asyncio.gather(
            _in_time("ari", _ari(to.session, settings)), _in_time("ajam", _ajam(to.session, settings))
        )
    return ari, ajam


async def _in_time(part: str, trying: Awaitable[Tried]) -> Tried:
    try:
        async with asyncio.timeout(TRY_SECONDS):
            return await trying
    except TimeoutError:
        return Tried(part, "silent")


async def _ari(session: aiohttp.ClientSession, settings: PbxSettings) -> Tried:
    async with Pbx.reached(session, settings) as pbx:
        try:
            answer = await pbx.ari("GET", "asterisk/info")
            if answer.status != 200 or not _describes_asterisk(answer):
                return _refusal(answer.status)
            changing = await pbx.ari("DELETE", f"bridges/{_NOBODY}")
        except NothingThere as problem:
            return Tried("ari", *_reason(problem.__cause__))
    return Tried("ari", "rights", "read_only = no") if changing.status == 403 else Tried("ari", "works")


def _describes_asterisk(answer: Look) -> bool:
    said = answer.json()
    return isinstance(said, dict) and "system" in said


def _refusal(status: int) -> Tried:
    match status:
        case 401:
            return Tried("ari", "password", "401")
        case 403:
            return Tried("ari", "admitted", "403")
        case 404:
            return Tried("ari", "absent", "404")
        case _:
            return Tried("ari", "other", f"HTTP {status}")


async def _ajam(session: aiohttp.ClientSession, settings: PbxSettings) -> Tried:
    if settings.ami_password is None:
        return Tried("ajam", "off")
    async with Pbx.reached(session, settings) as pbx:
        try:
            answer = await pbx.log_in()
        except PbxDenied:
            return Tried("ajam", "admitted", "403")
        except PbxError as problem:
            return _without_ajam(problem)
        if answer.message == "Login Already In Use":
            return Tried("ajam", "in_use")
        if answer.refused:
            return Tried("ajam", "password")
        lacking = [right for action, right in _NEEDED.items() if action not in pbx.commands]
    return Tried("ajam", "rights", f"write = {','.join(lacking)}") if lacking else Tried("ajam", "works")


def _without_ajam(problem: PbxError) -> Tried:
    if isinstance(problem.__cause__, aiohttp.ClientError | OSError):
        return Tried("ajam", *_reason(problem.__cause__))
    return Tried("ajam", "absent" if isinstance(problem, PbxUnavailable) else "other", str(problem))


def _reason(problem: BaseException | None) -> tuple[str, str]:
    why = cause_of(problem)
    match problem:
        case aiohttp.ClientConnectorCertificateError():
            return why, str(getattr(problem.certificate_error, "verify_message", ""))
        case aiohttp.ClientConnectorError(os_error=NotOutside(address=address)):
            return why, address
        case _:
            return why, type(problem).__name__ if why == "other" else ""
