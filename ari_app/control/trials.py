"""Trials: an administrator has an extension rung as a customer's call would ring it.

The PBX is asked for a Local channel into the context that hands customers' calls over. One half of it comes
to us by the shop's own dialplan, as a customer's call does, and becomes a call (`Call.trial`); the other half
stands for the customer's telephone, in which a few gentle notes are heard. What they are is in their names
(`Ids.trial_of`), so any copy of the service knows a trial when it sees one, and nobody else can make one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Protocol

from ari_app.accounts.dialplan_names import incoming_context
from ari_app.asterisk.errors import PbxError, PbxRefused, PbxUnknown
from ari_app.asterisk.events import Trial
from ari_app.asterisk.pbx import Pbx
from ari_app.calls import TRIAL_RING_SECONDS, Call, clean_name

COMES_SECONDS = 5.0
"""How long the PBX may take to bring the call to us once it has taken the order."""
MARGIN_SECONDS = 15.0
"""The PBX's own limit on ringing comes this much after ours."""
NOTES = "tone:523/250|659/250|784/500|0/2000"
"""What is heard of the customer: three notes, again and again, which every Asterisk makes without a file."""


class WhyNot(StrEnum):
    """Why a trial doesn't begin."""

    AWAY = "away"
    """The PBX isn't connected."""
    GOES_ON = "goes on"
    """Another one goes on."""
    FULL = "full"
    """There is no room for another call."""
    NO_DIALPLAN = "no dialplan"
    """The PBX hasn't the context that hands customers' calls over."""
    REFUSED = "refused"
    """The PBX says no."""
    NEVER_CAME = "never came"
    """The PBX took the order, but its dialplan brought no call to us."""


class NotTried(Exception):
    """A trial doesn't begin; `detail` is what the PBX says."""

    def __init__(self, why: WhyNot, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why.value)
        self.why = why
        self.detail = detail


class Around(Protocol):
    """What trials need around them: their line."""

    pbx: Pbx
    listening: bool

    @property
    def calls(self) -> tuple[Call, ...]:
        """The live calls."""

    @property
    def full(self) -> str | None:
        """Why no further call is taken."""


class Trials:
    """The trials of one line."""

    def __init__(self, line: Around) -> None:
        self._line = line
        self._asked: dict[str, asyncio.Future[None]] = {}
        """The calls that are awaited: done when they have come."""

    @property
    def going_on(self) -> Call | None:
        """The trial that goes on, if one does."""
        return next(
            (call for call in self._line.calls if call.trial is not None and call.ending is None), None
        )

    def came(self, call: str) -> None:
        """Take note that the call of a trial is here."""
        asked = self._asked.get(call)
        if asked is not None and not asked.done():
            asked.set_result(None)

    async def begin(self, code: str, number: str | None, name: str) -> str:
        """Have an extension rung, and give the call's id as soon as the call is here.

        `number` is whose call it is to be, in E.164, and `name` what the telephone shows unless the CRM knows
        the number.

        Raises:
            NotTried: nobody is rung; `WhyNot` says why.
        """
        if self._asked or self.going_on is not None:
            raise NotTried(WhyNot.GOES_ON)
        if not self._line.listening:  # the PBX would send the call on without us
            raise NotTried(WhyNot.AWAY, self._line.pbx.problem or "")
        if self._line.full is not None:
            raise NotTried(WhyNot.FULL)
        trial = self._line.pbx.ids.new_trial(code)
        asked = self._asked[trial.call] = asyncio.get_running_loop().create_future()
        try:
            await place(self._line.pbx, trial, number, name)
            async with asyncio.timeout(COMES_SECONDS):
                await asked
        except TimeoutError:
            raise NotTried(WhyNot.NEVER_CAME) from None
        finally:
            del self._asked[trial.call]
        return trial.call

    async def let_hear(self, customer: str) -> None:
        """Let the telephone hear the customer, who has been answered."""
        await self._line.pbx.ari("channels", "play", channelId=customer, media=NOTES)


async def place(pbx: Pbx, trial: Trial, number: str | None, name: str) -> None:
    """Have the PBX bring the call of a trial to whoever of us listens to it; `begin` says what the rest is.

    Raises:
        NotTried: the PBX doesn't.
    """
    context = incoming_context(pbx.target.stasis_app)
    try:
        if not await pbx.has_place(context, "s"):
            raise NotTried(WhyNot.NO_DIALPLAN, context)
        with suppress(PbxUnknown):  # whether it was done shows when the call comes
            await pbx.ari(
                "channels",
                "originateWithId",
                channelId=trial.customer,
                otherChannelId=trial.caller,
                endpoint=f"Local/s@{context}/n",
                app=pbx.target.stasis_app,
                appArgs="trial",
                callerId=f'"{clean_name(name) or ""}" <{number or ""}>',
                timeout=int(TRIAL_RING_SECONDS + MARGIN_SECONDS),
            )
    except PbxRefused as refusal:
        raise NotTried(WhyNot.REFUSED, str(refusal)) from refusal
    except PbxError as error:
        raise NotTried(WhyNot.AWAY, str(error)) from error
