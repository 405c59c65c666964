"""A shop's own programs read the call log, and no other shop's."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.calls.call import Direction, Leg, LegState, Role
from ari_app.calls.outcome import Ending, LegResult
from ari_app.store.tokens import Tokens
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, cabinet_shop
from tests.cabinet.kept_calls import BORIS, keep, over, recorded
from tests.cabinet.shop import ReportingShop

FILE = "b" * 40 + ".mp3"


@pytest.fixture
async def token(shop: ReportingShop) -> str:
    return await Tokens(shop.redis).make(shop.account.id, "report")


def bearer(token: str) -> dict[str, str]:
    """The header that names a token."""
    return {"Authorization": f"Bearer {token}"}


async def test_a_call_is_told_with_its_legs_and_its_recording(shop: ReportingShop, token: str) -> None:
    leg = Leg(
        "2", Role.MANAGER, LegState.GONE, 0, code="101", result=LegResult.ANSWERED,
        began_at=100.0, answered_at=105.0, ended_at=165.0,
    )  # fmt: skip
    await keep(shop.calls, over("c1", 1_770_000_000.0, name="Анна", legs=(leg,), recording=recorded(FILE)))
    answer = await shop.client.get("/api/calls", headers=bearer(token))
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    told = await answer.json()
    assert told["next"] is None
    [call] = told["calls"]
    assert call.pop("recording").endswith(f"/recordings/{FILE}")
    assert call == {
        "id": "c1",
        "startedAt": "2026-02-02T05:40:00+03:00",
        "direction": "in",
        "number": "+79161234567",
        "name": "Анна",
        "shopNumber": "+74951112233",
        "result": "answered",
        "manager": "101",
        "managerName": call["managerName"],
        "waiting": 5,
        "talking": 60,
        "legs": [
            {
                "role": "manager",
                "code": "101",
                "target": None,
                "result": "answered",
                "waiting": 5,
                "talking": 60,
            }
        ],
    }


async def test_calls_are_filtered_and_paged_through(shop: ReportingShop, token: str) -> None:
    at = time.time()
    await keep(
        shop.calls,
        *(over(f"c{n}", at - n) for n in range(5)),
        over("boris", at - 10, number=BORIS, direction=Direction.OUT, ending=Ending.BUSY),
    )
    seen, cursor = [], ""
    for _ in range(3):
        answer = await shop.client.get(
            "/api/calls", params={"limit": "2", "result": "answered", "cursor": cursor}, headers=bearer(token)
        )
        page = await answer.json()
        seen.append([call["id"] for call in page["calls"]])
        cursor = page["next"] or ""
    assert seen == [["c0", "c1"], ["c2", "c3"], ["c4"]]
    assert cursor == ""
    answer = await shop.client.get("/api/calls", params={"number": BORIS}, headers=bearer(token))
    assert [call["id"] for call in (await answer.json())["calls"]] == ["boris"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", "Anna"),
        ("manager", "abc"),
        ("result", "won"),
        ("direction", "up"),
        ("period", "decade"),
        ("from", "yesterday"),
        ("to", "2026-02-30"),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "٣"),
        ("cursor", "x"),
    ],
)
async def test_what_cant_be_read_is_named(shop: ReportingShop, token: str, name: str, value: str) -> None:
    answer = await shop.client.get("/api/calls", params={name: value}, headers=bearer(token))
    assert answer.status == 400
    assert (await answer.json())["parameter"] == name


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer wrong", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer shop.retailcrm.ru." + "A" * 43],
)
async def test_without_a_right_token_nothing_is_told(shop: ReportingShop, authorization: str | None) -> None:
    await keep(shop.calls, over("c1", time.time()))
    headers = {"Authorization": authorization} if authorization is not None else {}
    answer = await shop.client.get("/api/calls", headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    told = await answer.json()
    assert told["success"] is False
    assert "c1" not in str(told)


async def test_a_revoked_token_is_refused_and_its_use_was_noted(shop: ReportingShop, token: str) -> None:
    tokens = Tokens(shop.redis)
    assert (await shop.client.get("/api/calls", headers=bearer(token))).status == 200
    [known] = await tokens.list(shop.account.id)
    assert known.used_at is not None
    await tokens.revoke(shop.account.id, known.id)
    assert (await shop.client.get("/api/calls", headers=bearer(token))).status == 401


async def test_the_token_of_an_account_that_was_removed_opens_nothing(
    shop: ReportingShop, token: str
) -> None:
    await shop.service.accounts.remove(shop.account.id, force=True)
    assert (await shop.client.get("/api/calls", headers=bearer(token))).status == 401


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


async def test_a_session_sees_its_own_accounts_calls_and_a_token_another_shops_never(
    cabinet: CabinetShop,
) -> None:
    await keep(cabinet.shop.calls, over("secret-call", time.time()))
    async with cabinet.reader() as reader:
        assert (await reader.get("/api/calls")).status == 401
        await reader.enter(cabinet)
        assert "secret-call" in await reader.text("/api/calls")
        assert (await reader.get("/api/calls", **bearer("wrong"))).status == 401
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        assert "secret-call" not in await other.text("/api/calls")
        [account] = [
            one
            for one in await cabinet.shop.service.accounts.registered()
            if one.id != cabinet.shop.account.id
        ]
        token = await Tokens(cabinet.shop.redis).make(account.id, "theirs")
    async with cabinet.reader() as program:
        answer = await program.get("/api/calls?number=%2B79161234567", **bearer(token))
        assert (await answer.json())["calls"] == []
