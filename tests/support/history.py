"""Calls as an earlier version left them in Redis, from `tests/history`: one file a kind of call.

A file says in words what the call was, and holds what was stored of it: its state at each stage that it came
to while it was live, with how many lines its journal had then, its state when it was over, all lines of its
journal, and the entries of the outbox. They were written by real calls; only names of extensions and of the
account were changed. A file is never written anew when the code changes: what is in it is what shops have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from ari_app.calls.call import Call, Way
from ari_app.calls.stored import load_call
from ari_app.store.keys import Keys

_FOLDER = Path(__file__).parent.parent / "history"


@dataclass(frozen=True)
class Moment:
    """A live call's state as it was stored, with the lines that its journal had."""

    state: bytes
    lines: tuple[bytes, ...]

    @property
    def call(self) -> Call:
        """The state, read."""
        return load_call(self.state)


@dataclass(frozen=True)
class History:
    """What was stored of one call."""

    name: str
    what: str
    live: dict[str, Moment]
    """By stage, in the order in which the call came to them."""
    ended: bytes
    journal: tuple[bytes, ...]
    outbox: tuple[tuple[str, bytes], ...]
    """The call's id, and what the CRM is to be told."""

    @classmethod
    def read(cls, path: Path) -> History:
        """Read a file."""
        data: dict[str, Any] = orjson.loads(path.read_bytes())
        journal = tuple(map(orjson.dumps, data["journal"]))
        return cls(
            name=path.stem,
            what=data["what"],
            live={
                stage: Moment(orjson.dumps(moment["state"]), journal[: moment["lines"]])
                for stage, moment in data["live"].items()
            },
            ended=orjson.dumps(data["ended"]),
            journal=journal,
            outbox=tuple((entry["call"], orjson.dumps(entry["tell"])) for entry in data["outbox"]),
        )

    @property
    def call(self) -> Call:
        """The call as it was when it was over."""
        return load_call(self.ended)


HISTORY = tuple(History.read(path) for path in sorted(_FOLDER.glob("*.json")))
MOMENTS = {f"{one.name}-{stage}": moment for one in HISTORY for stage, moment in one.live.items()}
"""Every state of a live call."""


async def put_live(redis: Redis, account: str, moments: Iterable[Moment]) -> None:
    """Put live calls into Redis as they lay there."""
    keys = Keys(account)
    for moment in moments:
        call = moment.call
        await redis.set(keys.call(call.id), moment.state)
        await redis.rpush(keys.journal(call.id), *moment.lines)
        await redis.sadd(keys.reported if call.way is Way.REPORTED else keys.live, call.id)


async def put_ended(redis: Redis, account: str, history: History) -> None:
    """Put a call that is over into Redis as it lay there."""
    keys, call = Keys(account), history.call
    await redis.set(keys.call(call.id), history.ended)
    await redis.rpush(keys.journal(call.id), *history.journal)
    await redis.zadd(keys.ended, {call.id: call.started_at})
    if call.number is not None:
        await redis.zadd(keys.number(call.number), {call.id: call.started_at})


async def put_outbox(redis: Redis, account: str, history: History) -> None:
    """Put what the CRM was still to be told into Redis as it lay there."""
    for call_id, tell in history.outbox:
        await redis.xadd(Keys(account).outbox, {"call": call_id, "tell": tell})
