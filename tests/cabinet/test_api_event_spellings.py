"""What a dialplan says of a call's end in its own way: the CRM hears of the end all the same."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.cabinet.shop import ANNA, CHANNEL, CLIENT_ID, ReportingShop, reporting_shop
from tests.cabinet.test_api_event import END


@pytest.fixture
async def shop(redis: Redis, tmp_path: Path) -> AsyncIterator[ReportingShop]:
    async with reporting_shop(redis, tmp_path / "one", time.time) as shop:
        yield shop


@pytest.mark.parametrize(
    "status",
    [
        *("${DIALSTATUS}", 'Q.850;cause=16;text="Normal call clearing"', "<unknown>", "Don't know", "done!"),
        *("Ushbu qo'ng'iroq yakunlandi", "x" * 255),
    ],
)
@pytest.mark.parametrize(
    ("duration", "hangup", "result"), [("61", "answered", "answered"), ("0", "no answered", "no answer")]
)
async def test_an_end_is_told_whatever_the_word_for_it_is_made_of(
    shop: ReportingShop, status: str, duration: str, hangup: str, result: str
) -> None:
    await shop.reports("in")
    await shop.reports("hangup", **END | {"status": status, "duration": duration})
    assert (await shop.told())[1:] == [("hangup", "101", hangup), ("upload", result, "101")]


@pytest.mark.parametrize("code", ["+79035554433", "101,+79035554433"])
async def test_a_telephone_outside_is_nobodys_extension_with_a_plus_either(
    shop: ReportingShop, code: str
) -> None:
    await shop.reports("in", code=code)
    await shop.reports("hangup", **END, code="+79035554433")
    told = [("in", "101"), ("hangup", "101", "answered")] if "101" in code else []
    assert await shop.told() == [*told, ("upload", "answered", None)]


async def test_a_call_to_a_mobile_alone_is_not_shown_to_everybody(
    shop: ReportingShop,
) -> None:
    await shop.reports("in", code="+79035554433")
    assert await shop.told() == []


async def test_whole_seconds_in_an_object_may_be_written_with_a_point(shop: ReportingShop) -> None:
    given = {"clientId": CLIENT_ID, "type": "hangup", "uniqueid": CHANNEL, "phone": ANNA, "code": "101"}
    answer = await shop.client.post("/api/event", json={**given, **END, "hold": 5.0, "duration": 61.0})
    assert answer.status == 200
    await shop.told()
    upload = shop.crm_account.uploads[0].call
    assert (upload.duration_waiting, upload.duration) == (5, 61)
