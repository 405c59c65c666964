"""What Redis says of itself, for a person who looks a set-up over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from ari_app.store.connection import ask
from ari_app.store.keys import RUNNING


@dataclass(frozen=True, slots=True)
class Keeping:
    """How well Redis keeps what it is given. A value that it doesn't tell is None."""

    appendonly: bool | None
    """Whether it keeps an append-only file."""
    written: bool | None
    """Whether its last write into that file worked."""
    memory_limit: int | None
    """Bytes; 0 is no limit."""
    policy: str | None
    """What it does at that limit: ``noeviction`` refuses, all others forget."""
    used: int | None
    """Bytes."""


async def keeping(redis: Redis) -> Keeping:
    """Ask Redis how it keeps what it is given.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    persistence: dict[str, Any] = await ask(redis.info("persistence"))
    memory: dict[str, Any] = await ask(redis.info("memory"))
    written = persistence.get("aof_last_write_status")
    return Keeping(
        appendonly=bool(persistence["aof_enabled"]) if "aof_enabled" in persistence else None,
        written=written == "ok" if written is not None else None,
        memory_limit=memory.get("maxmemory"),
        policy=memory.get("maxmemory_policy"),
        used=memory.get("used_memory"),
    )


def share_taken(found: Keeping) -> float | None:
    """Say how full Redis is, from 0 to 1; None where it has no limit, or doesn't tell."""
    return found.used / found.memory_limit if found.memory_limit and found.used is not None else None


async def held(redis: Redis) -> bool:
    """Tell whether a service works with this Redis.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    return bool(await ask(redis.exists(RUNNING)))
