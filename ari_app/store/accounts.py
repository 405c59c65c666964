"""Accounts in Redis: what a person may read as JSON, their secrets encrypted."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import orjson
import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import WatchError

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.accounts.sections import SECRETS
from ari_app.accounts.stored import stored_account
from ari_app.keyring import KeyRing
from ari_app.store.connection import ask, asking
from ari_app.store.keys import ACCOUNTS, REMOVED, REVISION, Keys

log = structlog.get_logger(__name__)

AnAccount = TypeVar("AnAccount", bound=RegisteredAccount)


class AccountConflict(Exception):
    """The account can't be there beside the others, or can't go now; the text says why."""


class WrongSecretKey(Exception):
    """The secret key is not the one with which the accounts were encrypted."""


class Accounts:
    """All accounts. Every method may raise `StoreUnavailable`."""

    def __init__(self, redis: Redis, secret_key: KeyRing | str) -> None:
        self._redis = redis
        ciphers = [_cipher(key) for key in KeyRing.of(secret_key).all]
        self._present, self._ciphers = ciphers[0], MultiFernet(ciphers)
        self._known: dict[str, tuple[Any, RegisteredAccount | None]] = {}
        """The accounts as they were read last, and from what: to decrypt them all takes long, and a stranger
        who guesses at the address of a cabinet makes us look at all of them."""

    async def apply(self, account: AnAccount, keep_client_id: bool) -> AnAccount:
        """Store an account, new or changed, and give it as it is stored.

        The account at the same CRM is the same account, whatever its name. With `keep_client_id` (the file
        names none) its client_id is kept. So is the secret that opens the cabinet; it is made for an account
        that has none.

        Raises:
            AccountConflict: another account uses the same application of the same PBX, or the same client_id;
                or the CRM has moved from this address.
            WrongSecretKey: the accounts were encrypted with another key.
        """

        async def change(pipe: Any) -> AnAccount:
            others = {other.id: other for other in self._read(await pipe.hgetall(ACCOUNTS))}
            before = _at(account.crm.url, others.values())
            if before is not None:
                del others[before.id]
                name = before.name
            elif account.id in others:
                raise AccountConflict(
                    f"{account.id} has moved to {others[account.id].crm.url}: its crm.url must be this one"
                )
            else:
                name = account.name
            crm = account.crm.model_copy(update={"cabinet_secret": _cabinet_secret(account, before)})
            if before is not None and keep_client_id:
                crm = crm.model_copy(update={"client_id": before.crm.client_id})
            stored = account.model_copy(update={"crm": crm, "name": name})
            self._store(pipe, stored, others)
            return stored

        stored: AnAccount = await self._transaction(change)
        return stored

    async def change(
        self, account_id: str, alter: Callable[[RegisteredAccount], RegisteredAccount]
    ) -> RegisteredAccount | None:
        """Change an account, and give it as it is stored; None when there is none.

        `alter` gets the account as it is stored at this moment, so that nobody's change is lost: it is called
        again when somebody else was faster. What it raises is raised, and nothing is stored then.

        Raises:
            AccountConflict: as `apply` does.
            WrongSecretKey: the accounts were encrypted with another key.
        """

        async def change(pipe: Any) -> RegisteredAccount | None:
            others = {other.id: other for other in self._read(await pipe.hgetall(ACCOUNTS))}
            before = others.pop(account_id, None)
            if before is None:
                pipe.multi()
                return None
            stored = alter(before)
            if stored.id != account_id:
                raise ValueError(f"{account_id} can't become {stored.id}")
            self._store(pipe, stored, others)
            return stored

        stored: RegisteredAccount | None = await self._transaction(change)
        return stored

    def _store(self, pipe: Any, stored: RegisteredAccount, others: Mapping[str, RegisteredAccount]) -> None:
        for other in others.values():
            if other.crm.url == stored.crm.url:
                raise AccountConflict(f"{other.id} is at {other.crm.url} already")
            if other.crm.client_id == stored.crm.client_id:
                raise AccountConflict(
                    f"{other.id} has the same crm.client_id, by which the CRM names an account: "
                    "leave it out of the file, or give this account another one"
                )
            if other.pbx and stored.pbx and other.pbx.identity == stored.pbx.identity:
                raise AccountConflict(
                    f"{other.id} uses the same Stasis application of the same PBX: "
                    "give one of them another pbx.stasis_app"
                )
        pipe.multi()
        pipe.hset(ACCOUNTS, stored.id, self._write(stored))
        pipe.hdel(REMOVED, stored.id)
        pipe.incr(REVISION)

    async def remove(self, account_id: str, force: bool = False) -> bool:
        """Remove an account with its calls; tell whether it was there.

        Raises:
            AccountConflict: it has calls in progress, or (unless `force`) its CRM has not heard everything.
        """

        async def change(pipe: Any) -> bool:
            if not await pipe.hexists(ACCOUNTS, account_id):
                pipe.multi()
                return False
            live = await pipe.scard(Keys(account_id).live)
            if live:
                raise AccountConflict(
                    f"{account_id} has calls in progress ({live}): try again when they have ended"
                )
            untold = 0 if force else await pipe.xlen(Keys(account_id).outbox)
            if untold:
                raise AccountConflict(
                    f"{account_id}: its CRM has not heard everything yet ({untold} messages wait): try again "
                    "when it has, or remove the account with --force and lose them"
                )
            pipe.multi()
            pipe.hdel(ACCOUNTS, account_id)
            pipe.hset(REMOVED, account_id, int(time.time()))
            pipe.unlink(Keys(account_id).tokens)  # at once: they must not open what is made anew here
            pipe.incr(REVISION)
            return True

        removed: bool = await self._transaction(change)
        if removed:
            await self.forget(account_id)
        return removed

    async def forget(self, account_id: str) -> None:
        """Remove all that is kept of a removed account, but its lease: its holder has yet to leave the PBX.

        What that one still writes until then goes when it calls this, too.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        if account_id in await self.removed():
            await self._forget(Keys(account_id).all, but=Keys(account_id).lease)

    async def names(self) -> list[str]:
        """Give the names of all accounts, also of those that can't be read."""
        return sorted(map(_text, await ask(self._redis.hkeys(ACCOUNTS))))

    async def reseal(self, account_id: str) -> bool:
        """Close an account's secrets with the present key; False when they are, or when it is gone.

        Nothing else of it changes, and whoever is at work with it notices nothing.

        Raises:
            WrongSecretKey: none of the keys opens it.
        """

        async def change(pipe: Any) -> bool:
            raw = await pipe.hget(ACCOUNTS, account_id)
            data = orjson.loads(raw) if raw is not None else {}
            sealed = [
                (data[section], name)
                for section, name in SECRETS
                if (data.get(section) or {}).get(name) is not None
            ]
            pipe.multi()
            if all(self._is_present(section[name]) for section, name in sealed):
                return False
            for section, name in sealed:
                section[name] = self._present.encrypt(self._open(section[name]).encode()).decode()
            pipe.hset(ACCOUNTS, account_id, orjson.dumps(data))
            return True

        written: bool = await self._transaction(change)
        return written

    async def unopened(self) -> list[str]:
        """Name the accounts whose secrets none of the keys opens."""
        return self._unopened(await ask(self._redis.hgetall(ACCOUNTS)))

    async def drop_unopened(self) -> list[str]:
        """Forget the settings of those, and name them; nothing else of them is touched."""

        async def change(pipe: Any) -> list[str]:
            names = self._unopened(await pipe.hgetall(ACCOUNTS))
            pipe.multi()
            for name in names:
                pipe.hdel(ACCOUNTS, name)
            if names:
                pipe.incr(REVISION)
            return names

        dropped: list[str] = await self._transaction(change)
        return dropped

    def _unopened(self, found: Mapping[Any, Any]) -> list[str]:
        names = []
        for ident in sorted(found):
            try:
                self._read_one(_text(ident), found[ident])
            except WrongSecretKey:
                names.append(_text(ident))
        return names

    def _is_present(self, sealed: str) -> bool:
        try:
            self._present.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    async def removed(self) -> list[str]:
        """Name the accounts that somebody has removed; one that is only not there any more isn't among them.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        return [_text(ident) for ident in await ask(self._redis.hkeys(REMOVED))]

    async def all(self) -> list[Account]:
        """Give the accounts whose PBX is known, by name.

        Raises:
            WrongSecretKey: the accounts were encrypted with another key.
        """
        return [account for account in await self.registered() if isinstance(account, Account)]

    async def registered(self) -> list[RegisteredAccount]:
        """Give all accounts, by name, also those whose PBX is still to be set up.

        Raises:
            WrongSecretKey: the accounts were encrypted with another key.
        """
        found = await ask(self._redis.hgetall(ACCOUNTS))
        accounts = self._read(found)
        for gone in self._known.keys() - set(map(_text, found)):
            del self._known[gone]
        return accounts

    async def get(self, account_id: str) -> Account | None:
        """Give one account whose PBX is known."""
        found = await self.find(account_id)
        return found if isinstance(found, Account) else None

    async def find(self, account_id: str) -> RegisteredAccount | None:
        """Give one account, also when its PBX is still to be set up."""
        found = await ask(self._redis.hget(ACCOUNTS, account_id))
        return next(iter(self._read({account_id: found})), None) if found is not None else None

    async def at(self, crm_url: str) -> RegisteredAccount | None:
        """Give the account whose CRM is at an address: an account may be named after a former one."""
        return _at(crm_url, await self.registered())

    async def note_news(self) -> None:
        """Let all copies of the service look at the accounts, as after a change of one.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        await ask(self._redis.incr(REVISION))

    async def revision(self) -> int:
        """Give a number that grows with every change."""
        return int(await ask(self._redis.get(REVISION)) or 0)

    async def _transaction(self, change: Callable[[Any], Any]) -> Any:
        with asking():
            async with self._redis.pipeline(transaction=True) as pipe:
                while True:
                    await pipe.watch(ACCOUNTS)
                    try:
                        result = await change(pipe)
                        await pipe.execute()
                    except WatchError:
                        continue
                    return result

    async def _forget(self, pattern: str, but: str = "") -> None:
        with asking():
            async for key in self._redis.scan_iter(match=pattern, count=500):
                if _text(key) != but:
                    await self._redis.unlink(key)

    def _write(self, account: RegisteredAccount) -> bytes:
        data = account.model_dump(mode="json")
        for section, name in SECRETS:
            secret: SecretStr | None = getattr(getattr(account, section), name, None)
            if secret is not None:
                data[section][name] = self._present.encrypt(secret.get_secret_value().encode()).decode()
        return orjson.dumps(data)

    def _read(self, found: Mapping[Any, Any]) -> list[RegisteredAccount]:
        accounts: list[RegisteredAccount] = []
        for ident in sorted(found):
            raw, name = found[ident], _text(ident)
            before, account = self._known.get(name, (None, None))
            if before != raw:
                account = self._read_one(name, raw)
                self._known[name] = raw, account
            if account is not None:
                accounts.append(account)
        return accounts

    def _read_one(self, ident: str, raw: Any) -> RegisteredAccount | None:
        try:
            data = orjson.loads(raw)
            for section, name in SECRETS:
                sealed = (data.get(section) or {}).get(name)
                if sealed is not None:
                    data[section][name] = self._open(sealed)
            account, left_out = stored_account(data)
        except (ValueError, LookupError, TypeError, AttributeError):
            log.error("an account can't be read and is left out: apply its file again", account=ident)
            return None
        if left_out:
            log.warning(
                "of an account is left out what another version has stored", account=ident, what=left_out
            )
        return account

    def _open(self, sealed: str) -> str:
        try:
            return self._ciphers.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise WrongSecretKey(
                "the accounts were encrypted with another secret key: set ARI_APP_SECRET_KEY to that one, or "
                "name it in ARI_APP_OLD_SECRET_KEYS, or remove them and apply their files again"
            ) from None


def _cipher(secret_key: str) -> Fernet:
    key = HKDF(SHA256(), 32, salt=None, info=b"ari-app account secrets").derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(key))


def _at(crm_url: str, accounts: Iterable[RegisteredAccount]) -> RegisteredAccount | None:
    return next((account for account in accounts if account.crm.url == crm_url), None)


def _cabinet_secret(account: RegisteredAccount, before: RegisteredAccount | None) -> SecretStr:
    known = account.crm.cabinet_secret or (before.crm.cabinet_secret if before is not None else None)
    return known or SecretStr(secrets.token_urlsafe(32))


def _text(ident: Any) -> str:
    return ident.decode(errors="replace") if isinstance(ident, bytes) else str(ident)
