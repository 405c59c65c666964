"""The event log: what happened in the account, and what the CRM refused, with “send again”."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.demo.crm.faults import Refusal
from ari_app.store.events import Event, EventStore, What
from ari_app.store.tokens import Tokens
from cabinet.frame.security import ATTEMPTS
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


async def page_with(reader: Reader, words: str, path: str = "/events") -> str:
    """Open the page again until it says something."""
    async with asyncio.timeout(60):
        while True:
            text = await reader.text(path)
            if words in text:
                return text
            await asyncio.sleep(0.02)


async def refused_call(cabinet: CabinetShop) -> str:
    """Let Anna call, and the CRM refuse the call's result; give the refusal's id."""
    fault = Refusal("Errors in the entity format")
    cabinet.shop.crm_account.fault(fault, route="upload", times=1)
    await cabinet.call()
    await cabinet.shop.told()
    [refusal] = await cabinet.shop.calls.outbox.refusals()
    return refusal.id


async def test_what_the_crm_refused_is_shown_and_sent_again_when_it_is_mended(
    cabinet: CabinetShop, reader: Reader
) -> None:
    ident = await refused_call(cabinet)
    text = await reader.text("/events")
    assert "Set aside: what the CRM would not take" in text
    assert "Errors in the entity format" in text
    assert cabinet.shop.crm_account.uploads == []
    token = await reader.token("/events")
    answer = await reader.post("/events/send-again", token=token, refusal=ident)
    assert (answer.status, answer.headers["Location"]) == (303, "/events?sent=1")
    await cabinet.shop.told()
    assert [upload.call.code for upload in cabinet.shop.crm_account.uploads] == ["101"]
    text = await reader.text("/events?sent=1")
    assert "1 message is on its way" in text
    assert "Set aside: what the CRM would not take" not in text
    assert "was sent again" in text
    assert "refused to hear of a call" in text


async def test_send_again_pressed_twice_at_once_sends_once(cabinet: CabinetShop, reader: Reader) -> None:
    ident = await refused_call(cabinet)
    token = await reader.token("/events")
    answers = await asyncio.gather(
        *(reader.post("/events/send-again", token=token, refusal=ident) for _ in range(4))
    )
    assert sorted(answer.headers["Location"] for answer in answers) == ["/events?sent=0"] * 3 + [
        "/events?sent=1"
    ]
    await cabinet.shop.told()
    assert len(cabinet.shop.crm_account.uploads) == 1
    assert "had been sent again already" in await reader.text("/events?sent=0")


async def test_what_is_refused_once_more_is_in_the_list_once_more(
    cabinet: CabinetShop, reader: Reader
) -> None:
    ident = await refused_call(cabinet)
    cabinet.shop.crm_account.fault(Refusal("Still wrong"), route="upload", times=1)
    await reader.post("/events/send-again", token=await reader.token("/events"), refusal=ident)
    await page_with(reader, "Still wrong")
    [refusal] = await cabinet.shop.calls.outbox.refusals()
    await reader.post("/events/send-again", token=await reader.token("/events"), refusal=refusal.id)
    await cabinet.shop.told()
    assert len(cabinet.shop.crm_account.uploads) == 1


async def test_all_that_was_refused_can_be_sent_again_together(cabinet: CabinetShop, reader: Reader) -> None:
    for channel in ("1.1", "1.2"):
        cabinet.shop.crm_account.fault(Refusal("no"), route="upload", times=1)
        await cabinet.call(channel)
        await cabinet.shop.told()
    answer = await reader.post("/events/send-again", token=await reader.token("/events"), refusal="all")
    assert answer.headers["Location"] == "/events?sent=2"
    await cabinet.shop.told()
    assert len(cabinet.shop.crm_account.uploads) == 2


async def test_nobody_else_sends_anything_again(cabinet: CabinetShop, reader: Reader) -> None:
    ident = await refused_call(cabinet)
    assert (await reader.post("/events/send-again", refusal=ident)).status == 403
    async with cabinet.reader() as stranger:
        token = await stranger.token()
        answer = await stranger.post("/events/send-again", token=token, refusal=ident)
        assert answer.headers["Location"].startswith("/sign-in")
        assert (await stranger.get("/events")).headers["Location"] == "/sign-in?next=/events"
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        assert "refused" not in await other.text("/events")
        token = await other.token("/events")
        for refusal in (ident, "all"):
            answer = await other.post("/events/send-again", token=token, refusal=refusal)
            assert answer.headers["Location"] == "/events?sent=0"
    assert len(await cabinet.shop.calls.outbox.refusals()) == 1


async def test_the_log_says_who_signed_in_what_was_changed_and_that_the_pbx_is_away(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await cabinet.shop.apply(ring_manager_seconds=33)
    text = await page_with(reader, "Settings were changed: telephony.")
    assert "Somebody signed in" in text
    assert "from the address 127.0.0.1" in text
    assert "connection with Asterisk by ARI is lost" in await page_with(reader, "by ARI is lost")


async def test_telephony_switched_off_and_on_is_in_the_log(cabinet: CabinetShop, reader: Reader) -> None:
    shop = cabinet.shop.shop
    shop.take_activity(shop.activity.switched(False, time.time()))
    await page_with(reader, "was switched off in the CRM")
    shop.take_activity(shop.activity.switched(True, time.time()))
    await page_with(reader, "was switched on in the CRM")


async def test_a_word_that_nobody_foresaw_is_noted_once_with_the_call(
    cabinet: CabinetShop, reader: Reader
) -> None:
    for n in range(3):
        await cabinet.shop.reports("hangup", uniqueid=f"1700000000.{n}", status="Goodbye", duration="7")
    text = await page_with(reader, "said by a word that is not known how a call ended: GOODBYE.")
    assert text.count("GOODBYE") == 1
    assert f"/calls/{cabinet.shop.shop.reported.id_of('1700000000.0')}" in text


async def test_events_are_filtered_and_paged_through(cabinet: CabinetShop, reader: Reader) -> None:
    store = EventStore(cabinet.shop.redis, cabinet.shop.account.id)
    now = time.time()
    for n in range(60):
        await store.add(Event(now, What.RECORDING_LOST, {"call": f"c{n}", "problem": f"<p{n}>"}))
    await store.add(Event(now - 86_400 * 3, What.CRM_BACK))
    text = await reader.text("/events?kind=recording&severity=warning")
    assert text.count('data-severity="warning"') == 50
    assert "&lt;p59&gt;" in text
    assert "signed in" not in text
    older = text.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert (await reader.text(older)).count('data-severity="warning"') == 10
    assert "takes messages again" in await reader.text("/events?kind=crm")
    assert "No event fits" in await reader.text("/events?kind=crm&period=today")
    assert "No event fits" in await reader.text("/events?severity=error&kind=recording")
    assert "ends before it begins" in await reader.text("/events?from=2026-03-09&to=2026-03-08")
    part = await reader.get("/events?kind=crm&severity=&period=week&from=&to=", **{"HX-Request": "true"})
    assert part.headers["HX-Push-Url"] == "/events?period=week&kind=crm"
    assert "<html" not in await part.text()


@pytest.mark.parametrize(
    "query", ["kind=<b>", "severity=x", "behind=1-1-1", "behind=%00", "sent=٣", "period=x", "sent=99999999"]
)
async def test_an_address_that_somebody_made_up_breaks_nothing(reader: Reader, query: str) -> None:
    answer = await reader.get(f"/events?{query}")
    assert answer.status == 200
    assert "<b>" not in await answer.text()


async def test_who_tries_wrong_keys_and_is_locked_out_is_listed_in_the_account_once(
    cabinet: CabinetShop, reader: Reader
) -> None:
    crm = cabinet.shop.crm_account.url
    async with cabinet.reader() as stranger:
        for _ in range(ATTEMPTS):
            assert (await stranger.sign_in(crm, "wrong")).status == 422
        for _ in range(3):
            assert (await stranger.sign_in(crm, "wrong")).status == 429
    cabinet.crm.violations.clear()  # the CRM minds an unknown key
    text = await reader.text("/events?kind=access&severity=warning")
    assert text.count("tried to sign in to the cabinet with an API key") == ATTEMPTS
    assert text.count("There were too many attempts to sign in") == 1
    assert "from the address 127.0.0.1" in text


async def test_a_token_that_is_made_and_one_that_is_revoked_are_listed_by_name_and_not_shown(
    cabinet: CabinetShop, reader: Reader
) -> None:
    page = "/api-access"
    answer = await reader.post(f"{page}/tokens", token=await reader.token(page), name="Reports")
    assert answer.status == 200
    [known] = await Tokens(cabinet.shop.redis).list(cabinet.shop.account.id)
    assert (
        await reader.post(f"{page}/tokens/{known.id}/revoke", token=await reader.token(page), sure="yes")
    ).status == 303
    text = await reader.text("/events?kind=access")
    assert "An API token was made: Reports." in text
    assert "An API token was revoked: Reports." in text
    assert known.id not in text


async def test_a_click_that_may_not_be_is_noted_with_its_reason_once_a_minute(
    cabinet: CabinetShop, reader: Reader
) -> None:
    asked = {"clientId": cabinet.shop.account.crm.client_id.get_secret_value(), "code": "101"}
    for number in ("+8821621111111", "+8821621111112"):
        answer = await cabinet.shop.client.get("/crm/call", params={**asked, "phone": number})
        assert answer.status == 403
    reader.headers["Accept-Language"] = "ru"
    text = await page_with(reader, "Звонок из CRM не сделан (101): в эту страну звонить нельзя")
    assert text.count("Звонок из CRM не сделан") == 1
