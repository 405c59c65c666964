"""What a call costs, in things that can be counted: the same number on every machine.

Redis is asked what it was sent (`MONITOR`); requests to the PBX are counted where they are sent, tasks where
the loop makes them. What goes on without calls, such as the renewal of the lease, is left out.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from ari_app.asterisk.ari import AriTransport
from ari_app.store.keys import Keys

_LOOKS = ("XLEN", "SMEMBERS", "MGET", "ZREVRANGE", "ZREVRANGEBYSCORE")
"""By which a test sees whether all is told, and the service what there is, now and then."""
_WITHOUT_CALLS = ("Lease._renew_once", "Mark._get")
_END = "the-end-of-the-count"
_SCRIPTS = ("EVALSHA", "EVAL", "FCALL")
_APP = str(Path(__file__).parents[2] / "ari_app")
_NOT_THE_SERVICE = f"{_APP}/demo"


@dataclass
class Costs:
    """What was counted. `sent` are Redis' commands by name, one answer each; `within` those in scripts."""

    sent: Counter[str] = field(default_factory=Counter)
    within: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    """To the PBX, by what they ask for."""
    tasks: Counter[str] = field(default_factory=Counter)
    """Of asyncio, by what they run."""
    appended: int = 0
    """Bytes that Redis' append-only file has grown by."""

    @property
    def commands(self) -> int:
        """How many commands Redis was sent."""
        return self.sent.total()

    @property
    def transactions(self) -> int:
        """How many of them change several things in one moment."""
        return sum(self.sent[name] for name in (*_SCRIPTS, "EXEC"))

    def a_call(self, calls: int) -> dict[str, float]:
        """Give the figures of one call."""
        figures = {
            "Redis commands": self.commands,
            "Redis transactions": self.transactions,
            "commands within scripts": self.within.total(),
            "bytes appended": self.appended,
            "requests to the PBX": self.requests.total(),
            "tasks": self.tasks.total(),
        }
        return {name: round(number / calls, 1) for name, number in figures.items()}

    @classmethod
    @asynccontextmanager
    async def count(cls, redis: Redis, account: str) -> AsyncIterator[Costs]:
        """Count what is done for the calls of an account, until the context is left."""
        costs = cls()
        loop = asyncio.get_running_loop()
        request = AriTransport.request

        async def counted(transport: AriTransport, method: str, url: str, *more: Any, **how: Any) -> Any:
            if "asterisk/variable" not in url:  # the mark that says whose the PBX is
                costs.requests[f"{method} {_without_ids(url.partition('/ari/')[2])}"] += 1
            return await request(transport, method, url, *more, **how)

        def make(loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> Any:
            made = getattr(getattr(work, "cr_code", None), "co_filename", "")
            name = getattr(work, "__qualname__", "")
            ours = made.startswith(_APP) and not made.startswith(_NOT_THE_SERVICE)
            if ours and name not in _WITHOUT_CALLS:
                costs.tasks[name] += 1
            return asyncio.Task(work, loop=loop, **how)

        ready = asyncio.Event()
        listening = asyncio.create_task(costs._listen(redis, account, ready))
        await ready.wait()
        before = await _appended(redis)
        AriTransport.request = counted  # type: ignore[method-assign,assignment]
        loop.set_task_factory(make)
        try:
            yield costs
        finally:
            loop.set_task_factory(None)
            AriTransport.request = request  # type: ignore[method-assign]
            costs.appended = await _appended(redis) - before
            await redis.echo(_END)
            await listening

    async def _listen(self, redis: Redis, account: str, ready: asyncio.Event) -> None:
        of_calls = _of_calls(account)
        async with redis.monitor() as monitor:
            ready.set()
            async for said in monitor.listen():
                words = said["command"].split(" ")
                name = words[0].upper()
                if name == "ECHO" and words[-1] == _END:
                    return
                if name not in _LOOKS and of_calls(said["command"]):
                    within = said["client_type"] == "lua"
                    (self.within if within else self.sent)[name] += 1


def _of_calls(account: str) -> Callable[[str], bool]:
    keys = Keys(account)
    begins = (
        keys.call(""),
        keys.channel(""),
        keys.number(""),
        keys.outbox,
        keys.live,
        keys.ended,
        keys.watched,
    )
    pattern = re.compile("|".join(re.escape(begin) for begin in begins))
    return lambda command: pattern.search(command) is not None


async def _appended(redis: Redis) -> int:
    return int((await redis.info("persistence"))["aof_current_size"])


def _without_ids(path: str) -> str:
    kind, *rest = path.split("/")
    return "/".join((kind, *(part for part in rest if part.isalpha())))
