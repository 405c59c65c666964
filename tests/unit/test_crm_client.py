"""The CRM client against the simulated retailCRM."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest
from pydantic import ValidationError

from ari_app.demo.crm.faults import Kind
from ari_app.demo.crm.simulator import (
    AnswerLost,
    Closed,
    CrmAccount,
    Customer,
    HtmlPage,
    Manager,
    Nonsense,
    Refusal,
    Silent,
    SimulatedCrm,
    Status,
)
from ari_app.retailcrm.client import (
    CallDirection,
    CallEvent,
    CallResult,
    EventType,
    HangupStatus,
    LookUp,
    RetailCrm,
    UploadedCall,
)
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmLimited, CrmRefused, CrmUnavailable
from ari_app.retailcrm.pace import Pace

KEY = "secret-key"
POPUP = CallEvent(phone="+79161234567", type=EventType.IN, codes=("101",), call_external_id="c1")
HANGUP = CallEvent(
    phone="+79161234567",
    type=EventType.HANGUP,
    codes=("101",),
    hangup_status=HangupStatus.NO_ANSWERED,
    call_external_id="c1",
)
CALL = UploadedCall(
    date=datetime(2026, 1, 1, 10, 0, 0),
    type=CallDirection.IN,
    phone="+79161234567",
    result=CallResult.NO_ANSWER,
    external_id="c1",
    duration=0,
    duration_waiting=12,
)


@pytest.fixture
async def crm() -> AsyncIterator[SimulatedCrm]:
    async with SimulatedCrm() as crm:
        yield crm
        assert crm.violations == []


@pytest.fixture
def account(crm: SimulatedCrm) -> CrmAccount:
    return crm.account(
        key=KEY,
        customers=[
            Customer(1, "Иван", "Петров", "Ильич", phones=("8 (916) 123-45-67",), manager_id=7),
            Customer(2, last_name="Сидорова", phones=("89160000002",)),
        ],
        managers=[Manager(7, "Анна", "Белова", code="101", status="busy"), Manager(8, code="102")],
        timezone="Asia/Yekaterinburg",
    )


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def client(session: aiohttp.ClientSession, account: CrmAccount) -> RetailCrm:
    return RetailCrm(session, account.url, KEY, Pace())


# What is asked and answered


async def test_a_known_customer_has_a_name_and_a_manager_even_a_busy_one(client: RetailCrm) -> None:
    assert await client.manager_for("+79161234567") == LookUp("Петров Иван Ильич", 1, 7, "101")


async def test_a_customer_may_have_no_manager(client: RetailCrm) -> None:
    assert await client.manager_for("+79160000002") == LookUp("Сидорова", 2)


async def test_a_stranger_is_unknown(client: RetailCrm) -> None:
    assert await client.manager_for("+79169999999") == LookUp()


async def test_events_and_the_upload_arrive_as_they_were_said(
    client: RetailCrm, account: CrmAccount, crm: SimulatedCrm
) -> None:
    answer = await client.call_event(POPUP.model_copy(update={"codes": ("101", "999")}))
    assert answer.not_exist_codes == ("999",)
    await client.call_event(HANGUP.model_copy(update={"codes": ("101", "999")}))
    crm.violations.clear()  # nobody has the code 999
    upload = await client.upload_calls([CALL])
    assert (upload.processed, upload.duplicates) == (1, ())
    assert [one.event.hangup_status for one in account.events] == [None, "no answered"]
    told = account.uploads[0].call
    assert (told.date, told.result, told.duration, told.code) == ("2026-01-01 10:00:00", "no answer", 0, None)


async def test_a_call_that_is_known_already_is_a_duplicate_and_no_error(
    client: RetailCrm, account: CrmAccount
) -> None:
    account.fault(AnswerLost(), route="upload", times=1)
    with pytest.raises(CrmUnavailable):
        await client.upload_calls([CALL])
    answer = await client.upload_calls([CALL])
    assert (answer.processed, answer.duplicates) == (0, ("c1",))
    assert len(account.uploads) == len(account.repeats) == 1


async def test_the_rest_of_the_api_is_read(client: RetailCrm) -> None:
    assert await client.timezone() == "Asia/Yekaterinburg"
    page = await client.users()
    assert [(user.id, user.name, user.active) for user in page.users] == [
        (7, "Белова Анна", True),
        (8, None, True),
    ]
    assert page.pages == 1
    assert "telephony_write" in (await client.credentials()).scopes


async def test_a_module_is_read_as_the_crm_has_it(client: RetailCrm, account: CrmAccount) -> None:
    assert await client.module("ari-app") is None
    telephony = {
        "makeCallUrl": "https://pbx.example/crm/call",
        "inputEventSupported": True,
        "outputEventSupported": True,
        "hangupEventSupported": True,
        "additionalCodes": [{"userId": "7", "code": "101"}],
    }
    account.rights.modules["ari-app"] = {"active": True, "integrations": {"telephony": telephony}}
    found = await client.module("ari-app")
    assert found is not None
    assert (found.active, found.frozen, found.telephony, found.told) == (True, False, True, True)
    assert (found.call_url, found.status_url) == ("https://pbx.example/crm/call", None)
    assert found.codes == {7: "101"}
    account.rights.modules["ari-app"] = {"active": True, "integrations": []}
    found = await client.module("ari-app")
    assert found is not None
    assert not found.telephony


def test_what_was_not_given_is_not_sent() -> None:
    assert POPUP.as_json() == '{"phone":"+79161234567","type":"in","codes":["101"],"callExternalId":"c1"}'
    assert '"duration":0' in CALL.as_json()
    assert CallEvent.model_validate_json(HANGUP.as_json()) == HANGUP
    assert UploadedCall.model_validate_json(CALL.as_json()) == CALL


def test_a_time_with_a_zone_is_not_the_accounts_local_time() -> None:
    with pytest.raises(ValidationError, match="local time"):
        UploadedCall.model_validate(CALL.model_dump() | {"date": datetime(2026, 1, 1, tzinfo=UTC)})


async def test_an_upload_holds_one_to_fifty_calls(client: RetailCrm, account: CrmAccount) -> None:
    for calls in ([], [CALL] * 51):
        with pytest.raises(ValueError, match="1 to 50"):
            await client.upload_calls(calls)
    assert account.requests == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"success":true,"manager":[],"customer":[]}', LookUp()),
        ('{"success":"true","manager":{"id":"7","code":101},"customer":null}', LookUp(None, None, 7, "101")),
        (
            '{"success":true,"customer":{"id":"x9","firstName":" Ада ","lastName":null,"extra":[1]}}',
            LookUp("Ада"),
        ),
    ],
)
async def test_a_sloppy_answer_is_understood(
    client: RetailCrm, account: CrmAccount, body: str, expected: LookUp
) -> None:
    account.fault(Nonsense(body))
    assert await client.manager_for("+79161234567") == expected


# What goes wrong


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Status(500), CrmUnavailable),
        (Status(502, "Bad gateway"), CrmUnavailable),
        (Status(503), CrmLimited),
        (Status(429), CrmLimited),
        (Status(503, "Service unavailable"), CrmUnavailable),
        (HtmlPage(), CrmUnavailable),
        (HtmlPage(503), CrmUnavailable),
        (HtmlPage(404), CrmDenied),
        (Nonsense(), CrmUnavailable),
        (Nonsense("[]"), CrmUnavailable),
        (Nonsense(""), CrmUnavailable),
        (Nonsense('{"success":true,"manager":"no"}'), CrmUnavailable),
        (Nonsense('{"success":"false","errorMsg":"Telephony not enabled"}'), CrmDenied),
        (Nonsense('{"success":false,"errorMsg":"Rate limit exceeded"}'), CrmLimited),
        (Nonsense('{"success":false,"errors":["phone is wrong"]}'), CrmRefused),
        (Closed(), CrmUnavailable),
        (AnswerLost(), CrmUnavailable),
        (Status(403), CrmDenied),
        (Status(404, "API method not found"), CrmDenied),
        (Status(404, "Not found"), CrmRefused),
        (Refusal("Account does not exist."), CrmDenied),
        (Refusal("Telephony not enabled or not supports calls upload"), CrmDenied),
        (Refusal("Errors in the entity format", {"phone": "not a phone number"}), CrmRefused),
    ],
    ids=repr,
)
async def test_an_error_says_what_can_be_done_about_it(
    client: RetailCrm, account: CrmAccount, kind: Kind, error: type[CrmError]
) -> None:
    account.fault(kind)
    with pytest.raises(CrmError) as caught:
        await client.manager_for("+79161234567")
    assert type(caught.value) is error


async def test_a_refusal_tells_in_words_what_is_wrong(client: RetailCrm, account: CrmAccount) -> None:
    account.fault(Refusal("Errors in the entity format", {"phone": "not a phone number"}))
    with pytest.raises(CrmRefused) as caught:
        await client.call_event(POPUP)
    assert caught.value.errors == ("phone: not a phone number",)
    assert str(caught.value) == (
        "POST v5/telephony/call/event: Errors in the entity format (phone: not a phone number)"
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("[" * 100_000, CrmUnavailable),
        ('{"success":false,"errors":' + "[" * 900 + "1" + "]" * 900 + "}", CrmRefused),
        ('{"success":false,"errorMsg":"\\ud800"}', CrmUnavailable),
    ],
    ids=["deep", "deep refusal", "half a character"],
)
async def test_nonsense_of_any_kind_is_an_error_of_the_crm(
    client: RetailCrm, account: CrmAccount, body: str, error: type[CrmError]
) -> None:
    account.fault(Nonsense(body))
    with pytest.raises(CrmError) as caught:
        await client.call_event(POPUP)
    assert type(caught.value) is error


async def test_of_endless_names_and_lists_the_beginning_is_taken(
    client: RetailCrm, account: CrmAccount
) -> None:
    users = ",".join(f'{{"id":{number},"firstName":"{"я" * 1000}"}}' for number in range(1, 300))
    account.fault(Nonsense(f'{{"success":true,"users":[{users}]}}'), times=1)
    page = await client.users()
    assert len(page.users) == 100
    assert page.users[0].name == "я" * 200
    account.fault(Nonsense(f'{{"success":true,"customer":{{"id":1,"lastName":"{"я" * 9999}"}}}}'), times=1)
    assert (await client.manager_for("+79161234567")).customer_name == "я" * 200
    sites = ",".join(f'"s{number}":{{"code":"s{number}","name":"{"я" * 999}"}}' for number in range(999))
    account.fault(Nonsense(f'{{"success":true,"sites":{{{sites}}}}}'), times=1)
    found = await client.sites()
    assert (len(found), len(found[0].name)) == (500, 200)


async def test_of_an_endless_refusal_the_beginning_is_told(client: RetailCrm, account: CrmAccount) -> None:
    account.fault(
        Refusal("no " * 100_000, {"phone": "wrong " * 100_000, **dict.fromkeys(map(str, range(999)), "no")})
    )
    with pytest.raises(CrmRefused) as caught:
        await client.call_event(POPUP)
    assert len(str(caught.value)) < 10_000


async def test_a_wrong_key_is_denied_and_named_nowhere(
    crm: SimulatedCrm, session: aiohttp.ClientSession, account: CrmAccount
) -> None:
    client = RetailCrm(session, account.url, "wrong-secret", Pace())
    with pytest.raises(CrmDenied) as caught:
        await client.credentials()
    assert "wrong-secret" not in repr(caught.value) + repr(client)
    assert crm.violations == ['GET /api/credentials: 403 Wrong "apiKey" value.']
    crm.violations.clear()


async def test_an_address_where_nobody_listens_is_unavailable(
    session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    with pytest.raises(CrmUnavailable):
        await RetailCrm(session, f"http://127.0.0.1:{unused_tcp_port}", KEY, Pace()).timezone()


async def test_a_silent_crm_is_given_up_in_time_and_its_place_comes_back(
    client: RetailCrm, account: CrmAccount
) -> None:
    account.fault(Silent(), times=1)
    with pytest.raises(CrmUnavailable, match=r"no answer within 0\.05 s"):
        await client.manager_for("+79161234567", timeout=0.05)
    assert (await client.manager_for("+79161234567")).manager_code == "101"


async def test_a_key_that_no_header_takes_is_refused_at_once(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ValueError, match="api_key"):
        RetailCrm(session, "https://shop.retailcrm.ru", "two\nlines", Pace())


async def test_a_hundred_look_ups_at_once_stay_below_the_crms_limit(
    client: RetailCrm, account: CrmAccount
) -> None:
    await asyncio.gather(*(client.manager_for("+79161234567", timeout=10) for _ in range(100)))
    assert len(account.look_ups) == 100
    assert account.violations == []


async def test_a_look_up_that_finds_no_turn_is_limited_and_never_sent(
    session: aiohttp.ClientSession, account: CrmAccount
) -> None:
    client = RetailCrm(session, account.url, KEY, Pace(telephony=1, window=60))
    await client.manager_for("+79161234567")
    with pytest.raises(CrmLimited, match="no turn"):
        await client.manager_for("+79161234567", timeout=0.01)
    assert len(account.requests) == 1
    assert client.pace.waiting == 0


async def test_after_a_503_only_look_ups_go_on(client: RetailCrm, account: CrmAccount) -> None:
    account.fault(Status(503), times=1)
    with pytest.raises(CrmLimited):
        await client.call_event(POPUP)
    with pytest.raises(CrmLimited, match="no turn"):
        await client.call_event(POPUP, timeout=0.01)
    await client.manager_for("+79161234567")
    assert [request.route for request in account.requests] == ["event", "manager"]
