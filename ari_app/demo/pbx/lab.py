"""The lab that tests and the demo use: one Asterisk, phones for its extensions, customers who call."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.load import Load, LoadResult
from ari_app.demo.pbx.phones import Behaviour, Phone

EMERGENCY = "112"
"""Dialled by a phone it leaves through the trunk, so nobody gets it as an extension."""


class Lab:
    """Hands out the extensions, queues, phones and callers of one running Asterisk.

    `named` are extensions that its dialplan rings by name: nobody gets them.
    """

    def __init__(self, asterisk: Asterisk, named: Sequence[str] = ()) -> None:
        self.asterisk = asterisk
        kept = (EMERGENCY, *named)
        self._extensions = itertools.cycle(phone for phone in asterisk.phones if phone not in kept)
        self._twins = itertools.cycle(asterisk.twins)
        self._queues = list(asterisk.queues)

    def extensions(self, count: int) -> list[str]:
        """Return extensions that nobody else has got: the one that was given out longest ago comes again."""
        return [next(self._extensions) for _ in range(count)]

    def twin(self) -> str:
        """Return an extension with two telephones, the one that was given out longest ago."""
        return next(self._twins)

    def queue(self, kind: str = "q") -> str:
        """Return a queue that nobody else has got.

        `q` rings all, `linear` rings in turn, `strict` refuses callers when nobody can be rung.
        """
        name = next(queue for queue in self._queues if queue.rstrip("0123456789") == kind)
        self._queues.remove(name)
        return name

    async def bridged(self, extension: str) -> None:
        """Wait until the PBX has joined a phone's call with another; before that it can't be transferred."""
        async with asyncio.timeout(10):
            while not any(  # noqa: ASYNC110 - looking again: the timeout decides
                _is_bridged(line, extension) for line in await self.asterisk.channels()
            ):
                await asyncio.sleep(0.01)  # the lab hears no events of the PBX

    def phone(self, extension: str, behaviour: Behaviour, *, sound: bool = True, which: int = 0) -> Phone:
        """Return the phone of `extension`, to be entered as an async context; `which` of a twin's two."""
        twins = self.asterisk.twins
        port = twins[extension][which] if extension in twins else self.asterisk.phones[extension]
        return Phone(extension, port, behaviour, self.asterisk.folder, sound)

    def customer_phone(self, behaviour: Behaviour) -> Phone:
        """Return the phone of every customer that is called through the trunk."""
        return Phone("trunk", self.asterisk.ports.trunk, behaviour, self.asterisk.folder)

    async def load(
        self,
        rate: int,
        seconds: float,
        called: Sequence[str],
        *,
        talks: float = 2.0,
        app: str | None = None,
        sound: bool = False,
    ) -> LoadResult:
        """Place `rate` calls a second for `seconds`, to `called` in turn; returns after the last one.

        With `sound` the customers send some while they talk.
        """
        ports = self.asterisk.ports
        return await Load(rate, seconds, called, talks, app, sound).run(
            ports.caller(), ports.sip, self.asterisk.folder
        )

    def call(
        self,
        number: str,
        called: str,
        *,
        app: str | None = None,
        name: str = "",
        talks: float | None = None,
        gives_up_after: float | None = None,
        asserted: str = "",
    ) -> Customer:
        """Return a customer at `number` who calls `called` when entered as an async context."""
        ports, folder = self.asterisk.ports, self.asterisk.folder
        place = (number, called, ports.caller(), folder, ports.sip)
        return Customer(*place, app, name, talks, gives_up_after, asserted=asserted)

    def dial(
        self,
        extension: str,
        number: str,
        *,
        app: str | None = None,
        talks: float | None = None,
        gives_up_after: float | None = None,
    ) -> Customer:
        """Return a manager who dials `number` from the phone of `extension` when the context is entered."""
        manager = self.call(extension, number, app=app, talks=talks, gives_up_after=gives_up_after)
        manager.who = "manager"
        return manager


def _is_bridged(line: str, extension: str) -> bool:
    """Read a line of `Asterisk.channels()`, which has the bridge last but one."""
    return line.startswith(f"PJSIP/{extension}-") and bool(line.split("!")[-2])
