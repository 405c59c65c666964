"""Takes note of what happens in an account beside its calls, for the cabinet's EventLog.

To take a note never waits and never fails: whoever notices something has calls to look after. Notes are
written one after the other, and wait while Redis is away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ari_app.accounts.account import Account
from ari_app.asterisk.pbx_state import PbxState
from ari_app.errors import StoreUnavailable
from ari_app.service.human_pace import MINUTE
from ari_app.store.events import Event, EventStore, What

WAITING = 200
"""So many notes wait for Redis; then the oldest go."""
RETRY_SECONDS = 1.0

_LONGEST = 500
_GOOD = PbxState.CONNECTED
_BAD = (PbxState.UNREACHABLE, PbxState.DENIED, PbxState.REPLACED, PbxState.TAKEN)


class Connection(Protocol):
    """Something that is connected or isn't: ARI, or AJAM."""

    state: PbxState
    problem: str | None


class Messenger(Protocol):
    """What tells the CRM of calls."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it; None when all is well."""
        ...


class Notes:
    """The notes of one account."""

    def __init__(self, store: EventStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[Event] = deque(maxlen=WAITING)
        self._taken: dict[tuple[What, str], float] = {}
        """When what may happen often was last noted."""
        self._more = asyncio.Event()

    def take(self, what: What, **values: str) -> None:
        """Take a note."""
        short = {name: value[:_LONGEST] for name, value in values.items()}
        self._waiting.append(Event(self._clock(), what, short))
        self._more.set()

    def take_sometimes(self, what: What, about: str = "", **values: str) -> bool:
        """Take a note of what may happen often: at most once a minute; tell whether it is taken."""
        now = self._clock()
        if now - self._taken.get((what, about), 0.0) < MINUTE:
            return False
        self._taken[what, about] = now
        self.take(what, **values)
        return True

    def take_change(self, before: Account, after: Account) -> None:
        """Note which sections of an account's settings have changed; never what they hold."""
        changed = [name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)]
        if changed:
            self.take(What.SETTINGS_CHANGED, sections=",".join(changed))

    async def run(self) -> None:
        """Write what comes, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                event = self._waiting[0]
                try:
                    await self._store.add(event)
                except StoreUnavailable:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                if self._waiting and self._waiting[0] is event:
                    self._waiting.popleft()


@dataclass(slots=True)
class TroubleWatch:
    """Looks at the connections of an account, and notes when one is lost or found."""

    notes: Notes
    ari: Connection
    ajam: Connection | None
    delivery: Messenger
    _found: tuple[PbxState, PbxState | None, bool] | None = None
    _ari_up: bool | None = None
    _ajam_up: bool | None = None
    _crm_well: bool = True

    def look(self) -> None:
        """Note what has changed since the last look: it is looked each second, and seldom anything has."""
        ajam = self.ajam.state if self.ajam is not None else None
        found = (self.ari.state, ajam, self.delivery.problem is None)
        if found == self._found:
            return
        self._found = found
        for what, problem in (*self._of_pbx(), *self._of_crm()):
            self.notes.take(what, **({"problem": problem} if problem else {}))

    def _of_pbx(self) -> Iterator[tuple[What, str | None]]:
        up = is_up(self.ari)
        if up is not None and up is not self._ari_up:
            self._ari_up = up
            yield (What.PBX_CONNECTED, None) if up else (What.PBX_LOST, self.ari.problem)
        up = is_up(self.ajam) if self.ajam is not None else None
        if self.ajam is not None and up is not None and up is not self._ajam_up:
            self._ajam_up = up
            yield (What.AJAM_CONNECTED, None) if up else (What.AJAM_LOST, self.ajam.problem)

    def _of_crm(self) -> Iterator[tuple[What, str | None]]:
        problem = self.delivery.problem
        if (problem is None) is not self._crm_well:
            self._crm_well = problem is None
            yield (What.CRM_BACK, None) if problem is None else (What.CRM_AWAY, problem)


def is_up(connection: Connection) -> bool | None:
    """Tell whether it is up; None while it isn't known."""
    return True if connection.state is _GOOD else False if connection.state in _BAD else None
