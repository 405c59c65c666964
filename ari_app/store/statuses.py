"""The managers' states in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from ari_app.store.connection import ask
from ari_app.store.keys import Keys

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """A manager's state in the CRM: free, busy, dinner or break, and the moment we heard of it."""

    status: str
    at: float


_STATUS = TypeAdapter(Status)


class StatusStore:
    """The states of one account's managers."""

    def __init__(self, redis: Redis, account: str) -> None:
        self._redis = redis
        self._key = Keys(account).statuses
        self._log = log.bind(account=account)

    async def load(self) -> dict[str, Status]:
        """Give each extension's state; one that can't be read is left out.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        kept: dict[Any, Any] = await ask(self._redis.hgetall(self._key))
        found = {}
        for code, data in kept.items():
            try:
                found[code.decode()] = _STATUS.validate_json(data)
            except (ValidationError, UnicodeDecodeError):
                self._log.warning("a manager's state in Redis can't be read", extension=repr(code))
        return found

    async def keep(self, statuses: Mapping[str, Status]) -> None:
        """Keep the states of some extensions.

        Raises:
            StoreUnavailable: nothing was kept, or it is not known whether it was.
        """
        data: dict[Any, Any] = {code: _STATUS.dump_json(status) for code, status in statuses.items()}
        await ask(self._redis.hset(self._key, mapping=data))
