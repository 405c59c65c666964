"""Two installations of the service, each with its own Redis, on one PBX and application don't fight.

Who holds the PBX leaves a mark there, a global variable, and renews it; another installation sees it and
stays away, until the mark is old. How old it is says the PBX's own clock, which is in the mark, so the clocks
of the installations may differ.

The copies of one installation see by it, too, who of them took the account last: a copy that was cut off from
Redis, and reaches the PBX again, takes it back from nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ari_app.asterisk.ari import AriTransport
from ari_app.asterisk.errors import PbxLost, PbxRefused, PbxTaken
from ari_app.calls import Way

FRESH_SECONDS = 30
_VARIABLE = "/ari/asterisk/variable"


@dataclass(frozen=True, slots=True)
class Holder:
    """An installation that has left its mark: its name, where people reach it, the age of the mark (s).

    `epoch` counts how often one of its copies had taken the account by then, 0 where the mark doesn't tell.
    """

    name: str
    address: str
    age: int
    epoch: int = 0

    @property
    def fresh(self) -> bool:
        """Whether it holds the PBX still; a clock of the PBX that was set says nothing."""
        return abs(self.age) < FRESH_SECONDS


def variable_of(stasis_app: str) -> str:
    """Name the global variable that holds the mark for an application."""
    return f"ARI_APP_HOLDER_{stasis_app}"


def read_mark(mark: str, epoch: str) -> Holder | None:
    """Read a mark; None when there is none. `epoch` is the PBX's own time, as its variable EPOCH gives it."""
    name, _, rest = mark.partition(" ")
    at, _, rest = rest.partition(" ")
    address, _, times = rest.partition(" ")
    if not (at.isdecimal() and epoch.isdecimal()):
        return None
    return Holder(name, address, int(epoch) - int(at), int(times) if times.isdecimal() else 0)


class Mark:
    """The mark of one installation (`name`) on one Stasis application; `address` is for people.

    `epoch` is that of the lease by which we hold the account; 0 for who holds none.
    """

    def __init__(self, stasis_app: str, name: str, address: str = "", epoch: int = 0) -> None:
        self._variable = variable_of(stasis_app)
        self._app = stasis_app
        self._name = name
        self._address = address
        self._epoch = epoch

    async def holder(self, transport: AriTransport) -> Holder | None:
        """Say whose mark is on the PBX, None when there is none.

        Raises:
            PbxError: the PBX does not answer, or not to us.
        """
        return (await self._look(transport))[0]

    async def put(self, transport: AriTransport, *, force: bool = False, now: float | None = None) -> None:
        """Put our mark there, or renew it; with `force` also in the place of another's.

        `now` is what the PBX's clock has just shown; it is asked when that isn't known. A PBX that can't be
        asked for variables is taken without a mark.

        Raises:
            PbxTaken: the mark of another installation is there, and fresh.
            PbxLost: that of a copy is there, and fresh, which has taken the account after us.
            PbxError: the PBX does not answer, or not to us.
        """
        try:
            found, at = await self._look(transport, now)
            if found is not None and found.name != self._name and found.fresh and not force:
                where = f" ({found.address})" if found.address else ""
                raise PbxTaken(
                    Way.ARI,
                    f"another installation{where} holds the application {self._app} of this PBX; "
                    "to take it from there: ari-app account take --force",
                )
            epoch = self._epoch
            if found is not None and found.name == self._name and found.fresh and found.epoch > epoch:
                if epoch:
                    raise PbxLost(Way.ARI, "another copy of the service has taken the account since")
                epoch = found.epoch
            await self._set(transport, f"{self._name} {at} {self._address} {epoch}")
        except PbxRefused:
            return

    async def remove(self, transport: AriTransport) -> None:
        """Remove our mark, if it is ours still.

        Raises:
            PbxError: the PBX does not answer, or not to us.
        """
        found = await self.holder(transport)
        if found is not None and found.name == self._name:
            await self._set(transport, "")

    async def _look(self, transport: AriTransport, now: float | None = None) -> tuple[Holder | None, str]:
        """Give whose mark is there, and what the PBX's clock shows, in whole seconds."""
        if now is not None:
            mark, clock = await self._get(transport, self._variable), str(int(now))
        else:
            wanted = (self._variable, "EPOCH")
            mark, clock = await asyncio.gather(*(self._get(transport, variable) for variable in wanted))
        return read_mark(mark, clock), clock

    async def _get(self, transport: AriTransport, variable: str) -> str:
        reply = await transport.request("GET", _VARIABLE, params={"variable": variable})
        try:
            said = reply.read()
        except ValueError:
            return ""
        return str(said.get("value") or "") if isinstance(said, dict) else ""

    async def _set(self, transport: AriTransport, value: str) -> None:
        await transport.request("POST", _VARIABLE, params={"variable": self._variable, "value": value})
