"""The CRM's users in Redis, its shops, and what it was told of our extensions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from ari_app.accounts.staff import Person, Synchronisation
from ari_app.store.connection import ask
from ari_app.store.keys import Keys

log = structlog.get_logger(__name__)

Read = TypeVar("Read")

_PERSON: TypeAdapter[Person | None] = TypeAdapter(Person)
_SYNC: TypeAdapter[Synchronisation | None] = TypeAdapter(Synchronisation)
_TEXTS = TypeAdapter(dict[str, str])
_CODES = TypeAdapter(dict[int, str])


Untold: TypeAlias = tuple[bool, str | None]
"""Whether there is something that the CRM wasn't told yet, and what stands for all that it was told last."""
_UNTOLD = ("changes", "told", "digest")


async def untold_of(redis: Redis, accounts: Sequence[str]) -> list[Untold | None]:
    """Say of many accounts at once what `StaffStore.untold` does; None where it can't be read.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    async with redis.pipeline(transaction=False) as pipe:
        for account in accounts:
            pipe.hmget(Keys(account).staff_about, _UNTOLD)
        found = await ask(pipe.execute(raise_on_error=False))
    return [_read_untold(account, one) for account, one in zip(accounts, found, strict=True)]


def _read_untold(account: str, found: Any) -> Untold | None:
    try:
        return _untold(found)
    except (TypeError, ValueError):
        log.warning("what a CRM was told can't be read in Redis", account=account)
        return None


def _untold(found: Sequence[Any]) -> Untold:
    changes, told, digest = found
    return int(changes or 0) > int(told or 0), None if digest is None else digest.decode()


class StaffStore:
    """The staff of one account. Every method may raise `StoreUnavailable`."""

    def __init__(self, redis: Redis, account: str) -> None:
        self._redis = redis
        self._people = Keys(account).staff
        self._about = Keys(account).staff_about
        self._log = log.bind(account=account)

    async def people(self) -> dict[int, Person]:
        """Give everybody who was ever named, by their id."""
        found: dict[Any, Any] = await ask(self._redis.hgetall(self._people))
        people = (self._read(data, _PERSON, None) for data in found.values())
        return {one.id: one for one in people if one is not None}

    async def keep(self, people: Iterable[Person]) -> None:
        """Keep people, who take the place of what was known of them."""
        data: dict[Any, Any] = {str(one.id): _PERSON.dump_json(one) for one in people}
        await ask(self._redis.hset(self._people, mapping=data))

    async def synchronisation(self) -> Synchronisation | None:
        """Say how the last synchronisation goes or went; None when there was none."""
        return self._read(await self._get("sync"), _SYNC, None)

    async def note(self, how: Synchronisation) -> None:
        """Keep how a synchronisation goes."""
        await self._set("sync", _SYNC.dump_json(how))

    async def sites(self) -> dict[str, str]:
        """Give the names of the CRM's shops by their codes, as they were last."""
        return self._read(await self._get("sites"), _TEXTS, {})

    async def keep_sites(self, sites: Mapping[str, str]) -> None:
        """Keep the shops' names."""
        await self._set("sites", _TEXTS.dump_json(dict(sites)))

    # -- what the CRM is told of ours ---------------------------------------------------------------------

    async def told_codes(self) -> dict[int, str]:
        """Give the extensions that the CRM was told last, by the users' ids."""
        return self._read(await self._get("codes"), _CODES, {})

    async def changed(self) -> None:
        """Note that the CRM is to be told anew."""
        await ask(self._redis.hincrby(self._about, "changes", 1))

    async def changes(self) -> int:
        """Give how many changes there were that the CRM is told."""
        return int(await self._get("changes") or 0)

    async def told(self, changes: int, codes: Mapping[int, str], digest: str) -> None:
        """Note that the CRM was told all up to a change; `digest` stands for all of it."""
        data: dict[Any, Any] = {
            "told": str(changes),
            "codes": _CODES.dump_json(dict(codes)),
            "digest": digest,
        }
        await ask(self._redis.hset(self._about, mapping=data))

    async def told_digest(self) -> str | None:
        """Give what stands for all that the CRM was told last; None if it is from before that was noted."""
        return (await self.untold())[1]

    async def to_tell(self) -> bool:
        """Say whether there is something that the CRM wasn't told yet."""
        return (await self.untold())[0]

    async def untold(self) -> Untold:
        """Say what `to_tell` and `told_digest` do, at once."""
        return _untold(await ask(self._redis.hmget(self._about, _UNTOLD)))

    async def _get(self, name: str) -> Any:
        return await ask(self._redis.hget(self._about, name))

    async def _set(self, name: str, data: Any) -> None:
        await ask(self._redis.hset(self._about, name, data))

    def _read(self, data: Any, kind: TypeAdapter[Read], otherwise: Read) -> Read:
        if data is None:
            return otherwise
        try:
            return kind.validate_json(data)
        except ValidationError:
            self._log.warning("what is known of the CRM's users can't be read in Redis")
            return otherwise
