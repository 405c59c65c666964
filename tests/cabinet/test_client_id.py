"""What somebody can do who knows only the clientId, which stands in dialplans and in the logs of proxies."""

import asyncio
import time

import pytest
from aiohttp import ClientResponse
from redis.asyncio import Redis

from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.network.reach import leads_inside
from ari_app.retailcrm.registration import call_address
from ari_app.service.click_to_call import ClickLimits, Clicks, TooMany
from ari_app.service.human_pace import Strangers
from ari_app.store.clicks import AcceptedClick, ClickStore
from ari_app.store.events import EventStore, What
from ari_app.store.keys import Keys
from tests.cabinet.clicking import Line, account_of
from tests.cabinet.shop import ANNA, CLIENT_ID, UNKNOWN, ReportingShop
from tests.cabinet.test_api_event import END


async def noted(shop: ReportingShop, what: What) -> int:
    """Wait until something is noted; count how often it is."""
    async with asyncio.timeout(10):
        while True:
            events, _ = await EventStore(shop.redis, shop.account.id).newest(100)
            if found := [event.what for event in events].count(what):
                return found
            await asyncio.sleep(0.01)


async def named(answer: ClientResponse) -> bool:
    assert answer.status == 200
    return "Иванова" in (await answer.json())["result"]["callerId"]


# Look-ups


async def test_names_are_given_at_a_human_pace_only(shop: ReportingShop) -> None:
    found = [await named(await shop.manager(type="json")) for _ in range(Strangers.LOOK_UPS + 40)]
    assert found == [True] * Strangers.LOOK_UPS + [False] * 40
    answer = await (await shop.manager(type="json")).json()
    assert answer == {"result": {"callerId": ANNA, "phone": ""}}  # the caller hears nothing of it
    assert await noted(shop, What.TOO_MANY_LOOK_UPS) == 1


def test_whoever_is_in_a_call_of_ours_is_named_all_the_same() -> None:
    now = [0.0]
    strangers = Strangers(lambda: now[0])
    for _ in range(Strangers.LOOK_UPS):
        assert strangers.may_look_up(ANNA, [None])
    assert not strangers.may_look_up(ANNA, [None, UNKNOWN])
    assert strangers.may_look_up(ANNA, [None, ANNA])
    now[0] = 60.0
    assert strangers.may_look_up(ANNA, [])


# Popups


async def test_a_call_that_names_nobody_is_shown_to_all_at_a_human_pace(shop: ReportingShop) -> None:
    for number in range(Strangers.POPUPS_FOR_ALL + 10):
        await shop.reports("in", code="", uniqueid=f"1700000000.{number}")
    told = await shop.told()
    assert told == [("in", "101", "102", "103")] * Strangers.POPUPS_FOR_ALL
    assert await noted(shop, What.TOO_MANY_POPUPS) == 1


async def test_one_extension_sees_no_more_calls_than_a_person_can_take(shop: ReportingShop) -> None:
    for number in range(Strangers.POPUPS + 10):
        await shop.reports("in", code="101,102" if number % 2 else "101", uniqueid=f"1700000000.{number}")
    told = await shop.told()
    assert sum("101" in codes for _, *codes in told) == Strangers.POPUPS
    assert sum("102" in codes for _, *codes in told) == (Strangers.POPUPS + 10) // 2


# Links


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1/1.wav",
        "http://localhost:8080/1.wav",
        "http://10.0.0.5/1.wav",
        "https://192.168.1.10/rec/1.mp3",
        "ftp://172.16.0.1/1.wav",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/1.wav",
        "http://[::ffff:10.0.0.5]/1.wav",
        "http://[fd00::1]/1.wav",
        "http://127.1/1.wav",
        "http://0x7f000001/1.wav",
        "http://2130706433/1.wav",
        "http://0177.0.0.01/1.wav",
        "http://u:p@10.0.0.5/1.wav",
        "http://pbx/1.wav",
        "http://pbx.local./1.wav",
        "http://files.internal/1.wav",
        "http://0.0.0.0/1.wav",
    ],
)
def test_a_link_that_leads_inside_is_known(link: str) -> None:
    assert leads_inside(link)


@pytest.mark.parametrize(
    "link",
    ["http://8.8.8.8/1.wav", "https://u:p@rec.example.com/1.wav", "ftp://[2a00:1450::1]/1", "http://a.рф/1"],
)
def test_a_link_that_leads_outside_is_told(link: str) -> None:
    assert not leads_inside(link)


async def test_the_crm_is_not_told_a_link_that_leads_inside(shop: ReportingShop) -> None:
    await shop.reports("hangup", **END, path="http://192.168.1.10/1.wav")
    assert (await shop.told())[-1] == ("upload", "answered", "101")
    assert shop.crm_account.uploads[0].call.record_url is None
    assert await noted(shop, What.LINK_INSIDE) == 1


@pytest.mark.parametrize("link", ["javascript:alert(1)", "file:///etc/passwd", "gopher://rec.example.com/"])
async def test_a_link_of_another_kind_is_refused(shop: ReportingShop, link: str) -> None:
    assert (await shop.send("hangup", **END, path=link)).status == 400


# The PBX's address


async def test_an_account_may_require_the_pbxs_address(shop: ReportingShop) -> None:
    async def require(*addresses: str) -> None:
        await shop.service.accounts.change(
            shop.account.id, lambda now: now.altered(api={"addresses": addresses})
        )
        await shop.changed(lambda now: now.api.addresses == addresses)

    await require("203.0.113.5/32", "10.0.0.0/8")
    for answer in (
        await shop.manager(type="json"),
        await shop.send("in"),
        await shop.client.post(
            "/api/event", params={"clientId": CLIENT_ID, "type": "upload", "uniqueid": "1"}, data=b"RIFF"
        ),
    ):
        assert answer.status == 403
        assert (await answer.json())["errorMsg"] == "clientId: the account doesn't allow this address"
    assert await noted(shop, What.ADDRESS_REFUSED) == 1
    await require("127.0.0.0/8")
    assert await shop.reports("in") == "new"
    assert await named(await shop.manager(type="json"))


# Clicks


async def test_limits_go_on_counting_when_another_copy_takes_the_account(shop: ReportingShop) -> None:
    lately = time.time() - 5
    clicks = [AcceptedClick(lately - number * 7000, "101", True) for number in range(12)]
    clicks += [AcceptedClick(lately, "101", True)] * (ClickLimits().extension_a_minute - 1)
    await ClickStore(shop.redis, shop.account.id).keep(sorted(clicks, key=lambda one: one.at))
    await shop.stop()
    await shop.start()
    await shop.changed(lambda now: now == shop.account)
    secret = shop.account.crm.cabinet_secret
    assert secret is not None
    address = call_address("", secret.get_secret_value())
    asked = {"clientId": CLIENT_ID, "code": "101", "phone": ANNA}
    answer = await shop.client.get(address, params=asked)
    assert answer.status == 429
    assert "calls a minute from one extension" in (await answer.json())["errorMsg"]
    assert 50 <= int(answer.headers["Retry-After"]) <= 55
    answer = await shop.client.get(address, params=asked | {"code": "102"})
    assert answer.status == 503  # no PBX is there, but this extension has called nobody


async def test_what_is_placed_is_kept_for_the_next_copy(redis: Redis) -> None:
    store, now = ClickStore(redis, "shop"), [1000.0]
    kept: list[AcceptedClick] = []
    current = Current(read_account(account_of("shop", CLIENT_ID)))

    def clicks() -> Clicks:
        return Clicks(
            current,
            Line(),
            lambda: now[0],
            ClickLimits(extension_a_minute=3, a_day=5),
            lambda extension, known: kept.append(AcceptedClick(now[0], extension, known)),
        )

    first = clicks()
    for number in range(5):
        now[0] += 30
        first.place("101", "", f"+7916123450{number}", "", known=True)
    await store.keep(kept)
    second = clicks()
    second.take_up((now[0] - one.at, one.extension, one.known) for one in await store.load())
    now[0] += 60
    for one in (first, second):
        with pytest.raises(TooMany, match="at most 5 calls a day"):
            one.place("102", "", ANNA, "", known=True)
    now[0] += 86_400
    assert second.place("102", "", ANNA, "", known=True)


async def test_what_another_version_wrote_of_clicks_keeps_no_account_closed(redis: Redis) -> None:
    store = ClickStore(redis, "shop")
    await store.keep([AcceptedClick(5.5, "101", False)])
    await redis.rpush(Keys("shop").clicks, "nonsense", b"\xff", "7.5 1 102")
    assert await store.load() == [AcceptedClick(5.5, "101", False), AcceptedClick(7.5, "102", True)]
