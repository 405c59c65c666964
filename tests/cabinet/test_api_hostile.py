"""Whatever is sent to the API: it answers JSON, repeats nothing of it, and keeps nothing of it."""

import asyncio
import time
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from ari_app.asterisk.events import NewCaller
from ari_app.calls import happenings as h
from ari_app.calls.flow import begin
from ari_app.calls.journal import JournalLine
from ari_app.store.calls import Step
from tests.cabinet.shop import ANNA, CHANNEL, CLIENT_ID, ReportingShop, reporting_shop
from tests.cabinet.test_api_event import END
from tests.cabinet.test_api_upload import wav

IN = {"clientId": CLIENT_ID, "type": "in", "uniqueid": CHANNEL, "phone": ANNA, "code": "101"}
HANGUP = IN | END | {"type": "hangup"}
EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        (IN | {"type": EVIL}, "type"),
        (IN | {"type": ""}, "type"),
        (IN | {"uniqueid": ""}, "uniqueid"),
        (IN | {"uniqueid": "1 2"}, "uniqueid"),
        (IN | {"uniqueid": "1" * 151}, "uniqueid"),
        (IN | {"uniqueid": "1\x002"}, "uniqueid"),
        (IN | {"code": EVIL}, "code"),
        (IN | {"code": "SIP/101"}, "code"),
        (IN | {"code": "١٠١"}, "code"),
        (IN | {"code": ",".join(["1" * 20] * 1000)}, "code"),
        (IN | {"type": "out", "code": ""}, "code"),
        (IN | {"type": "out", "code": "101,102"}, "code"),
        (IN | {"phone": "٧٩١٦١٢٣٤٥٦٧"}, "phone"),
        (IN | {"phone": "7" * 65}, "phone"),
        (IN | {"extPhone": "7\r\n7"}, "extPhone"),
        (IN | {"campaign_name": "a" * 256}, "campaign_name"),
        (IN | {"queryString": "a\x1bb"}, "queryString"),
        (HANGUP | {"status": "ANSWER\x00"}, "status"),
        (HANGUP | {"direct": "sideways"}, "direct"),
        (HANGUP | {"date": "2026-02-30 00:00:00"}, "date"),
        (HANGUP | {"date": "2026-01-01"}, "date"),
        (HANGUP | {"date": "2026-01-01 00:00:00\n.1"}, "date"),
        (HANGUP | {"date": "٢٠٢٦-01-01 00:00:00"}, "date"),
        (HANGUP | {"DATE": "2026-01-01 00:00:01"}, "date"),
        (HANGUP | {"hold": "-1"}, "hold"),
        (HANGUP | {"hold": "٣"}, "hold"),
        (HANGUP | {"duration": "1e3"}, "duration"),
        (HANGUP | {"duration": "9999999"}, "duration"),
        (HANGUP | {"path": "javascript:alert(1)"}, "path"),
        (HANGUP | {"path": "file:///etc/passwd"}, "path"),
        (HANGUP | {"path": "http://"}, "path"),
        (HANGUP | {"path": "http://a b/1.wav"}, "path"),
        (HANGUP | {"path": "http://a/\x001.wav"}, "path"),
        (HANGUP | {"path": "http://[::1/1.wav"}, "path"),
        (HANGUP | {"source_keyword": "a\tb\x7f"}, "source_keyword"),
        (IN | {"phone[0]": ANNA}, "phone"),
        (IN | {"type": "upload"}, "file"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_of_it_is_repeated(
    shop: ReportingShop, given: dict[str, str], parameter: str
) -> None:
    answer = await shop.client.post("/api/event", data=given)
    text = await answer.text()
    assert answer.status == 400, text
    assert answer.content_type == "application/json"
    assert (await answer.json())["parameter"] == parameter
    assert "script" not in text
    assert await shop.calls.reported() == []
    assert await shop.calls.ended(1) == []


@pytest.mark.parametrize("missing", ["type", "uniqueid", "phone", "code"])
async def test_what_is_missing_is_named(shop: ReportingShop, missing: str) -> None:
    answer = await shop.client.get("/api/event", params={n: v for n, v in IN.items() if n != missing})
    assert (answer.status, (await answer.json())["parameter"]) == (400, missing)


@pytest.mark.parametrize("client", ["wrong", "", CLIENT_ID + " x", "é" * 40, "*"])
async def test_strangers_are_turned_away(shop: ReportingShop, client: str) -> None:
    data = (IN | {"clientId": client}).items()
    body = b"&".join(f"{name}={value}".encode("utf-8", "surrogateescape") for name, value in data)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await shop.client.post("/api/event", data=body, headers=headers)
    assert (answer.status, (await answer.json())["parameter"]) == (401, "clientId")


async def test_a_parameter_that_comes_twice_counts_if_both_say_the_same(shop: ReportingShop) -> None:
    where = f"/api/event?phone=%2B{ANNA[1:]}"
    assert (await shop.client.post(where, data=IN)).status == 200
    answer = await shop.client.post("/api/event?phone=1", data=IN)
    assert (answer.status, (await answer.json())["parameter"]) == (400, "phone")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**IN, "phone": [ANNA]}, 400),
        ({**IN, "phone": {"a": 1}}, 400),
        ({**IN, "code": [["101"]]}, 400),
        ({**IN, "code": [{"a": 1}]}, 400),
        ({**IN, "uniqueid": True}, 400),
        ([1, 2], 400),
        ("text", 400),
    ],
)
async def test_objects_of_another_shape(shop: ReportingShop, body: Any, status: int) -> None:
    answer = await shop.client.post("/api/event", json=body)
    assert answer.status == status
    assert (await answer.json())["success"] is False


async def test_ten_megabytes_of_a_field(shop: ReportingShop) -> None:
    body = BytesIO(urlencode(IN).encode() + b"&campaign_name=" + b"a" * 10_000_000)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await shop.client.post("/api/event", data=body, headers=headers)
    assert answer.status == 413
    assert (await answer.json())["success"] is False


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=x", b"--y\r\n\r\n", 400),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n",
            400,
        ),
        ("multipart/mixed; boundary=x", b"--x--\r\n", 401),
        ("application/x-www-form-urlencoded", b"clientId=\xff", 400),
        ("application/x-www-form-urlencoded; charset=no", b"clientId=1", 400),
        ("application/json", b"{", 400),
        ("application/json", b"\xff", 400),
        ("text/xml", b"<a/>", 415),
        ("image/png", b"x", 415),
    ],
)
async def test_bodies_that_are_not_what_they_say(
    shop: ReportingShop, kind: str, body: bytes, status: int
) -> None:
    answer = await shop.client.post("/api/event", data=body, headers={"Content-Type": kind})
    assert answer.status == status, await answer.text()
    assert (await answer.json())["success"] is False


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/api/event", 405),
        ("DELETE", "/api/manager", 405),
        ("POST", "/api/manager", 405),
        ("GET", "/api/", 404),
        ("GET", f"/api/{EVIL}", 404),
        ("GET", "/api/event/x", 404),
    ],
)
async def test_there_is_nothing_else(shop: ReportingShop, method: str, path: str, status: int) -> None:
    answer = await shop.client.request(method, path)
    assert answer.status == status
    assert (await answer.json())["success"] is False
    assert "script" not in await answer.text()


async def test_while_redis_is_away_the_sender_is_asked_to_send_again(
    shop: ReportingShop, redis: Redis, tmp_path: Path
) -> None:
    await redis.config_set("maxmemory", "1")
    await redis.config_set("maxmemory-policy", "noeviction")
    answer = await shop.send("in")
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    await redis.config_set("maxmemory", "0")
    assert await shop.reports("in") == "new"
    assert await shop.told() == [("in", "101")]


async def test_more_reports_than_an_account_may_send_are_refused_until_later_and_it_is_said_once(
    redis: Redis, tmp_path: Path
) -> None:
    async with reporting_shop(redis, tmp_path / "many", time.time, reports_a_second=1) as shop:
        with capture_logs() as log:
            sending = (shop.send("in", uniqueid=f"1.{one}") for one in range(200))
            answers = await asyncio.gather(*sending)
        refused = [answer for answer in answers if answer.status == 429]
        assert {answer.status for answer in answers} == {200, 429}
        assert len(refused) <= 140
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        said = [line for line in log if line["event"] == "reports of calls are refused"]
        assert [line["why"] for line in said] == ["more than 1 reports a second"]


async def test_an_account_that_has_written_its_share_of_the_day_reports_no_more_and_takes_no_call(
    redis: Redis, tmp_path: Path
) -> None:
    async with reporting_shop(redis, tmp_path / "much", time.time, written_mb=1) as shop:
        long = {
            f"source_{name}": "x" * 250 for name in ("source", "medium", "campaign", "keyword", "content")
        }
        before = (await redis.info("memory"))["used_memory"]
        statuses: list[int] = []
        while 429 not in statuses:
            one = len(statuses)
            statuses.append((await shop.send("hangup", uniqueid=f"1.{one}", **(END | long))).status)
            assert one < 1_000
        assert set(statuses[:-1]) == {200}
        assert (await redis.info("memory"))["used_memory"] - before < 8 * 10**6
        line = shop.shop.line
        assert "in a day" in (line.full or "")
        line.arrived(NewCaller("1.5", "PJSIP/trunk-00000001", ("incoming", "84951112233"), ANNA), time.time())
        assert (line.calls, line.admission.turned_away) == ((), 1)
        assert shop.shop.calls.written.used == pytest.approx(1, abs=0.05)


# -- calls of ours ------------------------------------------------------------------------------------------


async def our_call(shop: ReportingShop) -> None:
    """Let a call of ours begin with the channel that the dialplan reports too."""
    arrived = h.CallArrived(1.0, CHANNEL, ANNA, None)
    call, orders = begin("retailcrm-0123456789abcdef", shop.account.id, shop.shop.policy, arrived)
    await shop.calls.write([Step(call, JournalLine(1.0, call.id, None, call.stage, arrived, orders))])


async def test_a_call_that_we_run_is_not_told_by_the_dialplan_too(shop: ReportingShop) -> None:
    await our_call(shop)
    assert await shop.reports("in") == "ours"
    assert await shop.uploads(wav()) == "ours"
    assert await shop.reports("hangup", **END) == "ours"
    assert await shop.told() == []
    assert not [path for path in shop.folder.glob("recordings/**/*") if path.is_file()]


@pytest.mark.parametrize("channel", ["retailcrm-0123456789abcdef-2", "retailcrm-0123456789abcdef-3-2"])
async def test_nor_are_the_legs_that_we_make(shop: ReportingShop, channel: str) -> None:
    assert await shop.reports("out", uniqueid=channel) == "ours"


async def test_a_popup_from_before_we_had_the_call_is_closed_and_no_more(shop: ReportingShop) -> None:
    await shop.reports("in")
    await our_call(shop)
    assert await shop.reports("hangup", **END) == "ours"
    assert await shop.reports("hangup", **END) == "ours"
    assert await shop.told() == [("in", "101"), ("hangup", "101", "cancel")]
