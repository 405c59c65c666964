"""What people do with the keys of a phone that talks: hold, press digits, hand the call over to another."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Protocol
from urllib.parse import quote

from ari_app.demo.pbx.sipp import Sipp

REFUSALS = (
    400, 401, 403, 404, 405, 407, 408, 410, 415, 420, 421, 423, 480, 481, 482, 483, 484, 485, 486, 487, 488,
    491, 493, 500, 501, 502, 503, 504, 505, 513, 600, 603, 604, 606,
)  # fmt: skip
_REFUSAL = """\
  <recv response="{code}" response_txn="refer" optional="global" next="10">
    <action><log message="referred [call_id] {code}"/></action>
  </recv>"""


class Consultation(Protocol):
    """A second call, in which somebody is asked whether they take the first one."""

    called: str
    id: str
    """Its Call-ID, and our tag."""
    far_tag: str
    """Asterisk's tag."""


@dataclass(slots=True)
class Pressed:
    """What was done with the keys in one call."""

    on_hold: bool = False
    digits: int = 0
    """How many of the pressed digits Asterisk has confirmed."""
    transfer: int | None = None
    """What became of the transfer: 200 when Asterisk has handed the call over, else why it didn't."""

    def happened(self, what: str, rest: str) -> None:
        """Take note of a line that `scenarios/keys.xml` logs."""
        match what:
            case "held":
                self.on_hold = rest == "sendonly"
            case "pressed":
                self.digits += 1
            case "referred" if rest != "202":
                self.transfer = int(rest)
            case "notified" if rest.startswith("terminated"):
                self.transfer = int(rest.split()[-1])


@dataclass(frozen=True, slots=True)
class Talk:
    """One call that talks."""

    sipp: Sipp
    id: str
    pressed: Pressed
    leave: Callable[[], None]
    """Hangs up."""


class Keys:
    """The keys of a phone. They serve its one call that talks."""

    def _talk(self) -> Talk:
        raise NotImplementedError

    async def hold(self) -> None:
        """Put the other side on hold; returns when Asterisk has agreed."""
        await self._hold("sendonly")

    async def resume(self) -> None:
        """Talk again after `hold`."""
        await self._hold("sendrecv")

    async def press(self, digits: str) -> None:
        """Press digits, `*` and `#` one after the other."""
        talk = self._talk()
        for digit in digits:
            confirmed = talk.pressed.digits
            talk.sipp.send("PRESS", talk.id, digit)
            await talk.sipp.until(lambda before=confirmed: talk.pressed.digits > before)  # type: ignore[misc]

    async def transfer(self, to: str, *, stays: bool = False) -> int:
        """Hand the call over to `to` without asking there first (REFER).

        Returns 200 when Asterisk has handed it over, whether `to` answers or not, else the refusal.
        The phone then hangs up, as phones do, unless it `stays`.
        """
        return await self._transfer(f"<sip:{to}@127.0.0.1>", stays)

    async def transfer_to(self, consultation: Consultation, *, stays: bool = False) -> int:
        """Hand the call over to the person of the consultation, answered or still ringing (REFER, Replaces).

        Returns as `transfer` does.
        """
        tags = f"to-tag={consultation.far_tag};from-tag={consultation.id}"
        replaces = quote(f"{consultation.id};{tags}", safe="")
        return await self._transfer(f"<sip:{consultation.called}@127.0.0.1?Replaces={replaces}>", stays)

    async def _hold(self, direction: str) -> None:
        talk = self._talk()
        talk.sipp.send("HOLD", talk.id, direction)
        await talk.sipp.until(lambda: talk.pressed.on_hold == (direction == "sendonly"))

    async def _transfer(self, target: str, stays: bool) -> int:
        talk = self._talk()
        talk.pressed.transfer = None
        talk.sipp.send("TRANSFER", talk.id, target)
        await talk.sipp.until(lambda: talk.pressed.transfer is not None)
        assert talk.pressed.transfer is not None
        if talk.pressed.transfer == 200 and not stays:
            talk.leave()
        return talk.pressed.transfer


def scenario(target: str, near: str, far: str) -> str:
    """Return the steps to be put into a scenario: where its requests go, its From and its To."""
    refusals = "\n".join(_REFUSAL.format(code=code) for code in REFUSALS)
    received = _filled("keys-received.xml", {"refusals": refusals})
    return _filled("keys.xml", {"target": target, "near": near, "far": far, "received": received})


def _filled(name: str, values: Mapping[str, str]) -> str:
    text = resources.files(__package__).joinpath("scenarios", name).read_text()
    return re.sub(r"@([a-z]+)@", lambda found: values[found[1]], text)
