"""What somebody can do who knows only the clientId, which stands in dialplans and in the logs of proxies."""

import asyncio

import pytest
from aiohttp import ClientResponse

from ari_app.reach import leads_inside
from ari_app.service.human_pace import Strangers
from ari_app.store.events import EventStore, What
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
