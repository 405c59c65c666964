import asyncio
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.accounts.reading import read_account
from ari_app.accounts.sections import Crm
from ari_app.errors import StoreUnavailable
from ari_app.store.accounts import AccountConflict, Accounts, WrongSecretKey
from ari_app.store.connection import connect
from ari_app.store.keys import ACCOUNTS, Keys
from ari_app.store.tokens import Tokens
from tests.support.accounts import account_toml

KEY = "k" * 32


def shop(
    name: str = "shop", app: str | None = None, client_id: str | None = None, prefix: str = ""
) -> Account:
    return read_account(
        account_toml(
            crm={"url": f"https://{name}.retailcrm.ru", "api_key": "hunter2-api", "client_id": client_id},
            pbx={"stasis_app": app or name, "ari_password": "hunter2-ari", "ami_password": "hunter2-ami"},
            calls={"caller_name_prefix": prefix},
        )
    )


@pytest.fixture
def accounts(redis: Redis) -> Accounts:
    return Accounts(redis, KEY)


async def test_an_account_comes_back_as_it_was_applied(accounts: Accounts) -> None:
    stored = await accounts.apply(shop(prefix="Магазин"), keep_client_id=True)
    assert await accounts.all() == [stored]
    assert await accounts.get("shop.retailcrm.ru") == stored
    assert await accounts.get("other.retailcrm.ru") is None


async def test_an_account_is_decrypted_once_and_again_when_it_was_changed(
    accounts: Accounts, redis: Redis
) -> None:
    await accounts.apply(shop(), keep_client_id=True)
    (first,) = await accounts.registered()
    assert (await accounts.registered())[0] is first
    assert await accounts.find(first.id) is first
    await Accounts(redis, KEY).apply(shop(prefix="new"), keep_client_id=True)
    (changed,) = await accounts.registered()
    assert changed.calls.caller_name_prefix == "new"
    await Accounts(redis, KEY).remove(first.id)
    assert await accounts.registered() == []
    assert await accounts.find(first.id) is None


async def test_tokens_open_nothing_after_a_removal_that_redis_did_not_finish(
    accounts: Accounts, redis: Redis
) -> None:
    ident = (await accounts.apply(shop(), keep_client_id=True)).id
    token = await Tokens(redis).make(ident, "report")
    await redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-scan"])
    with pytest.raises(StoreUnavailable):
        await accounts.remove(ident)
    await redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all"])
    await accounts.apply(shop(), keep_client_id=True)
    assert await Tokens(redis).find(token) is None


async def test_secrets_are_kept_encrypted_and_the_rest_is_readable(accounts: Accounts, redis: Redis) -> None:
    await accounts.apply(shop(client_id="hunter2-client"), keep_client_id=False)
    kept = await redis.hget(ACCOUNTS, "shop.retailcrm.ru")
    assert kept is not None
    assert b"hunter2" not in kept
    assert orjson.loads(kept)["pbx"]["host"] == "127.0.0.1"


async def test_a_generated_client_id_is_kept_when_the_file_is_applied_again(accounts: Accounts) -> None:
    first = await accounts.apply(shop(), keep_client_id=True)
    again = await accounts.apply(shop(prefix="new"), keep_client_id=True)
    assert again.crm.client_id == first.crm.client_id
    assert again.calls.caller_name_prefix == "new"


async def test_a_client_id_in_the_file_wins(accounts: Accounts) -> None:
    await accounts.apply(shop(), keep_client_id=True)
    stored = await accounts.apply(shop(client_id="mine"), keep_client_id=False)
    assert stored.crm.client_id.get_secret_value() == "mine"


async def test_the_secret_that_opens_the_cabinet_is_made_once_and_kept_encrypted(
    accounts: Accounts, redis: Redis
) -> None:
    first = (await accounts.apply(shop(), keep_client_id=True)).crm.cabinet_secret
    again = (await accounts.apply(shop(prefix="new"), keep_client_id=True)).crm.cabinet_secret
    assert first is not None
    assert again == first
    kept = await redis.hget(ACCOUNTS, "shop.retailcrm.ru")
    assert kept is not None
    assert first.get_secret_value().encode() not in kept


async def test_a_shop_may_be_known_before_its_pbx_is(accounts: Accounts) -> None:
    crm = Crm(url="https://new.retailcrm.ru", api_key=SecretStr("hunter2-api"))
    stored = await accounts.apply(RegisteredAccount(crm=crm), keep_client_id=True)
    assert await accounts.find("new.retailcrm.ru") == stored
    assert await accounts.registered() == [stored]
    assert await accounts.all() == []
    assert await accounts.get("new.retailcrm.ru") is None


async def test_a_pbx_that_is_set_up_later_finds_the_account_as_it_was(accounts: Accounts) -> None:
    crm = Crm(url="https://shop.retailcrm.ru", api_key=SecretStr("hunter2-api"))
    before = await accounts.apply(RegisteredAccount(crm=crm), keep_client_id=True)
    after = await accounts.apply(shop(), keep_client_id=True)
    assert after.crm.client_id == before.crm.client_id
    assert after.crm.cabinet_secret == before.crm.cabinet_secret
    assert await accounts.all() == [after]


async def test_two_accounts_cannot_share_an_application_of_a_pbx(accounts: Accounts) -> None:
    await accounts.apply(shop("one", app="same"), keep_client_id=True)
    revision = await accounts.revision()
    with pytest.raises(AccountConflict, match=r"one\.retailcrm\.ru uses the same Stasis application"):
        await accounts.apply(shop("two", app="same"), keep_client_id=True)
    assert [account.id for account in await accounts.all()] == ["one.retailcrm.ru"]
    assert await accounts.revision() == revision


async def test_two_accounts_cannot_share_a_client_id(accounts: Accounts) -> None:
    await accounts.apply(shop("one", client_id="same"), keep_client_id=False)
    with pytest.raises(AccountConflict, match=r"one\.retailcrm\.ru has the same crm\.client_id") as error:
        await accounts.apply(shop("two", client_id="same"), keep_client_id=False)
    assert '"same"' not in str(error.value)


async def test_of_rivals_applied_at_once_one_wins(redis: Redis, accounts: Accounts) -> None:
    rivals = [Accounts(redis, KEY).apply(shop(f"shop{n}", app="same"), keep_client_id=True) for n in range(8)]
    found = await asyncio.gather(*rivals, return_exceptions=True)
    assert sum(isinstance(one, Account) for one in found) == 1
    assert sum(isinstance(one, AccountConflict) for one in found) == 7
    assert len(await accounts.all()) == 1


async def test_accounts_applied_at_once_are_all_kept_and_counted(redis: Redis, accounts: Accounts) -> None:
    work = [Accounts(redis, KEY).apply(shop(f"shop{n}"), keep_client_id=True) for n in range(8)]
    await asyncio.gather(*work)
    assert len(await accounts.all()) == 8
    assert await accounts.revision() == 8


async def test_two_who_change_an_account_at_once_lose_nothing(redis: Redis, accounts: Accounts) -> None:
    await accounts.apply(shop(), keep_client_id=True)

    def renamed(section: str, **fields: object) -> Callable[[RegisteredAccount], RegisteredAccount]:
        return lambda now: now.model_copy(update={section: getattr(now, section).model_copy(update=fields)})

    one, other = Accounts(redis, KEY), Accounts(redis, KEY)
    await asyncio.gather(
        one.change("shop.retailcrm.ru", renamed("calls", record=False)),
        other.change("shop.retailcrm.ru", renamed("crm", timezone="Asia/Omsk")),
    )
    stored = await accounts.get("shop.retailcrm.ru")
    assert stored is not None
    assert (stored.calls.record, stored.crm.timezone) == (False, "Asia/Omsk")


async def test_a_change_that_cannot_be_leaves_the_account_as_it_is(accounts: Accounts) -> None:
    await accounts.apply(shop("other"), keep_client_id=True)
    before = await accounts.apply(shop(), keep_client_id=True)
    with pytest.raises(AccountConflict):
        await accounts.change(
            before.id,
            lambda now: now.model_copy(
                update={"pbx": now.pbx and now.pbx.model_copy(update={"stasis_app": "other"})}
            ),
        )
    assert await accounts.get(before.id) == before
    assert await accounts.change("nobody.retailcrm.ru", lambda now: now) is None


def moved(account: RegisteredAccount, host: str) -> RegisteredAccount:
    crm = account.crm.model_copy(update={"url": f"https://{host}.retailcrm.ru"})
    return account.model_copy(update={"crm": crm, "name": account.id})


async def test_an_account_whose_crm_moves_stays_the_same_account(accounts: Accounts) -> None:
    before = await accounts.apply(shop(), keep_client_id=True)
    after = await accounts.change(before.id, lambda now: moved(now, "store"))
    assert after is not None
    assert after.id == "shop.retailcrm.ru"
    assert await accounts.at("https://store.retailcrm.ru") == after
    assert await accounts.at("https://shop.retailcrm.ru") is None
    again = await accounts.apply(shop("store", app="shop", prefix="new"), keep_client_id=True)
    assert (again.id, again.crm.client_id) == (before.id, before.crm.client_id)
    assert [account.id for account in await accounts.all()] == ["shop.retailcrm.ru"]


async def test_whoever_comes_to_the_address_that_a_crm_left_does_not_get_its_account(
    accounts: Accounts,
) -> None:
    before = await accounts.apply(shop(), keep_client_id=True)
    await accounts.change(before.id, lambda now: moved(now, "store"))
    with pytest.raises(AccountConflict, match=r"has moved to https://store\.retailcrm\.ru"):
        await accounts.apply(shop(app="another"), keep_client_id=True)


async def test_a_crm_can_not_move_to_where_another_is(accounts: Accounts) -> None:
    await accounts.apply(shop("store"), keep_client_id=True)
    before = await accounts.apply(shop(), keep_client_id=True)
    with pytest.raises(AccountConflict, match="is at https"):
        await accounts.change(before.id, lambda now: moved(now, "store"))


async def test_an_account_is_removed_with_its_calls_and_nobody_elses(
    redis: Redis, accounts: Accounts
) -> None:
    for name in ("one", "two"):
        await accounts.apply(shop(name), keep_client_id=True)
        await redis.set(Keys(f"{name}.retailcrm.ru").call("c1"), "state")
    revision = await accounts.revision()
    assert await accounts.remove("one.retailcrm.ru")
    assert [account.id for account in await accounts.all()] == ["two.retailcrm.ru"]
    assert not await redis.exists(Keys("one.retailcrm.ru").call("c1"))
    assert await redis.exists(Keys("two.retailcrm.ru").call("c1"))
    assert await accounts.revision() == revision + 1
    assert await accounts.removed() == ["one.retailcrm.ru"]
    await accounts.apply(shop("one"), keep_client_id=True)
    assert await accounts.removed() == []


@pytest.mark.parametrize("name", ["nobody", "*", "", "one.retailcrm.r?"])
async def test_removing_what_is_not_there_changes_nothing(
    redis: Redis, accounts: Accounts, name: str
) -> None:
    await accounts.apply(shop("one"), keep_client_id=True)
    await redis.set(Keys("one.retailcrm.ru").call("c1"), "state")
    assert not await accounts.remove(name)
    assert await redis.exists(Keys("one.retailcrm.ru").call("c1"))
    assert await accounts.revision() == 1


async def test_an_account_with_calls_in_progress_stays(redis: Redis, accounts: Accounts) -> None:
    await accounts.apply(shop(), keep_client_id=True)
    await redis.sadd(Keys("shop.retailcrm.ru").live, "c1", "c2")
    with pytest.raises(AccountConflict, match=r"shop\.retailcrm\.ru has calls in progress \(2\)"):
        await accounts.remove("shop.retailcrm.ru")
    assert await accounts.get("shop.retailcrm.ru") is not None


async def test_another_secret_key_is_said_in_words_and_removing_is_the_way_out(
    redis: Redis, accounts: Accounts
) -> None:
    await accounts.apply(shop(), keep_client_id=True)
    other = Accounts(redis, "o" * 32)
    with pytest.raises(WrongSecretKey, match="encrypted with another secret key: set ARI_APP_SECRET_KEY"):
        await other.all()
    with pytest.raises(WrongSecretKey):
        await other.apply(shop(), keep_client_id=True)
    assert await other.remove("shop.retailcrm.ru")
    await other.apply(shop(), keep_client_id=True)
    assert len(await other.all()) == 1


@pytest.mark.parametrize("damage", [b"not JSON", b"[]", b'{"crm": 1, "pbx": null}', b"{}"])
async def test_a_damaged_account_does_not_hide_the_others(
    redis: Redis, accounts: Accounts, capsys: pytest.CaptureFixture[str], damage: bytes
) -> None:
    stored = await accounts.apply(shop(), keep_client_id=True)
    await redis.hset(ACCOUNTS, "damaged.retailcrm.ru", damage.decode())
    assert await accounts.all() == [stored]
    assert "damaged.retailcrm.ru" in capsys.readouterr().out
    assert await accounts.remove("damaged.retailcrm.ru")


async def test_a_redis_that_is_away_is_said_in_words(tmp_path: Path) -> None:
    redis = connect(f"unix://{tmp_path}/nobody.sock")
    accounts = Accounts(redis, KEY)
    for request in (accounts.all(), accounts.revision(), accounts.remove("x"), accounts.get("x")):
        with pytest.raises(StoreUnavailable, match="Redis does not do what it is asked"):
            await request
    with pytest.raises(StoreUnavailable):
        await accounts.apply(shop(), keep_client_id=True)
    await redis.aclose()


async def test_an_account_whose_crm_has_not_heard_all_is_removed_only_by_force(
    accounts: Accounts, redis: Redis
) -> None:
    stored = await accounts.apply(shop(), keep_client_id=False)
    await redis.xadd(Keys(stored.id).outbox, {"call": "one", "tell": "something"})
    with pytest.raises(AccountConflict, match="1 messages wait"):
        await accounts.remove(stored.id)
    assert await accounts.remove(stored.id, force=True)
    assert await accounts.all() == []
