"""Tokens of the API: shown once, named, revoked."""

import asyncio

import pytest
from redis.asyncio import Redis

from ari_app.store import tokens
from ari_app.store.tokens import Token, Tokens, TooManyTokens

SHOP, OTHER = "shop.retailcrm.ru", "other.retailcrm.ru"


class Clock:
    """Each look is a second later."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def kept(redis: Redis) -> Tokens:
    return Tokens(redis, Clock())


async def test_a_token_opens_its_own_account_and_its_last_use_is_known(kept: Tokens) -> None:
    text = await kept.make(SHOP, "  nightly report ")
    [made] = await kept.list(SHOP)
    assert (made.name, made.used_at) == ("nightly report", None)
    assert await kept.find(text) == SHOP
    [used] = await kept.list(SHOP)
    assert used == Token(made.id, made.name, made.made_at, 1_700_000_002.0)
    assert await kept.list(OTHER) == []


async def test_the_token_itself_is_nowhere_in_redis(kept: Tokens, redis: Redis) -> None:
    text = await kept.make(SHOP, "report")
    await kept.find(text)
    secret = text.rpartition(".")[2].encode()
    for key in await redis.keys("*"):
        assert secret not in key
        assert secret not in repr(await redis.hgetall(key)).encode()


async def test_a_revoked_token_opens_nothing_and_another_accounts_cant_be_revoked(kept: Tokens) -> None:
    text = await kept.make(SHOP, "report")
    [token] = await kept.list(SHOP)
    assert not await kept.revoke(OTHER, token.id)
    assert await kept.find(text) == SHOP
    assert await kept.revoke(SHOP, token.id)
    assert not await kept.revoke(SHOP, token.id)
    assert await kept.find(text) is None
    assert await kept.list(SHOP) == []


@pytest.mark.parametrize(
    "text", ["", "x", "shop.retailcrm.ru", "shop.retailcrm.ru." + "A" * 43, "é.é", "a}:b." * 20]
)
async def test_what_is_no_token_opens_nothing(kept: Tokens, text: str) -> None:
    await kept.make(SHOP, "report")
    assert await kept.find(text) is None


async def test_a_token_of_one_account_with_anothers_name_before_it_opens_neither(kept: Tokens) -> None:
    text = await kept.make(SHOP, "report")
    assert await kept.find(text.replace(SHOP, OTHER)) is None


async def test_no_account_has_more_tokens_than_it_may_also_when_they_are_made_at_once(
    kept: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MOST", 3)
    made = await asyncio.gather(*(kept.make(SHOP, str(n)) for n in range(5)), return_exceptions=True)
    assert [type(one) for one in made].count(TooManyTokens) == 2
    assert len(await kept.list(SHOP)) == 3
