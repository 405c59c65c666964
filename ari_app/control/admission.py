"""Admission: which new callers become calls of ours, and where those go on in the dialplan who don't."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

import structlog

from ari_app import figures
from ari_app.accounts.dialplan_names import AWAY_LABEL, without_us_context
from ari_app.asterisk.errors import PbxError, PbxRefused
from ari_app.asterisk.events import NewCaller, Trial
from ari_app.asterisk.pbx import Pbx
from ari_app.calls import LONGEST_INTERNAL, First, Outside, is_withheld, tellable
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.control.live_call import Desk, LiveCall
from ari_app.control.trials import Trials

log = structlog.get_logger(__name__)

FULL_SAID_SECONDS = 60.0
DIALLED = re.compile(r"\+?[0-9*#]{1,32}")
"""What a telephone may dial."""


class Around(Protocol):
    """What it needs around it: its line."""

    desk: Desk
    pbx: Pbx
    clock: Callable[[], float]
    live: dict[str, LiveCall]
    trials: Trials

    @property
    def full(self) -> str | None:
        """Why no further call is taken."""

    def begin(self, first: First, call_id: str | None = None) -> str:
        """Begin a call, and give its id."""

    def beside(self, request: Coroutine[Any, Any, Any]) -> None:
        """Let the PBX carry something out of no call of ours."""

    async def remove(self, order: o.HangUp | o.CloseBridge) -> None:
        """Remove what is of a call that is over."""


class Admission:
    """Lets callers in, or on."""

    def __init__(self, line: Around) -> None:
        self._line = line
        self._desk = line.desk
        self._pbx = line.pbx
        self._log = log.bind(account=line.desk.account)
        self.turned_away = 0
        """How many callers went on in the dialplan because there was no room for their calls."""
        self._full_said_at = float("-inf")

    def arrived(self, caller: NewCaller, at: float) -> None:
        """Take a new caller, or let them go on."""
        trial = self._pbx.ids.trial_of(caller.channel)
        if trial is not None:
            self._try_out(trial, caller, at)
            return
        if (
            self._line.full is not None
            and caller.arguments[0:1] in (("incoming",), ("outgoing",))
            and len(caller.arguments) > 1
        ):
            self._turn_away(caller)
            return
        match caller.arguments:
            case ("incoming", *rest):
                called, presentation = (*rest, "", "")[:2]
                shown = "" if is_withheld(presentation) else caller.number
                number, external = tellable(self._desk.normal_form(shown)), self._desk.normal_form(called)
                self._line.begin(h.CallArrived(at, caller.channel, number, external))
            case ("outgoing", exten, *_):
                self._let_out(caller, exten, at)
            case _:
                self._log.warning(
                    "a call came with arguments that are not known: expected Stasis(APP,incoming,NUMBER) or "
                    "Stasis(APP,outgoing,NUMBER)",
                    arguments=caller.arguments,
                )
                self._send_on(caller.channel)

    def _try_out(self, trial: Trial, caller: NewCaller, at: float) -> None:
        """Take a trial's call, or the half of it that stands for the customer: that one was answered."""
        line = self._line
        if not trial.code:
            line.beside(line.trials.let_hear(trial.customer))
        elif trial.call in line.live or not self._desk.is_extension(trial.code) or line.full is not None:
            line.beside(line.remove(o.HangUp(caller.channel)))
        else:
            number, name = self._desk.normal_form(caller.number), caller.shown or None
            first = h.CallArrived(at, caller.channel, number, None, trial=trial.code, name=name)
            line.begin(first, trial.call)
            line.trials.came(trial.call)

    def _turn_away(self, caller: NewCaller) -> None:
        """Let a caller go on in the dialplan, as if we weren't there."""
        self.turned_away += 1
        figures.TURNED_AWAY.labels(self._desk.account).inc()
        if self._line.clock() - self._full_said_at >= FULL_SAID_SECONDS:
            self._full_said_at = self._line.clock()
            self._log.error(
                "callers go on in the dialplan: there is no room for more calls",
                why=self._line.full,
                turned_away=self.turned_away,
            )
        self.let_pass(caller)

    def let_pass(self, caller: NewCaller) -> None:
        """Let a caller go on where the dialplan sends them while we are away."""
        if caller.arguments[0] == "outgoing":
            self._send_on(caller.channel, self._desk.outside(caller.arguments[1]))
        else:
            self._line.beside(self._send_on_without_us(caller.channel))

    async def _send_on_without_us(self, channel: str) -> None:
        """Send a caller where the dialplan sends them while we are away: after Stasis() it would hang up."""
        app = self._pbx.target.stasis_app
        ways: tuple[dict[str, str | int], ...] = (
            {"label": AWAY_LABEL},
            {"context": without_us_context(app), "extension": "s", "priority": 1},
            {},
        )
        with suppress(PbxError):
            for way in ways:
                if "context" in way and not await self._dialplan_has(channel, f"{way['context']},s,1"):
                    continue
                with suppress(PbxRefused):
                    await self._pbx.ari("channels", "continueInDialplan", channelId=channel, **way)
                    return

    async def _dialplan_has(self, channel: str, place: str) -> bool:
        try:
            variable = f"DIALPLAN_EXISTS({place})"
            said = await self._pbx.ari("channels", "getChannelVar", channelId=channel, variable=variable)
        except PbxRefused:
            return False
        return bool(said) and said.get("value") == "1"

    def _let_out(self, caller: NewCaller, exten: str, at: float) -> None:
        """Take a call that a manager's phone makes. All else that goes out passes untouched."""
        outside = self._desk.outside(exten)
        code = self._pbx.extensions.direct_code_of(caller.name, caller.number)
        short = len(exten) <= LONGEST_INTERNAL or self._desk.is_extension(exten)
        if short or caller.name.startswith("Local/") or not DIALLED.fullmatch(exten):
            self._send_on(caller.channel, outside)
            return
        number = tellable(self._desk.number_of(exten))
        self._line.begin(h.CallDialled(at, caller.channel, code, number, None, outside))

    def _send_on(self, channel: str, place: Outside | None = None) -> None:
        """Let a channel that is nothing to us go on in the dialplan, where it was or at another place."""
        where: dict[str, str | int] = {}
        if place is not None:
            where = {"context": place.context, "extension": place.number, "priority": place.priority}
        self._line.beside(self._pbx.ari("channels", "continueInDialplan", channelId=channel, **where))
