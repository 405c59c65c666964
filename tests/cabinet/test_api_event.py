"""A dialplan of the shop's own reports its calls; the CRM hears of each, once."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ari_app.calls.call import Stage
from tests.cabinet.shop import ANNA, CHANNEL, CLIENT_ID, ReportingShop, reporting_shop

END = {
    "status": "ANSWER",
    "direct": "in",
    "date": "2026-01-02 03:04:05",
    "hold": "5",
    "duration": "61",
}


async def test_a_call_from_its_first_ring_to_its_report(shop: ReportingShop) -> None:
    assert await shop.reports("in", extPhone="8 (495) 111-22-33") == "new"
    assert await shop.reports("hangup", **END, path="https://u:p@pbx.example/273324.wav") == "new"
    assert await shop.told() == [("in", "101"), ("hangup", "101", "answered"), ("upload", "answered", "101")]
    event, upload = shop.crm_account.events[0].event, shop.crm_account.uploads[0].call
    assert (event.phone, event.external_phone, event.site) == (ANNA, "+74951112233", "shop")
    assert event.call_external_id == upload.external_id
    assert (upload.date, upload.duration, upload.duration_waiting) == ("2026-01-02 03:04:05", 61, 5)
    assert upload.record_url == "https://u:p@pbx.example/273324.wav"
    assert (upload.type, upload.phone) == ("in", ANNA)


async def test_it_is_listed_and_its_journal_is_read_as_our_own_calls_are(shop: ReportingShop) -> None:
    await shop.reports("in")
    assert [call.caller.id for call in await shop.calls.reported()] == [CHANNEL]
    await shop.reports("hangup", **END)
    await shop.told()
    assert await shop.calls.reported() == []
    assert [call.id for call in await shop.calls.ended(1)] == [(await shop.call()).id]
    story = await shop.story()
    assert story[0] == f"the dialplan says: in, {ANNA}, for 101"
    assert sorted(story[1:]) == [
        "CRM told: hangup, answered, for 101",
        "CRM told: in, for 101",
        "CRM told: result, answered, 101, waiting 5 s, talking 61 s",
        "the dialplan says: over, answered, 101, waited 5 s, talked 61 s",
    ]


async def test_what_comes_twice_is_told_once(shop: ReportingShop) -> None:
    for kind, more in (("in", {}), ("in", {}), ("hangup", END), ("hangup", END), ("in", {})):
        await shop.reports(kind, **more)
    assert await shop.told() == [("in", "101"), ("hangup", "101", "answered"), ("upload", "answered", "101")]


async def test_twenty_requests_at_once_tell_once(shop: ReportingShop) -> None:
    taken = await asyncio.gather(*(shop.reports("in") for _ in range(20)))
    assert sorted(taken) == ["new"] + ["repeated"] * 19
    taken = await asyncio.gather(*(shop.reports("hangup", **END) for _ in range(20)))
    assert sorted(taken) == ["new"] + ["repeated"] * 19
    assert len(await shop.told()) == 3


async def test_a_call_of_which_only_the_end_is_reported(shop: ReportingShop) -> None:
    await shop.reports("hangup", **END | {"direct": "out"})
    assert await shop.reports("in") == "repeated"
    assert await shop.told() == [("hangup", "101", "answered"), ("upload", "answered", "101")]
    assert shop.crm_account.uploads[0].call.type == "out"


async def test_an_outgoing_call(shop: ReportingShop) -> None:
    await shop.reports("out", code="102")
    await shop.reports("hangup", **END | {"direct": "out", "status": "BUSY"}, code="102")
    assert await shop.told() == [("out", "102"), ("hangup", "102", "busy"), ("upload", "busy", "102")]
    upload = shop.crm_account.uploads[0].call
    assert (upload.type, upload.duration, upload.record_url) == ("out", 0, None)


@pytest.mark.parametrize("code", ["", '""', "''", "  "])
async def test_without_an_extension_everybody_is_shown_the_call(shop: ReportingShop, code: str) -> None:
    await shop.reports("in", code=code)
    assert await shop.told() == [("in", "101", "102", "103")]


@pytest.mark.parametrize("code", ["101,102", " '101', '102' ", "101&102", "101;102@from-queue"])
async def test_extensions_as_a_list(shop: ReportingShop, code: str) -> None:
    await shop.reports("in", code=code)
    assert await shop.told() == [("in", "101", "102")]


@pytest.mark.parametrize("names", [("code[]", "code[]"), ("code[0]", "code[1]"), ("code", "code")])
async def test_extensions_as_an_array(shop: ReportingShop, names: tuple[str, str]) -> None:
    given = [("clientId", CLIENT_ID), ("type", "in"), ("uniqueid", CHANNEL), ("phone", ANNA)]
    pairs = [*given, (names[0], "101"), (names[1], "102")]
    assert (await shop.client.get("/api/event", params=pairs)).status == 200
    assert await shop.told() == [("in", "101", "102")]


async def test_a_queue_after_the_manager_tells_those_who_are_new(shop: ReportingShop) -> None:
    await shop.reports("in")
    await shop.reports("in", code="101,102")
    await shop.reports("hangup", **END, code="102")
    assert await shop.told() == [
        ("in", "101"),
        ("in", "102"),
        ("hangup", "101", "102", "answered"),
        ("upload", "answered", "102"),
    ]


@pytest.mark.parametrize(
    ("status", "hangup", "result"),
    [
        ("ANSWER", "answered", "answered"),
        (" 'ANSWERED' ", "answered", "answered"),
        ("NOANSWER", "no answered", "no answer"),
        ("NO ANSWER", "no answered", "no answer"),
        ("BUSY", "busy", "busy"),
        ("CANCEL", "cancel", "no answer"),
        ("CONGESTION", "failed", "failed"),
        ("CHANUNAVAIL", "failed", "failed"),
        ("FAILED", "failed", "failed"),
        ("no answered", "no answered", "no answer"),
        ("cancel", "cancel", "no answer"),
        ("", "answered", "answered"),
    ],
)
async def test_the_words_of_asterisk_and_of_the_crm(
    shop: ReportingShop, status: str, hangup: str, result: str
) -> None:
    await shop.reports("in")
    await shop.reports("hangup", **END | {"status": status})
    assert await shop.told() == [("in", "101"), ("hangup", "101", hangup), ("upload", result, "101")]


@pytest.mark.parametrize(
    "status",
    [
        *("JOINEMPTY", "LEAVEEMPTY", "JOINUNAVAIL", "LEAVEUNAVAIL", "FULL", "TIMEOUT"),
        *("EXITEMPTY", "EXITWITHKEY", "EXITWITHTIMEOUT", "WITHDRAW", "CONTINUE", "join empty"),
    ],
)
async def test_a_queue_that_let_the_customer_go_did_not_answer(shop: ReportingShop, status: str) -> None:
    await shop.reports("in")
    await shop.reports("hangup", **END | {"status": status, "duration": "0"})
    assert (await shop.told())[1:] == [("hangup", "101", "no answered"), ("upload", "no answer", "101")]


@pytest.mark.parametrize("status", ["BLINDTRANSFER", "ATTENDEDTRANSFER", "TRANSFER", "Blind Transfer"])
async def test_a_call_that_was_handed_over_was_answered(shop: ReportingShop, status: str) -> None:
    await shop.reports("in")
    await shop.reports("hangup", **END | {"status": status})
    assert (await shop.told())[1:] == [("hangup", "101", "answered"), ("upload", "answered", "101")]


@pytest.mark.parametrize("status", ["GOODBYE", "Нормальное завершение", "16 (Normal Clearing)", "x" * 64])
@pytest.mark.parametrize(
    ("duration", "hangup", "result"), [("61", "answered", "answered"), ("0", "no answered", "no answer")]
)
async def test_by_a_word_that_nobody_foresaw_a_call_with_talk_was_answered_and_no_other(
    shop: ReportingShop, status: str, duration: str, hangup: str, result: str
) -> None:
    await shop.reports("in")
    await shop.reports("hangup", **END | {"status": status, "duration": duration})
    assert (await shop.told())[1:] == [("hangup", "101", hangup), ("upload", result, "101")]


@pytest.mark.parametrize(
    "phone",
    [
        '"89161234567" <89161234567>',
        "sip:79161234567@192.168.100.10",
        '"Anna" <sip:+79161234567@10.11.12.13:5060>',
        '"Иванова Анна Сергеевна, ООО Ромашка" <sip:+79161234567@sbc-12.voip.example.org>;tag=as6f3a21b0',
        "<sip:+79161234567@192.168.100.100;user=phone>",
        "tel:+7-916-123-45-67",
        "8 (916) 123\u201145\u201167",
    ],
)
async def test_a_number_is_found_in_what_a_dialplan_gives_for_it(shop: ReportingShop, phone: str) -> None:
    await shop.reports("in", phone=phone)
    await shop.reports("hangup", phone=phone, **END)
    assert len(await shop.told()) == 3
    assert {told.event.phone for told in shop.crm_account.events} == {ANNA}


@pytest.mark.parametrize(
    "channel",
    [
        "SIP/mango-00000001",
        "PJSIP/mango-0000002a",
        "Local/600@from-queue-00000001;1",
        "DAHDI/1-1",
        "mango",
        "s",
    ],
)
async def test_a_channels_name_is_no_number_of_the_shops(shop: ReportingShop, channel: str) -> None:
    await shop.reports("in", extPhone=channel)
    await shop.reports("hangup", extPhone=channel, **END)
    await shop.told()
    assert {told.event.external_phone for told in shop.crm_account.events} == {None}
    assert shop.crm_account.uploads[0].call.external_phone is None


async def test_what_a_manager_dialled_is_told_without_the_outside_lines_digit(shop: ReportingShop) -> None:
    await shop.apply(pbx={"outside_prefix": "9"})
    await shop.changed(lambda account: account.pbx.outside_prefix == "9")
    await shop.reports("out", phone="989161234567")
    await shop.reports("hangup", phone="989161234567", **END | {"direct": "out"})
    await shop.told()
    assert {told.event.phone for told in shop.crm_account.events} == {ANNA}


async def test_only_the_accounts_extensions_are_told(shop: ReportingShop) -> None:
    await shop.reports("in", code="600,101")
    await shop.reports("hangup", **END, code="600")
    assert await shop.told() == [("in", "101"), ("hangup", "101", "answered"), ("upload", "answered", None)]


async def test_what_advertising_knows_is_passed_on(shop: ReportingShop) -> None:
    await shop.reports("in", campaign_name="Осень", campaign_code="A1", queryString="чай & кофе")
    sources = {"source": "yandex", "medium": "cpc", "campaign": "Осень", "keyword": "чай", "content": "1"}
    await shop.reports("hangup", **END, **{f"source_{name}": text for name, text in sources.items()})
    await shop.told()
    analytics = shop.crm_account.events[0].event.web_analytics_data
    assert analytics is not None
    assert analytics.campaign is not None
    assert (analytics.campaign.name, analytics.campaign.code) == ("Осень", "A1")
    assert analytics.query_string == "чай & кофе"
    source = shop.crm_account.uploads[0].call.source
    assert source is not None
    assert source.model_dump() == sources


async def test_what_is_long_and_cyrillic_fits_into_the_line_of_a_dialplan(shop: ReportingShop) -> None:
    sought, source = "купить самовар " * 120, "самовары оптом " * 15
    await shop.reports("in", queryString=sought, campaign_name=source, campaign_code=source)
    names = ("source", "medium", "campaign", "keyword", "content")
    link = f"https://my-server.ru/{'записи/' * 200}1.wav"
    await shop.reports("hangup", **END, path=link, **{f"source_{name}": source for name in names})
    await shop.told()
    analytics = shop.crm_account.events[0].event.web_analytics_data
    assert analytics is not None
    assert analytics.query_string == sought.strip()
    told = shop.crm_account.uploads[0].call
    assert told.record_url == link
    assert told.source is not None
    assert set(told.source.model_dump().values()) == {source.strip()}


@pytest.mark.parametrize("name", ["date", "DATE"])
async def test_both_spellings_of_the_date(shop: ReportingShop, name: str) -> None:
    await shop.reports("hangup", **{**END, "date": "", name: "'2026-05-06 07:08:09'"})
    await shop.told()
    assert shop.crm_account.uploads[0].call.date == "2026-05-06 07:08:09"


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("https://login:password@my-server.ru/asterisk/273324.wav",) * 2,
        ("http://my-server.ru/asterisk/2026-01-01/UUUUUU.wav",) * 2,
        ("ftp://my-server.ru/1.mp3",) * 2,
        ("'http://my-server.ru/1.wav'", "http://my-server.ru/1.wav"),
        ("/var/spool/asterisk/monitor/1.wav", None),
        ("1700000000.42.wav", None),
        ("", None),
    ],
)
async def test_the_recordings_address_is_passed_on_as_given(
    shop: ReportingShop, path: str, link: str | None
) -> None:
    await shop.reports("hangup", **END, path=path)
    await shop.told()
    assert shop.crm_account.uploads[0].call.record_url == link


async def test_a_withheld_number_is_kept_and_nobody_is_told(shop: ReportingShop) -> None:
    withheld = ("", "anonymous", "0", "0000000000", '"Restricted" <0000000000>', "Restricted")
    for n, number in enumerate(withheld):
        await shop.reports("in", phone=number, uniqueid=f"1.{n}")
        await shop.reports("hangup", phone=number, uniqueid=f"1.{n}", **END)
    assert await shop.told() == []
    assert [call.stage for call in await shop.calls.ended(6)] == [Stage.ENDED] * 6


async def test_an_answered_call_of_which_nobody_is_named_names_nobody(shop: ReportingShop) -> None:
    await shop.reports("in", code="")
    await shop.reports("hangup", **END, code="")
    assert (await shop.told())[-1] == ("upload", "answered", None)


async def test_a_report_in_the_body(shop: ReportingShop) -> None:
    fields = {"clientId": CLIENT_ID, "type": "in", "uniqueid": CHANNEL, "phone": ANNA, "code": "101"}
    assert (await shop.client.post("/api/event", data=fields)).status == 200
    more: dict[str, Any] = fields | {"code": ["101", "102"]}
    assert (await shop.client.post("/api/event", json=more)).status == 200
    assert await shop.told() == [("in", "101"), ("in", "102")]


async def test_a_restart_between_the_ring_and_the_end(shop: ReportingShop) -> None:
    await shop.reports("in")
    await shop.told()
    await shop.stop()
    await shop.start()
    assert await shop.reports("in") == "repeated"
    await shop.reports("hangup", **END)
    assert await shop.told() == [("in", "101"), ("hangup", "101", "answered"), ("upload", "answered", "101")]


# Whoever knows the clientId


async def test_an_early_false_end_is_corrected_by_the_true_one(shop: ReportingShop) -> None:
    await shop.reports("in")
    await shop.reports("hangup", status="NOANSWER")
    assert await shop.reports("hangup", status="ANSWER", hold="5", duration="30") == "new"
    assert await shop.told() == [
        ("in", "101"),
        ("hangup", "101", "no answered"),
        ("upload", "no answer", "101"),
        ("upload", "answered", "101"),
    ]
    false, true = (told.call for told in shop.crm_account.uploads)
    assert true.external_id == f"{false.external_id}-2"
    assert "this is believed, and not what was said of the end before" in await shop.story()


async def test_an_end_from_elsewhere_waits_for_the_word_of_who_reported_the_beginning(
    redis: Redis, tmp_path: Path
) -> None:
    async with reporting_shop(redis, tmp_path, time.time, proxies=1) as shop:
        await shop.reports("in")
        elsewhere = {"X-Forwarded-For": "203.0.113.66"}
        given = {"clientId": CLIENT_ID, "type": "hangup", "uniqueid": CHANNEL, "phone": ANNA, "code": "101"}
        answer = await shop.client.get("/api/event", params=given, headers=elsewhere)
        assert answer.status == 200
        assert await shop.told() == [("in", "101")]
        await shop.reports("hangup", status="ANSWER", hold="5", duration="30")
        assert await shop.told() == [
            ("in", "101"),
            ("hangup", "101", "answered"),
            ("upload", "answered", "101"),
        ]
