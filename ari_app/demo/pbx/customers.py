"""Those who call, customers by the trunk and managers from their phones: each a SIPp process of its own."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from ari_app.demo.pbx import keys
from ari_app.demo.pbx.keys import REFUSALS, Keys, Pressed, Talk
from ari_app.demo.pbx.sipp import Sipp

_REFUSAL = """\
  <recv response="{code}" response_txn="invite" optional="global" next="2">
    <action>
      <ereg regexp=".*" search_in="hdr" header="Reason:" assign_to="reason"/>
      <log message="final [call_id] {code} [$reason] "/>
    </action>
  </recv>"""


@dataclass
class Customer(Keys):
    """Somebody who calls as soon as the async context is entered; leaving it ends the call.

    Times are seconds since the INVITE.
    """

    number: str
    """Whose number is shown, a manager's extension; `anonymous` for one who withholds it."""
    called: str
    port: int
    folder: Path
    """Where its files may be during the call."""
    asterisk_port: int
    app: str | None = None
    """The Stasis application that shall get the call; None: the dialplan's own."""
    name: str = ""
    talks: float | None = None
    """Seconds after the answer until the customer hangs up; None: waits for the other side."""
    gives_up_after: float | None = None
    """Seconds after the INVITE until the customer stops waiting for an answer."""
    who: Literal["customer", "manager"] = "customer"
    asserted: str = ""
    """The number by which the trunk knows one who withholds it (P-Asserted-Identity)."""

    provisional: list[tuple[int, float]] = field(default_factory=list)
    """The 180s and 183s that came, each with its time."""
    status: int | None = None
    """The final status: 200, 486, 603, ...; 487 after giving up."""
    answered_after: float | None = None
    ended_after: float | None = None
    ended_by: Literal["customer", "manager", "other side"] | None = None
    """The side that ended the call, or the waiting."""
    reason: str = ""
    """The Reason header that came with the end, such as `Q.850;cause=17`."""
    over: bool = False
    pressed: Pressed = field(default_factory=Pressed)
    """What was done with the phone's keys."""
    id: str = field(default_factory=lambda: f"lab-{secrets.token_hex(8)}")
    """The Call-ID, and the tag."""
    far_tag: str = ""

    async def __aenter__(self) -> Self:
        self._leaves = self._gave_up = False
        self._began = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._sipp = Sipp(self.port, self.folder, self._happening)
        arguments = ["-m", "1", "-r", "1000", "-cid_str", self.id, f"127.0.0.1:{self.asterisk_port}"]
        try:
            await self._sipp.start("customer", self._scenario(), arguments)
            await self.until(lambda: self._began > 0)
        except BaseException:
            await self._sipp.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for timer in self._timers:
            timer.cancel()
        try:
            if not self.over and self._sipp.running:
                self.hang_up()
                await self.ended(timeout=2.0)
        except TimeoutError:
            if kind is None:
                raise
        finally:
            await self._sipp.kill()

    async def ringing(self) -> None:
        """Wait until the customer hears ringing (180) or early media (183)."""
        await self.until(lambda: bool(self.provisional))

    async def answered(self) -> None:
        """Wait for the answer; an end without one raises `NotAnswered`."""
        await self.until(lambda: self.status is not None)
        if self.status != 200:
            raise NotAnswered(f"{self.called} answered {self.status} to {self.number}")

    async def ended(self, timeout: float = 60.0) -> None:
        """Wait until the call is over, however it ended."""
        await self.until(lambda: self.over, timeout)

    async def until(self, predicate: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until `predicate` holds; asked again after everything that happens to this customer."""
        await self._sipp.until(predicate, timeout)

    def hang_up(self) -> None:
        """End the call: BYE when it is answered, CANCEL while it rings."""
        if not self._leaves:
            self._leaves = True
            self._gave_up = self.status is None
            self._sipp.send("HANGUP", self.id)

    async def vanish(self) -> None:
        """Go away without a word."""
        await self._sipp.kill()

    def _talk(self) -> Talk:
        return Talk(self._sipp, self.id, self.pressed, self.hang_up)

    def _scenario(self) -> dict[str, str]:
        withheld = self.number == "anonymous"
        user = "anonymous@anonymous.invalid" if withheld else f"{self.number}@127.0.0.1:{self.port}"
        headers = [f"X-Stasis-App: {self.app}"] if self.app else []
        headers += ["Privacy: id"] if withheld else []
        name = self.name.replace("\\", "").replace('"', '\\"')
        named = f'"{name}" ' if name else ""
        if self.asserted:
            headers.append(f"P-Asserted-Identity: {named}<sip:{self.asserted}@127.0.0.1>")
        near = f"{'' if self.asserted else named}<sip:{user}>"
        uri = f"sip:{self.called}@[remote_ip]:[remote_port]"
        return {
            "to": self.called,
            "from": near,
            "tag": self.id,
            "keys": keys.scenario(uri, f" {near};tag={self.id}", f" <{uri}>;tag=[$to_tag]"),
            "headers": "\n    ".join(headers or ["Subject: lab"]),
            "refusals": "\n".join(_REFUSAL.format(code=code) for code in REFUSALS),
        }

    def _in(self, seconds: float, then: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, then))

    def _give_up(self) -> None:
        if self.status is None:
            self.hang_up()

    def _happening(self, words: list[str]) -> None:
        what, _, rest = (*words, "", "", "")[:3]
        after = time.monotonic() - self._began
        match what:
            case "invite":
                self._began = time.monotonic()
                if self.gives_up_after is not None:
                    self._in(self.gives_up_after, self._give_up)
            case "provisional":
                code, _, self.far_tag = rest.partition(" ")
                self.provisional.append((int(code), after))
            case "final":
                self._final(rest, after)
            case "left":
                self.ended_by, self.reason = "other side", rest.strip()
            case "hungup":
                self.ended_by = self.who
            case "over":
                self.over, self.ended_after = True, after
            case _:
                self.pressed.happened(what, rest)

    def _final(self, rest: str, after: float) -> None:
        if self.status is not None:
            return
        code, _, reason = rest.partition(" ")
        self.reason = reason.strip()
        self.status = int(re.sub(r"\D", "", code))
        if self.status == 200:
            self.answered_after, self.far_tag, self.reason = after, self.reason, ""
            if self.talks is not None:
                self._in(self.talks, self.hang_up)
        else:
            self.ended_by = self.who if self._gave_up else "other side"


class NotAnswered(Exception):
    """The call ended, or was refused, without an answer."""
