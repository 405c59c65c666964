"""The commands of `ari-app`, one file each, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

import typer

from ari_app.accounts.reading import BadAccount
from ari_app.errors import StoreUnavailable
from ari_app.settings import BadSettings, Settings, read_settings
from ari_app.store.accounts import AccountConflict, WrongSecretKey
from ari_app.store.connection import Redis, connect, ping
from ari_app.store.server import private_redis

T = TypeVar("T")

EXPECTED = (BadAccount, BadSettings, StoreUnavailable, AccountConflict, WrongSecretKey)
"""Errors that a person can mend: one sentence, no traceback."""


def fail(text: str) -> NoReturn:
    """End the command with a sentence on the error output."""
    typer.echo(text, err=True)
    raise typer.Exit(1)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; expected errors end it with their sentence."""
    try:
        return asyncio.run(work)
    except EXPECTED as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@asynccontextmanager
async def store(settings: Settings | None = None, *, own: bool = False) -> AsyncIterator[Redis]:
    """Open the Redis that the settings name, or the private one (see `private_redis` for `own`)."""
    settings = settings or read_settings()
    if settings.redis_url is not None:
        redis = connect(settings.redis_url)
        try:
            yield redis
        finally:
            await redis.aclose()
        return
    async with private_redis(settings.data_dir, own=own, megabytes=settings.redis_mb) as url:
        redis = connect(url)
        try:
            await ping(redis)
            yield redis
        finally:
            await redis.aclose()
