"""Tells an account's administrator, by setting, what fails for long and what is back: each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ari_app.accounts.current import Current
from ari_app.calls import AlertEvent, AlertWay, TellAlert
from ari_app.clock import rest, rest_until
from ari_app.errors import StoreUnavailable
from ari_app.store.alerts import AlertStore, Failing, Part

LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class State:
    """How something is: whether it works, None while nobody knows, and what is wrong, in words."""

    works: bool | None
    problem: str = ""


@dataclass
class Alerts:
    """Of one account; `look_at` says how each part is, `told` is called when something is to be told."""

    current: Current
    store: AlertStore
    look_at: Callable[[], Mapping[Part, State]]
    told: Callable[[], None]
    clock: Callable[[], float]
    _failing: dict[Part, Failing] | None = field(default=None, init=False)

    async def run(self) -> None:
        """Look every few seconds, for ever; not while nobody is to be told."""
        while True:
            await rest_until(lambda: bool(self.current.account.alerts.minutes))
            with suppress(StoreUnavailable):
                await self.look()
            await rest(LOOK_SECONDS)

    async def look(self) -> None:
        """Take note of what fails and what is back.

        Raises:
            StoreUnavailable: not all of it could be kept; the next look makes up for it.
        """
        if not self.current.account.alerts.minutes:
            return
        if self._failing is None:
            self._failing = await self.store.load()
        for part, state in self.look_at().items():
            if state.works is False:
                await self._fails(self._failing, part, state.problem)
            elif state.works and part in self._failing:
                await self._works(self._failing, part)

    async def _fails(self, all_failing: dict[Part, Failing], part: Part, problem: str) -> None:
        now = self.clock()
        failing = all_failing.get(part)
        if failing is None:
            failing = Failing(now)
            await self.store.fails(part, failing)
            all_failing[part] = failing
        if not failing.told and now - failing.since >= 60 * self.current.account.alerts.minutes:
            failing = replace(failing, told=True)
            await self.store.fails(part, failing, self._tells(AlertEvent.FAILS, part, failing, problem))
            all_failing[part] = failing
            self.told()

    async def _works(self, all_failing: dict[Part, Failing], part: Part) -> None:
        failing = all_failing[part]
        tells = self._tells(AlertEvent.BACK, part, failing, "") if failing.told else []
        await self.store.works(part, failing, tells)
        del all_failing[part]
        if tells:
            self.told()

    def _tells(self, event: AlertEvent, part: Part, failing: Failing, problem: str) -> list[TellAlert]:
        """Give what is told, by each way that there is; a dead CRM isn't told that it is dead."""
        account = self.current.account
        ways = [(AlertWay.MAIL, to) for to in self.current.mail.alerts]
        if account.webhook.url is not None:
            ways.append((AlertWay.WEBHOOK, ""))
        if account.alerts.group and part is not Part.CRM:
            ways.append((AlertWay.CRM, ""))
        about = (event.value, part.value)
        return [TellAlert(self.clock(), *about, way.value, failing.since, problem, to) for way, to in ways]
