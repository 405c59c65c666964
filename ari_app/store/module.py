"""What the CRM said of our module, in Redis: it doesn't say it again after a restart of ours."""

from __future__ import annotations

from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import WatchError

from ari_app.accounts.activity import Activity, CrmSettings
from ari_app.store.connection import ask, asking
from ari_app.store.keys import Keys

log = structlog.get_logger(__name__)

Said = TypeVar("Said")

_ACTIVITY = TypeAdapter(Activity)
_SETTINGS = TypeAdapter(CrmSettings)


class ModuleStore:
    """One account's module. Every method may raise `StoreUnavailable`."""

    def __init__(self, redis: Redis, account: str) -> None:
        self._redis = redis
        self._key = Keys(account).module
        self._log = log.bind(account=account)

    async def activity(self) -> Activity:
        """Say whether telephony is switched on."""
        return self._read(await ask(self._redis.hget(self._key, "activity")), _ACTIVITY, Activity())

    async def settings(self) -> CrmSettings:
        """Give the settings that the CRM told."""
        return self._read(await ask(self._redis.hget(self._key, "settings")), _SETTINGS, CrmSettings())

    async def tell(self, active: bool | None, frozen: bool | None, at: float) -> Activity:
        """Keep what the CRM says of the module (None: nothing), and give what came of it."""
        with asking():
            async with self._redis.pipeline(transaction=True) as pipe:
                return await self._switch(pipe, active, frozen, at)

    async def keep_settings(self, settings: CrmSettings) -> None:
        """Keep the settings that the CRM tells."""
        data: Any = _SETTINGS.dump_json(settings)
        await ask(self._redis.hset(self._key, "settings", data))

    async def zone(self) -> ZoneInfo | None:
        """Give the CRM's time zone, as the copy that holds the account has learned it last."""
        kept, settings = await ask(self._redis.hmget(self._key, "zone", "settings"))
        if kept is not None:
            return CrmSettings(timezone=kept.decode()).zone
        return self._read(settings, _SETTINGS, CrmSettings()).zone

    async def keep_zone(self, name: str) -> None:
        """Keep the name of the CRM's time zone, for copies that don't hold the account."""
        await ask(self._redis.hset(self._key, "zone", name))

    async def _switch(self, pipe: Any, active: bool | None, frozen: bool | None, at: float) -> Activity:
        while True:
            await pipe.watch(self._key)
            before = self._read(await pipe.hget(self._key, "activity"), _ACTIVITY, Activity())
            after = before.told(active, frozen, at)
            pipe.multi()
            pipe.hset(self._key, "activity", _ACTIVITY.dump_json(after))
            try:
                await pipe.execute()
            except WatchError:
                continue
            return after

    def _read(self, data: Any, kind: TypeAdapter[Said], otherwise: Said) -> Said:
        if data is None:
            return otherwise
        try:
            return kind.validate_json(data)
        except ValidationError:
            self._log.warning("what the CRM said of the module can't be read in Redis")
            return otherwise
