"""The simulated retailCRM, asked by bare HTTP: is it strict, and does it see our mistakes?"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from ari_app.demo.crm.simulator import (
    AnswerLost,
    CallUploaded,
    Closed,
    CrmAccount,
    Customer,
    EventTold,
    LookedUp,
    Manager,
    Message,
    Refusal,
    Silent,
    SimulatedCrm,
    Slow,
    Status,
)

Json = dict[str, Any]

POPUP: Json = {"phone": "+79161234567", "type": "in", "codes": ["101"], "callExternalId": "c1"}
HANGUP: Json = {**POPUP, "type": "hangup", "hangupStatus": "answered"}
CALL: Json = {
    "date": "2026-01-01 10:00:00",
    "type": "in",
    "phone": "+79161234567",
    "code": "101",
    "result": "answered",
    "duration": 60,
    "durationWaiting": 10,
    "externalId": "c1",
    "recordUrl": "https://example.com/test.mp3",
}


class Api:
    """Bare requests with one account's key."""

    def __init__(self, session: aiohttp.ClientSession, account: CrmAccount) -> None:
        self.session = session
        self.account = account
        self.headers = {"X-API-KEY": account.key}

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        url = f"{self.account.url}/api/{path}"
        async with self.session.request(method, url, **({"headers": self.headers} | options)) as response:
            return response.status, await response.json()

    async def look_up(self, **query: str) -> tuple[int, Any]:
        return await self.ask("GET", "v5/telephony/manager", params=query)

    async def event(self, event: Any) -> tuple[int, Any]:
        return await self.ask("POST", "v5/telephony/call/event", data={"event": json.dumps(event)})

    async def upload(self, *calls: Any) -> tuple[int, Any]:
        return await self.ask("POST", "v5/telephony/calls/upload", data={"calls": json.dumps(calls)})


@pytest.fixture
async def crm() -> AsyncIterator[SimulatedCrm]:
    async with SimulatedCrm() as crm:
        yield crm


@pytest.fixture
def account(crm: SimulatedCrm) -> CrmAccount:
    return crm.account(
        key="k",
        customers=[
            Customer(1, "Иван", "Петров", phones=("8 (916) 123-45-67", "79160000001"), manager_id=7),
            Customer(2, "Мария", manager_id=8, phones=("+79160000002",), has_orders=True),
        ],
        managers=[Manager(7, "Анна", "Белова", code="101"), Manager(8, "Олег", code="102", status="dinner")],
    )


@pytest.fixture
async def api(account: CrmAccount) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(session, account)


# The look-up


async def test_a_number_in_any_spelling_finds_its_customer_and_manager(api: Api, crm: SimulatedCrm) -> None:
    for phone in ("+79161234567", "89161234567", "9160000001"):
        status, answer = await api.look_up(phone=phone, details="1", ignoreStatus="1")
        assert status == 200
        assert answer["manager"] == {"id": 7, "firstName": "Анна", "lastName": "Белова", "code": "101"}
        assert answer["customer"]["phones"][0] == {"number": "8 (916) 123-45-67"}
        assert set(answer["links"]) == {"newOrderLink", "customerLink"}
    assert crm.violations == []


async def test_customer_and_links_come_only_with_details(api: Api) -> None:
    assert set((await api.look_up(phone="+79161234567"))[1]) == {"success", "manager"}


async def test_a_manager_at_dinner_is_named_only_when_the_status_is_ignored(
    api: Api, account: CrmAccount
) -> None:
    assert "manager" not in (await api.look_up(phone="+79160000002"))[1]
    assert (await api.look_up(phone="+79160000002", ignoreStatus="1"))[1]["manager"]["code"] == "102"
    account.set_status(8, "free")
    assert (await api.look_up(phone="+79160000002"))[1]["manager"]["code"] == "102"


async def test_a_stranger_has_neither_manager_nor_customer(api: Api) -> None:
    _, answer = await api.look_up(phone="+79169999999", details="1")
    assert answer["success"] is True
    assert set(answer) == {"success", "links"}
    assert "newCustomerLink" in answer["links"]


# What the API refuses


async def test_the_key_is_needed_and_must_be_right(api: Api, crm: SimulatedCrm) -> None:
    assert await api.ask("GET", "credentials", headers={}) == (
        403,
        {"success": False, "errorMsg": '"apiKey" is missing.'},
    )
    status, answer = await api.ask("GET", "credentials", headers={"X-API-KEY": "no"})
    assert (status, answer["errorMsg"]) == (403, 'Wrong "apiKey" value.')
    assert (await api.ask("GET", "credentials", headers={}, params={"apiKey": "k"}))[0] == 200
    assert len(crm.violations) == 2


@pytest.mark.parametrize(
    ("method", "path", "status", "error_msg"),
    [
        ("GET", "v5/telephony/setting", 404, "API method not found"),
        ("GET", "v5/credentials", 404, "API method not found"),
        ("GET", "v5/telephony/call/event", 405, "Method Not Allowed"),
        ("POST", "v5/telephony/manager", 405, "Method Not Allowed"),
        ("POST", "v5/telephony/call/event", 400, "Parameter 'event' is missing"),
        ("POST", "v5/telephony/calls/upload", 400, "Parameter 'calls' is missing"),
        ("GET", "v5/telephony/manager", 400, "Parameter 'phone' is missing"),
        ("GET", "v5/telephony/manager?phone=abc", 400, "Errors in the input parameters"),
        ("GET", "v5/telephony/manager?phone=%2B7916&details=yes", 400, "Errors in the input parameters"),
        ("GET", "v5/users?limit=10", 400, "Errors in the input parameters"),
        ("GET", "v5/settings?page=1", 400, "Errors in the input parameters"),
    ],
)
async def test_a_wrong_request_is_refused_and_written_down(
    api: Api, crm: SimulatedCrm, method: str, path: str, status: int, error_msg: str
) -> None:
    answered, answer = await api.ask(method, path)
    assert (answered, answer["success"], answer["errorMsg"]) == (status, False, error_msg)
    assert len(crm.violations) == len(api.account.violations) == 1
    assert error_msg in crm.violations[0]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"phone": ""}, "phone"),
        ({"phone": "anonymous"}, "phone"),
        ({"phone": 79161234567}, "phone"),
        ({"type": "ringing"}, "type"),
        ({"codes": "101"}, "codes"),
        ({"codes": [101]}, "codes.0"),
        ({"codes": []}, "entity"),
        ({"type": "hangup"}, "entity"),
        ({"type": "hangup", "hangupStatus": "no answer"}, "hangupStatus"),
        ({"clientId": "x"}, "clientId"),
        ({"call_external_id": "x"}, "call_external_id"),
    ],
)
async def test_a_wrong_event_is_refused(api: Api, change: Json, field: str) -> None:
    status, answer = await api.event(POPUP | change)
    assert (status, answer["errorMsg"], list(answer["errors"])) == (
        400,
        "Errors in the entity format",
        [field],
    )
    assert api.account.events == []
    assert len(api.account.violations) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"date": "2026-01-01T10:00:00"}, "0.date"),
        ({"date": "2026-02-30 10:00:00"}, "0.date"),
        ({"type": "hangup"}, "0.type"),
        ({"result": "no answered"}, "0.result"),
        ({"duration": "60"}, "0.duration"),
        ({"duration": -1}, "0.duration"),
        ({"externalId": ""}, "0.externalId"),
        ({"recordUrl": "/recordings/1.wav"}, "0.recordUrl"),
        ({"recordUrl": "gopher://example.com/1.wav"}, "0.recordUrl"),
        ({"hangupStatus": "answered"}, "0.hangupStatus"),
    ],
)
async def test_a_wrong_call_is_refused_with_its_whole_batch(api: Api, change: Json, field: str) -> None:
    status, answer = await api.upload(CALL | change, CALL | {"externalId": "c2"})
    assert (status, list(answer["errors"])) == (400, [field])
    assert api.account.uploads == []


async def test_a_missing_field_is_named(api: Api) -> None:
    call = {name: value for name, value in CALL.items() if name != "result"}
    assert (await api.upload(call))[1]["errors"] == {"0.result": "Field required"}


async def test_fifty_calls_are_taken_in_one_upload_and_no_more(api: Api) -> None:
    calls = [CALL | {"externalId": f"c{n}"} for n in range(51)]
    assert (await api.upload(*calls))[0] == 400
    assert await api.upload(*calls[:50]) == (200, {"success": True, "processedCallsCount": 50})
    assert (await api.upload())[0] == 400


async def test_json_must_come_in_a_form_field(api: Api, account: CrmAccount) -> None:
    path = "v5/telephony/call/event"
    assert (await api.ask("POST", path, json={"event": POPUP}))[0] == 400
    assert (await api.ask("POST", path, data={"event": "{"}))[1]["errors"] == {"event": "not JSON"}
    assert (await api.ask("POST", path, data={"event": json.dumps(POPUP), "site": "x"}))[0] == 400
    assert account.events == []
    assert (await api.ask("POST", path, data={"event": json.dumps(POPUP), "clientId": "x"}))[0] == 200


async def test_the_forty_first_telephony_request_of_a_second_is_too_many(api: Api) -> None:
    answers = await asyncio.gather(*(api.look_up(phone="+79161234567") for _ in range(45)))
    refused = [answer for status, answer in answers if status == 503]
    assert refused == [{"success": False, "errorMsg": "Rate limit exceeded"}] * 5
    assert len(api.account.violations) == 5
    assert (await api.ask("GET", "v5/settings"))[0] == 200


async def test_other_routes_take_ten_a_second_and_the_limits_can_be_switched_off(
    api: Api, crm: SimulatedCrm
) -> None:
    answers = await asyncio.gather(*(api.ask("GET", "v5/settings") for _ in range(12)))
    assert sorted(status for status, _ in answers) == [200] * 10 + [503] * 2
    crm.limits = False
    assert (await api.ask("GET", "v5/settings"))[0] == 200


# What the rest answers


async def test_settings_users_credentials_and_versions(api: Api, crm: SimulatedCrm) -> None:
    assert (await api.ask("GET", "v5/settings"))[1]["settings"]["timezone"]["value"] == "Europe/Moscow"
    _, users = await api.ask("GET", "v5/users?limit=20&page=1")
    assert [user["id"] for user in users["users"]] == [7, 8]
    assert users["pagination"] == {"limit": 20, "totalCount": 2, "currentPage": 1, "totalPageCount": 1}
    assert (await api.ask("GET", "v5/users?page=2"))[1]["users"] == []
    assert "telephony_write" in (await api.ask("GET", "credentials"))[1]["scopes"]
    assert (await api.ask("GET", "api-versions"))[1] == {"success": True, "versions": ["3.0", "4.0", "5.0"]}
    assert crm.violations == []


# What our product must never tell


async def test_a_whole_call_told_as_it_should_be_breaks_nothing(api: Api, crm: SimulatedCrm) -> None:
    assert await api.event(POPUP) == (200, {"success": True})
    assert await api.event(POPUP | {"codes": ["102"]}) == (200, {"success": True})
    await api.event(HANGUP | {"codes": ["101", "102"]})
    assert await api.upload(CALL) == (200, {"success": True, "processedCallsCount": 1})
    assert crm.violations == []


async def test_a_code_that_no_user_has_is_answered_and_written_down(api: Api, crm: SimulatedCrm) -> None:
    answer = await api.event(POPUP | {"codes": ["101", "600", "99302"]})
    assert answer == (200, {"success": True, "notExistCodes": ["600", "99302"]})
    await api.event(HANGUP | {"codes": ["101", "600", "99302"]})
    assert (await api.upload(CALL | {"code": "*97"}))[0] == 200
    assert [sentence.partition(": nobody has the code ")[2] for sentence in crm.violations] == [
        "600, 99302",
        "600, 99302",
        "*97",
    ]


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        ([POPUP, POPUP], "sent again although it was answered"),
        ([POPUP, POPUP | {"codes": ["102", "101"]}], "in told twice to 101"),
        ([POPUP, HANGUP, HANGUP | {"hangupStatus": "busy"}], "hangup told a second time"),
        ([POPUP, HANGUP, POPUP | {"codes": ["102"]}], "in told after the hangup"),
        ([HANGUP], "hangup names codes that were never told: 101"),
        ([POPUP | {"codes": ["101", "102"]}, HANGUP], "hangup leaves out codes that were told: 102"),
        ([POPUP, CALL], "upload comes before the call's hangup"),
        ([CALL, CALL], "sent again although it was answered"),
        ([CALL, CALL | {"duration": 61}], "sent again with other content"),
        ([CALL | {"result": "no answer"}], "has talking time or a recording"),
        ([CALL | {"date": "2199-01-01 00:00:00"}], "dated in the future"),
        ([CALL | {"durationWaiting": None}], "lacks duration or durationWaiting"),
        ([CALL | {"phone": "89161234567"}], "number 89161234567 is not E.164"),
        ([{"phone": "112", "type": "in", "codes": ["101"]}], "in without callExternalId"),
    ],
)
async def test_a_broken_promise_is_written_down_though_the_api_takes_it(
    api: Api, crm: SimulatedCrm, told: list[Json], broken: str
) -> None:
    for one in told:
        status, _ = await (api.upload(one) if "date" in one else api.event(one))
        assert status == 200
    assert len(crm.violations) == 1
    assert broken in crm.violations[0]
    assert crm.violations[0].startswith("crm1: ")


async def test_a_repeat_is_in_order_when_the_answer_was_lost(api: Api, crm: SimulatedCrm) -> None:
    account = api.account
    account.fault(AnswerLost(), times=3)
    for ask in (api.event(POPUP), api.event(HANGUP), api.upload(CALL)):
        with pytest.raises(aiohttp.ClientError):
            await ask
    await api.event(POPUP)
    await api.event(HANGUP)
    assert (await api.upload(CALL))[1] == {
        "success": True,
        "processedCallsCount": 0,
        "duplicateCalls": ["c1"],
    }
    assert (len(account.events), len(account.uploads), len(account.repeats)) == (2, 1, 3)
    assert crm.violations == []
    await api.event(HANGUP)  # this time the answer had come
    assert len(crm.violations) == 1


async def test_one_who_gave_up_waiting_may_repeat(api: Api, crm: SimulatedCrm) -> None:
    api.account.fault(Slow(60), times=1)
    impatient = asyncio.create_task(api.event(POPUP))
    await api.account.wait_for_event("in")
    impatient.cancel()
    await api.event(POPUP)
    assert len(api.account.repeats) == 1
    assert crm.violations == []


async def test_a_killed_sender_may_repeat_what_was_answered(api: Api, crm: SimulatedCrm) -> None:
    api.account.repeats_allowed = True
    await api.event(POPUP)
    await api.event(POPUP)
    assert len(api.account.repeats) == 1
    assert crm.violations == []


async def test_after_a_fault_a_hangup_may_name_someone_whose_popup_expired(
    api: Api, crm: SimulatedCrm
) -> None:
    api.account.fault(Status(500), times=1)
    assert (await api.event(POPUP))[0] == 500
    assert (await api.event(HANGUP))[0] == 200
    assert (await api.upload(CALL))[0] == 200
    assert crm.violations == []


async def test_a_refused_hangup_counts_as_tried_when_the_upload_comes(api: Api, crm: SimulatedCrm) -> None:
    await api.event(POPUP)
    api.account.fault(Refusal(), times=1)
    assert (await api.event(HANGUP))[0] == 400
    await api.upload(CALL)
    assert crm.violations == []


# Faults, accounts, watching


async def test_a_fault_strikes_its_route_and_only_so_often(api: Api, crm: SimulatedCrm) -> None:
    crm.fault(Status(500), route="event", times=1)
    assert (await api.look_up(phone="+79161234567"))[0] == 200
    assert (await api.event(POPUP))[0] == 500
    assert (await api.event(POPUP))[0] == 200


async def test_silence_ends_with_heal_for_those_who_ask_anew(api: Api, crm: SimulatedCrm) -> None:
    crm.fault(Silent())
    waiting = asyncio.create_task(api.look_up(phone="+79161234567"))
    await api.account.wait_until(lambda account: len(account.requests) == 1)
    crm.heal()
    assert (await api.look_up(phone="+79161234567"))[0] == 200
    assert not waiting.done()
    waiting.cancel()


async def test_a_silent_crm_can_be_shut_down() -> None:
    async with aiohttp.ClientSession() as session:
        async with SimulatedCrm() as crm:
            api = Api(session, crm.account(key="k"))
            crm.fault(Silent())
            waiting = asyncio.create_task(api.look_up(phone="+79161234567"))
            await api.account.wait_until(lambda account: len(account.requests) == 1)
        with pytest.raises(aiohttp.ClientError):
            await waiting


async def test_accounts_have_addresses_data_and_faults_of_their_own(api: Api, crm: SimulatedCrm) -> None:
    other = crm.account(key="k2", timezone="Asia/Omsk")
    assert other.url != api.account.url
    other.fault(Closed())
    other_api = Api(api.session, other)
    with pytest.raises(aiohttp.ClientError):
        await other_api.event(POPUP)
    assert (await api.event(POPUP))[0] == 200
    other.heal()
    assert (await other_api.ask("GET", "v5/settings"))[1]["settings"]["timezone"]["value"] == "Asia/Omsk"
    assert (len(api.account.events), len(other.events)) == (1, 0)
    with pytest.raises(ValueError, match="exists"):
        crm.account(key="k2")


async def test_a_listener_hears_what_is_taken_until_it_stops(api: Api, crm: SimulatedCrm) -> None:
    heard: list[Message] = []
    stop = crm.on_message(heard.append)
    await api.look_up(phone="+79161234567")
    await api.event(POPUP)
    await api.event(HANGUP)
    await api.event(HANGUP)
    await api.upload(CALL)
    stop()
    await api.look_up(phone="+79161234567")
    assert [type(message) for message in heard] == [LookedUp, EventTold, EventTold, CallUploaded]


async def test_waiting_ends_with_the_upload_or_says_what_came_instead(api: Api) -> None:
    waiting = asyncio.create_task(api.account.wait_for_upload("c2"))
    await api.upload(CALL)
    assert not waiting.done()
    await api.upload(CALL | {"externalId": "c2"})
    assert (await waiting).call.external_id == "c2"
    with pytest.raises(TimeoutError, match="uploads: c1 answered, c2 answered"):
        await api.account.wait_for_upload("c3", timeout=0.01)


async def test_the_simulator_runs_as_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ari_app.demo.crm.simulator", "--no-limit", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().split()[-1]
    async with aiohttp.ClientSession(headers={"X-API-KEY": "demo-key"}) as session:
        query = "phone=%2B79160000003&details=1&ignoreStatus=1"
        async with session.get(f"{url}/api/v5/telephony/manager?{query}") as response:
            assert (await response.json())["manager"]["code"] == "104"
        async with session.get(f"{url}/simulator/state") as response:
            assert (await response.json())["lookUps"] == 1
    process.terminate()
    rest, _ = await process.communicate()
    assert json.loads(rest)["violations"] == []
    assert process.returncode == 0
